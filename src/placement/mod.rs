//! Placement: which node each service runs on, so that what services send one another travels short ways. Pure: randomness
//! comes from a stream that is given at the start, time as a closure that says whether it is up.
//!
//! # The model
//!
//! A [`Problem`] has services with demands, nodes with capacities, edges with the bytes that flow there (requests) and back
//! (responses), and one-way delays. A [`Placement`] gives each service a node. Its [`Cost`] is, over all edges u → v,
//!
//! ```text
//! wf · requests(u, v) · delay(P(u), P(v))  +  wb · responses(u, v) · delay(P(v), P(u))
//! ```
//!
//! in kilobytes times milliseconds. With `wf` = `wb` = ½ and equal delays of both ways it is equation (1) of paper 001 over the
//! stress of its equation (3); with `wf` = 1 and no responses it is equation (1) over any one-way delays.
//!
//! Capacities are hard: of two placements, [`Rank::beats`] prefers the one with less overload, and among those the cheaper.
//! [`Overload::Priced`] is the paper's penalty instead, with which an overload can be bought. Moves are counted from where
//! services run now ([`Service::current`](problem::Service::current)), may have a price and a limit.
//!
//! # Writing a policy
//!
//! A policy is one file with a [`Policy`] (name, parameters, constructor) and one line in [`POLICIES`]. It is either
//!
//! - a [`Placer`]: it gets the problem and returns a placement. [`start`] is where improving begins; an [`Evaluator`] keeps
//!   the value of a placement while services move, a trial in O(links of the service) by
//!   [`rank_after`](Evaluator::rank_after), a move by [`apply`](Evaluator::apply); or
//! - a [`scheduling::Scorer`]: it gets a [`scheduling::Cluster`] in which some services have a node, one that has none, and
//!   the nodes with room for it, and returns a score for each, 0 to 100 as kube-scheduler wants it.
//!   [`scheduling::OneByOne`] makes a placer of it.
//!
//! A placer keeps to [`Problem::allows`] always, and to capacities where it can: what it returns is ranked by its caller. It asks
//! [`TimeUp`] often enough to stop within milliseconds, and draws only from its [`Setting`]'s stream, so that the same problem,
//! parameters and seed give the same placement on every machine. `contract.rs` holds every policy in the list to that.

mod assignment;
mod check;
#[cfg(test)]
mod contract;
mod cost;
mod dice;
mod evaluator;
mod exact;
pub mod explain;
pub mod files;
pub mod generate;
#[cfg(test)]
mod golden;
mod joint;
mod kubernetes;
mod loads;
mod netmarks;
pub mod pga;
pub mod plugins;
mod policy;
pub mod problem;
mod random;
pub mod scheduling;
pub mod search;
mod stay;
pub mod trade;

pub use assignment::Placement;
pub use check::ProblemError;
pub use cost::{Cost, Objective, Overload, Rank, Valuation};
pub use evaluator::Evaluator;
pub use kubernetes::Kubernetes;
pub use loads::Loads;
pub use policy::{MAKESHIFT, NO_HURRY, POLICIES, Placed, Placer, Policy, Setting, TimeUp, Told, UNHEARD, build, find};
pub use problem::Problem;
pub use stay::start;
