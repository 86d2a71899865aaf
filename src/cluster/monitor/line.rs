//! One connection to a host that is asked: the questions, and the answers understood.

use crate::cluster::judge::{Answer, without_header};
use crate::router;
use crate::server::{Row, Server, ask};
use std::future::poll_fn;

/// No answer is longer.
const ANSWER: usize = 4 * 1024;

/// A standby tells nothing to whoever is serializable without a word, as roles and databases may be made. And what [`FLUSH`] writes is to be on the
/// primary's disk, and no other's.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET synchronous_commit = 'local'";

/// Writes some 50 bytes to the log that mean nothing to anybody, and flushes it up to there. PUBLIC may.
/// Source: PostgreSQL documentation, "Replication Management Functions"; `RecordTransactionCommit` in `src/backend/access/transam/xact.c`.
const FLUSH: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'pgotter', '')";

/// Once for each connection: which cluster it is, and the sizes that positions are reckoned with. All of it may be asked by anybody
/// (checked on PostgreSQL 15).
const GREETING: &str = "SELECT system_identifier, pg_catalog.current_setting('wal_block_size'), \
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) FROM pg_catalog.pg_control_system()";

/// In one row: whether it is in recovery; its position, which for a primary is that of the *insert*: what was committed
/// asynchronously is not flushed yet; the timeline, and whether that is exact; and up to where a primary has flushed. What a standby's receiver follows is told to members of
/// pg_read_all_stats alone; to others, and without a receiver, it is the latest timeline that the control file knows of.
const QUESTION: &str = "SELECT standby, \
    CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
    CASE WHEN standby THEN NULL ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END, \
    CASE WHEN standby THEN received_tli END, \
    CASE WHEN standby AND received_tli IS NULL THEN (SELECT GREATEST(timeline_id, min_recovery_end_timeline) \
        FROM pg_catalog.pg_control_checkpoint(), pg_catalog.pg_control_recovery()) END, \
    CASE WHEN standby THEN NULL ELSE pg_catalog.pg_current_wal_flush_lsn() END \
    FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) AS itself, pg_catalog.pg_stat_get_wal_receiver()";

/// A connection, and the sizes that its host reckons with.
pub(super) struct Line {
    pub server: Box<Server>,
    page: u64,
    segment: u64,
}

impl Line {
    /// Over a connection that was let in; with the system identifier of its cluster. No deadline of its own.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn open(mut server: Box<Server>) -> Result<(Self, u64), String> {
        ask(&mut server, SETTINGS, ANSWER).await.ok_or("it lets us in and says nothing")?;
        let answer = ask(&mut server, GREETING, ANSWER).await.ok_or("it lets us in and says nothing")?;
        if let Some(code) = answer.error {
            return Err(format!("it does not tell its system identifier: SQLSTATE {}", String::from_utf8_lossy(&code)));
        }
        let row = answer.rows.first().map(|row| row.iter().map(|value| number(value.as_deref())).collect::<Vec<_>>());
        match row.as_deref() {
            Some([Some(identity), Some(page), Some(segment)]) => {
                Ok((Self { server, page: *page, segment: *segment }, *identity))
            }
            _ => Err("it does not tell its system identifier".to_owned()),
        }
    }

    /// `None`: the connection is lost, or what comes makes no sense.
    pub async fn ask(&mut self, number: u64) -> Option<Answer> {
        let answer = ask(&mut self.server, QUESTION, ANSWER).await?;
        if answer.error.is_some() {
            return None;
        }
        read(answer.rows.first()?, number, (self.page, self.segment))
    }

    /// Has a primary flush all that it has written. `None`: the connection is lost. It may not be allowed to.
    pub async fn flush(&mut self) -> Option<()> {
        let answer = ask(&mut self.server, FLUSH, ANSWER).await?;
        if let Some(code) = answer.error {
            tracing::debug!(server = %self.server.id, sqlstate = %code.escape_ascii(), "the primary does not flush its log when asked");
        }
        Some(())
    }

    /// Something has come that nothing asked for, or the end.
    pub async fn is_spoken_to(&mut self) {
        let socket = self.server.socket();
        let _ = poll_fn(|cx| socket.poll_recv(cx)).await;
    }
}

fn read(row: &Row, number: u64, (page, segment): (u64, u64)) -> Option<Answer> {
    let [Some(standby), lsn, file, received, control, flushed] = row.as_slice() else { return None };
    let text = |value: &Option<Box<[u8]>>| {
        value.as_deref().and_then(|value| std::str::from_utf8(value).ok().map(str::to_owned))
    };
    let standby = **standby == *b"t";
    let lsn = text(lsn).and_then(|lsn| router::lsn(&lsn));
    let flushed = text(flushed).and_then(|lsn| router::lsn(&lsn));
    let written = text(file).and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok());
    let timeline = |value| text(value).and_then(|value| value.parse().ok());
    let (received, control) = (timeline(received), timeline(control));
    Some(Answer {
        number,
        standby,
        timeline: if standby { received.or(control) } else { written },
        exact: !standby || received.is_some(),
        lsn: if standby { lsn } else { lsn.map(|lsn| without_header(lsn, page, segment)) },
        flushed: flushed.filter(|_| !standby),
    })
}

/// A bigint. A system identifier may be shown as a negative one.
fn number(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse::<i64>().ok().map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    //! Answers as PostgreSQL writes them.
    use super::*;

    fn row(values: [Option<&str>; 6]) -> Row {
        values.map(|value| value.map(|value| value.as_bytes().into())).to_vec()
    }

    #[test]
    fn a_primary_says_where_the_next_record_goes_and_on_which_timeline() {
        let said =
            row([Some("f"), Some("16/B3000018"), Some("0000000A00000016000000B3"), None, None, Some("16/B3000000")]);
        let answer = read(&said, 7, (8192, 16 << 20)).expect("an answer");
        let lsn = Some(0x16_B300_0018); // not 24 behind a page's beginning, but in a segment's long header
        let flushed = Some(0x16_B300_0000);
        assert_eq!(answer, Answer { number: 7, standby: false, timeline: Some(10), exact: true, lsn, flushed });
    }

    #[test]
    fn a_standbys_timeline_is_exact_only_if_its_receiver_tells_it() {
        let said =
            |received, control| read(&row([Some("t"), Some("0/3000060"), None, received, control, None]), 1, (8192, 1));
        let timeline = |answer: Option<Answer>| answer.map(|answer| (answer.timeline, answer.exact));
        assert_eq!(timeline(said(Some("3"), None)), Some((Some(3), true)));
        assert_eq!(timeline(said(None, Some("2"))), Some((Some(2), false)));
        assert_eq!(timeline(said(None, None)), Some((None, false)));
        assert_eq!(read(&row([None; 6]), 1, (8192, 1)), None);
        assert_eq!(number(Some(b"-1")), Some(u64::MAX));
        assert_eq!(router::lsn("G/0"), None);
    }
}
