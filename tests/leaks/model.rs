//! What PostgreSQL would show one client of its own session: every act changes it as PostgreSQL's transaction rules say.
//!
//! Knows nothing of connections. That it agrees with PostgreSQL is a test of its own, without a pooler.

use super::act::{Act, Block as Do, How, OF_LIBRARY};
use super::kinds::Kind;
use std::collections::{BTreeMap, BTreeSet};

type Settings = BTreeMap<&'static str, String>;

/// What a ROLLBACK undoes.
#[derive(Clone, Debug, Default)]
struct Undoable {
    session: Settings,
    /// Until the end of the transaction.
    local: Settings,
    /// Temporary relations; true = dropped at COMMIT.
    temp: BTreeMap<&'static str, bool>,
    listens: BTreeSet<&'static str>,
}

#[derive(Clone, Debug)]
struct Block {
    failed: bool,
    start: Undoable,
    savepoints: Vec<(u8, Undoable)>,
}

/// A statement with a name.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    /// Which its result shows.
    number: u32,
    by_sql: bool,
}

/// A cursor WITH HOLD.
#[derive(Clone, Debug)]
struct Cursor {
    fetched: u32,
    /// 0 = its transaction is over, 1 = made in this one, 2 = made behind its first savepoint …
    depth: usize,
}

#[derive(Clone, Debug)]
pub struct Model {
    /// What RESET goes back to.
    initial: Settings,
    now: Undoable,
    /// At the last end of a transaction: what an error goes back to outside a block.
    since: Undoable,
    block: Option<Block>,
    /// A statement of the pipeline has been run, and not committed.
    under_way: bool,
    /// In a Query of several statements.
    several: bool,
    statements: BTreeMap<&'static str, Prepared>,
    unnamed: Option<Act>,
    locks: BTreeMap<u32, u32>,
    cursors: BTreeMap<&'static str, Cursor>,
    /// Channels whose LISTEN has been committed.
    heard: BTreeSet<&'static str>,
    lastval: Option<String>,
    /// A pooler need not have what is asked for at hand.
    forgetful: bool,
    currval: Option<String>,
    /// It has loaded a library.
    loaded: bool,
    /// Something was done that a pooler may have to keep a server for, though nothing of it is seen.
    stained: bool,
}

/// What may keep a server without being seen.
const STAINS: &[Kind] = &[Kind::Custom, Kind::Hidden, Kind::Sequences, Kind::Seed, Kind::Libraries];

/// What `lastval` and `currval` say of what they do not know.
pub const UNDEFINED: &str = "55000";

/// A row that an act brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Any,
    Is(String),
    /// The next number of a sequence; true = of the one that currval is asked for.
    Number(bool),
    Lastval,
    Currval,
}

/// What a request must bring.
#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    pub rows: Vec<Row>,
    /// SQLSTATE.
    pub error: Option<&'static str>,
}

impl Model {
    /// `initial`: what settings are when nothing has been set.
    pub fn new(initial: Settings) -> Self {
        Self {
            initial,
            now: Undoable::default(),
            since: Undoable::default(),
            block: None,
            under_way: false,
            several: false,
            statements: BTreeMap::new(),
            unnamed: None,
            locks: BTreeMap::new(),
            cursors: BTreeMap::new(),
            heard: BTreeSet::new(),
            lastval: None,
            forgetful: false,
            currval: None,
            loaded: false,
            stained: false,
        }
    }

    pub fn in_block(&self) -> bool {
        self.block.is_some()
    }

