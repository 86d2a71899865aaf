//! Clients on their connections, playing steps: what each hears is held against its model, and what witnesses see against a
//! fresh connection.

use super::act::{CUSTOM, OF_LIBRARY, SETTINGS};
use super::generate::{Request, Step, Turn};
use super::kinds::Kind;
use super::model::{Model, Reply, Row, UNDEFINED};
use super::witness::{Expected, notifications};
use crate::support::raw::{self, Frame, Raw, error_code, print};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub const CLIENTS: usize = 8;
/// Long enough for any answer; short enough to make steps few that bring none.
const PATIENCE: Duration = Duration::from_secs(20);
/// `max_pinned` clients keep a server already.
const TOO_MANY: &str = "53300";

/// What stands between clients and PostgreSQL.
pub enum Between {
    /// Nothing: each has a connection of its own.
    Nothing,
    /// The worst of all poolers: all have the same connection.
    OneConnection,
    PgOtter(Box<PgOtter>, Room),
}

/// How much room there is for those who keep a server.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    servers: usize,
    max_pinned: usize,
}

/// Few servers, where a client may hear that too many keep one; and a server for each client, and the witness.
pub const ROOMS: [Room; 2] =
    [Room { servers: 4, max_pinned: 2 }, Room { servers: CLIENTS + 1, max_pinned: CLIENTS + 1 }];

pub struct World<'a> {
    port: u16,
    kinds: &'a [Kind],
    profiles: &'a Profiles,
    clients: Vec<Client>,
    witness: Raw,
    console: Option<Raw>,
    looks: usize,
    look: String,
    /// Whom each server served last.
    owners: HashMap<String, usize>,
    pub hand_overs: u64,
    /// Requests that were not run because too many keep a server; and those that were not sent, since others would wait.
    pub refused: u64,
    pub spared: u64,
    /// Dropped behind its clients, for whom it would wait.
    between: Between,
}

struct Client {
    wire: Option<Raw>,
    model: Model,
    /// What it was told of its settings.
    told: BTreeMap<String, String>,
    /// Notifications it must have heard, and those that it has.
    due: Vec<String>,
    heard: Vec<String>,
}

/// What clients ask for at login, and what they see then. The last of four with a custom setting.
pub struct Profiles {
    startup: Vec<Vec<(&'static str, &'static str)>>,
    initial: Vec<BTreeMap<&'static str, String>>,
    expected: Expected,
    stage: Stage,
}

/// Its connections are for these tests alone: they need most of them.
pub fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(server.psql("postgres", "CREATE ROLE otter_a SUPERUSER; CREATE ROLE otter_b SUPERUSER"));
        server
    })
}

/// A database of its own: locks and notifications are seen in the whole of one.
#[derive(Clone)]
pub struct Stage {
    database: String,
}

impl Stage {
    /// Makes it, with what all clients need.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = server();
        let database = format!("leaks_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        must(server.psql("postgres", &format!("CREATE DATABASE {database}")));
        prepare(server, &database);
        Self { database }
    }

    /// As the superuser, with further startup parameters; to PostgreSQL itself.
    pub fn log_in(&self, more: &[(&str, &str)]) -> Raw {
        self.log_in_at(server().port(), more)
    }

    /// To what listens at `port`.
    pub fn log_in_at(&self, port: u16, more: &[(&str, &str)]) -> Raw {
        let mut client = Raw::connect(port);
        client.send(&raw::startup(3, 0, &[&[("user", "postgres"), ("database", &*self.database)], more].concat()));
        client.welcomed();
        client
    }
}

fn prepare(server: &LocalPostgres, database: &str) {
    must(server.psql(
        database,
        "CREATE SCHEMA other;
         CREATE SEQUENCE numbers; CREATE TABLE ticket (id serial);
         CREATE FUNCTION sets(text, text, bool) RETURNS text LANGUAGE plpgsql AS
           $$ BEGIN RETURN set_config($1, $2, $3); END $$;
         CREATE TABLE obeys (name text, value text, local bool);
         CREATE FUNCTION obeys() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM set_config(NEW.name, NEW.value, NEW.local); RETURN NULL; END $$;
         CREATE TRIGGER obeys BEFORE INSERT ON obeys FOR EACH ROW EXECUTE FUNCTION obeys();
         ALTER TABLE obeys ENABLE ALWAYS TRIGGER obeys;
         CREATE FUNCTION sets_and_fails(text, text, bool) RETURNS text LANGUAGE plpgsql AS
           $$ BEGIN PERFORM set_config($1, $2, $3); PERFORM 1 / 0; RETURN 'never'; END $$;
         CREATE FUNCTION clause(stays bool) RETURNS text LANGUAGE plpgsql SET work_mem = '10MB' SET app.clause = 'x' AS
           $$ BEGIN SET LOCAL work_mem = '8MB'; IF stays THEN SET work_mem = '9MB'; END IF; RETURN 'done'; END $$;
         CREATE PROCEDURE commits_then_fails() LANGUAGE plpgsql AS
           $$ BEGIN SET work_mem = '11MB'; COMMIT; SET work_mem = '12MB'; PERFORM 1 / 0; END $$",
    ));
}

