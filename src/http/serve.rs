//! Connections: how many, how long, and who goes first when there are too many.

use super::Views;
use super::answer::Answers;
use crate::clock;
use crate::metrics::Repeated;
use crate::net::Crowd;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// From connecting to the end of the request's head.
const HEAD: Duration = Duration::from_secs(5);
/// From connecting to the end of the answer.
const WHOLE: Duration = Duration::from_secs(15);
/// Longest head.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// After a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// An address that is taken for the endpoint.
pub struct Listening(TcpListener);

/// Takes the address; nobody is answered before [`serve`].
///
/// # Errors
/// The system's, if it is taken for instance.
pub fn bind(address: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Listening(listener))
}

/// Serves for the rest of the process's life; the calling thread does nothing else.
///
/// # Errors
/// The runtime could not be made.
pub fn serve(listening: Listening, views: Views) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listening.0)?;
        let answers = Rc::new(Answers::new(views));
        let open = Rc::new(Crowd::default());
        let complaints = Repeated::new(1);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    for _ in 0..open.join(CONNECTIONS, |_| converse(stream, answers.clone())) {
                        answers.ended(false);
                    }
                }
                Err(error) => {
                    if let Some(unreported) = complaints.note(clock::now()) {
                        tracing::warn!(%error, unreported, "cannot accept a connection for monitoring");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// One request, one answer. Who says nothing that makes sense is not answered, or with 4xx by hyper.
async fn converse(stream: TcpStream, answers: Rc<Answers>) {
    let was_asked = Cell::new(false);
    let service = service_fn(|request| {
        was_asked.set(true);
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answers.to(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Its end, good or bad, is the peer's business, and counted.
    let is_whole = matches!(tokio::time::timeout(WHOLE, connection).await, Ok(Ok(())));
    answers.ended(is_whole && was_asked.get());
}
