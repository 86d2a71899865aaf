//! What is secret is shown nowhere: not by the console, not over HTTP, and not in the log at debug level.

use super::place::{Role, fresh_role, line, log_in, log_in_to, server};
use super::strangers::proof;
use crate::support::raw::{Raw, error_code, first_packet, query, startup};
use crate::support::scrape::get;
use crate::support::{PgOtter, client, must, state};
use base64::Engine;
use pgotter::cli::ports;
use std::cell::Cell;

/// What `mock_authentication_secret` is.
const MOCK: &str = "an otter swims by";

/// What somebody takes for a password.
const GUESS: &str = "a guess at the secret";

/// Of nobody's password.
const HASH: &str = "md5f21205ee34c367bad3cf538ed882cf9e";

/// `keeper` is listed with the server's verifier, `talker` in plain text and may do anything in the console, `forced` is who the
/// servers of a database log in as.
fn start([keeper, talker, forced]: [&Role; 3]) -> (PgOtter, u16) {
    let http = Cell::new(0);
    let file = state().path().join("users-shown-nowhere");
    let lines = [line(&keeper.name, &keeper.stored()), line(&talker.name, &talker.password()), line("hashed", HASH)];
    must(state().write(&file, &lines.concat()));
    let host = format!("hosts = [\"127.0.0.1:{}\"]\n", server().port());
    let pooler = PgOtter::start_with(
        |port| {
            http.set(ports::free_port());
            format!(
                "[pooler]\nlisten_port = {port}\nauth_type = \"scram-sha-256\"\nauth_file = {file:?}\n\
                 admin_users = {:?}\nmock_authentication_secret = {MOCK:?}\n[http]\nlisten = \"127.0.0.1:{}\"\n\
                 [databases.postgres]\n{host}[databases.forced]\ndbname = \"postgres\"\nuser = {:?}\npassword = {:?}\n{host}",
                talker.name,
                http.get(),
                forced.name,
                forced.password(),
            )
        },
        &[("PGOTTER_LOG", "debug")],
    );
    (pooler, http.get())
}

fn enter(port: u16, role: &Role, minor: i32) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(3, minor, &[("user", &role.name), ("database", "postgres")]));
    client.frame().unwrap();
    let proof = proof(&mut client, &role.password()).1;
    client.send(&proof);
    client.welcomed();
    client
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every way in which some bytes may be written.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let list = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let number = bytes.try_into().map(|bytes| u32::from_be_bytes(bytes).to_string());
    let base64 = base64::prelude::BASE64_STANDARD_NO_PAD.encode(bytes);
    [hex(bytes), hex(bytes).to_uppercase(), base64, list(bytes), bytes.escape_ascii().to_string()]
        .into_iter()
        .chain(number.ok())
        .collect()
}

/// The verifier, and its two keys.
fn parts(verifier: &str) -> Vec<String> {
    let keys = verifier.rsplit('$').next().unwrap().split(':');
    let bytes = keys.map(|key| base64::prelude::BASE64_STANDARD.decode(key).unwrap());
    bytes.flat_map(|key| spellings(&key)).chain([verifier.to_owned()]).collect()
}

/// Names of all tables that the console and the API have.
fn tables(http: u16) -> Vec<String> {
    let index = get(http, "/api/v1/").body;
    let names = index.split('"').filter_map(|word| word.strip_prefix("/api/v1/"));
    names.filter(|name| !name.contains('{')).map(str::to_owned).collect()
}

/// All that is shown, by where.
fn shown(pooler: &PgOtter, http: u16, operator: &Role) -> Vec<(String, String)> {
    let paths = tables(http).into_iter().map(|name| format!("/api/v1/{name}"));
    let paths = paths.chain(["/metrics", "/live", "/ready", "/api/v1/queries?window=1m"].map(str::to_owned));
    let mut all: Vec<_> = paths.map(|path| (path.clone(), get(http, &path).body)).collect();
    let tables = tables(http);
    let shows = tables.iter().filter(|name| !name.contains('/')).map(|name| format!("SHOW {name}"));
    let mut psql = client("psql", pooler.port(), &["-X", "-d", "pgotter", "-U", &operator.name]);
    for show in shows.chain(["SHOW HELP".to_owned()]) {
        psql.args(["-c", &show]);
    }
    let output = psql.env("PGPASSWORD", operator.password()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    all.push(("the console".to_owned(), String::from_utf8_lossy(&output.stdout).into_owned()));
    all.push(("the log".to_owned(), pooler.log()));
    all
}

#[test]
fn no_secret_is_shown_anywhere() {
    let roles = ["scram-sha-256", "md5", "scram-sha-256"].map(fresh_role);
    let [keeper, talker, forced] = &roles;
    let (pooler, http) = start([keeper, talker, forced]);
    let port = pooler.port();
    let mut clients: Vec<_> = roles[..2].iter().flat_map(|role| [0, 2].map(|minor| enter(port, role, minor))).collect();
    for client in &mut clients {
        assert_eq!(error_code(&client.ask("SET work_mem = '5MB'; SELECT 'otters', pg_sleep(0.01)")), None);
        assert_eq!(error_code(&client.ask("SELECT 1 / 0")).as_deref(), Some("22012"));
        assert_eq!(error_code(&client.ask("LISTEN otters")), None);
    }
    assert_eq!(log_in_to("forced", port, &keeper.name, &keeper.password()), Ok(forced.name.clone()));
    for user in [&keeper.name, &talker.name, "hashed", "nobody"] {
        assert!(log_in(port, user, GUESS).is_err());
    }
    clients[0].send(&query("SELECT pg_sleep(100)"));
    let key = [&clients[0].pid.to_be_bytes()[..], &clients[0].secret].concat();
    let mut cancelled = false;
    while !cancelled {
        // The first may come before its statement.
        let mut cancel = Raw::connect(port);
        cancel.send(&first_packet(80_877_102, &key));
        assert!(cancel.until_end().is_empty());
        cancelled = !clients[0].hears_nothing();
    }
    assert_eq!(error_code(&clients[0].until_ready()).as_deref(), Some("57014"));

    let shown = shown(&pooler, http, talker);
    let whole: String = shown.iter().map(|(_, text)| text.as_str()).collect();
    assert!(["\"DEBUG\"", "otters", &keeper.name, &forced.name].iter().all(|word| whole.contains(word)), "{whole}");
    let mut secrets: Vec<_> = roles.iter().map(Role::password).collect();
    secrets.extend([MOCK.to_owned(), GUESS.to_owned(), HASH.to_owned(), HASH.replace("md5", "")]);
    secrets.extend([keeper, forced].iter().flat_map(|role| parts(&role.stored())));
    secrets.push(talker.stored());
    secrets.extend(clients.iter().flat_map(|client| spellings(&client.secret)));
    for (place, text) in &shown {
        // As it was before it became JSON.
        let text = text.replace(r"\\", r"\");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is shown by {place}: {text}");
        }
    }
}
