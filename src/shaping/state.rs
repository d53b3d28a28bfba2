//! [`State`]: what a node's kernel holds, or should hold, for us.

use std::collections::BTreeMap;

use super::{Catch, ClassId, ClassShape, Impairment, Key, Netem, Verdicts};

/// The objects of ours in one node's kernel, each with its setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State(BTreeMap<Key, Setting>);

/// How an object is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Nothing to set: the object is there.
    Present,
    /// The shape of a class.
    Class(ClassShape),
    /// What a netem does.
    Leaf(Netem),
    /// What a rule does with the packets that it matches.
    Rule(Target),
    /// What the delay line does on a path.
    Line(Impairment),
    /// What the capture program does with packets to a prefix.
    Caught(Catch),
    /// What a profile of the capture program says.
    Service(Verdicts),
}

/// What a rule does with the packets that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// They belong to this class (on the device).
    Class(ClassId),
    /// They go to the device (on the interface), already named with their class where the kernel can do both at once.
    Detour(Option<ClassId>),
    /// Something that we did not ask for: read from a kernel, never wanted.
    Elsewhere,
}

impl State {
    /// Whether nothing of ours is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The setting of an object.
    pub fn get(&self, key: &Key) -> Option<&Setting> {
        self.0.get(key)
    }

    /// Whether the object is there.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// Puts an object there, or sets it anew; gives the former setting.
    pub fn insert(&mut self, key: Key, setting: Setting) -> Option<Setting> {
        self.0.insert(key, setting)
    }

    /// Takes an object away; gives its setting.
    pub fn remove(&mut self, key: &Key) -> Option<Setting> {
        self.0.remove(key)
    }

    /// All objects in the order of dependence.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Setting)> {
        self.0.iter()
    }

    /// The first object in which `self` and `other` differ, with its setting in each.
    pub fn first_difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> Option<(&'a Key, Option<&'a Setting>, Option<&'a Setting>)> {
        if self == other {
            return None;
        }
        let keys = self.0.keys().chain(other.0.keys());
        keys.filter(|key| self.get(key) != other.get(key)).min().map(|key| (key, self.get(key), other.get(key)))
    }
}

impl FromIterator<(Key, Setting)> for State {
    fn from_iter<I: IntoIterator<Item = (Key, Setting)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl Extend<(Key, Setting)> for State {
    fn extend<I: IntoIterator<Item = (Key, Setting)>>(&mut self, items: I) {
        self.0.extend(items);
    }
}
