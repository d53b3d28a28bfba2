//! When what happens: maintenance, requests, instances that come and go (algorithms 1 to 4 of paper 004).

use std::collections::VecDeque;

use crate::balance::roster::Roster;
use crate::balance::swrr::Swrr;
use crate::balance::{Balancer, Completion, InstanceId, Outcome, Qos, RequestId};
use crate::units::{Moment, Rtt, Span};

use super::Rule;
use super::pool::{Estimate, Part};
use super::record::{Record, drop_before};

/// One node's balancer.
#[derive(Debug)]
pub(super) struct QEdge {
    pub(super) records: Roster<Record>,
    turns: Swrr,
    rule: Rule,
    /// The explored share (ε).
    pub(super) epsilon: f64,
    /// How all requests of this node ended in the window.
    results: VecDeque<(Moment, bool)>,
    /// When to look for something better than an instance that rests and has requests for want of any other.
    recheck: Option<Moment>,
    /// Room for sorting.
    sorted: Vec<f64>,
}

impl QEdge {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            records: Roster::default(),
            turns: Swrr::default(),
            rule,
            epsilon: rule.epsilon,
            results: VecDeque::new(),
            recheck: None,
            sorted: Vec::new(),
        }
    }

    /// Whether an instance is one of the feasible set F.
    pub(super) fn is_usable(&self, place: usize, now: Moment) -> bool {
        let record = &self.records.kept()[place];
        record.admitted && record.is_within_reach(&self.rule) && !record.is_cooling(now)
    }

    /// Shares by the estimates as they stand (algorithm 1, lines 20 to 24).
    fn assign(&mut self, now: Moment) {
        let places: Vec<usize> = (0..self.records.len()).filter(|place| self.is_usable(*place, now)).collect();
        let estimates: Vec<Estimate> = places.iter().map(|place| self.records.kept()[*place].estimate).collect();
        let shares = self.rule.shares(&estimates, self.epsilon);
        self.recheck = None;
        let records = self.records.kept_mut();
        for record in &mut *records {
            record.share = 0.0;
        }
        for (place, share) in places.iter().zip(shares) {
            records[*place].share = share;
        }
        if places.is_empty()
            && let Some(place) = self.last_resort(now)
        {
            self.records.kept_mut()[place].share = 1.0;
            self.recheck = self.rested(now).filter(|_| self.records.kept()[place].is_cooling(now));
        }
        self.publish();
    }

    /// Who has the requests when F is empty: the nearest; within reach before beyond, and of these one that does not rest
    /// before one that does.
    fn last_resort(&self, now: Moment) -> Option<usize> {
        let resort = |(place, record): (usize, &Record)| {
            let beyond = !record.is_within_reach(&self.rule);
            let rtt = record.rtt.unwrap_or(Rtt::from_nanos(u64::MAX));
            (beyond, record.is_cooling(now), rtt, place)
        };
        self.records.kept().iter().enumerate().map(resort).min().map(|(_, _, _, place)| place)
    }

    /// When the first that rests will have rested.
    fn rested(&self, now: Moment) -> Option<Moment> {
        let resting = self.records.kept().iter().filter(|record| record.is_cooling(now));
        resting.map(|record| record.cooldown).min()
    }

    /// Makes the shares add up to 1 again; all anew, where none is left.
    fn renormalise(&mut self, now: Moment) {
        let sum: f64 = self.records.kept().iter().map(|record| record.share).sum();
        if sum > 0.0 {
            self.records.kept_mut().iter_mut().for_each(|record| record.share /= sum);
            self.publish();
        } else {
            self.assign(now);
        }
    }

    /// Gives the shares to those who take turns.
    fn publish(&mut self) {
        self.turns.set(self.records.kept().iter().map(|record| record.share));
    }

    /// An instance has failed too often (algorithm 2, line 8). If no other is left it keeps its requests while it rests.
    fn rest(&mut self, place: usize, now: Moment) {
        let had = std::mem::take(&mut self.records.kept_mut()[place].share);
        let left = self.records.kept().iter().any(|record| record.share > 0.0);
        let better = self.last_resort(now).is_some_and(|place| !self.records.kept()[place].is_cooling(now));
        if left || better {
            self.renormalise(now);
        } else {
            self.records.kept_mut()[place].share = had;
            self.recheck = self.rested(now);
        }
    }

    /// Whether an instance can be expected to answer in time, were it as fast as the fastest of the others
    /// (algorithm 3). One at an unknown distance is let in, as only requests will tell.
    fn passes(&mut self, place: usize, now: Moment) -> bool {
        let Some(rtt) = self.records.kept()[place].rtt else { return true };
        // Too far already: nobody takes less than nothing, so no need to look at what all others take.
        if rtt.as_millis_f64() > self.rule.within.as_millis_f64() {
            return false;
        }
        let (sorted, rule) = (&mut self.sorted, &self.rule);
        let others = self.records.kept().iter().enumerate().filter(|(other, _)| *other != place);
        let best = others.filter_map(|(_, record)| record.processing(now, rule, sorted)).min_by(f64::total_cmp);
        rtt.as_millis_f64() + best.unwrap_or(0.0) <= rule.within.as_millis_f64()
    }

    /// The weight of an instance that comes (w₀), where some are exploited and share with it; `None` where none are.
    fn newcomer_share(&self, now: Moment) -> Option<f64> {
        let used = |part: Part| {
            let records = self.records.kept().iter().enumerate();
            let used = records.filter(|(place, record)| record.share > 0.0 && self.is_usable(*place, now));
            used.filter(|(_, record)| self.rule.part(record.estimate) == part).count()
        };
        let told = self.rule.newcomer > 0.0;
        let share = if told { self.rule.newcomer } else { self.epsilon / (used(Part::Explored) + 1) as f64 };
        (used(Part::Exploited) > 0).then_some(share.max(self.rule.newcomer_least))
    }
}

