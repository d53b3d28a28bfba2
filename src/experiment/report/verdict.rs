//! Claims and what a run says of them. Only the plan as written counts, and a claim holds only if the whole interval does.

use crate::experiment::plan::{Claim, Expectation};
use crate::experiment::run::MetricDescription;
use crate::report::statistics::{Cells, Estimate};

use super::results::Results;

/// What a run says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole 95 % interval is where the claim says.
    Held,
    /// None of it is.
    NotHeld,
    /// Some of it is, or there are too few trials for an interval.
    Unclear,
    /// The plan says that it cannot be tested here.
    NotTestable,
}

/// A claim with its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The claim's words.
    pub says: String,
    /// What is to be seen, in words.
    pub expected: String,
    /// What was seen, in words, with n.
    pub seen: String,
    /// What the run says of it.
    pub verdict: Verdict,
}

impl Verdict {
    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "not held",
            Self::Unclear => "unclear",
            Self::NotTestable => "not testable here",
        }
    }

    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Held => "✓",
            Self::NotHeld => "✗",
            Self::Unclear => "?",
            Self::NotTestable => "–",
        }
    }
}

/// The verdicts on all claims of a run's plan.
pub fn verdicts(results: &Results) -> Vec<Judged> {
    results.description.claims.iter().map(|claim| judge(claim, results)).collect()
}

fn judge(claim: &Claim, results: &Results) -> Judged {
    let place = claim.topology.as_ref().map_or_else(String::new, |topology| format!(" on {topology}"));
    let judged = |expected: String, (verdict, seen): (Verdict, String)| Judged {
        says: claim.says.clone(),
        expected,
        seen,
        verdict,
    };
    match &claim.expectation {
        Expectation::NotTestable(why) => {
            judged("cannot be tested here".to_owned(), (Verdict::NotTestable, why.clone()))
        }
        Expectation::Between { metric, of, bounds } => {
            let Some(metric) = find(results, metric) else { return judged(String::new(), unknown(metric)) };
            let bounds_words = format!("{} to {}", metric.value(bounds.0), metric.value(bounds.1));
            let expected = format!("{} of {of}{place} is {bounds_words}", metric.what);
            judged(expected, between(metric, *bounds, &cells(results, claim, &metric.name, of)))
        }
        Expectation::Growth { metric, of, from, bounds } => {
            let Some(metric) = find(results, metric) else { return judged(String::new(), unknown(metric)) };
            let expected =
                format!("{} of {of}{place} is {} to {} times that on {from}", metric.what, bounds.0, bounds.1);
            let other = Claim { topology: Some(from.clone()), ..claim.clone() };
            let on = |claim: &Claim| cells(results, claim, &metric.name, of);
            judged(expected, growth(metric, *bounds, (&on(claim), &on(&other))))
        }
        Expectation::Above { metric, of, than } => {
            let Some(metric) = find(results, metric) else { return judged(String::new(), unknown(metric)) };
            let expected = format!("{} of {of}{place} is greater than of {than}", metric.what);
            let (one, other) = (cells(results, claim, &metric.name, of), cells(results, claim, &metric.name, than));
            judged(expected, above(metric, &one, &other))
        }
    }
}

fn find<'a>(results: &Results<'a>, name: &str) -> Option<&'a MetricDescription> {
    results.description.metrics.iter().find(|metric| metric.name == name)
}

fn unknown(metric: &str) -> (Verdict, String) {
    (Verdict::Unclear, format!("this run has no {metric}"))
}

/// A strategy's values of a metric at the plan as written, on the claim's topology where it names one.
fn cells(results: &Results, claim: &Claim, metric: &str, strategy: &str) -> Cells {
    let Some(point) = results.written() else { return Cells::default() };
    let Some(number) = point.strategies.iter().position(|one| one.name == strategy) else { return Cells::default() };
    let cells = results.cells(0, number, metric);
    match &claim.topology {
        Some(name) => {
            let topology = point.topologies.iter().position(|topology| topology.name == *name);
            topology.map_or_else(Cells::default, |topology| cells.on(topology))
        }
        None => cells,
    }
}

fn between(metric: &MetricDescription, (low, high): (f64, f64), cells: &Cells) -> (Verdict, String) {
    let Some(estimate) = cells.estimate() else { return (Verdict::Unclear, "no trial yet".to_owned()) };
    let (from, to) = metric.possible(estimate.ends());
    let verdict = match estimate.half {
        Some(_) if low <= from && to <= high => Verdict::Held,
        Some(_) if to < low || high < from => Verdict::NotHeld,
        _ => Verdict::Unclear,
    };
    (verdict, format!("{} ({})", metric.estimate(estimate), count(estimate, cells)))
}

fn above(metric: &MetricDescription, one: &Cells, other: &Cells) -> (Verdict, String) {
    let differences = one.minus(other);
    let Some(estimate) = differences.estimate() else {
        return (Verdict::Unclear, "no pair of trials yet".to_owned());
    };
    let (low, high) = estimate.ends();
    let verdict = match estimate.half {
        Some(_) if low > 0.0 => Verdict::Held,
        Some(_) if high <= 0.0 => Verdict::NotHeld,
        _ => Verdict::Unclear,
    };
    let mean = |cells: &Cells| cells.estimate().map_or_else(|| "–".to_owned(), |one| metric.value(one.mean));
    let pairs = count(estimate, &differences);
    let seen =
        format!("difference {} ({} and {}; paired, {pairs})", metric.difference(estimate), mean(one), mean(other));
    (verdict, seen)
}

