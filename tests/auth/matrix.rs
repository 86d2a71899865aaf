//! Client method × what `auth_file` holds × server method × cold and warm pool × right and wrong password.

use super::place::{CLIENT_METHODS, Role, SERVER_METHODS, fresh_role, line, log_in, log_in_to, pgotter, pgotter_with};
use super::place::{md5, server, verifier};

/// What `auth_file` may hold of a user.
const ENTRIES: [&str; 3] = ["plain text", "md5", "verifier"];

fn entry(role: &Role, kind: &str) -> String {
    let secret = match kind {
        "plain text" => role.password(),
        "md5" => md5(&role.name, &role.password()),
        _ => role.verifier(),
    };
    line(&role.name, &secret)
}

/// Whether a client can prove itself.
fn client_is_believed(client: &str, kind: &str) -> bool {
    client != "scram-sha-256" || kind != "md5"
}

/// Whether PgOtter can then prove itself to the server.
fn server_is_content(client: &str, kind: &str, server: &str) -> bool {
    match (server, kind) {
        ("trust", _) | (_, "plain text") | ("md5", "md5") => true,
        // Pass-through: the client's own key.
        ("scram-sha-256", "verifier") => client != "trust",
        _ => false,
    }
}

fn check(client: &str) {
    let wanted = ENTRIES.iter().flat_map(|kind| SERVER_METHODS.map(|method| (*kind, method)));
    let roles: Vec<_> = wanted.map(|(kind, method)| (kind, fresh_role(method))).collect();
    let lines: String = roles.iter().map(|(kind, role)| entry(role, kind)).collect();
    let pooler = pgotter(client, &lines);
    for (kind, role) in &roles {
        let case = format!("{client}, {kind}, {}", role.method);
        let log_in = |password: &str| log_in(pooler.port(), &role.name, password);
        let wrong = ("28P01".to_owned(), format!("password authentication failed for user \"{}\"", role.name));
        if client != "trust" {
            assert_eq!(log_in("wrong"), Err(wrong.clone()), "{case}, wrong, cold");
        }
        for pool in ["cold", "warm"] {
            let answer = log_in(&role.password());
            match (client_is_believed(client, kind), server_is_content(client, kind, role.method)) {
                (true, true) => assert_eq!(answer, Ok(role.name.clone()), "{case}, {pool}"),
                (true, false) => {
                    let (code, message) = answer.expect_err(&case);
                    assert!(code == "08006" && message.starts_with("cannot log in to the server"), "{case}: {message}");
                }
                (false, _) => assert_eq!(answer, Err(wrong.clone()), "{case}, {pool}"),
            }
        }
        if client != "trust" {
            assert_eq!(log_in("wrong"), Err(wrong), "{case}, wrong, warm");
        }
    }
}

#[test]
fn with_trust_every_server_gets_the_proof_that_auth_file_has() {
    check(CLIENT_METHODS[0]);
}

#[test]
fn with_plain_every_entry_is_checked() {
    check(CLIENT_METHODS[1]);
}

#[test]
fn with_md5_every_entry_is_checked_and_verifiers_by_scram() {
    check(CLIENT_METHODS[2]);
}

#[test]
fn with_scram_everything_but_md5_hashes_is_checked() {
    check(CLIENT_METHODS[3]);
}

#[test]
fn a_forced_user_never_uses_a_clients_key() {
    let role = fresh_role("scram-sha-256");
    let host = format!("hosts = [\"127.0.0.1:{}\"]\n", server().port());
    let databases = format!(
        "[databases.own]\ndbname = \"postgres\"\n{host}[databases.forced]\ndbname = \"postgres\"\nuser = \"{}\"\n{host}",
        role.name
    );
    let pooler = pgotter_with("scram-sha-256", &entry(&role, "verifier"), &databases);
    let log_in = |database| log_in_to(database, pooler.port(), &role.name, &role.password());
    assert_eq!(log_in("own"), Ok(role.name.clone()));
    // The same user, the same role, the same key: but this login is PgOtter's own.
    assert_eq!(log_in("forced").unwrap_err().0, "08006");
    assert_eq!(log_in("own"), Ok(role.name.clone()));
}

#[test]
fn a_key_serves_every_database_of_its_user() {
    let role = fresh_role("scram-sha-256");
    let pooler = pgotter("md5", &entry(&role, "verifier"));
    for database in ["postgres", "template1"] {
        assert_eq!(log_in_to(database, pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
    }
}

#[test]
fn a_verifier_that_is_not_the_servers_is_refused_in_postgresqls_words() {
    let role = fresh_role("scram-sha-256");
    let pooler = pgotter("scram-sha-256", &line(&role.name, &verifier(&role.password(), 7)));
    let refused = ("28P01".to_owned(), format!("password authentication failed for user \"{}\"", role.name));
    assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Err(refused));
    assert!(pooler.log().contains("cannot open a server"));
}