impl Balancer for QEdge {
    /// Algorithm 3.
    fn add(&mut self, now: Moment, instance: InstanceId, rtt: Option<Rtt>) {
        let share = self.newcomer_share(now);
        let Some(place) = self.records.insert(instance, Record::new(rtt)) else { return };
        self.turns.insert(place);
        self.records.kept_mut()[place].admitted = self.passes(place, now);
        let usable = self.is_usable(place, now);
        match share {
            Some(share) if usable => {
                self.records.kept_mut().iter_mut().for_each(|record| record.share *= 1.0 - share);
                self.records.kept_mut()[place].share = share;
                self.publish();
            }
            // Known, and tested again at every maintenance.
            Some(_) => {}
            None => self.assign(now),
        }
    }

    /// Algorithm 4.
    fn remove(&mut self, now: Moment, instance: InstanceId) {
        if let Some(place) = self.records.remove(instance) {
            self.turns.remove(place);
            self.renormalise(now);
        }
    }

    fn measured(&mut self, now: Moment, instance: InstanceId, rtt: Rtt) {
        let Some(place) = self.records.place(instance) else { return };
        let record = &mut self.records.kept_mut()[place];
        let guessed = record.rtt.replace(rtt).is_none() && record.is_untried();
        if guessed {
            self.records.kept_mut()[place].admitted = self.passes(place, now);
        }
        // It may now be better than an instance that rests.
        self.recheck = self.recheck.map(|_| now);
    }

    fn interval(&self) -> Option<Span> {
        Some(self.rule.interval)
    }

    /// Algorithm 1. What came and went has been dealt with when it did.
    fn maintain(&mut self, now: Moment) {
        for record in self.records.kept_mut() {
            record.estimate_anew(now, &self.rule, &mut self.sorted);
        }
        for place in 0..self.records.len() {
            if !self.records.kept()[place].admitted {
                self.records.kept_mut()[place].admitted = self.passes(place, now);
            }
        }
        self.assign(now);
        drop_before(&mut self.results, now, self.rule.window, |result| result.0);
        let good = self.results.iter().filter(|(_, good)| *good).count();
        if self.results.is_empty() {
            return;
        }
        self.epsilon = if (good as f64) < self.rule.target * self.results.len() as f64 {
            self.rule.epsilon
        } else {
            (self.rule.decay * self.epsilon).max(self.rule.epsilon_least)
        };
    }

    /// Algorithm 2, lines 1 to 4.
    fn pick(&mut self, now: Moment, _request: RequestId) -> Option<InstanceId> {
        if self.recheck.is_some_and(|at| at <= now) {
            self.assign(now);
        }
        self.turns.next().map(|place| self.records.id(place))
    }

