//! [`apply`]: from what is there to what is wanted, checked at the end, undone on failure.

use super::TcError;
use crate::shaping::{Abilities, Backend, Key, Operation, Row, Setting, ShapingError, State, desired, diff};

/// Something that holds a node's shaping: a kernel, or a stand-in.
pub trait TrafficControl {
    /// Reads what is there of ours.
    fn current(&mut self) -> Result<State, TcError>;

    /// Does the operations in order. After an error any part of them may have been done.
    fn execute(&mut self, operations: &[Operation]) -> Result<(), TcError>;

    /// Reads now what the next [`execute`](Self::execute) would have to read first, so that only writes are left to it.
    fn get_ready(&mut self) -> Result<(), TcError> {
        Ok(())
    }
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

/// Makes everything for `row` that packets do not notice, such as the device, which takes far longer than leading packets there.
/// Where something of ours is there already, that is not needed and nothing is done. Returns what is there then.
pub fn lay_ground(
    tc: &mut dyn TrafficControl,
    row: &Row,
    backend: Backend,
    abilities: &Abilities,
) -> Result<State, ApplyError> {
    let before = tc.current().map_err(ApplyError::Read)?;
    if !before.is_empty() {
        return Ok(before);
    }
    let wanted = desired(row, backend, abilities, &before)?;
    // The hook may be there already and somebody else's: it counts as ours with our rules only, and takes no time.
    let waits = |key: &Key| key.takes_packets() || *key == Key::Clsact;
    let ground: State = wanted.iter().filter(|(key, _)| !waits(key)).map(|(key, set)| (*key, *set)).collect();
    bring(tc, &before, &ground).map(|_| ground)
}

/// A row whose operations are known and wait for their instant.
#[derive(Debug, Clone)]
pub struct Prepared {
    before: State,
    wanted: State,
    operations: Vec<Operation>,
}

/// Does everything for `row` that need not wait: what is there is read, and only the writes are left.
pub fn prepare(
    tc: &mut dyn TrafficControl,
    row: &Row,
    backend: Backend,
    abilities: &Abilities,
) -> Result<Prepared, ApplyError> {
    let before = tc.current().map_err(ApplyError::Read)?;
    let wanted = desired(row, backend, abilities, &before)?;
    let operations = diff(&before, &wanted);
    if !operations.is_empty() {
        tc.get_ready().map_err(ApplyError::Read)?;
    }
    Ok(Prepared { before, wanted, operations })
}

impl Prepared {
    /// How many objects will be added, changed or deleted.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Puts the row into effect and checks it. `written` is called when the last write is acknowledged, before the check.
    /// After an error everything is as it was before, unless the error says so.
    pub fn carry_out(&self, tc: &mut dyn TrafficControl, written: &mut dyn FnMut()) -> Result<(), ApplyError> {
        if self.operations.is_empty() {
            written();
            return Ok(());
        }
        reach(tc, &self.operations, &self.wanted, written).map_err(|cause| undone(tc, &self.before, cause))
    }
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
    match reach(tc, &operations, wanted, &mut || ()) {
        Ok(()) => Ok(applied),
        Err(cause) => Err(undone(tc, before, cause)),
    }
}

/// Puts things back after a failure, and says how that went.
fn undone(tc: &mut dyn TrafficControl, before: &State, cause: TcError) -> ApplyError {
    match undo(tc, before) {
        Ok(()) => ApplyError::Undone(cause),
        Err(undo) => ApplyError::Torn { cause: cause.into(), undo: undo.into() },
    }
}

fn reach(
    tc: &mut dyn TrafficControl,
    operations: &[Operation],
    wanted: &State,
    written: &mut dyn FnMut(),
) -> Result<(), TcError> {
    tc.execute(operations)?;
    written();
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
    if operations.is_empty() { Ok(()) } else { reach(tc, &operations, before, &mut || ()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Impairment, RowPath};
    use crate::tc::FakeTc;
    use crate::units::Delay;

    #[test]
    fn ground_takes_no_packet_and_leaves_little_to_the_instant() {
        let path = RowPath::to(&["10.77.0.2/32".parse().unwrap()], Impairment::delay(Delay::from_millis(10)));
        let (row, abilities) = (Row::from_iter([path]), Abilities::all());
        for backend in [Backend::Netem, Backend::Userspace] {
            let mut tc = FakeTc::default();
            let ground = lay_ground(&mut tc, &row, backend, &abilities).unwrap();
            assert!(!ground.is_empty() && ground.iter().all(|(key, _)| !key.takes_packets()), "{ground:?}");
            let left = prepare(&mut tc, &row, backend, &abilities).unwrap();
            let at_the_instant = |key: &Key| key.takes_packets() || *key == Key::Clsact;
            assert!(left.operations.iter().all(|operation| at_the_instant(operation.key())), "{:?}", left.operations);
            left.carry_out(&mut tc, &mut || ()).unwrap();
            assert_eq!(tc.current().unwrap(), desired(&row, backend, &abilities, &State::default()).unwrap());
            assert_eq!(lay_ground(&mut tc, &Row::default(), backend, &abilities).unwrap(), tc.current().unwrap());
        }
    }
}
