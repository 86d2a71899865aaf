//! LISTEN and NOTIFY of clients that share one server: each hears what PostgreSQL would tell it.

use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, psql, shared_postgres};

pub(super) fn one_server() -> PgOtter {
    PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1")
}

/// What the superuser sees, without a pooler between.
pub(super) fn look(sql: &str) -> String {
    must(shared_postgres().psql("postgres", sql))
}

/// A NotificationResponse: process, channel and payload.
pub(super) fn notification(frame: &Frame) -> (i32, String, String) {
    assert_eq!(frame.kind, b'A', "{}", print(std::slice::from_ref(frame)));
    let (pid, rest) = frame.body.split_at(4);
    let mut words = rest.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let pid = i32::from_be_bytes(pid.try_into().expect("four bytes"));
    (pid, words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

pub(super) fn next_notification(client: &mut Raw) -> (i32, String, String) {
    notification(&client.frame().expect("a notification"))
}

/// The first that came with this answer, or behind it: an answer waits 50 ms for the hub's copy.
pub(super) fn notification_with(frames: &[Frame], client: &mut Raw) -> (i32, String, String) {
    let with = frames.iter().find(|frame| frame.kind == b'A').map(notification);
    with.unwrap_or_else(|| next_notification(client))
}

/// A client in a role of its own, whose hub can be found.
pub(super) fn log_in_as(pgotter: &PgOtter, role: &str) -> Raw {
    let mut client = Raw::connect(pgotter.port());
    client.send(&startup(3, 0, &[("user", role), ("database", "postgres")]));
    client.welcomed();
    client
}

/// What of the hubs of this role PostgreSQL shows.
pub(super) fn hubs(what: &str, role: &str) -> String {
    look(&format!(
        "SELECT {what} FROM pg_stat_activity WHERE usename = '{role}' AND application_name = 'pgotter listen'"
    ))
}

/// The process of the pool's one server.
pub(super) fn server_of(client: &mut Raw) -> i32 {
    client.value("SELECT pg_backend_pid()").parse().expect("a number")
}

#[derive(Clone, Copy)]
enum Step {
    /// This client asks this, and waits for the whole answer.
    Ask(usize, &'static str),
    /// The same in the extended protocol.
    Extended(usize, &'static str),
    /// This client hears so much.
    Hear(usize, usize),
}
use Step::{Ask, Extended, Hear};

/// What two clients see of a script.
#[derive(Default, PartialEq, Debug)]
struct Seen {
    /// Everything, where it comes.
    all: String,
    /// The answers alone.
    answers: String,
    /// What each of them is notified of, wherever that comes.
    heard: [String; 2],
}

impl Seen {
    fn note(&mut self, client: usize, what: &str, frames: &[Frame]) {
        self.all += &format!("--- {client}: {what}\n{}", print(frames));
        let (heard, answers): (Vec<Frame>, Vec<Frame>) = frames.iter().cloned().partition(|frame| frame.kind == b'A');
        self.answers += &format!("--- {client}: {what}\n{}", print(&answers));
        self.heard[client] += &print(&heard);
    }
}

fn play(port: u16, script: &[Step]) -> Seen {
    let mut clients = [Raw::log_in(port, &[]), Raw::log_in(port, &[])];
    let mut seen = Seen::default();
    for step in script {
        match *step {
            Ask(client, sql) => seen.note(client, sql, &clients[client].ask(sql)),
            Extended(client, sql) => {
                clients[client].send(&[extended(sql, &[]), sync()].concat());
                seen.note(client, sql, &clients[client].until_ready());
            }
            Hear(client, count) => {
                let frames: Vec<_> = (0..count).map(|_| clients[client].frame().expect("not the end")).collect();
                seen.note(client, "…", &frames);
            }
        }
    }
    // Whatever else was on its way has come behind this.
    for (number, client) in clients.iter_mut().enumerate() {
        seen.note(number, "the end", &client.ask("SELECT 'the end'"));
    }
    seen
}

/// What a client tells itself its ReadyForQuery waits 50 ms for, and no longer: where this machine has more to do than that it comes
/// later, and all is said once more, to a process of its own. Nothing else may differ, however often.
#[track_caller]
fn as_postgresql(script: &[Step]) {
    let of_postgresql = play(shared_postgres().port(), script);
    let is_in_its_place = (0..3).any(|_| {
        let of_pgotter = play(PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2").port(), script);
        assert_eq!(of_pgotter.answers, of_postgresql.answers);
        assert_eq!(of_pgotter.heard, of_postgresql.heard, "{}", of_pgotter.all);
        of_pgotter.all == of_postgresql.all
    });
    assert!(is_in_its_place, "three times late: {}", of_postgresql.all);
}

#[test]
fn a_client_hears_others_and_itself_as_with_postgresql() {
    as_postgresql(&[
        Ask(0, "LISTEN a_jobs"),
        Ask(0, "NOTIFY a_jobs, 'mine'"),
        Ask(1, "NOTIFY a_jobs, 'yours'"),
        Hear(0, 1),
        Ask(1, "SELECT pg_notify('a_jobs', n::text) FROM generate_series(1, 30) n"),
        Hear(0, 30),
        Ask(0, "SELECT pg_notify('a_jobs', 'x'), pg_notify('a_others', 'y')"),
        Ask(0, "LISTEN A_Jobs; LISTEN \"A_Jobs\""),
        Ask(1, "NOTIFY \"A_Jobs\"; NOTIFY a_JOBS"),
        Hear(0, 2),
    ]);
}

#[test]
fn listen_counts_from_the_commit_on() {
    as_postgresql(&[
        Ask(0, "BEGIN"),
        Ask(0, "LISTEN b_jobs"),
        Ask(1, "NOTIFY b_jobs, 'too early'"),
        Ask(0, "SELECT 1"),
        Ask(0, "COMMIT"),
        Ask(1, "NOTIFY b_jobs, 'in time'"),
        Hear(0, 1),
        Ask(0, "BEGIN; UNLISTEN b_jobs"),
        Ask(1, "NOTIFY b_jobs, 'never heard'"),
        Ask(0, "END"),
        Ask(1, "NOTIFY b_jobs, 'not heard either'"),
    ]);
}

#[test]
fn rollback_undoes_listen_and_unlisten() {
    as_postgresql(&[
        Ask(0, "BEGIN"),
        Ask(0, "LISTEN c_jobs"),
        Ask(0, "ROLLBACK"),
        Ask(1, "NOTIFY c_jobs"),
        Ask(0, "LISTEN c_other"),
        Ask(0, "BEGIN; UNLISTEN *; LISTEN c_jobs"),
        Ask(0, "SELECT 1/0"),
        Ask(0, "LISTEN c_third"),
        Ask(0, "COMMIT"),
        Ask(1, "NOTIFY c_jobs; NOTIFY c_third; NOTIFY c_other"),
        Hear(0, 1),
        Ask(0, "LISTEN c_jobs; SELECT 1/0"),
        Ask(1, "NOTIFY c_jobs; NOTIFY c_other, 'again'"),
        Hear(0, 1),
        Ask(0, "LISTEN 1"),
        Ask(0, "LISTEN"),
        Ask(0, "SELECT pg_listening_channels()"),
    ]);
}

#[test]
fn rollback_to_a_savepoint_undoes_what_came_behind_it() {
    as_postgresql(&[
        Ask(0, "BEGIN"),
        Ask(0, "SAVEPOINT one"),
        Ask(0, "LISTEN d_first"),
        Ask(0, "SAVEPOINT two"),
        Ask(0, "LISTEN d_second"),
        Ask(0, "SELECT 1/0"),
        Ask(0, "ROLLBACK TO two"),
        Ask(0, "LISTEN d_third"),
        Ask(0, "COMMIT"),
        Ask(0, "SELECT pg_listening_channels()"),
        Ask(1, "NOTIFY d_first; NOTIFY d_second; NOTIFY d_third"),
        Hear(0, 2),
        Ask(0, "BEGIN; SAVEPOINT s; UNLISTEN *; ROLLBACK TO s; COMMIT"),
        Ask(0, "SELECT count(*) FROM pg_listening_channels()"),
    ]);
}

#[test]
fn a_transaction_hears_what_it_notifies_itself() {
    as_postgresql(&[
        Ask(0, "LISTEN e_jobs; NOTIFY e_jobs, 'in one text'"),
        Ask(0, "BEGIN"),
        Ask(0, "NOTIFY e_other, 'first'"),
        Ask(0, "LISTEN e_other"),
        Ask(0, "SELECT pg_notify('e_jobs', '1')"),
        Ask(0, "COMMIT"),
        Ask(0, "BEGIN; NOTIFY e_jobs, 'dropped'; ROLLBACK"),
        Ask(0, "BEGIN; NOTIFY e_jobs, 'once'; NOTIFY e_jobs, 'once'; UNLISTEN e_other; NOTIFY e_other; COMMIT"),
        Ask(1, "NOTIFY e_jobs, 'the last'"),
        Hear(0, 1),
    ]);
}

#[test]
fn unlisten_in_all_its_forms() {
    as_postgresql(&[
        Ask(0, "UNLISTEN f_a"),
        Ask(0, "LISTEN f_a; LISTEN f_b; LISTEN f_c; LISTEN f_d"),
        Ask(0, "UNLISTEN f_a"),
        Ask(1, "NOTIFY f_a; NOTIFY f_b"),
        Hear(0, 1),
        Ask(0, "SELECT * FROM pg_listening_channels() AS c ORDER BY c"),
        Ask(0, "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"),
        Ask(0, "SELECT pg_listening_channels()"),
        Ask(1, "NOTIFY f_b; NOTIFY f_c"),
        Ask(0, "LISTEN f_d"),
        Ask(1, "NOTIFY f_d"),
        Hear(0, 1),
        Ask(0, "DISCARD ALL"),
        Ask(1, "NOTIFY f_d"),
    ]);
}

#[test]
fn an_unlisten_that_is_too_long_to_be_gathered_is_one() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nrequest_gather = \"1KiB\"");
    let both = "long_a,long_b";
    for (unlistens, left) in
        [("UNLISTEN long_a", "long_b"), ("SELECT 1; UNLISTEN *", ""), ("UNLISTEN *; SELECT 1/0", both)]
    {
        let mut client = Raw::log_in(pgotter.port(), &[]);
        client.ask("LISTEN long_a; LISTEN long_b");
        let text = format!("/*{}*/ {unlistens}", " ".repeat(400_000));
        client.ask(&text);
        let heard = "SELECT coalesce(string_agg(c, ',' ORDER BY c), '') FROM pg_listening_channels() c";
        assert_eq!(client.value(heard), left, "{unlistens}");
    }
}

#[test]
fn the_extended_protocol_listens_as_well() {
    as_postgresql(&[
        Extended(0, "LISTEN g_a"),
        Extended(1, "NOTIFY g_a, 'x'"),
        Hear(0, 1),
        Extended(0, "NOTIFY g_a, 'own'"),
        Extended(0, "SELECT pg_notify('g_a', 'own again')"),
        Extended(0, "SELECT pg_listening_channels()"),
        Extended(0, "BEGIN"),
        Extended(0, "UNLISTEN g_a"),
        Extended(0, "LISTEN g_b"),
        Extended(0, "SAVEPOINT s"),
        Extended(0, "LISTEN g_c"),
        Extended(0, "ROLLBACK TO s"),
        Extended(0, "COMMIT"),
        Extended(1, "SELECT pg_notify('g_a', ''), pg_notify('g_b', ''), pg_notify('g_c', '')"),
        Hear(0, 1),
        Extended(0, "LISTEN 5"),
        Extended(0, "BEGIN"),
        Extended(0, "SELECT 1/0"),
        Extended(0, "LISTEN g_d"),
        Extended(0, "ROLLBACK"),
        Extended(0, "UNLISTEN *"),
        Extended(1, "NOTIFY g_b"),
    ]);
}

#[test]
fn a_prepared_listen_works_each_time_it_is_executed() {
    let pgotter = one_server();
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    for (name, sql) in
        [("on", "LISTEN h_jobs"), ("off", "UNLISTEN h_jobs"), ("hey", "SELECT pg_notify('h_jobs', 'own')")]
    {
        client.send(&[parse(name, sql), describe(b'S', name), sync()].concat());
        assert_eq!(error_code(&client.until_ready()), None);
    }
    let run = |client: &mut Raw, name: &str| {
        client.send(&[bind("", name, &[]), execute("", 0), sync()].concat());
        let frames = client.until_ready();
        print(&frames)
    };
    for round in 0..3 {
        other.value("SELECT 'another client uses the server'");
        assert!(run(&mut client, "on").contains("C LISTEN"));
        assert!(run(&mut client, "hey").contains("A h_jobs\\x00own\\x00\nZ I"), "round {round}");
        other.ask("NOTIFY h_jobs, 'heard'");
        assert_eq!(next_notification(&mut client).2, "heard");
        assert!(run(&mut client, "off").contains("C UNLISTEN"));
        other.ask("NOTIFY h_jobs, 'unheard'");
    }
    assert_eq!(print(&client.ask("SELECT 1")), print(&other.ask("SELECT 1")));
}

#[test]
fn portals_that_listen_are_known_until_they_are_closed() {
    let pgotter = one_server();
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    let ask = |client: &mut Raw, messages: &[Vec<u8>]| {
        client.send(&[messages.concat(), sync()].concat());
        let heard = client.until_ready();
        assert_eq!(error_code(&heard), None, "{}", print(&heard));
    };
    ask(&mut client, &[parse("on", "LISTEN h_portals")]);
    let long = |end: &str| format!("{}{end}", "p".repeat(63));
    client.ask("BEGIN");
    // More than are remembered, but for those that are closed.
    for number in 0..1100 {
        let name = format!("p{number}");
        ask(&mut client, &[bind(&name, "on", &[]), close(b'P', &name)]);
    }
    // PostgreSQL looks at 63 bytes of a name.
    ask(&mut client, &[bind(&long("one"), "on", &[])]);
    client.ask("SAVEPOINT a");
    client.send(&[parse("", "SELEKT"), close(b'P', &long("")), sync()].concat());
    client.until_ready();
    client.ask("ROLLBACK TO a");
    ask(&mut client, &[execute(&long("other"), 0)]);
    client.ask("COMMIT");
    other.ask("NOTIFY h_portals, 'heard'");
    assert_eq!(next_notification(&mut client).2, "heard");
    // A cursor has taken the name of one.
    client.ask("BEGIN; SAVEPOINT a");
    ask(&mut client, &[parse("", "LISTEN h_never"), bind("p", "", &[])]);
    client.ask("ROLLBACK TO a; DECLARE p CURSOR FOR SELECT 1");
    ask(&mut client, &[execute("p", 0), parse("", "LISTEN h_behind"), bind("", "", &[]), execute("", 0)]);
    client.ask("COMMIT");
    other.ask("NOTIFY h_never, 'unheard'; NOTIFY h_behind, 'behind'");
    assert_eq!(next_notification(&mut client).2, "behind");
}

#[test]
fn without_prepared_statements_only_portals_that_listen_are_bounded() {
    let settings = "default_pool_size = 1\nmax_prepared_statements = 0";
    let pgotter = PgOtter::in_front_of(shared_postgres(), settings);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("LISTEN h_bounded");
    let portals = |of: &str, text: &str, count: usize| {
        let binds = (0..count).map(|number| bind(&format!("{of}{number}"), "", &[]));
        let messages: Vec<_> = [parse("", text)].into_iter().chain(binds).chain([sync()]).collect();
        messages.concat()
    };
    for (more, code) in [(portals("q", "SELECT 1", 1100), None), (portals("q", "LISTEN h_more", 1), Some("53200"))] {
        client.ask("BEGIN");
        client.send(&portals("p", "LISTEN h_bounded", 1000));
        let heard = client.until_ready();
        assert_eq!(error_code(&heard), None, "{}", print(&heard));
        client.send(&more);
        assert_eq!(error_code(&client.until_ready()).as_deref(), code);
        client.ask("ROLLBACK");
    }
}

#[test]
fn a_clients_own_notification_carries_its_own_number_and_others_the_servers() {
    let pgotter = one_server();
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    client.ask("LISTEN i_jobs");
    let server = server_of(&mut client);
    assert_ne!(server, client.pid);
    let mut in_front = 0;
    for round in 0..50 {
        // The very same process has notified for another one just before.
        other.ask(&format!("NOTIFY i_jobs, 'other {round}'"));
        let frames = client.ask(&format!("SELECT pg_notify('i_jobs', 'own {round}')"));
        let mut heard: Vec<_> = frames.iter().filter(|frame| frame.kind == b'A').map(notification).collect();
        in_front += usize::from(heard.len() == 2);
        // Where the hub hears of it 50 ms later or more, they follow.
        while heard.len() < 2 {
            heard.push(next_notification(&mut client));
        }
        let own = (client.pid, "i_jobs".to_owned(), format!("own {round}"));
        let others = (server, "i_jobs".to_owned(), format!("other {round}"));
        assert_eq!(heard, [others, own]);
    }
    assert!(in_front > 25, "the client's own is waited for: {in_front} of 50");
}

#[test]
fn clients_that_listen_share_one_server_and_one_hub() {
    look("CREATE ROLE j_sharing LOGIN");
    let pgotter = one_server();
    let mut clients: Vec<_> = (0..40).map(|_| log_in_as(&pgotter, "j_sharing")).collect();
    for client in &mut clients {
        assert!(print(&client.ask("LISTEN j_jobs")).contains("C LISTEN"));
    }
    let mut servers: Vec<_> = clients.iter_mut().map(server_of).collect();
    servers.dedup();
    assert_eq!(servers.len(), 1);
    look("NOTIFY j_jobs, 'for all'");
    for client in &mut clients {
        assert_eq!(next_notification(client).2, "for all");
    }
    // A client that has never listened asks the server itself.
    let mut stranger = log_in_as(&pgotter, "j_sharing");
    assert_eq!(stranger.value("SELECT count(*) FROM pg_listening_channels()"), "0");
    assert_eq!(server_of(&mut stranger), servers[0]);
    assert_eq!(hubs("count(*)", "j_sharing"), "1");
    clients.iter_mut().for_each(|client| drop(client.ask("UNLISTEN *")));
    eventually("the hub listens no longer", || hubs("query", "j_sharing") == "UNLISTEN \"j_jobs\";");
    clients.iter_mut().for_each(|client| drop(client.ask("LISTEN j_jobs")));
    assert_ne!(hubs("query", "j_sharing"), "UNLISTEN \"j_jobs\";");
    drop(clients);
    eventually("the hub listens no longer", || hubs("query", "j_sharing") == "UNLISTEN \"j_jobs\";");
}

#[test]
fn whoever_does_not_read_is_closed_with_a_word_of_it() {
    let pgotter = one_server();
    let [mut slow, mut quick] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    quick.ask("LISTEN l_jobs");
    slow.ask("LISTEN l_jobs; BEGIN");
    let mut heard = 0;
    for round in 0..12 {
        let sql = format!(
            "SELECT count(pg_notify('l_jobs', '{round}' || n || repeat('x', 7000))) FROM generate_series(1, 200) n"
        );
        look(&sql);
        for _ in 0..200 {
            heard += next_notification(&mut quick).2.len();
        }
    }
    assert!(heard > 16_000_000);
    // The transaction itself goes well.
    assert!(print(&slow.ask("COMMIT")).contains("C COMMIT"));
    let last = slow.until_end();
    assert_eq!(error_code(&last).as_deref(), Some("54000"), "{}", print(&last));
    assert!(last.last().and_then(|frame| frame.field(b'M')).expect("a message").contains("notifications"));
    assert_eq!(quick.value("SELECT 1"), "1");
}

#[test]
fn channels_and_payloads_travel_in_each_clients_own_encoding() {
    let pgotter = one_server();
    let mut utf8 = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
    let mut latin1 = Raw::log_in(pgotter.port(), &[("client_encoding", "LATIN1")]);
    let e_acute: [&[u8]; 2] = [b"\xc3\xa9", b"\xe9"];
    for (client, e_acute) in [&mut utf8, &mut latin1].into_iter().zip(e_acute) {
        client.send(&message(b'Q', &[b"LISTEN m_caf", e_acute, b"\0"].concat()));
        assert_eq!(error_code(&client.until_ready()), None);
    }
    look("NOTIFY m_café, 'é'");
    for (client, e_acute) in [&mut utf8, &mut latin1].into_iter().zip(e_acute) {
        let frame = client.frame().expect("a notification");
        assert_eq!(frame.body[4..], [b"m_caf", e_acute, b"\0", e_acute, b"\0"].concat());
    }
    // What it listens to it is told in the encoding of the moment.
    for (mut client, other) in [(utf8, "LATIN1"), (latin1, "UTF8")] {
        client.ask(&format!("SET client_encoding = '{other}'"));
        let channels = "SELECT encode(convert_to(c, 'UTF8'), 'hex') FROM pg_listening_channels() c";
        assert_eq!(client.value(channels), "6d5f636166c3a9", "in {other}");
        client.send(&[extended(channels, &[]), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("6d5f636166c3a9"), "in {other}");
    }
}

#[test]
fn a_server_that_a_trigger_made_listen_is_closed_and_nobody_hears_it() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let before = server_of(&mut client);
    // The catalog has been read, and does not show it.
    look("CREATE TABLE n_made (n int)");
    look("CREATE FUNCTION n_listen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN LISTEN n_jobs; RETURN NEW; END'");
    look("CREATE TRIGGER n_made BEFORE INSERT ON n_made FOR EACH ROW EXECUTE FUNCTION n_listen()");
    client.ask("BEGIN; INSERT INTO n_made VALUES (1); COMMIT; BEGIN");
    look("NOTIFY n_jobs, 'for nobody'");
    assert_eq!(print(&client.ask("COMMIT")), "C COMMIT\\x00\nZ I\n");
    eventually("another server", || {
        let frames = client.ask("SELECT pg_backend_pid()");
        assert!(frames.iter().all(|frame| frame.kind != b'A'), "{}", print(&frames));
        first_value(&frames).is_some_and(|server| server != before.to_string())
    });
}

#[test]
fn a_listen_that_nobody_can_see_pins_its_client_and_ends_with_it() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("DO $$ BEGIN EXECUTE 'LIS' || 'TEN v_jobs'; END $$");
    look("NOTIFY v_jobs, 'heard'");
    assert_eq!(next_notification(&mut client).2, "heard");
    client.send(&terminate());
    client.until_end();
    let mut next = Raw::log_in(pgotter.port(), &[]);
    assert_eq!(next.value("SELECT count(*) FROM pg_listening_channels()"), "0");
    look("NOTIFY v_jobs, 'unheard'");
    assert_eq!(next.ask("SELECT 1").iter().filter(|frame| frame.kind == b'A').count(), 0);
}

#[test]
fn a_listen_that_cannot_be_had_is_an_error_like_any_other() {
    look("CREATE ROLE o_lonely LOGIN CONNECTION LIMIT 1");
    let pgotter = one_server();
    let mut client = log_in_as(&pgotter, "o_lonely");
    for _ in 0..2 {
        let frames = client.ask("LISTEN o_jobs");
        assert_eq!(error_code(&frames).as_deref(), Some("53300"), "{}", print(&frames));
        assert_eq!(frames.last().expect("an answer").body, b"I");
        client.send(&[extended("LISTEN o_jobs", &[]), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("53300"));
        assert_eq!(client.value("SELECT 1"), "1");
    }
    look("ALTER ROLE o_lonely CONNECTION LIMIT 2");
    eventually("the next hub", || error_code(&client.ask("LISTEN o_jobs")).is_none());
    look("NOTIFY o_jobs, 'heard'");
    assert_eq!(next_notification(&mut client).2, "heard");
}

#[test]
fn statement_mode_listens_and_session_mode_listens_by_itself() {
    for mode in ["statement", "session"] {
        let pgotter = PgOtter::in_front_of(shared_postgres(), &format!("pool_mode = \"{mode}\""));
        let mut client = Raw::log_in(pgotter.port(), &[]);
        let channel = format!("p_{mode}");
        assert!(print(&client.ask(&format!("LISTEN {channel}"))).contains("C LISTEN"));
        let own = print(&client.ask(&format!("NOTIFY {channel}, 'own'")));
        assert!(own.contains(&format!("C NOTIFY\\x00\nA {channel}\\x00own\\x00\nZ I")), "{own}");
        psql(shared_postgres().port(), &format!("NOTIFY {channel}, 'other'"));
        assert_eq!(next_notification(&mut client).2, "other");
    }
}

#[test]
fn a_pipeline_of_listen_and_notify_is_answered_in_order() {
    let pgotter = one_server();
    let requests = [
        [query("LISTEN q_a"), query("NOTIFY q_a, '1'"), query("SELECT 1")].concat(),
        [query("BEGIN"), query("NOTIFY q_a, '2'"), query("LISTEN q_b"), query("NOTIFY q_b"), query("COMMIT")].concat(),
        [extended("LISTEN q_c", &[]), extended("NOTIFY q_c", &[]), extended("SELECT 2", &[]), sync()].concat(),
        [query("NOTIFY q_a, '3'"), query("SELECT 1/0"), query("NOTIFY q_a, '4'"), query("UNLISTEN *")].concat(),
        [extended("LISTEN q_d", &[]), extended("SELECT 1/0", &[]), extended("LISTEN q_e", &[]), sync()].concat(),
        [query("NOTIFY q_d; NOTIFY q_e"), query("LISTEN q_f; COMMIT; SELECT 1/0"), query("NOTIFY q_f")].concat(),
        [extended("LISTEN q_g", &[]), flush(), extended("SELECT 1", &[]), sync(), query("NOTIFY q_g")].concat(),
    ];
    let transcript = |port| {
        let mut client = Raw::log_in(port, &[]);
        let mut seen = String::new();
        for request in &requests {
            client.send(&[&request[..], &query("SELECT 'the end'")].concat());
            let mut frames = Vec::new();
            while first_value(&frames).as_deref() != Some("the end") {
                frames = client.until_ready();
                seen += &print(&frames);
            }
        }
        seen
    };
    assert_eq!(transcript(pgotter.port()), transcript(shared_postgres().port()));
}

#[test]
fn what_cannot_be_told_or_had_is_refused_and_never_lost_in_silence() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let long = "r".repeat(80);
    assert_eq!(error_code(&client.ask(&format!("LISTEN {long}"))), None);
    look(&format!("NOTIFY {}", &long[..63]));
    assert_eq!(next_notification(&mut client).1, long[..63]);
    let frames = client.ask(&format!("LISTEN r_{}", "é".repeat(40)));
    assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{}", print(&frames));
    // PostgreSQL reads none of it.
    for text in ["LISTEN x; SELECT 'open", "LISTEN x; SELECT 1 /* open"] {
        client.send(&[extended(text, &[]), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("42601"));
        assert_eq!(error_code(&client.ask(text)).as_deref(), Some("42601"));
    }
    assert_eq!(client.value("SELECT count(*) FROM pg_listening_channels()"), "1");
    client.ask("BEGIN; LISTEN r_more");
    assert_eq!(error_code(&client.ask("PREPARE TRANSACTION 'r'")).as_deref(), Some("0A000"));
    client.ask("ROLLBACK");
    assert_eq!(client.value("SELECT count(*) FROM pg_listening_channels()"), "1");
    let mut client = Raw::log_in(pgotter.port(), &[("client_encoding", "SJIS")]);
    client.send(&message(b'Q', b"LISTEN \x83\x65\0"));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("0A000"));
    assert_eq!(client.value("SELECT 1"), "1");
    let untracked = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nmax_prepared_statements = 0");
    let mut client = Raw::log_in(untracked.port(), &[]);
    client.send(&[parse("l", "LISTEN r_named"), sync()].concat());
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("0A000"));
    assert_eq!(error_code(&client.ask("LISTEN r_query")), None);
}

#[test]
fn a_client_that_notifies_may_copy_and_one_that_vanishes_leaves_nothing() {
    let pgotter = one_server();
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    client.ask("LISTEN s_jobs");
    client.ask("BEGIN; CREATE TEMP TABLE s (n int) ON COMMIT DROP; NOTIFY s_jobs");
    client.send(&query("COPY s FROM STDIN"));
    client.until(b'G');
    client.send(&[copy_data("1\n2\n"), copy_done()].concat());
    assert!(print(&client.until_ready()).contains("C COPY 2"));
    assert!(print(&client.ask("COMMIT")).contains("A s_jobs"));
    for request in [query("LISTEN s_more"), query("NOTIFY s_jobs"), query("BEGIN; LISTEN s_more")] {
        let mut vanishing = Raw::log_in(pgotter.port(), &[]);
        vanishing.ask("LISTEN s_jobs");
        vanishing.send(&request);
        drop(vanishing);
        assert_eq!(other.value("SELECT count(*) FROM pg_listening_channels()"), "0");
    }
}

#[test]
fn many_clients_hear_everything_once_and_in_order() {
    const ROUNDS: usize = 40;
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 3\nworkers = 2");
    let port = pgotter.port();
    let mut listeners: Vec<_> = (0..12).map(|_| Raw::log_in(port, &[])).collect();
    listeners.iter_mut().for_each(|client| drop(client.ask("LISTEN u_jobs")));
    std::thread::scope(|scope| {
        for (number, client) in listeners.iter_mut().enumerate() {
            scope.spawn(move || {
                let (mut heard, mut own) = (vec![0; 12], 0);
                let mut note = |client: &Raw, frame: &Frame| {
                    let (pid, _, payload) = notification(frame);
                    let (from, round) = payload.split_once(' ').expect("two numbers");
                    let (from, round): (usize, usize) = (from.parse().expect("one"), round.parse().expect("two"));
                    assert_eq!(heard[from], round, "in order, and none is missing");
                    heard[from] += 1;
                    assert_eq!(pid == client.pid, from == number, "its own, and only its own");
                    own += usize::from(from == number);
                    heard.iter().sum::<usize>()
                };
                let mut sum = 0;
                for round in 0..ROUNDS {
                    let frames = client.ask(&format!("SELECT pg_notify('u_jobs', '{number} {round}')"));
                    assert_eq!(error_code(&frames), None);
                    for frame in frames.iter().filter(|frame| frame.kind == b'A') {
                        sum = note(client, frame);
                    }
                }
                while sum < 12 * ROUNDS {
                    let frame = client.frame().expect("a notification");
                    sum = note(client, &frame);
                }
                assert_eq!(own, ROUNDS);
            });
        }
    });
}

#[test]
fn an_open_block_without_a_server_hears_at_its_end_and_fails_with_its_listen() {
    look("CREATE ROLE w_lonely LOGIN CONNECTION LIMIT 2");
    let pgotter = one_server();
    let [mut client, mut other] = [(); 2].map(|()| log_in_as(&pgotter, "w_lonely"));
    for client in [&mut client, &mut other] {
        client.ask("LISTEN w_jobs");
    }
    assert_eq!(print(&client.ask("BEGIN")), "C BEGIN\\x00\nZ T\n");
    look("NOTIFY w_jobs, 'x'");
    assert_eq!(next_notification(&mut other).2, "x");
    assert!(client.hears_nothing(), "a transaction is open");
    assert_eq!(print(&client.ask("COMMIT")), "C COMMIT\\x00\nA w_jobs\\x00x\\x00\nZ I\n");
    // Another encoding needs another hub, for which the role has no connection.
    let mut third = Raw::connect(pgotter.port());
    third.send(&startup(3, 0, &[("user", "w_lonely"), ("database", "postgres"), ("client_encoding", "LATIN1")]));
    third.welcomed();
    third.ask("BEGIN");
    let frames = third.ask("LISTEN w_jobs");
    assert_eq!((error_code(&frames).as_deref(), &*frames[1].body), (Some("53300"), &b"E"[..]), "{}", print(&frames));
    assert_eq!(error_code(&third.ask("SELECT 1")).as_deref(), Some("25P02"));
    assert_eq!(print(&third.ask("COMMIT")), "C ROLLBACK\\x00\nZ I\n");
    assert_eq!(third.value("SELECT 1"), "1");
}

#[test]
fn a_query_of_a_listen_that_is_refused_is_answered_to_its_end_whatever_stands_in_front_of_it() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
    client.ask("LISTEN z_third");
    client.ask("SET client_encoding = 'LATIN1'");
    for sql in ["BEGIN", "SELECT 1"] {
        client.ask(sql);
    }
    // A Sync, should the Query be skipped.
    client.send(&[extended("SELECT 'in front'", &[]), query("LISTEN z_fourth"), sync()].concat());
    let frames = client.until_ready();
    assert_eq!(first_value(&frames).as_deref(), Some("in front"), "{}", print(&frames));
    assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{}", print(&frames));
    assert_eq!(client.until_ready().len(), 1);
    assert_eq!(error_code(&client.ask("SELECT 1")).as_deref(), Some("25P02"));
}

