//! [`PlanError`]: what is wrong with a plan, where it stands and what to change.

use crate::experiment::placement::GraphError;
use crate::intended::{FileProblem, IntendedError};
use crate::matrix::generate::GenerateError;
use crate::matrix::{MatrixError, ReadError};
use crate::parameters::ParameterError;
use crate::topology::NodeName;
use crate::wording::{OneLine, excerpt};
use crate::yaml::Spot;

/// A plan that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file that it names.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An impairment file that it names.
    #[error(transparent)]
    Impairments(#[from] IntendedError),
    /// A service graph that it names.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Something in the plan.
    #[error("{file}{}", OneLine(format_args!("{}: {}", .spot, .problem)))]
    Plan {
        /// The plan as it was given.
        file: String,
        /// Where in it.
        spot: Spot,
        /// What is wrong.
        problem: Box<PlanProblem>,
    },
}

/// A problem and where it is.
pub(crate) type Wrong = (Spot, PlanProblem);

/// What is wrong with a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanProblem {
    /// It is no YAML, or not of this form.
    #[error("{0}")]
    Form(String),
    /// Another version of the format.
    #[error("apiVersion is `{}`; this longhaul reads longhaul/v1", excerpt(.0))]
    Version(String),
    /// A name that cannot be one of a folder.
    #[error("`{}` cannot name a folder; use letters, digits, `-`, `_` and `.`, beginning with a letter or digit", excerpt(.0))]
    Name(String),
    /// A testbed that there is not.
    #[error("there is no testbed `{}`; write lab or simulation", excerpt(.0))]
    Testbed(String),
    /// Nothing to do.
    #[error("the plan says nothing to do on the topology; write `balancing:` or `placement:`")]
    NoSubject,
    /// Too much to do.
    #[error("a plan has one of balancing and placement, not both")]
    Subjects,
    /// What nodes have, said wrongly.
    #[error("nodes have cpu and memory, or else slack")]
    Nodes,
    /// Placements are computed.
    #[error("placements are computed, in no testbed; write testbed: simulation")]
    Computed,
    /// A list that must not be empty.
    #[error("there has to be at least one {0}")]
    NoneOf(&'static str),
    /// Two of the same name.
    #[error("there are two {what} called `{}`", excerpt(.name))]
    Twice {
        /// What they are.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// No source, or several.
    #[error("a topology has one of matrix, cities, random, regions and impairments; this has {0}")]
    Sources(usize),
    /// A field that belongs to another source.
    #[error("{field} belongs to {to}")]
    Belongs {
        /// The field.
        field: &'static str,
        /// Where it belongs.
        to: &'static str,
    },
    /// A number outside its bounds.
    #[error("{what} is {value}; it has to be {wanted}")]
    Bounds {
        /// What it is.
        what: &'static str,
        /// The value, for reading.
        value: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// A policy that there is not.
    #[error("there is no policy `{}`; there are {known}", excerpt(.name))]
    Policy {
        /// The name as given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A parameter of a policy.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A generator's parameters.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// Jitter or loss that makes no sense.
    #[error(transparent)]
    Impaired(#[from] FileProblem),
    /// Something that virtual time does not have.
    #[error("the path from {from} to {to} has {what}; in simulation there are delay, jitter and loss")]
    NotSimulated {
        /// The sender.
        from: NodeName,
        /// The receiver.
        to: NodeName,
        /// What it has.
        what: &'static str,
    },
    /// An impairment file where a matrix is to stand.
    #[error("an event has a delay matrix; jitter and loss stay those of the topology")]
    EventImpairments,
    /// Delays that cannot be.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// A name that nothing has.
    #[error("there is no {what} `{}`{known}", excerpt(.name))]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name as given.
        name: String,
        /// Those that there are, for reading; may be empty.
        known: String,
    },
    /// A place in the plan that a sweep is to vary and that is not there.
    #[error("there is nothing at `{}` to vary: {missing}", excerpt(.path))]
    NothingToVary {
        /// The path as given.
        path: String,
        /// Which part of it.
        missing: String,
    },
    /// A value of a sweep makes a wrong plan.
    #[error("with {what}: {problem}")]
    Point {
        /// The values of the point.
        what: String,
        /// What is then wrong.
        problem: Box<PlanProblem>,
    },
    /// A file that is wrong only with some values of a sweep.
    #[error("{0}")]
    PointFile(String),
    /// Too many trials to be meant.
    #[error("the plan asks for {0} trials; at most {most} can be run", most = super::MAX_TRIALS)]
    TooMany(u64),
    /// More points than can be kept.
    #[error("the sweep has {0} points; at most {most} can be run", most = super::MAX_POINTS)]
    TooManyPoints(u64),
    /// A name that figures cannot show.
    #[error("`{}` cannot stand in a figure; use up to 100 letters without control characters", excerpt(.0))]
    Label(String),
    /// A claim that says nothing that can be tested.
    #[error("a claim has a metric and `of` with `between` or `above`, or else notTestable")]
    Claim,
    /// A field that says something of a testbed with a clock of its own.
    #[error("{field} is for testbed: lab; a simulation needs none")]
    VirtualTime {
        /// The field.
        field: &'static str,
    },
    /// A time that does not fit the testbed at this pace.
    #[error("at this timeScale, on the testbed, {}", OneLine(.what))]
    Pace {
        /// Which, and what would be right.
        what: String,
    },
    /// Something that the testbed cannot play.
    #[error("{0}")]
    Unplayable(&'static str),
    /// A claim of growth that says too little.
    #[error("a claim with relativeTo has a metric, `of`, `between` (how many times as much) and a topology")]
    Growth,
    /// Something happens after the end.
    #[error("this happens at {at}, after the end at {end}")]
    AfterEnd {
        /// When.
        at: crate::units::Span,
        /// The end.
        end: crate::units::Span,
    },
}
