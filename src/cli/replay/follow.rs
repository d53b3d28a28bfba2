//! Following a replay: each switch is told when every node has made it.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::signals::Signals;
use crate::agent::protocol::{ReplayPhase, ReplayState};
use crate::agent::replay::now_ns;
use crate::report::replay::{SwitchSummary, replay_json, switch_line, switch_summary};
use crate::testbed::{self, OperationError, Testbed};
use crate::timeline::{ReplayGap, Switch, SwitchStamp, Timeline};
use crate::units::Span;

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
    start_ns: u64,
    stamps: Vec<Vec<SwitchStamp>>,
    gaps: Vec<Vec<ReplayGap>>,
    summaries: Vec<SwitchSummary>,
    /// Since when some node cannot say how far it is.
    silent: Option<Instant>,
    /// So long after the start a signal ended it.
    cut_short: Option<Span>,
}

impl<'a> Follow<'a> {
    /// A replay that began then.
    pub(super) fn new(timeline: &'a Timeline, start_ns: u64) -> Self {
        let n = timeline.names().len();
        let (stamps, gaps) = (vec![Vec::new(); n], vec![Vec::new(); n]);
        Self { timeline, start_ns, stamps, gaps, summaries: Vec::new(), silent: None, cut_short: None }
    }

    /// All switches so far.
    pub(super) fn summaries(&self) -> &[SwitchSummary] {
        &self.summaries
    }

    /// When the replay began, nanoseconds since 1970.
    pub(super) fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// All of it as JSON, with what probes said of it.
    pub(super) fn json(&self, results: Option<&Value>) -> String {
        replay_json(self.timeline, self.start_ns, &self.summaries, (&self.stamps, &self.gaps), self.cut_short, results)
    }

    /// How long after the start a signal ended it; `None` when none did.
    pub(super) fn cut_short(&self) -> Option<Span> {
        self.cut_short
    }

    /// The stamps of each node so far.
    pub(super) fn stamps(&self) -> &[Vec<SwitchStamp>] {
        &self.stamps
    }

    /// When each node did nothing of the replay, because its agent was lost.
    pub(super) fn gaps(&self) -> &[Vec<ReplayGap>] {
        &self.gaps
    }

    /// Whether a switch failed on a node, or a node did nothing for a time.
    pub(super) fn failed(&self) -> bool {
        self.summaries.iter().any(|one| !one.failed.is_empty()) || self.gaps.iter().any(|gaps| !gaps.is_empty())
    }

    /// Prints every switch when all nodes have made it. Returns after the last, or with `to_the_end` when its time is over
    /// too.
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
            let due_ns = until.map_or(u64::MAX, |at| self.start_ns.saturating_add(at.as_nanos()));
            let left = Duration::from_nanos(due_ns.saturating_sub(now_ns()));
            let patience = if next.is_some() { left + PAUSE } else { left };
            if let Some(signal) = signals.wait(patience.min(LOOK)) {
                let states = testbed::stop_replay(testbed)?;
                self.take(states, 0);
                self.cut_short = Some(Span::from_nanos(now_ns().saturating_sub(self.start_ns)));
                return Ok(Ending::Signal(signal));
            }
            let Some(switch) = next else {
                if left.is_zero() {
                    return Ok(Ending::Over);
                }
                continue;
            };
            let Some(states) = self.ask(testbed, switch.number, out)? else { continue };
            if states
                .iter()
                .any(|state| matches!(state.phase, ReplayPhase::Stopped | ReplayPhase::None | ReplayPhase::Armed))
            {
                return Ok(Ending::Stopped);
            }
            self.take(states, switch.number);
            while let Some(switch) = next.filter(|switch| self.made(*switch)) {
                self.tell(switch, out)?;
                next = switches.next();
            }
        }
    }

    /// How far all nodes are, with the stamps from number `from` on; `None` while some cannot say.
    fn ask(
        &mut self,
        testbed: &mut dyn Testbed,
        from: u64,
        out: &mut dyn Write,
    ) -> anyhow::Result<Option<Vec<ReplayState>>> {
        match testbed::switches(testbed, from) {
            Ok(states) => {
                self.silent = None;
                Ok(Some(states))
            }
            Err(error @ OperationError::Nodes(_)) => {
                if self.silent.is_none() {
                    writeln!(out, "note: {error}; asking again for {PATIENCE:?}")?;
                    out.flush()?;
                }
                let since = *self.silent.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE { Ok(None) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the stamps from a number on over what was known of them.
    fn take(&mut self, states: Vec<ReplayState>, from: u64) {
        for ((known, gaps), state) in self.stamps.iter_mut().zip(&mut self.gaps).zip(states) {
            known.retain(|stamp| stamp.number < from);
            known.extend(state.stamps);
            *gaps = state.gaps;
        }
    }

    fn made(&self, switch: Switch) -> bool {
        self.stamps.iter().all(|stamps| stamps.last().is_some_and(|stamp| stamp.number >= switch.number))
    }

    fn tell(&mut self, switch: Switch, out: &mut dyn Write) -> anyhow::Result<()> {
        let of = |stamps: &'_ Vec<SwitchStamp>| stamps.iter().rposition(|stamp| stamp.number == switch.number);
        let stamps: Vec<_> =
            (0..).zip(&self.stamps).filter_map(|(node, stamps)| Some((node, &stamps[of(stamps)?]))).collect();
        if let Some(summary) = switch_summary(self.start_ns, &stamps) {
            writeln!(out, "{}", switch_line(self.timeline, &summary, self.stamps.len()))?;
            out.flush()?;
            self.summaries.push(summary);
        }
        Ok(())
    }
}
