//! Clients on their connections, playing steps: what each hears is held against its model, and what witnesses see against a
//! fresh connection.

use super::act::{Act, CUSTOM, SETTINGS};
use super::generate::{Step, Turn};
use super::kinds::Kind;
use super::model::{Model, Reply, Row};
use super::witness::{Expected, notifications};
use crate::support::raw::{self, Frame, Raw, error_code, first_value, print};
use crate::support::{PgOtter, must};
use pgotter::cli::local_postgres::LocalPostgres;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;

pub const CLIENTS: usize = 8;
const SERVERS: usize = 4;
/// Long enough for any answer; short enough to make steps few that bring none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands between clients and PostgreSQL.
pub enum Between {
    /// Nothing: each has a connection of its own.
    Nothing,
    /// The worst of all poolers: all have the same connection.
    OneConnection,
    PgOtter(Box<PgOtter>),
}

pub struct World<'a> {
    port: u16,
    kinds: &'a [Kind],
    profiles: &'a Profiles,
    clients: Vec<Client>,
    witness: Raw,
    looks: usize,
    look: String,
    /// Whom each server served last.
    owners: HashMap<String, usize>,
    pub hand_overs: u64,
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

/// What clients ask for at login, and what they see then.
pub struct Profiles {
    startup: Vec<Vec<(&'static str, &'static str)>>,
    initial: Vec<BTreeMap<&'static str, String>>,
    expected: Expected,
    direct: u16,
}

/// What all clients need.
pub fn prepare(server: &LocalPostgres) {
    must(server.psql(
        "postgres",
        "CREATE ROLE otter_a SUPERUSER; CREATE ROLE otter_b SUPERUSER; CREATE SCHEMA other;
         CREATE SEQUENCE numbers; CREATE TABLE ticket (id serial);
         CREATE FUNCTION sets(text, text, bool) RETURNS text LANGUAGE plpgsql AS
           $$ BEGIN RETURN set_config($1, $2, $3); END $$;
         CREATE FUNCTION sets_and_fails(text, text, bool) RETURNS text LANGUAGE plpgsql AS
           $$ BEGIN PERFORM set_config($1, $2, $3); PERFORM 1 / 0; RETURN 'never'; END $$;
         CREATE FUNCTION clause(stays bool) RETURNS text LANGUAGE plpgsql SET work_mem = '10MB' SET app.clause = 'x' AS
           $$ BEGIN SET LOCAL work_mem = '8MB'; IF stays THEN SET work_mem = '9MB'; END IF; RETURN 'done'; END $$;
         CREATE PROCEDURE commits_then_fails() LANGUAGE plpgsql AS
           $$ BEGIN SET work_mem = '11MB'; COMMIT; SET work_mem = '12MB'; PERFORM 1 / 0; END $$",
    ));
}

impl Profiles {
    pub fn new(direct: u16, kinds: &[Kind]) -> Self {
        let mut startup = vec![
            vec![("application_name", "hostile")],
            vec![("application_name", "in India"), ("TimeZone", "Asia/Kolkata"), ("DateStyle", "SQL, DMY")],
        ];
        if kinds.contains(&Kind::Startup) {
            startup.push(vec![("work_mem", "6MB"), ("search_path", "other"), ("IntervalStyle", "sql_standard")]);
            startup.push(vec![("options", "-c statement_timeout=50min -c enable_seqscan=off"), ("app.tenant", "own")]);
        }
        let initial = startup.iter().map(|startup| initial(&mut Raw::log_in(direct, startup))).collect();
        Self { startup, initial, expected: Expected::new(direct, kinds), direct }
    }

    fn of(&self, client: usize) -> usize {
        client % self.startup.len()
    }
}

fn initial(fresh: &mut Raw) -> BTreeMap<&'static str, String> {
    let names = SETTINGS.iter().map(|(name, _)| *name).chain(CUSTOM.iter().copied());
    let value = |name: &str| format!("SELECT coalesce(current_setting('{name}', true), '')");
    names.map(|name| (name, fresh.value(&value(name)))).collect()
}

impl<'a> World<'a> {
    pub fn new(between: Between, profiles: &'a Profiles, kinds: &'a [Kind]) -> Self {
        let port = match &between {
            Between::PgOtter(pgotter) => pgotter.port(),
            _ => profiles.direct,
        };
        let mut world = Self {
            between,
            port,
            kinds,
            profiles,
            clients: Vec::new(),
            witness: Expected::witness(port),
            looks: 0,
            look: look(kinds),
            owners: HashMap::new(),
            hand_overs: 0,
        };
        for number in 0..CLIENTS {
            let client = world.newcomer(number);
            world.clients.push(client);
        }
        world
    }

