//! Who is asked what.

use super::*;
use crate::auth::keys::work::{self, Work};
use crate::auth::verifier::ITERATIONS_DEFAULT;
use crate::auth::{Derivation, NONCE_BYTES, Refused, SCRAM_SHA_256, ScramKeys, ScramServer, md5_password};
use crate::secret::Secret;
use std::num::NonZeroU32;

const FEW: NonZeroU32 = NonZeroU32::new(2).expect("invariant: 2 is not 0");

fn users(lines: &[(&str, &str)]) -> Users {
    let stored = |(user, text): &(&str, &str)| ((*user).to_owned(), Stored::parse(text).expect("well-formed"));
    let stored = lines.iter().map(stored);
    let disguise = Disguise::new([1; 32], stored.clone().map(|(_, stored)| stored.iterations()));
    Users::new(stored, Arc::new(disguise), true)
}

fn verifier() -> String {
    Verifier::from_password("river stone", [9; 16], FEW).to_text().expose().clone()
}

/// Of "river stone" and "hash".
const MD5: &str = "md5f21205ee34c367bad3cf538ed882cf9e";

fn everybody() -> Users {
    users(&[("text", "river stone"), ("hash", MD5), ("verifier", &verifier()), ("empty", "")])
}

fn keys(challenge: &PasswordChallenge, password: &str) -> ScramKeys {
    challenge.derivation(Secret::new(password.to_owned())).run()
}

fn clear_text(users: &Users, user: &str, password: &str) -> Result<String, Refused> {
    let challenge = users.password(user);
    let keys = keys(&challenge, password);
    challenge.check(password, keys).map(|(who, _)| who.user().to_owned())
}

#[test]
fn a_password_in_clear_is_checked_against_every_kind_of_secret() {
    let users = everybody();
    for user in ["text", "hash", "verifier"] {
        assert_eq!(clear_text(&users, user, "river stone"), Ok(user.to_owned()));
        for wrong in ["", "river", "river stone ", MD5, &verifier()] {
            assert_eq!(clear_text(&users, user, wrong), Err(Refused::WrongPassword), "{user} {wrong}");
        }
    }
    for nobody in ["empty", "stranger"] {
        assert_eq!(clear_text(&users, nobody, ""), Err(Refused::WrongPassword));
        assert_eq!(clear_text(&users, nobody, "river stone"), Err(Refused::WrongPassword));
    }
}

#[test]
fn a_password_in_clear_teaches_the_keys_of_a_verifier() {
    let users = everybody();
    let challenge = users.password("verifier");
    let keys = keys(&challenge, "river stone");
    let (_, borrowed) = challenge.check("river stone", keys).expect("let in");
    let borrowed = borrowed.expect("of a verifier");
    let expected = Derivation::new(Secret::new("river stone".to_owned()), &[9; 16], FEW).run();
    assert!(
        borrowed.fit(&[9; 16], FEW).expect("the same verifier").client.stored_key().is(&expected.client.stored_key())
    );
    assert!(borrowed.fit(&[8; 16], FEW).is_none() && borrowed.fit(&[9; 16], NonZeroU32::MIN).is_none());
}

fn md5(users: &Users, user: &str, answer: &[u8]) -> Option<Result<String, Refused>> {
    match users.md5(user) {
        Asks::Md5(challenge) => Some(challenge.check(answer, [1, 2, 3, 4]).map(|who| who.user().to_owned())),
        Asks::Scram(_) => None,
    }
}

#[test]
fn md5_is_asked_of_hashes_and_passwords_and_scram_of_verifiers() {
    let users = everybody();
    for user in ["text", "hash"] {
        let right = md5_password(&Md5Hash::from_password(user, "river stone"), [1, 2, 3, 4]);
        assert_eq!(md5(&users, user, right.as_bytes()), Some(Ok(user.to_owned())));
        let replayed = md5_password(&Md5Hash::from_password(user, "river stone"), [1, 2, 3, 5]);
        for wrong in [replayed.as_str(), "", "md5", MD5, "river stone", &right[..34], &right.to_uppercase()] {
            assert_eq!(md5(&users, user, wrong.as_bytes()), Some(Err(Refused::WrongPassword)), "{user} {wrong}");
        }
    }
    assert_eq!(md5(&users, "verifier", b""), None);
}

#[test]
fn nobody_gets_in_with_the_hash_that_is_invented_for_it() {
    let users = users(&[("hash", MD5)]);
    let invented = md5_password(&users.disguise.hash("stranger"), [1, 2, 3, 4]);
    assert_eq!(md5(&users, "stranger", invented.as_bytes()), Some(Err(Refused::WrongPassword)));
}

#[test]
fn strangers_are_asked_as_the_listed_are() {
    let strangers = |users: &Users| {
        let asked = |number| md5(users, &format!("stranger {number}"), b"").is_none();
        (0..1000).filter(|number| asked(*number)).count()
    };
    assert_eq!(strangers(&users(&[("hash", MD5), ("text", "river stone")])), 0);
    assert_eq!(strangers(&users(&[("verifier", &verifier())])), 1000);
    let half = strangers(&users(&[("verifier", &verifier()), ("text", "river stone")]));
    assert!((400..600).contains(&half), "{half}");
}

/// For these names.
fn given(disguise: &Disguise) -> Vec<(u32, [u8; 16])> {
    let name = |number| format!("stranger {number}");
    (0..1000).map(|number| (disguise.iterations(&name(number)).get(), disguise.salt(&name(number)))).collect()
}

