//! README's third block on a real PostgreSQL: `pgotter init`, `pgotter run`, `psql`. And the shipped pooler.toml.

use crate::support::{client, must, postgres, shared_postgres, state};
use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options};
use pgotter::cli::ports;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long, and not a word that could be printed by chance.
const PASSWORD: &str = "Zu9:x/otter@pass%1";
const ENCODED: &str = "Zu9%3Ax%2Fotter%40pass%251";

/// `pgotter`, as the user that runs the servers.
fn pgotter(arguments: &[&str]) -> Command {
    let mut command = Command::new(must(state().runnable(Path::new(env!("CARGO_BIN_EXE_pgotter")))));
    state().adopt(&mut command).args(arguments);
    command
}

/// Runs it to its end; what it printed must not hold the password, in no spelling.
fn finished(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = must(command.output());
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(!text.contains(PASSWORD) && !text.contains(ENCODED) && !text.contains("otter@"), "{text}");
    (status.code(), text)
}

fn init(url: &str, folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    let folder = folder.display().to_string();
    finished(pgotter(&["init", url, "--dir", &folder]).args(more))
}

/// A folder that does not exist yet.
fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    state().path().join(format!("init-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| must(entry).file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn mode(file: PathBuf) -> u32 {
    must(fs::metadata(file)).permissions().mode() & 0o777
}

fn with_user(auth: HostAuth) -> LocalPostgres {
    let server = postgres(&Options { auth, ..Options::default() });
    must(server.psql("postgres", &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")));
    must(server.psql("postgres", "CREATE DATABASE shop OWNER app"));
    server
}

fn url(server: &LocalPostgres) -> String {
    format!("postgresql://app:{ENCODED}@127.0.0.1:{}/shop", server.port())
}

/// `pgotter run -c FILE`, on another port than the file's 6432, which may be taken.
struct Running {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Running {
    fn start(config: &Path) -> Self {
        let port = ports::free_port();
        let text = must(fs::read_to_string(config));
        assert!(text.contains("listen_port = 6432\n"), "{text}");
        let text = text.replace("listen_port = 6432\n", &format!("listen_port = {port}\n"));
        // Others may have the endpoint's default port.
        must(fs::write(config, text + "\n[http]\nlisten = \"\"\n"));
        let file = config.display().to_string();
        let log = config.with_file_name("log");
        let (stdout, stderr) = (must(fs::File::create(&log)), must(fs::File::options().append(true).open(&log)));
        let child = must(pgotter(&["run", "-c", &file]).stdout(stdout).stderr(stderr).spawn());
        let mut running = Self { child, port, log };
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(must(running.child.try_wait()).is_none(), "pgotter run ended");
            assert!(since.elapsed() < Duration::from_secs(20), "pgotter run does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        running
    }

    /// psql as README has it, with `password`.
    fn psql(&self, user: &str, password: &str, sql: &str) -> Output {
        let mut psql = client("psql", self.port, &["-X", "-q", "-A", "-t", "-U", user, "-c", sql, "shop"]);
        must(psql.env("PGPASSWORD", password).output())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- log of pgotter run\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn init_run_and_psql_work_whatever_the_server_asks_for() {
    for auth in [HostAuth::ScramSha256, HostAuth::Md5, HostAuth::Password, HostAuth::Trust] {
        let (server, folder) = (with_user(auth), new_folder());
        let (status, said) = init(&url(&server), &folder, &[]);
        assert_eq!(status, Some(0), "{auth:?}: {said}");
        for part in
            ["a primary without standbys", "max_connections 100, 3 of them reserved", "psql -h 127.0.0.1 -p 6432"]
        {
            assert!(said.contains(part), "{part} is missing in:\n{said}");
        }
        let mut expected = vec!["pooler.toml", "server-password.txt", "userlist.txt"];
        if auth == HostAuth::Trust {
            expected.remove(1);
        }
        assert_eq!(names(&folder), expected);
        for name in expected {
            let text = must(fs::read_to_string(folder.join(name)));
            let secret = name != "pooler.toml";
            assert_eq!(mode(folder.join(name)), if secret { 0o600 } else { 0o644 }, "{name}");
            assert_eq!(text.contains(PASSWORD), name == "server-password.txt", "{name}");
        }
        let (status, said) =
            finished(&mut pgotter(&["check", "-c", &folder.join("pooler.toml").display().to_string()]));
        assert_eq!(status, Some(0), "{said}");

        let running = Running::start(&folder.join("pooler.toml"));
        let who = "SELECT current_user || ' ' || current_database() || ' ' || inet_server_port()";
        assert_eq!(answer(&running.psql("app", PASSWORD, who)), format!("app shop {}", server.port()), "{auth:?}");
        let wrong = refusal(&running.psql("app", "wrong", who));
        assert!(wrong.contains("password authentication failed for user \"app\""), "{auth:?}: {wrong}");
        refusal(&running.psql("postgres", PASSWORD, who));
    }
}

#[test]
fn without_any_password_the_user_and_only_it_gets_in_from_this_machine() {
    let (server, folder) = (with_user(HostAuth::Trust), new_folder());
    let (status, said) = init(&format!("postgresql://app@127.0.0.1:{}/shop", server.port()), &folder, &[]);
    assert_eq!(status, Some(0), "{said}");
    let running = Running::start(&folder.join("pooler.toml"));
    assert_eq!(answer(&running.psql("app", "", "SELECT current_user")), "app");
    refusal(&running.psql("postgres", "", "SELECT current_user"));
}

#[test]
fn a_unix_socket_serves_but_its_trust_is_not_handed_on() {
    let (server, folder) = (with_user(HostAuth::ScramSha256), new_folder());
    let socket = server.socket_dir().display();
    let url = format!("postgresql:///shop?host={socket}&port={}&user=app", server.port());
    let (status, said) = init(&url, &folder, &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("Choose a password"), "{said}");
    assert_eq!(names(&folder), [""; 0]);

    let (status, said) =
        finished(pgotter(&["init", &url, "--dir", &folder.display().to_string()]).env("PGPASSWORD", PASSWORD));
    assert_eq!(status, Some(0), "{said}");
    let running = Running::start(&folder.join("pooler.toml"));
    assert_eq!(answer(&running.psql("app", PASSWORD, "SELECT current_user")), "app");
    refusal(&running.psql("app", "wrong", "SELECT current_user"));
}

#[test]
fn a_primary_and_its_standby_are_told_apart() {
    let mut primary = with_user(HostAuth::ScramSha256);
    let replica = must(primary.replica());
    must(primary.wait_for_replicas(1));
    let folder = new_folder();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", replica.port(), primary.port());
    let (status, said) = init(&format!("postgresql://app:{ENCODED}@{hosts}/shop"), &folder, &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("a standby") && said.contains("a primary with 1 standby"), "{said}");
    // The standby stands first; what goes to the primary shows that the roles arrived.
    let running = Running::start(&folder.join("pooler.toml"));
    assert_eq!(answer(&running.psql("app", PASSWORD, "SELECT pg_is_in_recovery()")), "f");

    let other = with_user(HostAuth::ScramSha256);
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), other.port());
    let (status, said) = init(&format!("postgresql://app:{ENCODED}@{hosts}/shop"), &new_folder(), &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("both primaries"), "{said}");
}

#[test]
fn a_superuser_and_the_connections_in_use_are_mentioned() {
    let server = shared_postgres();
    let url = format!("postgresql://postgres:x@127.0.0.1:{}/postgres", server.port());
    let (status, said) = init(&url, &new_folder(), &[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("is a superuser") && said.contains(" in use"), "{said}");
}

#[test]
fn files_that_exist_stay_unless_forced() {
    let (server, folder) = (with_user(HostAuth::Trust), new_folder());
    must(fs::create_dir(&folder));
    must(state().run_as.give(&folder));
    let userlist = folder.join("userlist.txt");
    must(state().write(&userlist, "mine"));
    let (status, said) = init(&url(&server), &folder, &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("userlist.txt") && said.contains("--force"), "{said}");
    assert_eq!((names(&folder), must(fs::read_to_string(&userlist))), (vec!["userlist.txt".into()], "mine".into()));

    let (status, said) = init(&url(&server), &folder, &["--force"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(must(fs::read_to_string(&userlist)).contains("\"app\" \"SCRAM-SHA-256$"));
    assert_eq!(mode(userlist), 0o600);

    must(state().write(&folder.join("pool.toml"), ""));
    let (status, said) = init(&url(&server), &folder, &["--force"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("pool.toml"), "{said}");
}

#[test]
fn a_failed_login_says_what_failed_and_what_to_do_and_writes_nothing() {
    let server = with_user(HostAuth::ScramSha256);
    must(server.psql("postgres", &format!("CREATE ROLE idle NOLOGIN PASSWORD '{PASSWORD}'")));
    let (port, closed, folder) = (server.port(), ports::free_port(), new_folder());
    for (url, parts) in [
        (
            format!("app:otter-wrong@127.0.0.1:{port}/shop"),
            ["password authentication failed for user", "the password is wrong"],
        ),
        (format!("nobody:x@127.0.0.1:{port}/shop"), ["password authentication failed for user", "does not exist"]),
        (format!("app@127.0.0.1:{port}/shop"), ["asks for a password", "PGPASSWORD"]),
        (format!("idle:{ENCODED}@127.0.0.1:{port}/shop"), ["not permitted to log in", "LOGIN"]),
        (format!("app:{ENCODED}@127.0.0.1:{port}/shoe"), ["database \"shoe\" does not exist", "psql -l"]),
        (format!("app:{ENCODED}@127.0.0.1:{closed}/shop"), ["refused", "is PostgreSQL running there"]),
        (
            format!("app:{ENCODED}@127.0.0.1:{port},127.0.0.1:{closed}/shop"),
            ["refused", &format!("127.0.0.1:{closed}")],
        ),
        (format!("app:{ENCODED}@no-such-host.invalid:{port}/shop"), ["cannot connect", "no-such-host.invalid"]),
    ] {
        let (status, said) = init(&format!("postgresql://{url}"), &folder, &[]);
        assert_eq!(status, Some(1), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part} is missing in: {said}");
        }
        assert!(!said.contains("otter-wrong"), "{said}");
        assert_eq!(names(&folder), [""; 0]);
    }
}

#[test]
fn a_server_that_hba_shuts_out_is_told_from_a_wrong_password() {
    let server = with_user(HostAuth::Reject);
    let (status, said) = init(&url(&server), &new_folder(), &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("pg_hba.conf") && said.contains("a hostssl line will do"), "{said}");
}

#[test]
fn a_malformed_url_says_what_was_expected() {
    for (arguments, part) in [
        (vec!["app:Zu9:x/otter@pass@h/db"], "begin with postgresql://"),
        (vec!["postgresql://app:Zu9:x/otter@pass@h/db"], "%2F"),
        (vec!["postgresql://app:Zu9", "x/otter@pass@h/db"], "one URL"),
        (vec!["postgresql://app:x@h/db?sslmode=require"], "leave sslmode out"),
        (vec!["postgresql://h/db"], "no user"),
    ] {
        let (status, said) = finished(pgotter(&["init"]).args(arguments));
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(part), "{part} is missing in: {said}");
        assert!(part == "one URL" || said.contains("expected postgresql://user:password@host"), "{said}");
        assert!(!said.contains("Zu9"), "{said}");
    }
}

#[test]
fn the_first_configuration_of_the_readme_is_accepted() {
    let readme = must(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")));
    let block = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of TOML");
    let folder = new_folder();
    must(fs::create_dir(&folder));
    must(state().run_as.give(&folder));
    must(state().write(&folder.join("userlist.txt"), "\"app\" \"secret\"\n"));
    must(state().write(&folder.join("pooler.toml"), block));
    let (status, said) = finished(pgotter(&["check"]).current_dir(&folder));
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn the_shipped_configuration_is_accepted_and_starts_without_postgresql() {
    let folder = new_folder();
    must(fs::create_dir(&folder));
    must(state().run_as.give(&folder));
    let (shipped, file) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("pooler.toml"), folder.join("pooler.toml"));
    must(state().write(&file, &must(fs::read_to_string(shipped))));
    let (status, said) = finished(&mut pgotter(&["check", "-c", &file.display().to_string()]));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("host 127.0.0.1 port 5432"), "{said}");
    if !ports::is_free(5432) {
        return crate::support::could_not_run(
            "the shipped configuration without PostgreSQL",
            "something listens on 5432",
        );
    }
    let running = Running::start(&file);
    let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
    let url = format!("postgresql://app@127.0.0.1:{}/shop", running.port);
    let told = runtime.block_on(tokio_postgres::connect(&url, tokio_postgres::NoTls)).err().expect("nobody is there");
    assert_eq!(told.code(), Some(&tokio_postgres::error::SqlState::CANNOT_CONNECT_NOW), "{told}");
}
