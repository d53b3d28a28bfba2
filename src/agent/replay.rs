//! A replay: the agent carries out the steps of a timeline by its own real-time clock, on a thread of its own.
//!
//! The whole order is checked before it is accepted. Shortly before each instant its step is made ready, so that only writes
//! are left to the instant itself; a start that leaves no time for that counts as missed. Instants are absolute: a late switch
//! does not delay the next. A switch that fails leaves what was there before, is stamped with its error, and the replay goes
//! on: the next step is made ready from what is there then. A switch that comes so late that the next is due already is left
//! out, and stamped so.
//!
//! An agent that replaces a lost one takes the replay up where the clock says it is.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::protocol::{ReplayOrder, ReplayPhase, ReplayProgress, ReplayState, TakeUp};
use crate::shaping::Row;
use crate::timeline::{ReplayGap, Switch, SwitchStamp};
use crate::units::Span;

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

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A node's replay: none, waiting for its start, or going on.
#[derive(Default)]
pub struct Replay {
    accepted: Option<ReplayOrder>,
    course: Option<Arc<Course>>,
    /// Whether it was begun here and nobody has ended it.
    going: bool,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// A replay that has a start.
struct Course {
    order: ReplayOrder,
    instants: Vec<Span>,
    start_ns: u64,
}

/// How far a replay is when its thread begins.
#[derive(Default)]
struct Made {
    /// The number of the last switch; 0 before the first.
    number: u64,
    /// The row that it left.
    row: Row,
    /// What came of making the next switch ready, if that was done.
    ready: Option<Result<usize, String>>,
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
    /// The last that took effect.
    last: Option<SwitchStamp>,
    failed: usize,
    gaps: Vec<ReplayGap>,
}

fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values; a holder that panicked has left them whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReplayOrder {
    fn instants(&self) -> Vec<Span> {
        self.steps.iter().map(|step| step.at).collect()
    }

    /// The number of the last switch that is due at `now_ns` of a replay that began at `start_ns`; 0 before the first.
    pub fn latest(&self, start_ns: u64, now_ns: u64) -> u64 {
        let elapsed = now_ns.checked_sub(start_ns).map(Span::from_nanos);
        elapsed.map_or(0, |elapsed| self.pace.latest(&self.instants(), elapsed))
    }

    /// The row from switch `number` on, when none has failed; an empty one before the first.
    pub fn row(&self, number: u64) -> Row {
        let count = self.steps.len() as u64;
        let Some(step) = number.checked_sub(1).filter(|_| count > 0).map(|place| place % count) else {
            return Row::default();
        };
        // The first step has the whole row, so a pass does not depend on the one before.
        (0..=step).zip(&self.steps).fold(Row::default(), |row, (_, step)| step.change.on(&row))
    }
}

impl Course {
    fn new(order: ReplayOrder, start_ns: u64) -> Arc<Self> {
        Arc::new(Self { instants: order.instants(), order, start_ns })
    }

    fn planned(&self, at: Span) -> u64 {
        self.start_ns.saturating_add(at.as_nanos())
    }

    fn switches(&self, first: u64) -> impl Iterator<Item = Switch> {
        self.order.pace.switches_from(self.instants.clone(), first)
    }

    fn stamp(&self, switch: Switch) -> SwitchStamp {
        let planned_ns = self.planned(switch.at);
        SwitchStamp { number: switch.number, step: switch.step, planned_ns, ..SwitchStamp::default() }
    }

    /// The stamp of a switch that nobody makes any more.
    fn left_out(&self, switch: Switch, why: &str) -> SwitchStamp {
        let (now, error) = (now_ns(), Some(format!("left out: {why}")));
        SwitchStamp { begun_ns: now, done_ns: now, error, ..self.stamp(switch) }
    }
}

impl Replay {
    /// Takes an order that has been checked; it waits for its start. A replay before it ends.
    pub fn accept(&mut self, order: ReplayOrder) {
        self.stop();
        (self.shared, self.course) = (Arc::default(), None);
        lock(&self.shared.progress).phase = ReplayPhase::Armed;
        self.accepted = Some(order);
    }

