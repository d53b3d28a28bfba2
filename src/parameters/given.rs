//! What a plan gives ([`Given`]) and what a policy then gets ([`Parameters`]).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::units::Span;

use super::{Definition, ParameterError, Value};

/// Values by the name of their parameter, as written.
pub type Given = BTreeMap<String, String>;

/// Every parameter of one policy with its value, in the order of its definitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Parameters(BTreeMap<&'static str, Value>);

impl Parameters {
    /// What was given over what is so unless told. The first wrong one is the error.
    pub fn new(policy: &'static str, definitions: &[Definition], given: &Given) -> Result<Self, ParameterError> {
        let mut values: BTreeMap<_, _> = definitions.iter().map(|one| (one.name, one.default)).collect();
        for (name, text) in given {
            let definition =
                definitions.iter().find(|one| one.name == name).ok_or_else(|| ParameterError::Unknown {
                    name: name.clone(),
                    policy,
                    known: match definitions {
                        [] => "none".to_owned(),
                        some => some.iter().map(|one| one.name).collect::<Vec<_>>().join(", "),
                    },
                })?;
            values.insert(definition.name, definition.parse(text)?);
        }
        Ok(Self(values))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.0.iter().map(|(name, value)| (*name, *value))
    }

    /// A flag. `false` for a name that the policy did not define as one: its own tests build it from its definitions.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Flag(true)))
    }

    /// A whole number; 0 where the policy defined no such.
    pub fn count(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    /// A number; 0 where the policy defined no such.
    pub fn number(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    /// A span of time; zero where the policy defined no such.
    pub fn time(&self, name: &str) -> Span {
        match self.0.get(name) {
            Some(Value::Time(span)) => *span,
            _ => Span::ZERO,
        }
    }

    /// A word; empty where the policy defined no such.
    pub fn choice(&self, name: &str) -> &'static str {
        match self.0.get(name) {
            Some(Value::Choice(word)) => word,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Kind;

    const DEFINITIONS: [Definition; 2] = [
        Definition { name: "alpha", what: "", kind: Kind::Number(0.0, 1.0), default: Value::Number(0.5) },
        Definition { name: "nearest", what: "", kind: Kind::Flag, default: Value::Flag(false) },
    ];

    fn given(name: &str, text: &str) -> Given {
        Given::from([(name.to_owned(), text.to_owned())])
    }

    #[test]
    fn what_is_given_goes_over_what_is_so_unless_told() {
        let parameters = Parameters::new("it", &DEFINITIONS, &given("alpha", "0.9"));
        let parameters = parameters.expect("both are allowed");
        assert!((parameters.number("alpha") - 0.9).abs() < 1e-12);
        assert!(!parameters.flag("nearest"));
        let json = serde_json::to_string(&parameters).expect("numbers and flags");
        assert_eq!(json, r#"{"alpha":0.9,"nearest":false}"#);
    }

    #[test]
    fn wrong_names_and_values_are_refused_with_what_would_be_right() {
        let refused = |name, text| {
            let refusal = Parameters::new("it", &DEFINITIONS, &given(name, text)).map_err(|error| error.to_string());
            refusal.expect_err("wrong")
        };
        assert_eq!(refused("alfa", "1"), "`alfa` is no parameter of it; it has alpha, nearest");
        assert_eq!(refused("alpha", "2"), "`2` is not a value of alpha: a number from 0 to 1");
    }
}
