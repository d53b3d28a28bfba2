//! The adapter of [`Prober`]: kernel-stamped ICMP echoes on raw sockets, paced by one thread.
//!
//! The peer's kernel answers each echo request, which gives the round trip, and delivers a stamped copy of the request
//! to the peer's own prober, which gives the one-way delay. The clock starts before the queueing discipline, so that
//! the delay that is injected there is part of what is measured.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use crate::units::Span;

use super::echo::{Direction, Family, Probe, request};
use super::ledger::Ledger;
use super::probe::{MAX_PROBES, MAX_RUN, ProbeError, ProbeOrder, ProbeReport, Prober};
use super::raw_socket::{Event, RawSocket, realtime_ns};
use super::schedule::{Sequence, Slot};

/// Ends a running measurement from another thread. Clones stop the same run.
#[derive(Debug, Clone)]
pub struct StopSignal {
    given: Arc<EventFd>,
    /// Whether what there is so far is wanted.
    report: Arc<AtomicBool>,
}

impl StopSignal {
    /// A signal that has not been given.
    pub fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { given: Arc::new(EventFd::from_value_and_flags(0, flags)?), report: Arc::default() })
    }

    /// Gives the signal: runs that use it end with [`ProbeError::Stopped`], now and later.
    pub fn stop(&self) {
        // The only failure is a full counter, and then the signal has been given long since.
        let _ = self.given.write(1);
    }

    /// Gives the signal: a run that uses it ends now, with a report of what it has sent and seen so far.
    pub fn finish(&self) {
        self.report.store(true, Ordering::SeqCst);
        self.stop();
    }

    /// Takes the signal back, if it was given: runs after this one go on.
    pub fn take_back(&self) {
        self.report.store(false, Ordering::SeqCst);
        // Fails when it was not given.
        let _ = self.given.read();
    }
}

/// Sends ICMP echoes from raw sockets; needs `CAP_NET_RAW` in the user namespace of the network namespace.
#[derive(Debug)]
pub struct IcmpProber {
    stop: StopSignal,
}

impl IcmpProber {
    /// A prober that runs until it is done or `stop` is given.
    pub const fn new(stop: StopSignal) -> Self {
        Self { stop }
    }
}

impl Prober for IcmpProber {
    fn run(&mut self, order: &ProbeOrder) -> Result<ProbeReport, ProbeError> {
        let duration = checked_duration(order)?;
        let sockets = Sockets::open(&order.addresses)?;
        let ledger = Ledger::new(order.me, order.addresses.len(), order.probes);
        let start = common_start(order)?;
        let _precise = PreciseTimers::enable();
        let mut run = Run { order, sockets, ledger, stop: &self.stop, start };
        match run.send_all().and_then(|()| run.wait_until(start + duration, Ledger::complete)) {
            Err(ProbeError::Stopped) if self.stop.report.load(Ordering::SeqCst) => run.drain(),
            outcome => outcome?,
        }
        Ok(run.ledger.into_report())
    }
}

/// The common start by the monotonic clock, which cannot jump during the run.
fn common_start(order: &ProbeOrder) -> Result<Instant, ProbeError> {
    let (now, now_realtime_ns) = (Instant::now(), realtime_ns());
    let Some(ahead) = order.start_realtime_ns.checked_sub(now_realtime_ns) else {
        return Err(ProbeError::StartMissed { late: Span::from_nanos(now_realtime_ns - order.start_realtime_ns) });
    };
    Ok(now + Duration::from_nanos(ahead))
}

/// From the common start to the end of the grace, for an order that this node can carry out.
fn checked_duration(order: &ProbeOrder) -> Result<Duration, ProbeError> {
    let (me, nodes) = (order.me, order.addresses.len());
    if me >= nodes {
        return Err(ProbeError::UnknownNode { me, nodes });
    }
    let per_peer = u64::from(order.probes) + u64::from(order.warm_up);
    // The books have room for the node itself, too, also where it is alone.
    let probes = per_peer.saturating_mul((nodes as u64 - 1).max(1));
    if probes > MAX_PROBES {
        return Err(ProbeError::TooMany { probes });
    }
    let duration = Span::from_nanos(order.plan().duration().as_nanos().saturating_add(order.grace.as_nanos()));
    if duration > MAX_RUN {
        return Err(ProbeError::TooLong { duration });
    }
    Ok(duration.as_duration())
}

