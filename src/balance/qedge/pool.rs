//! The pool of algorithm 1: which instances are exploited and which explored, and what share of requests each gets.

use super::Rule;

/// What is known of an instance that may be used: its estimated success (μ), or nothing yet.
pub(super) type Estimate = Option<f64>;

/// Who a share goes to, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Meets the target: set E.
    Exploited,
    /// Does not meet it, or is not known yet: set X.
    Explored,
}

impl Rule {
    /// The part of an instance that may be used.
    pub(super) fn part(&self, estimate: Estimate) -> Part {
        match estimate {
            Some(mu) if mu > self.target || (self.inclusive && mu >= self.target) => Part::Exploited,
            _ => Part::Explored,
        }
    }

    /// What a usable instance has before normalisation (line 22): exploited ones more the further they exceed the target,
    /// explored ones more the closer they come to it, those without samples most of all explored.
    fn score(&self, estimate: Estimate) -> f64 {
        match (self.part(estimate), estimate) {
            (Part::Exploited, Some(mu)) => mu - self.target + self.smoothing,
            (_, Some(mu)) if self.target > 0.0 => mu / self.target + self.smoothing,
            _ => 1.0 + self.smoothing,
        }
    }

    /// The shares of usable instances (lines 21 to 24): `epsilon` of all requests goes to the explored, the rest to the
    /// exploited; all to one of both where the other is empty. Where all scores of a part are 0, as they may be without
    /// smoothing, they share alike.
    pub(super) fn shares(&self, usable: &[Estimate], epsilon: f64) -> Vec<f64> {
        let total = |part: Part| {
            let members = usable.iter().filter(|estimate| self.part(**estimate) == part);
            members.fold((0.0, 0), |(sum, count), estimate| (sum + self.score(*estimate), count + 1))
        };
        let (exploited, explored) = (total(Part::Exploited), total(Part::Explored));
        let explore = match (exploited.1, explored.1) {
            (0, _) => 1.0,
            (_, 0) => 0.0,
            _ => epsilon,
        };
        let share = |estimate: &Estimate| {
            let (mass, (sum, count)) = match self.part(*estimate) {
                Part::Exploited => (1.0 - explore, exploited),
                Part::Explored => (explore, explored),
            };
            mass * if sum > 0.0 { self.score(*estimate) / sum } else { 1.0 / f64::from(count) }
        };
        usable.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::qedge::tests::rule;
    use proptest::prelude::*;

    #[test]
    fn shares_are_those_of_the_known_example() {
        let rule = rule(&[]);
        let shares = rule.shares(&[Some(0.99), Some(0.95), Some(0.80), None], 0.3);
        for (share, expected) in shares.iter().zip([0.4375, 0.2625, 0.14127, 0.15873]) {
            assert!((share - expected).abs() < 5e-6, "{shares:?}");
        }
    }

    #[test]
    fn an_empty_part_leaves_all_to_the_other() {
        let rule = rule(&[]);
        let sum = |estimates: &[Estimate]| rule.shares(estimates, 0.3).iter().sum::<f64>();
        for estimates in [&[Some(0.95)][..], &[Some(0.5), None], &[None, None, None]] {
            assert!((sum(estimates) - 1.0).abs() < 1e-12, "{estimates:?}");
        }
        assert!(rule.shares(&[], 0.3).is_empty());
    }

    #[test]
    fn exactly_the_target_meets_it_as_told() {
        assert_eq!(rule(&[]).part(Some(0.9)), Part::Exploited);
        assert_eq!(rule(&[("exceeding", "above")]).part(Some(0.9)), Part::Explored);
        // Without smoothing its score is 0, and still it has a share where it is all there is.
        assert_eq!(rule(&[("eta", "0")]).shares(&[Some(0.9), Some(0.9)], 0.3), [0.5, 0.5]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_follow_the_estimates(
            estimates in prop::collection::vec(prop::option::of(0.0f64..=1.0), 1..12),
            epsilon in 0.0f64..=1.0,
        ) {
            let rule = rule(&[]);
            let shares = rule.shares(&estimates, epsilon);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (one, share) in estimates.iter().zip(&shares) {
                prop_assert!(*share >= 0.0);
                for (other, less) in estimates.iter().zip(&shares) {
                    let alike = rule.part(*one) == rule.part(*other);
                    let better = one.is_none() || (other.is_some() && one > other);
                    prop_assert!(!alike || !better || share >= less, "{one:?} {share}, {other:?} {less}");
                }
            }
        }
    }
}
