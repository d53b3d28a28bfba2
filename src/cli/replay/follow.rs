//! Following a replay: each switch is told when every node has made it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::protocol::{ReplayPhase, ReplayState};
use crate::cli::signals::Signals;
use crate::report::replay::{Lost, Replayed, SwitchSummary, replay_json, replay_lines, switch_line, switch_summary};
use crate::testbed::{self, Begun, NodeFailure, OperationError, Testbed};
use crate::timeline::{Switch, SwitchStamp, Timeline, write_moment};
use crate::topology::NodeIndex;
use crate::units::Span;
use crate::wording::OneLine;

/// How long after its instant a switch is first asked for, and how long between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// How long nodes may fail to say how far they are: an agent that is lost is replaced within its lease, and an interface may
/// be plugged in again.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest wait without a look: somebody may have ended the replay.
const LOOK: Duration = Duration::from_secs(2);

/// How following ended.
pub(super) enum Ending {
    /// All switches are made and the last one's time is over.
    Over,
    /// A signal ended it, with this number.
    Signal(u8),
    /// Somebody else ended it.
    Stopped,
}

/// What is known of a replay so far.
pub(super) struct Follow<'a> {
    timeline: &'a Timeline,
    begun: Begun,
    known: Replayed,
    /// Since when nodes cannot say how far they are.
    silent: BTreeMap<NodeIndex, Instant>,
}

impl<'a> Follow<'a> {
    /// A replay that has just begun.
    pub(super) fn new(timeline: &'a Timeline, begun: Begun) -> Self {
        let n = timeline.names().len();
        let (stamps, gaps) = (vec![Vec::new(); n], vec![Vec::new(); n]);
        let starts_ns = begun.theirs_ns.clone();
        let known = Replayed { start_ns: begun.start_ns, starts_ns, stamps, gaps, ..Replayed::default() };
        Self { timeline, begun, known, silent: BTreeMap::new() }
    }

    /// All switches so far.
    pub(super) fn summaries(&self) -> &[SwitchSummary] {
        &self.known.switches
    }

    /// When it began by each clock.
    pub(super) fn begun(&self) -> &Begun {
        &self.begun
    }

    /// All of it as JSON, with what probes said of it.
    pub(super) fn json(&self, results: Option<&Value>) -> String {
        replay_json(self.timeline, &self.known, results)
    }

    /// All of it in a few lines.
    pub(super) fn lines(&self) -> Vec<String> {
        replay_lines(self.timeline.names(), &self.known)
    }

    /// How long after the start a signal ended it; `None` when none did.
    pub(super) fn cut_short(&self) -> Option<Span> {
        self.known.cut_short
    }

    /// The stamps of each node so far, by its own clock.
    pub(super) fn stamps(&self) -> &[Vec<SwitchStamp>] {
        &self.known.stamps
    }

    /// Whether a switch failed on a node, or a node did nothing for a time or was lost.
    pub(super) fn failed(&self) -> bool {
        let Replayed { switches, gaps, lost, .. } = &self.known;
        !lost.is_empty()
            || switches.iter().any(|one| !one.failed.is_empty())
            || gaps.iter().any(|gaps| !gaps.is_empty())
    }

