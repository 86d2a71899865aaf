//! A small server of HTTP that webhooks lead to: it keeps what it has taken, and answers as a test says.

use super::certificates::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was taken: answered with 200.
#[derive(Clone, Debug)]
pub struct Told {
    pub head: String,
    pub json: Value,
}

/// The server. Its thread lives as long as the test's process.
pub struct Hooks {
    port: u16,
    scheme: &'static str,
    host: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    told: Vec<Told>,
    asked: usize,
    answers: VecDeque<u16>,
    // Connections that are kept and not answered.
    kept: Vec<TcpStream>,
}

#[derive(Clone)]
enum Manner {
    Answers,
    Hangs,
    TalksNonsense,
    Tls(Arc<ServerConfig>),
}

/// A certificate, and who has signed it.
pub struct Tls {
    pub authority: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub fn new(name: &str) -> Self {
        let authority = Authority::new("webhooks");
        let identity = authority.sign(name, &[name]);
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self { authority: authority.certificate, config: Arc::new(config) }
    }
}

impl Hooks {
    /// These statuses first, then 200.
    pub fn answering(first: &[u16]) -> Self {
        Self::start(Manner::Answers, first)
    }

    /// Takes connections and says nothing.
    pub fn hanging() -> Self {
        Self::start(Manner::Hangs, &[])
    }

    pub fn talking_nonsense() -> Self {
        Self::start(Manner::TalksNonsense, &[])
    }

    pub fn with_tls(tls: &Tls) -> Self {
        Self::start(Manner::Tls(tls.config.clone()), &[])
    }

    fn start(manner: Manner, first: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { answers: first.iter().copied().collect(), ..State::default() }));
        let (scheme, host) =
            if matches!(manner, Manner::Tls(_)) { ("https", "localhost") } else { ("http", "127.0.0.1") };
        let hooks = Self { port, scheme, host, state: state.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (manner, state) = (manner.clone(), state.clone());
                std::thread::spawn(move || serve(stream, manner, &state));
            }
        });
        hooks
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}:{}{path}", self.scheme, self.host, self.port)
    }

    /// What was taken, in order.
    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap().told.clone()
    }

    /// Requests, however they were answered.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

fn serve(mut stream: TcpStream, manner: Manner, state: &Mutex<State>) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match manner {
        Manner::Answers => answer(&mut stream, state),
        Manner::Hangs => {
            let mut state = state.lock().unwrap();
            state.asked += 1;
            state.kept.push(stream);
        }
        Manner::TalksNonsense => {
            if request(&mut stream).is_some() {
                state.lock().unwrap().asked += 1;
                let _ = stream.write_all(b"\0\x01 this is no HTTP\r\n\r\n");
            }
        }
        Manner::Tls(config) => {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            answer(&mut stream, state);
        }
    }
}

fn answer(stream: &mut (impl Read + Write), state: &Mutex<State>) {
    let Some((head, body)) = request(stream) else { return };
    let status = {
        let mut state = state.lock().unwrap();
        state.asked += 1;
        let status = state.answers.pop_front().unwrap_or(200);
        if status == 200 {
            state.told.push(Told { head, json: serde_json::from_slice(&body).expect("JSON") });
        }
        status
    };
    let _ = write!(stream, "HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\nok");
}

/// Head and body; `None`: it did not come.
fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end + 4].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if bytes.len() >= end + 4 + length? {
                return Some((head, bytes[end + 4..].to_vec()));
            }
        }
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}
