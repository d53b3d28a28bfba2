//! [`Distribution`]: how single delays stray from their mean, as tables of quantiles that both delay elements draw from.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::own_table::{OwnTable, entry};

/// What one jitter is in a table: netem's `NETEM_DIST_SCALE`.
pub const TABLE_SCALE: i16 = 8192;
/// Entries of a table. netem takes up to 16,384.
const TABLE_SIZE: usize = 4096;
/// The shape of the Pareto distribution. At 3 its variance is finite, and its tail is longer than the tables can say.
const PARETO_SHAPE: f64 = 3.0;
/// Steps per unit in the summing-up of the normal density.
const STEPS: f64 = 20_000.0;

/// How single delays are distributed around the mean; the jitter is what each table calls one.
///
/// No table reaches beyond four times the jitter, because the kernel's entries have 16 bits. That cuts the tail of the
/// Pareto distribution at its highest 0.8 %, which takes 2.3 % of the jitter from its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Distribution {
    /// Evenly between mean − jitter and mean + jitter.
    #[default]
    Uniform,
    /// The normal distribution; the jitter is its standard deviation.
    Normal,
    /// The Pareto distribution of shape 3, shifted to mean 0; the jitter is its standard deviation.
    Pareto,
    /// One quarter of the normal deviate and three quarters of the Pareto deviate of the same rank.
    ParetoNormal,
    /// A table of one's own; what its one is, is the jitter.
    Own(OwnTable),
}

/// What stands in front of the reference of an own table.
const OWN: &str = "own:";

impl Distribution {
    /// All that have a name.
    pub const ALL: [Self; 4] = [Self::Uniform, Self::Normal, Self::Pareto, Self::ParetoNormal];

    /// The quantiles in parts of [`TABLE_SCALE`]: in the middle of 4,096 equal parts, ascending; or those of an own table.
    pub fn table(self) -> Arc<[i16]> {
        static TABLES: [OnceLock<Arc<[i16]>>; 4] = [const { OnceLock::new() }; 4];
        if let Self::Own(table) = self {
            return table.entries();
        }
        let made = || self.quantiles().into_iter().map(entry).collect();
        Arc::clone(TABLES[usize::from(self.code())].get_or_init(made))
    }

    /// The number that stands for it where only a number can be kept; own tables have tags beside it.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Uniform | Self::Own(_) => 0,
            Self::Normal => 1,
            Self::Pareto => 2,
            Self::ParetoNormal => 3,
        }
    }

    /// The quantiles in units of the jitter.
    fn quantiles(self) -> Vec<f64> {
        let ranks = (0..TABLE_SIZE).map(|index| (index as f64 + 0.5) / TABLE_SIZE as f64);
        match self {
            Self::Uniform => ranks.map(|rank| 2.0 * rank - 1.0).collect(),
            Self::Normal => normal_quantiles(),
            Self::Pareto => ranks.map(pareto).collect(),
            Self::ParetoNormal => {
                ranks.zip(normal_quantiles()).map(|(rank, normal)| (normal + 3.0 * pareto(rank)) / 4.0).collect()
            }
            Self::Own(table) => {
                table.entries().iter().map(|entry| f64::from(*entry) / f64::from(TABLE_SCALE)).collect()
            }
        }
    }
}

/// The deviate of a rank under the Pareto distribution with least value 1, shifted and scaled to mean 0 and variance 1.
fn pareto(rank: f64) -> f64 {
    let a = PARETO_SHAPE;
    let mean = a / (a - 1.0);
    let deviation = (a / (a - 2.0)).sqrt() / (a - 1.0);
    ((1.0 - rank).powf(-1.0 / a) - mean) / deviation
}

/// Sums up the density from the middle outwards and notes where it passes each rank; the other half is its mirror image.
fn normal_quantiles() -> Vec<f64> {
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut step, mut sum, mut half) = (0.0, 0.0, Vec::with_capacity(TABLE_SIZE / 2));
    for index in 0..TABLE_SIZE / 2 {
        let wanted = (index as f64 + 0.5) / TABLE_SIZE as f64;
        loop {
            let slice = density((step + 0.5) / STEPS) / STEPS;
            if sum + slice >= wanted {
                half.push((step + (wanted - sum) / slice) / STEPS);
                break;
            }
            sum += slice;
            step += 1.0;
        }
    }
    half.iter().rev().map(|z| -z).chain(half.iter().copied()).collect()
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.pad("uniform"),
            Self::Normal => f.pad("normal"),
            Self::Pareto => f.pad("pareto"),
            Self::ParetoNormal => f.pad("paretonormal"),
            Self::Own(table) => f.pad(&table.name()),
        }
    }
}

impl FromStr for Distribution {
    type Err = UnknownDistribution;

    fn from_str(text: &str) -> Result<Self, UnknownDistribution> {
        let named = Self::ALL.into_iter().find(|one| one.to_string() == text);
        named.ok_or_else(|| UnknownDistribution(text.to_owned()))
    }
}

impl Serialize for Distribution {
    /// By name; an own table by reference, as its content stands elsewhere.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(table) => serializer.serialize_str(&format!("{OWN}{}", table.reference())),
            named => serializer.collect_str(named),
        }
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix(OWN) {
            Some(reference) => OwnTable::referred(reference).map(Self::Own).map_err(serde::de::Error::custom),
            None => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// There is no such distribution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a distribution; there are uniform, normal, pareto and paretonormal, and own ones by `table` or `samples`"
)]
pub struct UnknownDistribution(String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn moments(distribution: Distribution) -> (f64, f64) {
        let values: Vec<f64> = distribution.table().iter().map(|entry| f64::from(*entry) / 8192.0).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, square.sqrt())
    }

    #[test]
    fn tables_have_the_moments_of_their_distributions() {
        let near = |(mean, deviation): (f64, f64), (m, d): (f64, f64), within: f64| {
            assert!((mean - m).abs() < within && (deviation - d).abs() < within, "{mean} {deviation}");
        };
        near(moments(Distribution::Uniform), (0.0, 1.0 / 3f64.sqrt()), 0.001);
        near(moments(Distribution::Normal), (0.0, 1.0), 0.002);
        // The cut tail, in closed form: ∫ (x − c) · 3x⁻⁴ dx above c = 1.5 + 4·√3/2 is 1 / (2c²), in jitters.
        let cut = 1.5 + 4.0 * 3f64.sqrt() / 2.0;
        let (mean, deviation) = moments(Distribution::Pareto);
        assert!((mean + 1.0 / (2.0 * cut * cut) / (3f64.sqrt() / 2.0)).abs() < 0.002, "{mean}");
        assert!((0.7..1.0).contains(&deviation), "{deviation}");
    }

    #[test]
    fn tables_have_the_known_quantiles() {
        let at = |distribution: Distribution, place: usize| f64::from(distribution.table()[place]) / 8192.0;
        // Places of the ranks 97.5 %, 84.13 %, 50 %, 2.5 % and 0.135 %.
        for (place, z) in [(3_993, 1.960), (3_446, 1.0), (2_048, 0.0), (102, -1.960), (5, -3.0)] {
            assert!((at(Distribution::Normal, place) - z).abs() < 0.03, "{place}");
        }
        assert!((at(Distribution::Pareto, 2_048) - (2f64.cbrt() - 1.5) / (3f64.sqrt() / 2.0)).abs() < 0.001);
        for distribution in Distribution::ALL {
            assert_eq!(distribution.table().len(), TABLE_SIZE);
            assert!(distribution.table().is_sorted(), "{distribution}");
            assert_eq!(distribution.to_string().parse(), Ok(distribution));
        }
    }
}
