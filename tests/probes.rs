//! The ICMP prober on real networks: namespaces on a bridge, without privileges. `ip`, `tc` and `ping` are the oracles.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/bridged_nodes.rs"]
mod bridged_nodes;
#[path = "support/garbage.rs"]
mod garbage;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bridged_nodes::{Bridged, in_own_namespaces, order, probe, v4, v6};
use longhaul::measure::{IcmpProber, ProbeError, ProbeOrder, ProbeReport, Prober, Sample, Stamps, StopSignal, collect};
use longhaul::units::{Delay, Rtt, Span};

/// No path of these tests takes as long unless it is made to.
const FAR_TOO_LONG: Delay = Delay::from_millis(50);

fn assert_whole(reports: &[Option<ProbeReport>], probes: u32) -> Vec<Sample> {
    let collected = collect(reports, probes);
    assert_eq!((collected.duplicates, collected.backwards, collected.unexpected), (0, 0, 0));
    let nodes = reports.len();
    assert_eq!(collected.samples.len(), nodes * (nodes - 1) * probes as usize);
    for sample in &collected.samples {
        let (one_way, rtt) = (sample.one_way.expect("arrived"), sample.rtt.expect("answered"));
        assert!(one_way > Delay::ZERO && one_way.as_nanos() <= rtt.as_nanos(), "{sample:?}");
        assert!(one_way < FAR_TOO_LONG, "{sample:?}");
    }
    for report in reports.iter().flatten() {
        assert_eq!((report.stamps, report.user_stamped, report.refused), (Stamps::Kernel, 0, 0));
        assert!(report.lateness.unwrap().p50 < Span::from_millis(50), "{:?}", report.lateness);
    }
    collected.samples
}

fn every_path_is_measured(nodes: usize, address: fn(usize) -> IpAddr) {
    let lab = Bridged::build(nodes);
    let order = order(nodes, address, 4, Span::from_millis(5));
    let everybody: Vec<usize> = (0..nodes).collect();
    let begin = Instant::now();
    let reports = lab.measure(&everybody, &order);
    assert_whole(&reports, 4);
    // Nothing was missing, so nobody sat out a grace much longer than this test may take.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn every_path_is_measured_over_ipv4() {
    in_own_namespaces("every_path_is_measured_over_ipv4", || every_path_is_measured(5, v4));
}

#[test]
fn every_path_is_measured_over_ipv6() {
    in_own_namespaces("every_path_is_measured_over_ipv6", || every_path_is_measured(4, v6));
}

#[test]
fn both_families_in_one_measurement() {
    in_own_namespaces("both_families_in_one_measurement", || {
        every_path_is_measured(4, |node| if node % 2 == 0 { v4(node) } else { v6(node) });
    });
}

#[test]
fn an_absent_node_counts_as_lost() {
    in_own_namespaces("an_absent_node_counts_as_lost", || {
        let lab = Bridged::build(4);
        lab.nodes[2].run("ip link set eth0 down");
        // Node 3 is up but nobody records there: its kernel still answers.
        let reports = lab.measure(&[0, 1], &order(4, v4, 3, Span::from_millis(5)));
        let collected = collect(&reports, 3);
        assert_eq!(collected.samples.len(), 4 * 3 * 3);
        for sample in &collected.samples {
            let seen = (sample.one_way.is_some(), sample.rtt.is_some());
            let expected = match (sample.from, sample.to) {
                (0, 1) | (1, 0) => (true, true),
                (0 | 1, 3) => (false, true),
                _ => (false, false),
            };
            assert_eq!(seen, expected, "{sample:?}");
        }
    });
}

#[test]
fn loss_is_told_by_direction() {
    in_own_namespaces("loss_is_told_by_direction", || {
        let lab = Bridged::build(2);
        // A link whose far end nobody listens at swallows what node 0 sends to node 1, but for neighbour discovery.
        lab.nodes[0].run("ip link add sink type veth peer name drain");
        lab.nodes[0].run("ip link set sink up");
        lab.nodes[0].run("ip link set drain up");
        lab.nodes[0].run("tc qdisc add dev eth0 clsact");
        lab.nodes[0].run(&format!(
            "tc filter add dev eth0 egress protocol ip u32 match ip dst {}/32 action mirred egress redirect dev sink",
            v4(1)
        ));
        let samples = collect(&lab.measure(&[0, 1], &order(2, v4, 3, Span::from_millis(5))), 3).samples;
        for sample in &samples {
            // Requests and answers of node 0 are dropped; the requests of node 1 arrive at it.
            assert_eq!((sample.one_way.is_some(), sample.rtt), (sample.from == 1, None), "{sample:?}");
            assert!(sample.sent_ns > 0);
        }
    });
}

