//! Shares, distributions and spacings against closed forms; all draws are seeded, so that nothing here is left to luck.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::shaping::{Distribution, FourState, GilbertElliott, Jitter, Loss, OwnTable, Reorder, Share};
use crate::units::Probability;

const PACKETS: usize = 100_000;

fn percent(text: &str) -> Probability {
    text.parse().unwrap()
}

fn base() -> Impairment {
    Impairment { seed: Some(7), ..Impairment::delay(Delay::from_millis(10)) }
}

fn at(us: u64) -> Moment {
    Moment::from_nanos(us * 1_000)
}

fn due(fate: &Fate) -> Option<Moment> {
    if let Fate::Leaves { due, .. } = fate { Some(*due) } else { None }
}

/// Delays in ns of packets sent one per µs, `None` for lost ones.
fn delays(impairment: Impairment, count: usize) -> Vec<Option<u64>> {
    let mut lane = Lane::new(impairment, 0);
    let packet = |us| due(&lane.decide(at(us), 1_000).0).map(|due| due.since(at(us)).as_nanos());
    (0..count as u64).map(packet).collect()
}

/// Within five standard deviations of a binomial share.
fn assert_share(count: usize, of: usize, share: f64) {
    let (count, of) = (count as f64, of as f64);
    let bound = 5.0 * (of * share * (1.0 - share)).sqrt() + 1.0;
    assert!((count - of * share).abs() < bound, "{count} of {of}, not {share}");
}

#[test]
fn random_loss_is_binomial() {
    for (text, share) in [("0.1%", 0.001), ("5%", 0.05), ("50%", 0.5), ("100%", 1.0)] {
        let loss = Loss::Random(Share::of(percent(text)));
        let count = delays(Impairment { loss, ..base() }, PACKETS).iter().filter(|delay| delay.is_none()).count();
        assert_share(count, PACKETS, share);
    }
}

#[test]
fn bursts_lose_by_the_stationary_share_and_last_as_long_as_the_bad_state() {
    let chain = GilbertElliott {
        to_bad: percent("1%"),
        to_good: percent("20%"),
        bad_loss: Probability::ONE,
        good_loss: Probability::ZERO,
    };
    let impairment = Impairment { loss: Loss::Gilbert(chain), ..base() };
    let lost: Vec<bool> = delays(impairment, PACKETS).iter().map(Option::is_none).collect();
    let losses = lost.iter().filter(|lost| **lost).count();
    let bursts = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count();
    assert!((losses as f64 / PACKETS as f64 - impairment.expected_loss()).abs() < 0.006, "{losses}");
    let length = losses as f64 / bursts as f64;
    assert!((length - 5.0).abs() < 0.5, "a bad state lasts 1 / 20 % packets, not {length}");
}

#[test]
fn four_states_lose_alone_and_in_bursts() {
    let [p13, p31, p32, p23, p14] = ["1%", "10%", "20%", "50%", "2%"].map(percent);
    let states = FourState { p13, p31, p32, p23, p14 };
    let impairment = Impairment { loss: Loss::States(states), ..base() };
    let lost: Vec<bool> = delays(impairment, PACKETS).iter().map(Option::is_none).collect();
    let losses = lost.iter().filter(|lost| **lost).count() as f64;
    let share = impairment.expected_loss();
    assert!((losses / PACKETS as f64 - share).abs() < 0.01, "{losses} {share}");
    // A loss is followed by one where a burst goes on: π3 (1 − p31 − p32) of all.
    let (burst, pause, alone) = (0.1, 0.04, 0.02);
    let followed = lost.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64 / losses;
    let expected = burst * 0.7 / (burst + alone);
    assert!((followed - expected).abs() < 0.03, "{followed} {expected}");
    assert!((share - (burst + alone) / (1.0 + burst + pause + alone)).abs() < 1e-9);
}

