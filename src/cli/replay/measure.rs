//! `longhaul replay --measure`: every path is probed all the time, and each switch judged by the probes that met no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::follow::Follow;
use crate::cli::caveats::{Faults, caveats};
use crate::cli::host;
use crate::cli::input::ToleranceText;
use crate::measure::{Basis, Missing, Pattern, Plan, ProbeReport, Sample, Verdict};
use crate::report::files::missing_words;
use crate::report::plot::{self, Course, CoursePath, CoursePoint, course};
use crate::report::replay::{
    Labelled, StepResult, judge, label, results_json, results_lines, results_table, samples_csv,
};
use crate::report::table::missing_lines;
use crate::testbed::{self, MeasureOptions, Measured, OperationError, Testbed};
use crate::timeline::{Timeline, write_moment};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Span};

/// Between two probes of a path, where that is not too much for a node.
const INTERVAL: Span = Span::from_millis(20);
/// The most probes that a node sends: what its report, one line, has room for.
const MAX_PROBES: u64 = 400_000;
/// Between the first counted probe and the first switch.
const BEFORE: Span = Span::from_millis(200);
/// How long to wait for what a busy machine sends late, beyond the longest round trip.
const GRACE: Span = Span::from_millis(2_000);
/// How many paths the picture shows, and how many switches the table.
const SHOWN: (usize, usize) = (4, 60);
/// Pixels per SVG unit.
const PNG_SCALE: f32 = 2.0;

/// How to measure during a replay.
#[derive(Debug, Clone, Args)]
pub(super) struct MeasureArgs {
    /// Probe every path all the time, and judge every switch
    #[arg(long, conflicts_with_all = ["dry_run", "detach"])]
    pub(super) measure: bool,
    /// Time between two probes of a path [default: 20ms, longer where that is too much for a node]
    #[arg(long, value_name = "DURATION", requires = "measure")]
    interval: Option<Span>,
    /// How far a path's median may be off: the larger of a share and a duration
    #[arg(long, value_name = "SHARE,DURATION", default_value = "5%,1ms")]
    tolerance: ToleranceText,
    /// Folder for samples, plots and results of --measure [default: runs/<name>-<time>]
    #[arg(long, value_name = "DIR", requires = "measure")]
    pub(super) out: Option<PathBuf>,
    /// Probe over IPv6 instead of IPv4
    #[arg(long, requires = "measure")]
    ipv6: bool,
}

/// Between two requests to end a measurement early: it may just be beginning.
const PAUSE: Duration = Duration::from_millis(50);
/// What was sent so shortly before the end of a measurement that was cut short, beyond the longest round trip, is left out.
const UNDER_WAY: Span = Span::from_millis(300);

/// A measurement that goes on beside a replay.
pub(super) struct Beside {
    options: MeasureOptions,
    /// The longest path of the timeline.
    longest: Delay,
    thread: std::thread::JoinHandle<Result<Measured, OperationError>>,
    /// When the replay starts, nanoseconds since 1970.
    pub(super) replay_start_ns: u64,
}

impl MeasureArgs {
    /// Starts to probe on a connection of its own, from shortly before a start that the replay can have too.
    pub(super) fn begin(
        &self,
        timeline: &Timeline,
        testbed: &mut dyn Testbed,
        mut second: Box<dyn Testbed>,
    ) -> anyhow::Result<Beside> {
        let end = timeline.end().context("--measure needs to know when to stop: say --until, such as --until 10m")?;
        let nodes = timeline.names().len();
        let lasts = Span::from_nanos(end.as_nanos() + BEFORE.as_nanos());
        let peers = nodes as u64 - 1;
        let least = Span::from_nanos(lasts.as_nanos().saturating_mul(peers) / MAX_PROBES);
        if let Some(interval) = self.interval {
            ensure!(
                interval >= least && interval >= Span::from_micros(100),
                "--interval {interval}: a node would send more than {MAX_PROBES} probes; take at least {}",
                least.max(Span::from_micros(100))
            );
        }
        let interval = self.interval.unwrap_or_else(|| INTERVAL.max(whole_millis(least)));
        let longest = timeline.steps().iter().flat_map(|step| step.paths.values()).map(|does| does.delay).max();
        let longest = longest.unwrap_or_default();
        let options = MeasureOptions {
            probes: u32::try_from(lasts.as_nanos().div_ceil(interval.as_nanos())).unwrap_or(u32::MAX),
            warm_up: 1,
            interval,
            grace: Span::from_nanos(2 * longest.as_nanos() + GRACE.as_nanos()),
            ipv6: self.ipv6,
            run: crate::agent::replay::now_ns() | 2,
        };
        let start_ns = testbed::common_start(testbed)?;
        let thread = std::thread::Builder::new().name("measure".to_owned());
        let run = move || testbed::measure_from(&mut *second, options, Pattern::Steady, start_ns);
        let thread = thread.spawn(run).context("start a thread for the measurement")?;
        let warm_up = Plan { nodes, probes: 0, warm_up: 1, interval, pattern: Pattern::Steady }.duration();
        Ok(Beside { options, longest, thread, replay_start_ns: start_ns + warm_up.as_nanos() + BEFORE.as_nanos() })
    }
}

