//! Both roles against each other, and against noise.

use super::*;
use proptest::prelude::*;
use std::num::NonZeroU32;

const CLIENT_NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];
const SERVER_NONCE: [u8; NONCE_BYTES] = [8; NONCE_BYTES];
const FEW: NonZeroU32 = NonZeroU32::new(2).expect("invariant: 2 is not 0");

fn disguise() -> Disguise {
    Disguise::new([1; 32], [Some(FEW)].into_iter())
}

fn verifier() -> Verifier {
    Verifier::from_password("river stone", [9; 16], FEW)
}

fn otter() -> Challenge {
    Challenge::new("otter", Some(&verifier()), &disguise())
}

fn nobody() -> Challenge {
    Challenge::new("nobody", None, &disguise())
}

/// What went over the wire, and how it ended.
struct Exchange {
    server_first: Vec<u8>,
    end: Result<(Authenticated, Result<(), Untrusted>), Refused>,
}

fn exchange(challenge: Challenge, password: &str, tamper: impl Fn(Vec<u8>) -> Vec<u8>) -> Exchange {
    let client = ScramClient::new(&CLIENT_NONCE, Binding::Impossible);
    let server = ScramServer::new(challenge, &SERVER_NONCE, None);
    let (server, server_first) =
        server.client_first(SCRAM_SHA_256.as_bytes(), &client.client_first()).expect("a good first message");
    let needs = client.server_first(&server_first).expect("a good answer");
    let keys = ScramKeys::derive(password, needs.salt(), needs.iterations());
    let (client, client_final) = needs.with_keys(&keys);
    let end = server
        .client_final(&client_final)
        .map(|(server_final, who, _)| (who, client.server_final(&tamper(server_final))));
    Exchange { server_first, end }
}

#[test]
fn the_right_password_proves_both_sides() {
    let (who, server_is) = exchange(otter(), "river stone", |it| it).end.expect("let in");
    assert_eq!(who.user(), "otter");
    assert_eq!(server_is, Ok(()));
}

#[test]
fn a_password_that_saslprep_changes_is_the_same_password() {
    // U+00A0 is a space, U+00AD is nothing.
    let verifier = Verifier::from_password("a\u{a0}b\u{ad}", [9; 16], FEW);
    let challenge = Challenge::new("otter", Some(&verifier), &disguise());
    assert!(exchange(challenge, "a b", |it| it).end.is_ok());
}

#[test]
fn a_wrong_password_is_refused() {
    assert_eq!(exchange(otter(), "river stones", |it| it).end, Err(Refused::WrongPassword));
}

#[test]
fn a_server_that_does_not_know_the_verifier_is_not_believed() {
    let other = format!("v={}", fields::encode(&[0; 32])).into_bytes();
    let (_, server_is) = exchange(otter(), "river stone", move |_| other.clone()).end.expect("let in");
    assert_eq!(server_is, Err(Untrusted::WrongSignature));
}

#[test]
fn the_key_that_a_client_shows_is_the_key_of_its_password() {
    let client = ScramClient::new(&CLIENT_NONCE, Binding::Impossible);
    let (server, first) = ScramServer::new(otter(), &SERVER_NONCE, None)
        .client_first(SCRAM_SHA_256.as_bytes(), &client.client_first())
        .expect("first");
    let needs = client.server_first(&first).expect("answer");
    let keys = ScramKeys::derive("river stone", needs.salt(), needs.iterations());
    let (_, last) = needs.with_keys(&keys);
    let (_, _, borrowed) = server.client_final(&last).expect("let in");
    assert!(verifier().stored_key.is_of(&borrowed.keys.client));
}

#[test]
fn an_unknown_user_meets_the_same_answers_as_a_wrong_password() {
    let real = exchange(otter(), "guess", |it| it);
    let mock = exchange(nobody(), "guess", |it| it);
    assert_eq!(mock.end, real.end);
    assert_eq!(mock.end, Err(Refused::WrongPassword));
    assert_eq!(mock.server_first.len(), real.server_first.len());
    let fault = |user| Refused::WrongPassword.into_fault(user).to_string().replace(user, "?");
    assert_eq!(fault("otter"), fault("nobody"));
}

#[test]
fn an_unknown_user_has_the_same_salt_every_time_and_not_anothers() {
    let salt = |user: &str, key| {
        let disguise = Disguise::new([key; 32], [Some(FEW)].into_iter());
        Challenge::new(user, None, &disguise).verifier.salt
    };
    assert_eq!(salt("nobody", 1), salt("nobody", 1));
    assert_ne!(salt("nobody", 1), salt("noone", 1));
    assert_ne!(salt("nobody", 1), salt("nobody", 2));
}

#[test]
fn a_plain_text_user_has_the_same_salt_every_time_too() {
    let plain = Stored::parse("river stone").expect("plain text");
    let text = || plain.verifier("otter", &disguise()).expect("has a password").to_text();
    assert_eq!(text().expose(), text().expose());
}

#[test]
fn a_right_proof_does_not_let_an_invented_user_in() {
    let challenge = Challenge { real: false, ..otter() };
    assert_eq!(exchange(challenge, "river stone", |it| it).end, Err(Refused::WrongPassword));
}

#[test]
fn trust_believes_the_name() {
    assert_eq!(trust("otter").user(), "otter");
}

