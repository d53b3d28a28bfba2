//! tcconfig beside us: where its `tcset` is, what its users tell it, and what its times come to for a whole row.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::batch::INTERFACE;
use super::rows::Destination;
use super::tc;
use crate::cli::bench::ground::BenchLab;
use crate::cli::bench::stopwatch::Timed;

/// Why rows beside tcconfig have no figures.
pub(super) const MISSING: &str = "tcset is not installed (pip install tcconfig)";

/// The program, and its folder, which it must find itself in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tcset {
    program: PathBuf,
}

/// What tcset is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Set delays.
    Set,
    /// Print what it would tell tc, which takes less: all that it can do without netem.
    Print,
}

/// How long a row took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reckoned {
    /// The whole row.
    pub(super) whole: Duration,
    /// In which way, and what of it was measured.
    pub(super) how: String,
}

impl Tcset {
    /// The program that was named, by itself or by its folder; else the first one on `PATH`.
    pub(super) fn find(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let Some(named) = named else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let program = std::env::split_paths(&path).map(|folder| folder.join("tcset")).find(|file| file.is_file());
            return Ok(program.map(|program| Self { program }));
        };
        let file = if named.is_dir() { named.join("tcset") } else { named.to_owned() };
        let found = file.canonicalize().with_context(|| format!("--tcconfig {}: no tcset there", named.display()))?;
        if !found.is_file() {
            bail!("--tcconfig {}: no tcset there", named.display());
        }
        // Not the canonical one: a virtual environment knows itself by the path that it is called by.
        Ok(Some(Self { program: std::path::absolute(file)? }))
    }

    /// One call that does nothing, so that no row pays for the first look at the disk.
    pub(super) fn warm_up(&self, lab: &BenchLab) -> anyhow::Result<()> {
        let words =
            ["bench", "stopwatch", "--", &self.program.to_string_lossy(), INTERFACE, "--tc-command", "--delay", "1ms"];
        tc::stopwatch(lab, &words, String::new(), Duration::from_secs(300)).map(drop)
    }

    /// One call for each destination, none begun after `limit`.
    pub(super) fn each(
        &self,
        lab: &BenchLab,
        row: &[Destination],
        doing: Doing,
        limit: Duration,
    ) -> anyhow::Result<Reckoned> {
        let seconds = limit.as_secs().to_string();
        let program = self.program.to_string_lossy();
        let words = ["bench", "stopwatch", "--each", "--limit", &seconds, "--", &program];
        let timed = tc::stopwatch(lab, &words, calls(row, doing), 2 * limit + Duration::from_secs(60))?;
        if doing == Doing::Set {
            let checked = tc::expect_netems(lab, timed.calls);
            tc::remove_root(lab)?;
            checked?;
        }
        reckon(timed, row.len(), doing)
    }

    /// All destinations from a file.
    pub(super) fn import(&self, lab: &BenchLab, row: &[Destination], limit: Duration) -> anyhow::Result<Reckoned> {
        let file = std::env::temp_dir().join(format!("longhaul-bench-{}.json", std::process::id()));
        std::fs::write(&file, settings(row)).with_context(|| format!("write {}", file.display()))?;
        let imported = self.import_file(lab, &file, limit);
        let _ = std::fs::remove_file(&file);
        let checked = tc::expect_netems(lab, row.len());
        // What failed may have made part of it, or nothing that could be taken away.
        let removed = tc::remove_root(lab);
        let timed = imported?;
        checked?;
        removed?;
        Ok(Reckoned { whole: Duration::from_nanos(timed.nanos), how: "tcset --import-setting".to_owned() })
    }

    fn import_file(&self, lab: &BenchLab, file: &Path, limit: Duration) -> anyhow::Result<Timed> {
        // It calls itself by name for every line.
        let folder = self.program.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let path = format!("PATH={folder}:{}", std::env::var("PATH").unwrap_or_default());
        let file = file.to_string_lossy();
        let words = ["bench", "stopwatch", "--", "env", &path, "tcset", "--import-setting", &file];
        tc::stopwatch(lab, &words, String::new(), limit)
    }
}

