//! Over TLS on both sides: clients by certificate and by SCRAM-SHA-256-PLUS, servers by every method, their own certificates' among them.

use super::certificates::{Authority, Identity};
use super::place::{eventually, group, line, log_in, pgotter_with};
use super::tls::{any_database, client_tls, file, has_tls, psql};
use crate::support::proxy::Proxy;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What PostgreSQL may ask for.
const SERVER_METHODS: [&str; 5] = ["trust", "password", "md5", "scram-sha-256", "cert"];

/// Whom both sides trust.
fn ours() -> &'static Authority {
    static OURS: OnceLock<Authority> = OnceLock::new();
    OURS.get_or_init(|| Authority::new("ours"))
}

/// Members of the group `by_<method>` prove themselves by that method over TLS. In plain those of `by_trust` are trusted, too, and others asked for
/// SCRAM.
fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let own = ours().sign("postgres", &["localhost"]);
        let settings = vec![
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{}'", file(&own.certificate).display()),
            format!("ssl_key_file = '{}'", file(&own.key).display()),
            format!("ssl_ca_file = '{}'", file(&ours().certificate).display()),
        ];
        let line = |kind, method| format!("{kind} all +{} 127.0.0.1/32 {method}", group(method));
        let secure = SERVER_METHODS.map(|method| line("hostssl", method));
        let hba = secure.into_iter().chain([line("hostnossl", "trust")]).collect();
        let server = postgres(&Options { settings, hba, auth: HostAuth::ScramSha256, ..Options::default() });
        for method in SERVER_METHODS {
            must(server.psql("postgres", &format!("CREATE ROLE {}", group(method))));
        }
        server
    })
}

fn look(sql: &str) -> String {
    must(server().psql("postgres", sql))
}

/// A role that the server asks for a proof by this method.
struct Role {
    name: String,
    password: String,
}

fn fresh_role(method: &str) -> Role {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("secure_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let password = format!("{name} river stone");
    let encryption = if method == "md5" { "md5" } else { "scram-sha-256" };
    let role = format!("CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {}", group(method));
    look(&format!("SET password_encryption = '{encryption}'; {role}"));
    Role { name, password }
}

/// What clients prove themselves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Certificate,
    Plus,
}

/// Lines for `[pooler]`: servers are shown the role's certificate.
fn server_tls(mode: &str, role: &Role) -> String {
    let own = ours().sign(&role.name, &[]);
    let (certificate, key) = (file(&own.certificate), file(&own.key));
    format!("server_tls_sslmode = \"{mode}\"\nserver_tls_cert_file = {certificate:?}\nserver_tls_key_file = {key:?}\n")
}

/// For this role; its servers are shown the role's certificate.
fn pooler(by: By, role: &Role) -> PgOtter {
    let (method, mode, authority) = match by {
        By::Certificate => ("cert", "verify-full", Some(ours())),
        By::Plus => ("scram-sha-256", "require", None),
    };
    let servers = format!(
        "{}server_tls_ca_file = {:?}\n[databases.postgres]\nhosts = [\"localhost:{}\"]\n",
        server_tls("verify-full", role),
        file(&ours().certificate),
        server().port()
    );
    let lines = client_tls(mode, &ours().sign("localhost", &["localhost"]), authority) + &servers;
    // Somebody else who is listed as well.
    pgotter_with(method, &(line(&role.name, &role.password) + &line("other", "another secret")), &lines)
}

/// Comes as this user, with the proof of that one.
fn come(pooler: &PgOtter, by: By, user: &str, (name, password): (&str, &str), database: &str) -> Result<(), String> {
    let rest = match by {
        By::Certificate => {
            let Identity { certificate, key } = ours().sign(name, &[]);
            format!("sslcert={} sslkey={}", file(&certificate).display(), file(&key).display())
        }
        By::Plus => "channel_binding=require".to_owned(),
    };
    psql(pooler, user, password, &format!("sslmode=require dbname={database} {rest}"))
}