    /// Prints every switch when all nodes that are not lost have made it. Returns after the last, or with `to_the_end` when
    /// its time is over too.
    pub(super) fn run(
        &mut self,
        testbed: &mut dyn Testbed,
        signals: &Signals,
        to_the_end: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<Ending> {
        let mut switches = self.timeline.switches();
        let mut next = switches.next();
        loop {
            let until = match next {
                Some(switch) => Some(switch.at),
                None if to_the_end => self.timeline.end(),
                None => return Ok(Ending::Over),
            };
            let due_ns = until.map_or(u64::MAX, |at| self.begun.start_ns.saturating_add(at.as_nanos()));
            let left = Duration::from_nanos(due_ns.saturating_sub(testbed.now_ns()));
            let patience = if next.is_some() { left + PAUSE } else { left };
            if let Some(signal) = signals.wait(patience.min(LOOK)) {
                self.stop(testbed)?;
                return Ok(Ending::Signal(signal));
            }
            let Some(switch) = next else {
                if left.is_zero() {
                    return Ok(Ending::Over);
                }
                continue;
            };
            if !self.ask(testbed, switch.number, out)? {
                return Ok(Ending::Stopped);
            }
            while let Some(switch) = next.filter(|switch| self.made(*switch)) {
                self.tell(switch, out)?;
                next = switches.next();
            }
        }
    }

    /// The nodes that are not lost.
    fn there(&self) -> Vec<NodeIndex> {
        (0..self.timeline.names().len()).filter(|node| !self.known.lost.contains_key(node)).collect()
    }

    /// Ends it, and takes in how far every node was.
    fn stop(&mut self, testbed: &mut dyn Testbed) -> anyhow::Result<()> {
        let there = self.there();
        for (node, state) in there.iter().zip(testbed::stop_replay(testbed, &there)?) {
            if let Ok(state) = state {
                self.take(*node, state, 0);
            }
        }
        self.known.cut_short = Some(self.since_start(testbed));
        Ok(())
    }

    /// To the millisecond.
    fn since_start(&self, testbed: &dyn Testbed) -> Span {
        Span::from_millis(testbed.now_ns().saturating_sub(self.begun.start_ns) / 1_000_000)
    }

    /// Asks how far all nodes are that are not lost, and takes in the stamps from number `from` on. False when somebody has
    /// ended the replay.
    fn ask(&mut self, testbed: &mut dyn Testbed, from: u64, out: &mut dyn Write) -> anyhow::Result<bool> {
        let there = self.there();
        let mut newly_silent = Vec::new();
        for (node, answer) in there.iter().copied().zip(testbed::switches(testbed, &there, from)?) {
            let why = match answer {
                Ok(state) => {
                    if matches!(state.phase, ReplayPhase::Stopped | ReplayPhase::None | ReplayPhase::Armed) {
                        return Ok(false);
                    }
                    self.silent.remove(&node);
                    self.take(node, state, from);
                    continue;
                }
                Err(why) => why,
            };
            let name = self.timeline.names()[node].clone();
            let waited = self.silent.get(&node).map(Instant::elapsed);
            if testbed.is_lost(node) || waited.is_some_and(|waited| waited > PATIENCE) {
                let (at, why) = (self.since_start(testbed), why.trim_end_matches('.').to_owned());
                writeln!(
                    out,
                    "note: +{} node `{name}` is lost: {}; the others go on",
                    write_moment(at),
                    OneLine(&why)
                )?;
                out.flush()?;
                self.known.lost.insert(node, Lost { at, why });
            } else if waited.is_none() {
                self.silent.insert(node, Instant::now());
                newly_silent.push(NodeFailure { node: name, message: why });
            }
        }
        if !newly_silent.is_empty() {
            let error = OperationError::Nodes(newly_silent);
            writeln!(out, "note: {error}; asking again for {PATIENCE:?}")?;
            out.flush()?;
        }
        anyhow::ensure!(self.known.lost.len() < self.timeline.names().len(), "all nodes are lost");
        Ok(true)
    }

    /// Takes the stamps of a node from a number on over what was known of them.
    fn take(&mut self, node: NodeIndex, state: ReplayState, from: u64) {
        let stamps = &mut self.known.stamps[node];
        stamps.retain(|stamp| stamp.number < from);
        stamps.extend(state.stamps);
        self.known.gaps[node] = state.gaps;
    }

    fn made(&self, switch: Switch) -> bool {
        let made = |stamps: &Vec<SwitchStamp>| stamps.last().is_some_and(|stamp| stamp.number >= switch.number);
        self.there().into_iter().all(|node| made(&self.known.stamps[node]))
    }

    fn tell(&mut self, switch: Switch, out: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(summary) = switch_summary(switch, &self.known) {
            writeln!(out, "{}", switch_line(self.timeline, &summary))?;
            out.flush()?;
            self.known.switches.push(summary);
        }
        Ok(())
    }
}