impl Profiles {
    pub fn new(stage: Stage, kinds: &[Kind]) -> Self {
        let mut startup = vec![
            vec![("application_name", "hostile")],
            vec![("application_name", "in India"), ("TimeZone", "Asia/Kolkata"), ("DateStyle", "SQL, DMY")],
        ];
        if kinds.contains(&Kind::Startup) {
            let role = ("options", "-c role=otter_a");
            startup.push(vec![("work_mem", "6MB"), ("search_path", "other"), ("IntervalStyle", "sql_standard"), role]);
            startup.push(vec![("options", "-c statement_timeout=50min -c enable_seqscan=off"), ("app.tenant", "own")]);
        }
        let initial = startup.iter().map(|startup| initial(&mut stage.log_in(startup))).collect();
        Self { startup, initial, expected: Expected::new(stage.clone(), kinds), stage }
    }

    fn of(&self, client: usize) -> usize {
        client % self.startup.len()
    }
}

fn initial(fresh: &mut Raw) -> BTreeMap<&'static str, String> {
    let names = SETTINGS.iter().map(|(name, _)| *name).chain(CUSTOM.iter().copied()).chain(["role"]);
    let value = |name: &str| format!("SELECT coalesce(nullif(current_setting('{name}', true), 'none'), '')");
    names.map(|name| (name, fresh.value(&value(name)))).collect()
}

impl<'a> World<'a> {
    pub fn new(between: Between, profiles: &'a Profiles, kinds: &'a [Kind]) -> Self {
        let port = match &between {
            Between::PgOtter(pgotter, _) => pgotter.port(),
            _ => server().port(),
        };
        let console = matches!(between, Between::PgOtter(..)).then(|| {
            let mut console = Raw::connect(port);
            console.send(&raw::startup(3, 0, &[("user", "postgres"), ("database", "pgbouncer")]));
            console.welcomed();
            console
        });
        let mut world = Self {
            between,
            console,
            port,
            kinds,
            profiles,
            clients: Vec::new(),
            witness: profiles.expected.witness(port),
            looks: 0,
            look: look(kinds),
            owners: HashMap::new(),
            hand_overs: 0,
            refused: 0,
            spared: 0,
        };
        for number in 0..CLIENTS {
            let client = world.newcomer(number);
            world.clients.push(client);
        }
        world
    }

    /// With so much room.
    pub fn pgotter(room: Room) -> Between {
        let Room { servers, max_pinned } = room;
        let limits = format!("default_pool_size = {servers}\nmax_pinned = {max_pinned}\nadmin_users = [\"postgres\"]");
        Between::PgOtter(Box::new(PgOtter::in_front_of(server(), &limits)), room)
    }

    /// For the next world.
    pub fn between(self) -> Between {
        self.between
    }

    fn shares(&self) -> bool {
        matches!(self.between, Between::OneConnection)
    }

    fn newcomer(&self, number: usize) -> Client {
        let profile = self.profiles.of(number);
        let shared = self.shares() && number > 0;
        let wire = (!shared).then(|| self.profiles.stage.log_in_at(self.port, &self.profiles.startup[profile]));
        if let Some(wire) = &wire {
            wire.stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        }
        let told = wire.iter().flat_map(|wire| wire.parameters.iter().cloned()).collect();
        let model = Model::new(self.profiles.initial[profile].clone());
        Client { wire, model, told, due: Vec::new(), heard: Vec::new() }
    }

    fn wire(&mut self, client: usize) -> &mut Raw {
        let client = if self.shares() { 0 } else { client };
        self.clients[client].wire.as_mut().expect("a connection")
    }

