//! Any rows one after the other: each step is legal, and no packet that stays impaired is missed in between.

use proptest::prelude::*;

use super::*;
use crate::shaping::{Catch, Target};
use crate::tc::FakeTc;

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
