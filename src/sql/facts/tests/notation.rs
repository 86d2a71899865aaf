//! Facts in the notation of `tests/sql/facts.cases`.

use super::*;

/// Each statement with what it touches, joined by `;`; then the settings that are named, then the custom ones.
pub(super) fn of(facts: &Facts, text: &[u8]) -> String {
    if let Some(why) = facts.unsure {
        assert_eq!(facts.touches, Touches::ALL, "where nothing is sure, everything may be touched");
        return format!("unsure: {why}");
    }
    let statements: Vec<String> = facts.statements.iter().map(|statement| one(statement, text)).collect();
    let union = facts.statements.iter().fold(Touches::NOTHING, |all, statement| all | statement.touches);
    assert_eq!(union, facts.touches, "{statements:?}");
    let mut out = statements.join(" ; ");
    for (what, names) in [("names", facts.names().collect::<Vec<_>>()), ("custom", facts.custom_names().collect())] {
        if !names.is_empty() {
            out = format!("{out} {what}[{}]", lossy(&names.join(&b' ')));
        }
    }
    if out.is_empty() { "nothing".to_owned() } else { out }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\\', r"\\").replace('\n', r"\n")
}

fn one(statement: &Statement, text: &[u8]) -> String {
    let verb = verb(&statement.verb, text);
    if statement.touches.is_empty() { verb } else { format!("{verb} | {}", statement.touches) }
}

fn verb(verb: &Verb, text: &[u8]) -> String {
    let part = |range: &std::ops::Range<usize>| lossy(&text[range.clone()]);
    match verb {
        Verb::Copy { from } => if *from { "copy from" } else { "copy to" }.to_owned(),
        Verb::Begin(begin) => {
            let mut out = "begin".to_owned();
            if !begin.options.is_empty() {
                out = format!("{out} <{}>", part(&begin.options));
            }
            out + &modes(begin)
        }
        Verb::SetTransaction(begin) => format!("SetTransaction{}", modes(begin)),
        Verb::Commit { chain: true } => "commit and chain".to_owned(),
        Verb::Rollback { chain: true } => "rollback and chain".to_owned(),
        Verb::Commit { .. } => "commit".to_owned(),
        Verb::Rollback { .. } => "rollback".to_owned(),
        Verb::Set(settings) => format!("set {}", assignments(settings)),
        Verb::SetConfig(settings) => format!("set_config {}", assignments(settings)),
        Verb::Prepare(prepare) => {
            let types = if prepare.types.is_empty() { String::new() } else { format!("({})", part(&prepare.types)) };
            format!("prepare {}{types} <{}> for {}", lossy(&prepare.name), part(&prepare.body), prepare.touches)
        }
        Verb::Execute { name, within } => format!("execute {}{}", lossy(name), if *within { " within" } else { "" }),
        Verb::Declare { name, hold } => format!("declare {}{}", lossy(name), if *hold { " with hold" } else { "" }),
        Verb::Savepoint(name) => format!("savepoint {}", lossy(name)),
        Verb::Release(name) => format!("release {}", lossy(name)),
        Verb::RollbackTo(name) => format!("rollback to {}", lossy(name)),
        Verb::Reset(name) => format!("reset {}", lossy(name)),
        Verb::Show(name) => format!("show {}", lossy(name)),
        Verb::Deallocate(name) => format!("deallocate {}", lossy(name)),
        Verb::Listen(name) => format!("listen {}", lossy(name)),
        Verb::Unlisten(name) => format!("unlisten {}", lossy(name)),
        Verb::Notify(name) => format!("notify {}", lossy(name)),
        Verb::CloseCursor(name) => format!("close {}", lossy(name)),
        Verb::Discard(what) => format!("discard {what:?}"),
        plain => format!("{plain:?}"),
    }
}

fn modes(begin: &Begin) -> String {
    let told = [
        begin.isolation.map(|isolation| format!("{isolation:?}")),
        begin.read_only.map(|on| if on { "ReadOnly" } else { "ReadWrite" }.to_owned()),
        begin.deferrable.map(|on| if on { "Deferrable" } else { "NotDeferrable" }.to_owned()),
    ];
    told.into_iter().flatten().map(|word| format!(" {word}")).collect()
}

fn assignments(settings: &[Setting]) -> String {
    let one = |setting: &Setting| {
        let local = if setting.local { "local " } else { "" };
        let value = match &setting.value {
            Value::Literal(value) => format!("<{}>", lossy(value)),
            Value::Default => "default".to_owned(),
            Value::Computed => "?".to_owned(),
        };
        format!("{local}{}={value}", lossy(&setting.name))
    };
    settings.iter().map(one).collect::<Vec<_>>().join(", ")
}
