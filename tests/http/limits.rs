//! What may be had at most.

use super::Watched;
use super::scrape::Scrape;
use crate::support::raw::{Raw, startup};
use crate::support::{must, shared_postgres};
use pgotter::cli::local_postgres::SUPERUSER;

const CLIENTS: &str = "pgotter_client_connections_limit";
const SERVERS: &str = "pgotter_server_connections_limit";
const SHOP: (&str, &str) = ("database", "shop");

#[test]
fn the_limits_of_databases_users_and_pools_are_those_that_hold() {
    must(shared_postgres().psql("postgres", "CREATE ROLE limits_small LOGIN"));
    must(shared_postgres().psql("postgres", "CREATE ROLE limits_none LOGIN"));
    let watched = Watched::in_front_of(
        shared_postgres(),
        "default_pool_size = 3\nreserve_pool_size = 2\nmax_client_conn = 50\nmax_db_client_connections = 7\n\
         max_user_client_connections = 5\n[users.limits_small]\npool_size = 1\nreserve_pool_size = 0\n\
         max_user_client_connections = 4\n[users.limits_none]\npool_size = 0\nmax_user_client_connections = 0",
    );
    let mut clients = [SUPERUSER, "limits_small", "limits_none"].map(|user| {
        let mut client = Raw::connect(watched.port());
        client.send(&startup(3, 0, &[("user", user), SHOP]));
        client.welcomed();
        client
    });
    clients.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 1"), "1"));
    let of_pool = |scrape: &Scrape, user| scrape.get(SERVERS, &[SHOP, ("user", user)]);
    let scrape = Scrape::until(watched.http, "the pools", |scrape| of_pool(scrape, "limits_small").is_some());
    for (user, servers, of_user) in
        [(SUPERUSER, Some(5.0), Some(5.0)), ("limits_small", Some(1.0), Some(4.0)), ("limits_none", None, None)]
    {
        assert_eq!(of_pool(&scrape, user), servers, "{user}");
        assert_eq!(scrape.get(CLIENTS, &[("user", user)]), of_user, "{user}");
    }
    assert_eq!(scrape.get(CLIENTS, &[SHOP]), Some(7.0));
    assert_eq!(scrape.get(CLIENTS, &[]), Some(50.0));
}
