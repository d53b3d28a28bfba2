//! The impairment file: a matrix by reference, and what its paths do to packets beyond delay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::{Deserialize, Deserializer};

use super::input::MatrixInput;
use crate::matrix::DelayMatrix;
use crate::shaping::{Distribution, GilbertElliott, Impairment, Jitter, Loss, Reorder, Share};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Probability, Rate, Span};

/// What a testbed is to be like.
#[derive(Debug)]
pub(super) struct Intended {
    /// The delays.
    pub(super) matrix: DelayMatrix,
    /// What paths do beyond delay; those that are not here do nothing.
    beyond: BTreeMap<(NodeIndex, NodeIndex), Impairment>,
}

impl Intended {
    /// Reads a matrix, or an impairment file when the name ends in .yaml or .yml.
    pub(super) fn load(input: &MatrixInput) -> anyhow::Result<Self> {
        let is_yaml = |ending: &std::ffi::OsStr| ending == "yaml" || ending == "yml";
        if !input.matrix.extension().is_some_and(is_yaml) {
            return Ok(Self { matrix: input.load()?, beyond: BTreeMap::new() });
        }
        let name = input.matrix.display();
        let text = std::fs::read_to_string(&input.matrix).with_context(|| format!("{name} cannot be read"))?;
        let document = parse(&name.to_string(), &text)?;
        let folder = input.matrix.parent().unwrap_or(Path::new(""));
        let matrix = input.load_from(&folder.join(&document.matrix))?;
        let beyond = document.resolve(&matrix).with_context(|| name.to_string())?;
        Ok(Self { matrix, beyond })
    }

    /// The same for nodes in another order: at each place stands the node that had the place `order` says.
    pub(super) fn in_order(&self, order: &[NodeIndex]) -> anyhow::Result<Self> {
        let (names, matrix) = (self.matrix.names(), &self.matrix);
        let delays = order.iter().flat_map(|from| order.iter().map(|to| matrix.delay(*from, *to))).collect();
        let place = |old: NodeIndex| order.iter().position(|known| *known == old);
        let moved = self.beyond.iter().filter_map(|((from, to), does)| Some(((place(*from)?, place(*to)?), *does)));
        let matrix = DelayMatrix::new(order.iter().map(|old| names[*old].clone()).collect(), delays)?;
        Ok(Self { beyond: moved.collect(), matrix })
    }

    /// What the path between two nodes does.
    pub(super) fn path(&self, from: NodeIndex, to: NodeIndex) -> Impairment {
        let plain = || Impairment::delay(self.matrix.delay(from, to));
        self.beyond.get(&(from, to)).copied().unwrap_or_else(plain)
    }
}

fn parse(name: &str, text: &str) -> anyhow::Result<Document> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or(String::new(), |at| format!(":{}:{}", at.line(), at.column()));
        anyhow::anyhow!("{name}{place}: {}", error.without_snippet())
    })?;
    if document.api_version != "longhaul/v1" {
        bail!("{name}: apiVersion is `{}`; this longhaul reads longhaul/v1", document.api_version);
    }
    Ok(document)
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    api_version: String,
    /// Relative to the file.
    matrix: PathBuf,
    seed: Option<u64>,
    #[serde(default)]
    defaults: Rule,
    /// Later ones win, field by field.
    #[serde(default)]
    paths: Vec<Rule>,
}

/// What some paths do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Rule {
    from: Option<String>,
    to: Option<String>,
    #[serde(deserialize_with = "text")]
    jitter: Option<Span>,
    #[serde(deserialize_with = "text")]
    distribution: Option<Distribution>,
    #[serde(deserialize_with = "text")]
    jitter_correlation: Option<Probability>,
    #[serde(deserialize_with = "text")]
    loss: Option<Probability>,
    #[serde(deserialize_with = "text")]
    loss_correlation: Option<Probability>,
    bursts: Option<Bursts>,
    #[serde(deserialize_with = "text")]
    duplicate: Option<Probability>,
    #[serde(deserialize_with = "text")]
    corrupt: Option<Probability>,
    #[serde(deserialize_with = "text")]
    reorder: Option<Probability>,
    gap: Option<u32>,
    #[serde(deserialize_with = "text")]
    rate: Option<Rate>,
}

/// Loss by the Gilbert–Elliott model.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Bursts {
    #[serde(deserialize_with = "needed")]
    to_bad: Probability,
    #[serde(deserialize_with = "needed")]
    to_good: Probability,
    #[serde(deserialize_with = "needed")]
    bad_loss: Probability,
    #[serde(default, deserialize_with = "needed")]
    good_loss: Probability,
}

fn needed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    needed(deserializer).map(Some)
}

