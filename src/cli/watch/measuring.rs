//! The thread that measures round after round, and the one that notices the end of the lab; both tell by [`Event`]s.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;

use crate::cli::caveats::caveats;
use crate::cli::known::Known;
use crate::cli::operate::{applied_matrix, expectation};
use crate::cli::target::Target;
use crate::measure::{Tolerance, Verdict};
use crate::report::beyond::beyond_lines;
use crate::report::rounds::Round;
use crate::testbed::{self, MeasureOptions};
use crate::units::Span;

/// The least and the most between two probes of a path.
const PROBE_INTERVALS: (Span, Span) = (Span::from_millis(8), Span::from_millis(100));
/// How often a round is begun anew because the delays were changed meanwhile.
const ATTEMPTS: usize = 3;
/// How long to wait, when measuring fails, for the news that the lab has ended: then that is why.
const END_OF_LAB: Duration = Duration::from_secs(2);

/// How to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From start to start.
    pub(super) interval: Span,
    /// Per path and round.
    pub(super) probes: u32,
    /// After how many rounds to end.
    pub(super) rounds: Option<u32>,
    /// Which family.
    pub(super) ipv6: bool,
}

impl Pace {
    /// Spreads the probes of a round over half of its time: bursts would delay what is watched. A node probes one other at
    /// a time, so a round takes this long for each probe of each other node.
    fn between_probes(self, nodes: usize) -> Span {
        let steps = (u64::from(self.probes) + 1) * nodes.max(1) as u64;
        Span::from_nanos(self.interval.as_nanos() / 2 / steps).clamp(PROBE_INTERVALS.0, PROBE_INTERVALS.1)
    }
}

/// What happens.
pub(super) enum Event {
    /// A round begins.
    Began,
    /// A round is over.
    Round(Box<Round>),
    /// All rounds are over.
    Finished,
}

/// What the threads send: an event, why they cannot go on, or that the lab is gone.
enum News {
    Event(Event),
    Failed(anyhow::Error),
    LabEnded,
}

/// The threads at work. They end with the process.
pub(super) struct Measuring {
    lab: String,
    news: Receiver<News>,
    pauses: Sender<bool>,
}

impl Measuring {
    /// Starts them: one to measure, and for a lab one to notice its end.
    pub(super) fn start(target: Target, pace: Pace, tolerance: Tolerance) -> anyhow::Result<Self> {
        let (sender, news) = channel();
        let (pauses, orders) = channel();
        let name = target.name.clone();
        if let Some(wait_for_end) = target.sentinel()? {
            let of_end = sender.clone();
            thread::spawn(move || {
                wait_for_end();
                let _ = of_end.send(News::LabEnded);
            });
        }
        let mut rounds = Rounds { target, pace, tolerance, sender: sender.clone(), orders };
        thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| rounds.run()));
            let failure = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => anyhow!("the measuring thread panicked: {}", words(panic.as_ref())),
            };
            let _ = sender.send(News::Failed(failure));
        });
        Ok(Self { lab: name, news, pauses })
    }

    /// The next event; an error when there will be none.
    pub(super) fn next(&self) -> anyhow::Result<Event> {
        match self.news.recv() {
            Ok(news) => self.sort(news),
            Err(_) => Err(anyhow!("the measuring threads are gone")),
        }
    }

    /// The next event if it comes within `patience`.
    pub(super) fn next_within(&self, patience: Duration) -> anyhow::Result<Option<Event>> {
        match self.news.recv_timeout(patience) {
            Ok(news) => self.sort(news).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("the measuring threads are gone")),
        }
    }

    /// Holds the next round back, or lets it go.
    pub(super) fn pause(&self, paused: bool) {
        // When the thread is gone, its last news say so.
        let _ = self.pauses.send(paused);
    }

    fn sort(&self, news: News) -> anyhow::Result<Event> {
        match news {
            News::Event(event) => Ok(event),
            News::LabEnded => Err(self.ended()),
            News::Failed(error) => match self.news.recv_timeout(END_OF_LAB) {
                Ok(News::LabEnded) => Err(self.ended()),
                _ => Err(error),
            },
        }
    }

    fn ended(&self) -> anyhow::Error {
        anyhow!("lab `{}` has ended meanwhile: its holder process is gone, or `longhaul lab down` was called", self.lab)
    }
}

