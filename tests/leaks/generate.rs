//! What clients do, at random.
//!
//! Knows the kinds that are drawn from; what may be done at a moment is the player's to say.

use super::act::{Act, Block, CUSTOM, CUSTOM_VALUES, How, SETTINGS};
use super::kinds::Kind;
use crate::support::random::Random;
use crate::support::raw;
use std::fmt;

/// One turn of one client.
#[derive(Clone, Debug)]
pub struct Step {
    pub client: usize,
    pub turn: Turn,
    /// What it sends it sends in two pieces: how much of it is the first, in thousandths.
    pub cut: usize,
}

/// What is answered with one ReadyForQuery.
#[derive(Clone, Debug)]
pub enum Request {
    /// A Query with its statements.
    Query(Vec<Act>),
    /// A pipeline and its Sync.
    Pipeline(Vec<Act>),
}

#[derive(Clone, Debug)]
pub enum Turn {
    /// Requests of which none waits for the answer to the one before it.
    Ask(Vec<Request>),
    /// The first piece of a request, and the client is gone.
    Vanish(Request),
    /// It says goodbye, and comes back as somebody new.
    Leave,
    /// It looks at its own session.
    Look,
    /// Somebody who has set nothing looks at theirs; true = and has only come.
    Witness(bool),
    /// NOTIFY, with a number.
    Notify(&'static str, u32),
}

impl Request {
    pub fn acts(&self) -> &[Act] {
        let (Self::Query(acts) | Self::Pipeline(acts)) = self;
        acts
    }

    pub fn is_extended(&self) -> bool {
        matches!(self, Self::Pipeline(_))
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Query(acts) => raw::query(&acts.iter().map(Act::sql).collect::<Vec<_>>().join("; ")),
            Self::Pipeline(acts) => [acts.iter().flat_map(Act::messages).collect(), raw::sync()].concat(),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |act: &Act| if act.is_message() { format!("{act:?}") } else { act.sql() };
        let words = self.acts().iter().map(word).collect::<Vec<_>>().join("; ");
        write!(f, "{}: {words}", if self.is_extended() { "pipeline" } else { "Query" })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, turn, cut } = self;
        match turn {
            Turn::Ask(requests) => {
                let told: Vec<String> = requests.iter().map(Request::to_string).collect();
                write!(f, "client {client} {} (cut at {cut})", told.join(" / "))
            }
            Turn::Vanish(request) => write!(f, "client {client} vanishes after {cut}/1000 of {request}"),
            other => write!(f, "client {client} {other:?}"),
        }
    }
}

pub const CHANNELS: &[&str] = &["alpha", "beta"];
/// Of statements of the protocol.
const NAMES: &[&str] = &["s1", "s2", "S \"3\""];
/// Of statements of SQL. None of the others: PgOtter keeps them apart, as docs/sessions.md says.
const SQL_NAMES: &[&str] = &["s1 of SQL", "s2 of SQL"];
const TABLES: &[&str] = &["mine", "mine_too"];
const CURSORS: &[&str] = &["h1", "h2"];
const WRONG: &[&str] = &["work_mem", "TimeZone", "DateStyle", "statement_timeout", "client_encoding"];

/// `count` turns of `clients` clients.
pub fn steps(random: &mut Random, kinds: &[Kind], clients: usize, count: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(count);
    let mut number = 0;
    while steps.len() < count {
        let client = random.below(clients);
        let cut = random.below(1001);
        let mut draw = Draw { random, kinds, client, number: &mut number };
        let turn = draw.turn();
        let looks = matches!(turn, Turn::Ask(_)) && !random.one_in(3);
        steps.push(Step { client, turn, cut });
        if looks {
            steps.push(Step { client, turn: Turn::Look, cut });
        }
        if random.one_in(4) {
            let fresh = random.one_in(8);
            steps.push(Step { client: 0, turn: Turn::Witness(fresh), cut });
        }
    }
    steps
}

/// PgOtter takes this one from a Query alone, as docs/sessions.md says.
fn only_as_query(act: &Act) -> bool {
    matches!(act, Act::Deallocate(name) if NAMES.contains(name))
}