    /// Starts what was accepted, at this instant of the real-time clock; or anew what has begun already, as when other nodes
    /// have missed that start.
    pub fn begin<S: Switching>(&mut self, node: Arc<Mutex<S>>, start_ns: u64) -> Result<(), String> {
        let order =
            self.accepted.take().or_else(|| self.begun()).ok_or("there is no replay to begin; order one first")?;
        self.stop();
        // Before anybody hears that it begins: then all nodes make the first switch together, too.
        let soon = start_ns.saturating_sub(nanos(AHEAD)) <= now_ns();
        let first = order.steps.first().filter(|_| soon && now_ns() < start_ns);
        let ready = first.map(|step| lock(&*node).prepare(&step.change.on(&Row::default())));
        let late = now_ns().saturating_sub(start_ns);
        if late > 0 {
            self.accept(order);
            return Err(format!("{} by {:?}", crate::measure::START_MISSED, Duration::from_nanos(late)));
        }
        self.shared = Arc::default();
        self.going = true;
        self.go_on(Course::new(order, start_ns), Made { ready, ..Made::default() }, node)
    }

    /// The order of a replay that was begun here and that nobody has ended.
    fn begun(&self) -> Option<ReplayOrder> {
        self.course.as_ref().filter(|_| self.going).map(|course| course.order.clone())
    }

    /// Goes on with a replay that began elsewhere: makes the switch that is the latest by now, if there is one, and the
    /// later ones at their instants. Those that were due since the last gap began, and are of the past, are left out.
    pub fn take_up<S: Switching>(&mut self, node: Arc<Mutex<S>>, taken: TakeUp) -> Result<(), String> {
        self.stop();
        let TakeUp { order, start_realtime_ns: start_ns, mut gaps, .. } = taken;
        let course = Course::new(order, start_ns);
        let latest = course.order.latest(start_ns, now_ns());
        let row = course.order.row(latest);
        let mut progress = Progress::default();
        if let Some(gap) = gaps.last_mut() {
            let made = course.order.latest(start_ns, gap.from_ns).max(latest.saturating_sub(KEPT as u64));
            let past = course.switches(made.saturating_add(1)).take_while(|switch| switch.number < latest);
            past.for_each(|switch| progress.add(course.left_out(switch, &gap.why)));
        }
        if let Some(switch) = course.switches(latest).next().filter(|_| latest > 0) {
            let mut kernel = lock(&*node);
            let mut stamp = SwitchStamp { begun_ns: now_ns(), ..course.stamp(switch) };
            stamp.operations = kernel.prepare(&row)?;
            stamp.done_ns = kernel.switch()?;
            progress.add(stamp);
        }
        if let Some(gap) = gaps.last_mut() {
            gap.until_ns.get_or_insert_with(now_ns);
        }
        progress.gaps = gaps;
        self.shared = Arc::new(Shared { progress: Mutex::new(progress), ..Shared::default() });
        self.go_on(course, Made { number: latest, row, ready: None }, node)
    }

    /// Has a thread make the switches that are left.
    fn go_on<S: Switching>(&mut self, course: Arc<Course>, made: Made, node: Arc<Mutex<S>>) -> Result<(), String> {
        lock(&self.shared.progress).phase = ReplayPhase::Running;
        self.course = Some(Arc::clone(&course));
        let shared = Arc::clone(&self.shared);
        let run = move || run(&course, made, &node, &shared);
        let thread = std::thread::Builder::new().name("longhaul-replay".to_owned()).spawn(run);
        self.thread = Some(thread.map_err(|error| format!("start a thread for the replay: {error}"))?);
        Ok(())
    }

    /// Ends it; what was switched last stays. Nobody may hold the node's lock meanwhile.
    pub fn stop(&mut self) {
        (self.accepted, self.going) = (None, false);
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

    /// All rows of the timelines that are kept, whole or in part.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let orders = self.accepted.iter().chain(self.course.iter().map(|course| &course.order));
        orders.flat_map(|order| &order.steps).map(|step| step.change.row())
    }

    /// Ends it and forgets it.
    pub fn forget(&mut self) {
        self.stop();
        (self.shared, self.course) = (Arc::default(), None);
    }

    /// How far it is, with the stamps from number `from` on.
    pub fn state(&self, from: u64) -> ReplayState {
        let progress = lock(&self.shared.progress);
        let stamps = progress.stamps.iter().filter(|stamp| stamp.number >= from).cloned().collect();
        ReplayState { phase: progress.phase, stamps, gaps: progress.gaps.clone() }
    }

