//! The contract of [`TrafficControl`]: one suite that every adapter must pass, and its run against the fake.
#![allow(clippy::unwrap_used)]

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::oracle::without_tcx;
use super::{ApplyError, FakeTc, TrafficControl, apply, clear, impair};
use crate::shaping::{
    Abilities, Ability, Backend, Catch, Caught, DeviceKind, Distribution, Family, FilterKey, FourState, GilbertElliott,
    Impairment, Jitter, Key, Loss, Operation, OwnTable, Reorder, Row, RowPath, Selector, Share, State, Table, Target,
    desired, diff,
};
use crate::shaping::{Pattern, Portion, Setting, Treatment};
use crate::units::{Delay, Span};

/// What an adapter under test can do.
pub(super) struct Bench<'a> {
    pub(super) tc: &'a mut dyn TrafficControl,
    pub(super) backend: Backend,
    pub(super) abilities: Abilities,
}

impl Bench<'_> {
    fn impair(&mut self, row: &Row) -> usize {
        impair(self.tc, row, self.backend, &self.abilities).unwrap().operations
    }

    fn captures_by_program(&self) -> bool {
        self.backend == Backend::Userspace && self.abilities.tcx.is_present()
    }
}

/// A row of `(prefix, milliseconds)`.
pub(super) fn row(paths: &[(&str, u64)]) -> Row {
    let path = |(prefix, ms): &(&str, u64)| RowPath {
        selectors: vec![prefix.parse().unwrap()],
        impairment: Impairment::delay(Delay::from_millis(*ms)),
    };
    paths.iter().map(path).collect()
}

/// Everything to a prefix.
fn whole(prefix: ipnet::IpNet) -> Pattern {
    Pattern { prefix, portion: Portion::All }
}

/// A row of `count` hosts, v4 and v6 each, with `distinct` different delays starting at `first` ms.
pub(super) fn wide_row(count: u32, distinct: u32, first: u64) -> Row {
    let path = |index: u32| {
        let v4 = std::net::Ipv4Addr::from(0x0a00_0000 + index + 1);
        let v6 = Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(index + 1));
        RowPath {
            selectors: [v4.into(), v6.into()].map(|host: std::net::IpAddr| Selector::all(host.into())).to_vec(),
            impairment: Impairment::delay(Delay::from_micros(first * 1_000 + u64::from(index % distinct))),
        }
    };
    (0..count).map(path).collect()
}

/// Everything that is promised of an adapter. `tc` must be empty and is empty afterwards.
pub(super) fn suite(bench: &mut Bench<'_>) {
    applies_from_nothing_and_again_without_a_write(bench);
    changes_delays_in_place(bench);
    adds_and_removes_destinations(bench);
    longest_prefixes_and_crowded_buckets(bench);
    tells_services_apart_and_leaves_exclusions_alone(bench);
    a_thousand_destinations(bench);
    impairs_in_every_way(bench);
    clear(bench.tc).unwrap();
    assert_eq!(bench.tc.current().unwrap(), State::default());
    assert_eq!(clear(bench.tc).unwrap().operations, 0);
}

fn applies_from_nothing_and_again_without_a_write(bench: &mut Bench<'_>) {
    let row = row(&[("10.0.0.2/32", 10), ("fd00::2/128", 10), ("10.0.0.3/32", 25)]);
    assert_eq!(bench.tc.current().unwrap(), State::default());
    assert!(bench.impair(&row) > 0);
    let state = bench.tc.current().unwrap();
    assert_eq!(state, desired(&row, bench.backend, &bench.abilities, &State::default()).unwrap());
    assert_eq!(bench.impair(&row), 0);
    assert_eq!(bench.tc.current().unwrap(), state);
}

fn changes_delays_in_place(bench: &mut Bench<'_>) {
    bench.impair(&row(&[("10.0.0.2/32", 10), ("fd00::2/128", 10), ("10.0.0.3/32", 25)]));
    let before = bench.tc.current().unwrap();
    bench.impair(&row(&[("10.0.0.2/32", 11), ("fd00::2/128", 11), ("10.0.0.3/32", 26)]));
    let after = bench.tc.current().unwrap();
    let changed = |key: &Key| matches!(key, Key::Leaf(_) | Key::Line(_));
    for operation in diff(&before, &after) {
        assert!(matches!(operation, Operation::Change(key, _) if changed(&key)), "{operation}");
    }
    assert_ne!(before, after);
}

