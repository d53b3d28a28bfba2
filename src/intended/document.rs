//! The impairment file as it is written: its fields, each with its place, before anything is looked up.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::change::DelayChange;
use super::error::{FileProblem, IntendedError};
use crate::shaping::{Distribution, FourState, GilbertElliott, Selector, SelectorError, Service};
use crate::units::{Delay, Probability, Rate, Span};
use crate::yaml::{self, At, Ordered, Spot, Text};

/// The version of the format.
const VERSION: &str = "longhaul/v1";

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    api_version: At<String>,
    /// The delay matrix, relative to the file.
    pub(super) matrix: Option<At<PathBuf>>,
    /// Several matrices side by side.
    #[serde(default)]
    pub(super) matrices: Matrices,
    /// Groups of nodes.
    #[serde(default)]
    pub(super) regions: Ordered<At<Vec<At<String>>>>,
    /// Delays between regions: from, to.
    pub(super) delays: Option<At<RegionDelays>>,
    /// What single nodes have beside their addresses.
    #[serde(default)]
    pub(super) nodes: Ordered<NodeExtras>,
    pub(super) seed: Option<Text<Seed>>,
    #[serde(default)]
    pub(super) defaults: Rule,
    /// Later ones win, field by field.
    #[serde(default)]
    pub(super) paths: Vec<Rule>,
}

/// Delays between regions.
pub(super) type RegionDelays = Ordered<Ordered<At<Text<Delay>>>>;

/// Matrices by what they hold, relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Matrices {
    pub(super) delay: Option<At<PathBuf>>,
    pub(super) jitter: Option<At<PathBuf>>,
    pub(super) loss: Option<At<PathBuf>>,
    pub(super) rate: Option<At<PathBuf>>,
}

/// What a node has beside its addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeExtras {
    /// Networks that are reached through it.
    pub(super) networks: Vec<Text<Network>>,
}

/// An address with or without a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let selector: Selector = text.parse().map_err(|error: SelectorError| error.to_string())?;
        Ok(Self(selector.prefix))
    }
}

/// Where dice start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(pub(super) u64);

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is no seed; write a whole number from 0 to {}", u64::MAX))
    }
}

/// What some paths do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Rule {
    pub(super) from: Option<At<Ends>>,
    pub(super) to: Option<At<Ends>>,
    pub(super) service: Option<At<Service>>,
    pub(super) except: Vec<At<Service>>,
    pub(super) delay: Option<At<Text<DelayChange>>>,
    pub(super) jitter: Option<At<Text<Span>>>,
    pub(super) distribution: Option<At<Shape>>,
    pub(super) jitter_correlation: Option<At<Text<Probability>>>,
    pub(super) loss: Option<At<Text<Probability>>>,
    pub(super) loss_correlation: Option<At<Text<Probability>>>,
    pub(super) bursts: Option<At<Bursts>>,
    pub(super) states: Option<At<States>>,
    pub(super) duplicate: Option<At<Text<Probability>>>,
    pub(super) duplicate_correlation: Option<At<Text<Probability>>>,
    pub(super) corrupt: Option<At<Text<Probability>>>,
    pub(super) corrupt_correlation: Option<At<Text<Probability>>>,
    pub(super) reorder: Option<At<Text<Probability>>>,
    pub(super) reorder_correlation: Option<At<Text<Probability>>>,
    pub(super) gap: Option<At<u32>>,
    pub(super) rate: Option<At<RateOrNone>>,
}

/// Nodes at one end: names, patterns with one `*`, regions; one of them or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ends {
    One(String),
    Several(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EndsVisitor)
    }
}

struct EndsVisitor;