    /// Plays all steps; else the number of the first at which something is wrong, and what.
    pub fn play(&mut self, steps: &[Step]) -> Result<(), (usize, String)> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|why| (number, why))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.turn {
            Turn::Ask(requests) => self.ask(step.client, requests, step.cut),
            Turn::Vanish(request) => self.vanish(step.client, request, step.cut),
            Turn::Leave => self.leave(step.client),
            Turn::Look => self.looks_at_itself(step.client),
            Turn::Witness(fresh) => self.witness(*fresh),
            Turn::Notify(channel, number) => self.notify(step.client, channel, *number),
        }
    }

    /// How many others may keep a server.
    fn held(&self, client: Option<usize>) -> usize {
        let others = self.clients.iter().enumerate().filter(|(number, _)| Some(*number) != client);
        others.filter(|(_, other)| other.model.may_hold_a_server()).count()
    }

    fn room(&self) -> Option<Room> {
        if let Between::PgOtter(_, room) = &self.between { Some(*room) } else { None }
    }

    /// Whether a server is free for it, or it has one: where it waited, nobody would be left to give one back.
    fn can_be_served(&mut self, client: Option<usize>) -> bool {
        let Some(room) = self.room() else { return true };
        if self.held(client) < room.servers {
            return true;
        }
        // They may hold less than what they did lets one think.
        let own = client.map(|client| self.wire(client).stream.local_addr().expect("an address").port().to_string());
        let linked = self.console.as_mut().map(linked).unwrap_or_default();
        linked.len() < room.servers || own.is_some_and(|port| linked.contains(&port))
    }

    /// What was not run because too many keep a server is asked again until as many do as may: whoever has just left, or given
    /// one back, may still have been counted.
    fn ask(&mut self, client: usize, requests: &[Request], cut: usize) -> Result<(), String> {
        if !self.can_be_served(Some(client)) {
            self.spared += 1;
            return Ok(());
        }
        let bytes: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
        let since = Instant::now();
        loop {
            let mut again = false;
            let mut frames = self.exchange(client, &bytes, cut, requests.len())?;
            for request in requests {
                let end = frames.iter().position(|frame| frame.kind == b'Z').map_or(frames.len(), |at| at + 1);
                let rest = frames.split_off(end);
                again = self.answered(client, request, &frames)?;
                frames = rest;
            }
            // Of several only the last could be asked again.
            if !again || requests.len() > 1 {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err("too many are said to keep a server, and do not".to_owned());
            }
        }
    }

    /// Judges an answer. Whether it is a refusal, and there seems to be no reason for it.
    fn answered(&mut self, client: usize, request: &Request, frames: &[Frame]) -> Result<bool, String> {
        let (acts, extended) = (request.acts(), request.is_extended());
        let refused_in = self.room().filter(|_| error_code(frames).as_deref() == Some(TOO_MANY));
        let done = frames.iter().filter(|frame| frame.kind == b'C').count();
        let model = &mut self.clients[client].model;
        let before = model.clone();
        let mut expected =
            if refused_in.is_some() { model.refused(acts, extended, done) } else { model.request(acts, extended) };
        if error_code(frames).as_deref() == Some(UNDEFINED) && expected.error != Some(UNDEFINED) {
            // Its own number may be out of reach; another's it must not be told.
            *model = before;
            expected = model.forgetful_request(acts, extended);
        }
        self.judge(client, &expected, frames)?;
        let Some(room) = refused_in else { return Ok(false) };
        self.refused += 1;
        // A block has failed for it.
        Ok(self.held(Some(client)) < room.max_pinned && !self.clients[client].model.in_block())
    }

    /// Sends in two pieces and reads up to so many ReadyForQuery.
    fn exchange(&mut self, client: usize, bytes: &[u8], cut: usize, count: usize) -> Result<Vec<Frame>, String> {
        let wire = self.wire(client);
        let (first, second) = bytes.split_at(bytes.len() * cut / 1000);
        wire.send(first);
        wire.send(second);
        let (mut frames, mut ready) = (Vec::new(), 0);
        let ended = loop {
            match wire.frame_or_silence() {
                Ok(Some(frame)) => {
                    ready += usize::from(frame.kind == b'Z');
                    frames.push(frame);
                }
                Ok(None) => break Some("the connection ends"),
                Err(_) => break Some("nothing more comes"),
            }
            if ready == count {
                break None;
            }
        };
        self.note(client, &frames);
        match ended {
            Some(how) => Err(format!("{how} behind\n{}", print(&frames))),
            None => Ok(frames),
        }
    }

    fn query(&mut self, client: usize, sql: &str) -> Result<Vec<Frame>, String> {
        self.exchange(client, &raw::query(sql), 0, 1)
    }

    fn note(&mut self, client: usize, frames: &[Frame]) {
        let client = &mut self.clients[client];
        client.told.extend(frames.iter().filter(|frame| frame.kind == b'S').map(Frame::parameter));
        client.heard.extend(notifications(frames));
    }

    fn judge(&mut self, client: usize, expected: &Reply, frames: &[Frame]) -> Result<(), String> {
        let model = &mut self.clients[client].model;
        let wrong = |what: &str| Err(format!("{what}: {expected:?} was expected, and this came\n{}", print(frames)));
        if error_code(frames).as_deref() != expected.error {
            return wrong("the error");
        }
        let rows: Vec<String> = frames.iter().filter(|frame| frame.kind == b'D').map(value).collect();
        if rows.len() != expected.rows.len() {
            return wrong("the rows");
        }
        for (value, row) in rows.iter().zip(&expected.rows) {
            let right = match row {
                Row::Any => true,
                Row::Is(text) => value == text,
                Row::Number(currval) => {
                    model.learn(value, *currval);
                    true
                }
                Row::Lastval | Row::Currval => model.number(row) == Some(value),
            };
            if !right {
                return wrong("a row");
            }
        }
        let status = match (model.in_block(), model.has_failed()) {
            (false, _) => b"I",
            (true, false) => b"T",
            (true, true) => b"E",
        };
        if frames.last().is_none_or(|frame| frame.body != status) {
            return wrong(&format!("the state {}", status.escape_ascii()));
        }
        Ok(())
    }

    fn vanish(&mut self, client: usize, request: &Request, cut: usize) -> Result<(), String> {
        if self.shares() {
            return Ok(());
        }
        let bytes = request.bytes();
        let end = bytes.len() * cut / 1000;
        // Whoever is gone needs no answer, and may have been refused before.
        let _ = self.wire(client).stream.write_all(&bytes[..end]);
        self.clients[client] = self.newcomer(client);
        Ok(())
    }

    fn leave(&mut self, client: usize) -> Result<(), String> {
        if self.shares() {
            return Ok(());
        }
        self.wire(client).send(&raw::terminate());
        self.clients[client] = self.newcomer(client);
        Ok(())
    }

    fn looks_at_itself(&mut self, client: usize) -> Result<(), String> {
        if self.clients[client].model.has_failed() || !self.can_be_served(Some(client)) {
            return Ok(());
        }
        self.clients[client].model.request(&[], false);
        let look = self.look.clone();
        let frames = self.query(client, &look)?;
        let Some(row) = frames.iter().find(|frame| frame.kind == b'D') else {
            return Err(format!("no look at itself: {}", print(&frames)));
        };
        let mut seen = raw::row_values(row).into_iter().map(Option::unwrap_or_default);
        self.served(seen.next().unwrap_or_default(), client);
        let model = &self.clients[client].model;
        for (name, value) in names(self.kinds).zip(seen) {
            let expected = seen_by(model, name);
            if value != expected {
                return Err(format!("its {name} is {value:?} and not {expected:?}"));
            }
        }
        self.was_told_the_truth(client)?;
        self.hears_what_is_due(client)
    }

    fn served(&mut self, server: String, client: usize) {
        let before = self.owners.insert(server, client);
        self.hand_overs += u64::from(before.is_some_and(|before| before != client));
    }

    fn was_told_the_truth(&self, client: usize) -> Result<(), String> {
        let Client { told, model, .. } = &self.clients[client];
        for (name, value) in told {
            let known = SETTINGS.iter().any(|(setting, _)| setting == name);
            if known && !self.shares() && model.visible(name) != value {
                return Err(format!("it was told that its {name} is {value:?}, and it is {:?}", model.visible(name)));
            }
        }
        Ok(())
    }

    fn hears_what_is_due(&mut self, client: usize) -> Result<(), String> {
        let looks = self.kinds.contains(&Kind::Listen) && !self.clients[client].model.in_block();
        if !looks || !self.can_be_served(Some(client)) {
            return Ok(());
        }
        self.clients[client].model.request(&[], false);
        let frames = self.query(client, "SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() c")?;
        let (seen, expected) =
            (frames.iter().find(|frame| frame.kind == b'D').map(value), self.clients[client].model.listens());
        if seen.as_deref() != Some(&expected) {
            return Err(format!("it listens to {seen:?} and not to {expected:?}"));
        }
        while self.clients[client].heard.len() < self.clients[client].due.len() {
            match self.wire(client).frame_or_silence() {
                Ok(Some(frame)) => self.note(client, &[frame]),
                _ => break,
            }
        }
        let Client { heard, due, .. } = &self.clients[client];
        if heard == due { Ok(()) } else { Err(format!("it has heard {heard:?}, and {due:?} was due")) }
    }

    /// Only while nobody who listens is in a transaction: when they would hear of it is theirs to say.
    fn notify(&mut self, client: usize, channel: &str, number: u32) -> Result<(), String> {
        let in_block = self.clients.iter().any(|client| client.model.in_block());
        if in_block || self.shares() || !self.can_be_served(Some(client)) {
            return Ok(());
        }
        self.clients[client].model.request(&[], false);
        let frames = self.query(client, &format!("NOTIFY {channel}, '{number}'"))?;
        let note = format!("A {channel}\\x00{number}\\x00\n");
        for listener in 0..CLIENTS {
            if self.clients[listener].model.listens().split(',').any(|name| name == channel) {
                self.clients[listener].due.push(note.clone());
                self.hears_what_is_due(listener)?;
            }
        }
        if error_code(&frames).is_some() { Err(print(&frames)) } else { Ok(()) }
    }

    fn witness(&mut self, fresh: bool) -> Result<(), String> {
        if !self.can_be_served(None) {
            return Ok(());
        }
        self.looks += 1;
        let all = self.looks.is_multiple_of(4);
        let shared = if self.shares() { self.clients[0].wire.take() } else { None };
        if fresh && shared.is_none() {
            self.witness = self.profiles.expected.witness(self.port);
        }
        let mut shared_or_own = shared;
        let witness = shared_or_own.as_mut().unwrap_or(&mut self.witness);
        let seen = self.profiles.expected.look(witness, all);
        if let Some(wire) = shared_or_own {
            self.clients[0].wire = Some(wire);
        }
        self.served(seen?, CLIENTS);
        Ok(())
    }
}

