//! What is a command, and what is not.

use super::*;
use proptest::prelude::*;

fn refused(said: &str) -> (&'static str, String) {
    let fault = Command::read(said).expect_err(said);
    assert_eq!(fault.severity, crate::fault::Severity::Error, "{said}");
    (fault.sqlstate.0, fault.message.into_owned())
}

#[test]
fn a_command_is_understood_however_it_is_spaced_and_spelled() {
    for said in
        ["SHOW POOLS", "show pools;", "\n\tShow\r\n pOOLS ; ", "SELECT pools", "show \"pools\"", "\"show\" pools"]
    {
        assert_eq!(Command::read(said), Ok(Command::Show(Show::Pools)), "{said}");
    }
    for (said, command) in [
        ("", Command::Empty),
        (" ;", Command::Empty),
        ("RELOAD;", Command::Reload),
        ("pause", Command::Pause(None)),
        ("PAUSE shop", Command::Pause(Some("shop".to_owned()))),
        ("RESUME \"Sh\"\"op \n;\"", Command::Resume(Some("Sh\"op \n;".to_owned()))),
        ("RECONNECT web-shop", Command::Reconnect(Some("web-shop".to_owned()))),
        ("SHUTDOWN", Command::Shutdown(Ending::Now)),
        ("shutdown wait_for_servers", Command::Shutdown(Ending::WhenTransactionsEnd)),
        ("SHUTDOWN WAIT_FOR_CLIENTS;", Command::Shutdown(Ending::WhenClientsLeave)),
        ("KILL_CLIENT 12", Command::KillClient(12)),
        ("cancel 12;", Command::Cancel(12)),
        ("SET datestyle = ISO", Command::Set),
        ("set extra_float_digits TO 3", Command::Set),
        ("SET application_name='it''s ; me'", Command::Set),
        ("SET default_pool_size = 3", Command::SetSetting),
        ("SUSPEND", Command::Later("SUSPEND".to_owned())),
        ("show queries 5m;", Command::Show(Show::Queries(Some(Duration::from_secs(300))))),
        ("SELECT Queries \"1d\"", Command::Show(Show::Queries(Some(Duration::from_secs(86_400))))),
        ("SHOW ROUTES 00000000000000aF", Command::Show(Show::Routes(Some(Name::Fingerprint(0xaf))))),
        ("show callers other", Command::Show(Show::Callers(Name::Other))),
        ("show TimeZone", Command::Show(Show::Parameter("timezone", "GMT"))),
    ] {
        assert_eq!(Command::read(said), Ok(command), "{said}");
    }
}

#[test]
fn anything_else_is_said_back_as_pgbouncer_does() {
    for said in ["SELECT 1", "SHOW", "SHOW POOLS; SHOW POOLS", "BEGIN", "RELOAD now", "SHUTDOWN soon", "show 'pools'"] {
        assert_eq!(refused(said), ("42601", format!("invalid command '{said}', use SHOW HELP;")));
    }
    for said in ["-- ping", "SET a", "set a = b c", "SET = b", "PAUSE \"open", "\u{fffd}", "PAUSE a b"] {
        assert_eq!(refused(said).0, "42601", "{said}");
    }
    assert_eq!(refused(&format!("PAUSE {}", "x".repeat(64))), ("42601", "bad arguments".to_owned()));
    assert_eq!(refused(&"x".repeat(16)), ("42601", "bad arguments".to_owned()));
    assert!(refused(&format!("SHOW POOLS {}", "é;".repeat(10_000))).1.len() < 1000);
}

#[test]
fn what_cannot_be_had_yet_is_called_so() {
    assert_eq!(refused("SHOW FDS"), ("0A000", "SHOW FDS is not supported yet".to_owned()));
    assert_eq!(refused("SHOW POOLS $1"), ("0A000", "the console takes no parameters".to_owned()));
    assert_eq!(refused("KILL_CLIENT x"), ("22023", "invalid client pointer supplied".to_owned()));
    assert_eq!(refused("KILL_CLIENT"), ("22023", "invalid client pointer supplied".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn nothing_that_is_said_makes_it_panic(said in "\\PC{0,40}|[a-z\"'; =$1\\n]{0,40}") {
        let _ = Command::read(&said);
    }
}
