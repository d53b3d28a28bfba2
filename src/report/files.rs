//! The files of a run as text: raw samples, the machine-readable result, the measured matrix. Nothing is written here.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::table::tolerance_text;
use crate::matrix::{DelayMatrix, MatrixError};
use crate::measure::{
    Basis, Beyond, BeyondPath, Comparison, DelaySummary, JitterFound, Missing, MissingNode, PathResult, RttSummary,
    Sample, ShareFound, Verdict,
};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Deviation, Rtt, Span};
use crate::wording::OneLine;

/// Why measurements are not a delay matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasuredMatrixError {
    /// Paths without a single probe that arrived.
    #[error("{} of the paths have no measurement, the first from `{}` to `{}`", .0.len(), .0[0].0, .0[0].1)]
    Unmeasured(Vec<(NodeName, NodeName)>),
    /// The medians do not make a matrix.
    #[error("make a matrix of the measured medians: {0}")]
    Matrix(#[from] MatrixError),
}

/// The raw samples as CSV, long form: `from,to,seq,sent_unix_ns,one_way_ms,rtt_ms`.
///
/// A delay that did not arrive is an empty field. Milliseconds are exact to the nanosecond.
pub fn samples_csv(names: &[NodeName], samples: &[Sample]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| csv_field(name.as_str())).collect();
    let name = |node: NodeIndex| quoted.get(node).map_or("", String::as_str);
    let mut text = String::from("from,to,seq,sent_unix_ns,one_way_ms,rtt_ms\n");
    for sample in samples {
        let one_way = sample.one_way.map_or(String::new(), |delay| exact_millis(delay.as_nanos()));
        let rtt = sample.rtt.map_or(String::new(), |rtt| exact_millis(rtt.as_nanos()));
        let (from, to) = (name(sample.from), name(sample.to));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{from},{to},{},{},{one_way},{rtt}", sample.seq, sample.sent_ns);
    }
    text
}

/// A text as a CSV field (RFC 4180): quoted only when it must be.
pub(super) fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r', '#']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Nanoseconds as milliseconds with six decimals: no rounding, no exponent.
pub(super) fn exact_millis(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000)
}

/// The result of a run as it is written to JSON.
#[derive(Serialize)]
struct ResultFile<'a> {
    backend: &'a str,
    nodes: &'a [NodeName],
    tolerance: ToleranceEntry,
    summary: Summary,
    /// The nodes that were not measured, or not to the end, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    missing: BTreeMap<String, String>,
    paths: Vec<PathEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beyond: Option<BeyondEntry<'a>>,
}

/// Shares are of one; standard deviations in nanoseconds.
#[derive(Serialize)]
struct BeyondEntry<'a> {
    lost: Option<ShareFound>,
    doubled: Option<ShareFound>,
    paths: Vec<BeyondPathEntry<'a>>,
}

#[derive(Serialize)]
struct BeyondPathEntry<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<ShareFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubled: Option<ShareFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<JitterFound>,
}

impl<'a> BeyondEntry<'a> {
    fn of(names: &'a [NodeName], beyond: &Beyond) -> Self {
        let name = |node: NodeIndex| names.get(node).map_or("", NodeName::as_str);
        let path = |path: &BeyondPath| BeyondPathEntry {
            from: name(path.from),
            to: name(path.to),
            lost: path.lost,
            doubled: path.doubled,
            jitter: path.jitter,
        };
        Self { lost: beyond.lost, doubled: beyond.doubled, paths: beyond.paths.iter().map(path).collect() }
    }
}

#[derive(Serialize)]
struct ToleranceEntry {
    relative: f64,
    absolute_ms: f64,
    text: String,
}

#[derive(Serialize)]
struct Summary {
    /// What errors and verdicts are about.
    basis: Basis,
    error_ms: Option<ErrorEntry>,
    sent: u64,
    lost: u64,
    verdict: Verdict,
}

#[derive(Serialize)]
struct ErrorEntry {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct PathEntry<'a> {
    from: &'a str,
    to: &'a str,
    intended_ms: Option<f64>,
    /// Where it is not the delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    intended_median_ms: Option<f64>,
    one_way_ms: Option<Quantiles>,
    intended_rtt_ms: Option<f64>,
    rtt_ms: Option<Quantiles>,
    sent: u32,
    lost: u32,
    error_ms: Option<f64>,
    /// How far the one-way figures may be off by the clocks.
    clock_bound_ms: Option<f64>,
    verdict: Verdict,
    /// Whether one of the nodes is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

#[derive(Serialize)]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl From<DelaySummary> for Quantiles {
    fn from(delay: DelaySummary) -> Self {
        let [p50, p90, p99, max] = [delay.p50, delay.p90, delay.p99, delay.max].map(Delay::as_millis_f64);
        Self { p50, p90, p99, max }
    }
}

