//! A benchmark as text and as JSON. Pure.

use serde::Serialize;

use super::figures::{Bound, Relation, Row, Series, Subject, Target, Unit, Verdict};
use crate::report::{HostNoise, Machine};

/// Where and how a benchmark ran.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Circumstances {
    /// The version of longhaul.
    pub(super) version: String,
    /// The git revision that it was built from, when known.
    pub(super) revision: Option<String>,
    /// Whether the program was built without optimisation: its numbers then say little.
    pub(super) debug_build: bool,
    /// The kernel's release.
    pub(super) kernel: String,
    /// The machine.
    pub(super) machine: Machine,
    /// The user's id.
    pub(super) uid: u32,
    /// The delay element of the rows that do not name one.
    pub(super) backend: String,
    /// When it began, RFC 3339.
    pub(super) started: String,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
    /// Repetitions of each figure.
    pub(super) repeat: u32,
    /// Whether the short form was asked for.
    pub(super) quick: bool,
    /// Load and stolen time during the run.
    pub(super) host_noise: Option<HostNoise>,
}

/// The lines above the table.
pub(super) fn header(run: &Circumstances) -> String {
    let user = if run.uid == 0 { "root".to_owned() } else { format!("an ordinary user (uid {})", run.uid) };
    let revision = run.revision.as_deref().map(|revision| format!(" ({revision})")).unwrap_or_default();
    let build = if run.debug_build { ", DEBUG BUILD: the numbers say little" } else { "" };
    let noise = run.host_noise.map_or_else(
        || "unknown".to_owned(),
        |noise| {
            format!("load {:.2} at the end, {:.1} % of the processors' time stolen", noise.load1, noise.steal * 100.0)
        },
    );
    let short = if run.quick { ", short form" } else { "" };
    format!(
        "longhaul {}{revision}{build}, {}, as {user}\nmachine   {} × {}, Linux {}\nduring    {noise}; {:.0} s{short}\n\
         back-end  {}\nfigures   median (least–most) of {} {}\n",
        run.version,
        run.started,
        run.machine.cpus,
        run.machine.cpu,
        run.kernel,
        run.seconds,
        run.backend,
        run.repeat,
        if run.repeat == 1 { "repetition" } else { "repetitions" },
    )
}

/// The table: one line per figure. `peer` is what the head of the column beside longhaul's says.
pub(super) fn table(rows: &[Row], peer: &str) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["MEASUREMENT", "WHAT", "LONGHAUL", peer, "COMPARED", "TARGET", "VERDICT"]);
    let mut previous = "";
    for row in rows {
        let name = if row.measurement == previous { "" } else { row.measurement };
        previous = row.measurement;
        let series = |series: &Option<Series>| series.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        table.add_row([
            name.to_owned(),
            row.what.clone(),
            series(&row.longhaul),
            series(&row.plain),
            compared(row),
            row.target.map_or_else(|| "-".to_owned(), |target| target_text(target, row)),
            verdict(row),
        ]);
    }
    table.trim_fmt() + "\n"
}