#[test]
fn over_tls_every_proof_is_checked_and_every_server_gets_its_own() {
    if !has_tls("proofs over TLS") {
        return;
    }
    for by in [By::Certificate, By::Plus] {
        let wrong = match by {
            By::Certificate => "certificate authentication failed for user",
            By::Plus => "password authentication failed for user",
        };
        for method in SERVER_METHODS {
            let role = fresh_role(method);
            let pooler = pooler(by, &role);
            let (right, other) = ((&*role.name, &*role.password), ("other", "another secret"));
            for pool in ["cold", "warm"] {
                for (user, proof, database, refusal) in [
                    (&*role.name, other, "postgres", Some(wrong)),
                    ("nobody", ("nobody", "nothing"), "postgres", Some(wrong)),
                    ("nobody", right, "postgres", Some(wrong)),
                    (&role.name, other, "unknown", Some(wrong)),
                    (&role.name, right, "unknown", Some("database \"unknown\" does not exist")),
                    (&role.name, right, "postgres", None),
                ] {
                    let case = format!("{by:?}, {method}, {pool}, {user} as {}, {database}", proof.0);
                    match (come(&pooler, by, user, proof, database), refusal) {
                        (Ok(()), None) => (),
                        (Err(said), Some(refusal)) => assert!(said.contains(refusal), "{case}: {said}"),
                        (came, _) => panic!("{case}: {came:?}"),
                    }
                }
            }
        }
    }
}

const NOLOGIN: &str = "ALTER ROLE {} NOLOGIN";
const EXPIRED: &str = "ALTER ROLE {} VALID UNTIL '2020-01-01'";
const DROPPED: &str = "DROP ROLE {}";
const ROTATED: &str = "ALTER ROLE {} PASSWORD 'another secret'";

/// A role that has come to be in such a state is refused, by a warm pool and by a cold one.
fn are_refused(by: By, state: &str) {
    for method in ["trust", "scram-sha-256", "cert"] {
        let role = fresh_role(method);
        let pooler = pooler(by, &role);
        let enter = || come(&pooler, by, &role.name, (&role.name, &role.password), "postgres");
        assert_eq!(enter(), Ok(()), "{method}, {state}");
        // Before the role is gone: nobody knows its name then.
        let number = look(&format!("SELECT oid FROM pg_roles WHERE rolname = '{}'", role.name));
        look(&state.replace("{}", &role.name));
        if state != ROTATED {
            eventually(&format!("a warm pool refuses: {method}, {state}"), || enter().is_err());
        }
        let servers = format!("FROM pg_stat_activity WHERE usesysid = {number}");
        look(&format!("SELECT count(pg_terminate_backend(pid)) {servers}"));
        eventually("a cold pool", || look(&format!("SELECT count(*) {servers}")) == "0");
        // Also where PostgreSQL would let it in, which looks at the time of passwords only. Passwords it looks at where it asks for them.
        let refused = state != ROTATED || method == "scram-sha-256";
        assert_eq!(enter().is_err(), refused, "a cold pool: {method}, {state}");
    }
}

#[test]
fn a_certificate_lets_in_no_role_that_postgresql_bars() {
    if has_tls("certificates of roles that are barred") {
        [NOLOGIN, EXPIRED, DROPPED].iter().for_each(|state| are_refused(By::Certificate, state));
    }
}

#[test]
fn a_password_bound_to_its_channel_lets_in_no_role_that_postgresql_bars_or_gives_another_one() {
    if has_tls("passwords bound to channels of roles that are barred") {
        [NOLOGIN, EXPIRED, DROPPED, ROTATED].iter().for_each(|state| are_refused(By::Plus, state));
    }
}

#[test]
fn an_expired_role_is_refused_by_a_server_with_tls_and_comes_to_it_once() {
    if !has_tls("expired roles of servers with TLS") {
        return;
    }
    // With `allow` who is asked for a certificate comes in plain, and PostgreSQL itself refuses its password.
    for (mode, method) in
        [("require", "trust"), ("require", "cert"), ("prefer", "trust"), ("prefer", "cert"), ("allow", "trust")]
    {
        let role = fresh_role(method);
        look(&EXPIRED.replace("{}", &role.name));
        let proxy = Proxy::before(server().port(), 0);
        let rest = server_tls(mode, &role) + &any_database(proxy.port);
        let pooler = pgotter_with("trust", &line(&role.name, &role.password), &rest);
        let enter = || log_in(pooler.port(), &role.name, "");
        let refusal = ("28000".to_owned(), format!("role \"{}\" is not permitted to log in", role.name));
        assert_eq!(enter(), Err(refusal), "{mode}, {method}");
        assert_eq!(proxy.connections(), 1, "{mode}, {method}: it came again, with or without TLS");
        look(&format!("ALTER ROLE {} VALID UNTIL 'infinity'", role.name));
        eventually("it may come in", || enter() == Ok(role.name.clone()));
    }
}
