//! [`Value`]: what a parameter is set to.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::units::Span;

/// What a parameter is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// A number without a unit: a share, an exponent, a weight.
    Number(f64),
    /// A span of time.
    Time(Span),
    /// One of the words that the parameter knows.
    Choice(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Time(span) => span.fmt(f),
            Self::Choice(word) => word.fmt(f),
        }
    }
}

impl Serialize for Value {
    /// As a plan would give it: `true`, `5`, `0.3`, `"80ms"`, `"nearest"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Time(_) | Self::Choice(_) => serializer.collect_str(self),
        }
    }
}
