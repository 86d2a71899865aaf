//! A way to PostgreSQL on which the catalog loses what it knows: whoever asks for functions is told their names, and nothing of what they do.
//! So every function is taken for one that reads.

use crate::support::raw;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// What only the question for the catalog says.
const QUESTION: &[u8] = b"FROM pg_proc p JOIN pg_language l";

/// What it asks, and what is asked instead, at the same length: no function is volatile, and no body says anything.
const FORGOTTEN: [(&str, &str); 2] =
    [("p.provolatile = 'v'", "p.provolatile = '-'"), ("THEN p.prosrc END", "THEN ''::text END")];

/// SSLRequest and GSSENCRequest: another first packet follows.
const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// The port on which it leads to another one on loopback. Its threads end with the test binary.
pub fn forgetful(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
            let (Ok(mut answers), Ok(mut to)) = (server.try_clone(), client.try_clone()) else { continue };
            thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = ask(&client, &server);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    own
}

/// Passes on what a client says until it is over, which is an error.
fn ask(mut client: &TcpStream, mut server: &TcpStream) -> std::io::Result<()> {
    loop {
        let body = body(client, [0; 4])?;
        let is_request = REQUESTS.iter().any(|code| body.starts_with(&code.to_be_bytes()));
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        server.write_all(&[&length[..], &body].concat())?;
        if !is_request {
            break;
        }
    }
    loop {
        let mut kind = [0];
        client.read_exact(&mut kind)?;
        let body = forget(kind[0], body(client, [0; 4])?);
        server.write_all(&raw::message(kind[0], &body))?;
    }
}

/// What stands behind a length.
fn body(mut client: &TcpStream, mut length: [u8; 4]) -> std::io::Result<Vec<u8>> {
    client.read_exact(&mut length)?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
    client.read_exact(&mut body)?;
    Ok(body)
}

fn forget(kind: u8, body: Vec<u8>) -> Vec<u8> {
    if kind != b'Q' || !body.windows(QUESTION.len()).any(|part| part == QUESTION) {
        return body;
    }
    let asked = String::from_utf8(body).unwrap();
    let forgotten = FORGOTTEN.iter().fold(asked.clone(), |text, (what, instead)| {
        assert!(text.contains(what), "the catalog is asked in another way: {what}");
        text.replace(what, instead)
    });
    forgotten.into_bytes()
}