fn value(row: &Frame) -> String {
    raw::row_values(row).into_iter().next().flatten().unwrap_or_default()
}

/// The ports of clients that have a server.
fn linked(console: &mut Raw) -> Vec<String> {
    let frames = console.ask("SHOW CLIENTS");
    let columns = frames.iter().find(|frame| frame.kind == b'T').map(raw::column_names).unwrap_or_default();
    let at = |name| columns.iter().position(|column| column == name).expect("a column of SHOW CLIENTS");
    let (port, link) = (at("port"), at("link"));
    let rows = frames.iter().filter(|frame| frame.kind == b'D').map(raw::row_values);
    rows.filter(|row| row[link].as_deref().is_some_and(|link| !link.is_empty()))
        .filter_map(|row| row[port].clone())
        .collect()
}

/// What a client looks at, in the order of its query's columns behind the server's process.
fn names(kinds: &[Kind]) -> impl Iterator<Item = &'static str> + use<> {
    let own = [
        (Kind::Temp, "temporary relations"),
        (Kind::Locks, "advisory locks"),
        (Kind::Cursors, "cursors"),
        (Kind::Roles, "current_user"),
        (Kind::Roles, "session_user"),
        (Kind::Libraries, OF_LIBRARY.0),
    ];
    let own: Vec<&str> = own.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, name)| *name).collect();
    own.into_iter().chain(SETTINGS.iter().map(|(name, _)| *name)).chain(CUSTOM.iter().copied())
}

