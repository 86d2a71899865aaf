//! Reading a catalog on a server that nobody uses just now: what to ask, and the rows of the answer.

use super::graph::{Graph, Kind};
use super::{Catalog, Last, body, foreign};
use crate::clock;
use crate::server::{Row, Server, ask};
use crate::sql::{Bounds, Names};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time for each of the two questions; PostgreSQL ends them itself a little earlier.
const PATIENCE: Duration = Duration::from_secs(6);

/// No answer is longer.
const ANSWER: usize = 64 * 1024 * 1024;

/// Whatever the client that used the server has set: names are PostgreSQL's own, texts come in the database's encoding. The
/// end of the transaction undoes it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE; \
    SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 5000; SET LOCAL client_encoding = 'SQL_ASCII'; \
    SET LOCAL quote_all_identifiers = off; SET LOCAL bytea_output = 'hex';";

/// What the catalog looks like, in short: another one if any row has been replaced that [`READ`] reads.
const MARK: &str = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(row, 0)), 0) FROM ( \
    SELECT oid || ' ' || xmin AS row FROM pg_proc WHERE oid >= 16384 \
    UNION ALL SELECT 'c' || oid || ' ' || xmin FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S') \
    UNION ALL SELECT 't' || oid || ' ' || xmin FROM pg_trigger WHERE NOT tgisinternal \
    UNION ALL SELECT 'r' || oid || ' ' || xmin FROM pg_rewrite WHERE oid >= 16384 \
    UNION ALL SELECT 'd' || oid || ' ' || xmin FROM pg_attrdef \
    UNION ALL SELECT 'k' || oid || ' ' || xmin FROM pg_constraint WHERE oid >= 16384 \
    UNION ALL SELECT 'p' || oid || ' ' || xmin FROM pg_policy \
    UNION ALL SELECT 'o' || oid || ' ' || xmin FROM pg_operator WHERE oid >= 16384 \
    UNION ALL SELECT 'y' || oid || ' ' || xmin FROM pg_type WHERE oid >= 16384 AND typtype = 'd' \
    UNION ALL SELECT 's' || oid || ' ' || xmin FROM pg_cast WHERE oid >= 16384 \
    UNION ALL SELECT 'i' || inhrelid || ' ' || inhparent || ' ' || xmin FROM pg_inherits \
    UNION ALL SELECT 'e' || oid || ' ' || xmin FROM pg_extension) AS rows;";

/// First the routines: name, language, settings with a dot of their own, extension, body. Beyond 32 MiB of bodies there are no
/// more. Then what uses what, by names: the kind of the user (a routine `f`, a relation that is read `r` or written `w`), its name,
/// kind and name of what it uses. PostgreSQL keeps no dependencies on what is built in, so trees are searched for it. An operator is a
/// routine of its name. In place of what is used may stand what is known of the user itself: `!`, it may write; `1`, only one server has it;
/// `l`, it locks rows.
const READ: &str = "\
    SELECT p.proname, l.lanname, \
        (SELECT string_agg(split_part(c, '=', 1), ',') FROM unnest(p.proconfig) c WHERE split_part(c, '=', 1) LIKE '%.%'), \
        (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1), \
        CASE WHEN sum(octet_length(p.prosrc)) OVER (ORDER BY p.oid) <= 33554432 THEN p.prosrc END \
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384; \
    WITH trees(kind, name, tree) AS ( \
        SELECT 'f', proname, prosqlbody::text FROM pg_proc WHERE oid >= 16384 AND prosqlbody IS NOT NULL \
        UNION ALL SELECT CASE r.ev_type WHEN '1' THEN 'r' ELSE 'w' END, c.relname, r.ev_action::text || ' ' || r.ev_qual::text \
            FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.oid >= 16384 \
        UNION ALL SELECT 'w', c.relname, d.adbin::text FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid WHERE d.oid >= 16384 \
        UNION ALL SELECT 'w', c.relname, k.conbin::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
            WHERE k.oid >= 16384 AND k.conbin IS NOT NULL \
        UNION ALL SELECT 'r', t.typname, k.conbin::text FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid \
            WHERE k.oid >= 16384 AND k.conbin IS NOT NULL \
        UNION ALL SELECT 'r', c.relname, concat(p.polqual::text, ' ', p.polwithcheck::text) \
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid \
        UNION ALL SELECT 'w', c.relname, concat(i.indexprs::text, ' ', i.indpred::text) FROM pg_index i \
            JOIN pg_class c ON c.oid = i.indrelid WHERE i.indexrelid >= 16384 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
        UNION ALL SELECT 'w', c.relname, t.tgqual::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
            WHERE t.tgqual IS NOT NULL), \
    found(kind, name, what, id) AS ( \
        SELECT DISTINCT t.kind, t.name, m[1], m[2]::oid FROM trees t, \
            regexp_matches(t.tree, ':(relid|funcid|opfuncid|aggfnoid|winfnoid) ([1-9][0-9]*)', 'g') m) \
    SELECT kind, name, 'f', p.proname FROM found JOIN pg_proc p ON p.oid = id \
        WHERE what <> 'relid' AND (p.oid >= 16384 OR p.provolatile <> 'i') \
    UNION SELECT kind, name, CASE kind WHEN 'r' THEN 'r' ELSE 'w' END, c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'relid' AND c.oid >= 16384 \
    UNION SELECT kind, name, 'r', c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'relid' AND c.oid >= 16384 AND kind <> 'r' \
    UNION SELECT 'w', name, 'w', c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'relid' AND c.oid >= 16384 AND kind = 'r' \
    UNION SELECT 'w', c.relname, 'f', p.proname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
        JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' \
    UNION SELECT 'w', c.relname, 'w', r.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid \
        JOIN pg_class r ON r.oid = k.conrelid \
        WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) \
    UNION SELECT 'w', c.relname, 'w', r.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent \
        JOIN pg_class r ON r.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f') \
    UNION SELECT 'w', c.relname, 'r', t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
        JOIN pg_class c ON c.oid = a.attrelid WHERE t.typtype = 'd' AND a.attrelid >= 16384 AND NOT a.attisdropped \
    UNION SELECT 'f', p.proname, 'f', u.proname FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid \
        JOIN pg_proc u ON u.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, \
            a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn) \
        WHERE p.oid >= 16384 AND (u.oid >= 16384 OR u.provolatile <> 'i') \
    UNION SELECT 'f', o.oprname, 'f', p.proname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oid >= 16384 \
    UNION SELECT 'r', t.typname, 'f', p.proname FROM pg_cast k JOIN pg_proc p ON p.oid = k.castfunc \
        JOIN pg_type t ON t.oid IN (k.castsource, k.casttarget) WHERE k.oid >= 16384 \
    UNION SELECT 'r', c.relname, 'r', r.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent \
        JOIN pg_class r ON r.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f') \
    UNION SELECT 'f', p.proname, '!', '' FROM pg_proc p WHERE p.oid >= 16384 AND p.provolatile = 'v' \
        AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
            AND (e.extname = 'pgcrypto' AND p.proname IN ('gen_random_bytes', 'gen_random_uuid', 'gen_salt') \
                OR e.extname = 'uuid-ossp' AND starts_with(p.proname, 'uuid_generate_'))) \
    UNION SELECT 'r', relname, '1', '' FROM pg_class WHERE oid >= 16384 AND (relpersistence = 'u' OR relkind IN ('S', 'f')) \
    UNION SELECT 'r', c.relname, 'l', '' FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
        WHERE r.oid >= 16384 AND r.ev_type = '1' AND r.ev_action::text LIKE '%:hasForUpdate true%';";

