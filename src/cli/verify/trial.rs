//! One verification: lab up, base path, matrix, measurement, lab down.

use std::time::{Duration, SystemTime};

use super::VerifyArgs;
use crate::agent::protocol::Applied;
use crate::cli::agent_session::lab_environment;
use crate::cli::caveats::{Faults, caveats, drops_note};
use crate::cli::expectation::{Expectation, Probes};
use crate::cli::host::NoiseMeter;
use crate::cli::known::Known;
use crate::cli::progress::Progress;
use crate::cli::target::Target;
use crate::intended::Intended;
use crate::matrix::DelayMatrix;
use crate::measure::{BaseMatrix, Beyond, Comparison, PathResult, ProbeReport, Sample, compare_by, subtract_base};
use crate::report::{HostNoise, Probing};
use crate::shaping::{Abilities, BackendChoice};
use crate::testbed::lab::Lab;
use crate::testbed::{self, MeasureOptions, Measured, Present, Testbed};
use crate::topology::NodeIndex;
use crate::units::Span;

/// Probes per path of the un-impaired measurement: its medians only show what the machine itself adds.
const BASE_PROBES: u32 = 3;

/// What a verification yielded.
pub(super) struct Trial {
    /// By the nodes that it was applied to, in order.
    pub(super) applied: Vec<(NodeIndex, Applied)>,
    /// What the kernel of the first node that is there can do; all nodes of a lab share one kernel.
    pub(super) abilities: Abilities,
    /// As measured, or with the base subtracted when that was asked for.
    pub(super) samples: Vec<Sample>,
    /// Between two probes of a path, as it was in the end.
    pub(super) interval: Span,
    /// Whether that is longer than it would have been on a faster machine.
    slowed: bool,
    /// Whether the bare path's median is subtracted in `comparison`.
    subtracted: bool,
    /// Intended against measured.
    pub(super) comparison: Comparison,
    /// The same of losses, copies and jitter.
    pub(super) beyond: Beyond,
    /// What a reader must know of how impaired paths were judged.
    expectation: Vec<String>,
    /// What the un-impaired paths took.
    pub(super) base: Comparison,
    /// What the delay elements did wrong.
    faults: Faults,
    /// How well the probes were sent and collected.
    pub(super) measured: Measured,
    /// What else the host did meanwhile.
    pub(super) noise: Option<HostNoise>,
}

impl Trial {
    /// How well the probes were sent and collected.
    pub(super) fn probing(&self) -> Probing {
        let (collected, reports) = (&self.measured.collected, &self.measured.reports);
        Probing {
            user_stamped: reports.iter().map(|report| u64::from(report.user_stamped)).sum(),
            duplicates: collected.duplicates,
            backwards: collected.backwards,
            unexpected: collected.unexpected,
            refused: reports.iter().map(|report| u64::from(report.refused)).sum(),
            lateness_p50: reports
                .iter()
                .filter_map(|report| Some(report.lateness?.p50))
                .max()
                .map(|p50| p50.to_string()),
            emulation_drops: self.faults.dropped,
        }
    }

    /// What a reader of the figures must know, in words; empty when all went well.
    pub(super) fn caveats(&self) -> Vec<String> {
        let slowed = self.slowed.then(|| {
            format!("note: the probes of a path are {} apart, as fast as this machine keeps up with", self.interval)
        });
        let tolerance = self.comparison.tolerance.absolute;
        let short =
            |path: &&PathResult| path.intended.as_nanos() > 0 && path.intended.as_nanos() < tolerance.as_nanos();
        let count = self.comparison.paths.iter().filter(short).count();
        let short = (count > 0).then(|| {
            format!(
                "note: {count} paths are shorter than the {tolerance} that a path may be off: judge them by their error"
            )
        });
        let base = self.subtracted.then(|| "note: the bare path's median is subtracted from each path".to_owned());
        caveats(&self.measured, self.faults)
            .into_iter()
            .chain(slowed)
            .chain(short)
            .chain(base)
            .chain(self.expectation.iter().cloned())
            .collect()
    }
}

/// Not the process alone: in the process namespaces of two labs, or of containers, numbers are the same.
fn own_name() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("verify-{}-{:08x}", std::process::id(), now.subsec_nanos())
}

/// Verifies `matrix` as `args` say.
pub(super) fn run(args: &VerifyArgs, intended: &Intended, hosts: Option<Target>) -> anyhow::Result<Trial> {
    let matrix = intended.matrix();
    let tolerance = args.tolerance.0;
    let progress = Progress::new();
    let mut target = match hosts {
        Some(hosts) => untouched(hosts)?,
        None => bring_up(args, matrix, &progress)?,
    };
    let noise = NoiseMeter::start();
    let abilities = testbed::abilities(&mut Present::of(target.testbed())?)?;
    let unimpaired = unimpaired_like(matrix)?;
    let first_options = base_options(args, &unimpaired);
    let base = measure(target.testbed(), &progress, "measure the bare paths", first_options)?;
    progress.say("apply the matrix");
    let choices = args.backend.choices(target.nodes())?;
    let applied = apply_where_present(&mut target, intended, choices)?;
    let mut options = args.probes.options(matrix);
    if !args.probes.interval_is_given() {
        options.interval = pace(options.interval, first_options.schedule(matrix.len()), &base.reports);
    }
    let measured = measure(target.testbed(), &progress, "measure", options)?;
    let statuses = Known::of(target.testbed())?.statuses;
    let faults = statuses.iter().map(Faults::of).sum();
    let noise = noise.stop();
    progress.say("take the delays away");
    target.end()?;
    progress.finish();
    let samples = if args.subtract_base {
        subtract_base(&measured.collected.samples, &BaseMatrix::of(matrix.len(), &base.collected.samples))
    } else {
        measured.collected.samples.clone()
    };
    let probes = Probes { count: options.probes, interval: options.interval, ipv6: options.ipv6 };
    let expectation = Expectation::of(matrix, |from, to| intended.intent(from, to).pings(), probes);
    let (comparison, beyond) = expectation.judge(matrix, &samples, &measured, tolerance);
    let base = compare_by(&base.clocks, &unimpaired, &base.collected.samples, tolerance);
    let slowed = options.interval > args.probes.options(matrix).interval;
    Ok(Trial {
        slowed,
        interval: options.interval,
        subtracted: args.subtract_base,
        applied,
        abilities,
        samples,
        expectation: drops_note(&statuses).into_iter().chain(expectation.notes(&comparison)).collect(),
        comparison,
        beyond,
        base,
        faults,
        measured,
        noise,
    })
}

