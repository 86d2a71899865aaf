//! The first packets: requests for encryption, versions, options, startup parameters.

use crate::support::raw::*;
use crate::support::{PgOtter, run_client, shared_postgres};

const SSL: i32 = (1234 << 16) | 5679;
const GSS: i32 = (1234 << 16) | 5680;

fn pgotter() -> PgOtter {
    PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2")
}

fn refused(port: u16, packets: &[u8]) -> Frame {
    let mut client = Raw::connect(port);
    client.send(packets);
    let frames = client.until_end();
    frames.into_iter().find(|frame| frame.kind == b'E').expect("an error before the end")
}

#[test]
fn requests_for_encryption_are_declined_and_the_login_goes_on() {
    let pgotter = pgotter();
    for requests in [&[SSL][..], &[GSS], &[SSL, GSS], &[GSS, SSL]] {
        let mut client = Raw::connect(pgotter.port());
        for code in requests {
            client.send(&first_packet(*code, b""));
            assert_eq!(client.byte(), Some(b'N'), "{requests:?}");
        }
        client.send(&startup(3, 0, USER));
        client.welcomed();
        assert_eq!(client.value("SELECT 1"), "1", "{requests:?}");
    }
}

#[test]
fn f18_a_login_does_not_depend_on_how_its_bytes_are_cut() {
    let pgotter = pgotter();
    let whole = [startup(3, 2, &[USER, &[("application_name", "cut")]].concat()), query("SELECT 'in'")].concat();
    let heard = |cuts: &[usize]| {
        let mut client = Raw::connect(pgotter.port());
        let mut from = 0;
        for &cut in cuts.iter().chain([&whole.len()]) {
            client.send(&whole[from..cut]);
            // Lets the other side see the pieces one by one; nothing depends on it.
            std::thread::sleep(std::time::Duration::from_micros(300));
            from = cut;
        }
        print(&[client.welcomed(), client.until_ready()].concat())
    };
    let uncut = heard(&[]);
    for cut in 1..whole.len() {
        assert_eq!(heard(&[cut]), uncut, "{cut}");
    }
    assert_eq!(heard(&(1..whole.len()).collect::<Vec<_>>()), uncut, "byte by byte");
}

#[test]
fn encryption_asked_for_twice_is_refused() {
    let pgotter = pgotter();
    for (first, second) in [(SSL, GSS), (GSS, SSL)] {
        for between in [&[][..], &[second]] {
            let mut client = Raw::connect(pgotter.port());
            for code in [&[first], between].concat() {
                client.send(&first_packet(code, b""));
                assert_eq!(client.byte(), Some(b'N'));
            }
            client.send(&first_packet(first, b""));
            let frames = client.until_end();
            assert_eq!(error_code(&frames).as_deref(), Some("08P01"), "{}", print(&frames));
            assert_eq!(frames[0].field(b'S').as_deref(), Some("FATAL"));
        }
    }
}

#[test]
fn bytes_behind_an_unanswered_request_for_encryption_are_refused() {
    let pgotter = pgotter();
    for code in [SSL, GSS] {
        let error = refused(pgotter.port(), &[first_packet(code, b""), startup(3, 0, USER)].concat());
        assert_eq!(error.field(b'C').as_deref(), Some("08P01"));
    }
}

#[test]
fn the_welcome_is_postgresqls_own() {
    let pgotter = pgotter();
    for parameters in [
        &[][..],
        &[("application_name", "x"), ("TimeZone", "Asia/Tokyo"), ("DateStyle", "German, DMY")],
        &[("DateStyle", "iso"), ("client_encoding", "'utf-8'")],
        &[("DateStyle", "German"), ("standard_conforming_strings", "off")],
    ] {
        let mut direct = Raw::connect(shared_postgres().port());
        let mut pooled = Raw::connect(pgotter.port());
        for client in [&mut direct, &mut pooled] {
            client.send(&startup(3, 0, &[USER, parameters].concat()));
        }
        assert_eq!(print(&pooled.welcomed()), print(&direct.welcomed()));
    }
}

#[test]
fn client_encoding_is_told_as_postgresql_spells_it() {
    // asyncpg asks for 'utf-8' in quotes, and takes the name it is told for a codec's.
    let pgotter = pgotter();
    for wanted in ["utf-8", "'utf-8'", "UTF8", "utf8", "Latin1", "latin-1", "unicode", "win1252"] {
        let direct = Raw::log_in(shared_postgres().port(), &[("client_encoding", wanted)]);
        let pooled = Raw::log_in(pgotter.port(), &[("client_encoding", wanted)]);
        assert_eq!(pooled.parameter("client_encoding"), direct.parameter("client_encoding"), "{wanted}");
    }
}

#[test]
fn protocol_3_0_gets_a_cancel_key_of_4_bytes_and_3_2_one_of_32() {
    let pgotter = pgotter();
    for (minor, length) in [(0, 4), (2, 32)] {
        let mut client = Raw::connect(pgotter.port());
        client.send(&startup(3, minor, USER));
        let frames = client.welcomed();
        assert!(frames.iter().all(|frame| frame.kind != b'v'), "nothing to negotiate");
        assert_eq!(client.secret.len(), length, "3.{minor}");
        assert!(client.pid > 0);
    }
}

