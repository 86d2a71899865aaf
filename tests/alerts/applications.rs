//! Alerts on what clients call themselves.

use super::hooks::Hooks;
use super::table::pgotter;
use super::talk::Client;
use super::world::{eventually, fresh_role};
use super::{ports, shown, state, states, watched};
use crate::support::waiting::reload_with;

fn named(port: u16, role: &str, application: &str) -> Client {
    Client::connect_with(port, &[("user", role), ("database", "postgres"), ("application_name", application)])
}

const ALERTS: &str = "[[alert]]\nname = \"slow billing\"\ntype = \"average\"\nover = \"100ms\"\nwindow = \"10s\"\nmin_calls = 5\n\
                      match = { application = \"billing-*\" }\n\
                      [[alert]]\nname = \"slow till\"\ntype = \"average\"\nover = \"100ms\"\nwindow = \"10s\"\nmin_calls = 5\n\
                      match = { application = \"till\" }\n\
                      [[alert]]\nname = \"long billing\"\ntype = \"single\"\nover = \"100ms\"\nwindow = \"10s\"\n\
                      match = { application = \"billing-*\" }\n\
                      [[alert]]\nname = \"long till\"\ntype = \"single\"\nover = \"100ms\"\nwindow = \"10s\"\n\
                      match = { application = \"till\" }\n";

#[test]
fn an_alert_on_an_application_hears_of_its_statements_and_of_nobody_elses() {
    let mut pooler = pgotter("", &watched(ports::free_port(), "", ""));
    let role = fresh_role();
    let mut clients = ["billing-7", "another"].map(|name| named(pooler.port(), &role, name));
    // What there was before nobody wanted to hear of; and they are there when that changes.
    clients[0].value("select pg_sleep(0.15) as early");
    let before = std::fs::read_to_string(pooler.config_file()).unwrap();
    assert!(reload_with(&mut pooler, &(before.clone() + ALERTS)));
    eventually("they are looked at", || shown(&pooler).rows.len() == 4);
    for _ in 0..5 {
        clients.iter_mut().for_each(|client| drop(client.value("select pg_sleep(0.15)")));
    }
    clients[1].query("set application_name = 'till'");
    (0..4).for_each(|_| drop(clients[1].value("select 1, pg_sleep(0)")));
    eventually("both hear of it", || {
        ["slow billing", "long billing"].iter().all(|alert| state(&pooler, alert) == "firing")
    });
    let table = shown(&pooler);
    assert_eq!(table.row(&[("alert", "slow billing")]).text("query"), "select pg_sleep(?)");
    // Four are too few, and what is counted for it is quick; those of before it was called so are not its own.
    for alert in ["slow till", "long till"] {
        assert_eq!(table.row(&[("alert", alert)]).number("fired"), 0, "{table:?}");
    }
    clients[1].value("select 1, pg_sleep(0)");
    eventually("five are enough to say that it is quick", || {
        shown(&pooler).row(&[("alert", "slow till")]).get("value").is_some_and(|value| value.ends_with("ms"))
    });
    // And nothing is counted for it any more.
    assert!(reload_with(&mut pooler, &before));
    eventually("they are gone", || shown(&pooler).rows.is_empty());
    clients.iter_mut().for_each(|client| drop(client.value("select 'goes on'")));
}

#[test]
fn a_reload_that_takes_alerts_and_webhooks_away_tells_those_who_heard_that_it_fires() {
    let [goes, stays, comes] = [(); 3].map(|()| Hooks::answering(&[]));
    let quick = "[[alert]]\ntype = \"single\"\nover = \"100ms\"\nwindow = \"1h\"\n";
    let webhooks = format!("\"{}\", \"{}\"", goes.url("/"), stays.url("/"));
    let mut pooler = pgotter("", &watched(ports::free_port(), quick, &webhooks));
    named(pooler.port(), &fresh_role(), "").value("select pg_sleep(0.2)");
    eventually("both are told", || goes.told().len() == 1 && stays.told().len() == 1);
    let before = std::fs::read_to_string(pooler.config_file()).unwrap();
    let now = before.replace(quick, "").replace(&goes.url("/"), &comes.url("/"));
    assert!(reload_with(&mut pooler, &now));
    eventually("all are told", || {
        [&goes, &stays, &comes].iter().all(|hooks| !states(&hooks.told(), "single").is_empty())
    });
    eventually("that it is over", || goes.told().len() == 2 && stays.told().len() == 2);
    for (hooks, heard) in
        [(&goes, &["firing", "resolved"][..]), (&stays, &["firing", "resolved"]), (&comes, &["resolved"])]
    {
        assert_eq!(states(&hooks.told(), "single"), heard);
        assert_eq!(hooks.told().last().unwrap().json["reason"], "removed");
    }
}
