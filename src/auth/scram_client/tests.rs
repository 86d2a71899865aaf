//! One message at a time, from good servers and bad ones.

use super::*;

fn client() -> ScramClient {
    ScramClient { nonce: "client".to_owned(), binding: Binding::Impossible }
}

fn first(message: &[u8]) -> Option<Untrusted> {
    client().server_first(message).err()
}

fn malformed(untrusted: Option<Untrusted>) -> bool {
    matches!(untrusted, Some(Untrusted::Malformed(_)))
}

#[test]
fn the_example_of_rfc_7677_passes() {
    // The example names the user; we, like libpq, do not. So it enters where the messages are signed.
    let without_proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let named = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,{server_first},{without_proof}");
    let needs = ScramClient { nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(), binding: Binding::Impossible }
        .server_first(server_first.as_bytes())
        .expect("server-first");
    assert_eq!(needs.auth_message, named.replace("n=user", "n=").as_bytes());
    let needs = NeedsKey { auth_message: named.into_bytes(), ..needs };

    let keys = ScramKeys::derive("pencil", needs.salt(), needs.iterations());
    let (server, client_final) = needs.with_keys(&keys);
    let expected = format!("{without_proof},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_eq!(client_final, expected.as_bytes());
    assert_eq!(server.server_final(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
}

/// RFC 7677 has no example with channel binding: this is its example bound to the hash 00 01 … 1f, without the name,
/// computed with Python's hashlib and hmac.
#[test]
fn the_example_of_rfc_7677_passes_bound_to_a_certificate() {
    let hash: Vec<u8> = (0..32).collect();
    let client = ScramClient { nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(), binding: Binding::EndPoint(hash) };
    assert_eq!(client.client_first(), b"p=tls-server-end-point,,n=,r=rOprNGfwEbeRWgbNEkqO");
    let server_first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let needs = client.server_first(server_first).expect("server-first");
    let keys = ScramKeys::derive("pencil", needs.salt(), needs.iterations());
    let (server, client_final) = needs.with_keys(&keys);
    let expected = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,\
                    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=Q8h71kjaoMzNI7dPksDrhRE/5mTUObF0fUHVIgBOWQg=";
    assert_eq!(String::from_utf8_lossy(&client_final), expected);
    assert_eq!(server.server_final(b"v=ykwoqH8mLqO5AQCeuwwf6lsj9f8zyJZT/CcvAbN4Ssc="), Ok(()));
}

#[test]
fn client_first_is_what_libpq_sends_without_tls() {
    assert_eq!(
        ScramClient::new(&[0; NONCE_BYTES], Binding::Impossible).client_first(),
        b"n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA"
    );
}

#[test]
fn a_malformed_server_first_is_refused() {
    assert_eq!(first(b"r=clientSERVER,s=AAAA,i=1"), None);
    let cases: [&[u8]; 15] = [
        b"",
        b"r=clientSERVER",
        b"r=clientSERVER,s=AAAA",
        b"s=AAAA,r=clientSERVER,i=1",
        b"r=clientSERVER,i=1,s=AAAA",
        b"m=x,r=clientSERVER,s=AAAA,i=1",
        b"r=clientSERVER,s=A,i=1",
        b"r=clientSERVER,s=A A=,i=1",
        b"r=clientSERVER,s=AAAA,i=",
        b"r=clientSERVER,s=AAAA,i=0",
        b"r=clientSERVER,s=AAAA,i=-1",
        b"r=clientSERVER,s=AAAA,i=1x",
        b"r=clientSERVER,s=AAAA,i=4294967297",
        b"r=clientSERVER,s=AAAA,i=1,",
        b"r=clientSERVER,s=AAAA,i=1\0",
    ];
    for message in cases {
        assert!(malformed(first(message)), "{}", message.escape_ascii());
    }
}

#[test]
fn a_nonce_that_does_not_continue_ours_is_refused() {
    for nonce in ["", "client", "clien", "clienT-SERVER", "SERVER", "clientSER VER", "client\u{7}", "client\u{e9}"] {
        assert_eq!(first(format!("r={nonce},s=AAAA,i=1").as_bytes()), Some(Untrusted::NonceMismatch), "{nonce:?}");
    }
}

#[test]
fn a_nonce_of_a_megabyte_is_refused_unread() {
    let message = format!("r=client{},s=AAAA,i=1", "x".repeat(1 << 20));
    assert!(malformed(first(message.as_bytes())));
}

#[test]
fn iterations_are_done_up_to_a_million_and_not_beyond() {
    assert_eq!(first(b"r=clientSERVER,s=AAAA,i=1000000"), None);
    let refused = first(b"r=clientSERVER,s=AAAA,i=1000001");
    assert!(matches!(refused, Some(Untrusted::TooManyIterations(n)) if n.get() == 1_000_001));
    assert!(matches!(first(b"r=clientSERVER,s=AAAA,i=2147483647"), Some(Untrusted::TooManyIterations(_))));
}

fn last(message: &[u8]) -> Option<Untrusted> {
    let needs = client().server_first(b"r=clientSERVER,s=AAAA,i=1").expect("a good answer");
    let keys = ScramKeys::derive("pencil", needs.salt(), needs.iterations());
    needs.with_keys(&keys).0.server_final(message).err()
}

#[test]
fn a_malformed_server_final_is_refused() {
    let signature = fields::encode(&[0; KEY_BYTES]);
    assert_eq!(last(format!("v={signature}").as_bytes()), Some(Untrusted::WrongSignature));
    let cases = [
        String::new(),
        "v=".to_owned(),
        "v=AAAA".to_owned(),
        format!("{signature}v="),
        format!("v={signature}\0"),
        format!("v={signature},"),
        format!("x=1,v={signature}"),
        "x".repeat(1 << 20),
    ];
    for message in cases {
        assert!(malformed(last(message.as_bytes())), "{message:.40}");
    }
}

#[test]
fn an_error_in_server_final_is_reported_without_its_control_characters() {
    assert_eq!(last(b"e=invalid-proof"), Some(Untrusted::Rejected("invalid-proof".to_owned())));
    assert_eq!(last(b"e=a\x1b[2J\r\n\xff"), Some(Untrusted::Rejected("a[2J".to_owned())));
    let long = [b"e=".as_slice(), &[b'x'; 1000]].concat();
    assert!(matches!(last(&long), Some(Untrusted::Rejected(text)) if text.len() == 64));
}
