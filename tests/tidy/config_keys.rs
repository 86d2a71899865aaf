//! Every key of the configuration's model stands in the reference, in its section.
//!
//! Reads `src/config/model.rs` with what is in its folder, and `config/reference.toml` as text: in the reference a key may be commented out.

use std::collections::BTreeSet;

/// The structs of the model whose fields are keys, the section of the reference that shows them, and what the keys begin
/// with there.
const SECTIONS: &[(&str, &str, &str)] = &[
    ("Pooler", "pooler", ""),
    ("ClientTls", "pooler", "client_tls_"),
    ("ServerTls", "pooler", "server_tls_"),
    ("Database", "databases", ""),
    ("User", "users", ""),
    ("Http", "http", ""),
    ("Routing", "routing", ""),
    ("Insight", "insight", ""),
    ("SlowQueries", "slow_queries", ""),
];

/// Fields that hold what another key led to, and are no keys themselves.
const NOT_KEYS: &[&str] = &["auth_users", "client_tls", "server_tls"];

/// One complaint for each key of the model that `reference` lacks. The model's files come with their names.
pub fn check(model: &[(String, String)], reference: &str) -> Vec<String> {
    let shown = shown_keys(reference);
    let mut complaints = Vec::new();
    for (name, section, prefix) in SECTIONS {
        let fields: Vec<_> = model
            .iter()
            .flat_map(|(file, text)| fields(text, name).into_iter().map(move |(line, field)| (file, line, field)))
            .collect();
        if fields.is_empty() {
            complaints.push(format!("src/config/model.rs:1: no `pub struct {name}` with public fields"));
        }
        for (file, line, field) in fields {
            let key = format!("{prefix}{field}");
            if !NOT_KEYS.contains(&field) && !shown.contains(&(section.to_string(), key.clone())) {
                let complaint = format!("{file}:{line}: `{key}` is not shown under [{section}]");
                complaints.push(format!("{complaint} in config/reference.toml"));
            }
        }
    }
    complaints
}

/// The public fields of `pub struct name { … }`, with their lines.
fn fields<'a>(model: &'a str, name: &str) -> Vec<(usize, &'a str)> {
    let opening = format!("pub struct {name} {{");
    let lines = model.lines().enumerate().skip_while(|(_, line)| *line != opening).skip(1);
    let body = lines.take_while(|(_, line)| *line != "}");
    body.filter_map(|(at, line)| {
        let (field, _) = line.trim_start().strip_prefix("pub ")?.split_once(':')?;
        Some((at + 1, field))
    })
    .collect()
}

/// (section, key) for every `key =` of the reference, commented out or not.
fn shown_keys(reference: &str) -> BTreeSet<(String, String)> {
    let mut section = String::new();
    let mut shown = BTreeSet::new();
    for line in reference.lines() {
        let line = line.trim_start_matches(['#', ' ']).trim_end();
        if let Some(header) = header(line) {
            section = header.split('.').next().unwrap_or_default().to_owned();
        } else if let Some((key, _)) = line.split_once('=') {
            shown.insert((section.clone(), key.trim().to_owned()));
        }
    }
    shown
}

/// `[a.b]`, with nothing but a comment behind it.
fn header(line: &str) -> Option<&str> {
    let (header, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(header)
}

#[cfg(test)]
fn model() -> Vec<(String, String)> {
    vec![("src/config/model.rs".to_owned(), MODEL.to_owned())]
}

#[cfg(test)]
const MODEL: &str = "pub struct Pooler {\n    /// Doc.\n    pub workers: usize,\n    pub auth_users: X,\n}\n\
                     pub struct Database {\n    pub hosts: X,\n}\npub struct User {\n    pub password: X,\n}\n\
                     pub struct ClientTls {\n    pub sslmode: X,\n}\npub struct ServerTls {\n    pub sslmode: X,\n}\n\
                     pub struct Http {\n    pub listen: X,\n}\npub struct Routing {\n    pub mode: X,\n}\n\
                     pub struct Insight {\n    pub memory: X,\n}\n\
                     pub struct SlowQueries {\n    pub log: X,\n}\n";

#[test]
fn a_key_is_shown_when_it_stands_in_its_section_commented_out_or_not() {
    let reference = "[pooler]\n#workers = 0\n#client_tls_sslmode = 0\nserver_tls_sslmode = 0\n# [databases.shop]   # any name\n# hosts = []\n[users.\"a\"]\npassword = \"x\"\n[http]\nlisten = 1\n[routing]\nmode = 1\n[insight]\nmemory = 1\n[slow_queries]\nlog = 1\n";
    assert_eq!(check(&model(), reference), [""; 0]);
}

#[test]
fn a_key_that_is_missing_or_stands_elsewhere_is_named_with_its_line() {
    let reference = "[pooler]\nhosts = 1\nserver_tls_sslmode = 1\npassword_file = 1\n# workers are threads\n[users.a]\n[http]\nlisten = 1\n[routing]\nmode = 1\n[insight]\nmemory = 1\n[slow_queries]\nlog = 1\n";
    let lines: Vec<String> = check(&model(), reference);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("src/config/model.rs:3: `workers`"), "{lines:?}");
    assert!(lines[1].contains("`client_tls_sslmode`"), "{lines:?}");
}

#[test]
fn a_model_without_the_structs_is_a_complaint_not_a_pass() {
    assert_eq!(check(&[], "").len(), SECTIONS.len());
}
