//! A second reader, with a grammar, of what the first one calls a read: `sqlparser`. It can only take the verdict back, and what it does not
//! understand it says nothing of. Bounded: long texts, and those that would build a deep tree, it is not given.

use super::{Bounds, Facts, Functions, Verdict, builtin, keywords};
use crate::sql::token::Reading;
use sqlparser::ast::{
    CopyTarget, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Whitespace};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of a text that it is given; of a longer one the first reader's verdict stands.
const SECOND_MAX: usize = 16 * 1024;

/// Brackets inside one another of a text that it is given. A sub-select in each of them takes some 50 KiB of stack without optimisation, of a thread's 2 MiB.
const BRACKETS: usize = 12;

/// What else stands inside one another, as sqlparser counts it.
const DEPTH: usize = 32;

/// Bytes of a text for each of its tokens, most of which are names and spaces; should there be more tokens, their room grows.
const TOKEN: usize = 3;

/// Operators, and words that join, of a text that it is given: as deep a tree may come of them, and is taken apart by calls inside calls.
const LINKS: usize = 256;

impl Facts {
    /// The verdict after the second reader was asked, which is asked once for facts that are kept. `functions` are those that the
    /// facts were read with, and `text` is the one that was read or another of its shape. Takes some 10 µs for 200 bytes the first time,
    /// and no longer than a millisecond.
    pub fn confirmed(&self, text: &[u8], reading: Reading, functions: &dyn Functions) -> Verdict {
        let verdict = self.verdict();
        // A hint may lift these.
        if verdict > Verdict::Node || *self.agreed.get_or_init(|| agrees(self, text, reading, functions)) {
            verdict
        } else {
            Verdict::Unparsed
        }
    }

    /// What [`Self::confirmed`] says, where that needs nobody to be asked.
    pub fn is_confirmed(&self) -> Option<Verdict> {
        let verdict = self.verdict();
        match self.agreed.get() {
            _ if verdict > Verdict::Node => Some(verdict),
            Some(true) => Some(verdict),
            Some(false) => Some(Verdict::Unparsed),
            None => None,
        }
    }
}

fn agrees(facts: &Facts, text: &[u8], reading: Reading, functions: &dyn Functions) -> bool {
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| is_plain(text, reading)) else { return true };
    // Whatever a text may do to it, it does to nobody else.
    let asked = catch_unwind(AssertUnwindSafe(|| asked(facts, text, functions)));
    asked.unwrap_or(false)
}

fn asked(facts: &Facts, text: &str, functions: &dyn Functions) -> bool {
    let dialect = PostgreSqlDialect {};
    let mut tokens = Vec::with_capacity(text.len() / TOKEN);
    if Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens).is_err() || !are_shallow(&mut tokens)
    {
        return true;
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens);
    let Ok(statements) = parser.parse_statements() else { return true };
    let mut witness = Witness { facts, functions, defined: Vec::new(), called: Vec::new() };
    statements.visit(&mut witness).is_continue()
}

/// Whether it would read the text by the same rules, in bounds.
fn is_plain(text: &str, reading: Reading) -> bool {
    text.len() <= SECOND_MAX && (reading.standard_strings || !text.contains('\\'))
}

/// Whether no deep tree comes of these. Takes from them what it costs time to step over: spaces (a new line tells whether a string goes on), and
/// their places, as it goes by trial and would write that of each error into a text that nobody reads.
fn are_shallow(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let (mut links, mut depth, mut deepest) = (0_usize, 0_usize, 0_usize);
    tokens.retain_mut(|TokenWithSpan { token, span }| {
        *span = Span::empty();
        match &*token {
            Token::LParen => depth += 1,
            Token::LBracket => (depth, links) = (depth + 1, links + 1),
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            other => links += usize::from(links_more(other)),
        }
        deepest = deepest.max(depth);
        *token != Token::Whitespace(Whitespace::Space)
    });
    links <= LINKS && deepest <= BRACKETS
}

