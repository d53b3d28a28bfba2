//! The traffic stress graph: algorithm 1 and equation (3) of paper 001, from counters of bytes.

use crate::placement::problem::{Edge, ServiceIndex};

/// The samples of a pair's counters over the window, oldest first, one each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// The upstream service, whose sidecar counts.
    pub from: ServiceIndex,
    /// The downstream service.
    pub to: ServiceIndex,
    /// Bytes received during requests: `istio_tcp_received_bytes_total`.
    pub received: Vec<u64>,
    /// Bytes sent during responses: `istio_tcp_sent_bytes_total`.
    pub sent: Vec<u64>,
}

/// Bytes in a step, in the mean. A counter that is less than before began anew at zero; what it counted in the meantime before
/// that is lost. The samples are one more than the steps between them: the paper's program divides by the samples. Without two
/// samples nothing is known, and nothing counts.
pub fn per_step(samples: &[u64]) -> u64 {
    let grown = samples.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] });
    let steps = samples.len().saturating_sub(1) as u64;
    grown.fold(0u64, u64::saturating_add).checked_div(steps).unwrap_or(0)
}

/// The stress of a pair in bytes a step: half of what is sent and received together.
pub fn stress(edge: &Edge) -> f64 {
    f64::midpoint(edge.request as f64, edge.response as f64)
}

/// Who talks to whom, as of the last answer of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StressGraph {
    edges: Vec<Edge>,
    stale: bool,
}

impl StressGraph {
    /// Takes in counters; without an answer the last graph stays, and is stale. Pairs without traffic, and services that count
    /// themselves, are left out.
    pub fn update(&mut self, answer: Option<&[Counters]>) {
        self.stale = answer.is_none();
        let Some(counters) = answer else { return };
        let edge = |pair: &Counters| {
            let (request, response) = (per_step(&pair.received), per_step(&pair.sent));
            Edge { from: pair.from, to: pair.to, request, response }
        };
        let edges = counters.iter().map(edge);
        self.edges = edges.filter(|edge| edge.from != edge.to && edge.request + edge.response > 0).collect();
    }

    /// The edges, for a problem.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Whether the mesh did not answer the last time.
    pub fn is_stale(&self) -> bool {
        self.stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_bytes_a_step_whatever_happens_to_them() {
        for (samples, bytes) in [
            (&[][..], 0),
            (&[7], 0),
            (&[100, 200, 300, 400], 100),
            // Eleven samples are ten steps.
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1),
            // Began anew once: 50 + 30 + 50; and at the end.
            (&[1000, 1050, 30, 80], 43),
            (&[1000, 1100, 0], 50),
            (&[5, 5, 5], 0),
        ] {
            assert_eq!(per_step(samples), bytes, "{samples:?}");
        }
    }

    #[test]
    fn a_graph_stays_when_nobody_answers() {
        let pair = |from, to, received: &[u64], sent: &[u64]| Counters {
            from,
            to,
            received: received.to_vec(),
            sent: sent.to_vec(),
        };
        let mut graph = StressGraph::default();
        let counters = [pair(0, 1, &[0, 20], &[0, 60]), pair(1, 2, &[9, 9], &[4, 4]), pair(2, 2, &[0, 9], &[0, 9])];
        graph.update(Some(&counters));
        let known = [Edge { from: 0, to: 1, request: 20, response: 60 }];
        assert_eq!((graph.edges(), graph.is_stale()), (&known[..], false));
        assert!((stress(&known[0]) - 40.0).abs() < 1e-12);
        graph.update(None);
        assert_eq!((graph.edges(), graph.is_stale()), (&known[..], true));
        graph.update(Some(&[]));
        assert_eq!((graph.edges(), graph.is_stale()), (&[][..], false));
    }
}
