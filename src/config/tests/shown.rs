//! What SHOW CONFIG has: every setting that the reference has in a table of single values.

use super::*;

/// What is no setting with one value, or a secret.
const NOT_SHOWN: [&str; 3] = ["routing.rules", "notify.format", "mock_authentication_secret"];

/// The name of each under SHOW CONFIG, and whether a reload applies it.
fn of_the_reference() -> Vec<(String, bool)> {
    let sections = ["pooler", "routing", "insight", "slow_queries", "notify", "http"];
    let mut keys = Vec::new();
    for section in REFERENCE.split("\n#[").skip(1) {
        let name = section.split(']').next().unwrap_or_default();
        if !sections.contains(&name) {
            continue;
        }
        let mut at_start = false;
        for line in section.lines() {
            at_start |= line.contains("Applies: at start");
            let key = line.strip_prefix('#').and_then(|line| line.split_once(" = "));
            if let Some((key, _)) = key.filter(|(key, _)| !key.contains([' ', '['])) {
                let key = if name == "pooler" { key.to_owned() } else { format!("{name}.{key}") };
                keys.push((key, !std::mem::take(&mut at_start)));
            }
        }
    }
    keys.retain(|(key, _)| !NOT_SHOWN.contains(&&**key));
    keys.sort_unstable();
    keys
}

#[test]
fn everything_in_the_reference_is_shown_and_whether_a_reload_applies_it() {
    let shown = show(&good(SHIPPED));
    let keys = of_the_reference();
    assert!(keys.len() > 90, "{}", keys.len());
    assert_eq!(shown.iter().map(|shown| (shown.key.to_owned(), shown.changeable)).collect::<Vec<_>>(), keys);
}

#[test]
fn what_is_set_is_shown_beside_its_default() {
    let shown = show(&good(
        "[pooler]\nauth_type = \"trust\"\nquery_timeout = \"250ms\"\n[databases.a]\nhosts = [\"a\"]\n\
         [http]\nlisten = \"[::1]:9000\"\nallowed_hosts = [\"one\", \"two\"]\nready = \"any_host\"\npgbouncer_metrics = false\n\
         [routing]\nmode = \"observe\"\nread_your_writes = \"off\"\ntransaction_reads = \"replica_until_write\"\n\
         write_functions = [\"audit\"]\nreplica_required = true\n\
         [insight]\nexported_fingerprints = 7\n[slow_queries]\nlog = 0\nkeep = 5\n\
         [notify]\ntimeout = \"3s\"\n",
    ));
    for (key, value, default) in [
        ("query_timeout", Some("0.25"), Some("0")),
        ("auth_type", Some("trust"), Some("scram-sha-256")),
        ("workers", Some("3"), Some("0")),
        ("unix_socket_mode", Some("0777"), Some("0777")),
        ("max_client_conn", None, None),
        ("server_tls_sslmode", Some("prefer"), Some("prefer")),
        ("stats_period", Some("60"), Some("60")),
        ("http.listen", Some("[::1]:9000"), Some("127.0.0.1:9127")),
        ("http.allowed_hosts", Some("one,two"), Some("")),
        ("http.ready", Some("any_host"), Some("primary")),
        ("http.pgbouncer_metrics", Some("0"), Some("1")),
        ("routing.mode", Some("observe"), Some("split")),
        ("routing.read_your_writes", Some("off"), Some("tables")),
        ("routing.transaction_reads", Some("replica_until_write"), Some("primary")),
        ("routing.write_functions", Some("audit"), Some("")),
        ("routing.replica_required", Some("1"), Some("0")),
        ("routing.max_replica_lag", Some("10"), Some("10")),
        ("insight.exported_fingerprints", Some("7"), Some("50")),
        ("insight.insight_memory", Some("67108864"), Some("67108864")),
        ("slow_queries.log", Some("0"), Some("0.1")),
        ("slow_queries.keep", Some("5"), Some("1000")),
        ("notify.timeout", Some("3"), Some("10")),
        ("notify.webhook", Some(""), Some("")),
    ] {
        let one = shown.iter().find(|shown| shown.key == key).expect("it is shown");
        assert_eq!((one.value.as_deref(), one.default.as_deref()), (value, default), "{key}");
    }
}

#[test]
fn of_a_webhook_the_host_is_shown_and_not_what_may_be_a_password() {
    let shown = show(&good(&format!(
        "{SHIPPED}\n[notify]\nwebhook = [\"https://a.example.test/hunter2\", \"http://[::1]:81/hunter2?hunter2\"]\n"
    )));
    let webhook = shown.iter().find(|shown| shown.key == "notify.webhook").expect("it is shown");
    assert_eq!(webhook.value.as_deref(), Some("https://a.example.test:443,http://[::1]:81"));
    assert!(!format!("{shown:?}").contains("hunter2"));
}
