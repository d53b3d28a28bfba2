//! What scheduling costs by the plug-ins of paper 003: 50 regions of 100 nodes, 5,000 pods of one group.
//!
//! `cargo bench --bench scheduler_plugins` prints, for each plug-in, the time of a pod when the cluster is empty, half and nearly full
//! of the group: median and 99th percentile, the tiers with 20 ms of time; then whole groups of the paper's scenarios at once.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use longhaul::parameters::{Given, Parameters};
use longhaul::placement::plugins::tiered::{Clock, Tiered};
use longhaul::placement::plugins::{GroupScheduler, Objectives, PLUGINS, Plugin, find, worth};
use longhaul::placement::problem::{Draft, Host, Resource, Service, ServiceIndex};
use longhaul::placement::scheduling::{Cluster, Scorer, Ties, schedule};
use longhaul::placement::{NO_HURRY, Problem, Setting};
use longhaul::topology::NodeName;
use longhaul::units::{Delay, Moment, Span};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const PODS: usize = 5_000;

/// How long the tiers may take for a pod.
const PATIENCE: Span = Span::from_millis(20);

/// How many pods are timed at each stage.
const TIMED: usize = 50;

fn main() {
    let problem = regions(50, 100, PODS);
    println!("one service after the other, 5,000 nodes, 5,000 pods");
    println!("plug-in       in place   us p50/p99");
    println!("{:12} {:>9}  {:>12}", "(loop)", 0, one_by_one(&mut Nothing, &problem, 0));
    for plugin in PLUGINS {
        let mut scorer = scorer(plugin);
        for placed in [0, PODS / 2, PODS - TIMED] {
            println!("{:12} {placed:>9}  {:>12}", plugin.policy.name, one_by_one(scorer.as_mut(), &problem, placed));
        }
    }
    println!("all 5,000 by argmax: {:.1} s", all(&mut *scorer(find("argmax").unwrap()), &problem));
    println!("a group at once\nplug-in      regions x nodes  pods        ms   worth");
    for (count, each, pods) in [(3, 5, 10), (3, 10, 20), (4, 10, 40), (4, 20, 80)] {
        let problem = regions(count, each, pods);
        for plugin in PLUGINS {
            let scenario = format!("{count} x {each}");
            println!("{:12} {scenario:>15} {pods:>5}  {}", plugin.policy.name, at_once(plugin, &problem));
        }
    }
}

fn scorer(plugin: &Plugin) -> Box<dyn Scorer> {
    let mut setting = setting(plugin, &[]);
    if plugin.policy.name != "tiered" {
        return (plugin.scorer)(setting);
    }
    let objectives = Objectives::new(&setting.parameters);
    let annealing = find("annealing").unwrap();
    setting.parameters = Parameters::new("annealing", annealing.policy.parameters, &Given::new()).unwrap();
    let slow = (annealing.group)(setting);
    Box::new(Tiered { objectives, slow, ahead: 50, clock: Wall(Instant::now()), patience: PATIENCE })
}

/// The clock on the wall.
struct Wall(Instant);

impl Clock for Wall {
    fn now(&self) -> Moment {
        Moment::from_nanos(nanos(self.0))
    }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

struct Nothing;

impl Scorer for Nothing {
    fn scores(&mut self, _: &Cluster<'_>, _: ServiceIndex, nodes: &[usize]) -> Vec<f64> {
        vec![0.0; nodes.len()]
    }
}

/// The time of a pod after so many have been placed, 16 on each node in turn.
fn one_by_one(scorer: &mut dyn Scorer, problem: &Problem, placed: usize) -> String {
    let mut cluster = Cluster::empty(problem);
    for pod in 0..placed {
        cluster.put(pod, pod / 16);
    }
    let mut times = Vec::new();
    for pod in placed..placed + TIMED {
        let start = Instant::now();
        schedule(&mut cluster, pod, scorer, &mut Ties::Lowest);
        times.push(nanos(start) / 1000);
    }
    times.sort_unstable();
    format!("{}/{}", times[TIMED / 2], times[TIMED * 99 / 100])
}

/// The seconds that scheduling everybody takes.
fn all(scorer: &mut dyn Scorer, problem: &Problem) -> f64 {
    let mut cluster = Cluster::empty(problem);
    let start = Instant::now();
    for pod in 0..PODS {
        schedule(&mut cluster, pod, scorer, &mut Ties::Lowest);
    }
    start.elapsed().as_secs_f64()
}

fn at_once(plugin: &Plugin, problem: &Problem) -> String {
    let cluster = Cluster::empty(problem);
    let pods: Vec<ServiceIndex> = (0..problem.services().len()).collect();
    let mut scheduler: Box<dyn GroupScheduler> = (plugin.group)(setting(plugin, &[]));
    let start = Instant::now();
    let plan = scheduler.plan(&cluster, &pods, NO_HURRY);
    let took = start.elapsed().as_secs_f64() * 1000.0;
    // All by the same measure: the linear benefit, packing.
    let objectives = Objectives { packing: true, lambda_ms: None, weights: [1.0; 3], rounded: false };
    format!("{took:8.1}  {:6.2}", worth(&objectives, &cluster, &pods, &plan.nodes))
}

fn setting(plugin: &Plugin, given: &[(&str, &str)]) -> Setting {
    let given: Given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let parameters = Parameters::new(plugin.policy.name, plugin.policy.parameters, &given).unwrap();
    Setting { parameters, stream: ChaCha8Rng::seed_from_u64(1) }
}

/// Nodes of 16 cores and 16 GiB in regions on a line, pods of one core and 1 GiB.
fn regions(regions: usize, each: usize, pods: usize) -> Problem {
    let nodes = regions * each;
    let host = |place| Host { name: NodeName::numbered(place + 1), capacity: vec![16_000, 16_384], used: vec![0, 0] };
    let pod =
        |place| Service { name: format!("p{place}"), demand: vec![1000, 1024], allowed: None, current: None, group: 0 };
    let delay = |i: usize| {
        let apart = (i / nodes / each).abs_diff(i % nodes / each);
        if apart == 0 { 700 } else { 1000 + 2000 * apart as u64 }
    };
    Problem::new(Draft {
        resources: [("cpu", 1000), ("memory", 1024)]
            .map(|(name, unit)| Resource { name: name.to_owned(), unit })
            .to_vec(),
        hosts: (0..nodes).map(host).collect(),
        services: (0..pods).map(pod).collect(),
        delays: (0..nodes * nodes).map(|i| Delay::from_micros(delay(i))).collect(),
        ..Draft::default()
    })
    .unwrap()
}