/// Lets the calling thread's timers end when they should, not up to 50 µs later, as long as this lives.
struct PreciseTimers(Option<u64>);

impl PreciseTimers {
    fn enable() -> Self {
        let before = prctl::get_timerslack().ok().and_then(|ns| u64::try_from(ns).ok());
        // Without it, probes are only later; the report says how much.
        let _ = prctl::set_timerslack(1);
        Self(before)
    }
}

impl Drop for PreciseTimers {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            let _ = prctl::set_timerslack(before);
        }
    }
}

/// A socket for each family that some node has.
struct Sockets {
    v4: Option<RawSocket>,
    v6: Option<RawSocket>,
}

impl Sockets {
    fn open(addresses: &[IpAddr]) -> Result<Self, ProbeError> {
        let open = |wanted: bool, family| wanted.then(|| RawSocket::open(family)).transpose();
        Ok(Self {
            v4: open(addresses.iter().any(IpAddr::is_ipv4), Family::V4)?,
            v6: open(addresses.iter().any(IpAddr::is_ipv6), Family::V6)?,
        })
    }

    fn send(&self, probe: &Probe, to: IpAddr) -> std::io::Result<()> {
        let (socket, family) = match to {
            IpAddr::V4(_) => (&self.v4, Family::V4),
            IpAddr::V6(_) => (&self.v6, Family::V6),
        };
        let Some(socket) = socket else { return Err(Errno::EAFNOSUPPORT.into()) };
        socket.send(&request(family, probe), to)
    }

    fn iter(&self) -> impl Iterator<Item = &RawSocket> {
        self.v4.iter().chain(&self.v6)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut RawSocket> {
        self.v4.iter_mut().chain(&mut self.v6)
    }
}

/// One order under way.
struct Run<'a> {
    order: &'a ProbeOrder,
    sockets: Sockets,
    ledger: Ledger,
    stop: &'a StopSignal,
    start: Instant,
}

impl Run<'_> {
    /// Open loop: each probe goes out at its instant, whatever became of those before. After a stall of this thread the
    /// overdue ones follow each other at half their planned distance: sent at once they would all meet the same moment of
    /// the path, and one disturbance would be counted many times.
    fn send_all(&mut self) -> Result<(), ProbeError> {
        let mut last: Option<(Instant, Span)> = None;
        for slot in self.order.plan().slots_of(self.order.me) {
            let due = self.start + slot.at.as_duration();
            let apart = last.map(|(sent, at)| sent + slot.at.as_duration().saturating_sub(at.as_duration()) / 2);
            self.wait_until(apart.map_or(due, |apart| apart.max(due)), |_| false)?;
            last = Some((Instant::now(), slot.at));
            self.send(slot);
        }
        Ok(())
    }

    fn send(&mut self, slot: Slot) {
        let to = slot.peer;
        let probe = Probe { run: self.order.run, from: wire_index(self.order.me), to: wire_index(to), seq: slot.seq };
        if let Sequence::Probe(seq) = slot.seq {
            let intended_ns = self.order.start_realtime_ns.saturating_add(slot.at.as_nanos());
            self.ledger.sending(to, seq, intended_ns, realtime_ns());
        }
        let result = self.sockets.send(&probe, self.order.addresses[to]);
        if let (Err(error), Sequence::Probe(seq)) = (result, slot.seq) {
            self.ledger.refused(to, seq, || format!("{}: {error}", self.order.addresses[to]));
        }
    }

    /// Takes in what arrives until `deadline`, or until `done`; looks at least once.
    fn wait_until(&mut self, deadline: Instant, done: impl Fn(&Ledger) -> bool) -> Result<(), ProbeError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.poll(left)? {
                self.drain();
            }
            if done(&self.ledger) || left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Whether something waits on a socket; waits for it at most `timeout`.
    fn poll(&self, timeout: Duration) -> Result<bool, ProbeError> {
        let mut fds = vec![PollFd::new(self.stop.given.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        match ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None) {
            Err(Errno::EINTR) => return Ok(false),
            Err(errno) => return Err(ProbeError::Wait(errno.into())),
            Ok(_) => {}
        }
        let ready = |fd: &PollFd| fd.any().unwrap_or(true);
        if ready(&fds[0]) {
            return Err(ProbeError::Stopped);
        }
        Ok(fds[1..].iter().any(ready))
    }

    fn drain(&mut self) {
        let (run, me) = (self.order.run, wire_index(self.order.me));
        let ledger = &mut self.ledger;
        for socket in self.sockets.iter_mut() {
            socket.drain(|event| record(ledger, run, me, event));
        }
    }
}

