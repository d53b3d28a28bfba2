//! How good a placement is among all that are known of the same problem: trials of other strategies, and of other points of the
//! sweep, such as those that had more time.

use std::collections::BTreeMap;

use crate::experiment::run::TrialRecord;

/// What is known of a problem.
#[derive(Debug, Clone, Copy)]
struct Known {
    best: f64,
}

/// Adds `ratio` and `missed` to the trials' metrics: of placements within all capacities only.
pub fn compare(records: &mut [TrialRecord]) {
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    for (problem, cost) in records.iter().filter_map(feasible) {
        let entry = known.entry(problem).or_insert(Known { best: cost });
        entry.best = entry.best.min(cost);
    }
    for record in records {
        let Some((problem, cost)) = feasible(record) else { continue };
        let Some(Known { best }) = known.get(&problem).copied() else { continue };
        let begun = record.metrics.get("startCost").copied().flatten();
        record.metrics.insert("ratio".to_owned(), ratio(cost, best));
        record.metrics.insert("missed".to_owned(), begun.and_then(|begun| missed(cost, best, begun)));
    }
}

/// The number of its problem, and its cost.
fn feasible(record: &TrialRecord) -> Option<(u64, f64)> {
    let metric = |name: &str| record.metrics.get(name).copied().flatten();
    let (problem, cost) = (metric("problem")?, metric("cost")?);
    (metric("feasible")? > 0.5).then_some((problem.to_bits(), cost))
}

/// The cost by the best known; of a best of nothing there are no multiples.
fn ratio(cost: f64, best: f64) -> Option<f64> {
    if cost <= best { Some(1.0) } else { (best > 0.0).then(|| cost / best) }
}

/// How much of what could be saved from the start on was not; nothing where nothing could be.
fn missed(cost: f64, best: f64, begun: f64) -> Option<f64> {
    (begun > best).then(|| (cost - best) / (begun - best))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(problem: f64, cost: f64, feasible: f64) -> TrialRecord {
        let metrics = [("problem", problem), ("cost", cost), ("feasible", feasible), ("startCost", 50.0)];
        TrialRecord {
            id: String::new(),
            point: 0,
            topology: 0,
            repetition: 0,
            strategy: 0,
            metrics: metrics.map(|(name, value)| (name.to_owned(), Some(value))).into(),
            caveats: Vec::new(),
            tables: Vec::new(),
        }
    }

    #[test]
    fn a_trial_is_compared_with_the_best_of_the_same_problem_that_keeps_capacities() {
        let mut records = [
            record(1.0, 30.0, 1.0),
            record(1.0, 10.0, 1.0),
            record(1.0, 5.0, 0.0),
            record(2.0, 0.0, 1.0),
            record(2.0, 8.0, 1.0),
        ];
        compare(&mut records);
        let of =
            |name: &str| records.iter().map(|record| record.metrics.get(name).copied().flatten()).collect::<Vec<_>>();
        assert_eq!(of("ratio"), [Some(3.0), Some(1.0), None, Some(1.0), None]);
        assert_eq!(of("missed"), [Some(0.5), Some(0.0), None, Some(0.0), Some(0.16)]);
        assert!(missed(5.0, 5.0, 5.0).is_none(), "nothing could be saved");
    }
}
