//! Who is it? Every method of clients against every method of servers, real PostgreSQL behind a real `pgotter run`.

mod between;
mod derivation;
mod encrypted;
mod keys;
mod matrix;
mod nonces;
mod place;
mod reloads;
mod roles;
mod secrets;
mod states;
mod strangers;
mod tls;

use crate::support::certificates;
