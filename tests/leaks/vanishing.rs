//! A client is gone behind a byte of what it sends, and behind every one of them once: whoever comes next on its server finds
//! nothing of it.

use super::act::{Act, Block, How};
use super::generate::Request;
use super::kinds;
use super::witness::Expected;
use super::world::{Stage, server};
use crate::support::PgOtter;
use std::io::Write;

#[test]
fn nothing_is_left_of_a_client_that_vanishes_behind_any_byte_of_what_it_sends() {
    let stage = Stage::new();
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1\nmax_pinned = 1");
    let expected = Expected::new(stage.clone(), kinds::ALL);
    let mut witness = expected.witness(pgotter.port());
    let mut servers = Vec::new();
    for request in requests() {
        let bytes = request.bytes();
        for end in 0..=bytes.len() {
            let mut client = stage.log_in_at(pgotter.port(), &[("application_name", "hostile")]);
            client.stream.write_all(&bytes[..end]).expect("PgOtter listens");
            drop(client);
            let server = expected.look(&mut witness, end % 16 == 0);
            servers.push(server.unwrap_or_else(|why| panic!("behind {end} bytes of {request}\n{why}")));
        }
    }
    let looks = servers.len();
    servers.dedup();
    println!("{looks} clients have vanished, {} servers were closed for it", servers.len() - 1);
}

fn requests() -> Vec<Request> {
    use Act::*;
    let set = |name, value, how| Set { local: false, name, value, how };
    let hidden = |block, act| Do(block, Box::new(act));
    let settings = vec![
        set("work_mem", "3MB", How::Set),
        set("TimeZone", "Asia/Tokyo", How::SetConfig),
        set("search_path", "other, public", How::Function),
        Role { local: false, role: "otter_a" },
        Reset("work_mem"),
    ];
    let custom = vec![set("app.tenant", "7", How::Set), set("app.owner", "7", How::Trigger)];
    let objects = vec![
        CreateTemp { name: "mine", drop: false },
        Lock(1),
        Declare("h1"),
        Prepare("s1 of SQL", 1),
        Listen("alpha"),
        Nextval,
    ];
    let block = vec![Begin, set("DateStyle", "German, DMY", How::Set), Savepoint(1), Lock(1), Fail];
    let committed = vec![Begin, CreateTempSequence, Savepoint(1), RollbackTo(1), Commit, SetSeed];
    let within = vec![
        hidden(Block::Plain, set("bytea_output", "escape", How::Set)),
        hidden(Block::Undoes, Lock(1)),
        hidden(Block::Computes, Authorization("otter_b")),
    ];
    let messages = vec![Parse("s1", 1), Run("s1"), Flush, Parse("", 2), Run(""), Close("s1"), DiscardAll];
    let both = [settings, custom, objects, block, committed, within];
    let twice = both.into_iter().flat_map(|acts| [Request::Query(acts.clone()), Request::Pipeline(acts)]);
    twice.chain([Request::Pipeline(messages)]).collect()
}