    /// Algorithm 2, lines 5 to 8. What an instance that is gone still answered, or did not, counts for the node alone.
    fn complete(&mut self, now: Moment, completion: &Completion) {
        let qos = Qos { within: self.rule.within, at_least: self.rule.target, window: self.rule.window };
        let good = completion.is_good(&qos);
        drop_before(&mut self.results, now, self.rule.window, |result| result.0);
        self.results.push_back((now, good));
        let Some(place) = self.records.place(completion.instance) else { return };
        let answered = completion.outcome == Outcome::Answered;
        let latency = if answered { completion.latency } else { completion.latency.max(self.rule.failure) };
        if self.records.kept_mut()[place].note(now, latency, good, &self.rule) {
            self.rest(place, now);
        }
    }

    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let shares = self.records.kept().iter().map(|record| record.share);
        self.records.ids().iter().copied().zip(shares).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::contract::{Driven, Event, events};
    use crate::balance::qedge::tests::rule;
    use proptest::prelude::*;

    fn driven(given: &[(&str, &str)], rtts: &[f64]) -> Driven<QEdge> {
        let mut driven = Driven::new(Box::new(QEdge::new(rule(given))), &[]);
        (1..).zip(rtts).for_each(|(instance, rtt)| driven.add(instance, Some(*rtt)));
        driven
    }

    fn shares(driven: &Driven<QEdge>) -> Vec<f64> {
        driven.balancer.weights().iter().map(|(_, share)| *share).collect()
    }