/// By repetition, as each repetition of a topology is a value of its own.
fn growth(metric: &MetricDescription, (low, high): (f64, f64), (there, here): (&Cells, &Cells)) -> (Verdict, String) {
    let times = there.by_repetition_over(here);
    let Some(estimate) = times.estimate() else { return (Verdict::Unclear, "no pair of trials yet".to_owned()) };
    let (from, to) = estimate.ends();
    let verdict = match estimate.half {
        Some(_) if low <= from && to <= high => Verdict::Held,
        Some(_) if to < low || high < from => Verdict::NotHeld,
        _ => Verdict::Unclear,
    };
    let mean = |cells: &Cells| cells.estimate().map_or_else(|| "–".to_owned(), |one| metric.value(one.mean));
    let half = estimate.half.map_or_else(String::new, |half| format!(" ± {half:.2}"));
    let pairs = count(estimate, &times);
    (verdict, format!("{:.2}{half} times ({} and {}; {pairs})", estimate.mean, mean(there), mean(here)))
}

/// n, and of how many trials where these are more.
fn count(estimate: Estimate, cells: &Cells) -> String {
    let n = estimate.n;
    let of = if cells.trials() > n { format!(" topologies, {} trials", cells.trials()) } else { String::new() };
    let alone = if n == 1 { "; one value has no interval" } else { "" };
    format!("n = {n}{of}{alone}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome::{Better, MetricUnit};

    fn metric() -> MetricDescription {
        let (name, what) = ("clientsOk".to_owned(), "clients that keep their share".to_owned());
        MetricDescription { name, what, unit: MetricUnit::Share, better: Better::More }
    }

    fn on_one(values: &[f64]) -> Cells {
        Cells::new(values.iter().zip(0..).map(|(value, repetition)| ((0, repetition), *value)))
    }

    #[test]
    fn the_whole_interval_decides() {
        let verdict = |bounds, values: &[f64]| between(&metric(), bounds, &on_one(values)).0;
        // 0.94 to 0.96: mean 0.95 ± 0.025.
        let values = [0.94, 0.95, 0.96];
        assert_eq!(verdict((0.9, 1.0), &values), Verdict::Held);
        assert_eq!(verdict((0.93, 1.0), &values), Verdict::Unclear);
        assert_eq!(verdict((0.96, 1.0), &values), Verdict::Unclear);
        assert_eq!(verdict((0.98, 1.0), &values), Verdict::NotHeld);
        assert_eq!(verdict((0.5, 0.9), &values), Verdict::NotHeld);
        assert_eq!(verdict((0.9, 1.0), &[0.95]), Verdict::Unclear);
        assert_eq!(verdict((0.9, 1.0), &[]), Verdict::Unclear);
        // More than everything is impossible, so an interval that only formally reaches there is inside.
        assert_eq!(verdict((0.9, 1.0), &[1.0, 0.98, 1.0]), Verdict::Held);
        assert_eq!(between(&metric(), (0.9, 1.0), &on_one(&values)).1, "95.0 ± 2.5 % (n = 3)");
    }

    #[test]
    fn growth_is_by_repetition() {
        let other =
            |values: &[f64]| Cells::new(values.iter().zip(0..).map(|(value, repetition)| ((1, repetition), *value)));
        let (small, large) = (on_one(&[0.1, 0.2, 0.1]), other(&[0.2, 0.41, 0.2]));
        let (verdict, seen) = growth(&metric(), (1.5, 2.5), (&large, &small));
        assert_eq!((verdict, seen.as_str()), (Verdict::Held, "2.02 ± 0.07 times (27.0 % and 13.3 %; n = 3)"));
        assert_eq!(growth(&metric(), (0.0, 1.5), (&large, &small)).0, Verdict::NotHeld);
        assert_eq!(growth(&metric(), (0.0, 2.02), (&large, &small)).0, Verdict::Unclear);
        assert_eq!(growth(&metric(), (0.0, 2.0), (&large, &on_one(&[]))).0, Verdict::Unclear);
    }

    /// Repetitions differ a lot from each other, strategies by little and always the same way: only pairs show it.
    #[test]
    fn strategies_are_compared_trial_by_trial() {
        let (one, other) = (on_one(&[0.50, 0.71, 0.92]), on_one(&[0.48, 0.70, 0.90]));
        let (verdict, seen) = above(&metric(), &one, &other);
        assert_eq!(verdict, Verdict::Held);
        assert_eq!(seen, "difference +1.7 ± 1.4 points (71.0 % and 69.3 %; paired, n = 3)");
        assert_eq!(above(&metric(), &other, &one).0, Verdict::NotHeld);
        assert_eq!(above(&metric(), &one, &one).0, Verdict::NotHeld, "equal is not greater");
        assert_eq!(above(&metric(), &one, &on_one(&[0.6, 0.6, 0.9])).0, Verdict::Unclear);
        assert_eq!(above(&metric(), &one, &Cells::default()).0, Verdict::Unclear);
    }
}
