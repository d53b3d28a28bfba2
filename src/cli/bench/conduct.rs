//! One run of a benchmark from the first look at the kernel to the table: what all benchmarks do alike.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context;

use super::figures::Row;
use super::ground::{Effort, Ground};
use super::print::{self, Circumstances};
use crate::cli::host::{self, NoiseMeter};
use crate::cli::progress::Progress;
use crate::shaping::BackendChoice;

/// What was asked of a benchmark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    /// Shorter measurements.
    pub(super) quick: bool,
    /// Repetitions, if a number is given.
    pub(super) repeat: Option<u32>,
    /// Where to write everything as JSON.
    pub(super) json: Option<&'a Path>,
    /// Which delay element.
    pub(super) backend: BackendChoice,
    /// What stands beside longhaul, as the head of its column.
    pub(super) peer: &'static str,
}

/// A measurement by its name.
pub(super) type Measurement<'a> = (&'static str, Box<dyn Fn(&Ground<'_>) -> anyhow::Result<Vec<Row>> + 'a>);

/// Takes the measurements one after the other and prints them; 2 when one of them failed.
pub(super) fn conduct(
    wish: Wish<'_>,
    measurements: Vec<Measurement<'_>>,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let begun = Begun::now(wish.json)?;
    let effort = Effort::new(wish.quick, wish.repeat);
    let progress = Progress::new();
    let ground = Ground::survey(effort, wish.backend, &progress)?;
    let mut rows = Vec::new();
    let mut failed = false;
    for (name, take) in measurements {
        rows.extend(take(&ground).unwrap_or_else(|error| {
            failed = true;
            vec![Row::not_measured(name, "-", format!("{error:#}"))]
        }));
    }
    progress.finish();
    begun.conclude(wish, effort, ground.backend(), &rows, failed, out)
}

/// A run that has begun.
pub(super) struct Begun {
    started: SystemTime,
    clock: Instant,
    noise: NoiseMeter,
}

impl Begun {
    /// Begins; fails before minutes of measuring when the result could not be written.
    pub(super) fn now(json: Option<&Path>) -> anyhow::Result<Self> {
        check_json(json)?;
        Ok(Self { started: SystemTime::now(), clock: Instant::now(), noise: NoiseMeter::start() })
    }

    /// Prints and writes what came of it; 2 when something `failed`.
    pub(super) fn conclude(
        self,
        wish: Wish<'_>,
        effort: Effort,
        backend: String,
        rows: &[Row],
        failed: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        let run = Circumstances {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("LONGHAUL_REVISION").map(str::to_owned),
            debug_build: cfg!(debug_assertions),
            kernel: host::kernel(),
            machine: host::machine(),
            uid: nix::unistd::Uid::effective().as_raw(),
            backend,
            started: humantime::format_rfc3339_seconds(self.started).to_string(),
            seconds: self.clock.elapsed().as_secs_f64(),
            repeat: effort.repeat,
            quick: wish.quick,
            host_noise: self.noise.stop(),
        };
        let table = print::table(rows, wish.peer);
        writeln!(out, "{}\n{table}\n{}", print::header(&run), print::summary(rows).trim_end())?;
        if let Some(file) = wish.json {
            std::fs::write(file, print::json(&run, rows)).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(if failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }
}

/// Fails before minutes of measuring when the result could not be written.
fn check_json(json: Option<&Path>) -> anyhow::Result<()> {
    let Some(json) = json else { return Ok(()) };
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(json)
        .map(|_| ())
        .with_context(|| format!("--json {}: cannot write to it", json.display()))
}
