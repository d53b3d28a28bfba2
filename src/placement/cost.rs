//! What a placement costs, and which of two is better.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::Serialize;

/// Below this difference two costs are equal (the papers' programs use it too); for large costs, below 10⁻¹² of them.
const EQUAL: f64 = 1e-9;

/// Traffic times one-way delay: kilobytes (1,000 bytes) in the window of the traffic, times milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize)]
#[serde(transparent)]
pub struct Cost(f64);

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// From kilobytes times milliseconds.
    pub const fn from_kb_ms(value: f64) -> Self {
        Self(value)
    }

    /// Kilobytes times milliseconds.
    pub const fn as_kb_ms(self) -> f64 {
        self.0
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for Cost {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl fmt::Display for Cost {
    /// Rounded to what can be read: `180585 KB·ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0.abs() >= 100.0 || self.0.fract() == 0.0 { 0 } else { 3 };
        f.pad(&format!("{:.digits$} KB·ms", self.0))
    }
}

/// What is said of a node that is asked for more than it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Overload {
    /// It must not be: a placement with less overload is better, whatever its cost. The default.
    Forbidden,
    /// It costs that much for each unit of a resource that is missing (F of paper 001: 10,000 for a core). What is gained
    /// elsewhere can buy an overload then, as it does in the paper's own example.
    Priced(Cost),
}

/// What is to be small, besides the cost of traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// How capacities count.
    pub overload: Overload,
    /// What each move away from where a service runs now costs; a service then moves only for more than that.
    pub move_price: Cost,
    /// The most services that may move; `None` for any number.
    pub max_moves: Option<usize>,
}

impl Default for Objective {
    /// Capacities hold, moves are free.
    fn default() -> Self {
        Self { overload: Overload::Forbidden, move_price: Cost::ZERO, max_moves: None }
    }
}

/// What there is to say of one placement.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Valuation {
    /// Traffic times delay: equation (1) of paper 001, in each direction for itself.
    pub traffic: Cost,
    /// Over all nodes and resources, what is asked for beyond the capacity, in units of the resource (equation (2)).
    pub excess: f64,
    /// How many services are not where they run now.
    pub moves: usize,
}

/// Where a placement stands among others: smaller is better, and violations count before cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// By how much it is not allowed: overload in units of resources, and moves beyond the limit. 0 for what is allowed.
    pub violation: f64,
    /// Traffic, moves and, where it has a price, overload.
    pub cost: Cost,
}

impl Rank {
    /// Worse than any placement.
    pub const WORST: Self = Self { violation: f64::INFINITY, cost: Cost(f64::INFINITY) };

    /// Whether it is better than `other` by more than a rounding error.
    pub fn beats(self, other: Self) -> bool {
        let margin = EQUAL.max(other.cost.0.abs() * 1e-12);
        if other.cost.0.is_infinite() {
            return self.cost.0.is_finite();
        }
        self.violation < other.violation - EQUAL
            || (self.violation <= other.violation + EQUAL && self.cost.0 < other.cost.0 - margin)
    }

    /// Whether capacities and the limit of moves hold; always true for capacities that have a price.
    pub fn is_allowed(self) -> bool {
        self.violation <= EQUAL
    }
}

impl Objective {
    /// Where a placement of that valuation stands.
    pub fn rank(&self, valuation: &Valuation) -> Rank {
        let surplus = self.max_moves.map_or(0, |most| valuation.moves.saturating_sub(most)) as f64;
        let cost = valuation.traffic + self.move_price * valuation.moves as f64;
        match self.overload {
            Overload::Forbidden => Rank { violation: valuation.excess + surplus, cost },
            Overload::Priced(price) => Rank { violation: surplus, cost: cost + price * valuation.excess },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valuation(traffic: f64, excess: f64, moves: usize) -> Valuation {
        Valuation { traffic: Cost::from_kb_ms(traffic), excess, moves }
    }

    #[test]
    fn what_is_not_allowed_loses_to_what_is_whatever_it_costs() {
        let hard = Objective::default();
        assert!(hard.rank(&valuation(1e6, 0.0, 9)).beats(hard.rank(&valuation(0.0, 0.25, 0))));
        assert!(hard.rank(&valuation(9.0, 0.25, 0)).beats(hard.rank(&valuation(0.0, 0.5, 0))));
        let few = Objective { max_moves: Some(2), ..hard };
        assert!(few.rank(&valuation(9.0, 0.0, 2)).beats(few.rank(&valuation(1.0, 0.0, 3))));
        assert!(few.rank(&valuation(1.0, 0.0, 1)).beats(few.rank(&valuation(2.0, 0.0, 2))));
    }

    #[test]
    fn with_a_price_an_overload_can_be_bought() {
        let priced = Objective { overload: Overload::Priced(Cost::from_kb_ms(10_000.0)), ..Objective::default() };
        let (kept, overloaded) = (valuation(21_125.0, 0.0, 0), valuation(3_036.0, 1.25, 0));
        assert!((priced.rank(&overloaded).cost.as_kb_ms() - 15_536.0).abs() < 1e-9);
        assert!(priced.rank(&overloaded).beats(priced.rank(&kept)));
        assert!(priced.rank(&overloaded).is_allowed(), "nothing says that it is wrong: the failure of the penalty");
    }

    #[test]
    fn a_move_has_to_earn_its_price() {
        let objective = Objective { move_price: Cost::from_kb_ms(5.0), ..Objective::default() };
        let stays = objective.rank(&valuation(10.0, 0.0, 0));
        assert!(!objective.rank(&valuation(5.0, 0.0, 1)).beats(stays));
        assert!(objective.rank(&valuation(4.9, 0.0, 1)).beats(stays));
    }

    #[test]
    fn rounding_errors_are_no_gain() {
        let objective = Objective::default();
        let rank = |traffic| objective.rank(&valuation(traffic, 0.0, 0));
        assert!(!rank(1.0 - 1e-10).beats(rank(1.0)));
        assert!(!rank(1e15 - 0.125).beats(rank(1e15)));
        assert!(rank(1e15 - 1e4).beats(rank(1e15)));
        assert!(rank(1.0).beats(Rank::WORST) && !Rank::WORST.beats(Rank::WORST));
    }

    #[test]
    fn costs_print_without_noise() {
        let shown = [180_585.0, 1234.56, 0.0, 2.5].map(|value| Cost::from_kb_ms(value).to_string());
        assert_eq!(shown, ["180585 KB·ms", "1235 KB·ms", "0 KB·ms", "2.500 KB·ms"]);
    }
}