impl From<RttSummary> for Quantiles {
    fn from(rtt: RttSummary) -> Self {
        let [p50, p90, p99, max] = [rtt.p50, rtt.p90, rtt.p99, rtt.max].map(Rtt::as_millis_f64);
        Self { p50, p90, p99, max }
    }
}

impl<'a> PathEntry<'a> {
    fn of(names: &'a [NodeName], comparison: &Comparison, path: &PathResult) -> Self {
        let name = |node: NodeIndex| names.get(node).map_or("", NodeName::as_str);
        let (there, both) = comparison.intention_known(path);
        Self {
            from: name(path.from),
            to: name(path.to),
            intended_ms: there.then(|| path.intended.as_millis_f64()),
            intended_median_ms: (path.intended_median != path.intended).then(|| path.intended_median.as_millis_f64()),
            one_way_ms: path.one_way.map(Quantiles::from),
            intended_rtt_ms: both.then(|| path.intended_rtt.as_millis_f64()),
            rtt_ms: path.rtt.map(Quantiles::from),
            sent: path.sent,
            lost: path.lost,
            error_ms: path.error.map(Deviation::as_millis_f64),
            clock_bound_ms: path.clock_bound.map(Span::as_millis_f64),
            verdict: path.verdict,
            missing: comparison.lacks(path),
        }
    }
}

/// The machine-readable result, as indented JSON with a line break at the end. Delays are in milliseconds; what was
/// not measured is `null`; verdicts are `pass` or `fail`. `backend` is what delayed the packets. What paths do beyond delay
/// stands under `beyond` where there is any.
pub fn result_json(backend: &str, names: &[NodeName], comparison: &Comparison, beyond: &Beyond) -> String {
    let tolerance = comparison.tolerance;
    let error_ms = comparison.error.map(|error| ErrorEntry {
        p50: error.p50.as_millis_f64(),
        p99: error.p99.as_millis_f64(),
        max: error.max.as_millis_f64(),
    });
    json(&ResultFile {
        backend,
        nodes: names,
        tolerance: ToleranceEntry {
            relative: tolerance.relative,
            absolute_ms: tolerance.absolute.as_millis_f64(),
            text: tolerance_text(tolerance),
        },
        summary: Summary {
            basis: comparison.basis,
            error_ms,
            sent: comparison.sent,
            lost: comparison.lost,
            verdict: comparison.verdict,
        },
        missing: missing_words(names, &comparison.missing),
        paths: comparison.paths.iter().map(|path| PathEntry::of(names, comparison, path)).collect(),
        beyond: (!beyond.paths.is_empty()).then(|| BeyondEntry::of(names, beyond)),
    })
}

/// The missing nodes by their names, and why they are missing.
pub fn missing_words(names: &[NodeName], missing: &Missing) -> BTreeMap<String, String> {
    let words = |(node, missing): (&NodeIndex, &MissingNode)| {
        Some((names.get(*node)?.to_string(), OneLine(&missing.why).to_string()))
    };
    missing.nodes.iter().filter_map(words).collect()
}

