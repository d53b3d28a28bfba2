//! A stream of small UDP packets at a fixed rate: the hidden ends that benchmarks run inside nodes.
//!
//! iperf3's pacing sends in bursts of milliseconds, which measures queues instead of paths; this sender wakes every
//! [`QUANTUM`] and sends what is due by then.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// How often the sender wakes.
const QUANTUM: Duration = Duration::from_micros(100);
/// Packets per system call.
const BATCH: usize = 32;
/// Bytes of a packet after its UDP header: the least that fills an Ethernet frame.
const PAYLOAD: usize = 18;
/// The receive buffer to ask for.
const BUFFER: usize = 32 << 20;
/// After its input has ended, a receiver waits until nothing has come for so many milliseconds.
const SILENCE_MS: u16 = 300;

/// One end of a stream.
#[derive(Debug, Args)]
pub(super) struct TrafficArgs {
    #[command(subcommand)]
    end: End,
}

#[derive(Debug, Subcommand)]
enum End {
    /// Send.
    Send {
        /// To whom.
        to: SocketAddrV4,
        /// Packets per second.
        rate: u32,
        /// How many.
        count: u32,
    },
    /// Receive until standard input ends and nothing comes any more.
    Receive {
        /// Packets that took less are early, in nanoseconds.
        #[arg(long, default_value_t = 0)]
        least_ns: u64,
    },
}

/// The first line of a receiver.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Where it listens.
    pub(super) port: u16,
}

/// What a sender did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Packets.
    pub(super) packets: u32,
    /// From the first to the last.
    pub(super) nanos: u64,
}

/// What a receiver saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    /// Packets, each counted once.
    pub(super) packets: u32,
    /// Packets that came after one that was sent later.
    pub(super) reordered: u32,
    /// Packets that came again.
    pub(super) duplicates: u32,
    /// Packets that took less time than they should.
    pub(super) early: u32,
    /// Packets that had arrived but for which the receiver's own buffer had no room.
    pub(super) no_room: u32,
}

/// Runs one end.
pub(super) fn run(args: &TrafficArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    match args.end {
        End::Send { to, rate, count } => {
            let sent = send(to, rate, count).with_context(|| format!("send packets to {to}"))?;
            writeln!(out, "{}", serde_json::to_string(&sent)?)?;
        }
        End::Receive { least_ns } => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a socket for receiving packets")?;
            enlarge(&socket);
            let port = socket.local_addr().context("ask for the port")?.port();
            writeln!(out, "{}", serde_json::to_string(&Ready { port })?)?;
            out.flush()?;
            let mut ledger = receive(&socket, least_ns).context("receive packets")?;
            ledger.received.no_room = drops(port).unwrap_or(0);
            writeln!(out, "{}", serde_json::to_string(&ledger.received)?)?;
        }
    }
    Ok(())
}

fn send(to: SocketAddrV4, rate: u32, count: u32) -> io::Result<Sent> {
    // Without it every sleep is 50 µs longer.
    let _ = prctl::set_timerslack(1);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    let start = Instant::now();
    let mut sent = 0u32;
    while sent < count {
        let due = due(start.elapsed(), rate).min(count);
        if due == sent {
            std::thread::sleep(QUANTUM);
            continue;
        }
        sent += send_some(&socket, sent, due)?;
    }
    Ok(Sent { packets: sent, nanos: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX) })
}

/// How many packets should have gone out after so long. The first goes at once.
fn due(elapsed: Duration, rate: u32) -> u32 {
    let due = elapsed.as_nanos() * u128::from(rate) / 1_000_000_000 + 1;
    u32::try_from(due).unwrap_or(u32::MAX)
}