/// All but what can only stand beside another: names, constants, commas.
fn links_more(token: &Token) -> bool {
    use Keyword::{
        AND, AT, BETWEEN, COLLATE, DIV, EXCEPT, GLOB, ILIKE, IN, INTERSECT, IS, JOIN, LIKE, MATCH, MEMBER, MINUS, NOT,
        NOTNULL, OPERATOR, OR, OVERLAPS, REGEXP, RLIKE, SIMILAR, UNION, XOR,
    };
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            AND | AT
                | BETWEEN
                | COLLATE
                | DIV
                | EXCEPT
                | GLOB
                | ILIKE
                | IN
                | INTERSECT
                | IS
                | JOIN
                | LIKE
                | MATCH
                | MEMBER
                | MINUS
                | NOT
                | NOTNULL
                | OPERATOR
                | OR
                | OVERLAPS
                | REGEXP
                | RLIKE
                | SIMILAR
                | UNION
                | XOR
        ),
        Token::Whitespace(_) | Token::Comma | Token::Period | Token::SemiColon => false,
        Token::Number(..) | Token::Placeholder(_) => false,
        Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DollarQuotedString(_) => false,
        _ => true,
    }
}

/// Looks for what the first reader has not seen.
struct Witness<'a> {
    facts: &'a Facts,
    functions: &'a dyn Functions,
    // By WITH, anywhere in the text.
    defined: Vec<Vec<u8>>,
    // Functions in FROM, which are told as relations, too.
    called: Vec<Vec<u8>>,
}

const AGREED: ControlFlow<()> = ControlFlow::Continue(());
const DISAGREED: ControlFlow<()> = ControlFlow::Break(());

fn unless(doubt: bool) -> ControlFlow<()> {
    if doubt { DISAGREED } else { AGREED }
}

impl Witness<'_> {
    fn call(&self, name: &[u8]) -> ControlFlow<()> {
        let own = self.functions.function(name);
        let known = builtin::effects(name);
        let harmful = [own, known].into_iter().flatten().any(|does| !does.is_harmless());
        let is_grammar = keywords::kind(name).is_some() || matches!(name, b"rollup" | b"cube");
        let asks = [own, known].into_iter().flatten().any(|does| does.bounds.any(Bounds::TRANSACTION));
        let unseen = asks && !self.facts.asks_transaction();
        let unknown = own.is_none() && known.is_none() && !is_grammar;
        unless(self.facts.verdict() == Verdict::Read && (harmful || unseen || unknown))
    }
}

impl Visitor for Witness<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        unless(match statement {
            Statement::Query(_) | Statement::Explain { .. } | Statement::ShowVariable { .. } => false,
            Statement::Copy { to, target, .. } => !to || *target != CopyTarget::Stdout,
            _ => true,
        })
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let defined = query.with.iter().flat_map(|with| &with.cte_tables).map(|table| name_of(&table.alias.name));
        self.defined.extend(defined);
        unless(!query.locks.is_empty())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        unless(select.into.is_some())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: Some(_), .. } = factor else { return AGREED };
        let Some(name) = last(name) else { return DISAGREED };
        self.called.push(name.clone());
        self.call(&name)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let Some(name) = last(relation) else { return DISAGREED };
        // It takes the word for a name, and the name for its alias.
        let seen = name == b"only"
            || self.facts.named.beyond
            || self.called.contains(&name)
            || self.defined.contains(&name)
            || self.facts.named.has(&name);
        unless(!seen)
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expression else { return AGREED };
        last(&function.name).map_or(DISAGREED, |name| self.call(&name))
    }
}

/// The name itself, without its schema. `None`: it is computed.
fn last(name: &ObjectName) -> Option<Vec<u8>> {
    match name.0.last()? {
        ObjectNamePart::Identifier(ident) => Some(name_of(ident)),
        ObjectNamePart::Function(_) => None,
    }
}

/// As PostgreSQL compares it.
fn name_of(ident: &Ident) -> Vec<u8> {
    let mut name = ident.value.clone().into_bytes();
    if ident.quote_style.is_none() {
        name.make_ascii_lowercase();
    }
    name.truncate(crate::sql::token::NAME_MAX);
    name
}

#[cfg(test)]
mod tests;
