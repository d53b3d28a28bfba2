//! The impairment file: its form, and how its rules add up to what each path does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::error::{FileProblem, IntendedError, Spot};
use super::rule::{Rule, fits};
use crate::matrix::DelayMatrix;
use crate::shaping::Impairment;
use crate::topology::NodeIndex;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    api_version: String,
    /// Relative to the file.
    pub(super) matrix: PathBuf,
    seed: Option<u64>,
    #[serde(default)]
    defaults: Rule,
    /// Later ones win, field by field.
    #[serde(default)]
    paths: Vec<Rule>,
}

impl Document {
    /// Reads a file that errors call `name`.
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self, IntendedError> {
        let document: Self = serde_saphyr::from_slice(bytes).map_err(|error| {
            let spot = error.location().map_or(Spot::FILE, Spot::of);
            IntendedError::new(name, spot, FileProblem::Form(error.without_snippet().to_string()))
        })?;
        if document.api_version != "longhaul/v1" {
            return Err(IntendedError::new(name, Spot::FILE, FileProblem::Version(document.api_version)));
        }
        Ok(document)
    }

    /// What each path of `matrix` does.
    pub(super) fn resolve(
        &self,
        name: &str,
        matrix: &DelayMatrix,
    ) -> Result<BTreeMap<(NodeIndex, NodeIndex), Impairment>, IntendedError> {
        self.check(matrix).map_err(|problem| IntendedError::new(name, Spot::FILE, problem))?;
        let mut beyond = BTreeMap::new();
        for (from, to) in matrix.paths() {
            let (source, target) = (&matrix.names()[from], &matrix.names()[to]);
            let rules =
                self.paths.iter().filter(|rule| fits(rule.from.as_deref(), source) && fits(rule.to.as_deref(), target));
            let base = Impairment { seed: self.seed, ..Impairment::delay(matrix.delay(from, to)) };
            let impairment = rules.fold(self.defaults.over(base), |below, rule| rule.over(below));
            let checked = impairment.checked().map_err(|cause| {
                let (from, to) = (source.clone(), target.clone());
                IntendedError::new(name, Spot::FILE, FileProblem::Nonsense { from, to, cause })
            })?;
            beyond.insert((from, to), checked);
        }
        Ok(beyond)
    }

    fn check(&self, matrix: &DelayMatrix) -> Result<(), FileProblem> {
        if self.defaults.from.is_some() || self.defaults.to.is_some() {
            return Err(FileProblem::DefaultsWithEnds);
        }
        let patterns = self.paths.iter().flat_map(|rule| [&rule.from, &rule.to]).flatten();
        match patterns.into_iter().find(|one| !matrix.names().iter().any(|name| fits(Some(one), name))) {
            Some(pattern) => Err(FileProblem::UnknownNode(pattern.clone())),
            None => Ok(()),
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
        let document = Document::parse("net.yaml", text.as_bytes()).map_err(|error| error.to_string())?;
        let beyond = document.resolve("net.yaml", &matrix).map_err(|error| error.to_string())?;
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
            ("paths:\n  - {from: \"c\\n\\e*\"}\n", "no node of the matrix is called `c\\n\\u{1b}*`"),
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