    pub fn has_failed(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.failed)
    }

    /// Whether a server may be this client's alone at the moment.
    pub fn may_hold_a_server(&self) -> bool {
        let objects = !self.now.temp.is_empty() || !self.locks.is_empty() || !self.cursors.is_empty();
        let prepared = self.statements.values().any(|prepared| prepared.by_sql);
        self.in_block() || objects || prepared || self.stained
    }

    /// What SHOW shows, and '' for a custom setting that is not there.
    pub fn visible(&self, name: &str) -> &str {
        let set = self.now.local.get(name).or_else(|| self.now.session.get(name));
        set.or_else(|| self.initial.get(name)).map_or("", String::as_str)
    }

    pub fn session_user(&self) -> &str {
        match self.visible("session_authorization") {
            "" => "postgres",
            role => role,
        }
    }

    pub fn current_user(&self) -> &str {
        match self.visible("role") {
            "" => self.session_user(),
            role => role,
        }
    }

    /// Names with commas, sorted, as the look asks for them.
    pub fn temp(&self) -> String {
        join(self.now.temp.keys())
    }

    pub fn locks(&self) -> String {
        join(self.locks.keys())
    }

    pub fn cursors(&self) -> String {
        join(self.cursors.keys())
    }

    /// The setting that a library brings.
    pub fn of_library(&self) -> &str {
        if self.loaded { OF_LIBRARY.1 } else { "" }
    }

    pub fn listens(&self) -> String {
        join(&self.heard)
    }

    /// The sequence has said this.
    pub fn learn(&mut self, number: &str, currval: bool) {
        self.lastval = Some(number.to_owned());
        if currval {
            self.currval = Some(number.to_owned());
        }
    }

    pub fn number(&self, row: &Row) -> Option<&str> {
        if *row == Row::Lastval { self.lastval.as_deref() } else { self.currval.as_deref() }
    }

    /// As [`Self::request`], where `lastval` and `currval` are not told.
    pub fn forgetful_request(&mut self, acts: &[Act], extended: bool) -> Reply {
        self.forgetful = true;
        let reply = self.request(acts, extended);
        self.forgetful = false;
        reply
    }

    /// A Query of several statements, or a pipeline with its Sync.
    pub fn request(&mut self, acts: &[Act], extended: bool) -> Reply {
        self.run_all(acts, extended, None)
    }

    /// The same where a pooler does not run what would make one more keep a server: such a Query, but for a first statement that
    /// ends its transaction, or that statement of the pipeline; behind `done` others.
    pub fn refused(&mut self, acts: &[Act], extended: bool, done: usize) -> Reply {
        self.run_all(acts, extended, Some(done))
    }

    fn run_all(&mut self, acts: &[Act], extended: bool, refused_behind: Option<usize>) -> Reply {
        if !extended {
            self.unnamed = None;
        }
        self.under_way = false;
        self.several = !extended && acts.len() > 1;
        if !self.in_block() {
            self.since = self.now.clone();
        }
        // Also what comes to nothing: a text may be all that a pooler goes by.
        self.stained |= acts.iter().any(|act| act.kinds().iter().any(|kind| STAINS.contains(kind)));
        let mut reply = Reply::default();
        let mut done = 0;
        let unreadable = !extended && acts.iter().any(|act| matches!(act, Act::Nonsense(_)));
        for act in acts {
            let refused = match refused_behind {
                Some(behind) => done == behind && (!extended || self.may_pin(act)),
                None => false,
            };
            let outcome = match () {
                () if refused => self.refuse(act, extended),
                () if unreadable => Err("42601"),
                () => self.act(act, extended),
            };
            match outcome {
                Ok(rows) => reply.rows.extend(rows),
                Err(code) => {
                    reply.error = Some(code);
                    break;
                }
            }
            done += usize::from(!matches!(act, Act::Parse(..) | Act::Close(_) | Act::Flush));
        }
        match &mut self.block {
            Some(block) => block.failed |= reply.error.is_some(),
            None if reply.error.is_some() => self.undo(self.since.clone(), 1),
            None => self.commit(),
        }
        reply
    }

    fn commit(&mut self) {
        self.now.local.clear();
        self.now.temp.retain(|_, drop| !*drop);
        self.cursors.values_mut().for_each(|cursor| cursor.depth = 0);
        self.heard = self.now.listens.clone();
        self.ended();
    }

    fn undo(&mut self, to: Undoable, depth: usize) {
        self.now = to;
        self.cursors.retain(|_, cursor| cursor.depth < depth);
    }

    fn rollback(&mut self) {
        let start = self.block.take().map_or_else(|| self.since.clone(), |block| block.start);
        self.undo(start, 1);
        self.ended();
    }

    fn ended(&mut self) {
        self.block = None;
        self.under_way = false;
        self.since = self.now.clone();
    }

    fn act(&mut self, act: &Act, extended: bool) -> Result<Vec<Row>, &'static str> {
        use Act::*;
        let leaves = matches!(act, Commit | Rollback | RollbackTo(_));
        if let Run(name) = act {
            return self.run(name);
        }
        if let Nonsense(_) = act {
            self.unnamed = None;
            return Err("42601");
        }
        if self.has_failed() && !leaves && !matches!(act, Close(_) | Flush) {
            // A Parse lets the old one go before it looks at anything.
            let parses = extended && !matches!(act, Parse(name, _) if !name.is_empty());
            self.unnamed = self.unnamed.take().filter(|_| !parses);
            return Err("25P02");
        }
        if extended && !act.is_message() {
            self.unnamed = Some(act.clone());
        }
        self.does(act)
    }

    fn may_pin(&self, act: &Act) -> bool {
        let act = if *act == Act::Run("") { self.unnamed.as_ref() } else { Some(act) };
        act.is_some_and(Act::may_pin)
    }

    /// It has been parsed.
    fn refuse(&mut self, act: &Act, extended: bool) -> Result<Vec<Row>, &'static str> {
        if extended && !act.is_message() && !self.has_failed() {
            self.unnamed = Some(act.clone());
        }
        Err("53300")
    }

    fn run(&mut self, name: &'static str) -> Result<Vec<Row>, &'static str> {
        if name.is_empty() {
            let act = self.unnamed.clone().ok_or("26000")?;
            if self.has_failed() && !matches!(act, Act::Commit | Act::Rollback | Act::RollbackTo(_)) {
                return Err("25P02");
            }
            return match act {
                Act::Parse(_, number) => {
                    self.under_way = true;
                    Ok(vec![prepared(number)])
                }
                act => self.does(&act),
            };
        }
        let row = self.execute(name)?;
        self.under_way = true;
        if self.has_failed() { Err("25P02") } else { Ok(row) }
    }

    fn does(&mut self, act: &Act) -> Result<Vec<Row>, &'static str> {
        use Act::*;
        if self.refuses_to_end(act) {
            return Err(if *act == DiscardAll { "25001" } else { "2D000" });
        }
        self.under_way |= !act.is_message();
        match act {
            Begin => {
                let start = self.since.clone();
                self.block.get_or_insert(Block { failed: false, start, savepoints: Vec::new() });
            }
            Commit if self.has_failed() => self.rollback(),
            Commit => self.commit(),
            Rollback => self.rollback(),
            Savepoint(_) | RollbackTo(_) | Release(_) => self.savepoint(act)?,
            Fail => return Err("22012"),
            Nonsense(_) | Flush => {}
            Do(block, act) => self.within(*block, act)?,
            Select => return Ok(vec![Row::Any]),
            Clause(stays) => {
                if *stays {
                    self.set(false, "work_mem", "9MB", How::Function)?;
                }
                return Ok(vec![Row::Any]);
            }
            Show(name) => return Ok(vec![Row::Is(self.visible(name).to_owned())]),
            Set { local, name, value, how } => return self.set(*local, name, value, *how),
            SetWrong(_) => return Err("22023"),
            SetUnknown => return Err("42704"),
            Reset(name) | ToDefault(name) => self.reset(name),
            CommitsThenFails => {
                self.set(false, "work_mem", "11MB", How::Set)?;
                self.commit();
                return Err("22012");
            }
            Role { local, role } => return self.set(*local, "role", role, How::Set),
            ResetRole => self.reset("role"),
            Authorization(role) => return self.set(false, "session_authorization", role, How::Set),
            ResetAuthorization => self.reset("session_authorization"),
            ResetAll => self.reset_all(),
            DiscardAll => self.discard_all(),
            DiscardTemp => self.now.temp.clear(),
            DiscardSequences => (self.lastval, self.currval) = (None, None),
            DiscardPlans => {}
            Prepare(name, number) => self.prepare(name, *number, true)?,
            Parse("", _) => self.unnamed = Some(act.clone()),
            Parse(name, number) => self.prepare(name, *number, false)?,
            Execute(name) => return self.execute(name),
            Deallocate(name) => _ = self.statements.remove(name).ok_or("26000")?,
            DeallocateAll => self.statements.clear(),
            Close("") => self.unnamed = None,
            Close(name) => _ = self.statements.remove(name),
            Run(_) => unreachable!("is looked up first"),
            CreateTemp { .. } | CreateTempSequence | DropTemp(_) => self.temporary(act)?,
            Lock(key) => {
                *self.locks.entry(*key).or_default() += 1;
                return Ok(vec![Row::Any]);
            }
            Unlock(key) => return Ok(vec![Row::Is(self.unlock(*key).to_owned())]),
            UnlockAll => {
                self.locks.clear();
                return Ok(vec![Row::Any]);
            }
            LockTransaction(_) => return Ok(vec![Row::Any]),
            Declare(name) => self.declare(name)?,
            Fetch(name) => return self.fetch(name),
            CloseCursor(name) => _ = self.cursors.remove(name).ok_or("34000")?,
            CloseAll => self.cursors.clear(),
            Listen(channel) => _ = self.now.listens.insert(channel),
            Unlisten(channel) => _ = self.now.listens.remove(channel),
            UnlistenAll => self.now.listens.clear(),
            Nextval | InsertSerial => return Ok(vec![Row::Number(*act == Nextval)]),
            Lastval | Currval if self.forgetful => return Err(UNDEFINED),
            Lastval if self.lastval.is_some() => return Ok(vec![Row::Lastval]),
            Currval if self.currval.is_some() => return Ok(vec![Row::Currval]),
            Lastval | Currval => return Err(UNDEFINED),
            SetSeed => return Ok(vec![Row::Any]),
            Load => self.loaded = true,
        }
        Ok(Vec::new())
    }

    /// What commits of its own accord, where that is not its to do.
    fn refuses_to_end(&self, act: &Act) -> bool {
        let block = self.in_block() || self.several;
        match act {
            Act::DiscardAll => block || self.under_way,
            Act::CommitsThenFails => block,
            _ => false,
        }
    }

    fn within(&mut self, block: Do, act: &Act) -> Result<(), &'static str> {
        let before = self.now.clone();
        let done = self.does(act);
        match done {
            Ok(_) | Err("22012") if block == Do::Undoes => self.now = before,
            done => drop(done?),
        }
        Ok(())
    }

    fn savepoint(&mut self, act: &Act) -> Result<(), &'static str> {
        let now = self.now.clone();
        let block = self.block.as_mut().ok_or("25P01")?;
        let find =
            |block: &Block, name: u8| block.savepoints.iter().rposition(|(known, _)| *known == name).ok_or("3B001");
        match act {
            Act::Savepoint(name) => block.savepoints.push((*name, now)),
            Act::Release(name) => {
                let at = find(block, *name)?;
                block.savepoints.truncate(at);
                self.cursors.values_mut().for_each(|cursor| cursor.depth = cursor.depth.min(at + 1));
            }
            Act::RollbackTo(name) => {
                let at = find(block, *name)?;
                block.failed = false;
                block.savepoints.truncate(at + 1);
                let to = block.savepoints[at].1.clone();
                self.undo(to, at + 2);
            }
            _ => unreachable!("no savepoint"),
        }
        Ok(())
    }

    fn set(&mut self, local: bool, name: &'static str, value: &str, how: How) -> Result<Vec<Row>, &'static str> {
        match how {
            How::FunctionFails => return Err("22012"),
            _ if local => _ = self.now.local.insert(name, value.to_owned()),
            _ => {
                self.now.session.insert(name, value.to_owned());
                self.now.local.remove(name);
            }
        }
        Ok(if matches!(how, How::SetConfig | How::Function) { vec![Row::Any] } else { Vec::new() })
    }

    fn reset(&mut self, name: &str) {
        self.now.session.remove(name);
        self.now.local.remove(name);
    }

    /// Of roles it knows nothing.
    fn reset_all(&mut self) {
        let stays = |name: &&'static str, _: &mut String| ["role", "session_authorization"].contains(name);
        self.now.session.retain(stays);
        self.now.local.retain(stays);
    }

    /// It commits of its own accord.
    fn discard_all(&mut self) {
        self.now = Undoable::default();
        self.statements.clear();
        self.locks.clear();
        self.cursors.clear();
        (self.lastval, self.currval) = (None, None);
        self.commit();
    }

    fn prepare(&mut self, name: &'static str, number: u32, by_sql: bool) -> Result<(), &'static str> {
        if self.statements.contains_key(name) {
            return Err("42P05");
        }
        self.statements.insert(name, Prepared { number, by_sql });
        Ok(())
    }

    fn execute(&self, name: &str) -> Result<Vec<Row>, &'static str> {
        let found = self.statements.get(name).ok_or("26000")?;
        Ok(vec![prepared(found.number)])
    }

    fn temporary(&mut self, act: &Act) -> Result<(), &'static str> {
        let (name, drop_at_commit) = match act {
            Act::CreateTemp { name, drop } => (*name, *drop),
            Act::DropTemp(name) => return self.now.temp.remove(name).map(drop).ok_or("42P01"),
            _ => ("temp_sequence", false),
        };
        match self.now.temp.insert(name, drop_at_commit) {
            None => Ok(()),
            Some(before) => {
                self.now.temp.insert(name, before);
                Err("42P07")
            }
        }
    }

    fn unlock(&mut self, key: u32) -> &'static str {
        let Some(times) = self.locks.get_mut(&key) else { return "f" };
        *times -= 1;
        if *times == 0 {
            self.locks.remove(&key);
        }
        "t"
    }

    fn declare(&mut self, name: &'static str) -> Result<(), &'static str> {
        if self.cursors.contains_key(name) {
            return Err("42P03");
        }
        let depth = 1 + self.block.as_ref().map_or(0, |block| block.savepoints.len());
        self.cursors.insert(name, Cursor { fetched: 0, depth });
        Ok(())
    }

    fn fetch(&mut self, name: &str) -> Result<Vec<Row>, &'static str> {
        let cursor = self.cursors.get_mut(name).ok_or("34000")?;
        cursor.fetched += 1;
        Ok(if cursor.fetched <= 4 { vec![Row::Is(cursor.fetched.to_string())] } else { Vec::new() })
    }
}

fn prepared(number: u32) -> Row {
    Row::Is(format!("prepared as {number}"))
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    names.sort();
    names.join(",")
}
