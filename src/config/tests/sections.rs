//! What is accepted in sections of their own, and in keys that go together, and what it then means.

use super::*;

#[test]
fn the_endpoint_listens_on_loopback_unless_told_otherwise() {
    let listen = |text: &str| good(&format!("{BASE}{text}")).http.listen.map(|address| address.to_string());
    assert_eq!(listen("").as_deref(), Some("127.0.0.1:9127"));
    assert_eq!(listen("[http]\nlisten = \"[::1]:9000\"\n").as_deref(), Some("[::1]:9000"));
    assert_eq!(listen("[http]\nlisten = \"\"\n"), None);
    let named =
        good(&format!("{BASE}[http]\nallowed_hosts = [\"otter.example.test.\", \"metrics\"]\n")).http.allowed_hosts;
    assert_eq!(named, ["otter.example.test", "metrics"]);
    assert!(good(BASE).http.allowed_hosts.is_empty());
}

#[test]
fn ready_asks_for_the_primary_unless_told_otherwise() {
    let ready = |text: &str| good(&format!("{BASE}{text}")).http.ready;
    assert_eq!([ready(""), ready("[http]\nready = \"primary\"\n")], [Ready::Primary; 2]);
    assert_eq!(ready("[http]\nready = \"any_host\"\n"), Ready::AnyHost);
    assert_eq!(ready("[http]\nready = \"listening\"\n"), Ready::Listening);
}

#[test]
fn tls_settings_have_pgbouncers_names_and_defaults() {
    let plain = good("[databases.shop]\nhosts = [\"a\"]\n[pooler]\nauth_type = \"trust\"").pooler;
    assert_eq!((plain.client_tls.sslmode, plain.server_tls), (SslMode::Disable, ServerTls::default()));
    let text = "[databases.shop]\nhosts = [\"a\"]\n[pooler]\nauth_type = \"trust\"\nclient_tls_sslmode = \"verify-full\"\n\
                client_tls_key_file = \"keys/own\"\nclient_tls_cert_file = \"/own.crt\"\nclient_tls_ca_file = \"ca.crt\"\n\
                client_tls_protocols = \"tlsv1.3\"\nserver_tls_sslmode = \"verify-full\"\nserver_tls_ca_file = \"\"\n\
                server_tls_protocols = \"tlsv1.2, tlsv1.3\"";
    let pooler = good(text).pooler;
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        pooler.client_tls,
        ClientTls {
            sslmode: SslMode::VerifyFull,
            key_file: path("/etc/otter/keys/own"),
            cert_file: path("/own.crt"),
            ca_file: path("/etc/otter/ca.crt"),
            protocols: TlsProtocols::Only13,
        }
    );
    assert_eq!(pooler.server_tls, ServerTls { sslmode: SslMode::VerifyFull, ..ServerTls::default() });
}

#[test]
fn a_rule_may_lead_to_another_database_for_clients_of_one() {
    let rule = "{ database = \"shop*\", table = \"logs.*\", user = \"a*\", route = \"database=logs\" }";
    let logs = "[databases.logs]\nhosts = [\"b\"]\n";
    let config = good(&format!("{BASE}{logs}[routing]\nrules = [{rule}]\n"));
    let [rule] = &config.routing.rules[..] else { panic!("one rule was given") };
    assert_eq!(rule.route, RuleRoute::Database("logs".to_owned()));
    for (database, user, is_for) in
        [("shop", "ann", true), ("shop_2", "a", true), ("crm", "ann", false), ("shop", "bob", false)]
    {
        assert_eq!(rule.is_for(database, user), is_for, "{database} {user}");
    }
    assert_eq!(oddities(&config), [""; 0]);
    let session = format!(
        "{BASE}{logs}pool_mode = \"session\"\n[routing]\nrules = [{{ table = \"a\", route = \"database=logs\" }}]\n"
    );
    let said = oddities(&good(&session));
    assert!(
        said.iter().any(|line| line.contains("database logs") && line.contains("pool_mode is session")),
        "{said:?}"
    );
    let home = BASE.replace("hosts = [\"pg-0\"]", "hosts = [\"pg-0\"]\npool_mode = \"session\"");
    let said =
        oddities(&good(&format!("{home}{logs}[routing]\nrules = [{{ table = \"a\", route = \"database=logs\" }}]\n")));
    assert!(said.iter().any(|line| line.contains("database *") && line.contains("are not read")), "{said:?}");
}