    /// How far it is, for people; `None` when none was begun.
    pub fn progress(&self) -> Option<ReplayProgress> {
        let course = self.course.as_ref()?;
        let Progress { phase, last, failed, gaps, .. } = &*lock(&self.shared.progress);
        let next = course.switches(course.order.latest(course.start_ns, now_ns()).saturating_add(1)).next();
        let step = last.as_ref().and_then(|last| course.order.steps.get(last.step));
        Some(ReplayProgress {
            name: course.order.name.clone(),
            phase: *phase,
            steps: course.order.steps.len(),
            last: last.clone(),
            step: step.map_or_else(String::new, |step| step.name.clone()),
            next_ns: next.filter(|_| *phase == ReplayPhase::Running).map(|switch| course.planned(switch.at)),
            failed: *failed,
            gaps: gaps.clone(),
        })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Progress {
    fn add(&mut self, stamp: SwitchStamp) {
        if stamp.error.is_some() {
            self.failed += 1;
        } else {
            self.last = Some(stamp.clone());
        }
        if self.stamps.len() == KEPT {
            self.stamps.pop_front();
        }
        self.stamps.push_back(stamp);
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
        lock(&self.progress).add(stamp);
    }
}

fn run<S: Switching>(course: &Course, made: Made, node: &Mutex<S>, shared: &Shared) {
    let Made { number, mut row, mut ready } = made;
    let mut switches = course.switches(number.saturating_add(1)).peekable();
    while let Some(switch) = switches.next() {
        row = course.order.steps[switch.step].change.on(&row);
        let mut stamp = course.stamp(switch);
        if switches.peek().is_some_and(|next| course.planned(next.at) <= now_ns()) {
            let why = "the switch before it took so long that the next one was due";
            shared.stamp(course.left_out(switch, why));
            ready = None;
            continue;
        }
        if !shared.wait_until(stamp.planned_ns.saturating_sub(nanos(AHEAD))) {
            return;
        }
        let prepared = ready.take().unwrap_or_else(|| lock(node).prepare(&row));
        if !shared.wait_until(stamp.planned_ns) {
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
    use crate::units::Delay;

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
            ReplayStep {
                at: Span::from_millis(*at),
                name: format!("{delay} ms"),
                change: RowChange::Whole([path].into_iter().collect()),
            }
        };
        ReplayOrder {
            name: "day".to_owned(),
            steps: delays.iter().map(step).collect(),
            pace,
            backend: BackendChoice::Auto,
        }
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
        assert_eq!(replay.state(0), ReplayState { phase: ReplayPhase::Running, stamps: vec![], gaps: vec![] });
        drop(replay);
        assert!(told.recv().is_err());
    }

    /// Takes until the given instant to make a step ready.
    struct Slow(u64, usize);

    impl Switching for Slow {
        fn prepare(&mut self, _: &Row) -> Result<usize, String> {
            while now_ns() <= self.0 {
                std::thread::yield_now();
            }
            self.1 += 1;
            Ok(1)
        }
        fn switch(&mut self) -> Result<u64, String> {
            Ok(now_ns())
        }
    }

    #[test]
    fn who_says_that_it_begins_has_made_the_first_switch_ready() {
        let (mut replay, start) = (Replay::default(), now_ns() + 20_000_000);
        let node = Arc::new(Mutex::new(Slow(start, 0)));
        replay.accept(order(&[(0, 10)], Pace::default()));
        let missed = replay.begin(Arc::clone(&node), start).unwrap_err();
        assert!(missed.starts_with(crate::measure::START_MISSED), "{missed}");
        assert_eq!((replay.state(0).stamps, lock(&node).1), (vec![], 1), "it began after all");
        replay.begin(Arc::clone(&node), now_ns() + 800_000_000).unwrap();
        assert_eq!(lock(&node).1, 2, "not ready");
        // Of one that begins later than that, the first step is made ready in its time.
        replay.begin(Arc::clone(&node), now_ns() + 3_600_000_000_000).unwrap();
        assert_eq!(lock(&node).1, 2);
    }

    #[test]
    fn what_others_missed_begins_anew_and_what_was_stopped_does_not() {
        let mut replay = Replay::default();
        let (first, told) = begin(&mut replay, order(&[(0, 10)], Pace::default()));
        told.recv().unwrap();
        let (sender, told) = channel();
        let node = Arc::new(Mutex::new(Told(sender, None)));
        let start = now_ns() + 20_000_000;
        replay.begin(Arc::clone(&node), start).unwrap();
        told.recv().unwrap();
        replay.stop();
        let stamps = replay.state(0).stamps;
        assert!(stamps.len() == 1 && stamps[0].planned_ns == start && start > first, "{stamps:?}");
        assert!(replay.begin(node, u64::MAX).is_err());
    }
}
