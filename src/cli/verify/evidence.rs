//! The run folder of a verification: matrices, samples, plots and provenance.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;

use super::VerifyArgs;
use super::trial::Trial;
use crate::cli::host;
use crate::cli::operate::in_words;
use crate::matrix::DelayMatrix;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::measure::Basis;
use crate::report::HeatMap;
use crate::report::files::{measured_matrix, missing_words, result_json, samples_csv};
use crate::report::plot;
use crate::report::{MatrixSource, NodeBackend, RunRecord};
use crate::shaping::Ability;

/// Pixels per SVG unit of the PNGs: sharp at print size.
const PNG_SCALE: f32 = 2.0;

/// A finished verification, to be written down.
pub(super) struct Evidence<'a> {
    pub(super) args: &'a VerifyArgs,
    pub(super) matrix: &'a DelayMatrix,
    pub(super) trial: &'a Trial,
    pub(super) started: SystemTime,
}

impl Evidence<'_> {
    /// Writes everything into `folder`, which is made when it is not there.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
        };
        put("intended.csv", to_csv(self.matrix, CsvOptions::default()).as_bytes())?;
        match measured_matrix(self.matrix.names(), &self.trial.comparison) {
            Ok(mut measured) => {
                let without = in_words(&missing_words(self.matrix.names(), &self.trial.comparison.missing));
                let place = self.args.matrix.place();
                measured.metadata.source = Some(format!("longhaul verify {place}, medians{without}"));
                measured.metadata.date = Some(self.date());
                put("measured.csv", to_csv(&measured, CsvOptions::default()).as_bytes())?;
            }
            // A matrix with holes is none; the samples say which paths gave nothing.
            Err(error) => {
                // That of an earlier run in this folder would pass for this one's.
                let _ = fs::remove_file(folder.join("measured.csv"));
                put("measured.txt", format!("no measured.csv: {error}\n").as_bytes())?;
            }
        }
        // Raw, also when the base is subtracted from all that is made of them.
        put("samples.csv", samples_csv(self.matrix.names(), &self.trial.measured.collected.samples).as_bytes())?;
        put("result.json", self.result_json().as_bytes())?;
        put("run.json", self.record().to_json().as_bytes())?;
        for (name, svg) in self.plots() {
            put(&format!("{name}.svg"), svg.as_bytes())?;
            put(&format!("{name}.png"), &plot::png(&svg, PNG_SCALE)?)?;
        }
        Ok(())
    }

    /// The machine-readable result.
    pub(super) fn result_json(&self) -> String {
        result_json(&self.backend(), self.matrix.names(), &self.trial.comparison, &self.trial.beyond)
    }

    fn backend(&self) -> String {
        let mut names: Vec<String> =
            self.trial.applied.iter().map(|(_, applied)| applied.backend.to_string()).collect();
        names.sort();
        names.dedup();
        names.join("+")
    }

    fn date(&self) -> String {
        humantime::format_rfc3339_seconds(self.started).to_string()
    }

    fn plots(&self) -> Vec<(&'static str, String)> {
        let names = self.matrix.names();
        let comparison = &self.trial.comparison;
        let stem = self.args.matrix.stem();
        let how = format!("{stem}, {} back-end, {} probes a path", self.backend(), self.args.probes.probes());
        let (what, intended) = match comparison.basis {
            Basis::OneWay => ("one-way delay", HeatMap::of_matrix("Intended one-way delay", &stem, self.matrix)),
            Basis::RoundTrip => {
                ("round-trip time", HeatMap::of_round_trips("Intended round-trip time", &stem, self.matrix))
            }
        };
        let measured = HeatMap::of_measured(&format!("Measured {what} (median)"), &how, names, comparison);
        let (intended, measured) = intended.on_one_scale(measured);
        let error = HeatMap::of_errors("Error of the median: measured − intended", &how, names, comparison);
        let cdf = plot::ErrorCdf::new(&format!("Error of the {what}"), &how, &self.trial.samples, comparison);
        vec![
            ("intended", plot::heat_map(&intended)),
            ("measured", plot::heat_map(&measured)),
            ("error", plot::heat_map(&error)),
            ("error-cdf", plot::error_cdf(&cdf)),
        ]
    }

    fn record(&self) -> RunRecord {
        let names = self.matrix.names();
        let backends = self.trial.applied.iter().map(|(node, applied)| NodeBackend {
            node: names.get(*node).map_or_else(String::new, ToString::to_string),
            backend: applied.backend.to_string(),
            reason: applied.reason.clone(),
        });
        let uid = nix::unistd::Uid::effective();
        RunRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("LONGHAUL_REVISION").map(str::to_owned),
            command: std::env::args().collect(),
            started: self.date(),
            kernel: host::kernel(),
            machine: host::machine(),
            uid: uid.as_raw(),
            root: uid.is_root(),
            backends: backends.collect(),
            capabilities: self.capabilities(),
            seed: self.args.probes.seed(),
            probes: self.args.probes.probes(),
            interval: self.trial.interval.to_string(),
            matrix: MatrixSource { source: self.args.matrix.place(), digest: host::digest(self.matrix) },
            tolerance: self.args.tolerance.to_string(),
            base_path: Some(self.base_path()),
            missing: missing_words(names, &self.trial.comparison.missing),
            probing: self.trial.probing(),
            host_noise: self.trial.noise,
        }
    }

    fn capabilities(&self) -> BTreeMap<String, String> {
        let list = self.trial.abilities.list();
        list.into_iter().map(|(name, ability)| (name.to_owned(), describe(ability))).collect()
    }

    fn base_path(&self) -> String {
        let handling = if self.args.subtract_base { "subtracted" } else { "not subtracted" };
        match self.trial.base.error {
            Some(base) => format!("one-way p50 {}, p99 {}, max {}; {handling}", base.p50, base.p99, base.max),
            None => format!("nothing arrived; {handling}"),
        }
    }
}

fn describe(ability: &Ability) -> String {
    match ability {
        Ability::Present => "yes".to_owned(),
        Ability::Missing { why, .. } => format!("no: {why}"),
    }
}
