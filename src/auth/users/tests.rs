//! Who is asked what.

use super::*;
use crate::auth::{Derivation, Refused, ScramKeys, md5_password};
use crate::secret::Secret;

const FEW: NonZeroU32 = NonZeroU32::new(2).expect("invariant: 2 is not 0");

fn users(lines: &[(&str, &str)]) -> Users {
    let disguise = Arc::new(Disguise::new([1; 32], FEW));
    let stored = |(user, text): &(&str, &str)| ((*user).to_owned(), Stored::parse(text).expect("well-formed"));
    Users::new(lines.iter().map(stored), disguise, true)
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

#[test]
fn strangers_are_given_the_iterations_that_most_users_have() {
    let verifier = |count| {
        let count = NonZeroU32::new(count).expect("not 0");
        let text = Verifier::from_password("river stone", [9; 16], count).to_text();
        Stored::parse(text.expose()).expect("well-formed")
    };
    let plain = || Stored::parse("river stone").expect("plain text");
    assert_eq!(
        usual_iterations([plain(), verifier(7), verifier(9), plain(), plain(), verifier(7)].into_iter()).get(),
        7
    );
    assert_eq!(usual_iterations([plain()].into_iter()), ITERATIONS_DEFAULT);
}