fn seen_by(model: &Model, name: &str) -> String {
    match name {
        "temporary relations" => model.temp(),
        "advisory locks" => model.locks(),
        "cursors" => model.cursors(),
        "current_user" => model.current_user().to_owned(),
        "session_user" => model.session_user().to_owned(),
        name if name == OF_LIBRARY.0 => model.of_library().to_owned(),
        setting => model.visible(setting).to_owned(),
    }
}

fn look(kinds: &[Kind]) -> String {
    let column = |name| match name {
        "temporary relations" => "(SELECT string_agg(relname, ',' ORDER BY relname COLLATE \"C\") FROM pg_class \
             WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'S'))"
            .to_owned(),
        "advisory locks" => "(SELECT string_agg(objid::text, ',' ORDER BY objid::text COLLATE \"C\") FROM pg_locks \
             WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 1)"
            .to_owned(),
        "cursors" => {
            "(SELECT string_agg(name, ',' ORDER BY name COLLATE \"C\") FROM pg_cursors WHERE is_holdable)".to_owned()
        }
        "current_user" | "session_user" => name.to_owned(),
        setting => format!("coalesce(current_setting('{setting}', true), '')"),
    };
    let columns: Vec<String> = names(kinds).map(column).collect();
    format!("SELECT pg_backend_pid(), {}", columns.join(", "))
}
