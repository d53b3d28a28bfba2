//! TCP through a long path, beside the same path without its delay and beside a path that never had one.

use std::time::Duration;

use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::cli::bench::ground::iperf::{self, Transfer, gigabits, raise_buffers, transfer};
use crate::cli::bench::ground::{BenchLab, Ground, matrix_of};
use crate::units::Delay;

const NAME: &str = "tcp";

/// Each way.
const DELAY: Delay = Delay::from_millis(10);
/// The window grows for so long before the count begins.
const SETTLE: Duration = Duration::from_secs(1);

/// The node that sends.
const SENDER: usize = 0;
/// The node that is far from it.
const FAR: usize = 1;
/// The node that is not.
const NEAR: usize = 2;

/// One repetition.
#[derive(Debug, Clone, Copy)]
struct Transfers {
    delayed: Transfer,
    unmatched: Transfer,
    cleared: Transfer,
    dropped: u64,
}

/// Sends with delays, to the near node beside them, and after they were removed.
pub(super) fn take(ground: &Ground<'_>) -> anyhow::Result<Vec<Row>> {
    if !iperf::available() {
        return Ok(vec![Row::not_measured(NAME, what(), iperf::MISSING)]);
    }
    let far = |from: usize, to: usize| if from == NEAR || to == NEAR { Delay::ZERO } else { DELAY };
    let mut lab = ground.lab(NAME, matrix_of(3, far)?)?;
    raise_buffers(&lab)?;
    let mut all = Vec::new();
    for _ in ground.repetitions("TCP through 10 ms") {
        all.push(repetition(ground, &mut lab)?);
    }
    lab.stop()?;
    Ok(summarise(&all))
}

fn what() -> String {
    format!("1 stream through {DELAY} each way")
}

fn repetition(ground: &Ground<'_>, lab: &mut BenchLab) -> anyhow::Result<Transfers> {
    let length = ground.effort.tcp;
    lab.apply()?;
    let delayed = transfer(lab, SENDER, FAR, length, SETTLE)?;
    let dropped = lab.dropped()?;
    let unmatched = transfer(lab, SENDER, NEAR, length, SETTLE)?;
    lab.clear()?;
    let cleared = transfer(lab, SENDER, FAR, length, SETTLE)?;
    Ok(Transfers { delayed, unmatched, cleared, dropped })
}

fn summarise(all: &[Transfers]) -> Vec<Row> {
    let rates =
        |pick: fn(&Transfers) -> Transfer| Series::new(Unit::Gigabits, all.iter().map(|one| gigabits(pick(one).rate)));
    let again = |pick: fn(&Transfers) -> Transfer| {
        Series::new(Unit::Packets, all.iter().map(|one| pick(one).retransmits as f64))
    };
    vec![
        Row::new(NAME, what(), rates(|one| one.delayed))
            .beside(Relation::Ratio, rates(|one| one.cleared))
            .reaching(Target::at_least(5.0)),
        Row::new(NAME, "the same, beside a path without delay", rates(|one| one.delayed))
            .beside(Relation::Ratio, rates(|one| one.unmatched)),
        Row::new(NAME, "retransmitted segments", again(|one| one.delayed))
            .beside(Relation::Difference, again(|one| one.cleared)),
        Row::new(
            NAME,
            "dropped by the delay element",
            Series::new(Unit::Packets, all.iter().map(|one| one.dropped as f64)),
        )
        .reaching(Target::at_most(0.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::figures::Verdict;
    use crate::units::Rate;

    #[test]
    fn transfers_become_rows() {
        let transfer = |gigabits, retransmits| Transfer { rate: Rate::from_gigabits(gigabits), retransmits };
        let one =
            Transfers { delayed: transfer(6, 3), unmatched: transfer(10, 0), cleared: transfer(12, 1), dropped: 2 };
        let rows = summarise(&[one]);
        let compared: Vec<Option<f64>> = rows.iter().map(Row::compared).collect();
        assert_eq!(compared, [Some(0.5), Some(0.6), Some(2.0), None]);
        let verdicts: Vec<Verdict> = rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::NoTarget, Verdict::NoTarget, Verdict::NotMet]);
    }
}
