//! Statements that a rule sends to another entry are counted there, and those of home at home.

use crate::entries::{LOGS, ORDERS, Pair, READ};
use crate::support::raw::Raw;
use crate::world::{eventually, metric};

/// Answers that /metrics tells of as read by their clients, for each entry.
fn read(pair: &Pair) -> [u64; 2] {
    ["shop", "logs"].map(|database| {
        let labels = format!("{{database=\"{database}\",kind=\"read\",role=\"primary\"}}");
        metric(pair.http, &format!("pgotter_query_duration_seconds_count{labels}"))
    })
}

#[test]
fn how_long_a_statement_took_is_told_of_the_database_where_it_ran() {
    let pair = Pair::new("counted", &[LOGS]);
    let mut client = pair.client();
    let before = read(&pair);
    for (text, place) in [(READ, "logs"), (ORDERS, "home")] {
        for _ in 0..5 {
            assert_eq!(client.value(text), place);
        }
    }
    in_block(&mut client, READ);
    in_block(&mut client, ORDERS);
    let now = || {
        let now = read(&pair);
        [now[0] - before[0], now[1] - before[1]]
    };
    eventually("all are counted", || now().iter().sum::<u64>() >= 12);
    assert_eq!(now(), [6, 6]);
}

fn in_block(client: &mut Raw, text: &str) {
    client.ask("BEGIN");
    client.value(text);
    client.ask("COMMIT");
}
