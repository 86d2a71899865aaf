//! Roles that change: passwords rotated, roles expired, barred or gone. PostgreSQL decides, and its words are passed on.

use super::place::{
    Role, SERVER_METHODS, eventually, fresh_role, line, log_in, log_in_to, look, pgotter, pgotter_with, rewrite,
    server, soon, verifier,
};
use super::strangers::cost_of;
use super::tls::any_database;
use crate::support::raw::{Raw, error_code, startup};
use crate::support::{PgOtter, must};
use pgotter::auth::Verifier;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

fn refused(role: &Role) -> (String, String) {
    ("28P01".to_owned(), format!("password authentication failed for user \"{}\"", role.name))
}

/// What PostgreSQL says to a role in such a state, by the method it asks for.
fn refusal(role: &Role, state: &str) -> (String, String) {
    let words = |text: &str| ("28000".to_owned(), format!("role \"{}\" {text}", role.name));
    match (state, role.method) {
        // PostgreSQL would let it in, as it asks for no password, and says that it has expired when asked for that.
        ("VALID UNTIL '2020-01-01'", "trust") | ("NOLOGIN", _) => words("is not permitted to log in"),
        _ => refused(role),
    }
}

#[test]
fn an_expired_and_a_barred_role_are_refused_by_a_cold_pool_in_postgresqls_words() {
    let states = ["VALID UNTIL '2020-01-01'", "NOLOGIN"];
    let roles: Vec<_> = states.iter().flat_map(|state| SERVER_METHODS.map(|m| (*state, fresh_role(m)))).collect();
    for (state, role) in &roles {
        look(&format!("ALTER ROLE {} {state}", role.name));
    }
    for secret in [Role::password, Role::verifier] {
        let lines: String = roles.iter().map(|(_, role)| line(&role.name, &secret(role))).collect();
        let pooler = pgotter("scram-sha-256", &lines);
        for (state, role) in &roles {
            let answer = log_in(pooler.port(), &role.name, &role.password());
            // A verifier proves nothing to a server that asks for a password, or for md5 because it has an md5 hash that
            // counts; of an expired role no hash counts.
            let asks = (role.method, *state);
            let no_proof = asks.0 == "password" || asks == ("md5", "NOLOGIN");
            if secret(role) != role.password() && no_proof {
                assert_eq!(answer.unwrap_err().0, "08006", "{asks:?}");
            } else {
                assert_eq!(answer, Err(refusal(role, state)), "{asks:?}");
            }
        }
    }
}

#[test]
fn a_dropped_role_is_refused_by_a_cold_pool_in_postgresqls_words() {
    for secret in [Role::password, Role::verifier] {
        let role = fresh_role("scram-sha-256");
        let pooler = pgotter("scram-sha-256", &line(&role.name, &secret(&role)));
        assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
        role.cool_down();
        look(&format!("DROP ROLE {}", role.name));
        // The pool may meet its server in its last moment.
        eventually("it is refused", || log_in(pooler.port(), &role.name, &role.password()) == Err(refused(&role)));
        // A role without a group is asked for SCRAM here as well.
        look(&format!("CREATE ROLE {} LOGIN PASSWORD '{}'", role.name, role.password().replace('\'', "''")));
        let again = || log_in(pooler.port(), &role.name, &role.password());
        if secret(&role) == role.password() {
            eventually("it may come in again", || again() == Ok(role.name.clone()));
        } else {
            assert_eq!(again(), Err(refused(&role)), "its verifier is another one now");
        }
    }
}

#[test]
fn a_key_that_postgresql_refuses_is_taught_anew_by_the_next_login() {
    let role = fresh_role("scram-sha-256");
    // The same salt, so that the key fits and is shown.
    let (ours, others) = (verifier(&role.password(), 5), verifier("another password", 5));
    role.becomes(&others);
    let pooler = pgotter("scram-sha-256", &line(&role.name, &ours));
    let again = || log_in(pooler.port(), &role.name, &role.password());
    assert_eq!(again(), Err(refused(&role)));
    role.becomes(&ours);
    eventually("the key is taken", || again() == Ok(role.name.clone()));
}

