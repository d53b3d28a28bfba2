//! Rounds of a measurement that goes on: which paths are worst, and a round as lines of text or one line of JSON.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::files::missing_words;
use super::heat::{counted, number, thousands};
use super::table::missing_lines;
use crate::measure::{Basis, Comparison, PathResult, Verdict};
use crate::topology::NodeName;
use crate::units::Span;

/// The most paths outside the tolerance that a round names line by line.
const NAMED: usize = 20;

/// One measurement of every path.
#[derive(Debug, Clone)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// When it was over, such as `2026-11-21T23:00:00Z`.
    pub at: String,
    /// Applied against measured.
    pub comparison: Comparison,
    /// Packets that the delay elements dropped meanwhile.
    pub dropped: u64,
    /// What a reader of the figures must know.
    pub notes: Vec<String>,
}

impl Round {
    /// The number of paths outside the tolerance, or of which nothing arrived.
    pub fn outside(&self) -> usize {
        self.comparison.paths.iter().filter(|path| path.verdict == Verdict::Fail).count()
    }
}

/// The `most` worst paths: outside the tolerance first, of these the unmeasured first, then by their share of what is allowed.
pub fn worst_paths(comparison: &Comparison, most: usize) -> Vec<&PathResult> {
    let badness = |path: &PathResult| {
        let share = comparison.share_of_allowed(path).unwrap_or(f64::INFINITY);
        // Non-negative floats are in the order of their bits.
        (path.verdict == Verdict::Fail, share.abs().to_bits())
    };
    let mut paths: Vec<&PathResult> = comparison.paths.iter().collect();
    if most == 0 || paths.is_empty() {
        return vec![];
    }
    let place = most.min(paths.len()) - 1;
    let (_, _, _) = paths.select_nth_unstable_by_key(place, |path| (Reverse(badness(path)), path.from, path.to));
    paths.truncate(most);
    paths.sort_by_key(|path| (Reverse(badness(path)), path.from, path.to));
    paths
}

/// `n1→n4`.
pub fn path_name(names: &[NodeName], path: &PathResult) -> String {
    let name = |node: usize| names.get(node).map_or_else(|| format!("#{node}"), ToString::to_string);
    format!("{}→{}", name(path.from), name(path.to))
}

/// A summary line, and a line for each path outside the tolerance (the worst of them when they are many) and each note; every
/// line begins with the time and the round, and ends with a line break.
pub fn round_lines(names: &[NodeName], round: &Round) -> String {
    let head = format!("{} round {}:", round.at, round.number);
    let outside = round.outside();
    let mut lines = vec![format!("{}{}", round_totals(round), worst_of(names, round))];
    let worst = worst_paths(&round.comparison, NAMED.min(outside));
    lines.extend(worst.into_iter().map(|path| format!("outside: {}", path_sentence(names, &round.comparison, path))));
    if outside > NAMED {
        lines.push(format!("outside: {} more", thousands(outside - NAMED)));
    }
    lines.extend(missing_lines(names, &round.comparison.missing));
    lines.extend(round.notes.iter().cloned());
    lines.iter().flat_map(|line| [&head, " ", line, "\n"]).collect()
}

/// `72 paths, |error| p50 0.07 ms, max 1.4 ms, 0 of 216 lost, 1 outside`.
pub fn round_totals(round: &Round) -> String {
    let Comparison { paths, error, sent, lost, basis, .. } = &round.comparison;
    let count = |count: u64| thousands(usize::try_from(count).unwrap_or(usize::MAX));
    let error = error.map_or("no probe arrived".to_owned(), |error| {
        let what = if *basis == Basis::RoundTrip { "rtt error" } else { "error" };
        format!("|{what}| p50 {}, max {}", span_text(error.p50), span_text(error.max))
    });
    let outside = match round.outside() {
        0 => "none outside".to_owned(),
        outside => format!("{} outside", thousands(outside)),
    };
    format!("{}, {error}, {} of {} lost, {outside}", counted(paths.len(), "path"), count(*lost), count(*sent))
}

