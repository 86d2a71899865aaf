//! One message at a time, right and wrong.

use super::*;
use crate::auth::{Disguise, Verifier};
use std::num::NonZeroU32;

const FEW: NonZeroU32 = NonZeroU32::new(1).expect("invariant: 1 is not 0");

fn server() -> ScramServer {
    let verifier = Verifier::from_password("pencil", [1; 16], FEW);
    let challenge = Challenge::new("otter", Some(&verifier), &Disguise::new([0; 32], FEW));
    ScramServer { challenge, nonce: "SERVER".to_owned() }
}

fn first(message: &[u8]) -> Result<Vec<u8>, Refused> {
    server().client_first(message).map(|(_, server_first)| server_first)
}

fn last(message: &str) -> Option<Refused> {
    let (server, _) = server().client_first(b"n,,n=,r=client").expect("a good first message");
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
    let challenge = Challenge::new("user", Some(&verifier), &Disguise::new([0; 32], iterations));
    let server = ScramServer { challenge, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned() };

    let (server, server_first) = server.client_first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").expect("client-first");
    let expected = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(server_first, expected);

    let client_final =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let (server_final, who, _) = server.client_final(client_final).expect("client-final");
    assert_eq!(server_final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(who.user(), "user");
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
            let (server, _) = server().client_first(format!("{flag},,n=,r=client").as_bytes()).expect("first");
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
}
