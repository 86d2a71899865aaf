//! libpq's `target_session_attrs`: what a client asks of its server is answered as the primary would, and under the alias that only reads as a
//! standby.

use crate::support::run_client;
use crate::world::*;

fn connects(port: u16, database: &str, attributes: &str, options: &str) -> bool {
    let to = format!("dbname={database} target_session_attrs={attributes} options='{options}'");
    let output = run_client("psql", port, &["-X", "-q", "-A", "-t", "-d", &to, "-c", "SELECT 'here'"]);
    assert_eq!(output.status.success(), output.stdout == b"here\n", "{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

#[test]
fn who_asks_for_a_primary_or_a_standby_gets_in_where_postgresql_would_let_it() {
    let world = World::new("");
    let pgotter = world.shop();
    let read_only = "-cdefault_transaction_read_only=on";
    for (database, options, expected) in [
        ("shop", "", ["any", "read-write", "primary", "prefer-standby"].as_slice()),
        ("shop_rw", "", &["any", "read-write", "primary", "prefer-standby"]),
        ("shop_ro", "", &["any", "read-only", "standby", "prefer-standby"]),
        ("shop", read_only, &["any", "read-only", "primary", "prefer-standby"]),
    ] {
        for attributes in ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] {
            let expected = expected.contains(&attributes);
            let connected = connects(pgotter.port(), database, attributes, options);
            assert_eq!(connected, expected, "{attributes} of {database} {options}");
        }
    }
}
