//! Free and taken ports.

use super::*;

#[test]
fn the_process_that_holds_a_port_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    assert!(matches!(holder(port), Holder::Process { pid, .. } if pid == std::process::id()));
}

#[test]
fn a_taken_port_gives_way_to_the_next_free_one() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a port");
    let taken = listener.local_addr().expect("bound").port();
    let (port, in_the_way) = free_from(taken);
    assert!(port > taken, "{port} after {taken}");
    assert!(in_the_way.is_some());
}

#[test]
fn only_listening_sockets_count() {
    let line = |state: &str| {
        format!("   0: 0100007F:1920 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   101 0 4711 1 0")
    };
    assert_eq!(listening_inode(&line("0A"), 6432), Some("4711"));
    assert_eq!(listening_inode(&line("01"), 6432), None);
    assert_eq!(listening_inode(&line("0A"), 5432), None);
    assert_eq!(listening_inode("  sl  local_address rem_address   st", 6432), None);
}

#[test]
fn no_port_is_given_twice_to_a_process_that_does_not_listen_there_yet() {
    // Drawn at random from 12,000, two of 130 are the same as often as not.
    let mut given: Vec<u16> = (0..1_500).map(|_| free_port()).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 1_500);
}