#[test]
fn f34_a_password_that_changes_on_the_server_is_refused_until_it_is_put_right() {
    let roles = ["password", "md5", "scram-sha-256"].map(fresh_role);
    let lines: String = roles.iter().map(|role| line(&role.name, &role.password())).collect();
    let pooler = pgotter("md5", &lines);
    for role in &roles {
        let again = || log_in(pooler.port(), &role.name, &role.password());
        assert_eq!(again(), Ok(role.name.clone()));
        role.becomes("another password");
        role.cool_down();
        soon("it is refused", || again() == Err(refused(role)));
        role.becomes(&role.password());
        soon("it may come in again", || again() == Ok(role.name.clone()));
    }
}

/// A client of the role that stays.
fn holder(port: u16, role: &Role) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
    client.welcomed();
    client
}

#[test]
fn a_role_that_postgresql_bars_is_refused_at_the_next_login_to_a_warm_pool() {
    for (bar, clear) in [("NOLOGIN", "LOGIN"), ("VALID UNTIL '2020-01-01'", "VALID UNTIL 'infinity'")] {
        let role = fresh_role("trust");
        let pooler = pgotter("trust", &line(&role.name, ""));
        let again = || log_in(pooler.port(), &role.name, "");
        assert_eq!(again(), Ok(role.name.clone()));
        let mut stays = holder(pooler.port(), &role);
        look(&format!("ALTER ROLE {} {bar}", role.name));
        eventually("it is refused", || again().is_err_and(|(code, _)| code == "28000"));
        assert_eq!(stays.value("SELECT 1 FROM pg_catalog.pg_class LIMIT 1"), "1", "who is in is not thrown out");
        look(&format!("ALTER ROLE {} {clear}", role.name));
        eventually("it may come in again", || again() == Ok(role.name.clone()));
    }
}

#[test]
fn a_role_that_postgresql_bars_is_refused_however_many_come_at_once() {
    let role = fresh_role("trust");
    let pooler = pgotter("trust", &line(&role.name, ""));
    let mut stays = holder(pooler.port(), &role);
    assert_eq!(stays.value("SELECT 1"), "1");
    look(&format!("ALTER ROLE {} NOLOGIN", role.name));
    let again = || log_in(pooler.port(), &role.name, "");
    eventually("it is refused", || again().is_err());
    for _ in 0..20 {
        let all: Vec<_> = std::thread::scope(|scope| {
            let logins: Vec<_> = (0..8).map(|_| scope.spawn(again)).collect();
            logins.into_iter().map(|login| login.join().unwrap()).collect()
        });
        assert!(all.iter().all(Result::is_err), "{all:?}");
    }
}

#[test]
fn a_role_that_is_dropped_is_refused_at_the_next_login_to_a_warm_pool() {
    let role = fresh_role("trust");
    let pooler = pgotter("trust", &line(&role.name, ""));
    let again = || log_in(pooler.port(), &role.name, "");
    assert_eq!(again(), Ok(role.name.clone()));
    look(&format!("DROP ROLE {}", role.name));
    eventually("it is refused", || again().is_err_and(|(code, _)| code == "28000" || code == "28P01"));
}