/// The message of a panic.
fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Whether a node does something else than before. Of one that is lost meanwhile nobody knows.
fn changed(before: &Known, after: &Known) -> bool {
    let known = |node: &usize| !before.silent.contains_key(node) && !after.silent.contains_key(node);
    let mut nodes = (0..before.statuses.len()).filter(known);
    nodes.any(|node| before.statuses[node].row != after.statuses[node].row)
}

struct Rounds {
    target: Target,
    pace: Pace,
    tolerance: Tolerance,
    sender: Sender<News>,
    orders: Receiver<bool>,
}

impl Rounds {
    fn run(&mut self) -> anyhow::Result<()> {
        for number in 1.. {
            let started = Instant::now();
            self.tell(Event::Began)?;
            let round = self.round(number)?;
            self.tell(Event::Round(Box::new(round)))?;
            if self.pace.rounds == Some(number) {
                break;
            }
            self.wait_until(started + self.pace.interval.as_duration())?;
        }
        self.tell(Event::Finished)
    }

    fn tell(&self, event: Event) -> anyhow::Result<()> {
        self.sender.send(News::Event(event)).map_err(|_| anyhow!("nobody watches any more"))
    }

    /// Measures against what is applied, and again when that was changed meanwhile: half a round of each says nothing.
    fn round(&mut self, number: u32) -> anyhow::Result<Round> {
        let mut before = Known::of(self.target.testbed())?;
        for attempt in 1.. {
            let applied = applied_matrix(self.target.nodes(), &before.statuses)?;
            let options = MeasureOptions {
                probes: self.pace.probes,
                warm_up: 1,
                interval: self.pace.between_probes(applied.len()),
                grace: MeasureOptions::grace_for(&applied),
                ipv6: self.pace.ipv6,
                // Never 0, and another for each round, so that what is late from one is not taken for the next's.
                run: u64::from(number) << 8 | u64::try_from(attempt).unwrap_or(0) << 1 | 1,
            };
            let measured = testbed::measure(self.target.testbed(), options, &|_| ())?;
            let after = Known::of(self.target.testbed())?;
            let changed = changed(&before, &after);
            if changed && attempt < ATTEMPTS {
                before = after;
                continue;
            }
            let faults = after.faults_since(&before);
            let mut notes = caveats(&measured, faults);
            if changed {
                notes.push("note: the delays were changed during this round".to_owned());
            }
            let expectation = expectation(&applied, self.target.nodes(), &before.statuses, options);
            let samples = &measured.collected.samples;
            let (comparison, beyond) = expectation.judge(&applied, samples, &measured, self.tolerance);
            notes.extend(expectation.crowding());
            // Few probes judge no losses; that is said by `measure`, not again and again here.
            if beyond.verdict() == Verdict::Fail {
                notes.extend(beyond_lines(&beyond));
            }
            let comparison = comparison.without(before.missing(&measured));
            let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            return Ok(Round { number, at, comparison, dropped: faults.dropped, notes });
        }
        Err(anyhow!("no attempt was made"))
    }

    /// Returns at `due`, later when paused then.
    fn wait_until(&self, due: Instant) -> anyhow::Result<()> {
        let mut paused = false;
        loop {
            let patience =
                if paused { Duration::from_secs(3_600) } else { due.saturating_duration_since(Instant::now()) };
            match self.orders.recv_timeout(patience) {
                Ok(order) => paused = order,
                Err(RecvTimeoutError::Timeout) if paused => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("nobody watches any more")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_spread_over_half_of_a_round() {
        let between = |interval, probes, nodes| {
            let pace = Pace { interval: Span::from_millis(interval), probes, rounds: None, ipv6: false };
            pace.between_probes(nodes)
        };
        assert_eq!(between(5_000, 4, 10), Span::from_millis(50));
        assert_eq!(between(100, 100, 2), Span::from_millis(8));
        assert_eq!(between(3_600_000, 1, 2), Span::from_millis(100));
    }
}
