//! Classes: one per distinct impairment, numbered so that a change disturbs as few paths as possible.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{FilterKey, Impairment, Key, Netem, Pattern, Setting, State, Target};
use crate::units::Rate;

/// How many classes there can be. A class number is a multiple of 16, in 16 bits, above 0.
pub(super) const MAX_CLASSES: usize = 0xfff;

/// The number of an HTB class under our root.
///
/// Only multiples of 16: where the number travels in a packet's priority, the interface's own qdisc looks at the lowest
/// four bits to choose a band, and must find 0 (best effort) as if nothing had happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(u16);

impl ClassId {
    /// The `index`th class, from 1; `None` beyond the 4,095 that there are.
    pub fn nth(index: usize) -> Option<Self> {
        let index = u16::try_from(index).ok()?;
        (1..=0xfff).contains(&index).then_some(Self(index << 4))
    }

    /// From the kernel's minor number; `None` when it is not one of ours.
    pub fn from_minor(minor: u16) -> Option<Self> {
        (minor != 0 && minor.is_multiple_of(16)).then_some(Self(minor))
    }

    /// The kernel's minor number.
    pub const fn minor(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// How HTB treats a class. Ours only sort packets, so that rate and burst are beyond what a node can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassShape {
    /// The rate that is assured.
    pub rate: Rate,
    /// The rate that may be borrowed.
    pub ceil: Rate,
    /// The bucket's size as time at the rate, in the kernel's ticks of 64 ns.
    pub buffer_ticks: u32,
    /// The same for the ceiling.
    pub ceil_buffer_ticks: u32,
    /// Bytes served in one turn. Given, because the kernel's own guess is out of range at such rates.
    pub quantum: u32,
}

impl ClassShape {
    /// 100 Gbit/s with a bucket of 1.25 MB: 100 µs.
    pub const UNLIMITED: Self = Self {
        rate: Rate::from_gigabits(100),
        ceil: Rate::from_gigabits(100),
        buffer_ticks: 1_562,
        ceil_buffer_ticks: 1_562,
        quantum: 60_000,
    };
}

/// The classes for the wanted impairments of patterns, numbered with an eye on the state now, and the leaves of all classes.
///
/// 1. An impairment that some class has already keeps that class: its paths see nothing of the change.
/// 2. Another takes over the class of one of its patterns when nobody else needs it: the delay changes in place.
/// 3. The rest take the lowest numbers that are not taken, idle classes included.
///
/// Classes that end up idle stay, because deleting one would lose the packets in it; a later change takes them over.
/// `None` when there are more distinct impairments than classes.
pub(super) fn number(wanted: &BTreeMap<Pattern, Impairment>, current: &State) -> Option<Numbering> {
    let impairments: BTreeSet<Impairment> = wanted.values().copied().collect();
    let mut leaves = leaves_of(current);
    let now = class_of_pattern(current);
    let mut classes = unchanged(&impairments, &leaves, &now);
    let mut taken: BTreeSet<ClassId> = classes.values().copied().collect();
    for (pattern, impairment) in wanted {
        let Some(class) = now.get(pattern) else { continue };
        if !classes.contains_key(impairment) && taken.insert(*class) {
            classes.insert(*impairment, *class);
        }
    }
    let mut free = (1..=MAX_CLASSES).filter_map(ClassId::nth);
    for impairment in &impairments {
        if !classes.contains_key(impairment) {
            classes.insert(*impairment, free.find(|class| !taken.contains(class))?);
        }
    }
    leaves.extend(classes.iter().map(|(impairment, class)| (*class, impairment.netem())));
    Some(Numbering { classes, leaves })
}

/// What [`number`] decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The class of each impairment.
    pub(super) classes: BTreeMap<Impairment, ClassId>,
    /// The netem of each class, idle ones included.
    pub(super) leaves: BTreeMap<ClassId, Netem>,
}

/// The impairments that a class has already; a class in use goes before an idle one.
fn unchanged(
    impairments: &BTreeSet<Impairment>,
    leaves: &BTreeMap<ClassId, Netem>,
    now: &BTreeMap<Pattern, ClassId>,
) -> BTreeMap<Impairment, ClassId> {
    let in_use: BTreeSet<ClassId> = now.values().copied().collect();
    let (busy, idle): (Vec<_>, Vec<_>) = leaves.iter().partition(|(class, _)| in_use.contains(class));
    let by_netem: HashMap<Netem, ClassId> =
        idle.into_iter().chain(busy).map(|(class, netem)| (*netem, *class)).collect();
    impairments.iter().filter_map(|impairment| Some((*impairment, *by_netem.get(&impairment.netem())?))).collect()
}

fn leaves_of(state: &State) -> BTreeMap<ClassId, Netem> {
    let leaves = state.iter().filter_map(|(key, setting)| match (key, setting) {
        (Key::Leaf(class), Setting::Leaf(netem)) => Some((*class, *netem)),
        _ => None,
    });
    leaves.collect()
}

/// Where packets of a pattern go now, by whichever rule names the class.
fn class_of_pattern(state: &State) -> BTreeMap<Pattern, ClassId> {
    let rules = state.iter().filter_map(|(key, setting)| match (key, setting) {
        (Key::Classify(FilterKey::Rule(_, pattern, _)), Setting::Rule(Target::Class(class)))
        | (Key::Capture(FilterKey::Rule(_, pattern, _)), Setting::Rule(Target::Detour(Some(class)))) => {
            Some((*pattern, *class))
        }
        _ => None,
    });
    rules.collect()
}
