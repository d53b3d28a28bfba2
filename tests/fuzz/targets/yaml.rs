//! Impairment files, inventories, and the texts of selectors.

use std::collections::BTreeSet;
use std::path::Path;

use longhaul::intended::Intended;
use longhaul::inventory;
use longhaul::matrix::ReadOptions;
use longhaul::shaping::{Impairment, Selector};
use longhaul::timeline::parse_schedule;

use crate::claims;

pub(crate) const SELECTOR: &[&str] = &[
    "10.0.0.0/24",
    "fd00::/64",
    " ",
    "tcp",
    "udp",
    "icmp",
    ":",
    "-",
    "22",
    "5000-5010",
    "all",
    "/",
    "::",
    "%eth0",
    "/33",
    "/0",
    "::ffff:1.2.3.4",
];
pub(crate) const IMPAIRMENTS: &[&str] = &[
    "apiVersion: longhaul/v1\n",
    "matrix: net.csv\n",
    "defaults: ",
    "paths:\n",
    "- {",
    "}",
    "from: ",
    "to: ",
    "a*",
    "b",
    "jitter: ",
    "loss: ",
    "distribution: ",
    "normal",
    "pareto",
    "jitterCorrelation: ",
    "lossCorrelation: ",
    "bursts: {toBad: 1%, toGood: 10%, badLoss: 50%}",
    "duplicate: ",
    "corrupt: ",
    "reorder: ",
    "gap: ",
    "rate: ",
    "10mbit",
    "5%",
    "1ms",
    "seed: ",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "|\n",
    "---\n",
    "\n",
    "  ",
    "[",
    "]",
    ", ",
    "\"",
    "? ",
    "# ",
    "%",
];

/// A text says one thing, and says it again.
pub(crate) fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Selector>() {
        Err(error) => claims::message(&error),
        Ok(selector) => {
            assert_eq!(selector.to_string().parse(), Ok(selector));
            let canonical = selector.canonical();
            assert_eq!(canonical.canonical(), canonical);
            assert_eq!(canonical.to_string().parse(), Ok(canonical));
            let json = serde_json::to_string(&selector).unwrap();
            assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
        }
    }
}

const MATRIX: &str = "a1,a2,b\n0,10,20\n10,0,30.5\n20,30.5,0\n";

/// The file's text with a matrix of three nodes beside it; what each path does makes sense and survives the wire.
pub(crate) fn impairments(bytes: &[u8]) {
    let read =
        |path: &Path| Ok(if path == Path::new("net.yaml") { bytes.to_vec() } else { MATRIX.as_bytes().to_vec() });
    match Intended::load(Path::new("net.yaml"), ReadOptions::default(), read) {
        Err(error) => {
            claims::message(&error);
            place(&error.to_string(), bytes);
        }
        Ok(intended) => {
            for (from, to) in intended.matrix().paths() {
                let impairment = intended.path(from, to);
                assert_eq!(impairment.checked(), Ok(impairment));
                claims::message(&impairment);
                let json = serde_json::to_string(&impairment).unwrap();
                assert_eq!(serde_json::from_str::<Impairment>(&json).unwrap(), impairment);
                let _ =
                    (impairment.netem(), impairment.limit(), impairment.shortest_delay(), impairment.expected_loss());
            }
        }
    }
}

/// The line after the file's name, if there is one, is in the file.
pub(crate) fn place(message: &str, bytes: &[u8]) {
    let line = message.strip_prefix("net.yaml:").and_then(|rest| rest.split(':').next()?.parse().ok());
    if let Some(line) = line {
        claims::line_within(line, bytes);
    }
}

pub(crate) const INVENTORY: &[&str] = &[
    "apiVersion: longhaul/v1\n",
    "testbed: edge\n",
    "defaults: {user: root, interface: auto}\n",
    "hosts:\n",
    "- {name: a, ssh: 192.0.2.1}\n",
    "addresses: [",
    "networks: [",
    "10.0.0.1",
    "fd00::1",
    "10.42.2.0/24",
    "port: ",
    "sudo: true",
    "agent: ",
    "sshOptions: [",
    "sshCommand: [",
    "ssh: ",
    "user@host:22",
    "ssh://",
    "interface: eth0",
    "-o",
    "]",
    "}",
    ", ",
    "\n",
    "  ",
    "&a ",
    "*a",
    "\"",
    "65536",
    "-1",
];

/// What is read has what the rest of the program takes for granted.
pub(crate) fn inventory(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match inventory::parse("hosts.yaml", text) {
        Err(error) => {
            claims::message(&error);
            claims::line_within(error.line, bytes);
        }
        Ok(inventory) => {
            assert!((2..=inventory::MAX_HOSTS).contains(&inventory.hosts.len()));
            let names: BTreeSet<_> = inventory.hosts.iter().map(|host| &host.name).collect();
            assert_eq!(names.len(), inventory.hosts.len(), "a name stands twice");
            let addresses: Vec<_> = inventory.hosts.iter().flat_map(|host| &host.addresses).collect();
            assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len(), "an address stands twice");
        }
    }
}

pub(crate) const SCHEDULE: &[&str] = &[
    "apiVersion: longhaul/v1\n",
    "timeline:\n",
    "- {at: ",
    ", matrix: a.csv}\n",
    "every: ",
    "10m",
    "matrices: [a.csv, b.csv]\n",
    "repeat: ",
    "forever",
    "until: ",
    "length: ",
    "0s",
    "366d",
    "1e308",
    "-1",
    "18446744073709551615",
    "&a ",
    "*a",
];

/// Steps come in order, each with a file.
pub(crate) fn schedule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_schedule("plan.yaml", text) {
        Err(error) => claims::message(&error),
        Ok(schedule) => {
            assert!(!schedule.steps.is_empty(), "no step");
            assert!(schedule.steps.is_sorted_by_key(|step| step.at), "{schedule:?}");
        }
    }
}
