//! What is refused: where the finger points, and what it says.

use super::*;

/// Stands behind the text under test, whose line numbers it leaves alone.
const REST: &str = "\n[databases.rest]\nhosts = [\"a\"]\n";

/// The text has exactly this mistake: place, a part of the message, a part of label and help.
fn refused(text: &str, line: usize, column: usize, message: &str, more: &str) {
    let report = report(text);
    let [mistake] = report.mistakes() else { panic!("{text}\n{report}") };
    assert_eq!((mistake.line, mistake.column), (line, column), "{report}");
    assert!(mistake.message.contains(message), "no {message:?} in\n{report}");
    let said = format!("{} / {}", mistake.label, mistake.help.as_deref().unwrap_or_default());
    assert!(said.contains(more), "no {more:?} in {said:?}");
}

/// One line of `[pooler]`, which is line 3.
fn pooler(line: &str, column: usize, message: &str, more: &str) {
    refused(&format!("[pooler]\nauth_file = \"userlist.txt\"\n{line}{REST}"), 3, column, message, more);
}

/// Lines of `[databases.shop]`, from line 4.
fn database(lines: &str, line: usize, column: usize, message: &str, more: &str) {
    refused(&format!("[pooler]\nauth_type = \"trust\"\n[databases.shop]\n{lines}\n"), line, column, message, more);
}

#[test]
fn unknown_names_get_the_nearest_known_one() {
    pooler("defualt_pool_size = 3", 1, "unknown key `defualt_pool_size` in [pooler]", "`default_pool_size`");
    pooler("listen-port = 3", 1, "unknown key `listen-port`", "`listen_port`");
    pooler("xyzzy = 3", 1, "unknown key `xyzzy`", "config/reference.toml");
    pooler("[database.shop]\nhosts = []", 2, "unknown section [database]", "[databases]");
    pooler("[pgbouncer]", 2, "unknown section [pgbouncer]", "[pooler]");
    database(
        "hosts = [\"a\"]\nmonitor_password = \"x\"",
        5,
        20,
        "`monitor_password` needs `monitor_user`",
        "add `monitor_user`",
    );
    database("hosts = [\"a\"]\npoolsize = 3", 5, 1, "in [databases.shop]", "`pool_size`");
    database("hosts = [\"a\"]\naliases = true\n[databases.shop_ro]\nhosts = [\"b\"]", 5, 11, "makes shop_ro", "taken");
    database("hosts = [{ host = \"a\", rol = \"auto\" }]", 4, 24, "unknown key `rol`", "`role`");
    refused(
        &format!("[users.ann]\npool_mod = \"session\"\n[pooler]\nauth_type = \"trust\"{REST}"),
        2,
        1,
        "[users.ann]",
        "`pool_mode`",
    );
}

#[test]
fn what_comes_later_is_called_not_supported_yet() {
    pooler("[peers.a]", 2, "[peers] is not supported yet", "");
    pooler("disable_pqexec = 1", 1, "`disable_pqexec` is not supported yet", "PgBouncer");
    pooler("auth_type = \"any\"", 13, "\"scram-sha-256\" or \"cert\"", "not supported yet");
    database("hosts = [\"@pg\"]", 4, 10, "a host such as", "not supported yet");
}

#[test]
fn a_secret_that_could_be_guessed_is_refused() {
    let refusal = "`mock_authentication_secret` must be 16 bytes or more";
    pooler("mock_authentication_secret = \"fifteen bytes..\"", 30, refusal, "openssl rand -hex 32");
    pooler("mock_authentication_secret = { file = \"empty\" }", 30, "`mock_authentication_secret` must be", "empty");
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let insight = |line: &str, column, message: &str, more: &str| {
        refused(&format!("[pooler]\nauth_type = \"trust\"\n[insight]\n{line}{REST}"), 4, column, message, more);
    };
    insight("max_fingerprints = 99", 20, "`max_fingerprints` must be", "");
    insight("insight_memory = \"1KiB\"", 18, "`insight_memory` must be", "");
    insight("exported_fingerprints = -1", 25, "`exported_fingerprints` must be", "");
    insight("max_fingerprint = 500", 1, "in [insight]", "`max_fingerprints`");
}

