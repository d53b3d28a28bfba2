//! [`Course`]: everybody who is measured, all started, and slices of load for each in turn.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Uri};

use super::peers::Peer;
use super::processes::Process;
use super::turns::in_turns;
use crate::balance::Qos;
use crate::serving::Clock;
use crate::units::Span;
use crate::workload::Arrivals;
use crate::workload::load::{self, LoadOptions, Record, Schedule, Source, Summary, summarise};

/// How often a program is looked at during a slice.
const LOOK: Duration = Duration::from_secs(1);

/// From the start of loads in turns to the first request.
const LEAD: Span = Span::from_millis(100);

/// What everybody is measured with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The services that all proxies have behind them.
    pub(super) services: usize,
    /// Clients of the load, each with connections of its own.
    pub(super) clients: u32,
    /// Of a slice.
    pub(super) length: Span,
}

/// Everybody who is measured.
#[derive(Debug)]
pub(super) struct Course {
    peers: BTreeMap<Peer, Process>,
    services: Vec<Process>,
    _folder: Folder,
    setting: Setting,
}

/// What one got of one repetition.
#[derive(Debug, Clone, Default)]
pub(super) struct Slice {
    /// Requests for a second of processor time.
    pub(super) per_core: f64,
    /// Processor time by time.
    pub(super) core_share: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Of the load itself, p99.
    pub(super) lateness_us: f64,
    pub(super) resident_mb: f64,
    /// Requests that the load sent, and those that the services say they answered; in turns, all of them together said as many.
    pub(super) requests: u64,
    pub(super) counted: u64,
    pub(super) looks: Vec<Look>,
}

/// What was seen of a program since the last look, or since the first request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Since the first request, in seconds.
    pub(super) at_s: f64,
    /// Processor time by time.
    pub(super) core: f64,
    pub(super) resident_mb: f64,
}

/// The slices of all, by repetition.
#[derive(Debug, Default)]
pub(super) struct Slices(BTreeMap<Peer, Vec<Slice>>);

impl Slices {
    /// Those of one; none if it was not there.
    pub(super) fn of(&self, peer: Peer) -> &[Slice] {
        self.0.get(&peer).map_or(&[], Vec::as_slice)
    }

    /// One more.
    pub(super) fn push(&mut self, peer: Peer, slice: Slice) {
        self.0.entry(peer).or_default().push(slice);
    }
}

