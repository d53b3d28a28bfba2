//! Tables of a run as text: every pair at a glance, every path in full, and the whole in one line.

use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

use super::heat::{number, thousands};
use crate::measure::{Basis, Comparison, Missing, MissingNode, PathResult, Tolerance, Verdict};
use crate::topology::NodeName;
use crate::units::{Deviation, Span};
use crate::wording::OneLine;

/// Up to this many nodes a matrix of pairs is readable.
pub const MATRIX_TABLE_NODES: usize = 12;

/// One rule, under the header.
const RULED: TableStyle = TableStyle::new()
    .header_lines(LINES)
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(LINES);

/// Nothing but a blank between columns.
const LINES: ContentLineStyle = ContentLineStyle::none().junction(' ');

/// Letters of a name in a matrix of pairs.
const NAME_LETTERS: usize = 16;

/// "intended/measured" (median one-way delay, milliseconds) for every pair: sender by row, receiver by column.
///
/// A path outside the tolerance has a `!`, one that was not measured a `?` for its measurement.
/// Meant for at most [`MATRIX_TABLE_NODES`] nodes. `names` are the nodes of the comparison's matrix.
/// With fewer than `columns` letters a line there is one decimal less; nothing when even that does not fit.
pub fn matrix_table(names: &[NodeName], comparison: &Comparison, columns: usize) -> Option<String> {
    let mut widths = [2, 1].into_iter().map(|decimals| pairs(names, comparison, decimals));
    let table = widths.find(|table| width(table) <= columns)?;
    let what = match comparison.basis {
        Basis::OneWay => "one-way delay",
        Basis::RoundTrip => "round-trip time",
    };
    Some(format!("{table}\n\nintended/measured {what}, median, in ms{}\n", marks(comparison)))
}

/// The letters of the longest line.
pub(super) fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn pairs(names: &[NodeName], comparison: &Comparison, decimals: usize) -> String {
    let short = |name: &NodeName| shortened(name.as_str(), NAME_LETTERS);
    let mut table = empty_table();
    let corner = std::iter::once("from\\to".to_owned());
    table.set_header(corner.chain(names.iter().map(short)));
    for (from, name) in names.iter().enumerate() {
        let mut row = vec![short(name)];
        row.extend((0..names.len()).map(|to| pair_cell(comparison, (from, to), decimals)));
        table.add_row(row);
    }
    align(&mut table, |column| column > 0);
    table.trim_fmt()
}

/// The path of a pair, found by its place in the row-major order.
fn find_path(comparison: &Comparison, from: usize, to: usize) -> Option<&PathResult> {
    let place = comparison.paths.binary_search_by_key(&(from, to), |path| (path.from, path.to)).ok()?;
    comparison.paths.get(place)
}

fn pair_cell(comparison: &Comparison, (from, to): (usize, usize), decimals: usize) -> String {
    let Some(path) = find_path(comparison, from, to) else {
        return "-".to_owned();
    };
    let (intended, measured) = comparison.judged_ms(path);
    if comparison.lacks(path) {
        let (there, both) = comparison.intention_known(path);
        let known = if comparison.basis == Basis::OneWay { there } else { both };
        return if known { format!("{}/x", shortest(intended)) } else { "?/x".to_owned() };
    }
    let mark = if path.verdict == Verdict::Fail && measured.is_some() { "!" } else { "" };
    let measured = measured.map_or("?".to_owned(), |measured| format!("{measured:.decimals$}"));
    format!("{}/{measured}{mark}", shortest(intended))
}

/// What the marks in the table mean, if it has any.
fn marks(comparison: &Comparison) -> String {
    let measured = |path: &PathResult| comparison.judged_ms(path).1.is_some() && !comparison.lacks(path);
    let failed = |path: &PathResult| path.verdict == Verdict::Fail && measured(path);
    let mut text = String::new();
    if comparison.paths.iter().any(failed) {
        text += "\n! outside the tolerance";
    }
    if !comparison.missing.is_empty() {
        text += "\nx not measured: one of the nodes is missing";
    }
    if comparison.paths.iter().any(|path| !measured(path) && !comparison.lacks(path)) {
        text += "\n? no probe arrived";
    }
    text
}

