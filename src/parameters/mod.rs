//! Parameters of policies: what each is called, means, may be and is unless told; pure.
//!
//! A policy declares its parameters once. Plans, sweeps, `longhaul policies` and its own constructor all go by that declaration,
//! so that a value that is not allowed is refused where it is written, with the place, and never reaches the policy.

mod definition;
mod given;
mod value;

pub use definition::{Definition, Kind};
pub use given::{Given, Parameters};
pub use value::Value;

use crate::wording::excerpt;

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The policy has none of this name.
    #[error("`{}` is no parameter of {policy}; it has {known}", excerpt(.name))]
    Unknown {
        /// The name as given.
        name: String,
        /// The policy.
        policy: &'static str,
        /// The names that it has, for reading.
        known: String,
    },
    /// The value is of another kind, or out of bounds.
    #[error("`{}` is not a value of {name}: {wanted}", excerpt(.text))]
    Value {
        /// The parameter.
        name: &'static str,
        /// The value as given.
        text: String,
        /// What it may be, for reading.
        wanted: String,
    },
}
