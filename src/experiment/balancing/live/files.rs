//! Command lines and files of the programs of a trial. What is written is JSON, which is YAML too.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::balance::{Setting, build};
use crate::experiment::balancing::Balancing;
use crate::experiment::balancing::simulate::phases;
use crate::experiment::plan::Trial;
use crate::experiment::time_scale::TimeScale;
use crate::parameters::ParameterError;
use crate::topology::{Node, NodeIndex};
use crate::units::Span;

use super::Script;

/// The service's name.
const SERVICE: &str = "service";

/// A service that no proxy has. Instances are listed under it until the start: their distances are known by then.
const REHEARSAL: &str = "rehearsal";

/// Where a node's proxy listens, for the node's own clients.
const PROXY: &str = "127.0.0.1:8080";

/// Where the proxy of each node answers probes.
const PROBE_PORT: u16 = 9_091;

/// Where the first instance listens; the next one a port above.
pub const SERVICE_PORT: u16 = 10_000;

/// A proxy goes by the median of its last five answers. Five in every interval of the plan, and a change of the network is seen as
/// soon as by a simulated balancer, which sends five probes at once.
const PROBES: u64 = 5;

/// More than any trial has under way: nothing is to be refused for want of a place.
const PLENTY: u32 = 1_000_000;

/// The longest idle connection that a proxy allows.
const LONGEST: &str = "86400s";

/// A node of the testbed with the addresses by which others reach it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// All nodes.
    pub nodes: &'a [Node],
}

impl Place<'_> {
    fn address(&self, node: NodeIndex) -> Ipv4Addr {
        self.nodes.get(node).and_then(|node| node.ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// Where an instance of the script listens.
    pub fn instance(&self, script: &Script, number: usize) -> SocketAddr {
        let port = u16::try_from(usize::from(SERVICE_PORT) + number).unwrap_or(SERVICE_PORT);
        (self.address(script.instances[number].node), port).into()
    }

    fn probe(&self, node: NodeIndex) -> SocketAddr {
        (self.address(node), PROBE_PORT).into()
    }
}

/// The file of instances, with those that balancers are to know; until the service is `open`, proxies only measure how far
/// they are.
pub fn instances_file(script: &Script, present: &[usize], place: Place, open: bool) -> String {
    let service = if open { SERVICE } else { REHEARSAL };
    let instances: Vec<Value> = present
        .iter()
        .map(|number| {
            let instance = &script.instances[*number];
            let (address, probe) = (place.instance(script, *number), place.probe(instance.node));
            json!({"name": instance.name, "service": service, "address": address, "probe": probe})
        })
        .collect();
    json!({"apiVersion": "longhaul/v1", "instances": instances}).to_string()
}

/// The configuration of a node's proxy, which finds its instances in the file `instances`.
pub fn proxy_config(
    (plan, trial): (&Balancing, &Trial),
    scale: TimeScale,
    node: NodeIndex,
    instances: &Path,
) -> Result<String, ParameterError> {
    let policy = trial.strategy.policy;
    let parameters = scale.parameters_on_testbed(policy, &trial.strategy.parameters)?;
    let parameters: Map<String, Value> =
        parameters.iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_string()))).collect();
    let qos = scale.qos_on_testbed(plan.qos);
    let timeout = scale.on_testbed(plan.timeout).to_string();
    let phase = trial_phase(plan, trial, node).map(|phase| scale.on_testbed(phase).to_string());
    Ok(json!({
        "apiVersion": "longhaul/v1",
        "listen": PROXY,
        "instances": instances,
        // Of 53 bits, as numbers of JSON are read by some as floats.
        "seed": trial.streams.below("proxy", node as u64).seed() >> 11,
        "probes": {
            "listen": format!("0.0.0.0:{PROBE_PORT}"),
            "interval": probe_interval(plan, scale).to_string(),
        },
        "limits": {"connections": PLENTY, "inFlight": PLENTY},
        "timeouts": {"connect": timeout, "request": timeout, "body": timeout, "idle": LONGEST, "head": LONGEST},
        "services": [{
            "name": SERVICE,
            "policy": policy.name(),
            "parameters": parameters,
            "phase": phase,
            "qos": {
                "within": qos.within.to_string(),
                "atLeast": qos.at_least,
                "window": qos.window.to_string(),
            },
        }],
    })
    .to_string())
}

/// How long after a probe a proxy sends the next, by the testbed's clock.
fn probe_interval(plan: &Balancing, scale: TimeScale) -> Span {
    Span::from_nanos(scale.on_testbed(plan.probe_every).as_nanos() / PROBES)
}

/// When the balancer of a node is first maintained: drawn as in simulation.
fn trial_phase(plan: &Balancing, trial: &Trial, node: NodeIndex) -> Option<Span> {
    let setting = Setting {
        qos: plan.qos,
        parameters: trial.strategy.parameters.clone(),
        stream: trial.streams.stream("none", 0),
    };
    let (_, policy) = trial.balancing()?;
    let interval = build(policy, setting).interval()?;
    Some(phases(plan, trial, node, Some(interval)).1)
}

/// The command line of a proxy.
pub fn proxy_words(config: &Path) -> Vec<String> {
    ["proxy", "--config"].map(str::to_owned).into_iter().chain([config.display().to_string()]).collect()
}

/// The command line of an instance. Requests bring along what they take; one that does not takes the mean.
pub fn service_words(plan: &Balancing, script: &Script, number: usize, place: Place, scale: TimeScale) -> Vec<String> {
    let address = place.instance(script, number).to_string();
    let mean = scale.on_testbed(plan.service.time.mean()).to_string();
    let (cores, plenty) = (plan.service.cores.to_string(), PLENTY.to_string());
    let name = script.instances[number].name.as_str();
    let words = ["service", "--listen", &address, "--name", name, "--time", &mean, "--asked-work"];
    words.into_iter().chain(["--cores", &cores, "--queue", &plenty]).map(str::to_owned).collect()
}

/// The command line of the load of a node: sends what `trace` says and writes what became of it to `records`. It is more patient
/// than the proxy, so that the proxy's word on a request that took too long is heard.
pub fn load_words(plan: &Balancing, scale: TimeScale, trace: &Path, records: &Path) -> Vec<String> {
    let timeout = scale.on_testbed(plan.timeout);
    let patience = (timeout + timeout + Span::from_secs(1)).to_string();
    let within = scale.on_testbed(plan.qos.within).to_string();
    let (trace, records, plenty) = (trace.display().to_string(), records.display().to_string(), PLENTY.to_string());
    let target = format!("http://{PROXY}/");
    // Lateness is judged by who has the records of all nodes.
    let words = ["load", &target, "--start-on-input", "--trace", &trace, "--csv", &records, "--timeout", &patience];
    let more = ["--within", &within, "--in-flight", &plenty, "--connections", "60000", "--lateness", LONGEST];
    words.into_iter().chain(more).map(str::to_owned).collect()
}