/// One line per path: intended and measured one-way delay, error, round trip beside the sum that it should be, loss, verdict.
///
/// With more than `most` paths only the worst ones are shown (failed first, then by error), then how many are left out
/// and how many of those failed. Where a line has fewer letters than the table, the 99th percentile is left out, then the
/// round trip.
pub fn path_table(names: &[NodeName], comparison: &Comparison, most: usize, columns: usize) -> String {
    let mut paths: Vec<&PathResult> = comparison.paths.iter().collect();
    if paths.len() > most {
        paths.sort_by_key(|path| std::cmp::Reverse(badness(path)));
    }
    let (shown, rest) = paths.split_at(paths.len().min(most));
    let rows: Vec<_> = shown.iter().map(|path| path_row(names, comparison, path)).collect();
    let without = |dropped: &&[usize]| columns_table(comparison, &rows, dropped);
    let fits = DROPPED.iter().find(|dropped| width(&without(dropped)) <= columns);
    let mut text = without(fits.unwrap_or(&DROPPED[DROPPED.len() - 1])) + "\n";
    if !rest.is_empty() {
        text += &rest_line(rest);
    }
    text
}

/// The header of the table of paths.
const HEADER: [&str; 12] = [
    "from",
    "to",
    "intended\nms",
    "expected\np50 ms",
    "one-way\np50 ms",
    "one-way\np99 ms",
    "clocks\n± ms",
    "error\nµs",
    "rtt\np50 ms",
    "rtt sum\nms",
    "lost\n/sent",
    "verdict",
];

/// Which columns are left out, by how much room is missing.
const DROPPED: [&[usize]; 3] = [&[], &[5], &[5, 8, 9]];

/// What the median should be: a column only where that is not the delay of every path.
const EXPECTED: usize = 3;

/// How far clocks may be apart: a column only where they are.
const CLOCKS: usize = 6;

/// The error's column.
const ERROR: usize = 7;

fn columns_table(comparison: &Comparison, rows: &[[String; 12]], dropped: &[usize]) -> String {
    let round_trips = comparison.basis == Basis::RoundTrip;
    let shifted = comparison.paths.iter().any(|path| comparison.shifted_ms(path).is_some());
    let shown = |column: &usize| {
        // What the error is about is never left out.
        let needed = round_trips && [8, 9].contains(column);
        let called_for = (round_trips || *column != CLOCKS) && (shifted || *column != EXPECTED);
        (needed || !dropped.contains(column)) && called_for
    };
    let kept: Vec<usize> = (0..HEADER.len()).filter(shown).collect();
    let mut table = empty_table();
    let title = |column: usize| match column {
        ERROR if round_trips => "rtt error\nµs",
        EXPECTED if round_trips => "expected\nrtt ms",
        _ => HEADER[column],
    };
    table.set_header(kept.iter().map(|column| title(*column)));
    for row in rows {
        table.add_row(kept.iter().map(|column| row[*column].as_str()));
    }
    align(&mut table, |place| (2..=10).contains(&kept[place]));
    table.trim_fmt()
}

/// Failed before passed, unmeasured before measured, then by the size of the error.
fn badness(path: &PathResult) -> (bool, bool, Span) {
    let size = path.error.map_or(Span::ZERO, Deviation::magnitude);
    (path.verdict == Verdict::Fail, path.error.is_none(), size)
}

