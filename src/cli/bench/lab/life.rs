//! How long a large lab takes to come up, with all its delays, and to go.

use std::time::{Duration, Instant};

use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::{Ground, uniform, varied};
use crate::units::Delay;

const NAME: &str = "life";

/// How many nodes it has.
const NODES: usize = 50;

/// The times of one repetition.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Namespaces, links, agents.
    nodes: Duration,
    /// From then until every delay is applied.
    apply: Duration,
    /// Until the last process has gone.
    down: Duration,
    /// The same of a lab in which nothing was applied.
    bare_down: Duration,
}

/// Brings labs up and down.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let mut times = Vec::new();
    for _ in ground.repetitions("a lab of 50 nodes up and down") {
        let clock = Instant::now();
        let mut lab = ground.lab(NAME, varied(NODES)?)?;
        let nodes = clock.elapsed();
        lab.apply()?;
        let up = clock.elapsed();
        let clock = Instant::now();
        lab.stop()?;
        let down = clock.elapsed();
        let bare = ground.lab(NAME, uniform(NODES, Delay::ZERO)?)?;
        let clock = Instant::now();
        bare.stop()?;
        times.push(Times { nodes, apply: up.saturating_sub(nodes), down, bare_down: clock.elapsed() });
    }
    Ok(summarise(&times))
}

fn summarise(times: &[Times]) -> Vec<Row> {
    let series =
        |pick: fn(&Times) -> Duration| Series::new(Unit::Seconds, times.iter().map(|one| pick(one).as_secs_f64()));
    vec![
        Row::new(NAME, format!("{NODES} nodes up, all delays applied"), series(|one| one.nodes + one.apply))
            .beside(Relation::Difference, series(|one| one.nodes))
            .reaching(Target::at_most(2.0)),
        Row::new(NAME, "  of it: namespaces, links, agents", series(|one| one.nodes)),
        Row::new(NAME, format!("  of it: apply {} delays", NODES * (NODES - 1)), series(|one| one.apply)),
        Row::new(NAME, format!("{NODES} nodes down"), series(|one| one.down))
            .beside(Relation::Difference, series(|one| one.bare_down))
            .reaching(Target::at_most(1.0)),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::bench::figures::Verdict;

    #[test]
    fn up_is_the_sum_of_its_parts() {
        let millis = Duration::from_millis;
        let times = Times { nodes: millis(1_200), apply: millis(700), down: millis(1_100), bare_down: millis(300) };
        let rows = summarise(&[times]);
        assert!((rows[0].longhaul.as_ref().unwrap().median() - 1.9).abs() < 1e-9);
        assert!((rows[0].compared().unwrap() - 0.7).abs() < 1e-9);
        let verdicts: Vec<Verdict> = rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::NoTarget, Verdict::NoTarget, Verdict::NotMet]);
    }
}