#[test]
fn what_the_endpoint_cannot_do_is_refused() {
    let http = |line: &str, column, message: &str, more: &str| {
        refused(&format!("[pooler]\nauth_type = \"trust\"\n[http]\n{line}{REST}"), 4, column, message, more);
    };
    let words = "`ready` must be \"primary\" or \"any_host\" or \"listening\"";
    http("ready = \"anyhost\"", 9, words, "did you mean \"any_host\"?");
    http("ready = true", 9, words, "");
    http("allowed_hosts = [\"https://a\"]", 17, "`allowed_hosts` must be a list of names of hosts", "without scheme");
    http("allowed_hosts = [\"a:443\"]", 17, "`allowed_hosts` must be", "without scheme");
    http("raedy = \"primary\"", 1, "unknown key `raedy` in [http]", "`ready`");
}

#[test]
fn an_alert_that_says_too_little_or_too_much_is_refused() {
    let alert = |lines: &str, line, column, message: &str, more: &str| {
        refused(&format!("[pooler]\nauth_type = \"trust\"\n[[alert]]\n{lines}{REST}"), line, column, message, more);
    };
    alert("name = \"x\"", 3, 1, "an alert needs `type`", "\"single\", \"average\"");
    alert("type = \"singel\"\nover = 1", 4, 8, "`type` must be", "did you mean \"single\"?");
    alert("type = \"single\"", 4, 8, "needs `over`", "");
    alert("type = \"single\"\nover = \"5x\"", 5, 8, "`over` must be a duration", "");
    alert("type = \"single\"\nover = 5\nclear = 0.5", 6, 1, "of type \"single\" has no `clear`", "docs/alerts.md");
    alert("type = \"single\"\nover = 5\nmin_cals = 5", 6, 1, "unknown key `min_cals` in [[alert]]", "");
    alert("type = \"average\"\nover = 1\nwindow = \"9s\"", 6, 10, "from 10s to 24h", "too short");
    alert("type = \"average\"\nover = 1\nwindow = \"2d\"", 6, 10, "from 10s to 24h", "too long");
    alert("type = \"average\"\nover = 1\nclear = 1.5", 6, 9, "at most 1", "four fifths");
    alert("type = \"average\"\nover = 1\nmin_calls = 0", 6, 13, "`min_calls` must be", "");
    alert("type = \"average\"\nover = 1\nscope = \"user\"", 6, 9, "\"fingerprint\" or \"database\"", "");
    alert("type = \"percentile\"\nover = 1", 4, 8, "needs `quantile`", "");
    alert("type = \"error_ratio\"\nover = 5", 5, 8, "above 0 and below 1", "five percent");
    alert("type = \"pool_wait\"\nover = 1\nwindow = 60", 6, 1, "has no `window`", "");
    alert("type = \"reload_failed\"\nover = 1", 5, 1, "has no `over`", "");
    alert("type = \"pool_wait\"\nover = 1\nmatch = { kind = \"read\" }", 6, 11, "unknown key `kind`", "database");
    alert("type = \"average\"\nover = 1\nmatch = { kind = \"reads\" }", 6, 18, "`kind` must be", "\"read\"");
    alert("type = \"average\"\nover = 1\nmatch = { fingerprint = \"a1\" }", 6, 25, "16 hexadecimal digits", "");
    alert("type = \"average\"\nover = 1\nmatch = \"shop\"", 6, 9, "`match` must be a table", "");
    let objective = "type = \"objective\"\ntarget = \"10ms\"\nacceptable = \"50ms\"\ncritical = \"20ms\"";
    alert(objective, 7, 12, "`critical` must not be below `acceptable`", "");
    alert(
        "type = \"single\"\nover = 5\n[[alert]]\ntype = \"single\"\nover = 9",
        6,
        1,
        "two alerts are called \"single\"",
        "`name`",
    );
    refused(
        &format!("alert = 3\n[pooler]\nauth_type = \"trust\"{REST}"),
        1,
        9,
        "must be a list of tables",
        "[[alert]]",
    );
}