/// Enters an event of this run that concerns this node; anything else is somebody else's.
pub(super) fn record(ledger: &mut Ledger, run: u64, me: u32, event: Event) {
    let (Event::Arrived(_, probe, at_ns) | Event::Stamped(probe, at_ns)) = event;
    let Sequence::Probe(seq) = probe.seq else { return };
    if probe.run != run {
        return;
    }
    match event {
        Event::Stamped(..) if probe.from == me => ledger.stamped(probe.to as usize, seq, at_ns),
        Event::Arrived(Direction::Reply, ..) if probe.from == me => ledger.answered(probe.to as usize, seq, at_ns),
        Event::Arrived(Direction::Request, ..) if probe.to == me => ledger.arrived(probe.from as usize, seq, at_ns),
        _ => {}
    }
}

/// A node's index as probes carry it. Matrices end far below the limit; beyond it, nothing would match.
fn wire_index(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RUN: u64 = 7;

    fn any_event() -> impl Strategy<Value = (bool, Event)> {
        let probe = (0u64..3, 0u32..5, 0u32..5, 0u32..5, any::<bool>());
        (probe, 0u8..3, any::<u64>()).prop_map(|((run, from, to, k, warm_up), kind, at_ns)| {
            let seq = if warm_up { Sequence::WarmUp(k) } else { Sequence::Probe(k) };
            let ours = run == 0;
            let probe = Probe { run: RUN + run, from, to, seq };
            let event = match kind {
                0 => Event::Stamped(probe, at_ns),
                1 => Event::Arrived(Direction::Reply, probe, at_ns),
                _ => Event::Arrived(Direction::Request, probe, at_ns),
            };
            (ours, event)
        })
    }

    proptest! {
        /// Whatever comes by, in whatever order: what is of another run, for another node, from a node that is none, or
        /// beyond the plan changes nothing, and nothing counts twice but the second arrival that is kept.
        #[test]
        fn only_this_runs_probes_count(events in prop::collection::vec(any_event(), 0..60)) {
            let mut ledger = Ledger::new(0, 3, 2);
            for (to, seq) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
                ledger.sending(to, seq, 1, 1);
            }
            let mut arrivals = std::collections::BTreeMap::new();
            let mut answers = std::collections::BTreeSet::new();
            for (ours, event) in events {
                if let (true, Event::Arrived(direction, probe, _)) = (ours, event)
                    && let Sequence::Probe(seq @ 0..2) = probe.seq
                {
                    match (direction, probe.from, probe.to) {
                        (Direction::Request, from @ 1..3, 0) => {
                            // A second arrival is kept, to tell which path doubles; further ones are only counted.
                            let kept = arrivals.entry((from as usize, seq)).or_insert(0);
                            *kept = (*kept + 1).min(2);
                        }
                        (Direction::Reply, 0, to @ 1..3) => { answers.insert((to as usize, seq)); }
                        _ => {}
                    }
                }
                record(&mut ledger, RUN, 0, event);
            }
            let report = ledger.into_report();
            let mut received = std::collections::BTreeMap::new();
            for one in &report.received {
                *received.entry((one.from, one.seq)).or_insert(0) += 1;
            }
            prop_assert_eq!(received, arrivals);
            let answered = report.sent.iter().filter(|one| one.rx_ns.is_some()).map(|one| (one.to, one.seq));
            prop_assert_eq!(answered.collect::<std::collections::BTreeSet<_>>(), answers);
        }
    }
}
