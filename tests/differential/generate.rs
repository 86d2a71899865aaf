//! Random scripts: requests that a driver would make, and messages in any order.
//!
//! Knows nothing of how a script is played.

use super::spared::sparing;
use super::step::Step;
use crate::support::random::Random;

/// What a script may do to its session and rely on later. What a script does within one request or transaction needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Statements of the extended protocol, named and not, beyond the request that made them.
    Statements,
    /// PREPARE, EXECUTE, DEALLOCATE.
    SqlStatements,
    /// SET and RESET of the session.
    Settings,
    /// DISCARD ALL, DISCARD PLANS, CLOSE ALL, and the like.
    Discards,
    /// Cursors WITH HOLD, temporary tables.
    Pins,
    /// COPY FROM STDIN in the middle of a pipeline: what follows it is PostgreSQL's to refuse.
    Copies,
    /// CopyData, CopyDone, CopyFail where nothing is copied.
    Strays,
    /// Names of more than 63 bytes, of which PostgreSQL looks at the first 63.
    LongNames,
}

const ALL: &[Kind] = &[
    Kind::Statements,
    Kind::SqlStatements,
    Kind::Settings,
    Kind::Discards,
    Kind::Pins,
    Kind::Copies,
    Kind::Strays,
    Kind::LongNames,
];

/// All, but for those that the variable `PGOTTER_KINDS` leaves out: it names some, with commas.
pub fn kinds() -> Vec<Kind> {
    let Ok(names) = std::env::var("PGOTTER_KINDS") else { return ALL.to_vec() };
    let named = |kind: &Kind| names.split(',').any(|name| name == format!("{kind:?}"));
    ALL.iter().copied().filter(named).collect()
}

/// Makes scripts.
pub struct Generator<'a> {
    pub random: Random,
    pub kinds: &'a [Kind],
    steps: Vec<Step>,
    /// Names that this script uses: one short, perhaps one long.
    names: Vec<String>,
}

const SETTINGS: &[(&str, &str)] = &[
    ("TimeZone", "'Asia/Tokyo'"),
    ("TimeZone", "'Europe/Paris'"),
    ("DateStyle", "'German'"),
    ("application_name", "'somebody'"),
    ("work_mem", "'3MB'"),
    ("search_path", "other, public"),
    ("extra_float_digits", "0"),
    ("bytea_output", "'escape'"),
    ("IntervalStyle", "'iso_8601'"),
    ("nosuchsetting", "'x'"),
    ("work_mem", "'no number'"),
    ("standard_conforming_strings", "off"),
];

/// Statements that stand in no need of anything, and what they take.
const PLAIN: &[(&str, usize)] = &[
    ("SELECT 1", 0),
    ("SELECT $1::int", 1),
    ("SELECT $1::int + $2::int AS sum", 2),
    ("SELECT $1", 1),
    ("SELECT n FROM generate_series(1, 7) n", 0),
    ("SELECT n, 'x' FROM generate_series(1, $1::int) n", 1),
    ("INSERT INTO noted VALUES (1, 'a')", 0),
    ("INSERT INTO noted VALUES ($1, $2)", 2),
    ("INSERT INTO noted VALUES ($1, $2) RETURNING id, note", 2),
    ("UPDATE noted SET note = note || 'x'", 0),
    ("DELETE FROM noted WHERE id = $1", 1),
    ("SELECT id, note FROM noted ORDER BY id, note LIMIT 5", 0),
    ("SELECT count(*) FROM noted", 0),
    ("SELECT id FROM place", 0),
    ("SELECT 1/0", 0),
    ("SELECT 1 / $1::int", 1),
    ("SELEKT", 0),
    ("SELECT nothing", 0),
    ("SELECT * FROM nothing", 0),
    ("", 0),
    (" ; ", 0),
    ("-- nothing\n", 0),
    ("SELECT 1; SELECT 2", 0),
    ("SELECT 'unfinished", 0),
    ("EXPLAIN (COSTS OFF) SELECT 1", 0),
    ("SELECT timestamptz '2001-02-03 04:05:06+00', interval '1 day 2 hours', '\\x00ff'::bytea, 0.1::float8 + 0.2", 0),
    ("SELECT now()::text LIKE '%', current_setting('TimeZone')", 0),
    ("SHOW work_mem", 0),
    ("SHOW application_name", 0),
    ("DROP TABLE IF EXISTS nothing", 0),
    ("DO $$ BEGIN RAISE NOTICE 'one'; END $$", 0),
    ("DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P0042', HINT = 'none'; END $$", 0),
    ("SELECT set_config('work_mem', '5MB', true)", 0),
    ("SET LOCAL work_mem = '7MB'", 0),
    ("SET LOCAL TimeZone = 'Asia/Tokyo'", 0),
    ("LOCK TABLE noted IN ROW SHARE MODE", 0),
    ("VACUUM place", 0),
    ("DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 5) n", 0),
    ("FETCH 2 FROM c", 0),
    ("MOVE 1 FROM c", 0),
    ("CLOSE c", 0),
    ("COPY (SELECT n FROM generate_series(1, 3) n) TO STDOUT", 0),
    ("COPY (SELECT 1 / (2 - n) FROM generate_series(1, 3) n) TO STDOUT", 0),
    ("COPY nothing FROM STDIN", 0),
    ("CALL commits()", 0),
    ("SELECT notes('x')", 0),
];