fn bring_up(args: &VerifyArgs, matrix: &DelayMatrix, progress: &Progress) -> anyhow::Result<Target> {
    let name = args.name.clone().unwrap_or_else(own_name);
    progress.say(&format!("bring up {} nodes", matrix.len()));
    Ok(Target::of_lab(Lab::start(&name, matrix.names(), &args.matrix.place(), lab_environment())?))
}

/// Hosts that do nothing yet: the bare paths are measured first, and all is removed in the end.
fn untouched(mut hosts: Target) -> anyhow::Result<Target> {
    // Until its end: what is measured is to be what was applied here. The end of the sessions releases them.
    hosts.testbed().reserve()?;
    let statuses = Known::of(hosts.testbed())?.statuses;
    if let Some(busy) = statuses.iter().position(|status| status.backend.is_some()) {
        let name = hosts.name_of(busy);
        anyhow::bail!(
            "host `{name}` has delays already; remove them with `longhaul clear --hosts …`, or `longhaul measure` them"
        );
    }
    Ok(hosts)
}

/// Applies the rows of the nodes that are there, to all of them or to none; without paths to nodes whose addresses nobody knows.
fn apply_where_present(
    target: &mut Target,
    intended: &Intended,
    choices: Vec<BackendChoice>,
) -> anyhow::Result<Vec<(NodeIndex, Applied)>> {
    let mut rows = intended.rows(target.nodes());
    for row in &mut rows {
        row.paths.retain(|path| !path.selectors.is_empty());
    }
    let mut present = Present::of(target.testbed())?;
    let (rows, choices) = (present.among(rows), present.among(choices));
    let applied = testbed::apply_rows(&mut present, rows, &choices)?;
    Ok(present.places().iter().copied().zip(applied).collect())
}

fn base_options(args: &VerifyArgs, unimpaired: &DelayMatrix) -> MeasureOptions {
    let options = args.probes.options(unimpaired);
    MeasureOptions { probes: BASE_PROBES.min(options.probes), run: options.run ^ 1, ..options }
}

/// The interval that this machine keeps up with, judged by how the measurement of the bare paths went, which took `schedule`:
/// when half of a node's probes left late by more than a blink, the machine is too slow for so many nodes at that pace, and
/// the delays of the next measurement would be the machine's.
fn pace(interval: Span, schedule: Span, reports: &[ProbeReport]) -> Span {
    const BLINK: Span = Span::from_millis(20);
    let late = reports.iter().filter_map(|report| Some(report.lateness?.p50)).max().unwrap_or_default();
    if late <= BLINK || schedule == Span::ZERO {
        return interval;
    }
    // Half the probes were late by `late`, the last ones by about twice that: the schedule took so much longer than planned.
    // Impaired packets cost more than bare ones, hence twice the room again.
    let stretched = (schedule.as_nanos() + 2 * late.as_nanos()) as f64 / schedule.as_nanos() as f64;
    let slower = interval.as_millis_f64() * stretched * 2.0;
    Span::from_millis_f64(slower.ceil()).unwrap_or(interval)
}

/// The same nodes without any delay.
fn unimpaired_like(matrix: &DelayMatrix) -> anyhow::Result<DelayMatrix> {
    let delays = vec![crate::units::Delay::ZERO; matrix.delays().len()];
    Ok(DelayMatrix::new(matrix.names().to_vec(), delays)?)
}

fn measure(
    lab: &mut dyn Testbed,
    progress: &Progress,
    what: &str,
    options: MeasureOptions,
) -> anyhow::Result<Measured> {
    let started = |duration: Duration| progress.run(what, duration);
    Ok(testbed::measure(lab, options, &started)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Lateness, Stamps};

    fn late_by(ms: u64) -> ProbeReport {
        ProbeReport {
            sent: vec![],
            received: vec![],
            stamps: Stamps::Kernel,
            user_stamped: 0,
            duplicates: 0,
            refused: 0,
            first_refusal: None,
            lateness: Some(Lateness { p50: Span::from_millis(ms), ..Lateness::default() }),
        }
    }

    #[test]
    fn only_a_machine_that_cannot_keep_up_is_given_time() {
        let (usual, schedule) = (Span::from_millis(8), Span::from_millis(1_000));
        assert_eq!(pace(usual, schedule, &[late_by(0), late_by(20)]), usual);
        assert_eq!(pace(usual, schedule, &[late_by(0), late_by(500)]), Span::from_millis(32));
        assert_eq!(pace(usual, schedule, &[]), usual);
    }
}
