//! What these tests stand on: one PostgreSQL that asks each role for the proof its name says, PgOtters in front of it, and
//! a client that knows every method.

use crate::support::{PgOtter, must, postgres, state};
use pgotter::auth::Verifier;
use pgotter::auth::verifier::ITERATIONS_DEFAULT;
use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options};
use rustix::process::Signal;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use crate::support::waiting::{SOON, eventually, soon};

/// What PostgreSQL may ask for.
pub const SERVER_METHODS: [&str; 4] = ["trust", "password", "md5", "scram-sha-256"];

/// What a client may be asked for.
pub const CLIENT_METHODS: [&str; 4] = ["trust", "plain", "md5", "scram-sha-256"];

/// A role that PostgreSQL asks for a proof by `method`, whose password is its name and "'s secret".
pub struct Role {
    pub name: String,
    pub method: &'static str,
}

/// One PostgreSQL for all tests. Members of the group `by_<method>` prove themselves by that method.
pub fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let hba = SERVER_METHODS.map(|method| format!("host all +{} 127.0.0.1/32 {method}", group(method)));
        let options =
            Options { max_connections: 400, auth: HostAuth::ScramSha256, hba: hba.to_vec(), ..Options::default() };
        let server = postgres(&options);
        for method in SERVER_METHODS {
            must(server.psql("postgres", &format!("CREATE ROLE {}", group(method))));
        }
        server
    })
}

/// Whose members PostgreSQL asks by this method.
pub fn group(method: &str) -> String {
    format!("by_{}", method.replace('-', "_"))
}

/// What the superuser sees and does, without a pooler between.
pub fn look(sql: &str) -> String {
    must(server().psql("postgres", sql))
}

/// A role nobody else uses. For md5 PostgreSQL keeps an md5 hash, or it would ask for SCRAM.
pub fn fresh_role(method: &'static str) -> Role {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("role_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let role = Role { name, method };
    look(&format!("CREATE ROLE {} LOGIN IN ROLE {}", role.name, group(method)));
    role.becomes(&role.password());
    role
}

impl Role {
    pub fn password(&self) -> String {
        format!("{}'s secret", self.name)
    }

    /// Another password on the server.
    pub fn becomes(&self, password: &str) {
        let encryption = if self.method == "md5" { "md5" } else { "scram-sha-256" };
        let password = password.replace('\'', "''");
        look(&format!("SET password_encryption = '{encryption}'; ALTER ROLE {} PASSWORD '{password}'", self.name));
    }

    /// What PostgreSQL keeps of the password.
    pub fn stored(&self) -> String {
        look(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{}'", self.name))
    }

    /// A verifier of its password: the server's own if it has one.
    pub fn verifier(&self) -> String {
        Some(self.stored())
            .filter(|stored| stored.starts_with("SCRAM"))
            .unwrap_or_else(|| verifier(&self.password(), 1))
    }

    /// Ends its servers.
    pub fn cool_down(&self) {
        let servers = format!("FROM pg_stat_activity WHERE usename = '{}'", self.name);
        look(&format!("SELECT pg_terminate_backend(pid) {servers}"));
        eventually("its servers are gone", || look(&format!("SELECT count(*) {servers}")) == "0");
    }
}

/// A verifier with a salt of the test's choice.
pub fn verifier(password: &str, salt: u8) -> String {
    Verifier::from_password(password, [salt; 16], ITERATIONS_DEFAULT).to_text().expose().clone()
}

/// What PostgreSQL makes of a password by md5.
pub fn md5(name: &str, password: &str) -> String {
    look(&format!("SELECT 'md5' || md5('{}{name}')", password.replace('\'', "''")))
}

/// A line of `auth_file`.
pub fn line(user: &str, secret: &str) -> String {
    format!("\"{user}\" \"{}\"\n", secret.replace('"', "\"\""))
}

/// In front of [`server`]: clients log in by `method` against these lines of `auth_file`.
pub fn pgotter(method: &str, lines: &str) -> PgOtter {
    pgotter_with(method, lines, &format!("[databases.\"*\"]\nhosts = [\"127.0.0.1:{}\"]\n", server().port()))
}

/// The same, with databases of the test's own.
pub fn pgotter_with(method: &str, lines: &str, databases: &str) -> PgOtter {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let file = state().path().join(format!("users-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    must(state().write(&file, lines));
    PgOtter::start(|port| {
        let auth = format!("auth_type = \"{method}\"\nauth_file = \"{}\"", file.display());
        format!("[pooler]\nlisten_port = {port}\n{auth}\n{databases}")
    })
}

/// Puts other lines into the `auth_file` and has it read.
pub fn rewrite(pooler: &mut PgOtter, lines: &str) {
    let config = std::fs::read_to_string(pooler.config_file()).unwrap();
    let file = config.lines().find_map(|line| line.strip_prefix("auth_file = ")).unwrap().trim_matches('"').to_owned();
    must(state().write(Path::new(&file), lines));
    let reloads = |pooler: &PgOtter| pooler.log().matches("configuration reloaded").count();
    let before = reloads(pooler);
    pooler.signal(Signal::HUP);
    eventually("the reload", || reloads(pooler) > before);
}

/// Logs in and asks who it is; that, or code and message of the refusal.
pub fn log_in(port: u16, user: &str, password: &str) -> Result<String, (String, String)> {
    log_in_to("postgres", port, user, password)
}

/// The same, to another database.
pub fn log_in_to(database: &str, port: u16, user: &str, password: &str) -> Result<String, (String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname(database);
        let refusal = |error: tokio_postgres::Error| {
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{user}: {error:?}"));
            (refusal.code().code().to_owned(), refusal.message().to_owned())
        };
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(refusal)?;
        let connection = tokio::spawn(connection);
        let row = client.query_one("SELECT session_user::text", &[]).await.map_err(refusal)?;
        drop(client);
        connection.await.unwrap().unwrap();
        Ok(row.get(0))
    })
}