#[test]
fn an_application_that_no_client_can_have_and_too_many_of_them_are_refused() {
    let alert = |more: &str, column, message: &str, help: &str| {
        let text = format!("[pooler]\nauth_type = \"trust\"\n[[alert]]\ntype = \"average\"\nover = 1\n{more}{REST}");
        refused(&text, 6, column, message, help);
    };
    let long = "x".repeat(64);
    let text = "`application` must be a text of at most 63 bytes";
    alert(&format!("match = {{ application = \"{long}\" }}"), 25, text, "");
    alert("match = { application = \"\" }", 25, "`application` must be a text that is not empty", "");
    alert("match = { application = 3 }", 25, "`application` must be a text", "");
    let pool = "[pooler]\nauth_type = \"trust\"\n[[alert]]\ntype = \"pool_wait\"\nover = 1\n";
    let text = format!("{pool}match = {{ application = \"till\" }}{REST}");
    refused(&text, 6, 11, "unknown key `application` in `match`", "");
    let many = |count: usize| {
        let one = |number| {
            format!(
                "[[alert]]\nname = \"{number}\"\ntype = \"average\"\nover = 1\nmatch = {{ application = \"a{number}\" }}\n"
            )
        };
        let all: String = (0..count).map(one).collect();
        format!("[pooler]\nauth_type = \"trust\"\n{all}{REST}")
    };
    assert_eq!(good(&many(16)).alerts.len(), 16);
    let said = report(&many(17)).to_string();
    assert!(said.contains("at most 16 different applications"), "{said}");
}

#[test]
fn a_pool_that_is_to_be_fuller_than_full_is_refused_with_what_to_write() {
    let text = format!("[pooler]\nauth_type = \"trust\"\n[[alert]]\ntype = \"pool_saturation\"\nover = 1{REST}");
    refused(&text, 5, 8, "`over` must be a number above 0 and below 1", "0.99 is so when all places are taken");
}

#[test]
fn a_webhook_that_cannot_be_one_is_refused_and_its_address_is_not_said() {
    let notify = |line: &str, column, message: &str, more: &str| {
        let text = format!("[pooler]\nauth_type = \"trust\"\n[notify]\n{line}{REST}");
        refused(&text, 4, column, message, more);
        let said = report(&text).to_string();
        assert!(!said.contains("a/b"), "{said}");
    };
    let form = "must be an address such as";
    notify("webhook = \"https://a/b\"", 11, "`webhook` must be a list", "webhook = [");
    notify("webhook = [3]", 12, "must be a text", "");
    notify("webhook = [\"ftp://a/b\"]", 12, form, "neither https:// nor http://");
    notify("webhook = [\"https:///b\"]", 12, form, "no host");
    notify("webhook = [\"https://a:0/b\"]", 12, form, "a port from 1");
    notify("webhook = [\"https://u:p@a/b\"]", 12, form, "a login in it");
    notify("webhook = [\"https://a/b c\"]", 12, form, "a space");
    for byte in "<>\"{}[]|\\^`#\u{e9}".chars() {
        notify(&format!("webhook = ['https://a/b{byte}c']"), 12, form, "write it as %20");
    }
    for escape in ["%", "%2", "%zz", "?q=%"] {
        notify(&format!("webhook = ['https://a/b{escape}']"), 12, form, "a % without two digits");
    }
    notify("webhook = [\"https://a/b\", \"https://a/b\"]", 27, "may be listed once", "a second time");
    notify("webhook = [{ url = \"https://a/b\", format = \"slak\" }]", 44, "`format` must be", "\"slack\"");
    notify("webhook = [{ env = \"NOWHERE\" }]", 12, "each `webhook` must be set", "no variable NOWHERE");
    notify("webhok = []", 1, "unknown key `webhok` in [notify]", "`webhook`");
    notify("timeout = 0", 11, "`timeout` must be", "");
}

