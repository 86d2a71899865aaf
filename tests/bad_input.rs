//! A real `pgotter run` between peers that break the protocol: clients in front of a real PostgreSQL, and servers that
//! are scripts. Whoever breaks it hears so or is closed; nobody else notices, and nothing panics.

mod support;

#[path = "bad_input/clients.rs"]
mod clients;
#[path = "bad_input/crowd.rs"]
mod crowd;
#[path = "bad_input/deaf.rs"]
mod deaf;
#[path = "bad_input/leaving.rs"]
mod leaving;
#[path = "bad_input/lengths.rs"]
mod lengths;
#[path = "bad_input/names.rs"]
mod names;
#[path = "bad_input/raw.rs"]
mod raw;
#[path = "bad_input/scripted.rs"]
mod scripted;
#[path = "bad_input/servers.rs"]
mod servers;
