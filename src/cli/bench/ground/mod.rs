//! What all measurements stand on: how much effort to make, which back-ends there are, and labs that end with us.

pub(super) mod iperf;
pub(super) mod lateness;
pub(super) mod processes;
pub(super) mod programs;
pub(super) mod stream;

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::agent::protocol::{Request, Response};
use crate::cli::progress::Progress;
use crate::matrix::DelayMatrix;
use crate::measure::Sample;
use crate::shaping::{Abilities, Backend, BackendChoice, Row, choose};
use crate::testbed::lab::Lab;
use crate::testbed::{self, MeasureOptions, Testbed};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Span};

/// How much is done for each figure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Whether the short form was asked for.
    pub(super) quick: bool,
    /// Repetitions.
    pub(super) repeat: u32,
    /// Probes per path for the accuracy.
    pub(super) probes: u32,
    /// Length of a TCP transfer through a delayed path, after its start.
    pub(super) tcp: Duration,
    /// Rounds with and without delays for each repetition of the unmatched traffic.
    pub(super) rounds: u32,
    /// Length of a stream of packets at a given rate.
    pub(super) stream: Duration,
    /// Length of a stream in the search for the highest rate.
    pub(super) trial: Duration,
    /// How long agents at rest are watched.
    pub(super) watch: Duration,
}

impl Effort {
    /// The short or the full form, with another number of repetitions if one is given.
    pub(super) fn new(quick: bool, repeat: Option<u32>) -> Self {
        let seconds = Duration::from_secs;
        let millis = Duration::from_millis;
        if quick {
            let (probes, rounds) = (10, 2);
            let repeat = repeat.unwrap_or(1);
            let (tcp, stream, trial, watch) = (seconds(1), millis(500), millis(250), seconds(2));
            Self { quick, repeat, probes, tcp, rounds, stream, trial, watch }
        } else {
            let (probes, rounds) = (20, 3);
            let repeat = repeat.unwrap_or(3);
            let (tcp, stream, trial, watch) = (seconds(3), seconds(1), millis(400), seconds(2));
            Self { quick, repeat, probes, tcp, rounds, stream, trial, watch }
        }
    }
}

/// The ground of all measurements.
pub(super) struct Ground<'a> {
    /// How much is done.
    pub(super) effort: Effort,
    /// Which delay element was asked for.
    pub(super) choice: BackendChoice,
    /// What this kernel can do.
    pub(super) abilities: Abilities,
    chosen: (Backend, String),
    /// What works on this kernel, of what was asked for.
    pub(super) backends: Vec<Backend>,
    progress: &'a Progress,
}

impl<'a> Ground<'a> {
    /// Finds out which back-ends work here; fails when that which was asked for does not.
    pub(super) fn survey(effort: Effort, choice: BackendChoice, progress: &'a Progress) -> anyhow::Result<Self> {
        progress.say("look at this kernel");
        let matrix = uniform(2, Delay::ZERO)?;
        let mut lab = start("survey", &matrix)?;
        let abilities = testbed::abilities(&mut lab)?;
        lab.stop()?;
        let chosen = choose(choice, &abilities)?;
        let works = |name: BackendChoice| choose(name, &abilities).ok().map(|(backend, _)| backend);
        let backends = match choice {
            BackendChoice::Auto => {
                [BackendChoice::Netem, BackendChoice::Userspace].into_iter().filter_map(works).collect()
            }
            _ => vec![chosen.0],
        };
        Ok(Self { effort, choice, abilities, chosen, backends, progress })
    }

    /// The back-end in use where nothing else is said.
    pub(super) fn chosen(&self) -> Backend {
        self.chosen.0
    }

    /// Whether tc can delay packets here, whatever back-end was asked for.
    pub(super) fn has_netem(&self) -> bool {
        choose(BackendChoice::Netem, &self.abilities).is_ok()
    }

    /// Says on the terminal what is going on.
    pub(super) fn say(&self, step: &str) {
        self.progress.say(step);
    }

    /// The back-end in use and why, in words.
    pub(super) fn backend(&self) -> String {
        let (backend, reason) = &self.chosen;
        format!("{backend} ({reason})")
    }

    /// The numbers of the repetitions; says on the terminal what is going on.
    pub(super) fn repetitions(&self, what: &str) -> impl Iterator<Item = u32> {
        let (total, what, progress) = (self.effort.repeat, what.to_owned(), self.progress);
        (1..=total).inspect(move |number| progress.say(&format!("{what}, {number} of {total}")))
    }

    /// Brings a lab up for `matrix`, without its delays.
    pub(super) fn lab(&self, label: &str, matrix: DelayMatrix) -> anyhow::Result<BenchLab> {
        let lab = start(label, &matrix)?;
        Ok(BenchLab { lab, matrix, choice: self.choice })
    }
}

