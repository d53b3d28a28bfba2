//! Round robin: every instance in turn, in the order of their numbers.

use crate::units::{Moment, Rtt};

use super::{Balancer, InstanceId, Policy, RequestId};

/// Round robin.
pub(super) const POLICY: Policy = Policy {
    name: "round-robin",
    what: "every instance in turn, whatever its distance or load",
    parameters: &[],
    build: |_| Box::new(RoundRobin::default()),
};

/// Instances in turn.
#[derive(Debug, Default)]
struct RoundRobin {
    /// Sorted.
    instances: Vec<InstanceId>,
    /// The place of the next.
    next: usize,
}

impl Balancer for RoundRobin {
    fn add(&mut self, _now: Moment, instance: InstanceId, _rtt: Option<Rtt>) {
        if let Err(place) = self.instances.binary_search(&instance) {
            self.instances.insert(place, instance);
            // Whose turn it is does not change by what is put in before it.
            self.next += usize::from(place < self.next);
        }
    }

    fn remove(&mut self, _now: Moment, instance: InstanceId) {
        if let Ok(place) = self.instances.binary_search(&instance) {
            self.instances.remove(place);
            self.next -= usize::from(place < self.next);
        }
    }

    fn pick(&mut self, _now: Moment, _request: RequestId) -> Option<InstanceId> {
        if self.next >= self.instances.len() {
            self.next = 0;
        }
        let picked = self.instances.get(self.next).copied();
        self.next += 1;
        picked
    }

    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let share = 1.0 / self.instances.len() as f64;
        self.instances.iter().map(|instance| (*instance, share)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(balancer: &mut RoundRobin, count: u64) -> Vec<u32> {
        (0..count)
            .filter_map(|request| balancer.pick(Moment::START, RequestId(request)).map(|instance| instance.0))
            .collect()
    }

    #[test]
    fn everyone_has_a_turn_also_while_instances_come_and_go() {
        let mut balancer = RoundRobin::default();
        assert!(picks(&mut balancer, 2).is_empty());
        for instance in [3, 1, 2] {
            balancer.add(Moment::START, InstanceId(instance), None);
        }
        assert_eq!(picks(&mut balancer, 5), [1, 2, 3, 1, 2]);
        balancer.add(Moment::START, InstanceId(0), None);
        assert_eq!(picks(&mut balancer, 2), [3, 0]);
        balancer.remove(Moment::START, InstanceId(0));
        assert_eq!(picks(&mut balancer, 3), [1, 2, 3]);
    }
}