#[test]
fn what_cannot_be_told_of_slow_queries_is_refused() {
    let slow = |line: &str, column, message: &str, more: &str| {
        refused(&format!("[pooler]\nauth_type = \"trust\"\n[slow_queries]\n{line}{REST}"), 4, column, message, more);
    };
    slow("log = \"off\"", 7, "`log` must be a duration such as", "");
    slow("utilities = -1", 13, "`utilities` must be", "out of range");
    slow("parameters = \"yes\"", 14, "`parameters` must be true or false", "");
    slow("per_minute = 0", 14, "`per_minute` must be a whole number from 1 to 1000000", "");
    slow("keep = 100001", 8, "`keep` must be a whole number from 0 to 100000", "");
    slow("treshold = 1", 1, "in [slow_queries]", "");
}

#[test]
fn what_routing_cannot_do_yet_is_refused() {
    let routing = |line: &str, column, message: &str, more: &str| {
        refused(&format!("[pooler]\nauth_type = \"trust\"\n[routing]\n{line}{REST}"), 4, column, message, more);
    };
    routing("mode = \"splits\"", 8, "`mode` must be", "");
    routing("replica_required = 2", 20, "`replica_required` must be", "");
    let reads = "`transaction_reads` must be \"primary\" or \"replica_until_write\"";
    routing("transaction_reads = \"replica\"", 21, reads, "");
    routing("monitor_interval = \"5ms\"", 20, "at least 10ms", "too short");
    routing("max_replica_lag = 0", 19, "at least 1ms", "");
    routing("read_functions = [\"public.f\"]", 18, "without schema", "public.f");
    routing("write_functions = \"f()\"", 19, "without schema and brackets", "f()");
    routing("mod = \"observe\"", 1, "in [routing]", "`mode`");
    routing("rules = [{ table = \"a\" }]", 10, "a rule needs `route`", "");
    routing("rules = [{ route = \"primary\" }]", 10, "a rule needs one of `table`", "");
    routing("rules = [{ tabel = \"a\", user = \"b\", route = \"primary\" }]", 12, "unknown key `tabel`", "`table`");
    routing("rules = [{ table = \"a\", route = \"master\" }]", 33, "`route` must be \"primary\"", "none of these");
    routing("rules = [{ table = \"a\", route = \"host=x\" }]", 33, "`route` must be", "no database has this host");
    routing("rules = [{ fingerprint = \"abc\", route = \"primary\" }]", 26, "16 hexadecimal digits", "pgotter explain");
    let elsewhere = "there is no such entry of [databases]";
    for route in ["database=nowhere", "database=*", "database="] {
        let line = format!("rules = [{{ table = \"a\", route = \"{route}\" }}]");
        routing(&line, 33, "\"host=NAME\" or \"database=NAME\"", elsewhere);
    }
    let named = format!("{REST}\n[databases.logs]\nhosts = [\"b\"]");
    for (rule, message) in [
        ("database = \"shop\", route = \"database=logs\"", "that leads to another database needs `table`"),
        ("table = \"a\", application_name = \"x\", route = \"database=logs\"", "knows `table`, `user` and `database`"),
    ] {
        let text = format!("[pooler]\nauth_type = \"trust\"\n[routing]\nrules = [{{ {rule} }}]{named}");
        refused(&text, 4, 10, message, "");
    }
    routing("rules = \"x\"", 9, "`rules` must be a list", "audit_*");
}

