//! URLs as people write them.

use super::*;

fn good(url: &str) -> Target {
    parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn mistake(url: &str) -> String {
    match parse(url) {
        Ok(_) => panic!("{url} was taken"),
        Err(error) => error.to_string(),
    }
}

fn hosts(url: &str) -> Vec<(String, u16)> {
    good(url).hosts
}

fn host(name: &str, port: u16) -> (String, u16) {
    (name.to_owned(), port)
}

fn password(url: &str) -> Option<String> {
    good(url).password.map(|password| password.expose().clone())
}

#[test]
fn a_full_url_is_read() {
    let target = good("postgresql://app:secret@pg-0:5433/shop");
    assert_eq!((target.user.as_str(), target.database.as_str()), ("app", "shop"));
    assert_eq!(target.hosts, [host("pg-0", 5433)]);
    assert_eq!(target.timeout, TIMEOUT);
    assert_eq!(password("postgresql://app:secret@pg-0:5433/shop").as_deref(), Some("secret"));
}

#[test]
fn what_is_left_out_has_libpqs_default() {
    let target = good("postgres://app@pg-0");
    assert_eq!((target.database.as_str(), target.hosts), ("app", vec![host("pg-0", 5432)]));
    assert!(target.password.is_none());
    assert_eq!(password("postgres://app:@pg-0"), None);
    assert_eq!(hosts("postgres://app@pg-0:/db"), [host("pg-0", 5432)]);
}

#[test]
fn percent_encoding_is_undone_everywhere() {
    let target = good("postgresql://us%65r%40x:p%2f%3F%23%25@h/d%20b");
    assert_eq!((target.user.as_str(), target.database.as_str()), ("user@x", "d b"));
    assert_eq!(target.password.unwrap().expose(), "p/?#%");
    assert_eq!(password("postgres://a:1+1=%C3%BC:@h").as_deref(), Some("1+1=ü:"));
}

#[test]
fn several_hosts_have_a_port_each_or_the_default() {
    let url = "postgresql://app@a:1,b,[::1]:3/db";
    assert_eq!(hosts(url), [host("a", 1), host("b", 5432), host("::1", 3)]);
    assert_eq!(hosts("postgresql://app@/db?host=a,b&port=7"), [host("a", 7), host("b", 7)]);
    assert_eq!(hosts("postgresql://app@/db?host=a,b&port=7,8"), [host("a", 7), host("b", 8)]);
    assert_eq!(hosts("postgresql://app@[::1]/db"), [host("::1", 5432)]);
}

#[test]
fn a_sockets_folder_comes_encoded_or_as_a_parameter() {
    let folder = [host("/var/run/postgresql", 5432)];
    assert_eq!(hosts("postgresql:///db?host=/var/run/postgresql&user=x"), folder);
    assert_eq!(hosts("postgresql://x@%2Fvar%2Frun%2Fpostgresql/db"), folder);
    assert_eq!(hosts("postgresql:///db?host=%2Fvar%2Frun%2Fpostgresql&user=x&port=5432"), folder);
}

#[test]
fn parameters_override_what_stands_in_front_of_them() {
    let target = good("postgresql://a:b@c/d?user=e&password=f&host=g&dbname=h&connect_timeout=3");
    assert_eq!((target.user.as_str(), target.database.as_str()), ("e", "h"));
    assert_eq!((target.hosts, target.timeout), (vec![host("g", 5432)], Duration::from_secs(3)));
    assert_eq!(target.password.unwrap().expose(), "f");
}

#[test]
fn encryption_may_be_preferred_but_not_required() {
    for mode in ["disable", "allow", "prefer"] {
        good(&format!("postgresql://a@b/c?sslmode={mode}"));
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let why = mistake(&format!("postgresql://a@b/c?sslmode={mode}"));
        assert!(why.contains("leave sslmode out") && why.contains(mode), "{why}");
    }
    assert!(mistake("postgresql://a@b/c?sslmode=yes").contains("disable, allow or prefer"));
}

#[test]
fn each_mistake_is_named() {
    for (url, why) in [
        ("", "begin with postgresql://"),
        ("host=localhost user=app", "begin with postgresql://"),
        ("mysql://a@b/c", "begin with postgresql://"),
        ("postgresql://", "no user"),
        ("postgresql://host/db", "no user"),
        ("postgresql:///db", "no user"),
        ("postgresql:///db?user=x", "no host"),
        ("postgresql://a@/db", "no host"),
        ("postgresql://a@b,,c/db", "no host"),
        ("postgresql://a:p@ss@b/db", "%40"),
        ("postgresql://a:p/w@b/db", "%2F"),
        ("postgresql://a:p%w@b/db", "%25"),
        ("postgresql://a:p%4@b/db", "%25"),
        ("postgresql://a:p%@b/db", "%25"),
        ("postgresql://a:p%00@b/db", "zero byte"),
        ("postgresql://a:p%FF@b/db", "UTF-8"),
        ("postgresql://a:p:/w@b/db", "%2F"),
        ("postgresql://a@b:0/db", "1 to 65535"),
        ("postgresql://a@b:65536/db", "1 to 65535"),
        ("postgresql://a@b:+1/db", "1 to 65535"),
        ("postgresql://a@::1/db", "brackets"),
        ("postgresql://a@[::1/db", "]"),
        ("postgresql://a@[::1]x/db", "]"),
        ("postgresql://a@b:1,c,b:1/db", "twice"),
        ("postgresql://a@/db?host=b,c,d&port=1,2", "one port"),
        ("postgresql://a@b/db?sslmode", "name=value"),
        ("postgresql://a@b/db?schema=public", "unknown"),
        ("postgresql://a@b/db?connect_timeout=soon", "seconds"),
    ] {
        let said = mistake(url);
        assert!(said.contains(why), "{url}: {said}");
    }
}

#[test]
fn no_mistake_repeats_a_part_of_the_password() {
    for url in [
        "postgresql://app:hunter/hunter@h/db",
        "postgresql://app:hunter?hunter@h/db",
        "postgresql://app:hunter@hunter@h/db",
        "postgresql://app:hunter%hunter@h/db",
        "postgresql://app:[hunter@h/db?hunter=hunter",
        "hunter",
    ] {
        let said = mistake(url);
        assert!(!said.contains("hunter"), "{said}");
    }
}
