//! Reading a catalog on a server that nobody uses just now: what to ask, and the rows of the answer.

use super::graph::{Graph, Kind};
use super::{Catalog, Claims, Last, body, foreign};
use crate::clock::{self, Instant};
use crate::server::{Row, Server, ask};
use crate::sql::{Bounds, Effects, Names, Touches};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for each of the two questions; PostgreSQL ends them itself a little earlier.
const PATIENCE: Duration = Duration::from_secs(6);

/// No answer is longer.
const ANSWER: usize = 64 * 1024 * 1024;

/// Whatever the client that used the server has set: names are PostgreSQL's own, texts come in the database's encoding. The
/// end of the transaction undoes it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE; \
    SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 5000; SET LOCAL jit = off; SET LOCAL client_encoding = 'SQL_ASCII'; \
    SET LOCAL quote_all_identifiers = off; SET LOCAL bytea_output = 'hex';";

/// What the catalog looks like, in short: another one if any row has been replaced that is read of it.
pub const MARK: &str = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(row, 0)), 0) FROM ( \
    SELECT oid || ' ' || xmin AS row FROM pg_proc WHERE oid >= 16384 \
    UNION ALL SELECT 'c' || oid || ' ' || xmin FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S') \
    UNION ALL SELECT 't' || oid || ' ' || xmin FROM pg_trigger WHERE NOT tgisinternal \
    UNION ALL SELECT 'r' || oid || ' ' || xmin FROM pg_rewrite WHERE oid >= 16384 \
    UNION ALL SELECT 'd' || oid || ' ' || xmin FROM pg_attrdef \
    UNION ALL SELECT 'k' || oid || ' ' || xmin FROM pg_constraint WHERE oid >= 16384 \
    UNION ALL SELECT 'p' || oid || ' ' || xmin FROM pg_policy \
    UNION ALL SELECT 'o' || oid || ' ' || xmin FROM pg_operator WHERE oid >= 16384 \
    UNION ALL SELECT 'y' || oid || ' ' || xmin FROM pg_type WHERE oid >= 16384 \
    UNION ALL SELECT 'a' || attrelid || ' ' || attnum || ' ' || xmin FROM pg_attribute WHERE attrelid >= 16384 AND atttypid >= 16384 \
    UNION ALL SELECT 'g' || aggfnoid::oid || ' ' || xmin FROM pg_aggregate WHERE aggfnoid >= 16384 \
    UNION ALL SELECT 'n' || rngtypid || ' ' || xmin FROM pg_range WHERE rngtypid >= 16384 \
    UNION ALL SELECT 'm' || oid || ' ' || xmin FROM pg_amproc WHERE oid >= 16384 \
    UNION ALL SELECT 'l' || oid || ' ' || xmin FROM pg_amop WHERE oid >= 16384 \
    UNION ALL SELECT 'x' || indexrelid || ' ' || xmin FROM pg_index \
        WHERE indexrelid >= 16384 AND (indexprs IS NOT NULL OR indpred IS NOT NULL) \
    UNION ALL SELECT 'z' || oid || ' ' || xmin FROM pg_statistic_ext WHERE stxexprs IS NOT NULL \
    UNION ALL SELECT 's' || oid || ' ' || xmin FROM pg_cast WHERE oid >= 16384 \
    UNION ALL SELECT 'i' || inhrelid || ' ' || inhparent || ' ' || xmin FROM pg_inherits \
    UNION ALL SELECT 'e' || oid || ' ' || xmin FROM pg_extension) AS rows;";

/// First the routines: name, language, settings with a dot of their own, extension, body. Beyond 32 MiB of bodies there are no
/// more. Then what uses what, by names: the kind of the user (a routine `f`, a relation or type that is read `r`, a relation that is
/// written `w`, any statement `e`), its name, kind (or `t`, a type; `h`, a part of it) and name of what it uses. PostgreSQL keeps no dependencies on what is
/// built in, so trees are searched for it; but not for `current_setting` (2077, 3294) of a constant (a text, behind the four bytes that
/// tell its length) with a dot (46) in it: such a setting is one's own, and goes with its client. An operator is a routine of its name, and of
/// those of its negator and commutator, in whose place the planner may take it. But one whose name is built in, too, is known by its types where these
/// are a user's `own`: no domain or string, no composite type (which a row is taken for, where there is no such operator for rows), and nothing that is cast to
/// without a word: so no value comes to it which the text does not say to be of that type. Beside such an operand one of a built-in type is no `open` way either, if PostgreSQL has that
/// operator for two of these: so it takes a literal. In place of what is used may stand what is known of the
/// user itself: `!`, it may write; `1`, only one server has it; `g`, it may update `pg_settings`, which is to set them; `l`, it locks rows; `m`, it tells when its transaction began, as `CURRENT_DATE` and its like do; `n`, it is a relation; `s`, others are read or written
/// with it; `u`, its database is not in UTF8.
///
/// What nobody calls by name: operators that words and operator classes stand for, casts, the functions of operator classes, of
/// ranges and of types. Whoever uses one of their types may run them; where all of those are built in, everybody may. Left out are functions
/// that take or return `internal`, which only C can be. What the planner may compute beforehand is immutable: of indexes, CHECK and partition
/// keys only that is read with its table (kind `i` of a tree). Another name for
/// what is built in uses that.
const READ: &str = "\
    SELECT p.proname, l.lanname, \
        (SELECT string_agg(split_part(c, '=', 1), ',') FROM unnest(p.proconfig) c WHERE split_part(c, '=', 1) LIKE '%.%'), \
        (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1), \
        CASE WHEN sum(octet_length(p.prosrc)) OVER (ORDER BY p.oid) <= 33554432 THEN p.prosrc END \
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384; \
    WITH whole(kind, name, tree) AS ( \
        SELECT 'f', proname, prosqlbody::text FROM pg_proc WHERE oid >= 16384 AND prosqlbody IS NOT NULL \
        UNION ALL SELECT 'f', proname, proargdefaults::text FROM pg_proc WHERE oid >= 16384 AND proargdefaults IS NOT NULL \
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
            WHERE t.tgqual IS NOT NULL \
        UNION ALL SELECT 'i', c.relname, concat(i.indexprs::text, ' ', i.indpred::text) FROM pg_index i \
            JOIN pg_class c ON c.oid = i.indrelid WHERE i.indexrelid >= 16384 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
        UNION ALL SELECT 'i', c.relname, k.conbin::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
            WHERE k.oid >= 16384 AND k.conbin IS NOT NULL \
        UNION ALL SELECT 'i', c.relname, p.partexprs::text FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid \
            WHERE p.partexprs IS NOT NULL \
        UNION ALL SELECT 'i', c.relname, x.stxexprs::text FROM pg_statistic_ext x JOIN pg_class c ON c.oid = x.stxrelid \
            WHERE x.stxexprs IS NOT NULL), \
    trees(kind, name, tree) AS ( \
        SELECT kind, name, CASE WHEN tree ~ ':funcid (2077|3294) ' THEN regexp_replace(tree, ':funcid (?:2077|3294) [^{}]*:args [(][{]CONST \
            :consttype 25 [^{}]*:constvalue [0-9]+ [[] (?:-?[0-9]+ ){4}(?:-?[0-9]+ )*46 ', '', 'g') ELSE tree END FROM whole), \
    found(kind, name, what, id) AS ( \
        SELECT DISTINCT t.kind, t.name, CASE m[1] WHEN 'relid' THEN 'r' ELSE 'f' END, m[2]::oid FROM trees t, \
            regexp_matches(t.tree, ':(relid|funcid|opfuncid|aggfnoid|winfnoid) ([1-9][0-9]*)', 'g') m \
        UNION SELECT t.kind, t.name, 't', id::oid FROM trees t, \
            regexp_matches(t.tree, 'typ(?:e|eid|id) ([1-9][0-9]{4,})|types [(]o ([0-9 ]+)[)]', 'g') m, \
            unnest(string_to_array(coalesce(m[1], m[2]), ' ')) AS id WHERE t.kind <> 'i'), \
    own(id) AS ( \
        SELECT t.oid FROM pg_type t WHERE t.oid >= 16384 AND t.typtype NOT IN ('d', 'p') AND t.typcategory NOT IN ('A', 'S') \
            AND NOT EXISTS (SELECT FROM pg_cast k WHERE k.casttarget = t.oid AND k.castcontext = 'i' AND (k.castsource < 16384 OR k.castfunc = 0))), \
    operators(id, code, types, open) AS ( \
        SELECT o.oid, o.oprcode::oid, ARRAY[o.oprleft, o.oprright], EXISTS ( \
            SELECT FROM (VALUES (o.oprleft, o.oprright), (o.oprright, o.oprleft)) AS s(id, other) \
            WHERE s.id <> 0 AND s.id NOT IN (SELECT id FROM own) AND NOT (s.id < 16384 AND s.other IN (SELECT id FROM own) \
                AND EXISTS (SELECT FROM pg_operator b WHERE b.oid < 16384 AND b.oprname = o.oprname AND b.oprleft = s.id AND b.oprright = s.id))) \
        FROM pg_operator o WHERE o.oid >= 16384), \
    signs(id, sign, built_in, is_word) AS ( \
        SELECT DISTINCT id, o.oprname, EXISTS (SELECT FROM pg_operator b WHERE b.oid < 16384 AND b.oprname = o.oprname), \
            o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '~~', '!~~', '~~*', '!~~*', '~', '!~') \
        FROM pg_operator o, unnest(ARRAY[o.oid, o.oprcom, o.oprnegate]) AS id WHERE id >= 16384), \
    hidden(types, id) AS ( \
        SELECT CASE WHEN o.open AND s.is_word THEN '{}' ELSE o.types END, o.code FROM operators o JOIN signs s ON s.id = o.id \
            WHERE s.is_word OR s.built_in AND NOT o.open \
        UNION ALL SELECT o.types, o.code FROM operators o WHERE EXISTS (SELECT FROM pg_amop a WHERE a.amopopr = o.id) \
        UNION ALL SELECT ARRAY[k.castsource, k.casttarget], k.castfunc FROM pg_cast k WHERE k.oid >= 16384 \
        UNION ALL SELECT ARRAY[a.amproclefttype, a.amprocrighttype], a.amproc::oid FROM pg_amproc a WHERE a.oid >= 16384 \
        UNION ALL SELECT ARRAY[g.rngtypid, g.rngmultitypid], unnest(ARRAY[g.rngcanonical::oid, g.rngsubdiff::oid]) FROM pg_range g \
            WHERE g.rngtypid >= 16384 \
        UNION ALL SELECT ARRAY[t.oid], unnest(ARRAY[t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, \
            t.typmodin::oid, t.typmodout::oid]) FROM pg_type t WHERE t.oid >= 16384), \
    unnamed(types, name) AS ( \
        SELECT DISTINCT h.types, p.proname FROM hidden h JOIN pg_proc p ON p.oid = h.id \
        WHERE (p.oid >= 16384 OR p.provolatile = 'v') AND p.prorettype <> 2281 AND NOT 2281 = ANY (p.proargtypes)) \
    SELECT CASE kind WHEN 'i' THEN 'r' ELSE kind END, name, 'f', p.proname FROM found JOIN pg_proc p ON p.oid = id \
        WHERE what = 'f' AND (p.oid >= 16384 OR p.provolatile <> 'i') AND (kind <> 'i' OR p.provolatile = 'i') \
    UNION SELECT kind, name, 't', t.typname FROM found JOIN pg_type t ON t.oid = id \
        WHERE what = 't' AND kind <> 'i' AND t.oid >= 16384 \
    UNION SELECT 'r', t.typname, 'f', u.name FROM unnamed u JOIN pg_type a ON a.oid = ANY (u.types) \
        JOIN pg_type t ON t.oid IN (a.oid, a.typelem) WHERE a.oid >= 16384 AND t.oid >= 16384 \
    UNION SELECT 'e', '', 'f', u.name FROM unnamed u WHERE NOT 16384 <= ANY (u.types) \
    UNION SELECT 'r', t.typname, 't', u.typname FROM pg_type t JOIN pg_type u ON u.oid IN (t.typelem, t.typbasetype) \
        WHERE t.oid >= 16384 AND u.oid >= 16384 \
    UNION SELECT 'r', t.typname, 't', u.typname FROM pg_range g JOIN pg_type t ON t.oid IN (g.rngtypid, g.rngmultitypid) \
        JOIN pg_type u ON u.oid IN (g.rngsubtype, g.rngtypid) WHERE t.oid >= 16384 AND u.oid >= 16384 AND u.oid <> t.oid \
    UNION SELECT 'r', c.relname, 't', t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
        JOIN pg_class c ON c.oid = a.attrelid WHERE t.oid >= 16384 AND a.attrelid >= 16384 AND NOT a.attisdropped \
        AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'c') \
    UNION SELECT 'f', p.proname, 't', t.typname FROM pg_proc p, \
        unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype) AS a(id) JOIN pg_type t ON t.oid = a.id \
        WHERE p.oid >= 16384 AND t.oid >= 16384 \
    UNION SELECT kind, name, CASE kind WHEN 'r' THEN 'r' ELSE 'w' END, c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'r' AND c.oid >= 16384 \
    UNION SELECT kind, name, 'r', c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'r' AND c.oid >= 16384 AND kind <> 'r' \
    UNION SELECT 'w', name, 'w', c.relname FROM found JOIN pg_class c ON c.oid = id \
        WHERE what = 'r' AND c.oid >= 16384 AND kind = 'r' \
    UNION SELECT CASE kind WHEN 'r' THEN 'w' ELSE kind END, name, 'g', '' FROM found \
        WHERE what = 'r' AND id = 'pg_settings'::regclass AND kind <> 'i' \
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
    UNION SELECT 'f', s.sign, 'f', p.proname FROM operators o JOIN signs s ON s.id = o.id JOIN pg_proc p ON p.oid = o.code \
        WHERE o.open OR NOT s.built_in OR EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (o.types) AND t.typtype = 'c') \
            AND NOT EXISTS (SELECT FROM pg_operator b WHERE b.oid < 16384 AND b.oprname = s.sign AND b.oprleft = 2249 AND b.oprright = 2249) \
    UNION SELECT 'f', p.proname, 'f', b.proname FROM pg_proc p JOIN pg_proc b ON b.prosrc = p.prosrc AND b.prolang = p.prolang \
        WHERE p.oid >= 16384 AND b.oid < 16384 AND p.prosrc <> 'aggregate_dummy' \
            AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'internal') \
    UNION SELECT 'r', c.relname, 'h', r.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent \
        JOIN pg_class r ON r.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f') \
    UNION SELECT kind, name, 'm', '' FROM whole WHERE kind <> 'i' AND tree LIKE '%SQLVALUEFUNCTION :op _ %' AND tree ~ 'SQLVALUEFUNCTION :op [0-8] ' \
    UNION SELECT 'f', p.proname, '!', '' FROM pg_proc p WHERE p.oid >= 16384 AND p.provolatile = 'v' \
        AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
            AND (e.extname = 'pgcrypto' AND p.proname IN ('gen_random_bytes', 'gen_random_uuid', 'gen_salt') \
                OR e.extname = 'uuid-ossp' AND starts_with(p.proname, 'uuid_generate_'))) \
    UNION SELECT 'r', relname, '1', '' FROM pg_class WHERE oid >= 16384 AND (relpersistence = 'u' OR relkind IN ('S', 'f')) \
    UNION SELECT 'e', '', 'u', '' FROM pg_database WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> 'UTF8' \
    UNION SELECT 'r', relname, 'n', '' FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S') \
    UNION SELECT 'r', c.relname, 's', '' FROM pg_class c WHERE c.oid >= 16384 AND (c.relkind IN ('v', 'f') OR c.relhasrules) \
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

    #[cfg(test)]
    pub(super) fn tried(mut self) -> Self {
        self.tried = true;
        self
    }

    /// Reads the catalog on a server at a boundary, and tells whether that succeeded. If it is at none behind it, the server can only be closed.
    pub async fn run(mut self, server: &mut Server) -> bool {
        self.tried = true;
        let read = self.read(server).await;
        let mut last = self.catalog.last.lock();
        let failed = read.is_none();
        if failed && !last.failed {
            tracing::warn!(server = %server.id, "cannot read the catalog: every function is taken for one that may change its session");
        }
        last.failed = failed;
        !failed
    }

    async fn read(&self, server: &mut Server) -> Option<()> {
        let mark = first(query(server, MARK).await?)?;
        if self.catalog.last.lock().mark.as_ref() != Some(&mark) || self.catalog.known().is_doubtful() {
            let claims = self.catalog.claims.lock().clone();
            let names = read_catalog(server, &claims).await?;
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
pub async fn read_catalog(server: &mut Server, claims: &Claims) -> Option<Names> {
    names(&query(server, READ).await?, claims)
}

/// How far a function may do more than compute, as it was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// It computes.
    Immutable,
    /// It reads.
    Stable,
    /// It may do anything.
    Volatile,
}

impl fmt::Display for Volatility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Immutable => "immutable",
            Self::Stable => "stable",
            Self::Volatile => "volatile",
        })
    }
}