fn adds_and_removes_destinations(bench: &mut Bench<'_>) {
    bench.impair(&row(&[("10.0.0.2/32", 10), ("10.0.0.3/32", 20)]));
    // A neighbour in a bucket that is in use, together with a new table.
    bench.impair(&row(&[("10.0.0.2/32", 10), ("10.0.0.3/32", 20), ("10.7.0.2/32", 20), ("10.8.0.0/16", 20)]));
    bench.impair(&row(&[("10.0.0.2/32", 10), ("10.0.0.3/32", 20), ("10.0.0.4/32", 30), ("fd00::4/128", 30)]));
    let program = bench.captures_by_program();
    let capture = |text: &str| {
        let prefix = text.parse().unwrap();
        if program {
            Key::Caught(Caught::of(&prefix))
        } else {
            Key::Capture(FilterKey::Rule(Table::of(&prefix), whole(prefix), Treatment::Take))
        }
    };
    assert!(bench.tc.current().unwrap().contains(&capture("fd00::4/128")));
    bench.impair(&row(&[("10.0.0.3/32", 20), ("10.0.0.4/32", 30)]));
    let state = bench.tc.current().unwrap();
    assert!(!state.contains(&capture("10.0.0.2/32")) && !state.contains(&capture("fd00::4/128")));
    assert!(!state.contains(&Key::Capture(FilterKey::Chain(Family::V6))), "an empty list goes");
    assert!(state.contains(&capture("10.0.0.3/32")) && state.contains(&capture("10.0.0.4/32")));
}

fn longest_prefixes_and_crowded_buckets(bench: &mut Bench<'_>) {
    let crowd: Vec<String> = (0..20).map(|n| format!("10.1.{n}.9/32")).collect();
    let mut paths: Vec<(&str, u64)> = crowd.iter().map(|text| (text.as_str(), 5)).collect();
    paths.extend([("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.3.0/24", 3), ("8.0.0.0/5", 4), ("fd00::/64", 6)]);
    bench.impair(&row(&paths));
    let crowded = Key::Capture(FilterKey::Link(Table::of_length(Family::V4, 32).below(9, 2).unwrap()));
    let filters = !bench.captures_by_program();
    assert_eq!(bench.tc.current().unwrap().contains(&crowded), filters);
    bench.impair(&row(&paths[10..]));
    assert!(!bench.tc.current().unwrap().contains(&crowded));
    bench.impair(&row(&paths));
    assert_eq!(bench.tc.current().unwrap().contains(&crowded), filters);
}

/// A row of `(selector, milliseconds)`, and what it excludes.
fn row_except(paths: &[(&str, u64)], exclusions: &[&str]) -> Row {
    Row { exclusions: exclusions.iter().map(|text| text.parse().unwrap()).collect(), ..row(paths) }
}

fn tells_services_apart_and_leaves_exclusions_alone(bench: &mut Bench<'_>) {
    let site =
        [("10.0.0.0/24", 10), ("10.0.0.0/24 udp:5000-5010", 20), ("10.0.0.0/24 icmp", 30), ("fd00::/64 tcp:22", 40)];
    let rows = [
        row_except(&site, &[]),
        row_except(&site, &["10.0.0.0/24 tcp:22", "10.0.0.7/32", "fd00::/64 17", "10.0.0.0/24 udp:5005-5006"]),
        row_except(&site[..1], &["10.0.0.0/24 tcp:22", "10.0.0.0/24 icmp"]),
        row_except(&[("10.0.0.0/24 tcp:22", 10), ("10.0.0.0/24 icmp", 20)], &["10.0.0.0/24"]),
    ];
    for row in rows.iter().chain(rows.iter().rev()) {
        assert!(bench.impair(row) > 0 || row == &rows[3]);
        assert_eq!(bench.impair(row), 0, "{row:?}");
    }
    // An exclusion comes and goes without a change to anything else.
    bench.impair(&rows[0]);
    let without = bench.tc.current().unwrap();
    bench.impair(&row_except(&site, &["10.0.0.0/24 tcp:22"]));
    let with = bench.tc.current().unwrap();
    let added = diff(&without, &with);
    let about = |operation: &Operation| {
        matches!(operation, Operation::Add(Key::Capture(FilterKey::Rule(.., Treatment::Pass)) | Key::Line(_), _))
    };
    assert!(!added.is_empty() && (bench.captures_by_program() || added.iter().all(about)), "{added:?}");
    bench.impair(&rows[0]);
    assert_eq!(bench.tc.current().unwrap(), without);
}

