//! From what a plug-in found to scores from 0 to 100.

/// Each value, from 0 to 1, as a score.
pub(super) fn marks(values: &[f64], rounded: bool) -> Vec<f64> {
    let mark = |value: &f64| {
        let score = (100.0 * value).clamp(0.0, 100.0);
        if rounded { score.round() } else { score }
    };
    values.iter().map(mark).collect()
}

/// Scores with which the node that a search chose wins, whatever the others are worth: it gets its own, the others 0.99 of their
/// own or of the winner's where theirs is higher. Rounded, they stay one below it at least.
pub(super) fn favoured(chosen: usize, values: &[f64], rounded: bool) -> Vec<f64> {
    let own = marks(&values[chosen..=chosen], rounded)[0].max(if rounded { 1.0 } else { 1e-9 });
    let others = values.iter().map(|value| 99.0 * value.min(own / 100.0).max(0.0));
    let below = |score: f64| if rounded { score.round().min(own - 1.0) } else { score };
    others.enumerate().map(|(place, score)| if place == chosen { own } else { below(score) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_chosen_one_alone_is_the_highest(
            values in prop::collection::vec(0.0f64..=1.0, 1..20), chosen in 0usize..20, rounded: bool,
        ) {
            let chosen = chosen % values.len();
            let scores = favoured(chosen, &values, rounded);
            for (place, score) in scores.iter().enumerate() {
                prop_assert!((0.0..=100.0).contains(score), "{scores:?}");
                prop_assert!(place == chosen || *score < scores[chosen], "{scores:?} with {chosen}");
            }
        }
    }

    #[test]
    fn whole_scores_are_the_nearest() {
        let near = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-9);
        assert!(near(&marks(&[0.393_650_8, 1.2, -1.0], true), &[39.0, 100.0, 0.0]));
        assert!(near(&favoured(0, &[0.40, 0.90, 0.2], true), &[40.0, 39.0, 20.0]));
        assert!(near(&favoured(0, &[0.40, 0.90, 0.2], false), &[40.0, 39.6, 19.8]));
    }
}