/// The functions of all schemas by name, each with the greatest volatility that one of this name has. As [`read_catalog`].
pub async fn read_volatility(server: &mut Server) -> Option<BTreeMap<Box<[u8]>, Volatility>> {
    let mut all = BTreeMap::new();
    for row in query(server, "SELECT DISTINCT proname, provolatile FROM pg_proc;").await? {
        let [Some(name), Some(volatility)] = row.as_slice() else { return None };
        let volatility = match &**volatility {
            b"i" => Volatility::Immutable,
            b"s" => Volatility::Stable,
            _ => Volatility::Volatile,
        };
        let known = all.entry(name.clone()).or_insert(volatility);
        *known = volatility.max(*known);
    }
    Some(all)
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
fn names(rows: &[Row], claims: &Claims) -> Option<Names> {
    let mut graph = Graph::default();
    let mut volatile = BTreeSet::new();
    for row in rows {
        match row.as_slice() {
            [Some(name), _, _, _, _] => graph.add(Kind::Routine, name),
            [Some(kind), Some(name), Some(used), Some(what)] => {
                let user = (Kind::read(kind)?, &**name);
                match &**used {
                    b"!" => {
                        graph.is(user, Bounds::WRITES);
                        volatile.insert(user.1);
                    }
                    b"1" => graph.is(user, Bounds::ONE_SERVER),
                    b"g" => graph.is(user, Touches::HIDDEN),
                    b"l" => graph.is(user, Bounds::LOCKS_ROWS),
                    b"m" => graph.is(user, Bounds::TRANSACTION),
                    b"n" => {
                        graph.is(user, Effects { relation: true, ..Effects::NOTHING });
                        graph.add(Kind::Written, user.1);
                    }
                    b"s" => graph.is(user, Effects { beyond: true, ..Effects::NOTHING }),
                    b"u" => graph.is_in_another_encoding(),
                    b"t" => graph.add_use(user, (Kind::Read, what)),
                    b"h" => {
                        graph.add_use(user, (Kind::Read, what));
                        graph.is_part_of(what, user.1);
                    }
                    used => {
                        let kind = Kind::read(used)?;
                        graph.add_use(user, (kind, what));
                        if kind == Kind::Read {
                            graph.is(user, Effects { beyond: true, ..Effects::NOTHING });
                        }
                    }
                }
            }
            _ => return None,
        }
    }
    for row in rows {
        if let [Some(name), Some(language), own, extension, text] = row.as_slice() {
            let mut does = match (&**language, text) {
                (_, None) => body::Does::hidden(),
                (b"sql" | b"plpgsql", Some(text)) => body::read(&graph, text, **language == *b"plpgsql"),
                (language, Some(symbol)) => foreign::does(language, extension.as_deref(), name, symbol),
            };
            does.effects.spreads |= !matches!(&**language, b"sql" | b"plpgsql") && volatile.contains(&**name);
            graph.does(name, does);
            for setting in own.iter().flat_map(|own| own.split(|&byte| byte == b',')) {
                graph.sets(name, setting, true);
            }
        }
    }
    Some(graph.names(claims))
}