#[test]
fn a_destination_without_a_route_is_refused_and_lost() {
    in_own_namespaces("a_destination_without_a_route_is_refused_and_lost", || {
        let lab = Bridged::build(1);
        let nowhere = |node| if node == 0 { v4(0) } else { IpAddr::from([203, 0, 113, 1]) };
        let reports = lab.measure(&[0], &order(2, nowhere, 3, Span::from_millis(1)));
        let report = reports[0].as_ref().unwrap();
        assert_eq!((report.sent.len(), report.refused), (3, 3));
        assert!(report.first_refusal.as_deref().unwrap().starts_with("203.0.113.1: Network is unreachable"));
    });
}

#[test]
fn round_trips_agree_with_ping() {
    in_own_namespaces("round_trips_agree_with_ping", || {
        let lab = Bridged::build(2);
        let samples = assert_whole(&lab.measure(&[0, 1], &order(2, v4, 20, Span::from_millis(5))), 20);
        let text = lab.nodes[0].run(&format!("ping -q -c 20 -i 0.01 {}", v4(1)));
        let pinged_ms: f64 = text.rsplit("= ").next().unwrap().split('/').nth(1).unwrap().parse().unwrap();
        let mut rtts: Vec<Rtt> =
            samples.iter().filter(|sample| sample.from == 0).filter_map(|sample| sample.rtt).collect();
        rtts.sort_unstable();
        let ratio = rtts[rtts.len() / 2].as_millis_f64() / pinged_ms;
        assert!((0.1..10.0).contains(&ratio), "median {} against {pinged_ms} ms of ping", rtts[rtts.len() / 2]);
    });
}

#[test]
fn the_wait_in_the_senders_own_queue_is_measured() {
    in_own_namespaces("the_wait_in_the_senders_own_queue_is_measured", || {
        let lab = Bridged::build(2);
        lab.nodes[0].run(&format!("tc qdisc add dev eth0 root {SLOW_QUEUE}"));
        assert_queued(&lab, "eth0");
    });
}

#[test]
fn the_wait_in_a_queue_that_packets_are_redirected_to_is_measured() {
    in_own_namespaces("the_wait_in_a_queue_that_packets_are_redirected_to_is_measured", || {
        let lab = Bridged::build(2);
        // The stamp must be the one before the detour. (What goes on from there is a copy without a socket, which this
        // kernel does not stamp again; the order of several stamps is tried without a network.)
        lab.nodes[0].run("ip link add lh0 type ifb");
        lab.nodes[0].run("ip link set lh0 up");
        lab.nodes[0].run(&format!("tc qdisc add dev lh0 root {SLOW_QUEUE}"));
        lab.nodes[0].run("tc qdisc add dev eth0 clsact");
        let (to, detour) = (v4(1), "action mirred egress redirect dev lh0");
        lab.nodes[0].run(&format!("tc filter add dev eth0 egress protocol ip u32 match ip dst {to}/32 {detour}"));
        assert_queued(&lab, "lh0");
    });
}

/// A probe has 74 bytes with its Ethernet header: at 64 kbit/s it takes 9 ms.
const SLOW_QUEUE: &str = "tbf rate 64kbit burst 200 limit 100000";

/// Measures between node 0, whose packets wait in the slow queue of `device`, and node 1.
fn assert_queued(lab: &Bridged, device: &str) {
    // One probe every 2 ms, and the answers to those of node 1, so the queue grows to ten and more packets.
    let samples = assert_or_delayed(&lab.measure(&[0, 1], &order(2, v4, 10, Span::from_millis(2))));
    let last = |from: usize| samples.iter().rfind(|sample| sample.from == from).unwrap();
    let waited = last(0).one_way.unwrap();
    assert!((Delay::from_millis(30)..Delay::from_millis(400)).contains(&waited), "{waited}");
    assert!(last(1).one_way.unwrap() < FAR_TOO_LONG, "the other direction has no queue");
    assert!(last(1).rtt.unwrap().as_nanos() > 30_000_000, "its answers have");
    let summary = lab.nodes[0].run(&format!("tc -s qdisc show dev {device}"));
    let queue = summary.split("qdisc ").find(|part| part.starts_with("tbf")).unwrap();
    assert!(queue.contains("dropped 0, overlimits") && !queue.contains("overlimits 0 "), "{summary}");
}

