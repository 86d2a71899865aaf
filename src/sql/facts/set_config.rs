//! A call of `set_config` under way: its arguments, as far as they are literal.

use super::VALUE_MAX;
use super::value;
use super::verb::{Setting, Value};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Argument {
    #[default]
    Missing,
    Text,
    Null,
    True,
    False,
    Computed,
}

/// From its opening bracket on.
#[derive(Clone, Debug, Default)]
pub(super) struct SetConfig {
    /// Of brackets inside it.
    pub(super) depth: u32,
    at: usize,
    arguments: [Argument; 3],
    texts: [Vec<u8>; 2],
    // The string under way began its argument.
    in_text: bool,
    // Behind a string: `::`, and `text`.
    cast: u8,
}

/// What a call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Called {
    Tells(Setting),
    /// The name is told, and not all of the rest.
    Names(Box<[u8]>, Option<bool>),
    /// Whether it is local may be told.
    Nothing(Option<bool>),
}

impl SetConfig {
    pub(super) fn text(&mut self, part: &[u8]) {
        let Some(argument) = self.arguments.get_mut(self.at) else { return };
        if *argument == Argument::Missing {
            *argument = Argument::Text;
            self.in_text = true;
        }
        if let Some(text) = self.texts.get_mut(self.at).filter(|_| self.in_text) {
            if text.len() + part.len() > VALUE_MAX {
                *argument = Argument::Computed;
            } else {
                text.extend_from_slice(part);
            }
        }
    }

    pub(super) fn text_end(&mut self, exact: bool) {
        let Some(argument) = self.arguments.get_mut(self.at) else { return };
        match *argument {
            // An empty string has no parts.
            Argument::Missing if exact => *argument = Argument::Text,
            Argument::Text if exact && self.in_text => (),
            _ => *argument = Argument::Computed,
        }
        self.in_text = false;
        self.cast = 0;
    }

    pub(super) fn word(&mut self, word: &[u8], quoted: bool) {
        let Some(argument) = self.arguments.get_mut(self.at) else { return };
        *argument = match (*argument, word) {
            (Argument::Missing, b"null") if !quoted => Argument::Null,
            (Argument::Missing, b"true") if !quoted => Argument::True,
            (Argument::Missing, b"false") if !quoted => Argument::False,
            (Argument::Text, b"text") if self.cast == 2 => Argument::Text,
            _ => Argument::Computed,
        };
        self.cast = 0;
    }

    pub(super) fn symbol(&mut self, symbol: u8) {
        if symbol == b',' && self.depth == 0 {
            self.at += 1;
            self.cast = 0;
            return;
        }
        let is_text = self.arguments.get(self.at) == Some(&Argument::Text);
        if symbol == b':' && is_text {
            self.cast += 1;
        } else {
            self.other();
        }
    }

    pub(super) fn other(&mut self) {
        if let Some(argument) = self.arguments.get_mut(self.at) {
            *argument = Argument::Computed;
        }
    }

    /// Its closing bracket.
    pub(super) fn finish(self) -> Called {
        let [name, value, local] = self.arguments;
        let [name_text, value_text] = self.texts;
        let local = match local {
            Argument::True => Some(true),
            Argument::False => Some(false),
            _ => None,
        };
        if name != Argument::Text || self.at != 2 {
            return Called::Nothing(local);
        }
        let name = value::setting_name(&name_text);
        let value = match value {
            Argument::Text => Value::Literal(value_text.into()),
            Argument::Null => Value::Default,
            _ => return Called::Names(name, local),
        };
        match local {
            Some(local) => {
                let local = local || value::ends_with_transaction(&name);
                Called::Tells(Setting { name, value, local })
            }
            None => Called::Names(name, None),
        }
    }
}
