//! A reload while somebody logs in: who is let in is whom the configuration in force lets in.

use super::place::{Role, fresh_role, line, pgotter, pgotter_with, rewrite, server, verifier};
use super::strangers::{ask, proof};
use crate::support::raw::{Raw, error_code, startup};
use crate::support::waiting::reload_with;
use crate::support::{PgOtter, must, state};

/// Up to where nothing but the proof is missing.
fn about_to_prove(pooler: &PgOtter, role: &Role, database: &str) -> (Raw, Vec<u8>) {
    let mut client = ask(pooler.port(), &role.name, database);
    client.frame().unwrap();
    let proof = proof(&mut client, &role.password()).1;
    (client, proof)
}

/// What becomes of a right proof. None: let in.
fn prove((mut client, proof): (Raw, Vec<u8>)) -> Option<String> {
    client.send(&proof);
    error_code(&client.until_ready())
}

fn text(pooler: &PgOtter) -> String {
    must(std::fs::read_to_string(pooler.config_file()))
}

#[test]
fn who_connects_before_a_reload_and_says_who_it_is_behind_it_is_judged_by_the_new_configuration() {
    let (role, other) = (fresh_role("trust"), fresh_role("trust"));
    let mut pooler = pgotter("trust", &line(&role.name, &role.password()));
    let [mut one, mut two] = [(); 2].map(|()| Raw::connect(pooler.port()));
    let trusting = text(&pooler);
    assert!(reload_with(&mut pooler, &trusting.replace("\"trust\"", "\"scram-sha-256\"")));
    rewrite(&mut pooler, &line(&other.name, &other.password()));
    for (client, role) in [(&mut one, &role), (&mut two, &other)] {
        client.send(&startup(3, 0, &[("user", &role.name), ("database", "postgres")]));
        assert_eq!(client.frame().unwrap().body[..4], 10u32.to_be_bytes(), "it is asked for a proof");
    }
    let right = proof(&mut two, &other.password()).1;
    assert_eq!(prove((two, right)), None);
    let gone = proof(&mut one, &role.password()).1;
    assert_eq!(prove((one, gone)).as_deref(), Some("28P01"));
}

#[test]
fn a_proof_of_what_a_reload_has_changed_meanwhile_lets_nobody_in() {
    let role = fresh_role("trust");
    let own = line(&role.name, &role.password());
    for (method, lines, code) in [
        // Nothing has changed for this user.
        ("scram-sha-256", own.clone() + &line("another", "text"), None),
        ("scram-sha-256", line(&role.name, "another"), Some("57P03")),
        // Whether it is the same password nobody can tell without asking again.
        ("scram-sha-256", line(&role.name, &verifier(&role.password(), 3)), Some("57P03")),
        ("scram-sha-256", line("another", "text"), Some("28P01")),
        ("plain", own.clone(), Some("57P03")),
        ("trust", own.clone(), Some("57P03")),
        ("trust", line("another", "text"), Some("28000")),
    ] {
        let mut pooler = pgotter("scram-sha-256", &own);
        let proves = about_to_prove(&pooler, &role, "postgres");
        let changed = text(&pooler).replace("\"scram-sha-256\"", &format!("\"{method}\""));
        must(state().write(pooler.config_file(), &changed));
        rewrite(&mut pooler, &lines);
        assert_eq!(prove(proves).as_deref(), code, "{method} {}", lines.replace(&role.name, "it"));
    }
}

#[test]
fn limits_databases_and_rights_are_those_behind_a_reload() {
    let role = fresh_role("trust");
    let host = format!("hosts = [\"127.0.0.1:{}\"]\n", server().port());
    let databases = format!("admin_users = [\"{}\"]\n[databases.postgres]\n{host}[databases.gone]\n{host}", role.name);
    let mut pooler = pgotter_with("scram-sha-256", &line(&role.name, &role.password()), &databases);
    let mut kept = about_to_prove(&pooler, &role, "postgres");
    kept.0.send(&kept.1);
    assert_eq!(error_code(&kept.0.until_ready()), None);
    let proves = ["postgres", "gone", "pgotter"].map(|database| about_to_prove(&pooler, &role, database));
    let changed = text(&pooler).replace(&format!("[databases.gone]\n{host}"), "max_db_client_connections = 1\n");
    let changed = changed.replace(&format!("admin_users = [\"{}\"]", role.name), "");
    assert!(reload_with(&mut pooler, &changed));
    assert_eq!(proves.map(prove), ["53300", "3D000", "42501"].map(|code| Some(code.to_owned())));
}