#[test]
fn a_newer_protocol_and_unknown_options_are_negotiated_down_to_3_2() {
    let pgotter = pgotter();
    let options = [USER, &[("_pq_.fast", "1"), ("_pq_.command_tag", "x")]].concat();
    let negotiated = |version: i32, names: &[&str]| {
        let mut body = [version.to_be_bytes().to_vec(), (names.len() as u32).to_be_bytes().to_vec()].concat();
        names.iter().for_each(|name| body.extend([name.as_bytes(), b"\0"].concat()));
        Frame { kind: b'v', body }
    };
    let v3_2 = (3 << 16) | 2;
    for (minor, parameters, names, long) in [
        (9999, USER, &[][..], true),
        (3, USER, &[], true),
        (9999, &options, &["_pq_.fast", "_pq_.command_tag"], true),
        (2, &options, &["_pq_.fast", "_pq_.command_tag"], true),
    ] {
        let mut client = Raw::connect(pgotter.port());
        client.send(&startup(3, minor, parameters));
        let frames = client.welcomed();
        assert_eq!(frames[0], negotiated(v3_2, names), "3.{minor}: {}", print(&frames));
        assert_eq!(client.secret.len() == 32, long);
        assert_eq!(client.value("SELECT 1"), "1");
    }
}

#[test]
fn options_of_an_old_client_are_negotiated_at_its_own_version() {
    let pgotter = pgotter();
    let mut client = Raw::connect(pgotter.port());
    client.send(&startup(3, 0, &[USER, &[("_pq_.fast", "1")]].concat()));
    let frames = client.welcomed();
    assert_eq!(frames[0].kind, b'v');
    assert_eq!(frames[0].body, [&(3i32 << 16).to_be_bytes()[..], &1u32.to_be_bytes(), b"_pq_.fast\0"].concat());
    assert_eq!(client.secret.len(), 4);
}

#[test]
fn another_major_protocol_is_refused() {
    let pgotter = pgotter();
    for major in [2, 4] {
        let error = refused(pgotter.port(), &startup(major, 0, USER));
        assert_eq!(error.field(b'C').as_deref(), Some("0A000"));
    }
}

#[test]
fn a_parameter_that_is_no_setting_is_refused() {
    let pgotter = pgotter();
    for (parameter, value) in [("options", "-S 1MB"), ("replication", "database")] {
        let error = refused(pgotter.port(), &startup(3, 0, &[USER, &[(parameter, value)]].concat()));
        assert_eq!(error.field(b'C').as_deref(), Some("0A000"), "{parameter}");
        assert_eq!(error.field(b'S').as_deref(), Some("FATAL"));
    }
}

#[test]
fn settings_in_options_are_the_clients_own() {
    let pgotter = pgotter();
    let options = "-c TimeZone=Asia/Tokyo --datestyle=German -capplication_name=a\\ b\\\\c";
    let mut client = Raw::log_in(pgotter.port(), &[("options", options)]);
    assert_eq!(client.value("SHOW TimeZone"), "Asia/Tokyo");
    assert_eq!(client.value("SELECT date '2001-02-03'"), "03.02.2001");
    assert_eq!(client.value("SHOW application_name"), "a b\\c");
}

#[test]
fn malformed_first_packets_get_an_answer_or_the_end() {
    let pgotter = pgotter();
    let login = startup(3, 0, USER);
    let mut unterminated = login.clone();
    unterminated.pop();
    unterminated[3] -= 1;
    let long = startup(3, 0, &[USER, &[("application_name", &*"x".repeat(10_000))]].concat());
    for (what, packet) in [
        ("length 0", vec![0; 8]),
        ("length 7", [&7u32.to_be_bytes()[..], &[0, 3, 0]].concat()),
        ("length -1", [&u32::MAX.to_be_bytes()[..], &login[4..]].concat()),
        ("length 1 GB", [&0x4000_0000_u32.to_be_bytes()[..], &login[4..]].concat()),
        ("too long", long),
        ("unterminated", unterminated),
        ("a Query", query("SELECT 1")),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no user", startup(3, 0, &[("database", "postgres")])),
    ] {
        let mut client = Raw::connect(pgotter.port());
        client.send(&packet);
        let frames = client.until_end();
        assert!(frames.iter().all(|frame| frame.kind == b'E'), "{what}: {}", print(&frames));
    }
    assert_eq!(Raw::log_in(pgotter.port(), &[]).value("SELECT 1"), "1");
}

#[test]
fn f36_a_replication_connection_is_told_that_there_is_none_and_leaves_its_place() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "max_client_conn = 5");
    // They stay: who leaves has its place for a moment yet.
    let _others = ["false", "off", "0", "no"].map(|word| Raw::log_in(pgotter.port(), &[("replication", word)]));
    for word in ["true", "on", "1", "yes", "database"] {
        let mut client = Raw::connect(pgotter.port());
        client.send(&startup(3, 0, &[USER, &[("replication", word)]].concat()));
        let frames = client.until_end();
        assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{word}: {}", print(&frames));
        let hint = frames[0].field(b'H').unwrap_or_default();
        assert!(hint.contains("Connect to the server directly"), "{word}: {hint}");
    }
    assert_eq!(Raw::log_in(pgotter.port(), &[]).value("SELECT 'in its place'"), "in its place");
}

#[test]
fn f36_psql_hears_it() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "");
    let arguments = ["-X", "-c", "IDENTIFY_SYSTEM", "dbname=postgres replication=database"];
    let heard = run_client("psql", pgotter.port(), &arguments);
    let said = String::from_utf8_lossy(&heard.stderr);
    assert!(!heard.status.success() && said.contains("replication connections are not supported"), "{said}");
}