/// The worst path of those outside the tolerance: `, worst n1→n4 +35 ms`.
fn worst_of(names: &[NodeName], round: &Round) -> String {
    let worst = worst_paths(&round.comparison, 1.min(round.outside()));
    worst.first().map_or(String::new(), |path| format!(", worst {} {}", path_name(names, path), error_text(path)))
}

fn path_sentence(names: &[NodeName], comparison: &Comparison, path: &PathResult) -> String {
    if comparison.lacks(path) {
        return format!("{} not measured: one of the nodes is missing", path_name(names, path));
    }
    let (applied, measured) = comparison.judged_ms(path);
    let measured = measured.map_or("nothing".to_owned(), |measured| millis(measured, false));
    let expected = comparison.shifted_ms(path).map(|expected| format!(", expected {}", millis(expected, false)));
    let expected = expected.unwrap_or_default();
    format!(
        "{} applied {}{expected}, measured {measured}, error {}, {} of {} lost",
        path_name(names, path),
        millis(applied, false),
        error_text(path),
        path.lost,
        path.sent
    )
}

/// `+35 ms`, or `unknown` when nothing arrived.
fn error_text(path: &PathResult) -> String {
    path.error.map_or("unknown".to_owned(), |error| millis(error.as_millis_f64(), true))
}

fn span_text(span: Span) -> String {
    millis(span.as_millis_f64(), false)
}

