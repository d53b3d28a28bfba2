//! The prober's own noise: full meshes on a bare bridge, without any injected delay.
//!
//! `cargo bench --bench prober_noise [-- NODES…]` prints one line for each mesh (9 and 30 nodes unless told).
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/bridged_nodes.rs"]
mod bridged_nodes;

use std::time::{SystemTime, UNIX_EPOCH};

use bridged_nodes::{Bridged, enter_own_namespaces, order, v4};
use longhaul::measure::{ProbeReport, collect};
use longhaul::units::Span;

const PROBES: u32 = 10;

fn main() {
    enter_own_namespaces();
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let meshes = if asked.is_empty() { vec![9, 30] } else { asked };
    println!("nodes  one-way us p50/p90/p99/max      rtt us p50/p99       late us p50/p99  lost  mesh s  plan s");
    for nodes in meshes {
        // Each mesh in a namespace of its own: the bridges would have one name.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        measure(nodes);
    }
}

fn measure(nodes: usize) {
    let lab = Bridged::build(nodes);
    lab.introduce();
    let order = order(nodes, v4, PROBES, Span::from_millis(10));
    let everybody: Vec<usize> = (0..nodes).collect();
    let reports = lab.measure(&everybody, &order);
    let ended_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let took = (ended_ns - u128::from(order.start_realtime_ns)) as f64 / 1e9;
    let samples = collect(&reports, PROBES).samples;
    let mut one_way: Vec<u64> = samples.iter().filter_map(|sample| Some(sample.one_way?.as_nanos())).collect();
    let mut rtt: Vec<u64> = samples.iter().filter_map(|sample| Some(sample.rtt?.as_nanos())).collect();
    one_way.sort_unstable();
    rtt.sort_unstable();
    let late =
        |pick: fn(&ProbeReport) -> Span| reports.iter().flatten().map(pick).max().unwrap().as_nanos() as f64 / 1e3;
    println!(
        "{nodes:5}  {:7.1} {:7.1} {:7.1} {:7.1}   {:8.1} {:8.1}   {:8.1} {:8.1}  {:4}  {took:6.3}  {:6.3}",
        at(&one_way, 50),
        at(&one_way, 90),
        at(&one_way, 99),
        at(&one_way, 100),
        at(&rtt, 50),
        at(&rtt, 99),
        late(|report| report.lateness.unwrap().p50),
        late(|report| report.lateness.unwrap().p99),
        samples.len() - one_way.len(),
        order.plan().duration().as_millis_f64() / 1e3,
    );
    let unstamped: u32 = reports.iter().flatten().map(|report| report.user_stamped).sum();
    let refused: u32 = reports.iter().flatten().map(|report| report.refused).sum();
    if unstamped + refused > 0 {
        println!("       {unstamped} probes without a kernel stamp, {refused} refused");
    }
}

/// A percentile by nearest rank, in microseconds.
fn at(ascending: &[u64], percent: usize) -> f64 {
    let rank = (ascending.len() * percent).div_ceil(100).max(1);
    ascending.get(rank - 1).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}