#[test]
fn alerts_have_defaults_by_their_types() {
    let text = "[[alert]]\ntype = \"single\"\nover = \"5s\"\n[[alert]]\nname = \"errors\"\ntype = \"error_ratio\"\nover = 0.05\n\
                [[alert]]\ntype = \"pool_wait\"\nover = 2\n[[alert]]\ntype = \"average\"\nover = \"1s\"\n\
                match = { database = \"shop*\", tables = [\"orders\", \"s.items*\"], kind = \"write\" }\n";
    let alerts = good(&format!("{BASE}{text}")).alerts;
    let shown = |at: usize| (alerts[at].name.as_str(), alerts[at].window.as_secs(), alerts[at].scope);
    assert_eq!(shown(0), ("single", 300, Scope::Fingerprint));
    assert_eq!(shown(1), ("errors", 300, Scope::Database));
    assert_eq!(shown(2), ("pool_wait", 30, Scope::Fingerprint));
    assert_eq!(shown(3), ("average", 300, Scope::Fingerprint));
    assert_eq!((alerts[3].min_calls, alerts[3].clear, alerts[3].clear_for), (20, 0.8, Duration::from_secs(60)));
    let matches = &alerts[3].matches;
    assert!(matches.has_database("shop_eu") && !matches.has_database("web"));
    for (kind, tables, has) in [
        ("write", "orders", true),
        ("write", "public.orders", true),
        ("write", "a,s.items_2026", true),
        ("write", "t.items_2026", false),
        ("write", "", false),
        ("read", "orders", false),
    ] {
        assert_eq!(matches.has_statement(None, kind, tables), has, "{kind} {tables}");
    }
}

#[test]
fn an_alert_may_be_of_applications_and_each_pattern_is_counted_once() {
    let one = |name: &str, kind: &str, pattern: &str| {
        format!(
            "[[alert]]\nname = \"{name}\"\ntype = \"{kind}\"\nover = 0.5\nmatch = {{ application = \"{pattern}\" }}\n"
        )
    };
    let all = [
        one("a", "average", "billing-*"),
        one("b", "error_ratio", "till"),
        one("c", "error_ratio", "billing-*"),
        // Each single one is told with whose it was.
        one("d", "single", "report"),
    ];
    let alerts = good(&format!("{BASE}{}", all.concat())).alerts;
    let matches = &alerts[0].matches;
    assert!(
        matches.has_application("billing-7") && !matches.has_application("billing") && !matches.has_application("")
    );
    assert!(Match::default().has_application(""));
    assert_eq!(Alert::circles(&alerts).iter().map(|circle| &**circle).collect::<Vec<_>>(), ["billing-*", "till"]);
}

#[test]
fn webhooks_are_taken_apart_and_may_stand_elsewhere() {
    let text = "[notify]\nformat = \"slack\"\nwebhook = [\"https://hooks.example.test/services/T0?x=1\", \"http://[::1]:8080\", \
                { url = \"http://a\", format = \"json\" }, { url = { env = \"HOOK\" } }]\n";
    let env = |name: &str| (name == "HOOK").then(|| "https://b:1/c".to_owned());
    let config = parse(&format!("{BASE}{text}"), Path::new("/etc/otter/pooler.toml"), &read, &env, 6);
    let notify = config.unwrap_or_else(|report| panic!("{report}")).notify;
    let hook = |hook: &Webhook| (hook.tls, hook.host.clone(), hook.port, hook.path.expose().clone(), hook.format);
    let expected = [
        (true, "hooks.example.test", 443, "/services/T0?x=1", Format::Slack),
        (false, "::1", 8080, "/", Format::Slack),
        (false, "a", 80, "/", Format::Json),
        (true, "b", 1, "/c", Format::Slack),
    ]
    .map(|(tls, host, port, path, format)| (tls, host.to_owned(), port, path.to_owned(), format));
    assert_eq!(notify.webhook.iter().map(hook).collect::<Vec<_>>(), expected);
    assert_eq!((notify.timeout, notify.retry_for), (Duration::from_secs(10), Duration::from_secs(3600)));
}
