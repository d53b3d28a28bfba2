//! Medians, moments and shares against closed forms and against a model that throws the dice.

#![allow(clippy::unwrap_used)]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::shaping::{Distribution, FourState, GilbertElliott, Jitter, OwnTable, Reorder};
use crate::units::Probability;

fn percent(text: &str) -> Probability {
    text.parse().unwrap()
}

fn jittered(distribution: Distribution) -> Impairment {
    let jitter = Jitter { span: Span::from_millis(4), distribution, ..Jitter::default() };
    Impairment { jitter, ..Impairment::delay(Delay::from_millis(50)) }
}

fn median_ms(impairment: &Impairment) -> f64 {
    impairment.expected(74).median.as_millis_f64()
}

fn near(value: f64, expected: f64, within: f64) {
    assert!((value - expected).abs() < within, "{value}, not {expected}");
}

#[test]
fn medians_are_those_of_the_distributions() {
    near(median_ms(&Impairment::delay(Delay::from_millis(50))), 50.0, 1e-9);
    near(median_ms(&jittered(Distribution::Uniform)), 50.0, 0.01);
    near(median_ms(&jittered(Distribution::Normal)), 50.0, 0.01);
    // Closed forms: the median of the Pareto distribution of shape 3 is 2^(1/3), its mean 3/2, its deviation √3/2.
    let stray = (2f64.cbrt() - 1.5) / (3f64.sqrt() / 2.0) * 4.0;
    near(median_ms(&jittered(Distribution::Pareto)), 50.0 + stray, 0.01);
    near(median_ms(&jittered(Distribution::ParetoNormal)), 50.0 + 0.75 * stray, 0.01);
    let table = OwnTable::new("median", (0..101).map(|n| n * 81).rev().collect()).unwrap();
    near(median_ms(&jittered(Distribution::Own(table))), 50.0 + 4.0 * 50.0 * 81.0 / 8192.0, 1e-6);
}

#[test]
fn moments_are_those_of_the_distributions() {
    let of = |distribution| jittered(distribution).expected(74);
    let uniform = of(Distribution::Uniform);
    near(uniform.deviation.as_millis_f64(), 4.0 / 3f64.sqrt(), 0.01);
    near(uniform.kurtosis, 1.8, 0.01);
    let normal = of(Distribution::Normal);
    near(normal.deviation.as_millis_f64(), 4.0, 0.01);
    near(normal.kurtosis, 3.0, 0.05);
    near(normal.mean.as_millis_f64(), 50.0, 0.01);
}

#[test]
fn a_rate_adds_each_packets_own_time_and_overtakers_pull_the_median_down() {
    let rate = Impairment { rate: Some("1mbit".parse().unwrap()), ..Impairment::delay(Delay::from_millis(10)) };
    near(rate.expected(125).median.as_millis_f64(), 11.0, 1e-9);
    let reorder = |share: &str, gap| Reorder { share: Share::of(percent(share)), gap };
    let ahead = |share, gap| Impairment { reorder: Some(reorder(share, gap)), ..jittered(Distribution::Uniform) };
    near(median_ms(&ahead("60%", 1)), 0.0, 1e-9);
    // A quarter ahead: the median of all is the third of the others.
    near(median_ms(&ahead("25%", 1)), 46.0 + 8.0 / 3.0, 0.01);
    // One of five goes ahead.
    near(median_ms(&ahead("100%", 5)), 46.0 + 8.0 * 0.375, 0.01);
}

#[test]
fn of_doubled_packets_the_earlier_counts() {
    let doubled = Impairment { duplicate: Share::of(Probability::ONE), ..jittered(Distribution::Uniform) };
    // The median of the smaller of two uniform numbers is 1 − √½.
    near(median_ms(&doubled), 46.0 + 8.0 * (1.0 - 0.5f64.sqrt()), 0.01);
}

