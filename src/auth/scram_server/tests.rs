//! One message at a time, right and wrong.

use super::*;
use crate::auth::{Disguise, Verifier};
use std::num::NonZeroU32;

const PLAIN: &[u8] = SCRAM_SHA_256.as_bytes();
const PLUS: &[u8] = SCRAM_SHA_256_PLUS.as_bytes();

const FEW: NonZeroU32 = NonZeroU32::new(1).expect("invariant: 1 is not 0");

fn server() -> ScramServer {
    let verifier = Verifier::from_password("pencil", [1; 16], FEW);
    let challenge = Challenge::new("otter", Some(&verifier), &Disguise::new([0; 32], [Some(FEW)].into_iter()));
    ScramServer { challenge, nonce: "SERVER".to_owned(), end_point: None }
}

fn first(message: &[u8]) -> Result<Vec<u8>, Refused> {
    server().client_first(PLAIN, message).map(|(_, server_first)| server_first)
}

fn last(message: &str) -> Option<Refused> {
    let (server, _) = server().client_first(PLAIN, b"n,,n=,r=client").expect("a good first message");
    server.client_final(message.as_bytes()).err()
}

fn malformed(refused: Option<Refused>) -> bool {
    matches!(refused, Some(Refused::Malformed(_)))
}

#[test]
fn the_example_of_rfc_7677_passes() {
    let salt = fields::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let iterations = NonZeroU32::new(4096).expect("not 0");
    let verifier = Verifier::from_password("pencil", salt, iterations);
    let challenge = Challenge::new("user", Some(&verifier), &Disguise::new([0; 32], [Some(iterations)].into_iter()));
    let server = ScramServer { challenge, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned(), end_point: None };

    let (server, server_first) = server.client_first(PLAIN, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").expect("client-first");
    let expected = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(server_first, expected);

    let client_final =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let (server_final, who, _) = server.client_final(client_final).expect("client-final");
    assert_eq!(server_final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(who.user(), "user");
}

/// See the test of the same name for the client's role.
#[test]
fn the_example_of_rfc_7677_passes_bound_to_a_certificate() {
    let salt = fields::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let iterations = NonZeroU32::new(4096).expect("not 0");
    let verifier = Verifier::from_password("pencil", salt, iterations);
    let challenge = Challenge::new("user", Some(&verifier), &Disguise::new([0; 32], [Some(iterations)].into_iter()));
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let server = ScramServer { challenge, nonce, end_point: Some((0..32).collect()) };
    assert_eq!(server.mechanisms(), [SCRAM_SHA_256_PLUS, SCRAM_SHA_256]);
    let client_first = b"p=tls-server-end-point,,n=,r=rOprNGfwEbeRWgbNEkqO";
    let (server, _) = server.client_first(PLUS, client_first).expect("client-first");
    let client_final = b"c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,\
                         r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=Q8h71kjaoMzNI7dPksDrhRE/5mTUObF0fUHVIgBOWQg=";
    let (server_final, ..) = server.client_final(client_final).expect("client-final");
    assert_eq!(server_final, b"v=ykwoqH8mLqO5AQCeuwwf6lsj9f8zyJZT/CcvAbN4Ssc=");
}

fn over_tls(mechanism: &[u8], message: &[u8]) -> Result<ExpectClientFinal, Refused> {
    ScramServer { end_point: Some(vec![4; 32]), ..server() }.client_first(mechanism, message).map(|(next, _)| next)
}

#[test]
fn the_flag_must_go_with_the_mechanism_as_in_postgresql() {
    let first = |flag: &str| format!("{flag},,n=,r=client").into_bytes();
    assert!(over_tls(PLUS, &first("p=tls-server-end-point")).is_ok());
    assert!(over_tls(PLAIN, &first("n")).is_ok(), "a client that cannot bind");
    let refused = |mechanism, flag| over_tls(mechanism, &first(flag)).err();
    for flag in ["n", "y"] {
        assert!(malformed(refused(PLUS, flag)), "PLUS with {flag}");
    }
    assert!(malformed(refused(PLAIN, "p=tls-server-end-point")));
    assert!(matches!(refused(PLAIN, "y"), Some(Refused::NotBound(..))), "somebody took the offer away");
    for other in ["p=tls-unique", "p=tls-exporter", "p=", "p", "p=tls-server-end-poin", "p=tls-server-end-point "] {
        assert_eq!(refused(PLUS, other), Some(Refused::Violation("unsupported SCRAM channel-binding type")), "{other}");
    }
    for mechanism in [b"SCRAM-SHA-512".as_slice(), b"scram-sha-256", b"", b"PLAIN"] {
        assert!(matches!(over_tls(mechanism, &first("n")).err(), Some(Refused::Violation(_))));
    }
    let without_tls = server().client_first(PLUS, &first("p=tls-server-end-point")).err();
    assert!(matches!(without_tls, Some(Refused::Violation(_))), "it was not offered");
}

#[test]
fn a_binding_must_be_to_our_certificate() {
    let proof = fields::encode(&[0; 32]);
    let end = |header: &str, hash: &[u8]| {
        let server = over_tls(PLUS, b"p=tls-server-end-point,,n=,r=client").expect("a good first message");
        let binding = fields::encode(&[header.as_bytes(), hash].concat());
        server.client_final(format!("c={binding},r=clientSERVER,p={proof}").as_bytes()).err()
    };
    let header = "p=tls-server-end-point,,";
    assert_eq!(end(header, &[4; 32]), Some(Refused::WrongPassword), "bound, but without the password");
    let failed = Some(Refused::NotBound("SCRAM channel binding check failed", None));
    for (header, hash) in
        [(header, [5; 32].as_slice()), (header, &[4; 31]), (header, b""), ("n,,", b""), ("n,,", &[4; 32])]
    {
        assert_eq!(end(header, hash), failed, "{header} {hash:?}");
    }
}

#[test]
fn a_client_first_of_any_known_driver_is_answered() {
    let answer = b"r=clientSERVER,s=AQEBAQEBAQEBAQEBAQEBAQ==,i=1".to_vec();
    for message in ["n,,n=,r=client", "y,,n=,r=client", "n,,n=*,r=client", "n,,n=w\u{f6}lf,r=client,x=later"] {
        assert_eq!(first(message.as_bytes()), Ok(answer.clone()), "{message}");
    }
    assert_eq!(first(b"n,,n=w\xf6lf,r=client"), Ok(answer), "a name that is not UTF-8");
}

#[test]
fn a_malformed_client_first_is_refused() {
    let cases: [&[u8]; 19] = [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"x,,n=,r=client",
        b"n=,,n=,r=client",
        b",,n=,r=client",
        b"n,n=,r=client",
        b"n,,r=client",
        b"n,,r=client,n=",
        b"n,,n=,n=,r=client",
        b"n,,n=,r=",
        b"n,,n=,r=a b",
        b"n,,n=,r=a\0b",
        b"n,,n=,r=client,",
        b"n,,n=,r=client,x",
        b"n,,n=,r=client,1=x",
        b"n,,n=,r",
        b"p=tls-server-end-point,,n=,r=client",
    ];
    for message in cases {
        assert!(malformed(first(message).err()), "{}", message.escape_ascii());
    }
}

#[test]
fn what_we_do_not_have_is_refused_by_name() {
    for message in ["n,a=root,n=,r=client", "y,a=,n=,r=client", "n,,m=x,n=,r=client"] {
        assert!(matches!(first(message.as_bytes()), Err(Refused::Unsupported(_))), "{message}");
    }
}

#[test]
fn a_message_longer_than_postgresql_takes_is_refused() {
    let message = |bytes: usize| {
        let mut message = b"n,,n=,r=".to_vec();
        message.resize(bytes, b'x');
        message
    };
    assert!(first(&message(MESSAGE_BYTES_MAX)).is_ok());
    assert!(malformed(first(&message(MESSAGE_BYTES_MAX + 1)).err()));
    assert!(malformed(first(&message(1_000_000)).err()));
}

#[test]
fn a_malformed_client_final_is_refused() {
    let proof = fields::encode(&[0; 32]);
    let well_formed = format!("c=biws,r=clientSERVER,p={proof}");
    assert_eq!(last(&well_formed), Some(Refused::WrongPassword));
    assert_eq!(last(&format!("c=biws,r=clientSERVER,x=later,p={proof}")), Some(Refused::WrongPassword));
    let cases = [
        String::new(),
        ",p=".to_owned(),
        "c=biws,r=clientSERVER".to_owned(),
        "c=biws,r=clientSERVER,p=".to_owned(),
        "c=biws,r=clientSERVER,p=AAAA".to_owned(),
        format!("{well_formed},x=later"),
        format!("{well_formed},p={proof}"),
        format!("{well_formed}\0"),
        format!("r=clientSERVER,c=biws,p={proof}"),
        format!("c=biws,p={proof}"),
        format!("p={proof}"),
        format!("{well_formed}{}", "=".repeat(MESSAGE_BYTES_MAX)),
    ];
    for message in cases {
        assert!(malformed(last(&message)), "{message}");
    }
}

#[test]
fn a_nonce_that_is_not_exactly_ours_is_refused() {
    let proof = fields::encode(&[0; 32]);
    for nonce in ["", "client", "clientSERVE", "clientSERVERS", "clientserver", "xlientSERVER", "SERVER"] {
        assert_eq!(
            last(&format!("c=biws,r={nonce},p={proof}")),
            Some(Refused::Malformed("Nonce does not match.")),
            "{nonce}"
        );
    }
}

#[test]
fn channel_binding_must_be_what_the_header_said() {
    let proof = fields::encode(&[0; 32]);
    for (flag, right) in [("n", "biws"), ("y", "eSws")] {
        for binding in ["biws", "eSws", "", "biws=", "cD0s", "cD10bHMtc2VydmVyLWVuZC1wb2ludCws"] {
            let (server, _) = server().client_first(PLAIN, format!("{flag},,n=,r=client").as_bytes()).expect("first");
            let end = server.client_final(format!("c={binding},r=clientSERVER,p={proof}").as_bytes()).err();
            if binding == right {
                assert_eq!(end, Some(Refused::WrongPassword), "{flag} {binding}");
            } else {
                assert!(malformed(end), "{flag} {binding}");
            }
        }
    }
}

#[test]
fn a_refusal_has_postgresqls_code_and_words() {
    let fault = Refused::WrongPassword.into_fault("otter");
    assert_eq!(fault.to_string(), "password authentication failed for user \"otter\" (28P01)");
    assert_eq!(Refused::Malformed("x").into_fault("otter").to_string(), "malformed SCRAM message (08P01)");
    assert_eq!(Refused::Unsupported("x").into_fault("otter").sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
    assert_eq!(Refused::Violation("x").into_fault("otter").to_string(), "x (08P01)");
    let fault = Refused::NotBound("x", Some("y")).into_fault("otter");
    assert_eq!((fault.to_string().as_str(), fault.detail.as_deref()), ("x (28000)", Some("y")));
}