impl Document {
    fn resolve(&self, matrix: &DelayMatrix) -> anyhow::Result<BTreeMap<(NodeIndex, NodeIndex), Impairment>> {
        if self.defaults.from.is_some() || self.defaults.to.is_some() {
            bail!("defaults are for every path; `from` and `to` belong under paths");
        }
        for pattern in self.paths.iter().flat_map(|rule| [&rule.from, &rule.to]).flatten() {
            if !matrix.names().iter().any(|name| fits(Some(pattern), name)) {
                bail!("no node of the matrix is called `{pattern}`");
            }
        }
        let nodes = 0..matrix.len();
        let pairs =
            nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to))).filter(|(from, to)| from != to);
        let mut beyond = BTreeMap::new();
        for (from, to) in pairs {
            let (source, target) = (&matrix.names()[from], &matrix.names()[to]);
            let rules =
                self.paths.iter().filter(|rule| fits(rule.from.as_deref(), source) && fits(rule.to.as_deref(), target));
            let base = Impairment { seed: self.seed, ..Impairment::delay(matrix.delay(from, to)) };
            let impairment = rules.fold(self.defaults.over(base), |below, rule| rule.over(below));
            let checked = impairment.checked().with_context(|| format!("the path from {source} to {target}"))?;
            beyond.insert((from, to), checked);
        }
        Ok(beyond)
    }
}

impl Rule {
    /// What the rule says, in front of what was said before.
    fn over(&self, below: Impairment) -> Impairment {
        let Jitter { span, distribution, correlation } = below.jitter;
        let jitter = Jitter {
            span: self.jitter.unwrap_or(span),
            distribution: self.distribution.unwrap_or(distribution),
            correlation: self.jitter_correlation.unwrap_or(correlation),
        };
        Impairment {
            jitter,
            loss: self.loss(below.loss),
            duplicate: self.duplicate.map_or(below.duplicate, Share::of),
            corrupt: self.corrupt.map_or(below.corrupt, Share::of),
            reorder: self.reorder.map_or(below.reorder, |probability| {
                Some(Reorder { share: Share::of(probability), gap: self.gap.unwrap_or(1) })
            }),
            rate: self.rate.or(below.rate),
            ..below
        }
    }

    fn loss(&self, below: Loss) -> Loss {
        if let Some(Bursts { to_bad, to_good, bad_loss, good_loss }) = self.bursts {
            return Loss::Gilbert(GilbertElliott { to_bad, to_good, bad_loss, good_loss });
        }
        let before = if let Loss::Random(share) = below { share } else { Share::default() };
        match (self.loss, self.loss_correlation) {
            (None, None) => below,
            (Some(Probability::ZERO), _) => Loss::None,
            (loss, correlation) => Loss::Random(Share {
                probability: loss.unwrap_or(before.probability),
                correlation: correlation.unwrap_or(before.correlation),
            }),
        }
    }
}

/// Whether a name fits a pattern with at most one `*`; no pattern fits all.
fn fits(pattern: Option<&str>, name: &NodeName) -> bool {
    let name = name.to_string();
    match pattern.map(|pattern| pattern.split_once('*').ok_or(pattern)) {
        None => true,
        Some(Err(exact)) => name == exact,
        Some(Ok((head, tail))) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::units::Delay;

    fn resolve(text: &str) -> Result<Vec<String>, String> {
        let names = ["a1", "a2", "b1"].map(|name| name.parse().unwrap()).to_vec();
        let delays = [0, 10, 20, 10, 0, 30, 20, 30, 0].map(Delay::from_millis).to_vec();
        let matrix = DelayMatrix::new(names, delays).unwrap();
        let document = parse("net.yaml", text).map_err(|error| format!("{error:#}"))?;
        let beyond = document.resolve(&matrix).map_err(|error| format!("{error:#}"))?;
        Ok(beyond.iter().map(|((from, to), path)| format!("{from}>{to} {path}")).collect())
    }

    const HEAD: &str = "apiVersion: longhaul/v1\nmatrix: net.csv\n";

    #[test]
    fn later_rules_win_field_by_field() {
        let rules = "defaults: {jitter: 1ms, loss: 0.1%}\npaths:\n  - {from: a*, to: b1, loss: 5%, rate: 10mbit}\n  - {from: a2, loss: 0%}\n";
        assert_eq!(
            resolve(&format!("{HEAD}{rules}")).unwrap(),
            [
                "0>1 10ms jitter 1ms uniform loss 0.1%",
                "0>2 20ms jitter 1ms uniform loss 5% rate 10mbit",
                "1>0 10ms jitter 1ms uniform",
                "1>2 30ms jitter 1ms uniform rate 10mbit",
                "2>0 20ms jitter 1ms uniform loss 0.1%",
                "2>1 30ms jitter 1ms uniform loss 0.1%",
            ]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (rules, part) in [
            ("paths:\n  - {from: c1, loss: 5%}\n", "no node of the matrix is called `c1`"),
            ("paths:\n  - {from: a1, los: 5%}\n", "net.yaml:4:"),
            ("defaults: {loss: 5}\n", "`5` is not a probability"),
            ("defaults: {loss: 5}\n", "net.yaml:3:"),
            ("defaults: {jitter: 15ms}\n", "the path from a1 to a2: a jitter of 15ms is more than the delay of 10ms"),
            ("defaults: {from: a1}\n", "`from` and `to` belong under paths"),
        ] {
            let error = resolve(&format!("{HEAD}{rules}")).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = resolve("apiVersion: longhaul/v2\nmatrix: a.csv\n").unwrap_err();
        assert_eq!(error, "net.yaml: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1");
    }
}