fn compared(row: &Row) -> String {
    let (Some(value), Some(ours)) = (row.compared(), &row.longhaul) else { return "-".to_owned() };
    match row.relation {
        Relation::Ratio => match row.interval() {
            Some((low, high)) => format!("{} ({:.0}–{:.0})", percent(value), low * 100.0, high * 100.0),
            None => percent(value),
        },
        Relation::Speedup => match row.interval() {
            Some((low, high)) => format!("{} ({low:.1}–{high:.1})", times(value)),
            None => times(value),
        },
        Relation::Difference => {
            let text = ours.unit().show(value);
            if value >= 0.0 { format!("+{text}") } else { text.replacen('-', "−", 1) }
        }
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// So many times as fast: `0.97 ×`, `12.3 ×`, `1240 ×`.
fn times(ratio: f64) -> String {
    let decimals = if ratio < 10.0 { 2 } else { usize::from(ratio < 100.0) };
    format!("{ratio:.decimals$} ×")
}

fn target_text(target: Target, row: &Row) -> String {
    let sign = match target.bound {
        Bound::AtMost => "≤",
        Bound::AtLeast => "≥",
    };
    let value = match (target.of, row.longhaul.as_ref().map(Series::unit)) {
        (Subject::Relation, unit) => match (row.relation, unit) {
            (Relation::Ratio, _) => format!("{} %", target.value * 100.0),
            (Relation::Speedup, _) => format!("{} ×", target.value),
            (Relation::Difference, unit) => unit.map_or_else(String::new, |unit| round(unit, target.value)),
        },
        (Subject::Value, Some(unit)) if ![Unit::Packets, Unit::Writes].contains(&unit) => round(unit, target.value),
        (Subject::Value, _) => format!("{}", target.value),
    };
    format!("{sign} {value}")
}

/// A target as people write it: `5 Gbit/s`, not `5.00 Gbit/s`.
fn round(unit: Unit, value: f64) -> String {
    let shown = unit.show(value);
    let (_, name) = shown.split_once(' ').unwrap_or(("", ""));
    format!("{value} {name}")
}

fn verdict(row: &Row) -> String {
    match (row.verdict(), &row.problem) {
        (Verdict::Met, _) => "met".to_owned(),
        (Verdict::NotMet, _) => "NOT MET".to_owned(),
        (Verdict::Unclear, _) => "unclear: too few or too noisy".to_owned(),
        (Verdict::NoTarget, _) => "-".to_owned(),
        (Verdict::NotMeasured, None) => "not measured".to_owned(),
        (Verdict::NotMeasured, Some(problem)) => format!("not measured: {problem}"),
    }
}

/// How many targets were met, are unclear, and could not be measured.
pub(super) fn summary(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
    let (met, unclear) = (count(Verdict::Met), count(Verdict::Unclear));
    let judged = met + unclear + count(Verdict::NotMet);
    format!("{met} of {judged} targets met, {unclear} unclear; {} not measured\n", count(Verdict::NotMeasured))
}

/// A row as JSON.
#[derive(Serialize)]
struct Line<'a> {
    measurement: &'a str,
    what: &'a str,
    unit: Option<Unit>,
    longhaul: Option<&'a Series>,
    plain: Option<&'a Series>,
    relation: Option<Relation>,
    compared: Option<f64>,
    interval: Option<(f64, f64)>,
    target: Option<Target>,
    verdict: Verdict,
    problem: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(row: &'a Row) -> Self {
        Self {
            measurement: row.measurement,
            what: &row.what,
            unit: row.longhaul.as_ref().or(row.plain.as_ref()).map(Series::unit),
            longhaul: row.longhaul.as_ref(),
            plain: row.plain.as_ref(),
            relation: row.plain.is_some().then_some(row.relation),
            compared: row.compared(),
            interval: row.interval(),
            target: row.target,
            verdict: row.verdict(),
            problem: row.problem.as_deref(),
        }
    }
}

/// The machine-readable result.
pub(super) fn json(run: &Circumstances, rows: &[Row]) -> String {
    #[derive(Serialize)]
    struct Shape<'a> {
        run: &'a Circumstances,
        rows: Vec<Line<'a>>,
    }
    let shape = Shape { run, rows: rows.iter().map(Line::of).collect() };
    // Serialising fails only for maps with keys that are no text: there are none.
    serde_json::to_string_pretty(&shape).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rows() -> Vec<Row> {
        let micros = |values: &[f64]| Series::new(Unit::Micros, values.iter().copied());
        let gigabits = |values: &[f64]| Series::new(Unit::Gigabits, values.iter().copied());
        vec![
            Row::new("accuracy", "|error| p50", micros(&[41.0, 38.0, 44.0]))
                .beside(Relation::Difference, micros(&[12.0, 10.0, 14.0]))
                .reaching(Target::at_most(100.0)),
            Row::new("accuracy", "|error| max", micros(&[900.0, 800.0, 1000.0])),
            Row::new("tcp", "10 ms", gigabits(&[4.0]))
                .beside(Relation::Ratio, gigabits(&[20.0]))
                .reaching(Target::at_least(5.0)),
            Row::not_measured("unmatched", "TCP", "iperf3 is not installed (Debian: iperf3)"),
        ]
    }

    fn circumstances() -> Circumstances {
        Circumstances {
            version: "0.1.0".to_owned(),
            revision: Some("0123456789ab".to_owned()),
            debug_build: false,
            kernel: "6.18.0".to_owned(),
            machine: Machine { cpu: "Example CPU".to_owned(), cpus: 2 },
            uid: 65_534,
            backend: "userspace (asked for)".to_owned(),
            started: "2026-11-21T10:00:00Z".to_owned(),
            seconds: 12.3,
            repeat: 3,
            quick: false,
            host_noise: Some(HostNoise { load1: 0.5, steal: 0.012 }),
        }
    }

    #[test]
    fn the_table_sets_everything_side_by_side() {
        insta::assert_snapshot!(table(&rows(), "PLAIN KERNEL PATH"), @r"
        MEASUREMENT  WHAT         LONGHAUL                 PLAIN KERNEL PATH    COMPARED  TARGET      VERDICT
        accuracy     |error| p50  41.0 µs (38.0–44.0)      12.0 µs (10.0–14.0)  +29.0 µs  ≤ 100 µs    met
                     |error| max  900.0 µs (800.0–1000.0)  -                    -         -           -
        tcp          10 ms        4.00 Gbit/s              20.00 Gbit/s         20.0 %    ≥ 5 Gbit/s  NOT MET
        unmatched    TCP          -                        -                    -         -           not measured: iperf3 is not installed (Debian: iperf3)
        ");
    }

    #[test]
    fn the_header_says_where_and_how() {
        insta::assert_snapshot!(header(&circumstances()), @r"
        longhaul 0.1.0 (0123456789ab), 2026-11-21T10:00:00Z, as an ordinary user (uid 65534)
        machine   2 × Example CPU, Linux 6.18.0
        during    load 0.50 at the end, 1.2 % of the processors' time stolen; 12 s
        back-end  userspace (asked for)
        figures   median (least–most) of 3 repetitions
        ");
        let debug = Circumstances { debug_build: true, uid: 0, repeat: 1, quick: true, ..circumstances() };
        let text = header(&debug);
        assert!(
            text.contains("DEBUG BUILD") && text.contains("as root") && text.contains("of 1 repetition\n"),
            "{text}"
        );
    }

    #[test]
    fn the_summary_counts_verdicts() {
        assert_eq!(summary(&rows()), "1 of 2 targets met, 0 unclear; 1 not measured\n");
    }

    #[test]
    fn the_json_has_every_value() {
        let value: serde_json::Value = serde_json::from_str(&json(&circumstances(), &rows())).unwrap();
        let first = &value["rows"][0];
        assert_eq!(first["longhaul"]["values"], serde_json::json!([41.0, 38.0, 44.0]));
        assert_eq!(first["plain"]["median"], 12.0);
        assert_eq!((&first["unit"], &first["verdict"]), (&"us".into(), &"met".into()));
        assert_eq!(first["target"], serde_json::json!({ "bound": "at_most", "value": 100.0, "of": "value" }));
        assert_eq!(value["rows"][3]["problem"], "iperf3 is not installed (Debian: iperf3)");
        assert_eq!(value["run"]["host_noise"]["steal"], 0.012);
    }
}
