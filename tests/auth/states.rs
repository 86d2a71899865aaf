//! Client method × what `auth_file` has × server method × what became of the role × cold and warm pool: who got in before is
//! let in or refused as PostgreSQL would do it now. A verifier is proven by the client's own key, which PgOtter keeps.

use super::place::{
    CLIENT_METHODS, Role, SERVER_METHODS, eventually, group, line, log_in, look, md5, pgotter, verifier,
};
use std::fmt::Write as _;

/// What becomes of a role, and the SQL that does it.
const STATES: [(&str, &str); 4] = [
    ("rotated", "ALTER ROLE {role} PASSWORD 'another secret'"),
    ("expired", "ALTER ROLE {role} VALID UNTIL '2020-01-01'"),
    ("barred", "ALTER ROLE {role} NOLOGIN"),
    ("dropped", "DROP ROLE {role}"),
];

struct Case {
    role: Role,
    secret: &'static str,
    state: &'static str,
    sql: &'static str,
    pool: &'static str,
}

impl Case {
    /// A line of `auth_file`. The verifier is the server's own: the same salt makes the same keys.
    fn line(&self) -> String {
        let (name, password) = (&self.role.name, self.role.password());
        let secret = match self.secret {
            "verifier" => verifier(&password, 9),
            "md5" => md5(name, &password),
            _ => password,
        };
        line(name, &secret)
    }

    /// SQLSTATEs of which one is due; none: it gets in.
    fn refusals(&self, client: &str) -> &'static [&'static str] {
        match (self.state, self.pool, self.role.method) {
            ("rotated", "warm", _) | ("rotated", "cold", "trust") => &[],
            // PostgreSQL would let it in, as it asks for no password, and says that it has expired when asked for that.
            ("expired", "cold", "trust") => &["28000"],
            // Of an expired role no hash counts: it is asked for SCRAM, to which an md5 hash has no answer.
            ("expired", "cold", "md5") if self.secret == "md5" => &["08006"],
            ("rotated" | "expired", "cold", _) => &["28P01"],
            ("barred", ..) => &["28000"],
            // With the role its membership is gone: whoever is in no group is asked for SCRAM here, to which
            // an md5 hash, or a verifier without a client's key, has no answer.
            ("dropped", "cold", _) if self.secret == "md5" || (client, self.secret) == ("trust", "verifier") => {
                &["08006"]
            }
            ("dropped", "cold", _) => &["28P01"],
            _ => &["28000", "28P01"],
        }
    }
}

/// Every case in which a client gets in to begin with.
fn cases(client: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (state, sql) in STATES {
        for pool in ["cold", "warm"] {
            for method in SERVER_METHODS {
                let passes_through = method == "scram-sha-256" && client != "trust";
                let mut secrets = vec!["text"];
                if method == "trust" || passes_through {
                    secrets.push("verifier");
                }
                if ["trust", "md5"].contains(&method) && client != "scram-sha-256" {
                    secrets.push("md5");
                }
                for secret in secrets {
                    let name = format!("{}_{}", client.replace('-', "_"), cases.len());
                    cases.push(Case { role: Role { name, method }, secret, state, sql, pool });
                }
            }
        }
    }
    cases
}

/// All of them with one connection.
fn create(cases: &[Case]) {
    let mut sql = String::new();
    for Case { role, .. } in cases {
        let text = role.password().replace('\'', "''");
        let (encryption, stored) = match role.method {
            "md5" => ("md5", text),
            _ => ("scram-sha-256", verifier(&role.password(), 9)),
        };
        let group = group(role.method);
        writeln!(sql, "SET password_encryption = '{encryption}';").unwrap();
        writeln!(sql, "CREATE ROLE {} LOGIN PASSWORD '{stored}' IN ROLE {group};", role.name).unwrap();
    }
    look(&sql);
}

/// Closes the servers of cold pools.
fn cool(cases: &[Case]) {
    let cold = cases.iter().filter(|case| case.pool == "cold").map(|case| format!("'{}'", case.role.name));
    let servers = format!("FROM pg_stat_activity WHERE usename IN ({})", cold.collect::<Vec<_>>().join(", "));
    look(&format!("SELECT count(pg_terminate_backend(pid)) {servers}"));
    eventually("cold pools", || look(&format!("SELECT count(*) {servers}")) == "0");
}

fn change(cases: &[Case]) {
    // Before a role is dropped: PostgreSQL does not know the names of those that are gone.
    cool(cases);
    let mut sql = String::new();
    for case in cases {
        let encryption = if case.role.method == "md5" { "md5" } else { "scram-sha-256" };
        let change = case.sql.replace("{role}", &case.role.name);
        writeln!(sql, "SET password_encryption = '{encryption}'; {change};").unwrap();
    }
    look(&sql);
}

fn check(client: &str) {
    let cases = cases(client);
    create(&cases);
    let pooler = pgotter(client, &cases.iter().map(Case::line).collect::<String>());
    let enter = |case: &Case| log_in(pooler.port(), &case.role.name, &case.role.password());
    let told = |case: &Case| format!("{client}, {}, {}, {}, {}", case.secret, case.role.method, case.state, case.pool);
    cases.iter().for_each(|case| assert_eq!(enter(case), Ok(case.role.name.clone()), "{}", told(case)));
    change(&cases);
    let at_once = |case: &Case| {
        let (codes, came) = (case.refusals(client), enter(case));
        let refused = came.as_ref().is_err_and(|(code, _)| codes.contains(&&**code));
        assert!(refused || codes.is_empty() && came.is_ok(), "{}: {came:?}", told(case));
    };
    for case in &cases {
        match case.refusals(client) {
            // At once: whatever is believed, the server that it needs is yet to be opened.
            [_, ..] if case.pool == "cold" => at_once(case),
            [] => assert_eq!(enter(case), Ok(case.role.name.clone()), "{}", told(case)),
            // What PostgreSQL said a moment ago is believed for a second.
            codes => eventually(&format!("{} is refused: {codes:?}", told(case)), || {
                // A warm pool has servers of a role that is gone, and PostgreSQL wonders who that may be.
                let refusal = enter(case).err().filter(|(code, _)| (case.pool, &**code) != ("warm", "42704"));
                assert!(
                    refusal.as_ref().is_none_or(|(code, _)| codes.contains(&&**code)),
                    "{}: {refusal:?}",
                    told(case)
                );
                refusal.is_some()
            }),
        }
    }
    // Nobody who was refused gets in by turns.
    cool(&cases);
    cases.iter().filter(|case| case.pool == "cold").for_each(at_once);
}

#[test]
fn with_trust_a_role_that_changed_is_let_in_or_refused_as_by_postgresql() {
    check(CLIENT_METHODS[0]);
}

#[test]
fn with_plain_a_role_that_changed_is_let_in_or_refused_as_by_postgresql() {
    check(CLIENT_METHODS[1]);
}

#[test]
fn with_md5_a_role_that_changed_is_let_in_or_refused_as_by_postgresql() {
    check(CLIENT_METHODS[2]);
}

#[test]
fn with_scram_a_role_that_changed_is_let_in_or_refused_as_by_postgresql() {
    check(CLIENT_METHODS[3]);
}