#[test]
fn losses_alone_are_never_neighbours() {
    let zero = Probability::ZERO;
    let states = FourState { p13: zero, p31: zero, p32: zero, p23: zero, p14: Probability::ONE };
    let lost: Vec<bool> =
        delays(Impairment { loss: Loss::States(states), ..base() }, 20).iter().map(Option::is_none).collect();
    let expected: Vec<bool> = (0..20).map(|number| number % 2 == 0).collect();
    assert_eq!(lost, expected);
}

#[test]
fn an_own_table_is_drawn_from_evenly() {
    // A third of the packets early, two thirds late: nothing that a named distribution could do.
    let table = OwnTable::new("early-late", [vec![-8192; 32], vec![4096; 64]].concat()).unwrap();
    let jitter = Jitter { span: Span::from_millis(2), distribution: Distribution::Own(table), ..Jitter::default() };
    let all = delays(Impairment { jitter, ..base() }, PACKETS);
    let at = |ms: u64| all.iter().filter(|delay| **delay == Some(ms * 1_000_000)).count();
    assert_eq!(at(8) + at(11), PACKETS);
    assert_share(at(8), PACKETS, 1.0 / 3.0);
}

#[test]
fn correlated_losses_come_together() {
    let correlated = Share { probability: percent("20%"), correlation: percent("50%") };
    let lost: Vec<bool> =
        delays(Impairment { loss: Loss::Random(correlated), ..base() }, PACKETS).iter().map(Option::is_none).collect();
    let losses = lost.iter().filter(|lost| **lost).count() as f64;
    let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64;
    let alone = losses / PACKETS as f64;
    assert!(pairs / losses > 1.5 * alone, "{} after a loss, {alone} in all", pairs / losses);
}

/// The greatest distance between the empirical distribution and `cdf`.
fn kolmogorov(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let gap = |(place, value): (usize, &f64)| {
        let expected = cdf(*value);
        (expected - place as f64 / count).abs().max((expected - (place + 1) as f64 / count).abs())
    };
    values.iter().enumerate().map(gap).fold(0.0, f64::max)
}

/// The normal distribution function by Simpson's rule.
fn normal(z: f64) -> f64 {
    let (steps, width) = (400, z / 400.0);
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let weight = |index: i32| if index == 0 || index == steps { 1.0 } else { f64::from(2 + 2 * (index % 2)) };
    0.5 + (0..=steps).map(|index| weight(index) * density(width * f64::from(index))).sum::<f64>() * width / 3.0
}

#[test]
fn jitter_follows_its_distribution() {
    let deviate = 3f64.sqrt() / 2.0;
    let pareto = move |x: f64| 1.0 - (1.5 + x * deviate).max(1.0).powi(-3);
    let uniform = |x: f64| f64::midpoint(x, 1.0).clamp(0.0, 1.0);
    let cases: [(Distribution, &dyn Fn(f64) -> f64); 3] =
        [(Distribution::Uniform, &uniform), (Distribution::Normal, &normal), (Distribution::Pareto, &pareto)];
    let count = 20_000;
    for (distribution, cdf) in cases {
        let jitter = Jitter { span: Span::from_millis(1), distribution, ..Jitter::default() };
        let values: Vec<f64> = delays(Impairment { jitter, ..base() }, count)
            .into_iter()
            .map(|delay| (delay.unwrap() as f64 - 10e6) / 1e6)
            .filter(|value| *value < 3.99)
            .collect();
        // The cut tail of the Pareto distribution holds 0.8 %; the critical value for one in a thousand is 1.95 / √n.
        let bound = 1.95 / (count as f64).sqrt() + 0.009 * f64::from(u8::from(distribution == Distribution::Pareto));
        let distance = kolmogorov(values, cdf);
        assert!(distance < bound, "{distribution}: {distance} is not below {bound}");
    }
}

