//! The end of a conversation.

use super::socket::Socket;
use crate::fault::Fault;
use crate::wire::backend;
use bytes::BytesMut;
use std::io;
use std::time::Duration;

/// Longest time spent on last words.
const PARTING: Duration = Duration::from_secs(1);

impl Socket {
    /// Tells the peer why this is the end, and gives it a moment to hear it: closing at once over unread bytes would make
    /// the system throw the message away.
    pub async fn part(&mut self, why: &Fault) {
        // There may be many who part, and what they have sent and send on is for nobody.
        self.forget();
        let mut last_words = BytesMut::new();
        backend::error_response(&mut last_words, why);
        self.queue(last_words);
        let say = async {
            self.flush().await?;
            self.shut_down().await?;
            while self.recv().await.is_ok() {
                self.forget();
            }
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(PARTING, say).await;
    }
}