/// Files of a run, removed at its end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Course {
    /// Starts everybody who is installed.
    pub(super) fn start(policy: &str, setting: Setting) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("longhaul-bench-{}-{}", std::process::id(), setting.services));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let folder = Folder(folder);
        let service = |number| Process::ours(None, &["service", "--time", "0ms", "--name", &format!("i{number}")]);
        let services = (0..setting.services).map(service).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses: Vec<_> = services.iter().map(|service| service.address).collect();
        let mut peers = BTreeMap::new();
        for peer in Peer::ALL.into_iter().filter(|peer| peer.is_there()) {
            peers.insert(peer, peer.start(&folder.0, &addresses, policy)?);
        }
        Ok(Self { peers, services, _folder: folder, setting })
    }

    /// Slices of load at `rate` requests per second for each, after one that is not counted.
    pub(super) fn slices(&self, repeat: u32, rate: u32, say: impl Fn(&str)) -> anyhow::Result<Slices> {
        let mut slices = Slices::default();
        let peers: Vec<Peer> = self.peers.keys().copied().collect();
        for repetition in 0..=repeat {
            let first = repetition as usize % peers.len();
            for peer in peers[first..].iter().chain(&peers[..first]) {
                say(&format!("{rate} requests/s, {} of {repeat}: {}", repetition.max(1), peer.name()));
                let slice = self.slice(*peer, rate, u64::from(repetition))?;
                if repetition > 0 {
                    slices.push(*peer, slice);
                }
            }
        }
        Ok(slices)
    }

    /// The same with all loads in turns of a tenth of a second; a repetition before them is not counted.
    pub(super) fn turns(&self, repeat: u32, rate: u32, say: impl Fn(&str)) -> anyhow::Result<Slices> {
        let mut slices = Slices::default();
        for repetition in 0..=repeat {
            say(&format!("{rate} requests/s, {} of {repeat}", repetition.max(1)));
            let taken = self.round(rate, u64::from(repetition))?;
            if repetition > 0 {
                for (peer, slice) in taken {
                    slices.push(peer, slice);
                }
            }
        }
        Ok(slices)
    }

    /// A repetition of all loads at once, each in its turns.
    fn round(&self, rate: u32, seed: u64) -> anyhow::Result<Vec<(Peer, Slice)>> {
        let loads = self.peers.values().map(|process| self.options(process, rate, seed));
        let mut loads = loads.collect::<anyhow::Result<Vec<_>>>()?;
        let schedules = vec![self.schedule(rate, seed)?; loads.len()];
        for (load, trace) in loads.iter_mut().zip(in_turns(&schedules, seed)) {
            load.source = Source::Traced(trace);
        }
        let used = || self.peers.values().map(Process::used).collect::<anyhow::Result<Vec<_>>>();
        let (alone, behind) = (self.answered(Peer::Direct)?, self.answered(Peer::Longhaul)?);
        let (before, begun, clock) = (used()?, Instant::now(), Clock::start());
        let start = clock.now() + LEAD;
        let records = std::thread::scope(|scope| {
            let running = loads.iter().map(|load| scope.spawn(move || load::run_from(load, clock, start)));
            let running: Vec<_> = running.collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let (after, passed) = (used()?, begun.elapsed());
        let mut taken = Vec::new();
        for (((peer, process), records), (before, after)) in
            self.peers.iter().zip(records).zip(before.iter().zip(after))
        {
            let records = records.map_err(|_| anyhow::anyhow!("a load failed"))??;
            let measured = Measured { used: after.saturating_sub(*before), passed, looks: Vec::new() };
            taken.push((*peer, slice(*peer, process, &records, measured)?));
        }
        let sent = |direct| {
            let theirs = taken.iter().filter(move |(peer, _)| (*peer == Peer::Direct) == direct);
            theirs.map(|(_, one)| one.requests).sum::<u64>()
        };
        let (alone, behind) = (self.answered(Peer::Direct)? - alone, self.answered(Peer::Longhaul)? - behind);
        for (counted, requests) in [(alone, sent(true)), (behind, sent(false))] {
            anyhow::ensure!(counted == requests, "of {requests} requests services counted {counted}");
        }
        Ok(taken)
    }

    fn slice(&self, peer: Peer, rate: u32, seed: u64) -> anyhow::Result<Slice> {
        let process = self.peers.get(&peer).context("it is not there")?;
        let options = self.options(process, rate, seed)?;
        let (answered, before, begun) = (self.answered(peer)?, process.used()?, Instant::now());
        let (records, looks) = std::thread::scope(|scope| {
            let watched = scope.spawn(|| watch(process, self.setting.length));
            let records = load::run(&options);
            (records, watched.join())
        });
        let (records, looks) = (records?, looks.map_err(|_| anyhow::anyhow!("watching it failed"))??);
        let (used, passed) = (process.used()?.saturating_sub(before), begun.elapsed());
        let counted = self.answered(peer)? - answered;
        let slice = Slice { counted, ..slice(peer, process, &records, Measured { used, passed, looks })? };
        let requests = slice.requests;
        anyhow::ensure!(counted == requests, "{}: of {requests} requests services counted {counted}", peer.name());
        Ok(slice)
    }

    /// The requests that those who are behind `peer` say they have answered.
    fn answered(&self, peer: Peer) -> anyhow::Result<u64> {
        match self.peers.get(&peer).filter(|_| peer == Peer::Direct) {
            Some(alone) => alone.answered(),
            None => self.services.iter().map(Process::answered).sum(),
        }
    }

    fn schedule(&self, rate: u32, seed: u64) -> anyhow::Result<Schedule> {
        let Setting { clients, length: duration, .. } = self.setting;
        let pace = format!("{}/s", f64::from(rate) / f64::from(clients)).parse()?;
        Ok(Schedule { clients, pace, arrivals: Arrivals::Poisson, duration, seed })
    }

    fn options(&self, process: &Process, rate: u32, seed: u64) -> anyhow::Result<LoadOptions> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(process.address.to_string())?);
        Ok(LoadOptions {
            source: Source::Drawn(self.schedule(rate, seed)?),
            target: process.address,
            uri: Uri::from_static("/x"),
            method: Method::GET,
            headers,
            body: bytes::Bytes::new(),
            http2: false,
            timeout: Span::from_secs(5),
            connections: 64,
            in_flight: 10_000,
        })
    }
}

/// What was seen of a program during its load.
struct Measured {
    used: Span,
    passed: Duration,
    looks: Vec<Look>,
}

/// What one got, by the records of its load.
fn slice(peer: Peer, process: &Process, records: &[Record], measured: Measured) -> anyhow::Result<Slice> {
    let qos = Qos { within: Span::from_secs(1), at_least: 0.0, window: Span::from_secs(10) };
    let summary = summarise(records, &qos);
    all_answered(&summary, peer)?;
    let Measured { used, passed, looks } = measured;
    let (latency, lateness) = (summary.latency.context("no latency")?, summary.lateness.context("no lateness")?);
    Ok(Slice {
        per_core: summary.requests as f64 / used.as_secs_f64(),
        core_share: used.as_secs_f64() / passed.as_secs_f64(),
        p50_us: latency.p50_ms * 1e3,
        p99_us: latency.p99_ms * 1e3,
        lateness_us: lateness.p99_ms * 1e3,
        resident_mb: process.resident_mb()?,
        requests: summary.requests as u64,
        counted: summary.requests as u64,
        looks,
    })
}

/// Looks at a program each second for so long.
fn watch(process: &Process, length: Span) -> anyhow::Result<Vec<Look>> {
    let begun = Instant::now();
    let mut looks = Vec::new();
    let mut before = (process.used()?, Duration::ZERO);
    let mut next = LOOK;
    while next <= length.as_duration() {
        std::thread::sleep(next.saturating_sub(begun.elapsed()));
        next += LOOK;
        let now = (process.used()?, begun.elapsed());
        let used = now.0.saturating_sub(before.0).as_secs_f64();
        let core = used / now.1.saturating_sub(before.1).as_secs_f64();
        looks.push(Look { at_s: now.1.as_secs_f64(), core, resident_mb: process.resident_mb()? });
        before = now;
    }
    Ok(looks)
}

/// Errors are fast: whoever makes them is not measured.
fn all_answered(summary: &Summary, peer: Peer) -> anyhow::Result<()> {
    let good = summary.endings.get("ok").copied().unwrap_or(0);
    let others: Vec<String> = summary.endings.iter().map(|(name, count)| format!("{count} {name}")).collect();
    anyhow::ensure!(good == summary.requests, "{}: {}", peer.name(), others.join(", "));
    Ok(())
}