impl<'de> Visitor<'de> for EndsVisitor {
    type Value = Ends;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node, a pattern such as `a*`, a region, or a list of them")
    }

    fn visit_str<E>(self, text: &str) -> Result<Ends, E> {
        Ok(Ends::One(text.to_owned()))
    }

    // Names may be numbers.
    fn visit_u64<E>(self, number: u64) -> Result<Ends, E> {
        Ok(Ends::One(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Ends, E> {
        Ok(Ends::One(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ends, A::Error> {
        let mut ends = Vec::new();
        while let Some(end) = list.next_element()? {
            ends.push(end);
        }
        Ok(Ends::Several(ends))
    }
}

/// A distribution by name, or a file that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Named(Distribution),
    File(ShapeFile),
}

/// A file of quantiles, or of samples.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ShapeFile {
    /// Numbers as `tc` has them in its .dist files.
    Table(PathBuf),
    /// Measured delays.
    Samples(PathBuf),
}

/// One of the two is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeFields {
    table: Option<PathBuf>,
    samples: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uniform, normal, pareto or paretonormal, or a file as {table: FILE} or {samples: FILE}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Shape, E> {
        text.parse().map(Shape::Named).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape, A::Error> {
        let fields = ShapeFields::deserialize(MapAccessDeserializer::new(map))?;
        match (fields.table, fields.samples) {
            (Some(table), None) => Ok(Shape::File(ShapeFile::Table(table))),
            (None, Some(samples)) => Ok(Shape::File(ShapeFile::Samples(samples))),
            _ => Err(serde::de::Error::custom("write either {table: FILE} or {samples: FILE}")),
        }
    }
}

/// A rate, or `none` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateOrNone(pub(super) Option<Rate>);

impl<'de> Deserialize<'de> for RateOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|rate| Self(Some(rate))).map_err(serde::de::Error::custom)
    }
}

/// Loss by the Gilbert–Elliott model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Bursts {
    to_bad: Text<Probability>,
    to_good: Text<Probability>,
    bad_loss: Text<Probability>,
    #[serde(default = "never")]
    good_loss: Text<Probability>,
}

impl Bursts {
    pub(super) fn model(self) -> GilbertElliott {
        let Self { to_bad, to_good, bad_loss, good_loss } = self;
        GilbertElliott { to_bad: to_bad.0, to_good: to_good.0, bad_loss: bad_loss.0, good_loss: good_loss.0 }
    }
}

/// Loss by the four-state model, by netem's names. What is left out is what `tc` makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct States {
    p13: Text<Probability>,
    p31: Option<Text<Probability>>,
    #[serde(default = "never")]
    p32: Text<Probability>,
    #[serde(default = "always")]
    p23: Text<Probability>,
    #[serde(default = "never")]
    p14: Text<Probability>,
}

impl States {
    pub(super) fn model(self) -> FourState {
        let Self { p13, p31, p32, p23, p14 } = self;
        let p31 = p31.map_or(p13.0.complement(), |p31| p31.0);
        FourState { p13: p13.0, p31, p32: p32.0, p23: p23.0, p14: p14.0 }
    }
}

fn never() -> Text<Probability> {
    Text(Probability::ZERO)
}

fn always() -> Text<Probability> {
    Text(Probability::ONE)
}

impl Document {
    /// A file that says nothing, for a matrix that needs none.
    pub(super) fn empty() -> Self {
        Self {
            api_version: At { value: VERSION.to_owned(), spot: Spot::File },
            matrix: None,
            matrices: Matrices::default(),
            regions: Ordered::default(),
            delays: None,
            nodes: Ordered::default(),
            seed: None,
            defaults: Rule::default(),
            paths: Vec::new(),
        }
    }

    /// Reads a file that errors call `name`.
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self, IntendedError> {
        let document: Self = yaml::parse(bytes)
            .map_err(|complaint| IntendedError::new(name, complaint.spot, FileProblem::Form(complaint.words)))?;
        let version = &document.api_version;
        if version.value != VERSION {
            return Err(IntendedError::new(name, version.spot, FileProblem::Version(version.value.clone())));
        }
        let ends = document.defaults.from.as_ref().or(document.defaults.to.as_ref());
        if let Some(end) = ends {
            return Err(IntendedError::new(name, end.spot, FileProblem::DefaultsWithEnds));
        }
        Ok(document)
    }
}
