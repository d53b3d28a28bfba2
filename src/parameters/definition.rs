//! [`Definition`]: what a policy says about one of its parameters.

use crate::units::Span;

use super::{ParameterError, Value};

/// What values a parameter takes; bounds are included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A whole number between two bounds.
    Count(u64, u64),
    /// A number between two bounds.
    Number(f64, f64),
    /// A span of time between two bounds.
    Time(Span, Span),
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// What a policy says about one of its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// Its name in plans.
    pub name: &'static str,
    /// What it means, and the symbol that the paper has for it.
    pub what: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it is unless told.
    pub default: Value,
}

impl Definition {
    /// The value that `text` stands for.
    pub fn parse(&self, text: &str) -> Result<Value, ParameterError> {
        let trimmed = text.trim();
        let value = match self.kind {
            Kind::Flag => trimmed.parse().ok().map(Value::Flag),
            Kind::Count(least, most) => {
                trimmed.parse().ok().filter(|count| (least..=most).contains(count)).map(Value::Count)
            }
            Kind::Number(least, most) => {
                trimmed.parse().ok().filter(|number| (least..=most).contains(number)).map(Value::Number)
            }
            Kind::Time(least, most) => {
                trimmed.parse().ok().filter(|span| (least..=most).contains(span)).map(Value::Time)
            }
            Kind::Choice(words) => words.iter().find(|word| **word == trimmed).map(|word| Value::Choice(word)),
        };
        value.ok_or_else(|| ParameterError::Value { name: self.name, text: text.to_owned(), wanted: self.wanted() })
    }

    /// What values it takes, for reading.
    pub fn wanted(&self) -> String {
        match self.kind {
            Kind::Flag => "true or false".to_owned(),
            Kind::Count(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Number(least, most) => format!("a number from {least} to {most}"),
            Kind::Time(least, most) => format!("a time from {least} to {most}"),
            Kind::Choice(words) => words.join(" or "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: Kind) -> Definition {
        Definition { name: "it", what: "", kind, default: Value::Flag(false) }
    }

    #[test]
    fn texts_become_values_of_their_kind_within_bounds() {
        let time = definition(Kind::Time(Span::from_millis(1), Span::from_secs(1)));
        for (definition, text, wanted) in [
            (definition(Kind::Flag), "true", Ok(Value::Flag(true))),
            (definition(Kind::Count(1, 5)), "5", Ok(Value::Count(5))),
            (definition(Kind::Count(1, 5)), "6", Err("`6` is not a value of it: a whole number from 1 to 5")),
            (definition(Kind::Number(0.0, 1.0)), "0.25", Ok(Value::Number(0.25))),
            (definition(Kind::Number(0.0, 1.0)), "nan", Err("`nan` is not a value of it: a number from 0 to 1")),
            (time, "80ms", Ok(Value::Time(Span::from_millis(80)))),
            (time, "80", Err("`80` is not a value of it: a time from 1ms to 1s")),
            (definition(Kind::Choice(&["a", "b"])), "b", Ok(Value::Choice("b"))),
            (definition(Kind::Choice(&["a", "b"])), "c", Err("`c` is not a value of it: a or b")),
        ] {
            assert_eq!(definition.parse(text).map_err(|error| error.to_string()), wanted.map_err(str::to_owned));
        }
    }
}