const CONTROL: &[&str] = &[
    "BEGIN",
    "BEGIN",
    "BEGIN",
    "START TRANSACTION READ ONLY",
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "begin /* small */",
    "COMMIT",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "SAVEPOINT a",
    "SAVEPOINT b",
    "ROLLBACK TO a",
    "ROLLBACK TO SAVEPOINT nothing",
    "RELEASE a",
    "SET TRANSACTION READ ONLY",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "PREPARE TRANSACTION 'x'",
];

const DISCARDS: &[&str] = &[
    "DISCARD ALL",
    "DISCARD PLANS",
    "CLOSE ALL",
    "DEALLOCATE ALL",
    "UNLISTEN *",
    "RESET ALL",
    "DISCARD SEQUENCES",
    "DISCARD TEMP",
];

const PINS: &[&str] = &[
    "DECLARE h CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 5) n",
    "FETCH 2 FROM h",
    "CLOSE h",
    "CREATE TEMP TABLE mine (id int)",
    "INSERT INTO mine VALUES (1)",
    "SELECT count(*) FROM mine",
    "DROP TABLE mine",
    "CREATE TEMP TABLE mine (id int) ON COMMIT DROP",
];

impl<'a> Generator<'a> {
    pub fn new(seed: u64, kinds: &'a [Kind]) -> Self {
        Self { random: Random(seed), kinds, steps: Vec::new(), names: Vec::new() }
    }