/// 0: none.
fn numbers<const N: usize>(numbers: [u32; N]) -> impl Iterator<Item = Option<NonZeroU32>> {
    numbers.map(NonZeroU32::new).into_iter()
}

#[test]
fn each_number_of_iterations_is_given_to_so_many_strangers_as_users_have_it() {
    let disguise = Disguise::new([1; 32], numbers([7, 9, 7, 0, 7, 0]));
    let rare = given(&disguise).iter().filter(|(number, _)| *number == 9).count();
    assert!((150..350).contains(&rare), "{rare}");
    assert!(given(&disguise).iter().all(|(number, _)| [7, 9].contains(number)));
    assert!(given(&Disguise::new([1; 32], numbers([0]))).iter().all(|(number, _)| *number == ITERATIONS_DEFAULT.get()));
    let text = Stored::parse("river stone").expect("plain text");
    let known = |user: &str| text.verifier(user, &disguise).expect("of a password").iterations;
    assert!(
        (0..20).all(|n| known(&n.to_string()) == disguise.iterations(&n.to_string())),
        "who has none of his own as well"
    );
}

#[test]
fn what_strangers_are_given_changes_with_the_numbers_in_use_and_with_nothing_else() {
    let disguise = Disguise::new([1; 32], numbers([7, 9, 7, 0, 0]));
    let first = given(&disguise);
    let asked = |disguise: &Disguise| -> Vec<_> { (0..1000).map(|n| disguise.has_verifier(&n.to_string())).collect() };
    let others_come = disguise.renewed(numbers([9, 9, 0, 9, 7]));
    assert_eq!((given(&others_come), asked(&others_come)), (first.clone(), asked(&disguise)));
    assert_eq!(given(&others_come.renewed(numbers([7, 9]))), first);
    let fewer = given(&others_come.renewed(numbers([7])));
    for (before, now) in first.iter().zip(&fewer) {
        assert_eq!(now.0, 7, "no user has 9 any more");
        assert_eq!(now.1 == before.1, before.0 == 7, "a password that is set anew has another salt");
    }
    let anew = given(&others_come.renewed(numbers([11, 12])));
    assert!(anew.iter().any(|(number, _)| *number == 11) && anew.iter().any(|(number, _)| *number == 12));
}

#[test]
fn what_a_secret_makes_of_a_name_is_the_same_in_every_process_that_has_it_however_many_users_have_each_number() {
    let answers = |disguise: &Disguise| {
        (given(disguise), (0..1000).map(|n| disguise.has_verifier(&n.to_string())).collect::<Vec<_>>())
    };
    let with =
        |secret: &str, users: &[u32]| Disguise::of_secret(secret, users.iter().map(|number| NonZeroU32::new(*number)));
    let first = answers(&with("an otter swims by", &[7, 9, 7, 0]));
    assert_eq!(answers(&with("an otter swims by", &[9, 0, 9, 7, 9, 0])), first);
    assert_eq!(answers(&with("an otter swims by", &[7, 9, 0]).renewed(numbers([9, 9, 9, 7, 0]))), first);
    for number in [7, 9] {
        let strangers = first.0.iter().filter(|(given, _)| *given == number).count();
        assert!((400..600).contains(&strangers), "{strangers}");
    }
    let other = answers(&with("an otter sleeps now", &[7, 9, 7, 0]));
    assert!(first.0.iter().zip(&other.0).all(|(one, other)| one.1 != other.1));
}

/// What a guess costs under each method: by a password in clear, by md5 where that is asked for, and by SCRAM.
fn guess(users: &Users, user: &str, method: &str) -> Work {
    work::done();
    match method {
        "plain" => assert!(clear_text(users, user, "wrong").is_err()),
        "md5" => match users.md5(user) {
            Asks::Md5(challenge) => assert!(challenge.check(b"md500000000000000000000000000000000", [1; 4]).is_err()),
            Asks::Scram(challenge) => scram_guess(challenge),
        },
        _ => scram_guess(users.scram(user)),
    }
    work::done()
}

/// A proof that is none, and costs nothing to make.
fn scram_guess(challenge: Challenge) {
    let server = ScramServer::new(challenge, &[8; NONCE_BYTES], None);
    let (server, first) = server.client_first(SCRAM_SHA_256.as_bytes(), b"n,,n=,r=abc").expect("a good first message");
    let nonce = String::from_utf8(first).expect("text").split(',').next().expect("a nonce").to_owned();
    let proof = format!("c=biws,{nonce},p={}=", "A".repeat(43));
    assert_eq!(server.client_final(proof.as_bytes()).err(), Some(Refused::WrongPassword));
}

#[test]
fn a_guess_costs_the_same_whether_there_is_such_a_user_or_not() {
    // One kind of secret at a time: which of several is asked for differs from user to user as well.
    for secret in ["river stone", MD5, &verifier()] {
        let users = users(&[("otter", secret), ("beaver", secret)]);
        for method in ["plain", "md5", "scram-sha-256"] {
            let usual = guess(&users, "otter", method);
            assert!(usual != Work::default(), "{secret}, {method}");
            for user in ["beaver", "nobody", "stranger", ""] {
                assert_eq!(guess(&users, user, method), usual, "{secret}, {method}, {user}");
            }
        }
    }
}
