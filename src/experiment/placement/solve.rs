//! A trial: a problem is built, a policy places its services, and what came of it is counted. The clock is an argument.

use std::sync::Mutex;

use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;
use crate::placement::{Evaluator, Policy, ProblemError, Rank, Setting, UNHEARD, build};
use crate::units::Span;

use super::Placing;
use super::course::Course;
use super::problem::problem;
use super::tally;

/// What a clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Time since some instant.
    pub elapsed: Span,
    /// Processor time of this program since some instant, all threads together.
    pub processor: Span,
}

/// A clock. Policies that have a time limit ask it often.
pub type Clock<'a> = &'a (dyn Fn() -> Reading + Sync);

/// Runs a trial; `policy` is that of its strategy. Reading the problem and counting are not timed.
pub fn solve(placing: &Placing, policy: &Policy, trial: &Trial, clock: Clock) -> Result<Outcome, ProblemError> {
    let problem = problem(placing, trial)?;
    let parameters = trial.strategy.parameters.clone();
    let mut placer = build(policy, Setting { parameters, stream: trial.streams.stream("policy", 0) });
    let begun = clock();
    let time_up = || placing.time.is_some_and(|time| since(clock().elapsed, begun.elapsed) >= time);
    let course = Mutex::new(Course::default());
    let told = |rank: Rank| {
        let now = since(clock().elapsed, begun.elapsed);
        if let Ok(mut course) = course.lock() {
            course.hear(now, rank);
        }
    };
    // Without a limit everything but the clock's own file is the same in each run, and a course has times in it. With a price
    // for overload nothing says which part of a cost is traffic.
    let wanted = placing.time.is_some() && placing.overload_price.is_none() && !placing.is_alike();
    let found = placer.place_telling(&problem, &time_up, if wanted { &told } else { UNHEARD });
    let ended = clock();
    let took =
        Reading { elapsed: since(ended.elapsed, begun.elapsed), processor: since(ended.processor, begun.processor) };
    let mut outcome = tally::outcome(placing, &problem, &found, took);
    if wanted {
        let mut course = course.into_inner().unwrap_or_default();
        course.hear(took.elapsed, Evaluator::new(&problem, found.placement).rank());
        outcome.tables.push(course.table());
    }
    Ok(outcome)
}

fn since(now: Span, then: Span) -> Span {
    Span::from_nanos(now.as_nanos().saturating_sub(then.as_nanos()))
}