#[test]
fn the_endpoint_takes_one_address_with_a_port() {
    let http = |line: &str, column, message: &str, more: &str| {
        refused(
            &format!(
                "[pooler]
auth_type = \"trust\"
[http]
{line}{REST}"
            ),
            4,
            column,
            message,
            more,
        );
    };
    for (value, found) in [
        ("\"9127\"", "`9127` is none"),
        ("\"localhost:9127\"", "`localhost:9127` is none"),
        ("\"127.0.0.1\"", "`127.0.0.1` is none"),
        ("\"127.0.0.1:0\"", "`127.0.0.1:0` is none"),
        ("9127", "found 9127"),
    ] {
        http(&format!("listen = {value}"), 10, "`listen` must be an IP address with a port", found);
    }
    http("listne = \"\"", 1, "unknown key `listne` in [http]", "did you mean `listen`?");
}

#[test]
fn wrong_types_ranges_and_words_are_refused() {
    pooler("workers = 65", 11, "`workers` must be a whole number from 0 to 64", "found 65");
    pooler("workers = \"many\"", 11, "`workers`", "found a text");
    pooler("listen_port = 0", 15, "from 1 to 65535", "found 0");
    pooler("default_pool_size = -1", 21, "from 0 to", "found -1");
    pooler("default_pool_size = 99999999999999999999999", 21, "from 0 to", "found 9999");
    pooler("tcp_keepalive = \"yes\"", 17, "true or false", "found a text");
    pooler("pool_mode = \"transation\"", 13, "\"session\" or \"transaction\"", "did you mean \"transaction\"?");
    pooler("pool_mode = 3", 13, "\"session\"", "found 3");
    pooler("unix_socket_mode = 777", 20, "octal", "0o777");
    pooler("listen_addr = \"localhost\"", 15, "IP addresses", "`localhost` is no IP address");
    pooler("listen_addr = \"::1, [::1]\"", 15, "IP addresses", "comes twice");
    pooler("stats_period = \"999ms\"", 16, "`stats_period` must be a duration of at least 1s", "too short");
    pooler("admin_users = [\"a\", 3]", 15, "`admin_users` must be a list of texts", "found a list");
    pooler("server_reset_query = \"a\\u0000b\"", 22, "without a zero byte", "");
    pooler("request_gather = \"64kB\"", 18, "a size such as", "not such a size");
    pooler("request_gather = \"1GiB\"", 18, "to 16777216 bytes", "");
    refused(&format!("pooler = 3\n{REST}"), 1, 10, "[pooler]", "found 3");
}

#[test]
fn bad_durations_are_refused() {
    for bad in ["\"30 parsecs\"", "\"\"", "\"s\"", "\"-3s\"", "true", "\"1.2.3s\"", "\"30\""] {
        pooler(&format!("query_timeout = {bad}"), 17, "a duration such as \"30s\"", "");
    }
    for bad in ["-1", "nan", "inf", "1e300", "\"40000d\"", "0.0000001"] {
        pooler(&format!("query_timeout = {bad}"), 17, "a duration such as", "");
    }
    pooler("server_connect_timeout = 0", 26, "at least 1ms", "");
    pooler("tcp_keepidle = \"1500ms\"", 16, "whole seconds", "");
}

