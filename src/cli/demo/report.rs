//! What the demo prints: a line every two seconds, and the summary.

use super::load::{Load, Totals};
use super::stage::Stage;
use std::io::{self, Write};
use std::time::Duration;

/// One line on standard output. A terminal that has closed is no reason to fail (println! would panic): the SIGHUP that
/// comes with it ends the demo in order.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// One look at everything.
pub(super) struct Report {
    totals: Totals,
    pooler: Pooler,
    servers: String,
    replication: String,
}

struct Pooler {
    cpu: Duration,
    resident_kib: u64,
    died: Option<String>,
}

/// PgOtter's connections are the ones that came by TCP; ours is on the unix socket.
const SERVERS: &str = "SELECT count(*) || ' servers, ' || count(*) FILTER (WHERE state <> 'idle') || ' busy' \
     FROM pg_stat_activity WHERE backend_type = 'client backend' AND client_addr IS NOT NULL";
const REPLICATION: &str = "SELECT count(*) FILTER (WHERE state = 'streaming') || ' replicas streaming, ' || \
     coalesce(pg_size_pretty(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))), '?') || ' behind' \
     FROM pg_stat_replication";

impl Report {
    pub(super) fn take(stage: &mut Stage, load: &mut Load) -> Self {
        let died = stage.pooler.ended().map(|status| status.to_string());
        let pooler = Pooler { cpu: stage.pooler.cpu(), resident_kib: stage.pooler.resident_kib(), died };
        let ask = |sql| stage.primary.psql("postgres", sql).unwrap_or_else(|error| error.to_string());
        Self { totals: load.totals(), pooler, servers: ask(SERVERS), replication: ask(REPLICATION) }
    }

    pub(super) fn line(&self) {
        let Totals { transactions, failed, tps, latency_ms, .. } = &self.totals;
        say(&format!(
            "{transactions:>8} transactions  {tps:>6.0} tps  {latency_ms:>6.1} ms  {failed} failed | {} clients on {} | {}",
            super::load::clients(),
            self.servers,
            self.replication
        ));
    }

    pub(super) fn summary(&self) {
        let Totals { transactions, failed, .. } = &self.totals;
        let Pooler { cpu, resident_kib, .. } = &self.pooler;
        let each = cpu.as_micros().checked_div(u128::from(*transactions)).unwrap_or_default();
        say(&format!(
            "\n{transactions} transactions, {failed} failed\n{}\nPgOtter: {:.2} s of CPU ({each} µs a transaction), {} MiB resident",
            self.replication,
            cpu.as_secs_f64(),
            resident_kib / 1024,
        ));
    }

    pub(super) fn nothing_failed(&self) -> bool {
        self.totals.failed == 0 && self.pooler.died.is_none()
    }

    /// Why the exit status is 1.
    pub(super) fn reasons(&self, stage: &Stage) {
        self.totals.complaints.iter().for_each(|complaint| say(complaint));
        if let Some(status) = &self.pooler.died {
            say(&format!("PgOtter ended ({status}); its log:\n{}", stage.pooler.log()));
        }
    }
}
