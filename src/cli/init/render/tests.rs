//! What is written is read back by `config`.

use super::super::url;
use super::*;
use crate::config::{self, AuthType, Config, HostRole};
use std::path::Path;

fn facts() -> Facts {
    Facts {
        version: "18.4".to_owned(),
        standby: false,
        max_connections: 100,
        reserved: 3,
        in_use: 7,
        standbys: 1,
        superuser: false,
        own_limit: None,
        asks_password: true,
    }
}

fn read_back(url: &str, facts: &[Facts]) -> Config {
    let target = url::parse(url).unwrap();
    let userlist = userlist(&target);
    let password = target.password.as_ref().map(password_file);
    let read = |path: &Path| match path.to_str() {
        Some(USERLIST) => Ok(userlist.expose().clone()),
        Some(PASSWORD) => Ok(password.as_ref().expect("written").expose().clone()),
        other => panic!("{other:?}"),
    };
    let text = config(&target, facts);
    config::parse(&text, Path::new(CONFIG), &read, &|_| None, 2)
        .unwrap_or_else(|report| panic!("{}", report.render(false)))
}

#[test]
fn a_server_that_asks_for_a_password_gets_it_and_clients_meet_a_verifier() {
    let config = read_back("postgresql://app:se%22cret@pg-0/shop", &[facts()]);
    assert_eq!(config.pooler.auth_type, AuthType::ScramSha256);
    assert!(config.pooler.auth_users["app"].expose().starts_with("SCRAM-SHA-256$4096:"));
    assert_eq!(config.users["app"].password.as_ref().unwrap().expose(), "se\"cret");
    let host = &config.databases["shop"].hosts[0];
    assert_eq!((host.host.as_str(), host.port, host.role), ("pg-0", 5432, HostRole::Auto));
    assert_eq!(config.pooler.default_pool_size, 24);
    assert_eq!(config.databases["shop"].max_db_connections, Some(72));
}

#[test]
fn the_configuration_never_holds_the_password() {
    let target = url::parse("postgresql://app:hunter2@pg-0/shop").unwrap();
    assert!(!config(&target, &[facts()]).contains("hunter2"));
    assert!(!userlist(&target).expose().contains("hunter2"));
}

#[test]
fn where_nobody_asks_for_a_password_none_is_kept() {
    let trusting = Facts { asks_password: false, ..facts() };
    let with = read_back("postgresql://app:secret@127.0.0.1/shop", std::slice::from_ref(&trusting));
    assert_eq!(with.pooler.auth_type, AuthType::ScramSha256);
    assert!(with.users.is_empty());
    let without = read_back("postgresql://app@127.0.0.1/shop", &[trusting]);
    assert_eq!(without.pooler.auth_type, AuthType::Trust);
    assert!(without.knows_user("app") && !without.knows_user("postgres"));
    assert!(without.pooler.listen_addr.iter().all(std::net::IpAddr::is_loopback));
}

#[test]
fn several_hosts_are_written_with_their_roles() {
    let standby = Facts { standby: true, max_connections: 40, ..facts() };
    let config = read_back("postgresql://app:x@pg-0:1,[::1]:2/shop", &[standby, facts()]);
    let hosts = &config.databases["shop"].hosts;
    let roles: Vec<_> = hosts.iter().map(|host| (host.host.as_str(), host.port, host.role)).collect();
    assert_eq!(roles, [("pg-0", 1, HostRole::Replica), ("::1", 2, HostRole::Primary)]);
    assert_eq!(config.pooler.default_pool_size, 9, "the smallest host decides");
}

#[test]
fn strange_names_survive() {
    let url = "postgresql://%22o%27\\:x@%2Ftmp%2Fa%20b/d%22%0Ab";
    let config = read_back(url, &[facts()]);
    assert!(config.databases.contains_key("d\"\nb"));
    assert_eq!(config.databases["d\"\nb"].hosts[0].host, "/tmp/a b");
}

#[test]
fn a_small_server_still_gets_a_pool() {
    for (max_connections, own_limit) in [(1, None), (4, None), (100, Some(1)), (100, Some(2))] {
        let sizes = Sizes::of(&[Facts { max_connections, own_limit, ..facts() }]);
        assert_eq!(sizes, Sizes { pool: 1, database: 1 });
    }
    assert_eq!(Sizes::of(&[Facts { max_connections: 5000, ..facts() }]), Sizes { pool: POOL_MAX, database: 3747 });
}
