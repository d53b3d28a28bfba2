//! YAML files: values with the place where they stand, maps in the order of the file, and what the parser complains of.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A place in a file: line and column from 1, a line, or the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spot {
    /// The file as a whole.
    #[default]
    File,
    /// A line.
    Line(u64),
    /// A character.
    At {
        /// The line.
        line: u64,
        /// The character in it.
        column: u64,
    },
}

impl Spot {
    /// The file as a whole.
    pub const FILE: Self = Self::File;

    /// Where the parser stood.
    pub fn of(location: serde_saphyr::Location) -> Self {
        if location == serde_saphyr::Location::UNKNOWN {
            return Self::File;
        }
        Self::At { line: location.line(), column: location.column() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::At { line, column } => write!(f, ":{line}:{column}"),
        }
    }
}

/// What the parser complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where.
    pub spot: Spot,
    /// Its words, without those that are for programmers.
    pub words: String,
}

/// Reads a file into the form that it is to have.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Complaint> {
    // `y`, `n`, `no` and `on` are names of nodes, not truths.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        let (text, location) = (error.without_snippet().to_string(), error.location());
        // The place stands beside the words.
        let place = location.map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        let said = place.and_then(|place| text.strip_suffix(&place)).unwrap_or(&text);
        Complaint { spot: location.map_or(Spot::File, Spot::of), words: plain(said) }
    })
}

/// The parser's words, without those that are for programmers.
fn plain(said: &str) -> String {
    let twice = said.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next());
    match (twice, said) {
        (Some(key), _) => format!("`{key}` stands twice; keep one of the two"),
        (None, "expected mapping start") => "names with their values are expected here, as in `loss: 1%`".to_owned(),
        (None, "unexpected end of input") => "the file ends too early".to_owned(),
        (None, "expected string scalar") => "a text is expected here".to_owned(),
        (None, "expected end of mapping after enum variant value") => "one of the two is too much here".to_owned(),
        (None, said) if said.ends_with("expected a tuple of size 2") => {
            "two values are expected here, as in [0, 1]".to_owned()
        }
        (None, said) if said.starts_with("invalid u") => "a whole number from 0 on is expected here".to_owned(),
        (None, said) => said.to_owned(),
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub spot: Spot,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, spot: Spot::of(spanned.referenced) })
    }
}

/// What is read from its text, such as a quantity with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(Error::custom)
    }
}

/// A map in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered<V>(pub Vec<(At<String>, V)>);

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OrderedVisitor(PhantomData))
    }
}

struct OrderedVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for OrderedVisitor<V> {
    type Value = Ordered<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names, each with what belongs to it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Ordered(entries))
    }
}