fn millis(ms: f64, signed: bool) -> String {
    let text = number(ms, 3, signed);
    format!("{} ms", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Whose round it is; in JSON `"lab":"trade"`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TestbedName<'a> {
    /// A lab's.
    Lab(&'a str),
    /// That of hosts.
    Testbed(&'a str),
}

/// A round as JSON in one line, with its line break: all paths in sum, and every path outside the tolerance.
pub fn round_json(testbed: TestbedName, names: &[NodeName], round: &Round) -> String {
    let comparison = &round.comparison;
    let bad = worst_paths(comparison, round.outside());
    let line = RoundLine {
        time: &round.at,
        testbed,
        round: round.number,
        verdict: comparison.verdict,
        basis: comparison.basis,
        paths: comparison.paths.len(),
        sent: comparison.sent,
        lost: comparison.lost,
        dropped: round.dropped,
        error_ms: comparison.error.map(|error| ErrorLine {
            p50: error.p50.as_millis_f64(),
            p99: error.p99.as_millis_f64(),
            max: error.max.as_millis_f64(),
        }),
        missing: missing_words(names, &comparison.missing),
        outside: bad.into_iter().map(|path| PathLine::of(names, comparison, path)).collect(),
        notes: &round.notes,
    };
    // Serialising fails only for maps with keys that are no text and for failing writers: neither is here.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct RoundLine<'a> {
    time: &'a str,
    #[serde(flatten)]
    testbed: TestbedName<'a>,
    round: u32,
    verdict: Verdict,
    /// What `applied_ms`, `measured_ms` and `error_ms` are.
    basis: Basis,
    paths: usize,
    sent: u64,
    lost: u64,
    dropped: u64,
    error_ms: Option<ErrorLine>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    missing: BTreeMap<String, String>,
    outside: Vec<PathLine>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ErrorLine {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct PathLine {
    from: String,
    to: String,
    applied_ms: Option<f64>,
    /// Only where it is not what is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_ms: Option<f64>,
    measured_ms: Option<f64>,
    error_ms: Option<f64>,
    sent: u32,
    lost: u32,
}

impl PathLine {
    fn of(names: &[NodeName], comparison: &Comparison, path: &PathResult) -> Self {
        let (applied_ms, measured_ms) = comparison.judged_ms(path);
        let (there, both) = comparison.intention_known(path);
        let known = if comparison.basis == Basis::OneWay { there } else { both };
        let name = |node: usize| names.get(node).map_or_else(|| format!("#{node}"), ToString::to_string);
        Self {
            from: name(path.from),
            to: name(path.to),
            applied_ms: known.then_some(applied_ms),
            expected_ms: comparison.shifted_ms(path),
            measured_ms,
            error_ms: path.error.map(crate::units::Deviation::as_millis_f64),
            sent: path.sent,
            lost: path.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::small_run::{comparison, matrix, numbered, sample, three_nodes};
    use crate::units::{Delay, Deviation};
    use proptest::prelude::*;

    fn round(comparison: Comparison) -> Round {
        let notes = vec!["note: 2 packets were dropped".to_owned()];
        Round { number: 3, at: "2026-11-21T23:00:00Z".to_owned(), comparison, dropped: 2, notes }
    }

    #[test]
    fn a_round_is_a_summary_and_what_is_outside() {
        let (names, _, comparison) = three_nodes();
        insta::assert_snapshot!(round_lines(&names, &round(comparison)), @r#"
        2026-11-21T23:00:00Z round 3: 6 paths, |error| p50 0.044 ms, max 3.51 ms, 3 of 12 lost, 2 outside, worst Rome, "IT"→Oslo unknown
        2026-11-21T23:00:00Z round 3: outside: Rome, "IT"→Oslo applied 7 ms, measured nothing, error unknown, 2 of 2 lost
        2026-11-21T23:00:00Z round 3: outside: Rome, "IT"→Paris applied 20 ms, measured 23.5 ms, error +3.5 ms, 0 of 2 lost
        2026-11-21T23:00:00Z round 3: note: 2 packets were dropped
        "#);
    }

    #[test]
    fn what_a_path_is_judged_by_is_told_where_it_is_not_its_delay() {
        let (names, _, mut comparison) = three_nodes();
        let path = comparison.paths.iter_mut().find(|path| (path.from, path.to) == (2, 0)).unwrap();
        (path.intended_median, path.error) = (Delay::from_micros(19_500), Some(Deviation::from_nanos(4_000_000)));
        path.chance = (Span::from_millis(90), Span::from_millis(1));
        let path = comparison.paths.iter().find(|path| (path.from, path.to) == (2, 0)).unwrap();
        // 1 ms by the tolerance and 1 ms by chance, on this side.
        assert_eq!(comparison.share_of_allowed(path), Some(2.0));
        let lines = round_lines(&names, &round(comparison));
        assert!(lines.contains("applied 20 ms, expected 19.5 ms, measured 23.5 ms, error +4 ms"), "{lines}");
    }

    #[test]
    fn a_good_round_says_so() {
        let names = numbered(2);
        let samples = [sample((0, 1), 0, Some(10_070), None), sample((1, 0), 0, Some(20_000), None)];
        let comparison = comparison(&matrix(&names, &[0, 10, 20, 0]), &samples);
        let round = Round { notes: vec![], dropped: 0, ..round(comparison) };
        insta::assert_snapshot!(round_lines(&names, &round), @r#"
        2026-11-21T23:00:00Z round 3: 2 paths, |error| p50 0 ms, max 0.07 ms, 0 of 2 lost, none outside
        "#);
    }

    #[test]
    fn json_is_one_line_with_the_same_figures() {
        let (names, _, comparison) = three_nodes();
        let text = round_json(TestbedName::Lab("trade"), &names, &round(comparison));
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["verdict"], &value["lost"], &value["round"]), (&"fail".into(), &3.into(), &3.into()));
        assert_eq!(value["outside"][0]["measured_ms"], serde_json::Value::Null);
        assert_eq!(value["outside"][1]["error_ms"], 3.5);
    }

    proptest! {
        #[test]
        fn the_worst_are_those_of_a_full_sort(delays in prop::collection::vec(0u64..40_000, 12), most in 0usize..14) {
            let names = numbered(4);
            let places: Vec<_> = (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(a, b)| a != b).collect();
            let samples: Vec<_> = places.iter().zip(&delays).map(|(path, delay)| sample(*path, 0, Some(*delay), None)).collect();
            let delays_ms: Vec<u64> = (0..16).map(|place| if place / 4 == place % 4 { 0 } else { 20 }).collect();
            let comparison = comparison(&matrix(&names, &delays_ms), &samples);
            let worst: Vec<u64> = worst_paths(&comparison, most)
                .iter()
                .map(|path| path.error.unwrap().magnitude().as_nanos() / 1_000)
                .collect();
            let mut expected: Vec<u64> = delays.iter().map(|delay| delay.abs_diff(20_000)).collect();
            expected.sort_unstable_by_key(|error| Reverse(*error));
            expected.truncate(most);
            prop_assert_eq!(worst, expected);
        }
    }
}