#[test]
fn bad_hosts_are_refused_one_by_one() {
    let form = "each of `hosts` must be a host such as";
    for bad in ["", "pg-0:", "pg-0:0", "pg-0:65536", "pg-0:+1", ":5432", "a b", "[::1", "[x]:5432", "::1", "/run:x"] {
        database(&format!("hosts = [\"ok\", \"{bad}\"]"), 4, 16, form, "");
    }
    database("hosts = [\"postgresql://u:p@h/d\"]", 4, 10, form, "");
    database("hosts = [3]", 4, 10, form, "found 3");
    database("hosts = []", 4, 9, "at least one host", "empty");
    database("hosts = \"a\"", 4, 9, "`hosts` must be a list", "[\"pg-0:5432\", ");
    database("hosts = [\"a\", \"a:5432\"]", 4, 15, "listed once", "a second time");
    database("hosts = [{ port = 3 }]", 4, 10, "a host needs `host`", "");
    database("hosts = [{ host = \"a:3\" }]", 4, 19, "a host such as", "under `port`");
    database("hosts = [{ host = \"a\", role = \"master\" }]", 4, 31, "\"auto\" or \"primary\"", "");
    database("hosts = [\"a\"]\nport = 5432", 5, 8, "`port` and `hosts` cannot both", "");
    database("host = \"a\"\nhosts = [\"a\"]", 4, 8, "`host` and `hosts` cannot both", "");
    database("host = \"a:3\"", 4, 8, "`host` must be", "under `port`");
    database("dbname = \"x\"", 3, 12, "a database needs `hosts`", "127.0.0.1:5432");
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    pooler("min_pool_size = 21", 17, "`min_pool_size` must not exceed `default_pool_size`", "21 kept of at most 20");
    database("hosts = [\"a\"]\npool_size = 2\nmin_pool_size = 3", 6, 17, "exceed `pool_size`", "3 kept of at most 2");
    database("hosts = [\"a\"]\npassword = \"x\"", 5, 12, "`password` needs `user`", "");
    refused(&format!("[pooler]{REST}"), 1, 2, "needs `auth_file`", "userlist.txt");
    refused(REST, 1, 1, "needs `auth_file`", "userlist.txt");
    refused(&format!("[pooler]\nauth_type = \"trust\"\nlisten_addr = \"*\"{REST}"), 2, 13, "for loopback", "scram");
    refused(
        &format!("[pooler]\nauth_type = \"cert\"\n[users.a]\npassword = \"x\"{REST}"),
        2,
        13,
        "verify-full",
        "verified",
    );
    refused("[pooler]\nauth_type = \"trust\"\n", 1, 1, "no [databases.NAME]", "serves every name");
    refused("[pooler]\nauth_type = \"trust\"\n[databases.pgotter]\nhosts = [\"a\"]", 3, 12, "this name", "console");
    refused("[pooler]\nauth_type = \"trust\"\n[databases.pgbouncer]\nhosts = [\"a\"]", 3, 12, "this name", "console");
    refused(
        "[pooler]\nauth_type = \"trust\"\n[databases]\nshop = \"host=a\"",
        4,
        8,
        "sections only",
        "[databases.NAME]",
    );
}

#[test]
fn tls_settings_that_contradict_each_other_are_refused() {
    let pair = "client_tls_cert_file = \"c\"\nclient_tls_key_file = \"k\"";
    pooler("client_tls_sslmode = \"require\"", 22, "needs `client_tls_key_file`", "certificate and its key");
    pooler("client_tls_sslmode = \"allow\"\nclient_tls_key_file = \"k\"", 22, "needs `client_tls_cert_file`", "");
    pooler(&format!("client_tls_sslmode = \"verify-full\"\n{pair}"), 22, "needs `client_tls_ca_file`", "");
    pooler("client_tls_sslmode = \"verify\"", 22, "\"disable\" or \"allow\"", "");
    for old in ["tlsv1.0", "tlsv1.1", "legacy", "tlsv1.2,tlsv1.1"] {
        pooler(&format!("client_tls_protocols = \"{old}\""), 24, "\"secure\"", "before 1.2 are not supported");
        pooler(&format!("server_tls_protocols = \"{old}\""), 24, "\"secure\"", "before 1.2 are not supported");
    }
    pooler("server_tls_protocols = \"\"", 24, "\"secure\"", "empty");
    pooler("server_tls_sslmode = \"verify-ca\"", 22, "needs `server_tls_ca_file`", "system's");
    pooler("server_tls_cert_file = \"c\"", 24, "needs `server_tls_key_file`", "");
    pooler("server_tls_key_file = \"k\"", 23, "needs `server_tls_cert_file`", "");
}

