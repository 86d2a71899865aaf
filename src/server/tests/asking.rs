//! Questions of PgOtter's own that fail.

use super::repairing::server;
use super::talk::said;
use crate::server::{ask, ask_apart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn an_error_in_a_question_of_pgotters_own_is_no_clients_however_often_it_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let answers = tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while peer.read(&mut bytes).await.is_ok_and(|read| read > 0) {
            peer.write_all(&said("E Zi")).await.unwrap();
        }
    });
    let mut server = server(stream);
    for _ in 0..3 {
        let answer = ask(&mut server, "SELECT 1 / 0", 1000).await.expect("it goes on");
        assert_eq!(answer.error.as_deref(), Some(&b"22012"[..]));
        let apart = ask_apart(&mut server, &[("SELECT 1 / 0".to_owned(), Vec::new())], 1000).await;
        assert_eq!(apart.expect("it goes on").error.as_deref(), Some(&b"22012"[..]));
    }
    assert!(server.take_told().is_none(), "no client was told");
    let answered = server.take_answered();
    assert_eq!((answered.queries, answered.transactions), (0, 0));
    drop(server);
    answers.await.unwrap();
}
