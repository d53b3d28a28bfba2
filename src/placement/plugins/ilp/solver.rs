//! Who solves programs.

use good_lp::{Constraint, Expression, ProblemVariables, Solution, SolverModel, Variable};

/// A solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// In Rust; the default.
    Microlp,
    /// `HiGHS`, in C++.
    #[cfg(feature = "highs")]
    Highs,
}

impl Engine {
    /// The names of those that are built in.
    #[cfg(feature = "highs")]
    pub(super) const NAMES: &[&str] = &["microlp", "highs"];
    /// The names of those that are built in.
    #[cfg(not(feature = "highs"))]
    pub(super) const NAMES: &[&str] = &["microlp"];

    /// The one of that name.
    pub(super) fn named(name: &str) -> Self {
        match name {
            #[cfg(feature = "highs")]
            "highs" => Self::Highs,
            _ => Self::Microlp,
        }
    }

    /// The values of `wanted` in the solution with the highest objective; `None` where there is none.
    pub(super) fn maximise(
        self,
        variables: ProblemVariables,
        objective: Expression,
        constraints: Vec<Constraint>,
        wanted: &[Variable],
    ) -> Option<Vec<f64>> {
        let problem = variables.maximise(objective);
        match self {
            Self::Microlp => values(problem.using(good_lp::microlp), constraints, wanted),
            #[cfg(feature = "highs")]
            Self::Highs => {
                // One thread: the same answer on every machine.
                values(problem.using(good_lp::highs).set_threads(1), constraints, wanted)
            }
        }
    }
}

fn values(model: impl SolverModel, constraints: Vec<Constraint>, wanted: &[Variable]) -> Option<Vec<f64>> {
    let solution = model.with_all(constraints).solve().ok()?;
    Some(wanted.iter().map(|variable| solution.value(*variable)).collect())
}
