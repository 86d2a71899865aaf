//! What a text names: the functions that it calls, with their volatility, and its tables. Told to people, so a function is one where its
//! name has a bracket behind it and somebody knows it.

use crate::cluster::Volatility;
use crate::sql::{Facts, Functions, Reading, Relation, Scanner, Token, builtin_effects};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The functions and tables of a text.
pub struct Named {
    functions: Vec<(String, Option<Volatility>)>,
    tables: Vec<Relation>,
    all: bool,
}

impl Named {
    /// `decides` is where the word stands that decides, which is told though nobody knows it.
    pub fn of(text: &[u8], facts: &Facts, decides: Option<usize>, known: &Known<'_>) -> Self {
        let functions = called(text, decides, known.functions);
        let volatility = |name: &Vec<u8>| known.volatility.get(name.as_slice()).copied();
        let functions = functions.iter().map(|name| (lossy(name), volatility(name))).collect();
        Self { functions, tables: facts.named_relations().to_vec(), all: facts.relations().is_some() }
    }

    /// A line each, where there is something to tell.
    pub fn plain(&self) -> String {
        let function = |(name, volatility): &(String, Option<Volatility>)| {
            volatility.map_or(name.clone(), |volatility| format!("{name} ({volatility})"))
        };
        let table = |table: &Relation| format!("{}{}", dotted(table), if table.written { " (written)" } else { "" });
        let functions: Vec<_> = self.functions.iter().map(function).collect();
        let mut tables: Vec<_> = self.tables.iter().map(table).collect();
        if !self.all {
            tables.push("perhaps others".to_owned());
        }
        let line = |what, list: Vec<String>| {
            if list.is_empty() { String::new() } else { format!("{what} {}\n", list.join(", ")) }
        };
        line("functions", functions) + &line("tables", tables)
    }

    /// Members of an object, with a comma in front.
    pub fn json(&self) -> String {
        let function = |(name, volatility): &(String, Option<Volatility>)| {
            let volatility = volatility.map_or("null".to_owned(), |volatility| quoted(&volatility.to_string()));
            format!("{{\"name\":{},\"volatility\":{volatility}}}", quoted(name))
        };
        let table = |table: &Relation| {
            let schema = table.schema.as_ref().map_or("null".to_owned(), |schema| quoted(&lossy(schema)));
            format!("{{\"schema\":{schema},\"name\":{},\"written\":{}}}", quoted(&lossy(&table.name)), table.written)
        };
        let functions: Vec<_> = self.functions.iter().map(function).collect();
        let tables: Vec<_> = self.tables.iter().map(table).collect();
        let (functions, tables) = (functions.join(","), tables.join(","));
        format!(",\"functions\":[{functions}],\"tables\":[{tables}],\"all_tables\":{}", self.all)
    }
}

/// What is known of a database.
pub struct Known<'a> {
    /// What its names do.
    pub functions: &'a dyn Functions,
    /// The strictest of each name.
    pub volatility: &'a BTreeMap<Box<[u8]>, Volatility>,
}

fn called(text: &[u8], decides: Option<usize>, functions: &dyn Functions) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let begun = Cell::new(0);
    let mut scanner = Scanner::new(Reading::default());
    // The name at hand, where it begins, and whether a type stands there.
    let (mut held, mut at, mut type_follows) = (Vec::new(), 0, false);
    let mut note = |token: Token<'_>| match token {
        Token::Word { name, .. } if !type_follows => {
            (held, at) = (name.to_vec(), begun.get());
            type_follows = name == b"as";
        }
        Token::Symbol(b'(') => {
            let name = std::mem::take(&mut held);
            let known = builtin_effects(&name).is_some() || functions.function(&name).is_some();
            if !name.is_empty() && (known || decides == Some(at)) {
                found.insert(name);
            }
            type_follows = false;
        }
        token => {
            held.clear();
            type_follows = token == Token::Symbol(b':');
        }
    };
    scanner.feed_telling(text, &begun, &mut note);
    let _ = scanner.finish(&mut note);
    found
}

fn dotted(table: &Relation) -> String {
    let schema = table.schema.as_ref().map_or(String::new(), |schema| lossy(schema) + ".");
    schema + &lossy(&table.name)
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace(char::is_control, " ")
}

/// As a string of JSON; without control characters.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
