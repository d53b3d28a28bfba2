//! [`desired`]: a row becomes the state that a node's kernel should have.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::classes::{MAX_CLASSES, number};
use super::filters::{capture_list, list};
use super::{
    Abilities, Ability, Backend, ClassShape, DeviceKind, Impairment, ImpairmentError, Key, Row, Selector, Service,
    Setting, Share, State, Target,
};

/// The kernel from which on netem takes a seed.
const SEEDED_SINCE: (u32, u32) = (6, 6);

/// Why a row cannot become a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapingError {
    /// Two paths claim the same prefix.
    #[error("two paths lead to {prefix}, with {first} and with {second}; a prefix can have one impairment only")]
    Ambiguous {
        /// The prefix.
        prefix: IpNet,
        /// What the path that came first does.
        first: String,
        /// What the other does.
        second: String,
    },
    /// A selector of a single service, or an exclusion.
    #[error("{selector}: neither back-end tells services apart or leaves packets out")]
    Service {
        /// The selector.
        selector: Selector,
    },
    /// A path whose impairment makes no sense.
    #[error("the path to {prefix}: {cause}")]
    Nonsense {
        /// Its first prefix.
        prefix: IpNet,
        /// What is wrong.
        cause: ImpairmentError,
    },
    /// A kernel that does not let packets be duplicated beside other paths.
    #[error(
        "the path to {prefix} duplicates packets, which this kernel's netem refuses when a node has several paths ({why}); \
         leave duplication out or use the user-space back-end"
    )]
    NoDuplicate {
        /// The first prefix of the path.
        prefix: IpNet,
        /// What the kernel said.
        why: String,
    },
    /// A kernel whose netem takes no seed.
    #[error(
        "the path to {prefix} has a seed, which netem takes from kernel 6.6 on and this is {kernel}; leave the seed out or \
         use the user-space back-end"
    )]
    NoSeed {
        /// The prefix.
        prefix: IpNet,
        /// The kernel's release.
        kernel: String,
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
        Backend::Netem => {
            let state = netem(&wanted, abilities.skbedit.is_present(), current)?;
            supported(&wanted, &state, abilities)?;
            Ok(state)
        }
        Backend::Userspace => Ok(userspace(&wanted)),
    }
}

/// What each prefix of the row meets.
fn impairments(row: &Row) -> Result<BTreeMap<IpNet, Impairment>, ShapingError> {
    let mut wanted = BTreeMap::new();
    if let Some(selector) = row.exclusions.first() {
        return Err(ShapingError::Service { selector: *selector });
    }
    for path in &row.paths {
        for selector in &path.selectors {
            let prefix = &selector.prefix;
            if selector.service != Service::All {
                return Err(ShapingError::Service { selector: *selector });
            }
            path.impairment.checked().map_err(|cause| ShapingError::Nonsense { prefix: prefix.trunc(), cause })?;
            match wanted.entry(prefix.trunc()) {
                Entry::Vacant(entry) => {
                    entry.insert(path.impairment);
                }
                Entry::Occupied(entry) if *entry.get() == path.impairment => {}
                Entry::Occupied(entry) => {
                    let (first, second) = (entry.get().to_string(), path.impairment.to_string());
                    return Err(ShapingError::Ambiguous { prefix: prefix.trunc(), first, second });
                }
            }
        }
    }
    Ok(wanted)
}

/// Refuses before anything is touched what this kernel's netem would refuse, or silently not do.
fn supported(wanted: &BTreeMap<IpNet, Impairment>, state: &State, abilities: &Abilities) -> Result<(), ShapingError> {
    let leaves = state.iter().filter(|(key, _)| matches!(key, Key::Leaf(_))).count();
    let duplicating = wanted.iter().find(|(_, impairment)| impairment.duplicate != Share::default());
    if let (Some((prefix, _)), Ability::Missing { why, .. }) = (duplicating, &abilities.netem_duplicate)
        && leaves > 1
    {
        return Err(ShapingError::NoDuplicate { prefix: *prefix, why: why.clone() });
    }
    match wanted.iter().find(|(_, impairment)| impairment.seed.is_some()) {
        Some((prefix, _)) if release(&abilities.kernel).is_some_and(|version| version < SEEDED_SINCE) => {
            Err(ShapingError::NoSeed { prefix: *prefix, kernel: abilities.kernel.clone() })
        }
        _ => Ok(()),
    }
}

/// The first two numbers of a kernel's release.
fn release(kernel: &str) -> Option<(u32, u32)> {
    let (major, rest) = kernel.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::RowPath;
    use crate::units::{Delay, Span};

    fn row(impairments: &[Impairment]) -> Row {
        let path = |(host, impairment): (usize, &Impairment)| {
            RowPath::to(&[format!("10.0.0.{host}/32").parse().unwrap()], *impairment)
        };
        (1..).zip(impairments).map(path).collect()
    }

    fn refusal(impairments: &[Impairment], abilities: &Abilities) -> Option<String> {
        desired(&row(impairments), Backend::Netem, abilities, &State::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_the_kernel_cannot_do_is_refused_beforehand() {
        let plain = Impairment::delay(Delay::from_millis(10));
        let double = Impairment { duplicate: Share::of("1%".parse().unwrap()), ..plain };
        let refusing = Abilities { netem_duplicate: Ability::missing("it said no", "none"), ..Abilities::all() };
        assert_eq!(refusal(&[double, plain], &Abilities::all()), None);
        assert_eq!(refusal(&[double], &refusing), None, "a single netem may duplicate");
        assert_eq!(
            refusal(&[plain, double], &refusing).unwrap(),
            "the path to 10.0.0.2/32 duplicates packets, which this kernel's netem refuses when a node has several paths \
             (it said no); leave duplication out or use the user-space back-end"
        );
        let seeded = Impairment { seed: Some(1), ..double };
        let old = Abilities { kernel: "5.15.0-107-generic".to_owned(), ..Abilities::all() };
        assert!(refusal(&[seeded], &old).unwrap().contains("from kernel 6.6 on and this is 5.15.0-107-generic"));
        assert_eq!(refusal(&[seeded], &Abilities { kernel: "6.18.3".to_owned(), ..Abilities::all() }), None);
    }

    #[test]
    fn nonsense_is_refused_with_its_path() {
        let jitter = crate::shaping::Jitter { span: Span::from_millis(1), ..Default::default() };
        assert_eq!(
            refusal(&[Impairment { jitter, ..Impairment::default() }], &Abilities::all()).unwrap(),
            "the path to 10.0.0.1/32: a jitter of 1ms is more than the delay of 0ms; a packet cannot arrive before it is sent"
        );
    }

    #[test]
    fn streams_keep_equal_impairments_apart() {
        let limited = Impairment { rate: Some("10mbit".parse().unwrap()), ..Impairment::delay(Delay::from_millis(10)) };
        let leaves = |streams: [u16; 3]| {
            let row = row(&streams.map(|stream| Impairment { stream, ..limited }));
            let state = desired(&row, Backend::Netem, &Abilities::all(), &State::default()).unwrap();
            state.iter().filter(|(key, _)| matches!(key, Key::Leaf(_))).count()
        };
        assert_eq!((leaves([1, 2, 3]), leaves([1, 1, 2])), (3, 2));
    }
}
