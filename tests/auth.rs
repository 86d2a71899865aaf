//! Who is it? Every method of clients against every method of servers, real PostgreSQL behind a real `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "auth/matrix.rs"]
mod matrix;
#[path = "auth/place.rs"]
mod place;
#[path = "auth/roles.rs"]
mod roles;
#[path = "auth/states.rs"]
mod states;
#[path = "auth/strangers.rs"]
mod strangers;
#[path = "auth/tls.rs"]
mod tls;

use support::certificates;
