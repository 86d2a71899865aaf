//! A real `pgotter run` between peers that break the protocol: clients in front of a real PostgreSQL, and servers that
//! are scripts. Whoever breaks it hears so or is closed; nobody else notices, and nothing panics.

mod clients;
mod crowd;
mod deaf;
mod leaving;
mod lengths;
mod names;
mod raw;
mod scripted;
mod servers;
mod stages;
