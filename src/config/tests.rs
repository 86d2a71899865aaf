//! A configuration is either complete or a list of every mistake, each at its place.

use super::*;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

mod good;
mod mistakes;
mod reference;
mod sections;
mod shown;

const REFERENCE: &str = include_str!("../../config/reference.toml");
const SHIPPED: &str = include_str!("../../pooler.toml");

const BASE: &str = "[pooler]\nauth_type = \"trust\"\n[databases.\"*\"]\nhosts = [\"pg-0\"]\n";

/// The files and variables that exist in these tests.
fn read(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/etc/otter/userlist.txt") => Ok("; users\n\"app\" \"one\"\n\"o\"\"dd\" \"t\"\"wo\" rest\n".to_owned()),
        Some("/etc/otter/secrets/reporting") => Ok("from a file\n".to_owned()),
        Some("/etc/otter/secrets/mock_authentication") => Ok("0123456789abcdef\n".to_owned()),
        Some("/etc/otter/empty") => Ok("\n".to_owned()),
        Some("/etc/otter/bad.txt") => {
            Ok("\"a\" \"hunter2\"\n\n\"b\"\n  c\n\"a\" \"x\"\n\"\" \"y\"\n\"d\" \"open".to_owned())
        }
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_PASSWORD" => Some("from the environment".to_owned()),
        "SLACK_WEBHOOK" => Some("https://hooks.example.test/services/T0".to_owned()),
        _ => None,
    }
}

fn parsed(text: &str) -> Result<Config, Report> {
    parse(text, Path::new("/etc/otter/pooler.toml"), &read, &env, 6)
}

fn good(text: &str) -> Config {
    parsed(text).unwrap_or_else(|report| panic!("{report}"))
}

fn report(text: &str) -> Report {
    parsed(text).err().unwrap_or_else(|| panic!("no mistake found in:\n{text}"))
}

/// The reference with every key in use.
fn reference_in_use() -> String {
    let lines = REFERENCE.lines().filter(|line| !line.starts_with("# ") && *line != "#");
    lines.map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n").collect()
}

/// `key = value` lines of `[pooler]` in an otherwise sufficient configuration.
fn pooler(keys: &str) -> Pooler {
    good(&BASE.replace("[pooler]\n", &format!("[pooler]\n{keys}\n"))).pooler
}
