//! Whose certificate is it?

use super::*;
use rcgen::{CertificateParams, DnType, KeyPair};

fn der(names: &[&str]) -> Vec<u8> {
    let mut parameters = CertificateParams::new(vec!["otter".to_owned()]).expect("parameters");
    names.iter().for_each(|name| parameters.distinguished_name.push(DnType::CommonName, *name));
    if names.is_empty() {
        parameters.distinguished_name = rcgen::DistinguishedName::new();
    }
    let key = KeyPair::generate().expect("a key");
    parameters.self_signed(&key).expect("a certificate").der().to_vec()
}

#[test]
fn only_the_user_that_the_common_name_names_is_let_in() {
    let otter = der(&["otter"]);
    assert_eq!(certificate("otter", Some(&otter), true).map(|who| who.user().to_owned()), Ok("otter".to_owned()));
    for user in ["stoat", "Otter", "otter ", "otte", ""] {
        assert_eq!(certificate(user, Some(&otter), true), Err(Refused::OtherCertificate), "{user}");
    }
    assert_eq!(certificate("otter", Some(&otter), false), Err(Refused::OtherCertificate), "not a user");
    assert_eq!(certificate("otter", None, true), Err(Refused::NoCertificate));
}

#[test]
fn a_name_that_is_not_plain_is_no_name() {
    for der in [der(&[]), der(&["otter\0stoat"]), b"nonsense".to_vec(), Vec::new()] {
        assert_eq!(certificate("otter", Some(&der), true), Err(Refused::OtherCertificate));
    }
}