    /// A script of a few requests.
    pub fn script(&mut self) -> Vec<Step> {
        self.names = vec!["s1".to_owned(), "s2".to_owned(), "S 3; '\"".to_owned()];
        if self.has(Kind::LongNames) && self.random.one_in(15) {
            let length = self.random.pick(&[62, 63, 64, 100, 255, 256, 4096, 60_000, 65_535, 66_000]);
            self.names[1] = "n".repeat(length);
            // The same name, as far as PostgreSQL looks at it, or another one.
            self.names[2] = format!("{}m", &self.names[1][..length - self.random.below(2)]);
        }
        for _ in 0..2 + self.random.below(8) {
            self.request();
        }
        sparing(std::mem::take(&mut self.steps))
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn request(&mut self) {
        match self.random.below(20) {
            0..=4 => {
                let sql = self.several();
                self.query(sql);
            }
            5..=7 => self.driver(),
            8..=10 => self.again(),
            11..=13 if self.has(Kind::Statements) => self.soup(),
            11..=13 => self.driver(),
            14..=15 => self.block(),
            16 => self.copy_in(),
            17 => self.pipeline(),
            18 => self.rows_in_portions(),
            _ => {
                let argument = self.random.pick(&["-42", "no number"]).to_owned();
                self.steps.push(Step::Call(argument));
            }
        }
        self.breathe();
    }

    /// What stands between two requests.
    fn breathe(&mut self) {
        if !self.random.one_in(4) {
            self.steps.push(Step::Wait);
            for _ in 0..self.random.below(3) {
                let what = self.random.below(super::disturb::MANNERS);
                self.steps.push(Step::Disturb(what));
            }
        }
    }

    fn query(&mut self, sql: String) {
        self.steps.push(Step::Query(sql));
    }

    /// One to four statements.
    fn several(&mut self) -> String {
        let count = if self.random.one_in(3) { 2 + self.random.below(3) } else { 1 };
        let texts: Vec<String> = (0..count).map(|_| self.literal()).collect();
        texts.join(self.random.pick(&["; ", ";", ";\n"]))
    }

    /// A statement for a Query: its parameters are values.
    fn literal(&mut self) -> String {
        let (sql, count) = self.statement();
        (1..=count).fold(sql, |sql, number| sql.replace(&format!("${number}"), "'3'"))
    }

    /// A statement, and how many parameters it takes.
    fn statement(&mut self) -> (String, usize) {
        match self.random.below(24) {
            0..=4 => self.one_of(CONTROL),
            5..=6 if self.has(Kind::SqlStatements) => self.sql_statement(),
            7..=8 if self.has(Kind::Settings) => self.setting(),
            9 if self.has(Kind::Discards) => self.one_of(DISCARDS),
            10 if self.has(Kind::Pins) => self.one_of(PINS),
            _ => {
                let (sql, count) = self.random.pick(PLAIN);
                (sql.to_owned(), count)
            }
        }
    }

    fn one_of(&mut self, texts: &[&str]) -> (String, usize) {
        (self.random.pick(texts).to_owned(), 0)
    }

    fn setting(&mut self) -> (String, usize) {
        let (name, value) = self.random.pick(SETTINGS);
        let sql = match self.random.below(8) {
            0..=3 => format!("SET {name} = {value}"),
            4 => format!("SET SESSION {name} TO DEFAULT"),
            5 => format!("RESET {name}"),
            6 => format!("SHOW {name}"),
            _ => format!("SELECT set_config('{name}', '{}', false)", value.trim_matches('\'')),
        };
        (sql, 0)
    }

    fn sql_statement(&mut self) -> (String, usize) {
        // None that a statement of the protocol has: those are two kinds of names in transaction mode (docs/sessions.md).
        let name = self.random.pick(&["q1", "\"Q 2; '\"\"\""]);
        let sql = match self.random.below(9) {
            0 => format!("PREPARE {name} AS SELECT 1"),
            1 => format!("PREPARE {name} (int) AS SELECT $1 + 1"),
            2 => format!("PREPARE {name} AS INSERT INTO noted VALUES (9, 'prepared')"),
            3..=4 => format!("EXECUTE {name}"),
            5 => format!("EXECUTE {name} (3)"),
            6 => format!("DEALLOCATE {name}"),
            7 => format!("EXPLAIN (COSTS OFF) EXECUTE {name}"),
            _ => "DEALLOCATE PREPARE ALL".to_owned(),
        };
        (sql, 0)
    }

    /// For a statement or a portal.
    fn name(&mut self) -> String {
        self.random.pick(&self.names)
    }

    /// Unnamed half of the time, and always where names do not outlive a request yet.
    fn statement_name(&mut self) -> String {
        if self.has(Kind::Statements) && self.random.one_in(2) { self.name() } else { String::new() }
    }

    fn portal_name(&mut self) -> String {
        if self.random.one_in(3) { self.name() } else { String::new() }
    }

    fn parse(&mut self, name: &str) -> usize {
        let (sql, count) =
            if self.random.one_in(8) { ("COPY noted FROM STDIN".to_owned(), 0) } else { self.statement() };
        let types = match self.random.below(8) {
            0 => vec![23; count],
            1 => vec![0, 25],
            2 => vec![999_999],
            _ => Vec::new(),
        };
        self.steps.push(Step::Parse(name.to_owned(), sql, types));
        count
    }

    /// Mostly with the right count.
    fn bind(&mut self, portal: &str, statement: &str, count: usize) {
        let count = if self.random.one_in(10) { self.random.below(4) } else { count };
        let value = |random: &mut Random| match random.below(8) {
            0 => None,
            1 => Some("0".to_owned()),
            2 => Some("no number".to_owned()),
            _ => Some((1 + random.below(9)).to_string()),
        };
        let values = (0..count).map(|_| value(&mut self.random)).collect();
        let binary = self.random.one_in(6);
        self.steps.push(Step::Bind { portal: portal.to_owned(), statement: statement.to_owned(), values, binary });
    }

    fn rows(&mut self) -> u32 {
        self.random.pick(&[0, 0, 0, 1, 2, 100])
    }

    /// As drivers do it.
    fn driver(&mut self) {
        let (statement, portal) = (self.statement_name(), self.portal_name());
        let count = self.parse(&statement);
        if self.random.one_in(3) {
            self.steps.push(Step::Describe(b'S', statement.clone()));
            if self.has(Kind::Statements) && self.random.one_in(2) {
                // asyncpg and others: the types first.
                let end = if self.random.one_in(2) { Step::Sync } else { Step::Flush };
                self.steps.push(end);
                self.breathe();
            }
        }
        self.run(&portal, &statement, count);
        if self.random.one_in(4) {
            self.steps.push(Step::Close(b'S', statement));
        }
        self.steps.push(Step::Sync);
    }

    fn run(&mut self, portal: &str, statement: &str, count: usize) {
        self.bind(portal, statement, count);
        if self.random.one_in(2) {
            self.steps.push(Step::Describe(b'P', portal.to_owned()));
        }
        let rows = self.rows();
        self.steps.push(Step::Execute(portal.to_owned(), rows));
    }

    /// A statement that may or may not have been prepared before.
    fn again(&mut self) {
        if !self.has(Kind::Statements) {
            return self.driver();
        }
        let (statement, portal) = (self.statement_name(), self.portal_name());
        if self.random.one_in(4) {
            self.steps.push(Step::Describe(b'S', statement.clone()));
        }
        let count = self.random.below(3);
        self.run(&portal, &statement, count);
        self.steps.push(Step::Sync);
    }

    /// Several requests, and one wait at most.
    fn pipeline(&mut self) {
        for _ in 0..2 + self.random.below(4) {
            let (statement, portal) = (self.statement_name(), self.portal_name());
            let count = self.parse(&statement);
            self.run(&portal, &statement, count);
            if self.random.one_in(3) {
                self.steps.push(Step::Sync);
            }
        }
        self.steps.push(Step::Sync);
    }

    /// A portal that is executed several times, in a transaction or not.
    fn rows_in_portions(&mut self) {
        let (in_block, portal) = (self.random.one_in(2), self.portal_name());
        if in_block {
            self.query("BEGIN".to_owned());
        }
        let sql = "SELECT n FROM generate_series(1, 7) n".to_owned();
        self.steps.push(Step::Parse(String::new(), sql, Vec::new()));
        self.bind(&portal, "", 0);
        for _ in 0..1 + self.random.below(4) {
            self.steps.push(Step::Execute(portal.clone(), 2));
            if self.random.one_in(3) {
                self.steps.push(Step::Sync);
                self.breathe();
            }
        }
        self.steps.push(Step::Sync);
        if in_block {
            self.breathe();
            self.query("COMMIT".to_owned());
        }
    }

    fn block(&mut self) {
        self.query("BEGIN".to_owned());
        self.breathe();
        for _ in 0..1 + self.random.below(4) {
            match self.random.below(3) {
                0 => self.driver(),
                1 => self.again(),
                _ => {
                    let sql = self.literal();
                    self.query(sql);
                }
            }
            self.breathe();
        }
        let end = self.random.pick(&["COMMIT", "ROLLBACK", "COMMIT; SELECT 1", "ROLLBACK TO a"]).to_owned();
        self.query(end);
    }

    fn copy_in(&mut self) {
        let extended = self.random.one_in(2);
        let sql = self.random.pick(&[
            "COPY noted FROM STDIN",
            "SELECT 1; COPY noted FROM STDIN; SELECT 2",
            "COPY noted FROM STDIN",
        ]);
        if extended {
            self.steps.push(Step::Parse(String::new(), "COPY noted FROM STDIN".to_owned(), Vec::new()));
            self.bind("", "", 0);
            self.steps.push(Step::Execute(String::new(), 0));
            let end = [Step::Flush, Step::Sync, Step::Wait][self.random.below(3)].clone();
            self.steps.push(end);
        } else {
            self.query(sql.to_owned());
        }
        if self.random.one_in(2) {
            self.steps.push(Step::Wait);
        }
        for _ in 0..self.random.below(4) {
            let data = self.random.pick(&["1\ta\n", "2\tb\n3\t", "c\n", "no number\tx\n", "4\td\n"]).to_owned();
            self.steps.push(Step::CopyData(data));
        }
        self.steps.push(if self.random.one_in(4) { Step::CopyFail } else { Step::CopyDone });
        if extended {
            self.steps.push(Step::Sync);
        }
    }

    /// Any messages in any order, mostly with a Sync at their end.
    fn soup(&mut self) {
        let mut count = 0;
        for _ in 0..1 + self.random.below(7) {
            let (statement, portal) = (self.statement_name(), self.portal_name());
            match self.random.below(14) {
                0..=2 => count = self.parse(&statement),
                3..=5 => self.bind(&portal, &statement, count),
                6..=7 => {
                    let rows = self.rows();
                    self.steps.push(Step::Execute(portal, rows));
                }
                8 => self.steps.push(Step::Describe(b'S', statement)),
                9 => self.steps.push(Step::Describe(b'P', portal)),
                10 => {
                    let what = self.random.pick(b"SP");
                    self.steps.push(Step::Close(what, if what == b'S' { statement } else { portal }));
                }
                11 => self.steps.push(Step::Flush),
                12 if self.has(Kind::Strays) => {
                    let stray = [Step::CopyDone, Step::CopyFail, Step::CopyData("5\te\n".to_owned())];
                    self.steps.push(self.random.pick(&stray));
                }
                _ => {
                    let sql = self.several();
                    self.query(sql);
                }
            }
        }
        if self.random.one_in(8) {
            self.steps.push(Step::Flush);
        } else {
            self.steps.push(Step::Sync);
        }
    }
}
