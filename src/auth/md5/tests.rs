//! Against what PostgreSQL 15 stored, and against md5 by hand.

use super::*;

const STORED: &str = "md5c70a524903470fbe78cff9b422bc2738";

#[test]
fn the_hash_of_a_password_is_the_one_that_postgresql_stores() {
    let stored = Md5Hash::parse(STORED).expect("well formed");
    assert_eq!(stored.0.expose(), Md5Hash::from_password("old", "river stone").0.expose());
}

#[test]
fn a_password_and_its_stored_hash_give_the_same_answer() {
    let salt = [0x00, 0xff, 0x2c, 0x80];
    let of_hash = md5_password(&Md5Hash::parse(STORED).expect("well formed"), salt);
    assert_eq!(of_hash, md5_password(&Md5Hash::from_password("old", "river stone"), salt));
    // printf 'c70a524903470fbe78cff9b422bc2738\x00\xff\x2c\x80' | md5sum
    assert_eq!(of_hash, "md52e28a1de0597c84371b89728d5f2979b");
}

#[test]
fn another_salt_gives_another_answer() {
    let hash = Md5Hash::from_password("old", "river stone");
    assert_ne!(md5_password(&hash, [0; 4]), md5_password(&hash, [1, 0, 0, 0]));
}