fn assert_or_delayed(reports: &[Option<ProbeReport>]) -> Vec<Sample> {
    assert!(reports.iter().flatten().all(|report| report.stamps == Stamps::Kernel));
    let samples = collect(reports, 10).samples;
    assert!(samples.iter().all(|sample| sample.one_way.is_some()), "{samples:?}");
    samples
}

#[test]
fn measurements_do_not_mix() {
    in_own_namespaces("measurements_do_not_mix", || {
        let lab = Bridged::build(2);
        let first = order(2, v4, 10, Span::from_millis(2));
        let second = ProbeOrder { run: first.run + 1, ..first.clone() };
        let wait = lab.nodes[0].begin({
            let first = first.clone();
            move || {
                // A second prober in the namespace of the first: threads that a thread starts share its namespace.
                let other = std::thread::spawn(move || probe(&second).unwrap());
                (probe(&first).unwrap(), other.join().unwrap())
            }
        });
        let peer = probe_as(&lab, 1, &first);
        let (report, stranger) = wait();
        assert_whole(&[Some(report), Some(peer)], 10);
        assert_eq!((stranger.received.len(), stranger.duplicates), (0, 0));
        assert!(stranger.sent.iter().all(|sent| sent.rx_ns.is_some()), "the kernel answers every run");
    });
}

/// Echoes of others, of the size of ours and with our mark in them, come by all the time.
#[test]
fn foreign_echoes_do_not_count() {
    in_own_namespaces("foreign_echoes_do_not_count", || {
        let lab = Bridged::build(2);
        let order = order(2, v4, 20, Span::from_millis(5));
        let mut strangers: Vec<std::process::Child> = Vec::new();
        for (from, to) in [(0, 1), (1, 0)] {
            let words = format!("-q -n -i 0.002 -s 32 -p 4c485042 {}", v4(to));
            let begin = move || {
                let words = words.split(' ');
                std::process::Command::new("ping").args(words).stdout(std::process::Stdio::null()).spawn().unwrap()
            };
            strangers.push(lab.nodes[from].begin(begin)());
        }
        let reports = lab.measure(&[0, 1], &order);
        for mut stranger in strangers {
            assert!(stranger.try_wait().unwrap().is_none(), "it has been pinging all the time");
            stranger.kill().unwrap();
            stranger.wait().unwrap();
        }
        assert_whole(&reports, 20);
    });
}

/// The kernel answers echoes, and nobody else: a prober only listens.
#[test]
fn a_prober_never_answers() {
    in_own_namespaces("a_prober_never_answers", || {
        let lab = Bridged::build(2);
        lab.nodes[1].run("sysctl -q -w net.ipv4.icmp_echo_ignore_all=1");
        let reports = lab.measure(&[0, 1], &order(2, v4, 5, Span::from_millis(2)));
        for sample in collect(&reports, 5).samples {
            assert!(sample.one_way.is_some(), "{sample:?}");
            assert_eq!(sample.rtt.is_some(), sample.from == 1, "{sample:?}");
        }
    });
}

fn probe_as(lab: &Bridged, me: usize, order: &ProbeOrder) -> ProbeReport {
    let order = ProbeOrder { me, ..order.clone() };
    lab.nodes[me].begin(move || probe(&order).unwrap())()
}

