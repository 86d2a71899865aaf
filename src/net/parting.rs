//! The end of a conversation.

use super::socket::Socket;
use bytes::BytesMut;
use std::io;
use std::time::Duration;

/// Longest time spent on last words.
const PARTING: Duration = Duration::from_secs(1);

impl Socket {
    /// Says something last, and gives the peer a moment to hear it: closing at once over unread bytes would make the
    /// system throw the message away.
    pub async fn part(&mut self, last_words: BytesMut) {
        self.queue(last_words);
        let say = async {
            self.flush().await?;
            self.shut_down().await?;
            while self.recv().await.is_ok() {
                self.inbox().clear();
            }
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(PARTING, say).await;
    }
}