#[test]
fn a_listen_in_another_encoding_fails_its_block_and_not_its_connection() {
    let pgotter = one_server();
    let listen = "LISTEN z_second";
    let pipeline = [extended("SELECT 1", &[]), extended(listen, &[]), extended("SELECT 2", &[]), sync()].concat();
    for request in [query(listen), [extended(listen, &[]), sync()].concat(), pipeline] {
        let mut client = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
        client.ask("LISTEN z_first");
        client.ask("SET client_encoding = 'LATIN1'");
        let refused = |client: &mut Raw, status: &[u8]| {
            client.send(&request);
            let frames = client.until_ready();
            assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{}", print(&frames));
            assert_eq!(frames.last().unwrap().body, status);
        };
        refused(&mut client, b"I");
        for begun in [&["BEGIN"][..], &["BEGIN", "SELECT 1"]] {
            begun.iter().for_each(|sql| drop(client.ask(sql)));
            refused(&mut client, b"E");
            assert_eq!(error_code(&client.ask("SELECT 1")).as_deref(), Some("25P02"));
            client.ask("ROLLBACK");
        }
        ["BEGIN", "NOTIFY z_first, 'mine'", "SAVEPOINT s"].iter().for_each(|sql| drop(client.ask(sql)));
        refused(&mut client, b"E");
        client.ask("ROLLBACK TO s");
        let committed = client.ask("COMMIT");
        assert_eq!(print(&committed), "C COMMIT\\x00\nA z_first\\x00mine\\x00\nZ I\n");
        look("NOTIFY z_second; NOTIFY z_first, 'yours'");
        assert_eq!(next_notification(&mut client).2, "yours");
        client.ask("UNLISTEN *");
        assert_eq!(error_code(&client.ask(listen)), None);
        look("NOTIFY z_second, 'at last'");
        assert_eq!(next_notification(&mut client).2, "at last");
    }
}