fn start(label: &str, matrix: &DelayMatrix) -> anyhow::Result<Lab> {
    let name = format!("bench-{}-{label}", std::process::id());
    Lab::start(&name, matrix.names(), "longhaul bench", crate::cli::agent_session::lab_environment())
        .with_context(|| format!("bring up the lab `{name}`"))
}

/// A lab that ends with this process, however it ends.
pub(super) struct BenchLab {
    /// For what has no name here.
    pub(super) lab: Lab,
    matrix: DelayMatrix,
    choice: BackendChoice,
}

impl BenchLab {
    /// The lab's matrix.
    pub(super) fn matrix(&self) -> &DelayMatrix {
        &self.matrix
    }

    /// Applies the matrix with the back-end that was asked for.
    pub(super) fn apply(&mut self) -> anyhow::Result<()> {
        self.apply_by(self.choice)
    }

    /// Applies the matrix with this back-end.
    pub(super) fn apply_by(&mut self, choice: BackendChoice) -> anyhow::Result<()> {
        testbed::apply(&mut self.lab, &self.matrix, &vec![choice; self.matrix.len()]).context("apply the delays")?;
        Ok(())
    }

    /// Removes all delays.
    pub(super) fn clear(&mut self) -> anyhow::Result<()> {
        testbed::clear(&mut self.lab).context("remove the delays")?;
        Ok(())
    }

    /// Packets that the delay elements dropped since they were set up.
    pub(super) fn dropped(&mut self) -> anyhow::Result<u64> {
        let statuses = testbed::status(&mut self.lab).context("ask for the state")?;
        Ok(statuses.iter().filter_map(|status| status.traffic).map(|traffic| traffic.dropped).sum())
    }

    /// Probes every path.
    pub(super) fn probe(&mut self, probes: u32, interval: Span) -> anyhow::Result<Vec<Sample>> {
        let grace = MeasureOptions::grace_for(&self.matrix);
        let options = MeasureOptions { probes, warm_up: 1, interval, grace, ipv6: false, run: 3 };
        let measured = testbed::measure(&mut self.lab, options, &|_| {}).context("measure the paths")?;
        Ok(measured.collected.samples)
    }

    /// The IPv4 address of a node.
    pub(super) fn address(&self, node: NodeIndex) -> Ipv4Addr {
        // Nodes of a lab have one.
        self.lab.nodes()[node].ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// A command that runs `program` in a node; its arguments are still to be added.
    pub(super) fn command(&self, node: NodeIndex, program: &str) -> Command {
        // This very program, even when its file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        command.args(["lab", "exec", "--name", &self.lab.info().name]);
        command.args([NodeName::numbered(node + 1).as_str(), "--", program]);
        command
    }

    /// Makes node `from` do this row with this back-end; how many writes it took.
    pub(super) fn apply_row(&mut self, from: NodeIndex, row: Row, backend: BackendChoice) -> anyhow::Result<usize> {
        let answer = self.lab.ask(vec![(from, Request::Apply { row, backend })])?.pop();
        match answer.context("the node did not answer")? {
            Ok(Response::Applied(applied)) => Ok(applied.operations),
            Ok(other) => bail!("apply a row: {other:?}"),
            Err(message) => bail!("apply a row: {message}"),
        }
    }

    /// Ends the lab.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.lab.stop().context("take the lab down")
    }
}

/// Numbered nodes, every path with the same delay.
pub(super) fn uniform(nodes: usize, delay: Delay) -> anyhow::Result<DelayMatrix> {
    matrix_of(nodes, |_, _| delay)
}

/// Numbered nodes with delays between 5 and 45 ms that differ from path to path.
pub(super) fn varied(nodes: usize) -> anyhow::Result<DelayMatrix> {
    matrix_of(nodes, |from, to| Delay::from_millis((5 + (from * 7 + to * 13) % 41) as u64))
}

/// Numbered nodes, with the delays that a function gives; none from a node to itself.
pub(super) fn matrix_of(nodes: usize, delay: impl Fn(NodeIndex, NodeIndex) -> Delay) -> anyhow::Result<DelayMatrix> {
    let names = (1..=nodes).map(NodeName::numbered).collect();
    let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
    let delays = pairs.map(|(from, to)| if from == to { Delay::ZERO } else { delay(from, to) }).collect();
    Ok(DelayMatrix::new(names, delays)?)
}

/// The back-end, asked for by name.
pub(super) const fn asking_for(backend: Backend) -> BackendChoice {
    match backend {
        Backend::Netem => BackendChoice::Netem,
        Backend::Userspace => BackendChoice::Userspace,
    }
}

/// For tables in microseconds.
pub(super) fn micros(span: Span) -> f64 {
    span.as_nanos() as f64 / 1e3
}