#[test]
fn what_cannot_be_read_is_refused() {
    refused(&format!("[pooler]\nauth_file = \"none.txt\"{REST}"), 2, 13, "readable", "/etc/otter/none.txt");
    let user = "hosts = [\"a\"]\nuser = \"u\"\n";
    database(&format!("{user}password = {{ file = \"none\" }}"), 6, 12, "readable", "/etc/otter/none");
    database(&format!("{user}password = {{ file = \"empty\" }}"), 6, 12, "`password` must be", "empty");
    database(&format!("{user}password = {{ env = \"NONE\" }}"), 6, 12, "set", "no variable NONE");
    database(&format!("{user}password = {{ flie = \"x\" }}"), 6, 12, "a text, { file", "neither");
    database(&format!("{user}password = 12345"), 6, 12, "a text, { file", "neither");
}

#[test]
fn lines_of_the_auth_file_are_refused_with_their_own_numbers_and_never_shown() {
    let report = report(&format!("[pooler]\nauth_file = \"bad.txt\"{REST}"));
    let places: Vec<_> = report.mistakes().iter().map(|mistake| (mistake.line, mistake.column)).collect();
    assert_eq!(places, [(3, 4), (4, 3), (5, 1), (6, 1), (7, 5)]);
    assert!(report.mistakes().iter().all(|mistake| mistake.file == Path::new("/etc/otter/bad.txt")));
    let text = report.to_string();
    assert!(text.contains("/etc/otter/bad.txt:7:5") && !text.contains("open\n") && !text.contains("hunter2"), "{text}");
}

#[test]
fn syntax_errors_and_duplicates_are_reported_with_the_other_mistakes() {
    let report = report(
        "[pooler]\nauth_type = \"trust\"\nworkers = 1\nworkers = 2\nlisten_port = \nlisten_prot = 3\n[databases.a]\nhosts = []\n",
    );
    let places: Vec<_> = report.mistakes().iter().map(|mistake| (mistake.line, mistake.column)).collect();
    assert_eq!(places, [(4, 1), (5, 15), (6, 1), (8, 9)], "{report}");
    assert!(report.mistakes()[0].message.contains("duplicate key"), "{report}");
}

#[test]
fn all_mistakes_are_reported_at_once_and_in_order() {
    let report =
        report("[pooler]\nworkers = 99\npool_mode = \"x\"\n\n[users.ann]\nnonsense = 1\n[database.x]\nhosts = []\n");
    let text = report.to_string();
    for part in [
        "pooler.toml:2:11",
        "pooler.toml:3:13",
        "pooler.toml:6:1",
        "pooler.toml:7:2",
        "no [databases.NAME]",
        "^^ found 99",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(text.ends_with("/etc/otter/pooler.toml: 5 mistakes, nothing was applied"), "{text}");
    assert!(report.render(true).contains('\u{1b}') && !text.contains('\u{1b}'));
}

#[test]
fn columns_count_characters() {
    database("hosts = [\"ñandú\", \"a b\"]", 4, 19, "a host such as", "");
}

#[test]
fn a_password_is_never_shown() {
    for line in [
        "shop = { hosts = [], password = \"hunter2\" }",
        "shop = { passwrod = \"hunter2\", hosts = [\"a\"] }",
        "shop = { hosts = [\"postgresql://ann:hunter2@pg/x\"] }",
        "shop = \"host=a password=hunter2\"",
        "shop.password = \"hunter2",
        "shop.password = \"\"\"\nhunter2\nshop.x = 1",
        "shop.password = 'hunter2' 3",
    ] {
        let text = report(&format!("[pooler]\nauth_type = \"trust\"\n[databases]\n{line}\n")).to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_file_cut_anywhere_never_panics() {
    let text = reference_in_use();
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(report) = parsed(&text[..end]) {
            assert!(!report.to_string().is_empty());
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "(\\[|\\]|\"|=|\n|,|\\{|\\}|'|#|é|\r|\t|\u{0}|[a-z.]|pooler|databases|hosts|password){0,60}") {
        if let Err(report) = parsed(&text) {
            let _ = report.render(true);
        }
    }
}