fn whole_millis(span: Span) -> Span {
    Span::from_millis(span.as_nanos().div_ceil(1_000_000))
}

impl Beside {
    /// Waits for the last answers.
    pub(super) fn finish(self) -> anyhow::Result<(MeasureOptions, Measured)> {
        let measured = self.thread.join().map_err(|_| anyhow!("the measuring thread panicked"))?;
        Ok((self.options, measured.context("measure during the replay")?))
    }

    /// Ends the measurement now. What may still have been under way is left out.
    pub(super) fn cut_short(self, testbed: &mut dyn Testbed) -> anyhow::Result<(MeasureOptions, Measured)> {
        let cut_ns = testbed.now_ns();
        while !self.thread.is_finished() {
            testbed::finish_measuring(testbed, self.options.run)?;
            std::thread::sleep(PAUSE);
        }
        let under_way = 2 * self.longest.as_nanos() + UNDER_WAY.as_nanos();
        let (options, mut measured) = self.finish()?;
        let cut_ns = match measured.clocks.basis() {
            // By the one clock of all nodes, which need not be this side's.
            Basis::OneWay => measured.clocks.theirs(0, cut_ns),
            Basis::RoundTrip => cut_ns,
        };
        let arrived = |sample: &Sample| (1..cut_ns.saturating_sub(under_way)).contains(&sample.sent_ns);
        measured.collected.samples.retain(arrived);
        Ok((options, measured))
    }
}

/// A measured replay, to be judged and written down.
pub(super) struct Evidence<'a> {
    pub(super) args: &'a MeasureArgs,
    pub(super) timeline: &'a Timeline,
    pub(super) follow: &'a Follow<'a>,
    pub(super) options: MeasureOptions,
    pub(super) measured: &'a Measured,
    /// What every path took before the replay, row by row.
    pub(super) before: &'a [Delay],
    /// What the delay elements did wrong meanwhile.
    pub(super) faults: Faults,
    pub(super) started: SystemTime,
    /// Where the timeline comes from, and by what it was carried out.
    pub(super) source: String,
    pub(super) backends: String,
}

