//! [`desired`]: a row becomes the state that a node's kernel should have.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::classes::{MAX_CLASSES, number};
use super::filters::{capture_list, list};
use super::{Abilities, Backend, ClassShape, DeviceKind, Impairment, Key, Row, Setting, State, Target};

/// Why a row cannot become a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapingError {
    /// Two paths claim the same prefix.
    #[error("two paths lead to {prefix}, with {first} and with {second}; a prefix can have one delay only")]
    Ambiguous {
        /// The prefix.
        prefix: IpNet,
        /// The delay of the path that came first.
        first: crate::units::Delay,
        /// The delay of the other.
        second: crate::units::Delay,
    },
    /// More distinct impairments than the kernel has classes.
    #[error("{count} different impairments from one node; there can be {MAX_CLASSES}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// The state that puts `row` into effect with `backend`.
///
/// `current` is what is there now: classes are numbered so that what need not change does not change. From nothing, pass
/// `&State::default()`. An empty row is an empty state.
pub fn desired(row: &Row, backend: Backend, abilities: &Abilities, current: &State) -> Result<State, ShapingError> {
    let wanted = impairments(row)?;
    if wanted.is_empty() {
        return Ok(State::default());
    }
    match backend {
        Backend::Netem => netem(&wanted, abilities.skbedit.is_present(), current),
        Backend::Userspace => Ok(userspace(&wanted)),
    }
}

/// What each prefix of the row meets.
fn impairments(row: &Row) -> Result<BTreeMap<IpNet, Impairment>, ShapingError> {
    let mut wanted = BTreeMap::new();
    for path in &row.paths {
        for prefix in &path.prefixes {
            match wanted.entry(prefix.trunc()) {
                Entry::Vacant(entry) => {
                    entry.insert(path.impairment);
                }
                Entry::Occupied(entry) if *entry.get() == path.impairment => {}
                Entry::Occupied(entry) => {
                    let (first, second) = (entry.get().delay, path.impairment.delay);
                    return Err(ShapingError::Ambiguous { prefix: prefix.trunc(), first, second });
                }
            }
        }
    }
    Ok(wanted)
}

fn netem(wanted: &BTreeMap<IpNet, Impairment>, skbedit: bool, current: &State) -> Result<State, ShapingError> {
    let numbering = number(wanted, current).ok_or_else(|| {
        let distinct: BTreeSet<&Impairment> = wanted.values().collect();
        ShapingError::TooMany { count: distinct.len() }
    })?;
    let mut state = State::default();
    state.insert(Key::Device(DeviceKind::Ifb), Setting::Present);
    state.insert(Key::Root, Setting::Present);
    for (class, leaf) in numbering.leaves {
        state.insert(Key::Class(class), Setting::Class(ClassShape::UNLIMITED));
        state.insert(Key::Leaf(class), Setting::Leaf(leaf));
    }
    let classes: BTreeMap<IpNet, _> =
        wanted.iter().filter_map(|(prefix, impairment)| Some((*prefix, *numbering.classes.get(impairment)?))).collect();
    if !skbedit {
        let rules = classes.iter().map(|(prefix, class)| (*prefix, Target::Class(*class))).collect();
        state.extend(list(&rules).into_iter().map(|(key, setting)| (Key::Classify(key), setting)));
    }
    let rules = classes.into_iter().map(|(prefix, class)| (prefix, Target::Detour(skbedit.then_some(class)))).collect();
    capture(&mut state, &rules);
    Ok(state)
}

fn userspace(wanted: &BTreeMap<IpNet, Impairment>) -> State {
    let mut state = State::default();
    state.insert(Key::Device(DeviceKind::Veth), Setting::Present);
    state.extend(wanted.iter().map(|(prefix, impairment)| (Key::Line(*prefix), Setting::Line(*impairment))));
    capture(&mut state, &wanted.keys().map(|prefix| (*prefix, Target::Detour(None))).collect());
    state
}

fn capture(state: &mut State, rules: &BTreeMap<IpNet, Target>) {
    state.insert(Key::Clsact, Setting::Present);
    state.extend(capture_list(rules).into_iter().map(|(key, setting)| (Key::Capture(key), setting)));
}