fn path_row(names: &[NodeName], comparison: &Comparison, path: &PathResult) -> [String; 12] {
    let name = |node: usize| names.get(node).map_or_else(|| format!("#{node}"), ToString::to_string);
    let absent = || "-".to_owned();
    let (there, both) = comparison.intention_known(path);
    let intended = |known: bool, ms: f64| if known { shortest(ms) } else { "?".to_owned() };
    [
        name(path.from),
        name(path.to),
        intended(there, path.intended.as_millis_f64()),
        intended(if comparison.basis == Basis::OneWay { there } else { both }, comparison.expected_ms(path)),
        path.one_way.map_or_else(absent, |delay| millis(delay.p50.as_millis_f64())),
        path.one_way.map_or_else(absent, |delay| millis(delay.p99.as_millis_f64())),
        path.clock_bound.map_or_else(absent, |bound| millis(bound.as_millis_f64())),
        path.error.map_or_else(absent, |error| number(error.as_millis_f64() * 1_000.0, 0, true)),
        path.rtt.map_or_else(absent, |rtt| millis(rtt.p50.as_millis_f64())),
        intended(both, path.intended_rtt.as_millis_f64()),
        format!("{}/{}", path.lost, path.sent),
        if comparison.lacks(path) { "missing".to_owned() } else { verdict(path.verdict).to_owned() },
    ]
}

fn rest_line(rest: &[&PathResult]) -> String {
    let failed = rest.iter().filter(|path| path.verdict == Verdict::Fail).count();
    match failed {
        0 => format!("… {} more within tolerance\n", thousands(rest.len())),
        _ => format!("… {} more, {} of them outside the tolerance\n", thousands(rest.len()), thousands(failed)),
    }
}

/// The run in one line: paths, probes, loss, distribution of the error over all probes, verdict and what it was judged by.
pub fn summary_line(comparison: &Comparison) -> String {
    let Comparison { paths, error, sent, lost, tolerance, basis, .. } = comparison;
    let count = |count: u64| thousands(usize::try_from(count).unwrap_or(usize::MAX));
    let error = error.map_or("no probe arrived".to_owned(), |error| {
        let [p50, p99, max] = [error.p50, error.p99, error.max].map(span_millis);
        let what = if *basis == Basis::RoundTrip { "rtt error" } else { "error" };
        format!("|{what}| p50 {p50} ms, p99 {p99} ms, max {max} ms")
    });
    let failed = paths.iter().filter(|path| path.verdict == Verdict::Fail).count();
    let verdict = match comparison.verdict {
        Verdict::Pass => "PASS".to_owned(),
        Verdict::Fail if failed == 0 => "FAIL in what paths do beyond delay".to_owned(),
        Verdict::Fail => format!("FAIL on {} of {} paths", thousands(failed), thousands(paths.len())),
    };
    format!(
        "{} paths, {} probes, {} lost; {error}; {verdict} (tolerance: {} on the median)",
        thousands(paths.len()),
        count(*sent),
        count(*lost),
        tolerance_text(*tolerance)
    )
}

/// One line for each missing node: its words, and how many paths it takes along.
pub fn missing_lines(names: &[NodeName], missing: &Missing) -> Vec<String> {
    let line = |(node, one): (&usize, &MissingNode)| {
        let name = names.get(*node).map_or_else(|| format!("#{node}"), ToString::to_string);
        let paths = thousands(missing.paths_of(*node, names.len()));
        format!("missing: {name} and the {paths} paths from and to it: {}", OneLine(&one.why))
    };
    missing.nodes.iter().map(line).collect()
}

/// A tolerance in words: "larger of 5 % and 1 ms".
pub(super) fn tolerance_text(tolerance: Tolerance) -> String {
    format!("larger of {} % and {} ms", shortest(tolerance.relative * 100.0), span_millis(tolerance.absolute))
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
    }
}

/// Milliseconds with the microseconds that a measurement can resolve.
fn millis(ms: f64) -> String {
    format!("{ms:.3}")
}

/// A span in milliseconds: three decimals, without zeros at the end.
fn span_millis(span: Span) -> String {
    shortest(span.as_millis_f64())
}

/// At most three decimals, without zeros at the end.
pub(super) fn shortest(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let kept: String = name.chars().take(letters - 1).collect();
    format!("{kept}…")
}

/// A table whose text is the same whatever terminal, if any, it is made in.
pub(super) fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    table
}