/// Sends the packets numbered `first..end`, or the first part of them; how many.
fn send_some(socket: &UdpSocket, first: u32, end: u32) -> io::Result<u32> {
    let count = ((end - first) as usize).min(BATCH);
    let mut payloads = [[0u8; PAYLOAD]; BATCH];
    let now = now();
    for (payload, number) in payloads.iter_mut().zip(first..) {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        payload[4..12].copy_from_slice(&now.to_be_bytes());
    }
    let slices: Vec<[IoSlice<'_>; 1]> = payloads[..count].iter().map(|payload| [IoSlice::new(payload)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(count, None);
    let nobody = vec![None; count];
    let none: [nix::sys::socket::ControlMessage<'_>; 0] = [];
    match sendmmsg(socket.as_raw_fd(), &mut headers, &slices, nobody, none, MsgFlags::empty()) {
        Ok(results) => Ok(u32::try_from(results.count()).unwrap_or(0)),
        Err(Errno::EINTR | Errno::ENOBUFS) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// As much room as the system permits, so that a receiver that is not scheduled for a while loses nothing.
fn enlarge(socket: &UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &BUFFER);
    }
}

fn receive(socket: &UdpSocket, least_ns: u64) -> io::Result<Ledger> {
    socket.set_nonblocking(true)?;
    let stdin = io::stdin();
    let (mut ledger, mut open) = (Ledger { least_ns, ..Ledger::default() }, true);
    loop {
        take_all(socket, &mut ledger)?;
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        // Nobody writes to standard input: that it is readable means that it has ended.
        let (watched, patience) = if open { (2, PollTimeout::NONE) } else { (1, PollTimeout::from(SILENCE_MS)) };
        match poll(&mut fds[..watched], patience) {
            Ok(0) => return Ok(ledger),
            Ok(_) => open &= !fds[1].any().unwrap_or(false),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn take_all(socket: &UdpSocket, ledger: &mut Ledger) -> io::Result<()> {
    let mut payloads = [[0u8; PAYLOAD]; BATCH];
    loop {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = payloads.iter_mut().map(|bytes| [IoSliceMut::new(bytes)]).collect();
        let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
        let flags = MsgFlags::MSG_DONTWAIT;
        let count = match recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None) {
            Ok(results) => results.count(),
            Err(Errno::EAGAIN) => return Ok(()),
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        // A packet that has waited to be read counts as slower than it was: what is early in spite of it, is.
        let now = now();
        for payload in &payloads[..count] {
            if let (Some(number), Some(sent)) = (payload.first_chunk(), payload[4..].first_chunk()) {
                ledger.note(u32::from_be_bytes(*number), now.saturating_sub(u64::from_be_bytes(*sent)));
            }
        }
    }
}

/// Which packets have arrived. Pure.
#[derive(Debug, Default)]
struct Ledger {
    seen: Vec<u64>,
    least_ns: u64,
    next: u32,
    received: Received,
}

impl Ledger {
    /// Notes the arrival of the packet `number`, so many nanoseconds after it was sent.
    fn note(&mut self, number: u32, took: u64) {
        let (word, bit) = (number as usize / 64, 1u64 << (number % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.received.duplicates += 1;
            return;
        }
        self.seen[word] |= bit;
        self.received.packets += 1;
        self.received.early += u32::from(took < self.least_ns);
        self.received.reordered += u32::from(number < self.next);
        self.next = self.next.max(number.saturating_add(1));
    }
}

/// The clock that all processes of this machine share.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| u64::try_from(time.num_nanoseconds()).unwrap_or(0))
}

/// How many packets the socket on `port` had no room for, as the kernel lists it.
fn drops(port: u16) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/self/net/udp").ok()?;
    drops_in(&table, port)
}

/// The last column of the line whose local address, the second one, has this port.
fn drops_in(table: &str, port: u16) -> Option<u32> {
    let ends = format!(":{port:04X}");
    let line = table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&ends)))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_due_by_the_rate() {
        for (micros, rate, expected) in [(0, 10_000, 1), (99, 10_000, 1), (100, 10_000, 2), (1_000_000, 50_000, 50_001)]
        {
            assert_eq!(due(Duration::from_micros(micros), rate), expected, "{micros} µs at {rate}");
        }
    }

    #[test]
    fn drops_stand_at_the_end_of_the_socket_s_line() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             12: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7 2 0000 41\n\
             13: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8 2 0000 3\n";
        assert_eq!(drops_in(table, 8080), Some(41));
        assert_eq!(drops_in(table, 53), Some(3));
        assert_eq!(drops_in(table, 5), None);
    }

    #[test]
    fn a_stream_over_loopback_arrives() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let sent = send(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), 20_000, 100).unwrap();
        assert_eq!(sent.packets, 100);
        socket.set_nonblocking(true).unwrap();
        let mut ledger = Ledger::default();
        take_all(&socket, &mut ledger).unwrap();
        assert_eq!(ledger.received, Received { packets: 100, ..Received::default() });
    }

    proptest! {
        #[test]
        fn ledgers_agree_with_plain_counting(numbers in prop::collection::vec(0u32..200, 0..300)) {
            let mut ledger = Ledger { least_ns: 50, ..Ledger::default() };
            for number in &numbers {
                ledger.note(*number, u64::from(*number));
            }
            let unique: std::collections::BTreeSet<u32> = numbers.iter().copied().collect();
            let first_times = numbers.iter().enumerate().filter(|(at, number)| !numbers[..*at].contains(number));
            let late = first_times.filter(|(at, number)| numbers[..*at].iter().any(|earlier| earlier > number)).count();
            prop_assert_eq!(ledger.received.packets as usize, unique.len());
            prop_assert_eq!(ledger.received.early as usize, unique.iter().filter(|number| **number < 50).count());
            prop_assert_eq!(ledger.received.duplicates as usize, numbers.len() - unique.len());
            prop_assert_eq!(ledger.received.reordered as usize, late);
        }
    }
}