/// Bytes, or something that looks like SCRAM for a while.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let nonce = fields::encode(&CLIENT_NONCE);
    let both = nonce.clone() + &fields::encode(&SERVER_NONCE);
    let piece = prop_oneof![
        Just("n,,n=,".to_owned()),
        Just(format!("r={nonce}")),
        Just(format!("r={both}")),
        Just("c=biws,".to_owned()),
        Just(",s=AAAA,i=1".to_owned()),
        Just(format!(",p={}", fields::encode(&[0; 32]))),
        Just("v=".to_owned()),
        Just("SCRAM-SHA-256$1:AAAA$".to_owned()),
        "[a-z]=[ -~]{0,3},?",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        (prop::collection::vec(piece, 0..6), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(pieces, tail)| [
            pieces.concat().into_bytes(),
            tail
        ]
        .concat()),
    ]
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_gets_in(first in noise(), last in noise()) {
        let server = || ScramServer::new(otter(), &SERVER_NONCE, None);
        if let Ok((server, _)) = server().client_first(SCRAM_SHA_256.as_bytes(), &first) {
            prop_assert!(server.client_final(&last).is_err());
        }
        let good = ScramClient::new(&CLIENT_NONCE, Binding::Impossible).client_first();
        let (server, _) = server().client_first(SCRAM_SHA_256.as_bytes(), &good).expect("a good first message");
        prop_assert!(server.client_final(&last).is_err());
    }

    #[test]
    fn noise_from_a_server_never_panics_and_is_never_believed(first in noise(), last in noise()) {
        let keys = ScramKeys::derive("river stone", b"salt", FEW);
        if let Ok(needs) = ScramClient::new(&CLIENT_NONCE, Binding::Impossible).server_first(&first) {
            prop_assert!(needs.with_keys(&keys).0.server_final(&last).is_err());
        }
    }

    #[test]
    fn noise_in_auth_file_never_panics(text in noise()) {
        let _ = Stored::parse(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn one_changed_byte_anywhere_in_client_final_keeps_the_client_out(at in 0..200_usize, flip in 1..=255_u8) {
        let client = ScramClient::new(&CLIENT_NONCE, Binding::Impossible);
        let (server, server_first) = ScramServer::new(otter(), &SERVER_NONCE, None)
            .client_first(SCRAM_SHA_256.as_bytes(), &client.client_first()).expect("a good first message");
        let needs = client.server_first(&server_first).expect("a good answer");
        let keys = ScramKeys::derive("river stone", needs.salt(), needs.iterations());
        let (_, mut last) = needs.with_keys(&keys);
        let at = at % last.len();
        last[at] ^= flip;
        prop_assert!(server.client_final(&last).is_err());
    }
}

/// What `server`, whose certificate has `ours`, says to a client that sees a certificate with `theirs`.
fn bound(ours: Option<&[u8]>, theirs: Option<&[u8]>, offered: &[u8]) -> Result<(), Refused> {
    let binding = Binding::choose(offered, theirs).expect("a mechanism");
    let mechanism = binding.mechanism().as_bytes();
    let client = ScramClient::new(&CLIENT_NONCE, binding);
    let server = ScramServer::new(otter(), &SERVER_NONCE, ours);
    let (server, server_first) = server.client_first(mechanism, &client.client_first())?;
    let needs = client.server_first(&server_first).expect("a good answer");
    let keys = ScramKeys::derive("river stone", needs.salt(), needs.iterations());
    let (client, client_final) = needs.with_keys(&keys);
    let (server_final, ..) = server.client_final(&client_final)?;
    client.server_final(&server_final).expect("believed");
    Ok(())
}

const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
const WITHOUT_PLUS: &[u8] = b"SCRAM-SHA-256\0\0";

#[test]
fn both_sides_bind_where_both_can() {
    let hash = Some([4; 32].as_slice());
    assert_eq!(bound(hash, hash, BOTH), Ok(()));
    assert_eq!(bound(hash, None, BOTH), Ok(()), "a client that cannot bind");
    assert_eq!(bound(None, hash, WITHOUT_PLUS), Ok(()), "a server that cannot bind");
    assert_eq!(bound(None, None, WITHOUT_PLUS), Ok(()));
}

#[test]
fn whoever_sits_between_with_a_certificate_of_its_own_is_found() {
    let (ours, others) = ([4; 32], [5; 32]);
    assert_eq!(
        bound(Some(&ours), Some(&others), BOTH),
        Err(Refused::NotBound("SCRAM channel binding check failed", None))
    );
}

#[test]
fn whoever_takes_the_offer_of_binding_away_is_found() {
    let hash = Some([4; 32].as_slice());
    let end = bound(hash, hash, WITHOUT_PLUS);
    assert!(matches!(end, Err(Refused::NotBound("SCRAM channel binding negotiation error", Some(_)))), "{end:?}");
}

#[test]
fn a_mechanism_is_chosen_that_both_speak() {
    let hash = Some([4; 32].as_slice());
    let choose = |offered: &[u8], end_point| Binding::choose(offered, end_point).map(|binding| binding.mechanism());
    assert_eq!(choose(BOTH, hash), Some(SCRAM_SHA_256_PLUS));
    assert_eq!(choose(BOTH, None), Some(SCRAM_SHA_256));
    assert_eq!(choose(WITHOUT_PLUS, hash), Some(SCRAM_SHA_256));
    assert_eq!(choose(b"SCRAM-SHA-256-PLUS\0\0", hash), Some(SCRAM_SHA_256_PLUS));
    for offered in [b"SCRAM-SHA-256-PLUS\0\0".as_slice(), b"OAUTHBEARER\0\0", b"SCRAM-SHA-512\0\0", b"\0", b""] {
        assert_eq!(choose(offered, None), None, "{}", offered.escape_ascii());
    }
}
