//! [`FakeTc`]: a kernel in memory that enforces a kernel's rules, for tests of everything above the port.

use std::collections::BTreeMap;

use super::{TcError, TrafficControl};
use crate::shaping::{Key, Operation, Setting, State};

/// A kernel in memory.
#[derive(Debug, Default)]
pub struct FakeTc {
    state: State,
    children: BTreeMap<Key, usize>,
    writes: usize,
    fail_in: Option<usize>,
}

impl FakeTc {
    /// An empty kernel.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations it has done.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// Makes the operation after `count` further ones fail, once.
    pub fn fail_after(&mut self, count: usize) {
        self.fail_in = Some(count);
    }

    fn step(&mut self, operation: &Operation) -> Result<(), TcError> {
        match self.fail_in.as_mut() {
            Some(0) => {
                self.fail_in = None;
                return Err(TcError::Conflict {
                    operation: operation.to_string(),
                    why: "refused as the test demands".to_owned(),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match operation {
            Operation::Add(key, setting) => self.add(operation, *key, *setting),
            Operation::Change(key, setting) => self.change(operation, *key, *setting),
            Operation::Delete(key) => self.delete(operation, key),
        }?;
        self.writes += 1;
        Ok(())
    }

    fn add(&mut self, operation: &Operation, key: Key, setting: Setting) -> Result<(), TcError> {
        let parents = key.parents();
        if let Some(missing) = parents.iter().find(|parent| !self.state.contains(parent)) {
            return Err(TcError::Missing { operation: operation.to_string(), missing: *missing });
        }
        if let Key::Device(_) = key
            && self.state.iter().any(|(other, _)| matches!(other, Key::Device(_)))
        {
            return Err(conflict(operation, "the name is taken"));
        }
        if self.state.insert(key, setting).is_some() {
            return Err(conflict(operation, "it exists"));
        }
        for parent in parents {
            *self.children.entry(parent).or_default() += 1;
        }
        Ok(())
    }

    fn change(&mut self, operation: &Operation, key: Key, setting: Setting) -> Result<(), TcError> {
        if !self.state.contains(&key) {
            return Err(TcError::Missing { operation: operation.to_string(), missing: key });
        }
        if setting == Setting::Present {
            return Err(conflict(operation, "it has no settings"));
        }
        self.state.insert(key, setting);
        Ok(())
    }

    fn delete(&mut self, operation: &Operation, key: &Key) -> Result<(), TcError> {
        if self.children.get(key).is_some_and(|count| *count > 0) {
            return Err(conflict(operation, "others need it"));
        }
        if self.state.remove(key).is_none() {
            return Err(TcError::Missing { operation: operation.to_string(), missing: *key });
        }
        for parent in key.parents() {
            if let Some(count) = self.children.get_mut(&parent) {
                *count -= 1;
            }
        }
        Ok(())
    }
}

fn conflict(operation: &Operation, why: &str) -> TcError {
    TcError::Conflict { operation: operation.to_string(), why: why.to_owned() }
}

impl TrafficControl for FakeTc {
    fn current(&mut self) -> Result<State, TcError> {
        Ok(self.state.clone())
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<(), TcError> {
        operations.iter().try_for_each(|operation| self.step(operation))
    }
}
