//! The contract of [`TrafficControl`]: one suite that every adapter must pass. The fake keeps it in [`fake`], kernels in their own tests.
#![allow(clippy::unwrap_used)]

mod fake;
mod sequences;

use std::net::Ipv6Addr;

use super::oracle::without_tcx;
use super::{TrafficControl, clear, impair};
use crate::shaping::{
    Abilities, Ability, Backend, Caught, Distribution, Family, FilterKey, FourState, GilbertElliott, Impairment,
    Jitter, Key, Loss, Operation, OwnTable, Reorder, Row, RowPath, Selector, Share, State, Table, desired, diff,
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