/// What a client came with is back behind the request that has reset it (docs/sessions.md), and not within. What runs the unnamed
/// statement may be one.
fn resets(act: &Act) -> bool {
    match act {
        Act::Do(_, act) => resets(act),
        Act::Reset(_) | Act::ToDefault(_) | Act::ResetAll | Act::DiscardAll | Act::Run("") => true,
        _ => false,
    }
}

/// What sets something for its transaction. Behind a reset, if one of them does not say what it does, PostgreSQL shows the same of it
/// as if it had been set to its default for the session (docs/sessions.md).
fn masks(act: &Act, behind_hidden: bool) -> bool {
    match act {
        Act::Do(_, act) => matches!(**act, Act::Set { local: true, .. }),
        Act::Set { local: true, how, .. } => behind_hidden || matches!(how, How::Function | How::Trigger),
        _ => false,
    }
}

struct Draw<'a> {
    random: &'a mut Random,
    kinds: &'a [Kind],
    client: usize,
    number: &'a mut u32,
}

impl Draw<'_> {
    fn turn(&mut self) -> Turn {
        match self.random.below(60) {
            0..=1 => Turn::Leave,
            2..=3 => Turn::Vanish(self.request()),
            4..=5 if self.kinds.contains(&Kind::Listen) => {
                *self.number += 1;
                Turn::Notify(self.random.pick(CHANNELS), *self.number)
            }
            6..=9 => Turn::Look,
            10..=14 => {
                let count = 2 + self.random.below(2);
                Turn::Ask((0..count).map(|_| self.request()).collect())
            }
            _ => Turn::Ask(vec![self.request()]),
        }
    }

    fn request(&mut self) -> Request {
        let mut acts = self.acts();
        let alone = acts.iter().any(only_as_query);
        let messages = acts.iter().any(Act::is_message);
        if alone || !messages && self.random.one_in(2) {
            return Request::Query(acts);
        }
        if self.random.one_in(8) {
            acts.insert(self.random.below(acts.len() + 1), Act::Flush);
        }
        Request::Pipeline(acts)
    }

    /// One, or a few that go together.
    fn acts(&mut self) -> Vec<Act> {
        let count = if self.random.one_in(3) { 2 + self.random.below(3) } else { 1 };
        let mut acts: Vec<Act> = (0..count).map(|_| self.allowed()).collect();
        if acts.len() > 1 {
            acts.retain(|act| !act.stands_alone() && !only_as_query(act));
        }
        // What a procedure commits, and then fails, is rolled back for LISTEN (docs/sessions.md).
        let listens = acts.iter().any(|act| act.kinds().contains(&Kind::Listen));
        acts.retain(|act| !listens || *act != Act::CommitsThenFails);
        let (mut has_reset, mut hidden) = (false, false);
        acts.retain(|act| {
            let sees = has_reset && (matches!(act, Act::Show(_)) || masks(act, hidden));
            has_reset |= resets(act);
            hidden |= resets(act) && matches!(act, Act::Do(..) | Act::Run(_));
            !sees
        });
        if acts.is_empty() { vec![Act::Select] } else { acts }
    }

    fn allowed(&mut self) -> Act {
        loop {
            let act = self.any();
            let plain = if let Act::Do(_, act) = &act { act } else { &act };
            // A client listens in one encoding, as docs/sessions.md says.
            let encodes =
                matches!(plain, Act::Set { name: "client_encoding", .. }) && self.kinds.contains(&Kind::Listen);
            if !encodes && act.kinds().iter().all(|kind| self.kinds.contains(kind)) {
                return act;
            }
        }
    }

    fn any(&mut self) -> Act {
        *self.number += 1;
        let number = *self.number;
        let point = u8::try_from(self.random.below(3)).expect("small");
        let name = self.random.pick(NAMES);
        match self.random.below(106) {
            0..=5 => Act::Begin,
            6..=13 => Act::Commit,
            14..=16 => Act::Rollback,
            17..=18 => Act::Savepoint(point),
            19 => Act::RollbackTo(point),
            20 => Act::Release(point),
            21..=22 => Act::Fail,
            23 => Act::Select,
            24..=41 => self.set(),
            42 => Act::SetWrong(self.random.pick(WRONG)),
            43 => Act::SetUnknown,
            44..=46 => Act::Reset(self.setting().0),
            47 => Act::ToDefault(self.setting().0),
            48..=49 => Act::Show(self.random.pick(SETTINGS).0),
            50 => Act::CommitsThenFails,
            51 => Act::Clause(self.random.one_in(2)),
            52..=55 => self.role(),
            56 => Act::ResetAll,
            57 => Act::DiscardAll,
            58 => self.random.pick(&[Act::DiscardTemp, Act::DiscardSequences, Act::DiscardPlans]),
            59..=60 => Act::Prepare(self.random.pick(SQL_NAMES), number),
            61..=62 => Act::Execute(self.random.pick(SQL_NAMES)),
            63 => Act::Deallocate(if self.random.one_in(3) { name } else { self.random.pick(SQL_NAMES) }),
            64 => Act::DeallocateAll,
            65..=67 => Act::Parse(name, number),
            68 => Act::Parse("", number),
            69..=72 => Act::Run(name),
            73..=74 => Act::Run(""),
            75 => Act::Close(name),
            76 => Act::Close(""),
            77..=78 => Act::CreateTemp { name: self.random.pick(TABLES), drop: self.random.one_in(3) },
            79 => Act::CreateTempSequence,
            80..=81 => Act::DropTemp(self.random.pick(&["mine", "mine_too", "temp_sequence"])),
            82..=83 => Act::Lock(self.key()),
            84..=85 => Act::Unlock(self.key()),
            86 => self.random.pick(&[Act::UnlockAll, Act::LockTransaction(self.client as u32)]),
            87..=88 => Act::Declare(self.random.pick(CURSORS)),
            89..=90 => Act::Fetch(self.random.pick(CURSORS)),
            91 => Act::CloseCursor(self.random.pick(CURSORS)),
            92 => Act::CloseAll,
            93 => Act::Listen(self.random.pick(CHANNELS)),
            94 => self.random.pick(&[Act::Unlisten("alpha"), Act::Unlisten("beta"), Act::UnlistenAll]),
            95 => Act::Nextval,
            96 => Act::InsertSerial,
            97 => Act::Lastval,
            98 => Act::Currval,
            99 => self.random.pick(&[Act::SetSeed, Act::Load]),
            100 => Act::Nonsense(self.random.one_in(2)),
            _ => self.hidden(),
        }
    }

    /// Locks are of one client alone: none waits for another's.
    fn key(&mut self) -> u32 {
        u32::try_from(10 * self.client + self.random.below(2)).expect("small")
    }

    fn setting(&mut self) -> (&'static str, &'static str) {
        if self.random.one_in(5) {
            return (self.random.pick(CUSTOM), self.random.pick(CUSTOM_VALUES));
        }
        let (name, values) = self.random.pick(SETTINGS);
        (name, self.random.pick(values))
    }

    fn set(&mut self) -> Act {
        let (name, value) = self.setting();
        let local = self.random.one_in(3);
        let hows = [How::Set, How::Set, How::Words, How::SetConfig, How::Function, How::FunctionFails, How::Trigger];
        Act::Set { local, name, value, how: self.random.pick(&hows) }
    }

    /// A DO block that does what may be done there, and is told of by nothing else.
    fn hidden(&mut self) -> Act {
        loop {
            let act = self.any();
            if act.may_be_done_within() {
                let blocks = [Block::Plain, Block::Plain, Block::Executes, Block::Computes, Block::Undoes];
                return Act::Do(self.random.pick(&blocks), Box::new(act));
            }
        }
    }

    /// Half of the clients change their role, the others who they are.
    fn role(&mut self) -> Act {
        let role = self.random.pick(&["otter_a", "otter_b"]);
        match (self.client % 2, self.random.below(3)) {
            (0, 0) => Act::ResetRole,
            (0, _) => Act::Role { local: self.random.one_in(3), role },
            (_, 0) => Act::ResetAuthorization,
            (..) => Act::Authorization(role),
        }
    }
}
