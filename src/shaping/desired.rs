//! [`desired`]: a row becomes the state that a node's kernel should have.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::catch::catches;
use super::classes::{MAX_CLASSES, number};
use super::filters::{Overfull, Rules, capture_list, list};
use super::pattern::patterns;
use super::{
    Abilities, Ability, Backend, BackendChoice, CaptureKind, ChoiceError, ClassId, ClassShape, DeviceKind, Impairment,
    ImpairmentError, Key, PortRange, Row, Selector, Service, Setting, Share, State, Target, Transport, choose,
};

/// The kernel from which on netem takes a seed.
const SEEDED_SINCE: (u32, u32) = (6, 6);

/// Why a row cannot become a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapingError {
    /// Two paths claim the same packets.
    #[error("two paths lead to {selector}, with {first} and with {second}; a prefix can have one impairment only")]
    Ambiguous {
        /// What both select.
        selector: Selector,
        /// What the path that came first does.
        first: String,
        /// What the other does.
        second: String,
    },
    /// A path and an exclusion claim the same packets.
    #[error("{selector} has an impairment ({impairment}) and is excluded; leave one out or make one more specific")]
    Excluded {
        /// What both select.
        selector: Selector,
        /// What the path does.
        impairment: String,
    },
    /// Two ranges of ports overlap, of which neither is narrower.
    #[error(
        "{first} and {second} overlap and are equally wide, so that neither goes before the other; split one of them"
    )]
    Overlap {
        /// The lower one.
        first: Selector,
        /// The higher one.
        second: Selector,
    },
    /// More rules than the kernel has places for where nothing tells them apart quickly.
    #[error(
        "the selectors at {prefix} and its like take {rules} rules of one kind, and the kernel has room for {most} there; \
         use fewer ports or wider ranges"
    )]
    Overfull {
        /// One of the prefixes.
        prefix: IpNet,
        /// How many rules they take.
        rules: usize,
        /// How many there can be.
        most: usize,
    },
    /// A path whose impairment makes no sense.
    #[error("the path to {selector}: {cause}")]
    Nonsense {
        /// Its first selector.
        selector: Selector,
        /// What is wrong.
        cause: ImpairmentError,
    },
    /// A kernel that does not let packets be duplicated beside other paths.
    #[error(
        "the path to {selector} duplicates packets, which this kernel's netem refuses when a node has several paths ({why}); \
         leave duplication out or use the user-space back-end"
    )]
    NoDuplicate {
        /// The first selector of the path.
        selector: Selector,
        /// What the kernel said.
        why: String,
    },
    /// A kernel whose netem takes no seed.
    #[error(
        "the path to {selector} has a seed, which netem takes from kernel 6.6 on and this is {kernel}; leave the seed out or \
         use the user-space back-end"
    )]
    NoSeed {
        /// The selector.
        selector: Selector,
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

/// The back-end for a row, with the reason in words: as [`choose`] says, but where the choice is free and netem refuses the row,
/// the user-space line takes it.
pub fn choose_for(choice: BackendChoice, abilities: &Abilities, row: &Row) -> Result<(Backend, String), ChoiceError> {
    let (backend, reason) = choose(choice, abilities)?;
    let free = choice == BackendChoice::Auto && backend == Backend::Netem;
    if !free || !abilities.lacks(Backend::Userspace).is_empty() {
        return Ok((backend, reason));
    }
    let refused = desired(row, Backend::Netem, abilities, &State::default()).err().and_then(|error| error.of_netem());
    Ok(refused.map_or((backend, reason), |why| (Backend::Userspace, format!("netem does not take this row: {why}"))))
}

impl ShapingError {
    /// In a few words, why netem refuses what the user-space line takes; `None` for what both refuse.
    fn of_netem(&self) -> Option<String> {
        match self {
            Self::NoDuplicate { .. } => Some("this kernel's netem duplicates only on a node with one path".to_owned()),
            Self::NoSeed { kernel, .. } => Some(format!("seeds need kernel 6.6, this is {kernel}")),
            Self::TooMany { count } => {
                Some(format!("{count} different impairments, of {MAX_CLASSES} that there can be"))
            }
            _ => None,
        }
    }
}

/// The state that puts `row` into effect with `backend`.
///
/// `current` is what is there now: classes are numbered so that what need not change does not change. From nothing, pass
/// `&State::default()`. A row without paths is an empty state,
/// because nothing is to be excluded from nothing.
pub fn desired(row: &Row, backend: Backend, abilities: &Abilities, current: &State) -> Result<State, ShapingError> {
    let outcomes = outcomes(row)?;
    if outcomes.values().all(Option::is_none) {
        return Ok(State::default());
    }
    match backend {
        Backend::Netem => {
            let state = netem(&outcomes, abilities.skbedit.is_present(), current)?;
            supported(&outcomes, &state, abilities)?;
            Ok(state)
        }
        Backend::Userspace => userspace(&outcomes, abilities.capture(), current),
    }
}

/// What each selector of the row asks for: an impairment, or (`None`) to be left alone.
type Outcomes = BTreeMap<Selector, Option<Impairment>>;

fn outcomes(row: &Row) -> Result<Outcomes, ShapingError> {
    let mut outcomes = Outcomes::new();
    for path in &row.paths {
        for selector in path.selectors.iter().map(|selector| selector.canonical()) {
            path.impairment.checked().map_err(|cause| ShapingError::Nonsense { selector, cause })?;
            let former = outcomes.insert(selector, Some(path.impairment)).flatten();
            if let Some(former) = former.filter(|former| *former != path.impairment) {
                let (first, second) = (former.to_string(), path.impairment.to_string());
                return Err(ShapingError::Ambiguous { selector, first, second });
            }
        }
    }
    for selector in row.exclusions.iter().map(|selector| selector.canonical()) {
        if let Some(impairment) = outcomes.insert(selector, None).flatten() {
            return Err(ShapingError::Excluded { selector, impairment: impairment.to_string() });
        }
    }
    refuse_overlaps(&outcomes)?;
    Ok(outcomes)
}

/// Refuses ranges of ports that overlap, of which neither is narrower.
fn refuse_overlaps(outcomes: &Outcomes) -> Result<(), ShapingError> {
    type Ranges = Vec<(PortRange, Option<Impairment>)>;
    let mut ranges: BTreeMap<(IpNet, Transport, u16), Ranges> = BTreeMap::new();
    for (selector, outcome) in outcomes {
        let Service::Port(transport, ports) = selector.service else { continue };
        ranges.entry((selector.prefix, transport, ports.width())).or_default().push((ports, *outcome));
    }
    for ((prefix, transport, _), ranges) in ranges {
        let pairs = ranges.iter().zip(ranges.iter().skip(1));
        let mut overlapping = pairs.filter(|((low, one), (high, other))| low.contains(high.first()) && one != other);
        if let Some(((low, _), (high, _))) = overlapping.next() {
            let selector = |ports: &PortRange| Selector { prefix, service: Service::Port(transport, *ports) };
            return Err(ShapingError::Overlap { first: selector(low), second: selector(high) });
        }
    }
    Ok(())
}

/// Refuses before anything is touched what this kernel's netem would refuse, or silently not do.
fn supported(outcomes: &Outcomes, state: &State, abilities: &Abilities) -> Result<(), ShapingError> {
    let leaves = state.iter().filter(|(key, _)| matches!(key, Key::Leaf(_))).count();
    let first = |test: fn(&Impairment) -> bool| {
        outcomes.iter().find(|(_, outcome)| outcome.as_ref().is_some_and(test)).map(|(selector, _)| *selector)
    };
    let duplicating = first(|impairment| impairment.duplicate != Share::default());
    if let (Some(selector), Ability::Missing { why, .. }) = (duplicating, &abilities.netem_duplicate)
        && leaves > 1
    {
        return Err(ShapingError::NoDuplicate { selector, why: why.clone() });
    }
    match first(|impairment| impairment.seed.is_some()) {
        Some(selector) if release(&abilities.kernel).is_some_and(|version| version < SEEDED_SINCE) => {
            Err(ShapingError::NoSeed { selector, kernel: abilities.kernel.clone() })
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

fn netem(outcomes: &Outcomes, skbedit: bool, current: &State) -> Result<State, ShapingError> {
    let patterns = patterns(outcomes.keys());
    let outcome = |selector| outcomes.get(selector).copied().flatten();
    let wanted = patterns.iter().filter_map(|(pattern, selector)| Some((*pattern, outcome(selector)?))).collect();
    let numbering = number(&wanted, current).ok_or_else(|| {
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
    let class = |pattern| wanted.get(pattern).and_then(|impairment| numbering.classes.get(impairment).copied());
    if !skbedit {
        // What is left alone never comes here.
        let rules = wanted.keys().map(|pattern| (*pattern, class(pattern).map(Target::Class))).collect();
        state.extend(list(&rules)?.into_iter().map(|(key, setting)| (Key::Classify(key), setting)));
    }
    let detour = |class: ClassId| Target::Detour(skbedit.then_some(class));
    capture(&mut state, &patterns.keys().map(|pattern| (*pattern, class(pattern).map(detour))).collect())?;
    Ok(state)
}

fn userspace(outcomes: &Outcomes, by: CaptureKind, current: &State) -> Result<State, ShapingError> {
    let mut state = State::default();
    state.insert(Key::Device(DeviceKind::Veth), Setting::Present);
    // The line knows what is left alone too: it may be given more than it asked for.
    let line = |(selector, outcome): (&Selector, &Option<Impairment>)| {
        (Key::Line(*selector), Setting::Line(outcome.unwrap_or_default()))
    };
    state.extend(outcomes.iter().map(line));
    if by == CaptureKind::Program {
        let taken = outcomes.iter().map(|(selector, outcome)| (*selector, outcome.is_some())).collect();
        state.extend(catches(&taken, current));
        state.insert(Key::Program, Setting::Rule(Target::Detour(None)));
        return Ok(state);
    }
    let target = |selector: &Selector| outcomes.get(selector).copied().flatten().map(|_| Target::Detour(None));
    let rules = patterns(outcomes.keys()).into_iter().map(|(pattern, selector)| (pattern, target(&selector)));
    capture(&mut state, &rules.collect())?;
    Ok(state)
}

fn capture(state: &mut State, rules: &Rules) -> Result<(), ShapingError> {
    state.insert(Key::Clsact, Setting::Present);
    state.extend(capture_list(rules)?.into_iter().map(|(key, setting)| (Key::Capture(key), setting)));
    Ok(())
}

impl From<Overfull> for ShapingError {
    fn from(Overfull { prefix, rules, most }: Overfull) -> Self {
        Self::Overfull { prefix, rules, most }
    }
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
    fn what_netem_refuses_goes_to_user_space_where_the_choice_is_free() {
        let double =
            Impairment { duplicate: Share::of("1%".parse().unwrap()), ..Impairment::delay(Delay::from_millis(10)) };
        let rows = row(&[double, Impairment::delay(Delay::from_millis(10))]);
        let refusing = Abilities { netem_duplicate: Ability::missing("it said no", "none"), ..Abilities::all() };
        let chosen = |choice, abilities: &Abilities, row: &Row| choose_for(choice, abilities, row).unwrap();
        let (backend, reason) = chosen(BackendChoice::Auto, &refusing, &rows);
        assert_eq!(backend, Backend::Userspace);
        assert_eq!(reason, "netem does not take this row: this kernel's netem duplicates only on a node with one path");
        assert_eq!(chosen(BackendChoice::Netem, &refusing, &rows).0, Backend::Netem, "asked for, and refused later");
        assert_eq!(chosen(BackendChoice::Auto, &Abilities::all(), &rows).0, Backend::Netem);
        let alone = Abilities { packet_socket: Ability::missing("no", "none"), ..refusing };
        assert_eq!(chosen(BackendChoice::Auto, &alone, &rows).0, Backend::Netem, "there is nothing else");
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
