//! [`apply`]: from what is there to what is wanted, checked at the end, undone on failure.

use super::TcError;
use crate::shaping::{Abilities, Backend, Operation, Row, Setting, ShapingError, State, desired, diff};

/// Something that holds a node's shaping: a kernel, or a stand-in.
pub trait TrafficControl {
    /// Reads what is there of ours.
    fn current(&mut self) -> Result<State, TcError>;

    /// Does the operations in order. After an error any part of them may have been done.
    fn execute(&mut self, operations: &[Operation]) -> Result<(), TcError>;
}

/// What an [`apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// How many objects were added, changed or deleted; 0 when all was as wanted.
    pub operations: usize,
    /// How many objects are there now.
    pub objects: usize,
}

/// Why a state could not be applied, and what is there now.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The row makes no sense.
    #[error(transparent)]
    Shaping(#[from] ShapingError),
    /// What is there could not be read; nothing was changed.
    #[error("cannot read the state of traffic control: {0}")]
    Read(TcError),
    /// It failed and everything is as it was before.
    #[error("{0}; everything is as it was before")]
    Undone(TcError),
    /// It failed, and so did putting things back.
    #[error("{cause}; putting things back failed too: {undo}")]
    Torn {
        /// The first failure.
        cause: Box<TcError>,
        /// The second.
        undo: Box<TcError>,
    },
}

/// Brings `tc` to `wanted` with the fewest operations. After an error everything is as it was before, unless the error says so.
pub fn apply(tc: &mut dyn TrafficControl, wanted: &State) -> Result<Applied, ApplyError> {
    let before = tc.current().map_err(ApplyError::Read)?;
    bring(tc, &before, wanted)
}

/// Puts `row` into effect, numbering classes so that paths that stay the same see nothing.
pub fn impair(
    tc: &mut dyn TrafficControl,
    row: &Row,
    backend: Backend,
    abilities: &Abilities,
) -> Result<Applied, ApplyError> {
    let before = tc.current().map_err(ApplyError::Read)?;
    let wanted = desired(row, backend, abilities, &before)?;
    bring(tc, &before, &wanted)
}

/// Takes everything of ours away.
pub fn clear(tc: &mut dyn TrafficControl) -> Result<Applied, ApplyError> {
    apply(tc, &State::default())
}

fn bring(tc: &mut dyn TrafficControl, before: &State, wanted: &State) -> Result<Applied, ApplyError> {
    let operations = diff(before, wanted);
    let applied = Applied { operations: operations.len(), objects: wanted.len() };
    if operations.is_empty() {
        return Ok(applied);
    }
    match reach(tc, &operations, wanted) {
        Ok(()) => Ok(applied),
        Err(cause) => Err(match undo(tc, before) {
            Ok(()) => ApplyError::Undone(cause),
            Err(undo) => ApplyError::Torn { cause: cause.into(), undo: undo.into() },
        }),
    }
}

fn reach(tc: &mut dyn TrafficControl, operations: &[Operation], wanted: &State) -> Result<(), TcError> {
    tc.execute(operations)?;
    let found = tc.current()?;
    match found.first_difference(wanted) {
        None => Ok(()),
        Some((key, found, wanted)) => {
            let words =
                |setting: Option<&Setting>| setting.map_or("absent".to_owned(), |setting| format!("{setting:?}"));
            Err(TcError::Differs { key: *key, found: words(found), wanted: words(wanted) })
        }
    }
}

fn undo(tc: &mut dyn TrafficControl, before: &State) -> Result<(), TcError> {
    let now = tc.current()?;
    let operations = diff(&now, before);
    if operations.is_empty() { Ok(()) } else { reach(tc, &operations, before) }
}
