//! Who may come in, and how servers are logged in to.

use super::support::{PgOtter, must, postgres, run_client, state};
use super::talk::Client;
use super::world::{cluster, config, fresh_role, host, look, pgotter};
use pgotter::cli::local_postgres::{HostAuth, Options};
use std::path::PathBuf;

/// Logs in with tokio-postgres; who came in, or the code and message of the refusal.
fn log_in(port: u16, user: &str, password: &str) -> Result<String, (String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(|error| {
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
            (refusal.code().code().to_owned(), refusal.message().to_owned())
        })?;
        let connection = tokio::spawn(connection);
        let user = client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
        drop(client);
        connection.await.unwrap().unwrap();
        Ok(user)
    })
}

/// Writes an `auth_file` that PgOtter can read.
fn auth_file(name: &str, lines: &str) -> PathBuf {
    let file = state().path().join(name);
    must(state().write(&file, lines));
    file
}

#[test]
fn with_trust_nobody_is_asked_for_a_password() {
    let role = fresh_role();
    let pooler = pgotter("", "");
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT current_user"), role);
    assert_eq!(log_in(pooler.port(), &role, "whatever").unwrap(), role);
}

#[test]
fn scram_takes_verifiers_and_plain_text_and_refuses_everything_else_alike() {
    let (plain, verified) = (fresh_role(), fresh_role());
    look(&format!("ALTER ROLE {verified} PASSWORD 'secret of verified'"));
    let verifier = look(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{verified}'"));
    assert!(verifier.starts_with("SCRAM-SHA-256$"));
    let lines = format!("\"{plain}\" \"plain \"\"secret\"\n\"{verified}\" \"{verifier}\"\n");
    let file = auth_file("scram.txt", &lines);
    let pooler = pgotter(&format!("auth_type = \"scram-sha-256\"\nauth_file = \"{}\"", file.display()), "");
    let port = pooler.port();
    assert_eq!(log_in(port, &plain, "plain \"secret").unwrap(), plain);
    assert_eq!(log_in(port, &verified, "secret of verified").unwrap(), verified);
    let refused = |user: &str| ("28P01".to_owned(), format!("password authentication failed for user \"{user}\""));
    assert_eq!(log_in(port, &plain, "wrong").unwrap_err(), refused(&plain));
    assert_eq!(log_in(port, &verified, "wrong").unwrap_err(), refused(&verified));
    assert_eq!(log_in(port, "nobody_knows", "wrong").unwrap_err(), refused("nobody_knows"));
    // A role that PostgreSQL knows and the list does not is nobody either.
    assert_eq!(log_in(port, "postgres", "otter-postgres").unwrap_err(), refused("postgres"));
    let psql = run_client("psql", port, &["-U", &plain, "-c", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&psql.stderr).contains("password authentication failed"));
}

#[test]
fn an_unknown_database_is_3d000() {
    let role = fresh_role();
    let host = host(cluster());
    let pooler = PgOtter::start(|port| {
        let pooler = format!("[pooler]\nlisten_port = {port}\nauth_type = \"trust\"");
        format!("{pooler}\n[databases.known]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\n")
    });
    let login = |database| Client::try_connect(pooler.port(), &[("user", &*role), ("database", database)]);
    login("unknown").err().unwrap().fatal("3D000");
    assert_eq!(login("known").unwrap().value("SELECT current_database()"), "postgres");
}

#[test]
fn servers_are_logged_in_to_by_trust_password_md5_and_scram() {
    let methods = ["trust", "password", "md5", "scram-sha-256"];
    let user = |method: &str| format!("by_{}", method.replace('-', "_"));
    let hba = methods.iter().map(|method| format!("host all {} 127.0.0.1/32 {method}", user(method))).collect();
    let server = postgres(&Options { auth: HostAuth::Reject, hba, ..Options::default() });
    let mut users = String::new();
    for method in methods {
        let (role, encryption) = (user(method), if method == "md5" { "md5" } else { "scram-sha-256" });
        let create =
            format!("SET password_encryption = '{encryption}'; CREATE ROLE {role} LOGIN PASSWORD 'pass of {role}'");
        must(server.psql("postgres", &create));
        if method != "trust" {
            users.push_str(&format!("[users.{role}]\npassword = \"pass of {role}\"\n"));
        }
    }
    let pooler = PgOtter::start(|port| config(port, &host(&server), "", &users));
    for method in methods {
        let role = user(method);
        assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT current_user"), role);
    }
    // Reached with a password it does not ask for, or with none: PostgreSQL's answer.
    Client::try_connect(pooler.port(), &[("user", "postgres"), ("database", "postgres")]).err().unwrap().fatal("28000");
}

#[test]
fn a_server_that_asks_for_a_password_nobody_knows_is_told_at_once() {
    let server = postgres(&Options { auth: HostAuth::ScramSha256, ..Options::default() });
    let pooler = PgOtter::start(|port| config(port, &host(&server), "server_connect_timeout = \"10min\"", ""));
    let refused = Client::try_connect(pooler.port(), &[("user", "postgres"), ("database", "postgres")]).err().unwrap();
    assert_eq!((refused.errors.len(), refused.status), (1, None), "{refused:?}");
    assert!(refused.errors[0].message.contains("password"), "{refused:?}");
}

#[test]
fn with_a_forced_user_every_client_is_that_user_on_the_server() {
    let role = fresh_role();
    let database =
        format!("[databases.forced]\ndbname = \"postgres\"\nhosts = [\"{}\"]\nuser = \"{role}\"", host(cluster()));
    let pooler = pgotter("default_pool_size = 2", &database);
    for client in ["alice", "bob", "nobody PostgreSQL knows"] {
        assert_eq!(Client::connect(pooler.port(), client, "forced").value("SELECT session_user"), role);
    }
}

#[test]
fn a_star_database_serves_every_name_there_is() {
    let role = fresh_role();
    look(&format!("CREATE DATABASE \"of {role}\" TEMPLATE template0"));
    let pooler = pgotter("", "");
    for database in ["postgres", "template1", &format!("of {role}")] {
        assert_eq!(Client::connect(pooler.port(), &role, database).value("SELECT current_database()"), database);
    }
    Client::try_connect(pooler.port(), &[("user", &role), ("database", "nowhere")]).err().unwrap().fatal("3D000");
    // Without a name the user's is meant, as with PostgreSQL.
    look(&format!("CREATE DATABASE {role} TEMPLATE template0"));
    assert_eq!(Client::connect_with(pooler.port(), &[("user", &role)]).value("SELECT current_database()"), role);
}

#[test]
fn connect_query_runs_on_each_server_and_its_failure_keeps_nobody_out() {
    let role = fresh_role();
    let host = host(cluster());
    let entry = |name, query| {
        format!("[databases.{name}]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\nconnect_query = \"{query}\"\n")
    };
    let pooler = pgotter("", &(entry("good", "SET work_mem = '9MB'") + &entry("bad", "SELECT 1/0")));
    assert_eq!(Client::connect(pooler.port(), &role, "good").value("SHOW work_mem"), "9MB");
    assert_eq!(Client::connect(pooler.port(), &role, "bad").value("SHOW work_mem"), "4MB");
    assert!(pooler.log().contains("division by zero"));
}

#[test]
fn clients_and_servers_may_use_unix_sockets() {
    let role = fresh_role();
    let folder = state().path().display();
    let socket = cluster().socket_dir().display();
    let pooler = PgOtter::start(|port| {
        let database = format!("[databases.\"*\"]\nhost = \"{socket}\"\nport = {}\n", cluster().port());
        format!("[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nunix_socket_dir = \"{folder}\"\n{database}")
    });
    let folder = folder.to_string();
    let arguments = ["-h", &folder, "-U", &role, "-X", "-A", "-t", "-c", "SELECT inet_client_addr() IS NULL"];
    let answer = run_client("psql", pooler.port(), &arguments);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "t\n", "{}", String::from_utf8_lossy(&answer.stderr));
    // A cancel takes the same way as its server.
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.send(&super::talk::query("SELECT pg_sleep(100)"));
    super::world::until_it_sleeps(&backend);
    client.cancel();
    client.answer().error("57014");
}

