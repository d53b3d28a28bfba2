//! The contract kept by the fake, rows that are refused, and a failure at any point undone.

use super::*;
use crate::shaping::DeviceKind;
use crate::tc::{ApplyError, FakeTc, apply};

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

#[test]
fn applying_the_default_state_to_nothing_does_nothing() {
    let mut tc = FakeTc::new();
    apply(&mut tc, &State::default()).unwrap();
    assert_eq!(tc.writes(), 0);
}