/// With one server for each role.
fn narrow(role: &Role, settings: &str) -> PgOtter {
    let host = format!("[databases.\"*\"]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    pgotter_with("trust", &line(&role.name, &role.password()), &format!("default_pool_size = 1\n{settings}\n{host}"))
}

/// SQLSTATE of the refusal of a login that is followed by no request.
fn knock(port: u16, role: &Role) -> Option<String> {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
    error_code(&client.until_ready())
}

#[test]
fn a_role_that_postgresql_bars_is_refused_at_the_next_login_while_all_servers_are_in_use() {
    for (bar, clear) in [
        ("ALTER ROLE {role} NOLOGIN", Some("ALTER ROLE {role} LOGIN")),
        ("ALTER ROLE {role} VALID UNTIL '2020-01-01'", Some("ALTER ROLE {role} VALID UNTIL 'infinity'")),
        ("DROP ROLE {role}", None),
    ] {
        let role = fresh_role("trust");
        let pooler = narrow(&role, "");
        let mut stays = holder(pooler.port(), &role);
        assert_eq!(error_code(&stays.ask("BEGIN; SELECT 1")), None);
        look(&bar.replace("{role}", &role.name));
        let codes = if clear.is_some() { ["28000"; 2] } else { ["28000", "28P01"] };
        eventually(&format!("it is refused: {bar}"), || {
            let code = knock(pooler.port(), &role);
            assert!(code.as_deref().is_none_or(|code| codes.contains(&code)), "{bar}: {code:?}");
            code.is_some()
        });
        assert_eq!(stays.value("SELECT 1"), "1", "who is in is not thrown out");
        if let Some(clear) = clear {
            look(&clear.replace("{role}", &role.name));
            eventually("it may come in again", || knock(pooler.port(), &role).is_none());
        }
    }
}

#[test]
fn a_role_that_has_operators_of_its_own_is_barred_all_the_same() {
    let role = fresh_role("trust");
    let name = &role.name;
    // As the role itself might do it where it owns a schema.
    look(&format!(
        "CREATE SCHEMA {name}; \
         CREATE FUNCTION {name}.always(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR {name}.= (LEFTARG = name, RIGHTARG = name, FUNCTION = {name}.always); \
         GRANT USAGE ON SCHEMA {name} TO {name}; ALTER ROLE {name} SET search_path = {name}, pg_catalog"
    ));
    let pooler = pgotter("trust", &line(name, ""));
    assert_eq!(knock(pooler.port(), &role), None);
    look(&format!("ALTER ROLE {name} NOLOGIN"));
    eventually("it is refused", || knock(pooler.port(), &role).as_deref() == Some("28000"));
}

#[test]
fn a_role_that_may_not_look_at_itself_is_asked_about_by_a_login() {
    for (database, what) in [
        ("hardened", "SELECT ON pg_catalog.pg_roles"),
        ("hardened_too", "EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity"),
    ] {
        let role = fresh_role("trust");
        look(&format!("CREATE DATABASE {database}"));
        must(server().psql(database, &format!("REVOKE {what} FROM PUBLIC")));
        let pooler = pgotter("trust", &line(&role.name, ""));
        let again = || log_in_to(database, pooler.port(), &role.name, "");
        assert_eq!(again(), Ok(role.name.clone()));
        look(&format!("ALTER ROLE {} NOLOGIN", role.name));
        eventually("it is refused", || again().is_err_and(|(code, _)| code == "28000"));
        look(&format!("ALTER ROLE {} LOGIN", role.name));
        eventually("it may come in again", || again() == Ok(role.name.clone()));
    }
}

#[test]
fn the_role_that_logged_in_is_asked_about_whomever_connect_query_makes_of_it() {
    let (role, somebody) = (fresh_role("trust"), fresh_role("trust"));
    look(&format!("ALTER ROLE {} SUPERUSER; ALTER ROLE {} NOLOGIN", role.name, somebody.name));
    let query = format!("connect_query = \"SET SESSION AUTHORIZATION {}\"\n", somebody.name);
    let pooler = pgotter_with("trust", &line(&role.name, ""), &(any_database(server().port()) + &query));
    let again = || log_in(pooler.port(), &role.name, "");
    assert_eq!(again(), Ok(somebody.name.clone()), "a cold pool serves");
    look(&format!("ALTER ROLE {} NOLOGIN", role.name));
    let refused = || again().is_err_and(|(code, _)| code == "28000");
    eventually("a warm pool refuses it", refused);
    look(&format!("ALTER ROLE {} LOGIN", role.name));
    eventually("and serves, of a role that may log in", || again() == Ok(somebody.name.clone()));
    look(&format!("DROP ROLE {}", role.name));
    eventually("nor is one served that is gone", refused);
}

#[test]
fn a_role_of_which_nobody_can_be_asked_is_refused_while_it_has_servers() {
    let role = fresh_role("trust");
    let pooler = narrow(&role, "server_connect_timeout = \"3s\"");
    let mut stays = holder(pooler.port(), &role);
    assert_eq!(error_code(&stays.ask("BEGIN; SELECT 1")), None);
    // No room for another connection that could ask.
    look(&format!("ALTER ROLE {} CONNECTION LIMIT 1", role.name));
    eventually("it is refused", || {
        let code = knock(pooler.port(), &role);
        assert!(code.as_deref().is_none_or(|code| code == "53300"), "{code:?}");
        code.is_some()
    });
    assert_eq!(error_code(&stays.ask("COMMIT")), None);
    eventually("its server says that it may", || knock(pooler.port(), &role).is_none());
}

#[test]
fn f34_a_password_that_is_rotated_on_both_sides_works_at_the_first_try() {
    let secret_of = |role: &Role, kind: &str, password: &str| match kind {
        "plain text" => line(&role.name, password),
        _ => line(&role.name, &role.stored()),
    };
    for (client, server, kind) in [
        ("scram-sha-256", "scram-sha-256", "plain text"),
        ("scram-sha-256", "scram-sha-256", "verifier"),
        ("md5", "scram-sha-256", "verifier"),
        ("md5", "md5", "plain text"),
        ("plain", "password", "plain text"),
    ] {
        for pool in ["warm", "cold", "refused"] {
            let role = fresh_role(server);
            let mut pooler = pgotter(client, &secret_of(&role, kind, &role.password()));
            assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Ok(role.name.clone()));
            role.becomes("new secret");
            if pool != "warm" {
                role.cool_down();
            }
            if pool == "refused" {
                let again = || log_in(pooler.port(), &role.name, &role.password());
                eventually("the old one is refused", || again() == Err(refused(&role)));
            }
            rewrite(&mut pooler, &secret_of(&role, kind, "new secret"));
            let case = format!("{client}, {server}, {kind}, {pool}");
            assert_eq!(log_in(pooler.port(), &role.name, "new secret"), Ok(role.name.clone()), "{case}");
            assert_eq!(log_in(pooler.port(), &role.name, &role.password()), Err(refused(&role)), "{case}");
        }
    }
}

