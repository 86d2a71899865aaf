//! `[http] ready`: what /ready asks for is what the configuration says.

use super::reloading::reload_with;
use super::shown::get;
use super::trio::{ROLE, Trio, config};
use super::world::eventually;
use crate::support::{PgOtter, must};
use pgotter::cli::local_postgres::StopMode;
use pgotter::cli::ports;

/// The configuration of a PgOtter that asks for this.
fn text(port: u16, trio: &Trio, http: u16, database: &str, ready: &str) -> String {
    format!("{}\n[http]\nlisten = \"127.0.0.1:{http}\"\n{ready}\n", config(port, &trio.hosts(), "", database))
}

#[test]
fn a_replica_is_enough_where_any_host_is_and_nobody_where_listening_is() {
    // Where nobody may ask the hosts what they are, each is asked whether it is there.
    for asker in [format!("user = \"{ROLE}\""), "monitor_user = \"nobody\"".to_owned()] {
        let mut trio = Trio::start();
        let http = ports::free_port();
        let mut pooler = PgOtter::start(|port| text(port, &trio, http, &asker, ""));
        let port = pooler.port();
        let say = |pooler: &mut PgOtter, trio: &Trio, ready: &str| {
            assert!(reload_with(pooler, &text(port, trio, http, &asker, ready)), "{}", pooler.log());
        };
        let status = || get(http, "/ready").0;
        eventually("a primary is confirmed", || status() == "200");
        must(trio.primary.stop(StopMode::Fast));
        eventually("the primary is wanted if nothing is said", || status() == "503");
        say(&mut pooler, &trio, "ready = \"any_host\"");
        eventually("a replica is enough", || status() == "200");
        assert!(get(http, "/ready").1.starts_with("ok\n"));
        say(&mut pooler, &trio, "ready = \"primary\"");
        eventually("it is not", || status() == "503");
        say(&mut pooler, &trio, "ready = \"any_host\"");
        eventually("it is", || status() == "200");
        for replica in &mut trio.replicas {
            must(replica.stop(StopMode::Fast));
        }
        eventually("there is nobody", || status() == "503");
        let (_, body) = get(http, "/ready");
        let first = body.lines().next().unwrap_or_default();
        assert!(first.starts_with("database app: no host can serve: "), "{body}");
        for host in trio.hosts() {
            assert!(first.contains(host.trim_matches('"')), "{host}: {body}");
        }
        say(&mut pooler, &trio, "ready = \"listening\"");
        eventually("nobody is asked for", || status() == "200");
        assert!(get(http, "/ready").1.starts_with("ok\n"));
    }
}
