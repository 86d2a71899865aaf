//! Whether a request is for this endpoint. A page that somebody's browser shows may not read another site's answers; but it may have its
//! own name lead to this machine, and then it asks us as if we were its site ("DNS rebinding"). Such a request says that name in its
//! Host header. So on loopback, where nobody expects to be asked by name, only addresses and known names are answered.

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;
use std::net::{IpAddr, SocketAddr};

/// The name that a request is for, if that is none of ours. `allowed` are names that the configuration lists. Elsewhere than on
/// loopback, where it lists none, every name is ours. A request that says no name, as HTTP/1.0 may, was sent by no browser.
pub(super) fn foreign_name<B>(request: &Request<B>, listen: Option<SocketAddr>, allowed: &[String]) -> Option<String> {
    if allowed.is_empty() && !listen.is_some_and(|listen| listen.ip().is_loopback()) {
        return None;
    }
    let said = request.headers().get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    // Of a target with a name in it that one counts.
    let named = request.uri().authority().map(|authority| authority.as_str().to_owned());
    said.chain(named).find(|name| !is_ours(name, allowed))
}

fn is_ours(said: &str, allowed: &[String]) -> bool {
    let Ok(authority) = said.parse::<Authority>() else { return false };
    if said.contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if address.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    is("localhost") || allowed.iter().any(|known| is(known))
}

#[cfg(test)]
mod tests {
    //! Names.
    use super::*;

    fn foreign(listen: &str, allowed: &[&str], host: &str) -> Option<String> {
        let request = Request::get("/metrics").header(HOST, host).body(()).expect("a request");
        let allowed: Vec<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        foreign_name(&request, listen.parse().ok(), &allowed)
    }

    #[test]
    fn addresses_and_localhost_are_ours_and_other_names_on_loopback_are_not() {
        for listen in ["127.0.0.1:9127", "[::1]:9127", "127.0.0.2:1"] {
            for host in [
                "127.0.0.1:9127",
                "127.0.0.1",
                "[::1]:9127",
                "[::1]",
                "10.0.0.7:80",
                "localhost:9127",
                "LocalHost",
                "localhost.",
            ] {
                assert_eq!(foreign(listen, &[], host), None, "{host}");
            }
            for host in [
                "evil.example:9127",
                "evil.example",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "1.2.3",
                "",
                "me@localhost",
                "a b",
            ] {
                assert_eq!(foreign(listen, &[], host).as_deref(), Some(host), "{host}");
            }
        }
    }

    #[test]
    fn names_that_are_listed_are_ours_and_elsewhere_than_on_loopback_all_are_if_none_is_listed() {
        assert_eq!(foreign("127.0.0.1:9127", &["otter.example"], "Otter.example:443"), None);
        assert_eq!(foreign("127.0.0.1:9127", &["otter.example"], "evil.example").as_deref(), Some("evil.example"));
        assert_eq!(foreign("0.0.0.0:9127", &[], "otter.example"), None);
        assert_eq!(foreign("0.0.0.0:9127", &["otter.example"], "evil.example").as_deref(), Some("evil.example"));
    }

    #[test]
    fn the_name_in_a_target_counts_as_well_and_none_is_no_name() {
        let listen = "127.0.0.1:9127".parse().ok();
        let request =
            Request::get("http://evil.example/metrics").header(HOST, "localhost").body(()).expect("a request");
        assert_eq!(foreign_name(&request, listen, &[]).as_deref(), Some("evil.example"));
        let request = Request::get("/metrics").body(()).expect("a request");
        assert_eq!(foreign_name(&request, listen, &[]), None);
    }
}