#[test]
fn a_database_may_have_a_client_encoding_and_a_timezone_which_clients_may_override() {
    let role = fresh_role();
    let settings = "client_encoding = \"LATIN1\"\ntimezone = \"Asia/Tokyo\"\ndatestyle = \"German\"\napplication_name = \"by default\"";
    let pooler = pgotter("default_pool_size = 1", settings);
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let reported = ["client_encoding", "TimeZone", "DateStyle"].map(|name| client.parameters[name].clone());
    assert_eq!(reported, ["LATIN1", "Asia/Tokyo", "German, DMY"]);
    let mut own = Client::connect_with(
        pooler.port(),
        &[("user", &role), ("database", "postgres"), ("client_encoding", "UTF8"), ("TimeZone", "UTC")],
    );
    for _ in 0..2 {
        assert_eq!(client.value("SHOW timezone"), "Asia/Tokyo");
        assert_eq!(client.value("SHOW client_encoding"), "LATIN1");
        assert_eq!(client.value("SHOW application_name"), "by default");
        assert_eq!(own.value("SHOW timezone"), "UTC");
        assert_eq!(own.value("SHOW client_encoding"), "UTF8");
    }
    assert_eq!((&*own.parameters["TimeZone"], &*own.parameters["client_encoding"]), ("UTC", "UTF8"));
}
