//! One request to a webhook, over a connection of its own: an old one may be half closed, and nobody could tell whether what was sent on it has
//! arrived.

use crate::config::Webhook;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest head of an answer; its body is not read.
const HEAD_BYTES: usize = 16 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

/// Posts a text of JSON. The status of the answer.
///
/// # Errors
/// There is no way there, or what came back is no answer. Has no limit of time.
pub(super) async fn send(webhook: &Webhook, tls: Option<&TlsConnector>, body: Bytes) -> Result<u16, Failure> {
    let stream = TcpStream::connect((webhook.host.as_str(), webhook.port)).await?;
    match tls.filter(|_| webhook.tls) {
        Some(tls) => {
            let name = ServerName::try_from(webhook.host.clone())?;
            ask(tls.connect(name, stream).await?, webhook, body).await
        }
        None => ask(stream, webhook, body).await,
    }
}

async fn ask<S>(stream: S, webhook: &Webhook, body: Bytes) -> Result<u16, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(webhook.path.expose().as_str())
        .header(HOST, authority(webhook))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("PgOtter/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(body))?;
    let (mut answer, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let mut ended = false;
    let answer = poll_fn(|cx| {
        // Its end is the answer's as well, and told there.
        ended = ended || connection.as_mut().poll(cx).is_ready();
        answer.as_mut().poll(cx)
    });
    Ok(answer.await?.status().as_u16())
}

/// Source: RFC 9112, 3.2: the port is left out where it is the usual one.
fn authority(webhook: &Webhook) -> String {
    let host = if webhook.host.contains(':') { format!("[{}]", webhook.host) } else { webhook.host.clone() };
    let usual = if webhook.tls { 443 } else { 80 };
    if webhook.port == usual { host } else { format!("{host}:{}", webhook.port) }
}