/// A value as indented JSON with a line break at the end.
pub(super) fn json(value: &impl Serialize) -> String {
    // Serialising fails only for maps with keys that are no text and for failing writers: neither is here.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// The matrix of the measured median one-way delays between the nodes that are not missing, which can be asked for again.
pub fn measured_matrix(names: &[NodeName], comparison: &Comparison) -> Result<DelayMatrix, MeasuredMatrixError> {
    // By the places in the comparison those in the matrix.
    let here: Vec<NodeIndex> = (0..names.len()).filter(|node| !comparison.missing.nodes.contains_key(node)).collect();
    let names: Vec<NodeName> = here.iter().map(|node| names[*node].clone()).collect();
    let n = names.len();
    let mut delays = vec![Delay::ZERO; n * n];
    let mut measured: Vec<bool> = (0..n * n).map(|place| place / n == place % n).collect();
    for path in &comparison.paths {
        let (Ok(from), Ok(to)) = (here.binary_search(&path.from), here.binary_search(&path.to)) else { continue };
        if let Some(one_way) = path.one_way {
            delays[from * n + to] = one_way.p50;
            measured[from * n + to] = true;
        }
    }
    let absent = (0..n * n).filter(|place| !measured[*place]);
    let unmeasured: Vec<_> = absent.map(|place| (names[place / n].clone(), names[place % n].clone())).collect();
    if !unmeasured.is_empty() {
        return Err(MeasuredMatrixError::Unmeasured(unmeasured));
    }
    Ok(DelayMatrix::new(names, delays)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::small_run::{self, three_nodes};

    #[test]
    fn samples_are_long_form_with_empty_fields_for_lost_ones() {
        let (names, samples, _) = three_nodes();
        insta::assert_snapshot!(samples_csv(&names, &samples), @r#"
        from,to,seq,sent_unix_ns,one_way_ms,rtt_ms
        Paris,Oslo,0,1700000000000000000,10.041000,22.090000
        Paris,Oslo,1,1700000000001000000,10.052000,22.110000
        Paris,"Rome, ""IT""",0,1700000000000000000,20.033000,43.500000
        Paris,"Rome, ""IT""",1,1700000000001000000,,
        Oslo,Paris,0,1700000000000000000,12.020000,22.070000
        Oslo,Paris,1,1700000000001000000,11.990000,22.080000
        Oslo,"Rome, ""IT""",0,1700000000000000000,5.044000,
        Oslo,"Rome, ""IT""",1,1700000000001000000,5.061000,
        "Rome, ""IT""",Paris,0,1700000000000000000,23.500000,43.600000
        "Rome, ""IT""",Paris,1,1700000000001000000,23.510000,43.610000
        "Rome, ""IT""",Oslo,0,1700000000000000000,,
        "Rome, ""IT""",Oslo,1,1700000000001000000,,
        "#);
    }

    #[test]
    fn samples_read_back_as_they_were() {
        let (names, samples, _) = three_nodes();
        let text = samples_csv(&names, &samples);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for (record, sample) in reader.records().zip(&samples) {
            let record = record.unwrap();
            assert_eq!(&record[0], names[sample.from].as_str());
            assert_eq!(&record[1], names[sample.to].as_str());
            let delay = (!record[4].is_empty()).then(|| format!("{}ms", &record[4]).parse::<Delay>().unwrap());
            assert_eq!(delay, sample.one_way);
        }
        assert_eq!(csv::Reader::from_reader(text.as_bytes()).records().count(), samples.len());
    }

    #[test]
    fn the_result_has_its_shape() {
        let (names, _, mut comparison) = three_nodes();
        comparison.paths.retain(|path| (path.from, path.to) == (0, 2) || (path.from, path.to) == (2, 1));
        insta::assert_snapshot!(result_json("userspace", &names, &comparison, &Beyond::default()), @r#"
        {
          "backend": "userspace",
          "nodes": [
            "Paris",
            "Oslo",
            "Rome, \"IT\""
          ],
          "tolerance": {
            "relative": 0.05,
            "absolute_ms": 1.0,
            "text": "larger of 5 % and 1 ms"
          },
          "summary": {
            "basis": "one_way",
            "error_ms": {
              "p50": 0.044,
              "p99": 3.51,
              "max": 3.51
            },
            "sent": 12,
            "lost": 3,
            "verdict": "fail"
          },
          "paths": [
            {
              "from": "Paris",
              "to": "Rome, \"IT\"",
              "intended_ms": 20.0,
              "one_way_ms": {
                "p50": 20.033,
                "p90": 20.033,
                "p99": 20.033,
                "max": 20.033
              },
              "intended_rtt_ms": 40.0,
              "rtt_ms": {
                "p50": 43.5,
                "p90": 43.5,
                "p99": 43.5,
                "max": 43.5
              },
              "sent": 2,
              "lost": 1,
              "error_ms": 0.033,
              "clock_bound_ms": 0.0,
              "verdict": "pass"
            },
            {
              "from": "Rome, \"IT\"",
              "to": "Oslo",
              "intended_ms": 7.0,
              "one_way_ms": null,
              "intended_rtt_ms": 12.0,
              "rtt_ms": null,
              "sent": 2,
              "lost": 2,
              "error_ms": null,
              "clock_bound_ms": 0.0,
              "verdict": "fail"
            }
          ]
        }
        "#);
    }

    #[test]
    fn measured_medians_are_a_matrix() {
        let names = small_run::numbered(2);
        let matrix = small_run::matrix(&names, &[0, 10, 12, 0]);
        let samples = [((0, 1), 10_040), ((1, 0), 12_050)].map(|(path, us)| small_run::sample(path, 0, Some(us), None));
        let measured = measured_matrix(&names, &small_run::comparison(&matrix, &samples)).unwrap();
        assert_eq!(measured.delay(0, 1), Delay::from_micros(10_040));
        assert_eq!(measured.delay(1, 0), Delay::from_micros(12_050));
    }

    #[test]
    fn unmeasured_paths_are_named() {
        let (names, _, comparison) = three_nodes();
        let error = measured_matrix(&names, &comparison).unwrap_err();
        assert_eq!(error, MeasuredMatrixError::Unmeasured(vec![(names[2].clone(), names[1].clone())]));
        let message = "1 of the paths have no measurement, the first from `Rome, \"IT\"` to `Oslo`";
        assert_eq!(error.to_string(), message);
    }
}
