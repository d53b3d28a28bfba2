//! [`Regions`]: regions on a line, each with the same number of nodes.

use super::GenerateError;
use crate::matrix::DelayMatrix;
use crate::topology::NodeName;
use crate::units::Delay;

/// Regions 1, 2, 3 … on a line. Nodes of one region are `within` apart, those of neighbouring regions `adjacent`, and
/// each region farther adds `step`: with the defaults 0.7, 3, 5, 7, 9 … ms.
///
/// The default values are those of the network-aware scheduler scenarios (Furnadzhiev et al., Computers 2025), which
/// give 0.7, 3, 5 and 7 ms as "the communication delay between nodes" and do not say whether that is one way or there
/// and back. They are read as one-way delays, in each direction. (The paper's tool for a live cluster pings, which
/// would yield round trips; who prefers that reading halves the three parameters.) That 5 and 7 ms belong to regions
/// two and three apart on a line is the reading of this project, too; the paper says "greater distances".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regions {
    /// How many regions.
    pub regions: usize,
    /// How many nodes each has.
    pub nodes_each: usize,
    /// The one-way delay between two nodes of one region.
    pub within: Delay,
    /// The one-way delay between neighbouring regions.
    pub adjacent: Delay,
    /// What each further region adds.
    pub step: Delay,
}

impl Regions {
    /// Regions with the default delays: 0.7 ms, 3 ms and 2 ms more for each step.
    pub const fn with_default_delays(regions: usize, nodes_each: usize) -> Self {
        Self {
            regions,
            nodes_each,
            within: Delay::from_micros(700),
            adjacent: Delay::from_millis(3),
            step: Delay::from_millis(2),
        }
    }

    /// Makes the matrix, with nodes r1-n1, r1-n2 and so on.
    pub fn generate(self) -> Result<DelayMatrix, GenerateError> {
        let nodes = self.regions.saturating_mul(self.nodes_each);
        GenerateError::check_nodes(nodes, format!("{} regions of {}", self.regions, self.nodes_each))?;
        GenerateError::check_longest(self.between(0, self.regions - 1), "adjacent and step")?;
        GenerateError::check_longest(self.within, "--within")?;
        let names = (0..nodes).map(|node| self.name(node)).collect::<Result<_, _>>()?;
        let delay = |from: usize, to: usize| {
            if from == to { Delay::ZERO } else { self.between(from / self.nodes_each, to / self.nodes_each) }
        };
        let delays = (0..nodes * nodes).map(|place| delay(place / nodes, place % nodes)).collect();
        Ok(DelayMatrix::new(names, delays)?)
    }

    fn name(self, node: usize) -> Result<NodeName, GenerateError> {
        let (region, number) = (node / self.nodes_each + 1, node % self.nodes_each + 1);
        Ok(format!("r{region}-n{number}").parse()?)
    }

    fn between(self, from: usize, to: usize) -> Delay {
        match from.abs_diff(to) {
            0 => self.within,
            apart => {
                let steps = self.step.as_nanos().saturating_mul(apart as u64 - 1);
                Delay::from_nanos(self.adjacent.as_nanos().saturating_add(steps))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn delays_grow_along_the_line() {
        let matrix = Regions::with_default_delays(5, 2).generate().unwrap();
        let from_first: Vec<f64> = (0..10).map(|to| matrix.delay(0, to).as_millis_f64()).collect();
        assert_eq!(from_first, [0.0, 0.7, 3.0, 3.0, 5.0, 5.0, 7.0, 7.0, 9.0, 9.0]);
        let names: Vec<&str> = matrix.names().iter().map(NodeName::as_str).collect();
        assert_eq!(names[..4], ["r1-n1", "r1-n2", "r2-n1", "r2-n2"]);
        for (from, to) in matrix.paths() {
            assert_eq!(matrix.delay(from, to), matrix.delay(to, from));
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let of = |regions, each| Regions::with_default_delays(regions, each).generate().unwrap_err().to_string();
        assert_eq!(of(1, 1), "1 nodes (1 regions of 1) are not between 2 and 8192");
        assert_eq!(of(0, 5), "0 nodes (0 regions of 5) are not between 2 and 8192");
        assert_eq!(of(64, 129), "8256 nodes (64 regions of 129) are not between 2 and 8192");
        let far = Regions { step: Delay::from_millis(60_000), ..Regions::with_default_delays(3, 1) };
        assert_eq!(
            far.generate().unwrap_err().to_string(),
            "adjacent and step can give a delay of 60.003s; at most 60s is allowed"
        );
    }
}
