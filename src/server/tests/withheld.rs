//! Servers that owe nothing that could be named, and yet may have something left for their client.

use super::talk::{Talk, said};

#[test]
fn a_hidden_block_is_its_clients_until_its_error_has_come() {
    let mut talk = Talk::default();
    talk.send("PBEQ").hear("1 2 C C Zt").send("S").hear("Zi");
    assert!(!talk.exchange.owes() && !talk.at_boundary(), "the next statement will fail");
    talk.send("Q").hear("E Zi");
    assert!(talk.at_boundary());
}

#[test]
fn an_error_whose_ready_for_query_shows_no_end_leaves_the_block_hidden() {
    let mut talk = Talk::default();
    talk.send("PBEQ").hear("1 2 C C Zt").send("Q").hear("E Zt").send("S").hear("Zi");
    assert!(!talk.at_boundary());
}

#[test]
fn a_query_may_end_the_block_properly() {
    for kinds in ["Q", "F"] {
        let mut talk = Talk::default();
        talk.send("PBE").send(kinds).hear("1 2 C").hear(if kinds == "Q" { "C Zt" } else { "V Zt" });
        talk.send("Q").hear("C Zi");
        assert!(talk.at_boundary(), "{kinds}");
    }
}

#[test]
fn without_the_hidden_block_a_query_behind_executed_messages_is_nothing_special() {
    let mut talk = Talk::default();
    talk.send("PBEQ").hear("1 2 C C Zi").send("S").hear("Zi");
    assert!(talk.at_boundary());
    talk.send("Q").hear("C Zt").send("BES").hear("2 C Zi");
    assert!(talk.at_boundary(), "a transaction of the client's own, which its Sync does end");
    talk.send("PBEQS").hear("1 2 C C Zi Zi");
    assert!(talk.at_boundary());
}

#[test]
fn a_block_that_its_client_ends_by_a_statement_hides_nothing() {
    for tag in ["COMMIT", "ROLLBACK", "PREPARE_TRANSACTION"] {
        let mut talk = Talk::default();
        talk.send("Q").hear("C:BEGIN Zt").send("PBEQ").hear("1 2 C C Zt");
        talk.send("PBES").hear(&format!("1 2 C:{tag} Zi"));
        assert!(talk.at_boundary(), "{tag}");
        // Behind it another one may be hidden.
        talk.send("PBEQ").hear("1 2 C C Zt").send("PBEPBEQS").hear(&format!("1 2 C:{tag} 1 2 C C Zt Zi"));
        assert!(!talk.at_boundary(), "{tag}");
    }
    let mut talk = Talk::default();
    talk.send("PBEQ").hear("1 2 C C Zt").send("PBES").hear("1 2 C:RELEASE Zi");
    assert!(!talk.at_boundary());
}

#[test]
fn an_error_behind_a_sync_among_data_leaves_the_server_to_its_client() {
    let mut talk = Talk::default();
    talk.send("Q").hear("G").send("dSd").hear("E");
    assert!(talk.exchange.owes() && !talk.at_boundary());
    // Whichever it was, the client hears it.
    talk.send("Q").hear("Zi Zi T D C Zi");
    assert_eq!(talk.seen.bytes, [said("G"), said("E"), said("Zi Zi T D C Zi")].concat());
    assert!(talk.exchange.owes() && !talk.at_boundary());
}

#[test]
fn a_sync_among_data_of_a_copy_that_succeeds_is_forgotten() {
    let mut talk = Talk::default();
    talk.send("Q").hear("G").send("dSdc").hear("C Zi");
    assert!(talk.at_boundary());
    talk.send("Q").hear("E Zi");
    assert!(talk.at_boundary());
}

#[test]
fn an_error_among_data_without_a_sync_leaves_no_doubt() {
    let mut talk = Talk::default();
    talk.send("Q").hear("G").send("dd").hear("E Zi");
    assert!(talk.at_boundary());
}

#[test]
fn data_ahead_of_a_copy_behind_two_syncs_leaves_no_doubt() {
    let mut talk = Talk::default();
    talk.send("PBESSd").hear("1 2 G").send("ScS").hear("C Zi");
    assert!(talk.at_boundary());
    // The next one's error is no COPY's.
    talk.send("Q").hear("E Zi");
    assert!(talk.at_boundary() && !talk.exchange.owes());
}
