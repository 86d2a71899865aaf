//! Tests of the server room: the conversation with a server, replayed and against a small PostgreSQL.

mod asking;
mod cancelling;
mod copying;
mod cuts;
mod guarding;
mod histories;
mod newborn;
mod repairing;
mod replies;
mod talk;
mod timing;
mod tiny_postgres;
mod withheld;