    /// In front of `server`, with few servers.
    pub fn pgotter(server: &LocalPostgres) -> Between {
        Between::PgOtter(Box::new(PgOtter::in_front_of(
            server,
            &format!("default_pool_size = {SERVERS}\nmax_pinned = {SERVERS}"),
        )))
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
        let wire = (!shared).then(|| Raw::log_in(self.port, &self.profiles.startup[profile]));
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
            Turn::Simple(acts) => self.request(step.client, acts, false),
            Turn::Extended(acts) => self.request(step.client, acts, true),
            Turn::Cut(acts, part) => self.cut(step.client, acts, *part),
            Turn::Leave => self.leave(step.client),
            Turn::Look => self.looks_at_itself(step.client),
            Turn::Witness(fresh) => self.witness(*fresh),
            Turn::Notify(channel, number) => self.notify(step.client, channel, *number),
        }
    }

    /// With all servers but one in hands, nobody else may take one for longer than a request.
    fn would_wait(&self, client: usize, after: &Model) -> bool {
        let others = self.clients.iter().enumerate().filter(|(number, _)| *number != client);
        let held = others.filter(|(_, other)| other.model.may_hold_a_server()).count();
        after.may_hold_a_server() && held + 1 >= SERVERS
    }

    fn request(&mut self, client: usize, acts: &[Act], extended: bool) -> Result<(), String> {
        let mut model = self.clients[client].model.clone();
        let expected = model.request(acts, extended);
        if self.would_wait(client, &model) {
            return Ok(());
        }
        self.clients[client].model = model;
        let frames = match extended {
            true => self.exchange(client, &pipeline(acts))?,
            false => {
                let texts: Vec<String> = acts.iter().map(Act::sql).collect();
                self.exchange(client, &raw::query(&texts.join("; ")))?
            }
        };
        self.judge(client, &expected, &frames)
    }

    /// Sends in two pieces and reads up to ReadyForQuery.
    fn exchange(&mut self, client: usize, bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let wire = self.wire(client);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        wire.send(first);
        wire.send(second);
        let mut frames = Vec::new();
        let ended = loop {
            match wire.frame_or_silence() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break Some("the connection ends"),
                Err(_) => break Some("nothing more comes"),
            }
            if frames.last().is_some_and(|frame: &Frame| frame.kind == b'Z') {
                break None;
            }
        };
        self.note(client, &frames);
        match ended {
            Some(how) => Err(format!("{how} behind\n{}", print(&frames))),
            None => Ok(frames),
        }
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

    fn cut(&mut self, client: usize, acts: &[Act], part: u32) -> Result<(), String> {
        if self.shares() {
            return Ok(());
        }
        let bytes = pipeline(acts);
        let end = bytes.len() * part as usize / 1000;
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
        if self.clients[client].model.has_failed() {
            return Ok(());
        }
        self.clients[client].model.request(&[], false);
        let look = self.look.clone();
        let frames = self.exchange(client, &raw::query(&look))?;
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
        if !self.kinds.contains(&Kind::Listen) || self.clients[client].model.in_block() {
            return Ok(());
        }
        let frames =
            self.exchange(client, &raw::query("SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() c"))?;
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
        if in_block || self.shares() {
            return Ok(());
        }
        self.clients[client].model.request(&[], false);
        let frames = self.exchange(client, &raw::query(&format!("NOTIFY {channel}, '{number}'")))?;
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
        self.looks += 1;
        let all = self.looks.is_multiple_of(4);
        let shared = if self.shares() { self.clients[0].wire.take() } else { None };
        if fresh && shared.is_none() {
            self.witness = Expected::witness(self.port);
        }
        let mut shared_or_own = shared;
        let witness = shared_or_own.as_mut().unwrap_or(&mut self.witness);
        let seen = self.profiles.expected.look(witness, all);
        let server = first_value(&witness.ask("SELECT pg_backend_pid()"));
        if let Some(wire) = shared_or_own {
            self.clients[0].wire = Some(wire);
        }
        self.served(server.unwrap_or_default(), CLIENTS);
        seen
    }
}

fn pipeline(acts: &[Act]) -> Vec<u8> {
    [acts.iter().flat_map(Act::messages).collect(), raw::sync()].concat()
}

fn value(row: &Frame) -> String {
    raw::row_values(row).into_iter().next().flatten().unwrap_or_default()
}

/// What a client looks at, in the order of its query's columns behind the server's process.
fn names(kinds: &[Kind]) -> impl Iterator<Item = &'static str> + use<> {
    let own = [
        (Kind::Temp, "temporary relations"),
        (Kind::Locks, "advisory locks"),
        (Kind::Cursors, "cursors"),
        (Kind::Roles, "current_user"),
        (Kind::Roles, "session_user"),
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