fn a_thousand_destinations(bench: &mut Bench<'_>) {
    bench.impair(&wide_row(1_000, 1_000, 10));
    assert_eq!(bench.impair(&wide_row(1_000, 1_000, 10)), 0);
    let before = bench.tc.current().unwrap();
    assert_eq!(bench.impair(&wide_row(1_000, 1_000, 40)), if bench.backend == Backend::Netem { 1_000 } else { 2_000 });
    let after = bench.tc.current().unwrap();
    let rules = |state: &State| -> Vec<(Key, Setting)> {
        let rule = |key: &Key| matches!(key, Key::Capture(_) | Key::Classify(_) | Key::Caught(_) | Key::Program);
        let ours = state.iter().filter(|(key, _)| rule(key));
        ours.map(|(key, setting)| (*key, *setting)).collect()
    };
    assert_eq!(rules(&before), rules(&after));
}

/// Everything at once, one thing after the other, and what the kernel does not report is noticed all the same.
fn impairs_in_every_way(bench: &mut Bench<'_>) {
    let share = |text: &str| Share { probability: text.parse().unwrap(), correlation: "25%".parse().unwrap() };
    let delay = Impairment::delay(Delay::from_millis(10));
    let jitter =
        |distribution| Jitter { span: Span::from_millis(1), distribution, correlation: "10%".parse().unwrap() };
    let [to_bad, to_good, bad_loss, good_loss] = ["1%", "10%", "75%", "0.1%"].map(|text| text.parse().unwrap());
    let chain = GilbertElliott { to_bad, to_good, bad_loss, good_loss };
    let states = FourState { p13: to_bad, p31: to_good, p32: bad_loss, p23: to_good, p14: good_loss };
    let table =
        |shift: i16| Distribution::Own(OwnTable::new("contract", (0..300).map(|n| n + shift).collect()).unwrap());
    let mut ways: Vec<Impairment> =
        Distribution::ALL.map(|distribution| Impairment { jitter: jitter(distribution), ..delay }).to_vec();
    ways.extend([
        Impairment { loss: Loss::Random(share("0.5%")), ..Impairment::default() },
        Impairment { loss: Loss::Gilbert(chain), ..delay },
        Impairment { loss: Loss::States(states), ..delay },
        Impairment { jitter: jitter(table(0)), ..delay },
        Impairment { jitter: jitter(table(1)), loss: Loss::States(states), ..delay },
        Impairment { corrupt: share("0.1%"), ..delay },
        Impairment { reorder: Some(Reorder { share: share("5%"), gap: 3 }), ..delay },
        Impairment { rate: Some("10mbit".parse().unwrap()), ..delay },
        Impairment { rate: Some("10mbit".parse().unwrap()), stream: 4095, ..delay },
        delay,
    ]);
    let row_of = |impairments: &[Impairment]| {
        let path = |(host, impairment): (usize, &Impairment)| {
            RowPath::to(&[format!("10.3.0.{host}/32").parse().unwrap()], *impairment)
        };
        (1..).zip(impairments).map(path).collect()
    };
    bench.impair(&row_of(&ways));
    assert_eq!(bench.impair(&row_of(&ways)), 0, "all is read back as it was written");
    for way in &ways {
        bench.impair(&row_of(&[*way]));
        assert_eq!(bench.impair(&row_of(&[*way])), 0, "{way}");
    }
    let seeded = |seed| Impairment { seed: Some(seed), ..ways[0] };
    if desired(&row_of(&[seeded(1)]), bench.backend, &bench.abilities, &State::default()).is_ok() {
        bench.impair(&row_of(&[seeded(1)]));
        assert_eq!(bench.impair(&row_of(&[seeded(1)])), 0);
        assert_eq!(bench.impair(&row_of(&[seeded(2)])), 1, "another seed is another netem");
    }
    let double = [Impairment { duplicate: share("1%"), ..delay }, delay];
    if desired(&row_of(&double), bench.backend, &bench.abilities, &State::default()).is_ok() {
        clear(bench.tc).unwrap();
        bench.impair(&row_of(&double));
        assert_eq!(bench.impair(&row_of(&double)), 0);
    }
}

