//! How long a host is left alone.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn unreachable(errno: Errno) -> LoginError {
    LoginError::Unreachable(errno.into())
}

#[test]
fn f21_our_own_want_of_descriptors_is_no_failure_of_the_host() {
    let backoff = Backoff::new(HOUR);
    let first = Backoff::new(HOUR).failed(&LoginError::TimedOut, 0);
    for errno in [Errno::MFILE, Errno::NFILE].repeat(5) {
        assert_eq!(backoff.failed(&unreachable(errno), 0), KNOCK);
    }
    assert_eq!(backoff.failed(&LoginError::TimedOut, 0), first);
    // What is the host's counts.
    backoff.failed(&unreachable(Errno::CONNREFUSED), 0);
    assert!(backoff.failed(&LoginError::TimedOut, 0) > first);
}

#[test]
fn a_new_longest_pause_holds_from_the_next_failure_on() {
    let backoff = Backoff::new(HOUR);
    for _ in 0..10 {
        backoff.failed(&LoginError::TimedOut, 0);
    }
    assert_eq!(backoff.failed(&LoginError::TimedOut, 0), HOUR);
    backoff.set_longest(Duration::from_secs(1));
    assert_eq!(backoff.failed(&LoginError::TimedOut, 0), Duration::from_secs(1));
}