#[test]
fn what_is_invented_for_a_stranger_outlives_a_reload() {
    let lines = line("listed", &verifier("x", 3));
    let mut pooler = pgotter("scram-sha-256", &lines);
    let asked = |pooler: &PgOtter| cost_of(pooler.port(), "nobody");
    let before = asked(&pooler);
    rewrite(&mut pooler, &(lines + &line("another", &verifier("y", 4))));
    assert_eq!(asked(&pooler), before);
}

#[test]
fn what_is_invented_of_a_secret_outlives_a_restart() {
    let lines = line("listed", &verifier("x", 3)) + &line("plain", "text");
    let asked = |keys: &str| {
        let hosts = format!("hosts = [\"127.0.0.1:{}\"]", server().port());
        let pooler = pgotter_with("scram-sha-256", &lines, &format!("{keys}\n[databases.\"*\"]\n{hosts}\n"));
        ["listed", "plain", "nobody"].map(|user| cost_of(pooler.port(), user))
    };
    let secret = "mock_authentication_secret = \"an otter swims by\"";
    assert_eq!(asked(secret), asked(secret));
    let [[listed, plain, nobody], then] = [asked(""), asked("")];
    assert_eq!(listed, then[0], "what is stored is what it is");
    assert!(plain != then[1] && nobody != then[2], "without one each start has its own");
}

#[test]
fn strangers_are_given_the_iterations_that_users_have_also_behind_a_reload() {
    let listed = |user: &str, iterations: u32| {
        let iterations = NonZeroU32::new(iterations).unwrap();
        line(user, Verifier::from_password("x", [3; 16], iterations).to_text().expose())
    };
    let mut pooler = pgotter("scram-sha-256", &(listed("one", 4096) + &listed("other", 5000) + &line("plain", "text")));
    let strangers: Vec<_> = (0..30).map(|number| format!("nobody{number}")).collect();
    let asked =
        |pooler: &PgOtter| -> Vec<_> { strangers.iter().map(|stranger| cost_of(pooler.port(), stranger)).collect() };
    let counts = |costs: &[(Vec<u8>, u32)]| costs.iter().map(|(_, iterations)| *iterations).collect::<BTreeSet<_>>();
    let first = asked(&pooler);
    assert_eq!(counts(&first), BTreeSet::from([4096, 5000]), "no number is real users' alone");
    assert_eq!(asked(&pooler), first, "the same every time");
    // More of them, and the same numbers.
    rewrite(&mut pooler, &(listed("one", 4096) + &listed("third", 4096) + &listed("other", 5000)));
    assert_eq!(asked(&pooler), first, "users come and go");
    rewrite(&mut pooler, &(listed("one", 6000) + &listed("other", 7000)));
    let then = asked(&pooler);
    assert_eq!(counts(&then), BTreeSet::from([6000, 7000]), "or whoever has another would be invented");
    // A real user's number changes with the password, and so does the salt.
    assert!(first.iter().zip(&then).all(|(before, now)| before.0 != now.0));
}