fn without_skbedit() -> Abilities {
    Abilities { skbedit: Ability::missing("no", "none"), ..without_tcx() }
}

#[test]
fn the_fake_keeps_the_contract() {
    for abilities in [Abilities::all(), without_tcx(), without_skbedit()] {
        for backend in [Backend::Netem, Backend::Userspace] {
            suite(&mut Bench { tc: &mut FakeTc::new(), backend, abilities: abilities.clone() });
        }
    }
}

#[test]
fn the_back_end_can_change() {
    let mut tc = FakeTc::new();
    let row = wide_row(20, 3, 10);
    for backend in [Backend::Netem, Backend::Userspace, Backend::Netem] {
        impair(&mut tc, &row, backend, &without_skbedit()).unwrap();
    }
    assert!(tc.current().unwrap().contains(&Key::Device(DeviceKind::Ifb)));
    clear(&mut tc).unwrap();
    assert!(tc.current().unwrap().is_empty());
}

#[test]
fn wherever_it_fails_everything_is_as_before() {
    let before = row(&[("10.0.0.2/32", 10), ("fd00::2/128", 10)]);
    let after = row(&[("10.0.0.2/32", 12), ("10.0.0.9/32", 30), ("10.1.0.0/16", 5)]);
    for backend in [Backend::Netem, Backend::Userspace] {
        let mut failures = 0;
        loop {
            let mut tc = FakeTc::new();
            impair(&mut tc, &before, backend, &without_skbedit()).unwrap();
            let state = tc.current().unwrap();
            tc.fail_after(failures);
            match impair(&mut tc, &after, backend, &without_skbedit()) {
                Ok(_) => break,
                Err(ApplyError::Undone(cause)) => assert!(cause.to_string().contains("as the test demands")),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(tc.current().unwrap(), state);
            failures += 1;
        }
        assert!(failures > 10, "{failures}");
    }
}

#[test]
fn paths_that_stay_the_same_see_nothing_of_a_change() {
    let current = desired(
        &row(&[("10.0.0.1/32", 10), ("10.0.0.2/32", 10), ("10.0.0.3/32", 20)]),
        Backend::Netem,
        &without_skbedit(),
        &State::default(),
    )
    .unwrap();
    // The first of two that share a class gets another delay; the others keep class and leaf.
    let wanted = desired(
        &row(&[("10.0.0.1/32", 11), ("10.0.0.2/32", 10), ("10.0.0.3/32", 20)]),
        Backend::Netem,
        &without_skbedit(),
        &current,
    )
    .unwrap();
    let operations: Vec<String> = diff(&current, &wanted).iter().map(ToString::to_string).collect();
    assert_eq!(operations, ["add HTB class 30", "add the netem of class 30", "change classify rule for 10.0.0.1/32"]);
    // Merging again leaves class 30 idle, with whatever is in it; the next change takes it over.
    let merged = desired(
        &row(&[("10.0.0.1/32", 10), ("10.0.0.2/32", 10), ("10.0.0.3/32", 20)]),
        Backend::Netem,
        &without_skbedit(),
        &wanted,
    )
    .unwrap();
    let operations: Vec<String> = diff(&wanted, &merged).iter().map(ToString::to_string).collect();
    assert_eq!(operations, ["change classify rule for 10.0.0.1/32"]);
    let split = desired(
        &row(&[("10.0.0.1/32", 10), ("10.0.0.2/32", 33), ("10.0.0.3/32", 20)]),
        Backend::Netem,
        &without_skbedit(),
        &merged,
    )
    .unwrap();
    let operations: Vec<String> = diff(&merged, &split).iter().map(ToString::to_string).collect();
    assert_eq!(operations, ["change the netem of class 30", "change classify rule for 10.0.0.2/32"]);
}

#[test]
fn a_prefix_with_two_delays_is_refused() {
    let error = desired(
        &row(&[("10.0.0.1/32", 10), ("10.0.0.1/32", 11)]),
        Backend::Userspace,
        &Abilities::all(),
        &State::default(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "two paths lead to 10.0.0.1/32, with 10ms and with 11ms; a prefix can have one impairment only"
    );
    assert!(
        desired(
            &row(&[("10.0.0.1/32", 10), ("10.0.0.1/32", 10)]),
            Backend::Userspace,
            &Abilities::all(),
            &State::default()
        )
        .is_ok()
    );
}

#[test]
fn what_has_two_meanings_is_refused() {
    for (paths, exclusions, message) in [
        (
            &[("10.0.0.0/24 tcp:22", 10), ("10.0.0.9/24 6", 1), ("10.0.0.0/24 tcp:22", 11)][..],
            &[][..],
            "two paths lead to 10.0.0.0/24 tcp:22, with 10ms and with 11ms; a prefix can have one impairment only",
        ),
        (
            &[("10.0.0.0/24 icmp", 10)],
            &["10.0.0.0/24 1"],
            "10.0.0.0/24 icmp has an impairment (10ms) and is excluded; leave one out or make one more specific",
        ),
        (
            &[("10.0.0.0/24 udp:10-19", 10), ("10.0.0.0/24 udp:15-24", 11)],
            &[],
            "10.0.0.0/24 udp:10-19 and 10.0.0.0/24 udp:15-24 overlap and are equally wide, so that neither goes before the \
             other; split one of them",
        ),
        (
            &[("10.0.0.0/24 udp:10-19", 10)],
            &["10.0.0.0/24 udp:5-14"],
            "10.0.0.0/24 udp:5-14 and 10.0.0.0/24 udp:10-19 overlap and are equally wide, so that neither goes before the \
             other; split one of them",
        ),
    ] {
        let row = row_except(paths, exclusions);
        for backend in [Backend::Netem, Backend::Userspace] {
            let error = desired(&row, backend, &Abilities::all(), &State::default()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
    let fine = row_except(&[("10.0.0.0/24 udp:10-19", 10), ("10.0.0.0/24 udp:15-24", 10)], &["10.0.0.0/24 udp:12-13"]);
    assert!(desired(&fine, Backend::Netem, &Abilities::all(), &State::default()).is_ok());
    let ports: Vec<String> = (1..=400).map(|port| format!("10.0.0.0/24 tcp:{port}")).collect();
    let row = row_except(&[("10.0.0.0/24", 10)], &ports.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        desired(&row, Backend::Netem, &Abilities::all(), &State::default()).unwrap_err().to_string(),
        "the selectors at 10.0.0.0/24 and its like take 400 rules of one kind, and the kernel has room for 383 there; \
         use fewer ports or wider ranges"
    );
}

fn any_row() -> impl Strategy<Value = Row> {
    let v4 = (0u32..64, 0u8..3, 8u8..=32).prop_map(|(host, net, bits)| {
        ipnet::IpNet::new(std::net::Ipv4Addr::from(0x0a00_0000 | u32::from(net) << 8 | host << 12).into(), bits)
            .unwrap()
    });
    let v6 = (0u16..8, 0u8..3).prop_map(|(host, net)| {
        ipnet::IpNet::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, host, u16::from(net)).into(), 128).unwrap()
    });
    let path = (prop_oneof![4 => v4, 1 => v6], 1u64..6);
    prop::collection::btree_map(path.clone().prop_map(|(prefix, _)| prefix.trunc()), path.prop_map(|(_, ms)| ms), 0..80)
        .prop_map(|paths| {
            let path = |(prefix, ms)| RowPath::to(&[prefix], Impairment::delay(Delay::from_millis(ms)));
            paths.into_iter().map(path).collect()
        })
}

/// The delay of the longest rule that covers `address`, as the tables say it.
fn delay_of(state: &State, address: std::net::IpAddr) -> Option<Delay> {
    let rules = state.iter().filter_map(|(key, setting)| match (key, setting) {
        (Key::Classify(FilterKey::Rule(_, pattern, _)), Setting::Rule(Target::Class(class)))
            if pattern.prefix.contains(&address) =>
        {
            Some((pattern.prefix.prefix_len(), *class))
        }
        _ => None,
    });
    let (_, class) = rules.max()?;
    match state.get(&Key::Leaf(class)) {
        Some(Setting::Leaf(netem)) => Some(netem.delay),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any sequence of rows is legal in the kernel's eyes, ends where it should, and is idempotent.
    #[test]
    fn any_rows_in_any_order(rows in prop::collection::vec((any_row(), any::<bool>(), any::<bool>()), 1..6)) {
        let mut tc = FakeTc::new();
        for (row, netem, skbedit) in rows {
            let backend = if netem { Backend::Netem } else { Backend::Userspace };
            let abilities = if skbedit { Abilities::all() } else { without_skbedit() };
            impair(&mut tc, &row, backend, &abilities).unwrap();
            prop_assert_eq!(impair(&mut tc, &row, backend, &abilities).unwrap().operations, 0);
            let state = tc.current().unwrap();
            if netem && !skbedit {
                for path in &row.paths {
                    let address = path.selectors[0].prefix.addr();
                    let longest = row.paths.iter().filter(|other| other.selectors[0].prefix.contains(&address))
                        .max_by_key(|other| other.selectors[0].prefix.prefix_len()).unwrap();
                    prop_assert_eq!(delay_of(&state, address), Some(longest.impairment.delay));
                }
            }
        }
        clear(&mut tc).unwrap();
        prop_assert!(tc.current().unwrap().is_empty());
    }

    /// A destination that is captured before and after is captured in between, after every single operation.
    #[test]
    fn no_gap_in_the_capture(before in any_row(), after in any_row()) {
        let mut tc = FakeTc::new();
        impair(&mut tc, &before, Backend::Userspace, &without_tcx()).unwrap();
        let state = tc.current().unwrap();
        let wanted = desired(&after, Backend::Userspace, &without_tcx(), &state).unwrap();
        let prefixes: Vec<_> = before.paths.iter().map(|path| path.selectors[0].prefix).collect();
        let stays: Vec<_> = after.paths.iter().map(|path| path.selectors[0].prefix).filter(|prefix| prefixes.contains(prefix)).collect();
        for operation in diff(&state, &wanted) {
            tc.execute(&[operation]).unwrap();
            let now = tc.current().unwrap();
            for prefix in &stays {
                prop_assert!(reachable(&now, prefix), "{} after {}", prefix, operation);
            }
        }
    }
}

/// The state of a fake, step by step: a packet that is left alone before and after a change is never taken in between, and one that
/// is taken before and after is never left alone.
mod step_by_step {
    use super::*;
    use crate::tc::oracle;

    /// Whether the capture list takes the packet: every rule that fits, in the order of trial.
    fn takes(state: &State, probe: &oracle::Probe) -> bool {
        let linked = |table: Table| {
            let mut ways = std::iter::successors(Some(table), |table| table.above().map(|(above, _)| above));
            ways.all(|table| state.contains(&Key::Capture(FilterKey::Link(table))))
        };
        let rules = state.iter().filter_map(|(key, _)| match key {
            Key::Capture(FilterKey::Rule(table, pattern, treatment)) if linked(*table) => {
                Some((*pattern, *table, *treatment == Treatment::Take))
            }
            _ => None,
        });
        let fitting = rules.filter(|(pattern, ..)| probe.fits(pattern));
        // Longest first; then by table, because further tables come after the rules of their bucket; then by rank.
        let order = |pattern: &Pattern, table: &Table| (std::cmp::Reverse(table.bits()), *table, pattern.portion);
        fitting.min_by_key(|(pattern, table, _)| order(pattern, table)).is_some_and(|(.., taken)| taken)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn changes_are_seamless(
            before in oracle::any_row(), after in oracle::any_row(), probes in prop::collection::vec(oracle::any_probe(), 30),
        ) {
            let mut tc = FakeTc::new();
            impair(&mut tc, &before, Backend::Userspace, &without_tcx()).unwrap();
            let state = tc.current().unwrap();
            let wanted = desired(&after, Backend::Userspace, &without_tcx(), &state).unwrap();
            let meets = |probe: &oracle::Probe| [&before, &after].map(|row| probe.meets(row).is_some());
            for operation in diff(&state, &wanted) {
                tc.execute(&[operation]).unwrap();
                let now = tc.current().unwrap();
                for probe in &probes {
                    match meets(probe) {
                        [true, true] => prop_assert!(takes(&now, probe), "{:?} is not taken after {}", probe, operation),
                        [false, false] => prop_assert!(!takes(&now, probe), "{:?} is taken after {}", probe, operation),
                        _ => {}
                    }
                }
            }
            for probe in &probes {
                prop_assert_eq!(takes(&wanted, probe), meets(probe)[1]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// As above, whichever of the two captures there was and will be.
    #[test]
    fn no_gap_in_the_capture_by_program(before in any_row(), after in any_row(), program_before: bool, hosts: [u32; 8]) {
        let mut tc = FakeTc::new();
        let abilities = if program_before { Abilities::all() } else { without_tcx() };
        impair(&mut tc, &before, Backend::Userspace, &abilities).unwrap();
        let state = tc.current().unwrap();
        let wanted = desired(&after, Backend::Userspace, &Abilities::all(), &state).unwrap();
        let covers = |row: &Row, address| row.paths.iter().any(|path| path.selectors[0].prefix.contains(&address));
        let ends = [&before, &after].into_iter().flat_map(|row| &row.paths).map(|path| path.selectors[0].prefix.addr());
        let random = hosts.iter().map(|host| std::net::IpAddr::from((0x0a00_0000 | host >> 8).to_be_bytes()));
        let stays: Vec<_> = ends.chain(random).filter(|address| covers(&before, *address) && covers(&after, *address)).collect();
        for operation in diff(&state, &wanted) {
            tc.execute(&[operation]).unwrap();
            let now = tc.current().unwrap();
            for address in &stays {
                prop_assert!(captured(&now, *address), "{} after {}", address, operation);
            }
        }
    }
}

/// Whether the program or a filter takes packets to `address`.
fn captured(state: &State, address: std::net::IpAddr) -> bool {
    let known = state.iter().filter_map(|(key, setting)| match (key, setting) {
        (Key::Caught(caught), Setting::Caught(catch)) if caught.prefix().contains(&address) => {
            Some((caught.prefix().prefix_len(), *catch))
        }
        _ => None,
    });
    let longest = known.max_by_key(|(length, _)| *length).map(|(_, catch)| catch);
    let by_program = state.contains(&Key::Program) && longest == Some(Catch::Take);
    let rules = state.iter().filter_map(|(key, _)| match key {
        Key::Capture(FilterKey::Rule(_, pattern, _)) if pattern.prefix.contains(&address) => Some(pattern.prefix),
        _ => None,
    });
    by_program || rules.into_iter().any(|prefix| reachable(state, &prefix))
}

/// Whether a packet to `prefix` gets from the top of the capture list to a rule for it.
fn reachable(state: &State, prefix: &ipnet::IpNet) -> bool {
    let has = |key| state.contains(&Key::Capture(key));
    let top = Table::of(prefix);
    let direct = has(FilterKey::Rule(top, whole(*prefix), Treatment::Take));
    let below = (0..16).filter_map(|byte| top.below(top.bucket(prefix), byte));
    let mut ways =
        below.map(|below| has(FilterKey::Link(below)) && has(FilterKey::Rule(below, whole(*prefix), Treatment::Take)));
    has(FilterKey::Link(top)) && (direct || ways.any(|way| way))
}

#[test]
fn applying_the_default_state_to_nothing_does_nothing() {
    let mut tc = FakeTc::new();
    apply(&mut tc, &State::default()).unwrap();
    assert_eq!(tc.writes(), 0);
}
