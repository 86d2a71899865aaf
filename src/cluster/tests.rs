//! What the configuration makes of sockets.

use super::*;
use std::path::Path;

fn options(lines: &str) -> TcpOptions {
    let text = format!("[pooler]\nauth_type = \"trust\"\n{lines}\n[databases.shop]\nhosts = [\"pg\"]\n");
    let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let config = crate::config::parse(&text, Path::new("/pooler.toml"), &nothing, &|_| None, 1);
    server_tcp_options(&config.unwrap_or_else(|report| panic!("{report}")).pooler)
}

#[test]
fn f14_a_host_that_died_without_a_word_is_found_within_five_seconds_by_default() {
    let found = options("");
    let probes = found.keepintvl.unwrap() * found.keepcnt.unwrap();
    assert!(found.keepalive && found.keepidle.unwrap() + probes <= Duration::from_secs(5), "{found:?}");
    assert!(found.user_timeout.unwrap() <= Duration::from_secs(5), "{found:?}");
}

#[test]
fn what_is_configured_holds_for_servers_too() {
    let given =
        "tcp_keepalive = false\ntcp_keepidle = 60\ntcp_keepintvl = 10\ntcp_keepcnt = 9\ntcp_user_timeout = 1500";
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let (keepidle, keepintvl, user_timeout) = (seconds(60), seconds(10), Some(Duration::from_millis(1500)));
    assert_eq!(options(given), TcpOptions { keepalive: false, keepidle, keepintvl, keepcnt: Some(9), user_timeout });
}
