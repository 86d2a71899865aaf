//! Who is told to leave, and when the end does not wait any longer.

use super::*;
use crate::client::Registration;
use crate::pool::Mailbox;

const PATIENCE: Duration = Duration::from_secs(30);

/// One client, and the way to give orders.
struct Stage {
    registry: Arc<Registry>,
    mailbox: Arc<Mailbox>,
    client: Registration,
    _leaving: UnboundedReceiver<crate::wire::startup::CancelKey>,
}

impl Stage {
    fn new() -> Self {
        let (registry, leaving) = Registry::new();
        let mailbox = Arc::new(Mailbox::default());
        let client = registry.enter(mailbox.clone(), None, false);
        Self { registry, mailbox, client, _leaving: leaving }
    }

    /// Whether the client was told to leave, and whether at once.
    fn told(&self) -> (bool, bool) {
        self.mailbox.take().map_or((false, false), |mail| (mail.drain, mail.kill))
    }

    fn leave(&self) {
        self.registry.remove(self.client.key());
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_clients_tells_nobody_and_has_no_end() {
    let stage = Stage::new();
    let (_orders, mut received) = unbounded_channel();
    let mut end = Box::pin(drain(Shutdown::WaitForClients, &mut received, &stage.registry, || PATIENCE));
    tokio::time::timeout(10 * PATIENCE, &mut end).await.expect_err("the client is still there");
    assert_eq!(stage.told(), (false, false));
    stage.leave();
    assert!(end.await);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_transactions_tells_everybody_and_ends_at_the_timeout() {
    let stage = Stage::new();
    let (_orders, mut received) = unbounded_channel();
    let since = clock::now();
    assert!(!drain(Shutdown::WaitForTransactions, &mut received, &stage.registry, || PATIENCE).await);
    assert!(clock::now() - since >= PATIENCE);
    assert_eq!(stage.told(), (true, false));
}

#[tokio::test(start_paused = true)]
async fn a_further_order_counts_if_it_is_harder_and_the_same_once_more_means_now() {
    use Shutdown::{Now, WaitForClients, WaitForTransactions};
    for (first, further, at_once) in [
        (WaitForClients, &[WaitForClients][..], true),
        (WaitForClients, &[WaitForTransactions], false),
        (WaitForClients, &[WaitForTransactions, WaitForClients], false),
        (WaitForClients, &[WaitForTransactions, WaitForTransactions], true),
        (WaitForTransactions, &[WaitForClients, WaitForClients], false),
        (WaitForTransactions, &[Now], true),
    ] {
        let stage = Stage::new();
        let (orders, mut received) = unbounded_channel();
        further.iter().for_each(|order| orders.send(*order).expect("somebody listens"));
        let since = clock::now();
        assert!(!drain(first, &mut received, &stage.registry, || PATIENCE).await);
        assert_eq!(clock::now() - since < PATIENCE, at_once, "{first:?}, then {further:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f23_the_end_waits_until_what_ran_is_cancelled_and_no_longer_than_it_may() {
    let partings = Partings::default();
    let parting = partings.begin();
    let mut end = Box::pin(cancelled(&partings, clock::now() + PATIENCE));
    tokio::time::timeout(PATIENCE / 2, &mut end).await.expect_err("a server is not back yet");
    drop(parting);
    tokio::time::timeout(PATIENCE / 4, end).await.expect("it is back");
    let _never = partings.begin();
    cancelled(&partings, clock::now() + PATIENCE).await;
}
