//! A lab for the trials of one topology: brought up, its bare paths measured, the delays applied and measured.

use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::agent::protocol::NodeStatus;
use crate::cli::agent_session::lab_environment;
use crate::cli::operate::backends_in_words;
use crate::experiment::balancing::live::{Emulation, Situation};
use crate::experiment::run::RunDirectory;
use crate::experiment::time_scale::TimeScale;
use crate::matrix::DelayMatrix;
use crate::matrix::csv::{CsvOptions, to_csv};
use crate::measure::{Tolerance, Verdict, compare_by};
use crate::report::files::measured_matrix;
use crate::report::table;
use crate::shaping::{BackendChoice, Row};
use crate::testbed::lab::{Lab, NodeNamespaces};
use crate::testbed::{self, MeasureOptions, Testbed};
use crate::topology::Node;
use crate::units::{Delay, Span};

/// Probes per path of the bare and of the delayed network, and the time between two of a path.
pub(super) const MEASURING: ((u32, u32), Span) = ((3, 10), Span::from_millis(8));

/// How far a path may be off before trials have a caveat: as `longhaul verify` has it.
const TOLERANCE: Tolerance = Tolerance { relative: 0.05, absolute: Span::from_millis(1) };

/// Which topology of which point of the sweep.
pub(super) type Which = (usize, usize);

/// A lab with the delays of a topology.
pub(super) struct Stage {
    pub(super) which: Which,
    pub(super) lab: Lab,
    pub(super) nodes: Vec<Node>,
    pub(super) namespaces: Vec<NodeNamespaces>,
    /// What delays the packets, in words.
    pub(super) backend: String,
    /// Words on the delays, if they are not as intended.
    pub(super) doubt: Option<String>,
    /// The delays are no longer those of the topology.
    changed: bool,
}

impl Stage {
    /// Brings a lab up whose network is to be so; what is measured goes to the run directory, in
    /// plan time.
    pub(super) fn build(
        which: Which,
        situation: &Situation,
        scale: TimeScale,
        directory: &RunDirectory,
        say: &dyn Fn(&str),
    ) -> anyhow::Result<Self> {
        let matrix = &situation.matrix;
        say(&format!("bring up {} nodes", matrix.len()));
        let mut lab = Lab::start(&own_name(), matrix.names(), "longhaul run", lab_environment())?;
        let nodes = lab.nodes().to_vec();
        let namespaces = (0..nodes.len()).map(|node| lab.namespaces(node)).collect::<Result<_, _>>()?;
        let mut stage = Self { which, lab, nodes, namespaces, backend: String::new(), doubt: None, changed: false };
        let bare = DelayMatrix::new(matrix.names().to_vec(), vec![Delay::ZERO; matrix.delays().len()])?;
        say("measure the bare paths");
        stage.measure(&bare, MEASURING.0.0, "base", scale, directory)?;
        say("apply the delays");
        stage.set(situation)?;
        stage.changed = false;
        say("measure the delays");
        let doubt = stage.measure(matrix, MEASURING.0.1, "measured", scale, directory)?;
        // With jitter and loss, medians of few probes stray by themselves.
        stage.doubt = doubt.filter(|_| situation.beyond.is_none());
        Ok(stage)
    }

    /// Makes the network so; nodes that are cut off send and get nothing.
    pub(super) fn set(&mut self, situation: &Situation) -> anyhow::Result<()> {
        self.changed = true;
        let row = |from| Row::of_intents(&self.nodes, from, |to| situation.path(from, to));
        let rows = (0..self.nodes.len()).map(row).collect();
        let choices = vec![BackendChoice::Auto; self.nodes.len()];
        let applied = testbed::apply_rows(&mut self.lab, rows, &choices).context("apply the delays")?;
        self.backend = backends_in_words(&applied);
        Ok(())
    }

    /// Makes the network that of the topology again, if a trial has changed it.
    pub(super) fn restore(&mut self, situation: &Situation) -> anyhow::Result<()> {
        if self.changed {
            self.set(situation)?;
            self.changed = false;
        }
        Ok(())
    }

    /// What each node's delays have done since they were set up; the error says that one has none: an agent that died leaves
    /// none behind.
    pub(super) fn emulations(&mut self) -> anyhow::Result<Vec<Emulation>> {
        let statuses = testbed::status(&mut self.lab).context("the lab did not last")?;
        match statuses.iter().zip(&self.nodes).find(|(status, _)| status.backend.is_none()) {
            Some((_, node)) => anyhow::bail!("node `{}` has lost its delays", node.name),
            None => Ok(statuses.iter().map(emulation).collect()),
        }
    }

    /// Measures every path and writes the medians; words on them, if they are not within tolerance.
    fn measure(
        &mut self,
        intended: &DelayMatrix,
        probes: u32,
        kind: &str,
        scale: TimeScale,
        directory: &RunDirectory,
    ) -> anyhow::Result<Option<String>> {
        let options = MeasureOptions {
            probes,
            warm_up: 1,
            interval: MEASURING.1,
            grace: MeasureOptions::grace_for(intended),
            ipv6: false,
            run: u64::from(probes),
        };
        let measured = testbed::measure(&mut self.lab, options, &|_: Duration| {}).context("measure the delays")?;
        let comparison = compare_by(&measured.clocks, intended, &measured.collected.samples, TOLERANCE);
        let (point, topology) = self.which;
        match measured_matrix(intended.names(), &comparison) {
            Ok(matrix) => {
                let mut matrix = scale.matrix_in_plan(&matrix)?;
                matrix.metadata.source = Some("longhaul run, medians in plan time".to_owned());
                let text = to_csv(&matrix, CsvOptions::default());
                directory.write(&format!("matrices/{kind}-p{point}-t{topology}.csv"), &text)?;
            }
            Err(error) => return Ok(Some(format!("The delays could not be measured: {error}."))),
        }
        let doubt =
            || format!("Before the trials the delays were not as intended: {}.", table::summary_line(&comparison));
        Ok((comparison.verdict == Verdict::Fail).then(doubt))
    }
}

fn emulation(status: &NodeStatus) -> Emulation {
    let traffic = status.traffic.unwrap_or_default();
    Emulation {
        packets: traffic.packets,
        dropped: (!traffic.drops_unknown).then_some(traffic.dropped),
        late: traffic.late,
        restarts: status.restarts.len() as u64,
    }
}

/// Not the process alone: in the process namespaces of two labs, or of containers, numbers are the same.
fn own_name() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("run-{}-{:08x}", std::process::id(), now.subsec_nanos())
}
