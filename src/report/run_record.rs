//! [`RunRecord`]: what `run.json` says of a run, so that it can be judged and repeated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::files::json;

/// Everything that may have an influence on a run and is not in its other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of longhaul.
    pub version: String,
    /// The git revision that it was built from, when known.
    pub revision: Option<String>,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// When the run began, as text.
    pub started: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine.
    pub machine: Machine,
    /// The user's id.
    pub uid: u32,
    /// Whether the user is root outside any user namespace.
    pub root: bool,
    /// What delayed the packets of each node, in the matrix's order.
    pub backends: Vec<NodeBackend>,
    /// What the kernel and the user can do, as `doctor` says it.
    pub capabilities: BTreeMap<String, String>,
    /// The seed of the probe schedule.
    pub seed: u64,
    /// Probes per path.
    pub probes: u32,
    /// Time between two probes of a path, as text with its unit.
    pub interval: String,
    /// Where the intended matrix comes from.
    pub matrix: MatrixSource,
    /// What paths were judged by, in words.
    pub tolerance: String,
    /// What the paths take without impairment, in words, when it was measured.
    pub base_path: Option<String>,
    /// The nodes that were not measured, or not to the end, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
    /// How well the probes were sent and collected.
    pub probing: Probing,
    /// What else the machine was doing, when it could be seen.
    pub host_noise: Option<HostNoise>,
}

/// How well the probes of a run were sent and collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probing {
    /// Probes whose sending was stamped by the prober instead of the kernel.
    pub user_stamped: u64,
    /// Copies of probes and answers that had arrived before.
    pub duplicates: u64,
    /// Instants before the sending: the clocks disagree.
    pub backwards: u64,
    /// Records of probes that nobody planned.
    pub unexpected: u64,
    /// Probes that a kernel refused to send.
    pub refused: u64,
    /// How late the latest node's median probe was sent. Not part of the measured delays.
    pub lateness_p50: Option<String>,
    /// Packets that the delay elements dropped: an error of the emulation, not of the network.
    pub emulation_drops: u64,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many processors the run could use.
    pub cpus: usize,
}

/// The back-end of a node and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeBackend {
    /// The node's name.
    pub node: String,
    /// What delays its packets: `netem` or `userspace`.
    pub backend: String,
    /// Why it was chosen.
    pub reason: String,
}

/// A matrix and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixSource {
    /// The file or generator, as it was given.
    pub source: String,
    /// A digest of its content with the name of the algorithm in front, such as `sha256:…`.
    pub digest: String,
}

/// What else the machine was doing during a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostNoise {
    /// Mean number of runnable processes in the last minute.
    pub load1: f64,
    /// Share of processor time taken by other guests of the host, 0 to 1.
    pub steal: f64,
}

impl RunRecord {
    /// As indented JSON with a line break at the end.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> RunRecord {
        RunRecord {
            version: "0.1.0".to_owned(),
            revision: None,
            command: ["longhaul", "verify", "matrices/trade.csv"].map(str::to_owned).into(),
            started: "2026-11-21T10:00:00Z".to_owned(),
            kernel: "6.18.0".to_owned(),
            machine: Machine { cpu: "Example CPU".to_owned(), cpus: 2 },
            uid: 1000,
            root: false,
            backends: vec![NodeBackend {
                node: "n1".to_owned(),
                backend: "userspace".to_owned(),
                reason: "the kernel has no sch_netem".to_owned(),
            }],
            capabilities: BTreeMap::from([
                ("netem".to_owned(), "no".to_owned()),
                ("clsact".to_owned(), "yes".to_owned()),
            ]),
            seed: u64::MAX,
            probes: 10,
            interval: "20ms".to_owned(),
            matrix: MatrixSource { source: "matrices/trade.csv".to_owned(), digest: "sha256:00".to_owned() },
            tolerance: "larger of 5 % and 1ms".to_owned(),
            base_path: None,
            missing: BTreeMap::new(),
            probing: Probing::default(),
            host_noise: Some(HostNoise { load1: 0.5, steal: 0.01 }),
        }
    }

    #[test]
    fn records_read_back_as_they_were() {
        assert_eq!(serde_json::from_str::<RunRecord>(&record().to_json()).unwrap(), record());
    }

    #[test]
    fn records_have_their_shape() {
        insta::assert_snapshot!(record().to_json(), @r#"
        {
          "version": "0.1.0",
          "revision": null,
          "command": [
            "longhaul",
            "verify",
            "matrices/trade.csv"
          ],
          "started": "2026-11-21T10:00:00Z",
          "kernel": "6.18.0",
          "machine": {
            "cpu": "Example CPU",
            "cpus": 2
          },
          "uid": 1000,
          "root": false,
          "backends": [
            {
              "node": "n1",
              "backend": "userspace",
              "reason": "the kernel has no sch_netem"
            }
          ],
          "capabilities": {
            "clsact": "yes",
            "netem": "no"
          },
          "seed": 18446744073709551615,
          "probes": 10,
          "interval": "20ms",
          "matrix": {
            "source": "matrices/trade.csv",
            "digest": "sha256:00"
          },
          "tolerance": "larger of 5 % and 1ms",
          "base_path": null,
          "probing": {
            "user_stamped": 0,
            "duplicates": 0,
            "backwards": 0,
            "unexpected": 0,
            "refused": 0,
            "lateness_p50": null,
            "emulation_drops": 0
          },
          "host_noise": {
            "load1": 0.5,
            "steal": 0.01
          }
        }
        "#);
    }
}
