//! Plans, the files of the proxy, and what clients send to it.

use std::collections::BTreeSet;
use std::path::Path;

use longhaul::experiment::plan::{MAX_TRIALS, Plan, PlanError};
use longhaul::proxy;
use longhaul::serving::{Framing, Refusal};

use crate::claims;

pub(crate) const PLAN: &[&str] = &[
    "apiVersion: longhaul/v1\n",
    "name: it\n",
    "question: what\n",
    "testbed: simulation\n",
    "testbed: lab\n",
    "repetitions: 3\n",
    "seed: 7\n",
    "topologies: [{matrix: m.csv}]\n",
    "topologies: [{impairments: net.yaml}]\n",
    "strategies: [{policy: round-robin}]\n",
    "parameters: {alpha: 0.5}",
    "balancing:\n",
    "  duration: 20s\n",
    "timeline:\n",
    "  - {at: 5s, do: {fail: i1}}\n",
    "sweep:\n",
    "  - {vary: balancing.duration, over: [1s, 2s]}\n",
    "claims:\n",
    "  - {says: it, metric: jain, of: round-robin, between: [0, 1]}\n",
    "jitter: 1ms",
    "loss: 1%",
    "scale: 2",
    "add: 1ms",
    "&a ",
    "*a",
    "\n",
    "  ",
    ", ",
    "[",
    "]",
    "{",
    "}",
];

const MATRIX: &[u8] = b",a,b\na,0,10\nb,10,0\n";
const IMPAIRMENTS: &[u8] = b"apiVersion: longhaul/v1\nmatrix: m.csv\ndefaults: {jitter: 2ms, loss: 1%}\n";

/// A plan with a matrix and an impairment file beside it; what is read can be counted and told.
pub(crate) fn plan(bytes: &[u8]) {
    // Generators make large matrices of a few bytes; they have bounds of their own.
    let text = String::from_utf8_lossy(bytes);
    if ["addition", "regions", "cities"].iter().any(|generator| text.contains(generator)) {
        return;
    }
    let read = |path: &Path| {
        Ok(match path.to_str() {
            Some("plan.yaml") => bytes.to_vec(),
            Some("net.yaml") => IMPAIRMENTS.to_vec(),
            _ => MATRIX.to_vec(),
        })
    };
    match Plan::load(Path::new("plan.yaml"), read) {
        Err(error) => {
            claims::message(&error);
            let line = matches!(error, PlanError::Plan { .. })
                .then(|| error.to_string().strip_prefix("plan.yaml:")?.split(':').next()?.parse().ok());
            if let Some(line) = line.flatten() {
                claims::line_within(line, bytes);
            }
        }
        Ok(plan) => {
            let trials: BTreeSet<_> = plan.trials().take(1_000).map(|trial| trial.id).collect();
            assert!(!trials.is_empty(), "a plan of nothing");
            let count: usize = plan.points.iter().map(|point| point.topologies.len() * point.strategies.len()).sum();
            assert!(count as u64 * u64::from(plan.repetitions) <= MAX_TRIALS);
            for point in &plan.points {
                assert!(!point.subject.words().is_empty());
                assert!(point.topologies.iter().all(|topology| topology.matrix.len() == 2));
            }
        }
    }
}

pub(crate) const PROXY: &[&str] = &[
    "apiVersion: longhaul/v1\n",
    "listen: 127.0.0.1:0\n",
    "admin: unix:/run/p.sock\n",
    "instances: i.yaml\n",
    "serviceHeader: X-Service\n",
    "probes: {listen: '0.0.0.0:9', interval: 1s}\n",
    "limits: {inFlight: 5}\n",
    "timeouts: {request: 1s}\n",
    "services:\n",
    "  - {name: a, policy: qedgeproxy}\n",
    "parameters: {gamma: 0.5}",
    "qos: {within: 80ms, atLeast: 0.9, window: 10s}",
    "  - {name: a, service: s, address: '10.0.0.1:80', probe: '[fd00::1]:9'}\n",
    ".nan",
    ".inf",
    "&a ",
    "*a",
    "<<: ",
    "\n",
    "{",
    "}",
    "[",
    "]",
];

/// What is read is within the bounds that the rest of the proxy takes for granted.
pub(crate) fn proxy_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match proxy::parse("proxy.yaml", text) {
        Err(error) => claims::message(&error),
        Ok(config) => {
            assert!(!config.services.is_empty() && config.limits.in_flight > 0 && config.limits.connections > 0);
            let shares = config.services.values().map(|service| service.qos.at_least);
            assert!(shares.into_iter().all(|share| (0.0..=1.0).contains(&share)));
            assert!(config.services.iter().all(|(name, service)| *name == service.name));
        }
    }
}

/// Names stand once, in order.
pub(crate) fn instances(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match proxy::parse_instances("instances.yaml", text) {
        Err(error) => claims::message(&error),
        Ok(instances) => {
            let names: Vec<_> = instances.iter().map(|one| (&one.service, &one.name)).collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        }
    }
}

pub(crate) const HTTP: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "\r\n",
    "\n",
    "\r",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "5;x=y\r\n",
    "T: 1\r\n",
    " ",
    "\t",
    ":",
    "hello",
    "ffffffffffffffff\r\n",
];

/// Where messages end does not depend on how the bytes come; what stands before a refused message is whole, and a refusal comes
/// no later with more bytes behind.
pub(crate) fn http(bytes: &[u8]) {
    let whole = Framing::default().feed(bytes);
    for size in [1, 2, 3, 7, 64] {
        let mut framing = Framing::default();
        let pieces = bytes.chunks(size).try_for_each(|piece| framing.feed(piece));
        assert_eq!(what(pieces), what(whole), "in pieces of {size}");
    }
    let Err(Refusal { at, in_head, .. }) = whole else { return };
    assert!(at < bytes.len().max(1), "refused at {at} of {}", bytes.len());
    if in_head {
        let mut framing = Framing::default();
        assert_eq!(framing.feed(&bytes[..at]), Ok(()));
        assert!(!framing.is_amid_head() && !framing.is_amid_body(), "what stands before is not whole");
    }
    let longer = [bytes, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(Framing::default().feed(&longer), whole);
}

fn what(verdict: Result<(), Refusal>) -> Option<&'static str> {
    verdict.err().map(|refusal| refusal.what)
}