#[test]
fn a_rate_spaces_packets_exactly_and_in_order() {
    // 1,000 bytes at 10 Mbit/s take 800 µs.
    let mut lane = Lane::new(Impairment { rate: Some("10mbit".parse().unwrap()), ..base() }, 0);
    let mut send = |us| due(&lane.decide(at(us), 1_000).0).unwrap().as_nanos() / 1_000;
    assert_eq!([send(0), send(1), send(2)], [10_800, 11_600, 12_400]);
    assert_eq!(send(50_000), 60_800, "an idle bottleneck starts anew");
}

#[test]
fn a_full_queue_overflows_and_leaving_makes_room() {
    let mut lane = Lane::new(Impairment { rate: Some("10mbit".parse().unwrap()), ..base() }, 0);
    let mut held: Vec<Fate> = (0..1_000).map(|_| lane.decide(at(0), 1_000).0).collect();
    assert!(held.iter().all(|fate| due(fate).is_some()));
    assert_eq!(lane.decide(at(0), 1_000).0, Fate::Overflow);
    held.pop();
    assert!(due(&lane.decide(at(0), 1_000).0).is_some());
}

#[test]
fn some_packets_go_ahead_every_gap() {
    let reorder = Some(Reorder { share: Share::of(Probability::ONE), gap: 5 });
    let ahead: Vec<bool> = delays(Impairment { reorder, ..base() }, 20).iter().map(|delay| *delay == Some(0)).collect();
    let expected: Vec<bool> = (1..=20).map(|number| number % 5 == 0).collect();
    assert_eq!(ahead, expected);
}

#[test]
fn copies_and_damage_come_in_their_shares() {
    let impairment = Impairment { duplicate: Share::of(percent("10%")), corrupt: Share::of(percent("3%")), ..base() };
    let mut lane = Lane::new(impairment, 0);
    let fates: Vec<_> = (0..PACKETS as u64).map(|us| lane.decide(at(us), 1_000)).collect();
    assert_share(fates.iter().filter(|(_, copy)| copy.is_some()).count(), PACKETS, 0.1);
    let damaged = |fate: &Fate| matches!(fate, Fate::Leaves { damage: Some(Damage { bit: 0..8, .. }), .. });
    assert_share(fates.iter().filter(|(fate, _)| damaged(fate)).count(), PACKETS, 0.03);
}

proptest! {
    #[test]
    fn the_same_seed_decides_the_same(seed in any::<u64>(), chance in any::<[u64; 2]>()) {
        let impairment = Impairment {
            seed: Some(seed),
            jitter: Jitter { span: Span::from_millis(5), distribution: Distribution::Normal, ..Jitter::default() },
            loss: Loss::Random(Share { probability: percent("30%"), correlation: percent("10%") }),
            duplicate: Share::of(percent("10%")),
            corrupt: Share::of(percent("10%")),
            ..base()
        };
        let fates = |chance| {
            let mut lane = Lane::new(impairment, chance);
            (0..100).map(|us| lane.decide(at(us), 100)).collect::<Vec<_>>()
        };
        prop_assert_eq!(fates(chance[0]), fates(chance[1]));
        let other = delays(Impairment { seed: Some(!seed), ..impairment }, 100);
        prop_assert_ne!(delays(impairment, 100), other);
    }

    #[test]
    fn nothing_leaves_before_it_came(stamps in prop::collection::vec(0u64..1_000, 1..50), ms in 0u64..10) {
        let jitter = Jitter { span: Span::from_millis(ms), distribution: Distribution::Normal, ..Jitter::default() };
        let mut lane = Lane::new(Impairment { jitter, rate: Some("1gbit".parse().unwrap()), ..base() }, 0);
        let mut now = 0;
        let mut last = Moment::START;
        for stamp in stamps {
            now += stamp;
            let due = due(&lane.decide(at(now), 1_000).0).unwrap();
            prop_assert!(due > at(now));
            prop_assert!(due > last, "a rate keeps the order");
            last = due;
        }
    }
}
