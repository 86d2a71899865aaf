//! Several cancel requests for one server at once.

use crate::net::{Address, TcpOptions};
use crate::server::{CancelTarget, cancel};
use crate::wire::startup::CancelKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where cancel requests come to, and stay until they are dropped.
struct Host {
    listener: TcpListener,
    target: Arc<CancelTarget>,
}

impl Host {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = CancelTarget {
            host: None,
            tls: crate::net::Tls::default().share(),
            address: Address::new("127.0.0.1", listener.local_addr().unwrap().port()),
            key: CancelKey { pid: 9, secret: vec![1, 2, 3, 4].into() },
            options: TcpOptions::default(),
            astray: AtomicUsize::new(0),
        };
        Self { listener, target: Arc::new(target) }
    }

    /// A request that has arrived, and its sender, who waits.
    async fn cancel(&self) -> (TcpStream, JoinHandle<bool>) {
        let target = self.target.clone();
        let sender = tokio::spawn(async move { cancel(&target).await.is_ok() });
        let (mut stream, _) = self.listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 16]).await.unwrap();
        (stream, sender)
    }

    fn may_still_be_hit(&self) -> bool {
        self.target.astray.load(Ordering::Relaxed) > 0
    }
}

#[tokio::test]
async fn once_both_of_two_cancels_have_ended_none_is_on_its_way() {
    let host = Host::new().await;
    let (first, sender_of_first) = host.cancel().await;
    let (second, sender_of_second) = host.cancel().await;
    drop(first);
    assert!(sender_of_first.await.unwrap() && host.may_still_be_hit());
    drop(second);
    assert!(sender_of_second.await.unwrap() && !host.may_still_be_hit());
}

#[tokio::test]
async fn a_cancel_that_ends_well_does_not_hide_one_that_was_given_up() {
    let host = Host::new().await;
    let (first, sender_of_first) = host.cancel().await;
    let (_second, sender_of_second) = host.cancel().await;
    sender_of_second.abort();
    assert!(sender_of_second.await.is_err());
    drop(first);
    assert!(sender_of_first.await.unwrap() && host.may_still_be_hit());
}