/// One reading. Dropped before it has ended, it has failed.
pub struct Loading {
    catalog: Arc<Catalog>,
    changes: u64,
    began: Instant,
    tried: bool,
}

impl Loading {
    pub(super) fn new(catalog: Arc<Catalog>, changes: u64) -> Self {
        Self { catalog, changes, began: clock::now(), tried: false }
    }

    /// Reads the catalog on a server at a boundary. If it is at none behind it, the server can only be closed.
    pub async fn run(mut self, server: &mut Server) {
        self.tried = true;
        let read = self.read(server).await;
        let mut last = self.catalog.last.lock();
        let failed = read.is_none();
        if failed && !last.failed {
            tracing::warn!(server = %server.id, "cannot read the catalog: every function is taken for one that may change its session");
        }
        last.failed = failed;
    }

    async fn read(&self, server: &mut Server) -> Option<()> {
        let mark = first(query(server, MARK).await?)?;
        if self.catalog.last.lock().mark.as_ref() != Some(&mark) || self.catalog.known().is_doubtful() {
            let names = read_catalog(server).await?;
            self.catalog.learn(names, self.changes);
            *self.catalog.last.lock() = Last { mark: Some(mark), failed: false };
        }
        Some(())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.catalog.rest(self.began, self.changes, self.tried);
    }
}

/// Reads the catalog on a server at a boundary. `None`: it could not be read, or the server is dead. No deadline of its own beyond
/// [`PATIENCE`].
pub async fn read_catalog(server: &mut Server) -> Option<Names> {
    names(&query(server, READ).await?)
}

async fn query(server: &mut Server, sql: &str) -> Option<Vec<Row>> {
    let sql = format!("{BEGIN} {sql} ROLLBACK");
    let answer = tokio::time::timeout(PATIENCE, ask(server, &sql, ANSWER)).await.ok()??;
    answer.error.is_none().then_some(answer.rows)
}

fn first(rows: Vec<Row>) -> Option<Box<[u8]>> {
    rows.into_iter().next()?.into_iter().next()?
}

/// `None`: these are not the rows of [`READ`].
fn names(rows: &[Row]) -> Option<Names> {
    let mut graph = Graph::default();
    for row in rows {
        match row.as_slice() {
            [Some(name), _, _, _, _] => graph.add(Kind::Routine, name),
            [Some(kind), Some(name), Some(used), Some(what)] => {
                let user = (Kind::read(kind)?, &**name);
                match &**used {
                    b"!" => graph.is(user, Bounds::WRITES),
                    b"1" => graph.is(user, Bounds::ONE_SERVER),
                    b"l" => graph.is(user, Bounds::LOCKS_ROWS),
                    used => graph.add_use(user, (Kind::read(used)?, what)),
                }
            }
            _ => return None,
        }
    }
    for row in rows {
        if let [Some(name), Some(language), own, extension, text] = row.as_slice() {
            let does = match (&**language, text) {
                (_, None) => body::Does::hidden(),
                (b"sql" | b"plpgsql", Some(text)) => body::read(&graph, text, **language == *b"plpgsql"),
                (language, Some(symbol)) => foreign::does(language, extension.as_deref(), name, symbol),
            };
            graph.does(name, does);
            for setting in own.iter().flat_map(|own| own.split(|&byte| byte == b',')) {
                graph.sets(name, setting, true);
            }
        }
    }
    Some(graph.names())
}
