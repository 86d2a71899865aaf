//! What is heard once client_encoding is another.

use super::listen::{look, next_notification, one_server};
use crate::support::raw::*;

#[test]
fn a_notification_is_never_told_in_an_encoding_that_is_not_its_clients() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
    client.ask("LISTEN first_spelled");
    client.ask("SET client_encoding = 'LATIN1'");
    look("NOTIFY first_spelled, 'plain'");
    assert_eq!(next_notification(&mut client).2, "plain");
    client.ask("SET client_encoding = 'UTF8'");
    look("NOTIFY first_spelled, 'é'");
    assert_eq!(next_notification(&mut client).2, "é");
    client.ask("SET client_encoding = 'LATIN1'");
    look("NOTIFY first_spelled, 'é'");
    let last = client.until_end();
    assert_eq!(error_code(&last).as_deref(), Some("0A000"), "{}", print(&last));
    assert!(last.iter().all(|frame| frame.kind != b'A'), "{}", print(&last));
}
