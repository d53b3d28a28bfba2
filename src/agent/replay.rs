//! A replay: the agent carries out the steps of a timeline by its own real-time clock, on a thread of its own.
//!
//! The whole order is checked before it is accepted. Shortly before each instant its step is made ready, so that only writes
//! are left to the instant itself. Instants are absolute: a late switch does not delay the next. A switch that fails leaves
//! what was there before, is stamped with its error, and the replay goes on: the next step is made ready from what is there
//! then. A switch that comes so late that the next is due already is left out, and stamped so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::protocol::{ReplayOrder, ReplayPhase, ReplayState};
use crate::shaping::Row;
use crate::timeline::SwitchStamp;

/// How long before its instant a step is made ready: several times what a thousand paths take.
const AHEAD: Duration = Duration::from_secs(1);

/// How long to sleep at most without looking at the clock: it may have been set.
const LOOK: Duration = Duration::from_secs(5);

/// How many stamps are kept; older ones are forgotten.
const KEPT: usize = 100_000;

/// What a replay does to its node.
pub trait Switching: Send + 'static {
    /// Does everything for the row that need not wait; returns the number of writes that are left.
    fn prepare(&mut self, row: &Row) -> Result<usize, String>;

    /// Carries out what was prepared last; returns the instant, by [`now_ns`], at which the last write was acknowledged.
    fn switch(&mut self) -> Result<u64, String>;
}

/// The real-time clock, nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A node's replay: none, waiting for its start, or going on.
#[derive(Default)]
pub struct Replay {
    accepted: Option<ReplayOrder>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the thread and the session share.
#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    phase: ReplayPhase,
    stamps: VecDeque<SwitchStamp>,
}

fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values; a holder that panicked has left them whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replay {
    /// Takes an order that has been checked; it waits for its start. A replay before it ends.
    pub fn accept(&mut self, order: ReplayOrder) {
        self.stop();
        self.shared = Arc::default();
        lock(&self.shared.progress).phase = ReplayPhase::Armed;
        self.accepted = Some(order);
    }

    /// Starts what was accepted, at this instant of the real-time clock.
    pub fn begin<S: Switching>(&mut self, node: Arc<Mutex<S>>, start_ns: u64) -> Result<(), String> {
        let order = self.accepted.take().ok_or("there is no replay to begin; order one first")?;
        let late = now_ns().saturating_sub(start_ns);
        if late > 0 {
            self.accepted = Some(order);
            return Err(format!("{} by {:?}", crate::measure::START_MISSED, Duration::from_nanos(late)));
        }
        lock(&self.shared.progress).phase = ReplayPhase::Running;
        let shared = Arc::clone(&self.shared);
        let run = move || run(&order, start_ns, &node, &shared);
        let thread = std::thread::Builder::new().name("longhaul-replay".to_owned()).spawn(run);
        self.thread = Some(thread.map_err(|error| format!("start a thread for the replay: {error}"))?);
        Ok(())
    }

    /// Ends it; what was switched last stays. Nobody may hold the node's lock meanwhile.
    pub fn stop(&mut self) {
        self.accepted = None;
        {
            let mut progress = lock(&self.shared.progress);
            if matches!(progress.phase, ReplayPhase::Armed | ReplayPhase::Running) {
                progress.phase = ReplayPhase::Stopped;
            }
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported on standard error already.
            let _ = thread.join();
        }
    }

    /// How far it is, with the stamps from number `from` on.
    pub fn state(&self, from: u64) -> ReplayState {
        let progress = lock(&self.shared.progress);
        let stamps = progress.stamps.iter().filter(|stamp| stamp.number >= from).cloned().collect();
        ReplayState { phase: progress.phase, stamps }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Waits for an instant of the real-time clock; false when the replay was stopped meanwhile.
    fn wait_until(&self, at_ns: u64) -> bool {
        let mut progress = lock(&self.progress);
        loop {
            if progress.phase != ReplayPhase::Running {
                return false;
            }
            let left = at_ns.saturating_sub(now_ns());
            if left == 0 {
                return true;
            }
            let patience = Duration::from_nanos(left).min(LOOK);
            let woken = self.changed.wait_timeout(progress, patience);
            progress = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stamp(&self, stamp: SwitchStamp) {
        let mut progress = lock(&self.progress);
        if progress.stamps.len() == KEPT {
            progress.stamps.pop_front();
        }
        progress.stamps.push_back(stamp);
    }
}

fn run<S: Switching>(order: &ReplayOrder, start_ns: u64, node: &Mutex<S>, shared: &Shared) {
    let ahead = u64::try_from(AHEAD.as_nanos()).unwrap_or(0);
    let planned = |at: crate::units::Span| start_ns.saturating_add(at.as_nanos());
    let mut row = Row::default();
    let mut switches = order.pace.switches(order.steps.iter().map(|step| step.at).collect()).peekable();
    while let Some(switch) = switches.next() {
        row = order.steps[switch.step].change.on(&row);
        let planned_ns = planned(switch.at);
        let mut stamp = SwitchStamp { number: switch.number, step: switch.step, planned_ns, ..SwitchStamp::default() };
        if switches.peek().is_some_and(|next| planned(next.at) <= now_ns()) {
            (stamp.begun_ns, stamp.done_ns) = (now_ns(), now_ns());
            stamp.error = Some("left out: the switch before it took so long that the next one was due".to_owned());
            shared.stamp(stamp);
            continue;
        }
        if !shared.wait_until(planned_ns.saturating_sub(ahead)) {
            return;
        }
        let prepared = lock(node).prepare(&row);
        if !shared.wait_until(planned_ns) {
            return;
        }
        let mut node = lock(node);
        stamp.begun_ns = now_ns();
        let outcome = prepared.and_then(|operations| Ok((operations, node.switch()?)));
        drop(node);
        match outcome {
            Ok((operations, done_ns)) => (stamp.operations, stamp.done_ns) = (operations, done_ns),
            Err(error) => (stamp.error, stamp.done_ns) = (Some(error), now_ns()),
        }
        shared.stamp(stamp);
    }
    let mut progress = lock(&shared.progress);
    if progress.phase == ReplayPhase::Running {
        progress.phase = ReplayPhase::Finished;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::protocol::ReplayStep;
    use super::*;
    use crate::shaping::{BackendChoice, Impairment, RowChange, RowPath};
    use crate::timeline::{Pace, Repeat};
    use crate::units::{Delay, Span};

    /// Tells every row that is switched to, and fails on a delay of 13 ms.
    struct Told(Sender<(Delay, u64)>, Option<Delay>);

    impl Switching for Told {
        fn prepare(&mut self, row: &Row) -> Result<usize, String> {
            self.1 = Some(row.paths[0].impairment.delay);
            Ok(row.paths.len())
        }
        fn switch(&mut self) -> Result<u64, String> {
            let delay = self.1.take().unwrap();
            if delay == Delay::from_millis(13) {
                return Err("bad luck".to_owned());
            }
            self.0.send((delay, now_ns())).unwrap();
            Ok(now_ns())
        }
    }

    fn order(delays: &[(u64, u64)], pace: Pace) -> ReplayOrder {
        let step = |(at, delay): &(u64, u64)| {
            let path = RowPath {
                selectors: vec!["10.0.0.2".parse().unwrap()],
                impairment: Impairment::delay(Delay::from_millis(*delay)),
            };
            ReplayStep { at: Span::from_millis(*at), change: RowChange::Whole([path].into_iter().collect()) }
        };
        ReplayOrder { steps: delays.iter().map(step).collect(), pace, backend: BackendChoice::Auto }
    }

    fn begin(replay: &mut Replay, order: ReplayOrder) -> (u64, Receiver<(Delay, u64)>) {
        let (sender, told) = channel();
        let start = now_ns() + 20_000_000;
        replay.accept(order);
        replay.begin(Arc::new(Mutex::new(Told(sender, None))), start).unwrap();
        (start, told)
    }

    #[test]
    fn every_step_comes_at_its_instant_and_a_failed_one_does_not_end_the_replay() {
        let pace = Pace { length: Some(Span::from_millis(90)), repeat: Repeat::Times(2), until: None };
        let mut replay = Replay::default();
        let (start, told) = begin(&mut replay, order(&[(0, 10), (30, 13), (60, 20)], pace));
        // The sender lives as long as the replay goes on.
        let told: Vec<_> = told.iter().map(|(delay, at)| (delay.as_nanos() / 1_000_000, at)).collect();
        let state = replay.state(0);
        assert!(matches!(state.phase, ReplayPhase::Finished | ReplayPhase::Running), "{state:?}");
        assert_eq!(state.stamps.iter().map(|stamp| stamp.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let planned: Vec<u64> = state.stamps.iter().map(|stamp| (stamp.planned_ns - start) / 1_000_000).collect();
        assert_eq!(planned, [0, 30, 60, 90, 120, 150]);
        // A machine that stands still for long may leave steps out; what was done was done in time and in order.
        let failed = |stamp: &&SwitchStamp| stamp.error.as_deref().is_some_and(|error| error == "bad luck");
        let left_out =
            state.stamps.iter().filter(|stamp| stamp.error.as_deref().is_some_and(|e| e.contains("left out")));
        assert_eq!(told.len() + state.stamps.iter().filter(failed).count() + left_out.count(), 6, "{state:?}");
        for stamp in state.stamps.iter().filter(|stamp| stamp.error.is_none()) {
            assert!(stamp.begun_ns >= stamp.planned_ns && stamp.done_ns >= stamp.begun_ns, "{stamp:?}");
            let delay = [10, 13, 20][stamp.step];
            assert!(told.iter().any(|(one, at)| *one == delay && (stamp.begun_ns..=stamp.done_ns).contains(at)));
        }
        assert_eq!(replay.state(5).stamps.len(), 2);
    }

    #[test]
    fn a_stopped_replay_does_nothing_more() {
        let pace = Pace { length: Some(Span::from_millis(20)), repeat: Repeat::Forever, until: None };
        let mut replay = Replay::default();
        let (_, told) = begin(&mut replay, order(&[(0, 10)], pace));
        told.recv().unwrap();
        replay.stop();
        assert_eq!(replay.state(0).phase, ReplayPhase::Stopped);
        let done = told.try_iter().count();
        assert_eq!(replay.state(0).stamps.iter().filter(|stamp| stamp.error.is_none()).count(), done + 1);
        assert!(told.recv().is_err(), "the thread is gone");
    }

    #[test]
    fn a_start_in_the_past_is_refused_and_may_be_tried_again() {
        let mut replay = Replay::default();
        let (sender, told) = channel();
        let node = Arc::new(Mutex::new(Told(sender, None)));
        assert_eq!(
            replay.begin(Arc::clone(&node), u64::MAX).unwrap_err(),
            "there is no replay to begin; order one first"
        );
        replay.accept(order(&[(0, 10)], Pace::default()));
        let missed = replay.begin(Arc::clone(&node), now_ns() - 5_000_000).unwrap_err();
        assert!(missed.starts_with(crate::measure::START_MISSED), "{missed}");
        replay.begin(node, now_ns() + 1_000_000_000).unwrap();
        assert_eq!(replay.state(0), ReplayState { phase: ReplayPhase::Running, stamps: vec![] });
        drop(replay);
        assert!(told.recv().is_err());
    }
}
