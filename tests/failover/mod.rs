//! Databases with several hosts: who is the primary is found out and followed; a primary and two streaming replicas behind a real
//! `pgotter run`.

mod again;
mod elsewhere;
mod following;
mod load;
mod ready;
mod refusing;
mod several;
mod shown;
mod trio;

use crate::support::{reloading, talk, world};