/// Sets the columns of numbers flush right, and all of them close together.
pub(super) fn align(table: &mut Table, is_number: impl Fn(usize) -> bool) {
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if is_number(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::report::small_run::{self, three_nodes};

    #[test]
    fn pairs_show_intended_and_measured() {
        let (names, _, comparison) = three_nodes();
        insta::assert_snapshot!(matrix_table(&names, &comparison, 80).unwrap(), @r#"
        from\to         Paris      Oslo  Rome, "IT"
        ────────────────────────────────────────────
        Paris               -  10/10.04    20/20.03
        Oslo         12/11.99         -      5/5.04
        Rome, "IT"  20/23.50!       7/?           -

        intended/measured one-way delay, median, in ms
        ! outside the tolerance
        ? no probe arrived
        "#);
    }

    #[test]
    fn a_median_that_is_not_the_delay_is_shown() {
        let (names, _, mut comparison) = three_nodes();
        comparison.paths[0].intended_median = crate::units::Delay::from_micros(9_870);
        let table = path_table(&names, &comparison, 6, 100);
        let row = |line: usize| table.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!((row(0)[3], &row(3)[..4]), ("expected", &["Paris", "Oslo", "10", "9.87"][..]), "{table}");
    }

    #[test]
    fn paths_show_everything() {
        let (names, _, comparison) = three_nodes();
        insta::assert_snapshot!(path_table(&names, &comparison, 6, 100), @r#"
        from        to          intended  one-way  one-way  error     rtt  rtt sum   lost  verdict
                                      ms   p50 ms   p99 ms     µs  p50 ms       ms  /sent
        ───────────────────────────────────────────────────────────────────────────────────────────
        Paris       Oslo              10   10.041   10.052    +41  22.090       22    0/2  pass
        Paris       Rome, "IT"        20   20.033   20.033    +33  43.500       40    1/2  pass
        Oslo        Paris             12   11.990   12.020    −10  22.070       22    0/2  pass
        Oslo        Rome, "IT"         5    5.044    5.061    +44       -       12    0/2  pass
        Rome, "IT"  Paris             20   23.500   23.510  +3500  43.600       40    0/2  FAIL
        Rome, "IT"  Oslo               7        -        -      -       -       12    2/2  FAIL
        "#);
    }

    #[test]
    fn narrow_terminals_get_less() {
        let (names, _, comparison) = three_nodes();
        insta::assert_snapshot!(matrix_table(&names, &comparison, 43).unwrap(), @r#"
        from\to        Paris     Oslo  Rome, "IT"
        ──────────────────────────────────────────
        Paris              -  10/10.0     20/20.0
        Oslo         12/12.0        -       5/5.0
        Rome, "IT"  20/23.5!      7/?           -

        intended/measured one-way delay, median, in ms
        ! outside the tolerance
        ? no probe arrived
        "#);
        assert_eq!(matrix_table(&names, &comparison, 40), None);
        insta::assert_snapshot!(path_table(&names, &comparison, 2, 77), @r#"
        from        to     intended  one-way  error     rtt  rtt sum   lost  verdict
                                 ms   p50 ms     µs  p50 ms       ms  /sent
        ─────────────────────────────────────────────────────────────────────────────
        Rome, "IT"  Oslo          7        -      -       -       12    2/2  FAIL
        Rome, "IT"  Paris        20   23.500  +3500  43.600       40    0/2  FAIL
        … 4 more within tolerance
        "#);
        insta::assert_snapshot!(path_table(&names, &comparison, 2, 70), @r#"
        from        to     intended  one-way  error   lost  verdict
                                 ms   p50 ms     µs  /sent
        ────────────────────────────────────────────────────────────
        Rome, "IT"  Oslo          7        -      -    2/2  FAIL
        Rome, "IT"  Paris        20   23.500  +3500    0/2  FAIL
        … 4 more within tolerance
        "#);
        assert_eq!(path_table(&names, &comparison, 6, 10), path_table(&names, &comparison, 6, 70));
    }

    /// The columns of a table as the eye finds them: what is between places that are blank on every line.
    fn visible_columns(lines: &[&str]) -> usize {
        let lines: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        let longest = lines.iter().map(Vec::len).max().unwrap();
        let inked = |place: usize| lines.iter().any(|line| line.get(place).is_some_and(|letter| *letter != ' '));
        (0..longest).filter(|place| inked(*place) && (*place == 0 || !inked(place - 1))).count()
    }

    proptest! {
        #[test]
        fn columns_line_up_whatever_the_numbers_are(
            delays in prop::collection::vec((1u64..60_000_000, prop::option::of((1u64..60_000_000, 1u64..120_000_000))), 6),
        ) {
            let names = small_run::numbered(3);
            let pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
            let mut intended = [0; 9];
            let mut samples = Vec::new();
            for ((from, to), (delay, measured)) in pairs.into_iter().zip(&delays) {
                intended[from * 3 + to] = delay / 1_000;
                let (one_way, rtt) = measured.unzip();
                samples.push(small_run::sample((from, to), 0, one_way, rtt));
            }
            let comparison = small_run::comparison(&small_run::matrix(&names, &intended), &samples);
            for (columns, expected) in [(200, 10), (10, 7)] {
                let text = path_table(&names, &comparison, 6, columns);
                let lines: Vec<&str> = text.lines().collect();
                prop_assert_eq!(visible_columns(&[&lines[..2], &lines[3..]].concat()), expected, "{}", text);
                let rule = lines[2].chars().count();
                prop_assert!(lines.iter().all(|line| line.chars().count() <= rule), "{}", text);
            }
            let text = matrix_table(&names, &comparison, usize::MAX).unwrap();
            let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
            prop_assert_eq!(visible_columns(&[&lines[..1], &lines[2..]].concat()), 4, "{}", text);
            let ends: Vec<usize> = lines.iter().map(|line| line.trim_end_matches('!').chars().count()).collect();
            prop_assert!(ends.iter().all(|end| end.abs_diff(ends[0]) <= 1), "{}", text);
        }
    }

    #[test]
    fn only_the_worst_paths_are_shown_when_there_are_many() {
        let (names, _, comparison) = three_nodes();
        insta::assert_snapshot!(path_table(&names, &comparison, 3, 100), @r#"
        from        to          intended  one-way  one-way  error     rtt  rtt sum   lost  verdict
                                      ms   p50 ms   p99 ms     µs  p50 ms       ms  /sent
        ───────────────────────────────────────────────────────────────────────────────────────────
        Rome, "IT"  Oslo               7        -        -      -       -       12    2/2  FAIL
        Rome, "IT"  Paris             20   23.500   23.510  +3500  43.600       40    0/2  FAIL
        Oslo        Rome, "IT"         5    5.044    5.061    +44       -       12    0/2  pass
        … 3 more within tolerance
        "#);
        assert!(path_table(&names, &comparison, 1, 100).ends_with("… 5 more, 1 of them outside the tolerance\n"));
        assert!(path_table(&names, &comparison, 0, 100).ends_with("… 6 more, 2 of them outside the tolerance\n"));
    }

    #[test]
    fn the_summary_is_one_line() {
        let (_, _, comparison) = three_nodes();
        insta::assert_snapshot!(summary_line(&comparison), @"6 paths, 12 probes, 3 lost; |error| p50 0.044 ms, p99 3.51 ms, max 3.51 ms; FAIL on 2 of 6 paths (tolerance: larger of 5 % and 1 ms on the median)");
    }

    #[test]
    fn a_good_run_passes_and_an_empty_one_says_so() {
        let names = small_run::numbered(2);
        let matrix = small_run::matrix(&names, &[0, 10, 12, 0]);
        let arrived = |path| small_run::sample(path, 0, Some(11_000), Some(22_000));
        let good = small_run::comparison(&matrix, &[arrived((0, 1)), arrived((1, 0))]);
        insta::assert_snapshot!(summary_line(&good), @"2 paths, 2 probes, 0 lost; |error| p50 1 ms, p99 1 ms, max 1 ms; PASS (tolerance: larger of 5 % and 1 ms on the median)");
        let lost = |path| small_run::sample(path, 0, None, None);
        let bad = small_run::comparison(&matrix, &[lost((0, 1)), lost((1, 0))]);
        insta::assert_snapshot!(summary_line(&bad), @"2 paths, 2 probes, 2 lost; no probe arrived; FAIL on 2 of 2 paths (tolerance: larger of 5 % and 1 ms on the median)");
    }
}
