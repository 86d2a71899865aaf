//! PgOtter speaks PostgreSQL's protocol: real PostgreSQL, a real `pgotter run`, and clients that behave well, badly,
//! or not at all.

mod support;

#[path = "protocol/cancel.rs"]
mod cancel;
#[path = "protocol/differential.rs"]
mod differential;
#[path = "protocol/opening.rs"]
mod opening;
#[path = "protocol/programs.rs"]
mod programs;
#[path = "protocol/reconfigured.rs"]
mod reconfigured;
#[path = "protocol/scripts.rs"]
mod scripts;
#[path = "protocol/settings.rs"]
mod settings;
#[path = "protocol/size.rs"]
mod size;
#[path = "protocol/vanishing.rs"]
mod vanishing;
