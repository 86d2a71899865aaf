//! Operating a running PgOtter: reload, PAUSE and RESUME, the end; real PostgreSQL behind a real `pgotter run`.

mod descriptors;
mod elsewhere;
mod lanes;
mod limits;
mod memory;
mod pause;
mod reload;
mod signals;

use crate::support::{proxy, reloading, talk, world};