impl Evidence<'_> {
    /// Prints the tables, writes everything into `folder`, and says whether every switch passed.
    pub(super) fn conclude(&self, folder: &Path, out: &mut dyn std::io::Write) -> anyhow::Result<Verdict> {
        let missing = self.missing();
        let known = |sample: &Sample| !missing.concerns(sample.from, sample.to);
        let samples: Vec<Sample> = self.measured.collected.samples.iter().copied().filter(known).collect();
        let clocks = &self.measured.clocks;
        let labelled = label(self.timeline, clocks, self.follow.stamps(), self.before, &samples);
        let results = judge(self.timeline, clocks, &missing, &labelled, self.args.tolerance.0)?;
        write!(out, "{}", results_table(self.timeline, self.follow.summaries(), &results, SHOWN.1))?;
        let (lines, verdict) = results_lines(&results, &labelled);
        if let Some(at) = self.follow.cut_short() {
            writeln!(out, "cut short at +{}: what follows is of the time before", write_moment(at))?;
        }
        let missing = missing_lines(self.timeline.names(), &missing);
        for line in lines.into_iter().chain(missing).chain(caveats(self.measured, self.faults)) {
            writeln!(out, "{line}")?;
        }
        self.write(folder, &labelled, &results)?;
        writeln!(out, "files: {}", folder.display())?;
        Ok(verdict)
    }

    /// The nodes that did not measure to the end.
    fn missing(&self) -> Missing {
        Missing::of(self.measured.missing.clone())
    }

    fn write(&self, folder: &Path, labelled: &[Labelled], results: &[StepResult]) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
        };
        let names = self.timeline.names();
        put("samples.csv", samples_csv(names, labelled).as_bytes())?;
        put("replay.json", self.follow.json(Some(&results_json(names, results))).as_bytes())?;
        put("run.json", format!("{:#}\n", self.record()).as_bytes())?;
        let svg = course(&self.course(labelled));
        put("delays.svg", svg.as_bytes())?;
        put("delays.png", &plot::png(&svg, PNG_SCALE)?)
    }

    fn record(&self) -> Value {
        let reports = &self.measured.reports;
        let latest = |of: fn(&ProbeReport) -> Option<Span>| reports.iter().filter_map(of).max();
        json!({
            "version": env!("LONGHAUL_VERSION"),
            "command": std::env::args().collect::<Vec<_>>(),
            "started": humantime::format_rfc3339_seconds(self.started).to_string(),
            "kernel": host::kernel(),
            "machine": host::machine(),
            "timeline": self.source,
            "backends": self.backends,
            "probes": self.options.probes,
            "interval": self.options.interval.to_string(),
            "tolerance": self.args.tolerance.to_string(),
            "lateness_p50": latest(|report| Some(report.lateness?.p50)).map(|late| late.to_string()),
            "lateness_max": latest(|report| Some(report.lateness?.max)).map(|late| late.to_string()),
            "user_stamped": reports.iter().map(|report| report.user_stamped).sum::<u32>(),
            "duplicates": self.measured.collected.duplicates,
            "backwards": self.measured.collected.backwards,
            "emulation_drops": self.faults.dropped,
            "missing": missing_words(self.timeline.names(), &self.missing()),
            "cut_short_ms": self.follow.cut_short().map(Span::as_millis_f64),
        })
    }

    /// When the replay began, by the clock that samples are by.
    fn start_ns(&self) -> u64 {
        let theirs_ns = self.follow.begun().theirs_ns.first().copied().unwrap_or_default();
        theirs_ns.saturating_add_signed(self.measured.clocks.correction(0, theirs_ns))
    }

    fn course(&self, labelled: &[Labelled]) -> Course {
        let timeline = self.timeline;
        let start_ns = self.start_ns();
        let shown = most_changing(timeline, SHOWN.0);
        let (total, n) = (timeline.names().len() * (timeline.names().len() - 1), labelled.len());
        let switches: Vec<_> = self.follow.summaries().iter().map(|one| (one.at, one.step)).collect();
        let path = |(from, to): &(NodeIndex, NodeIndex)| {
            let name = |node: NodeIndex| timeline.names().get(node).map_or("?", NodeName::as_str);
            let intended = switches.iter().map(|(at, step)| {
                (at.as_millis_f64() / 1_000.0, timeline.path(*step, *from, *to).delay.as_millis_f64())
            });
            let own = labelled.iter().filter(|one| (one.sample.from, one.sample.to) == (*from, *to));
            let points = own.map(|one| CoursePoint {
                at: (one.sample.sent_ns as f64 - start_ns as f64) / 1e9,
                delay: one.sample.one_way.map(Delay::as_millis_f64),
                straddles: one.straddles,
            });
            CoursePath {
                name: format!("{} → {}", name(*from), name(*to)),
                intended: intended.collect(),
                points: points.collect(),
            }
        };
        let (end, cut) = (timeline.end().unwrap_or_default(), self.follow.cut_short());
        let source = match cut {
            Some(at) => format!("{}, cut short at +{}", self.source, write_moment(at)),
            None => self.source.clone(),
        };
        Course {
            title: "One-way delay over time: intended and measured".to_owned(),
            subtitle: vec![
                source,
                format!("{} back-end", self.backends),
                format!("the {} of {total} paths whose delay changes most", shown.len()),
                format!("n = {n} probes on all paths, {} apart on each", self.options.interval),
            ],
            paths: shown.iter().map(path).collect(),
            end: cut.map_or(end, |cut| cut.min(end)).as_millis_f64() / 1_000.0,
        }
    }
}

/// The paths between whose shortest and longest delay there is most, at most `count`.
fn most_changing(timeline: &Timeline, count: usize) -> Vec<(NodeIndex, NodeIndex)> {
    let n = timeline.names().len();
    let mut ranges = vec![(u64::MAX, 0u64); n * n];
    let mut now = vec![0u64; n * n];
    for step in timeline.steps() {
        for ((from, to), does) in &step.paths {
            now[from * n + to] = does.delay.as_nanos();
        }
        for (range, delay) in ranges.iter_mut().zip(&now) {
            *range = (range.0.min(*delay), range.1.max(*delay));
        }
    }
    let mut places: Vec<usize> = (0..n * n).filter(|place| place / n != place % n).collect();
    places.sort_by_key(|place| (std::cmp::Reverse(ranges[*place].1 - ranges[*place].0), *place));
    places.into_iter().take(count).map(|place| (place / n, place % n)).collect()
}