    fn assert_close(shares: &[f64], expected: &[f64]) {
        let close = shares.len() == expected.len() && shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close, "{shares:?}, not {expected:?}");
    }

    /// A second of requests, 40 of them, then the maintenance if it is due.
    fn second(driven: &mut Driven<QEdge>, ms: impl Fn(u32) -> f64) -> Vec<u32> {
        let picked = (0..40).map(|_| {
            driven.now += Span::from_millis(25);
            driven.served_in(&ms)
        });
        let picked = picked.collect();
        if driven.now.as_nanos().is_multiple_of(5_000_000_000) {
            driven.maintain();
        }
        picked
    }

    #[test]
    fn before_anything_is_known_all_within_reach_share_alike() {
        let driven = driven(&[], &[5.0, 30.0, 80.0, 200.0]);
        assert_close(&shares(&driven), &[0.5, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn nobody_within_reach_leaves_the_nearest() {
        let mut driven = driven(&[], &[200.0, 120.0, 120.0]);
        assert_close(&shares(&driven), &[0.0, 1.0, 0.0]);
        driven.add(4, None);
        assert_close(&shares(&driven), &[0.0, 0.0, 0.0, 1.0]);
        driven.measured(4, 300.0);
        driven.maintain();
        assert_close(&shares(&driven), &[0.0, 1.0, 0.0, 0.0]);
        (1..=4).for_each(|instance| driven.remove(instance));
        assert_eq!(driven.pick(), None);
    }

    #[test]
    fn exploration_decays_while_the_target_is_met_and_comes_back_when_it_is_not() {
        let mut driven = driven(&[], &[5.0, 5.0]);
        driven.maintain();
        assert!((driven.balancer.epsilon - 0.3).abs() < 1e-12, "no requests, no verdict");
        (0..10).for_each(|_| _ = second(&mut driven, |_| 20.0));
        assert!((driven.balancer.epsilon - 0.3 * 0.81).abs() < 1e-12);
        (0..400).for_each(|_| _ = second(&mut driven, |_| 20.0));
        assert!((driven.balancer.epsilon - 0.005).abs() < 1e-12);
        (0..5).for_each(|_| _ = second(&mut driven, |_| 100.0));
        assert!((driven.balancer.epsilon - 0.3).abs() < 1e-12);
    }

    #[test]
    fn too_many_violations_in_a_row_take_an_instance_out_at_once() {
        let mut driven = driven(&[], &[5.0, 5.0, 5.0]);
        let bad = |instance| if instance == 2 { 100.0 } else { 20.0 };
        let before: Vec<u32> = (0..18).map(|_| driven.served_in(bad)).collect();
        assert_eq!(before.iter().filter(|instance| **instance == 2).count(), 6);
        assert_close(&shares(&driven), &[0.5, 0.0, 0.5]);
        assert!((0..100).all(|_| driven.served_in(bad) != 2));
        // Rested, it is explored again, as little as its samples deserve.
        driven.now += Span::from_secs(5);
        driven.maintain();
        let [_, share, _] = shares(&driven)[..] else { panic!("three") };
        assert!((share - 0.3).abs() < 1e-9, "the only one explored: {share}");
    }

    #[test]
    fn who_is_left_keeps_its_requests_while_it_rests_until_another_is_there() {
        let mut driven = driven(&[], &[5.0, 200.0]);
        (0..20).for_each(|_| assert_eq!(driven.served_in(|_| 100.0), 1));
        assert!(driven.balancer.records.kept()[0].is_cooling(driven.now));
        driven.add(3, Some(20.0));
        assert_eq!(driven.picks(5), [3; 5]);
    }

    /// Two within reach rest, the nearer has requests; the other has rested before it, and takes over without maintenance.
    #[test]
    fn who_has_rested_takes_over_from_one_that_rests() {
        let mut driven = driven(&[], &[5.0, 10.0]);
        (0..12).for_each(|_| _ = driven.served_in(|instance| if instance == 2 { 100.0 } else { 20.0 }));
        driven.now += Span::from_secs(1);
        (0..6).for_each(|_| assert_eq!(driven.served_in(|_| 100.0), 1));
        assert_eq!(driven.picks(2), [1, 1]);
        driven.now += Span::from_secs(4);
        assert_eq!(driven.picks(2), [2, 2]);
    }

    #[test]
    fn newcomers_are_let_in_by_what_the_others_take() {
        let mut driven = driven(&[], &[5.0]);
        // The way takes 5 ms, so processing 45.
        (0..5).for_each(|_| _ = second(&mut driven, |_| 50.0));
        assert_close(&shares(&driven), &[1.0]);
        driven.add(2, Some(36.0));
        assert_close(&shares(&driven), &[1.0, 0.0]);
        driven.add(3, Some(35.0));
        let epsilon = driven.balancer.epsilon;
        assert_close(&shares(&driven), &[1.0 - epsilon, 0.0, epsilon]);
        driven.add(4, Some(35.0));
        assert_close(
            &shares(&driven),
            &[(1.0 - epsilon) * (1.0 - epsilon / 2.0), 0.0, epsilon * (1.0 - epsilon / 2.0), epsilon / 2.0],
        );
        // Gone without a sample, its share is spread; the others process faster by now, so that 2 passes.
        driven.remove(4);
        driven.now += Span::from_secs(11);
        (0..5).for_each(|_| _ = second(&mut driven, |instance| if instance == 1 { 20.0 } else { 60.0 }));
        driven.maintain();
        assert!(shares(&driven)[1] > 0.0, "{:?}", shares(&driven));
    }

    /// Three instances, one late, one late now and then: after a minute the target is met.
    #[test]
    fn after_a_while_the_target_is_met() {
        let mut driven = driven(&[], &[5.0, 10.0, 20.0]);
        let ms = |instance| [120.0, 78.0, 40.0][instance as usize - 1];
        (0..60).for_each(|_| _ = second(&mut driven, ms));
        let picks: Vec<u32> = (0..60).flat_map(|_| second(&mut driven, ms)).collect();
        let good = picks.iter().filter(|instance| ms(**instance) <= 80.0).count();
        assert!(good * 100 >= picks.len() * 95, "{good} of {}", picks.len());
    }

    proptest! {
        /// Whatever happens: an instance that rests has requests only if all that are within reach rest, or, with none within
        /// reach, all; and after a maintenance shares are those of the pool alone.
        #[test]
        fn resting_instances_are_left_alone(events in events(300), few in 0u64..3) {
            let few = few.to_string();
            let mut driven = driven(&[("error-count", &few)], &[]);
            for event in &events {
                let picked = driven.play(event);
                let (records, now) = (driven.balancer.records.kept(), driven.now);
                if let Some(picked) = picked {
                    let rule = rule(&[]);
                    let place = driven.balancer.records.place(InstanceId(picked)).expect("known");
                    let reach = records.iter().any(|record| record.is_within_reach(&rule));
                    let mut eligible = records.iter().filter(|record| !reach || record.is_within_reach(&rule));
                    let all_rest = eligible.all(|record| record.is_cooling(now));
                    prop_assert!(!records[place].is_cooling(now) || all_rest, "{picked} at {now}: {records:?}");
                }
                if matches!(event, Event::Maintain) {
                    let usable = |place: &usize| driven.balancer.is_usable(*place, now);
                    let used = (0..records.len()).filter(|place| records[*place].share > 0.0);
                    let any = (0..records.len()).any(|place| usable(&place));
                    prop_assert!(used.clone().all(|place| usable(&place)) || (!any && used.count() == 1));
                }
            }
        }
    }
}