#[test]
fn losses_damage_and_copies_add_up() {
    let all = Impairment {
        loss: Loss::Random(Share::of(percent("10%"))),
        duplicate: Share::of(percent("20%")),
        corrupt: Share::of(percent("5%")),
        ..Impairment::delay(Delay::from_millis(1))
    };
    let expected = all.expected(74);
    near(expected.lost.least, 0.08, 1e-9);
    near(expected.lost.most, 0.08 + 0.92 * 0.05, 1e-9);
    near(expected.doubled.least, 0.2 * 0.81 * 0.95 * 0.95, 1e-9);
    near(expected.lost.inflation, 1.0, 1e-9);
}

/// Share and variance inflation of `loss` by throwing dice: blocks of packets and how much their sums stray.
fn thrown(mut lost: impl FnMut(&mut ChaCha8Rng) -> bool) -> (f64, f64) {
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let (blocks, size) = (2_000, 1_000);
    let sums: Vec<f64> = (0..blocks).map(|_| (0..size).filter(|_| lost(&mut dice)).count() as f64).collect();
    let mean = sums.iter().sum::<f64>() / f64::from(blocks);
    let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / f64::from(blocks);
    let share = mean / f64::from(size);
    (share, variance / (f64::from(size) * share * (1.0 - share)))
}

fn unit(dice: &mut ChaCha8Rng) -> f64 {
    f64::from(dice.next_u32()) / 4_294_967_296.0
}

#[test]
fn bursts_lose_by_their_stationary_share_and_stray_more() {
    let model = GilbertElliott {
        to_bad: percent("1%"),
        to_good: percent("9%"),
        bad_loss: percent("50%"),
        good_loss: Probability::ZERO,
    };
    let (share, inflation) = Loss::Gilbert(model).seen();
    near(share, 0.05, 1e-9);
    let mut bad = false;
    let (seen, strays) = thrown(|dice| {
        let lost = bad && unit(dice) < 0.5;
        bad = if bad { unit(dice) >= 0.09 } else { unit(dice) < 0.01 };
        lost
    });
    near(seen, share, 0.002);
    near(strays / inflation, 1.0, 0.15);
}

#[test]
fn four_states_lose_by_their_stationary_share() {
    let states = |p13: &str, p31: &str, p32: &str, p23: &str, p14: &str| {
        let [p13, p31, p32, p23, p14] = [p13, p31, p32, p23, p14].map(percent);
        Loss::States(FourState { p13, p31, p32, p23, p14 }).seen().0
    };
    // In balance, with state 1 as one: π3 = p13 / p31, π2 = π3 · p32 / p23, π4 = p14.
    let (good, burst, pause, alone) = (1.0, 0.2, 0.2 * 0.3 / 0.6, 0.01);
    let sum = good + burst + pause + alone;
    near(states("2%", "10%", "30%", "60%", "1%"), (burst + alone) / sum, 1e-9);
    near(states("0%", "10%", "0%", "0%", "100%"), 0.5, 1e-9);
    near(states("1%", "0%", "0%", "0%", "0%"), 1.0, 1e-6);
    near(states("1%", "0%", "5%", "0%", "0%"), 0.0, 1e-6);
}

#[test]
fn correlated_draws_keep_to_the_middle() {
    for (text, correlation) in [("5%", "25%"), ("20%", "50%"), ("60%", "75%")] {
        let share = Share { probability: percent(text), correlation: percent(correlation) };
        let (probability, rho) = (share.probability.as_f64(), share.correlation.as_f64());
        let mut last = 0.5;
        let (seen, strays) = thrown(|dice| {
            last = last * rho + unit(dice) * (1.0 - rho);
            last <= probability
        });
        let (expected, inflation) = share.seen();
        near(seen, expected, 0.02 * expected + 0.0005);
        near(strays / inflation, 1.0, 0.15);
    }
    near(Share { probability: percent("5%"), correlation: Probability::ZERO }.seen().0, 0.05, 1e-12);
}
