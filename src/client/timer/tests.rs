//! The timer of a task that never runs out of other things to do.

use super::*;
use std::future::poll_fn;
use std::time::Duration;
use tokio::task::coop::poll_proceed;

#[tokio::test]
async fn a_deadline_passes_for_a_client_whose_server_never_stops() {
    let mut timer = Timer::default();
    let since = clock::now();
    poll_fn(|cx| {
        // As much is received as a task may receive at a time.
        while let Poll::Ready(received) = poll_proceed(cx) {
            received.made_progress();
        }
        assert!(clock::now() - since < Duration::from_secs(20), "the deadline never passes");
        timer.poll(cx, Some(since + Duration::from_millis(10)))
    })
    .await;
}