/// The arguments of one call for each destination.
fn calls(row: &[Destination], doing: Doing) -> String {
    let mut lines = String::new();
    let print = if doing == Doing::Print { " --tc-command" } else { "" };
    for (at, one) in row.iter().enumerate() {
        let add = if at == 0 { "" } else { " --add" };
        let _ = writeln!(lines, "{INTERFACE}{print}{add} --delay {} --network {}/32", delay(one), one.address);
    }
    lines
}

/// The same as a file of settings.
fn settings(row: &[Destination]) -> String {
    let rule =
        |one: &Destination| (format!("dst_network={}/32, protocol=ip", one.address), json!({ "delay": delay(one) }));
    let rules: Map<String, Value> = row.iter().map(rule).collect();
    json!({ INTERFACE: { "outgoing": rules, "incoming": {} } }).to_string()
}

fn delay(one: &Destination) -> String {
    format!("{}us", one.delay.as_nanos() / 1_000)
}

/// What the calls so far come to for the whole row, if each of the others took as long as these did on average.
fn reckon(timed: Timed, destinations: usize, doing: Doing) -> anyhow::Result<Reckoned> {
    if timed.calls == 0 {
        bail!("tcset was not called once");
    }
    let measured = Duration::from_nanos(timed.nanos);
    let how = match doing {
        Doing::Set => "tcset, one call each".to_owned(),
        Doing::Print => "tcset --tc-command, which only prints, one call each".to_owned(),
    };
    if timed.calls == destinations {
        return Ok(Reckoned { whole: measured, how });
    }
    let whole = measured.mul_f64(destinations as f64 / timed.calls as f64);
    let how = format!("{how} (reckoned on from {} calls in {:.0} s)", timed.calls, measured.as_secs_f64());
    Ok(Reckoned { whole, how })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::units::Delay;

    fn row() -> Vec<Destination> {
        [(2, 10_000), (3, 10_050)]
            .map(|(host, micros): (u8, u64)| Destination {
                address: [10, 77, 0, host].into(),
                delay: Delay::from_nanos(micros * 1_000),
            })
            .into()
    }

    #[test]
    fn a_row_is_told_call_by_call_or_as_a_file() {
        let expected =
            "eth0 --delay 10000us --network 10.77.0.2/32\neth0 --add --delay 10050us --network 10.77.0.3/32\n";
        assert_eq!(calls(&row(), Doing::Set), expected);
        assert!(calls(&row(), Doing::Print).starts_with("eth0 --tc-command --delay"));
        let file: Value = serde_json::from_str(&settings(&row())).unwrap();
        assert_eq!(file["eth0"]["outgoing"]["dst_network=10.77.0.3/32, protocol=ip"]["delay"], "10050us");
    }

    #[test]
    fn what_was_not_measured_is_reckoned_and_said() {
        let seconds = |seconds: u64| seconds * 1_000_000_000;
        let all = reckon(Timed { calls: 100, nanos: seconds(40) }, 100, Doing::Set).unwrap();
        assert_eq!((all.whole, all.how.as_str()), (Duration::from_secs(40), "tcset, one call each"));
        let part = reckon(Timed { calls: 250, nanos: seconds(100) }, 1_000, Doing::Set).unwrap();
        assert_eq!(part.whole, Duration::from_secs(400));
        assert_eq!(part.how, "tcset, one call each (reckoned on from 250 calls in 100 s)");
        assert!(reckon(Timed { calls: 0, nanos: 0 }, 10, Doing::Print).is_err());
    }

    #[test]
    fn tcset_is_where_it_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tcset");
        let error = Tcset::find(Some(folder.path())).unwrap_err().to_string();
        assert_eq!(error, format!("--tcconfig {}: no tcset there", folder.path().display()));
        std::fs::write(&program, "").unwrap();
        let expected = Some(Tcset { program: program.clone() });
        assert_eq!(Tcset::find(Some(folder.path())).unwrap(), expected);
        assert_eq!(Tcset::find(Some(&program)).unwrap(), expected);
    }
}