#[test]
fn a_thousand_peers() {
    in_own_namespaces("a_thousand_peers", || {
        let lab = Bridged::build(2);
        // Node 1 is all the peers, and the gateway to them: the kernel's neighbour table, one for all namespaces, has
        // room for about a thousand.
        let peer = |node: usize| match u16::try_from(node).unwrap().to_be_bytes() {
            [0, 0] => v4(0),
            [high, low] => [10, 10, high, low].into(),
        };
        lab.nodes[1].run("ip route add local 10.10.0.0/16 dev lo");
        lab.nodes[0].run("ip route add 10.10.0.0/16 via 10.9.0.2");
        let reports = lab.measure(&[0], &order(1_000, peer, 1, Span::from_millis(1)));
        let report = reports[0].as_ref().unwrap();
        assert_eq!((report.sent.len(), report.refused, report.user_stamped), (999, 0, 0), "{:?}", report.first_refusal);
        assert_eq!(report.sent.iter().filter(|sent| sent.rx_ns.is_none()).count(), 0);
    });
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

fn garbage_changes_nothing(address: fn(usize) -> IpAddr) {
    let lab = Bridged::build(3);
    let order = order(2, address, 60, Span::from_millis(10));
    let before = peak_memory();
    let stop = Arc::new(AtomicBool::new(false));
    let flooding = lab.nodes[2].begin({
        let (stop, run) = (Arc::clone(&stop), order.run);
        move || garbage::flood(run, [v4(2), v6(2)], &[address(0), address(1)], &stop)
    });
    let reports = lab.measure(&[0, 1], &order);
    stop.store(true, Ordering::Relaxed);
    let garbage = flooding();
    // A busy machine sends few in the second that the probes take.
    assert!(garbage > 100, "only {garbage} packets of garbage were sent");
    let collected = collect(&reports, 60);
    assert_eq!((collected.duplicates, collected.backwards, collected.unexpected), (0, 0, 0));
    let heard: Vec<&Sample> = collected.samples.iter().filter(|sample| sample.rtt.is_some()).collect();
    // A flood may fill a buffer on a slow machine; then a probe is lost, but never wrong.
    assert!(heard.len() >= 60, "{} of 120 probes were answered beside {garbage} packets of garbage", heard.len());
    for sample in heard {
        let rtt = sample.rtt.unwrap();
        assert!(rtt < Rtt::from_millis(500), "{sample:?}");
        assert!(sample.one_way.is_none_or(|one_way| one_way > Delay::ZERO && one_way.as_nanos() <= rtt.as_nanos()));
    }
    for report in reports.iter().flatten() {
        assert_eq!((report.stamps, report.refused, report.sent.len()), (Stamps::Kernel, 0, 60));
        assert!(report.received.len() <= 60 && report.received.iter().all(|probe| probe.from < 2));
    }
    let grown = peak_memory() - before;
    assert!(grown < 32 << 20, "{garbage} packets of garbage took {grown} bytes of memory");
}

#[test]
fn garbage_over_ipv4_changes_nothing() {
    in_own_namespaces("garbage_over_ipv4_changes_nothing", || garbage_changes_nothing(v4));
}

#[test]
fn garbage_over_ipv6_changes_nothing() {
    in_own_namespaces("garbage_over_ipv6_changes_nothing", || garbage_changes_nothing(v6));
}

#[test]
fn a_stop_ends_the_run_at_once() {
    in_own_namespaces("a_stop_ends_the_run_at_once", || {
        let stop = StopSignal::new().unwrap();
        let mut far = order(2, v4, 1, Span::from_millis(1));
        far.start_realtime_ns += 3_600_000_000_000;
        let begin = Instant::now();
        let runner = std::thread::spawn({
            let stop = stop.clone();
            move || IcmpProber::new(stop).run(&far)
        });
        stop.stop();
        assert!(matches!(runner.join().unwrap(), Err(ProbeError::Stopped)));
        assert!(begin.elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn wrong_orders_are_refused() {
    in_own_namespaces("wrong_orders_are_refused", || {
        let good = order(2, v4, 1, Span::from_millis(1));
        let message = |order: ProbeOrder| probe(&order).unwrap_err().to_string();
        assert_eq!(message(ProbeOrder { me: 2, ..good.clone() }), "the order is for node 2 of only 2");
        let many = message(ProbeOrder { probes: u32::MAX, ..good.clone() });
        assert_eq!(many, "the order asks for 4294967296 probes from one node; at most 4000000 are allowed");
        let alone = ProbeOrder { addresses: vec![v4(0)], probes: u32::MAX, ..good.clone() };
        assert_eq!(
            message(alone),
            "the order asks for 4294967296 probes from one node; at most 4000000 are allowed",
            "it has no peer, but its books would have more room than the machine"
        );
        let late = message(ProbeOrder { start_realtime_ns: 1, ..good.clone() });
        assert!(
            late.starts_with("the common start was missed by ") && late.ends_with("; set it further ahead"),
            "{late}"
        );
        let endless = message(ProbeOrder { interval: Span::from_nanos(u64::MAX), ..good });
        assert!(
            endless.starts_with("the schedule takes ") && endless.ends_with("; at most 86400s is allowed"),
            "{endless}"
        );
    });
}
