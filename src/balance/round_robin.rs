//! Round robin: every instance in turn, in the order of their numbers.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::units::{Moment, Rtt};

use super::{Balancer, InstanceId, Policy, RequestId, Setting, dice};

/// Whose turn is first. Balancers that all begin with the same instance, and get requests at the same even pace, send in step
/// for ever: each instance then has its requests of all balancers at once.
pub(super) const START: Definition = Definition {
    name: "start",
    what: "whose turn is first: the lowest number, or one that is drawn",
    kind: Kind::Choice(&["drawn", "lowest"]),
    default: Value::Choice("drawn"),
};

/// What draws the first turn, if that is asked for.
pub(super) fn start(setting: Setting) -> Option<ChaCha8Rng> {
    (setting.parameters.choice(START.name) == "drawn").then_some(setting.stream)
}

/// Round robin.
pub(super) const POLICY: Policy = Policy {
    name: "round-robin",
    what: "every instance in turn, whatever its distance or load",
    parameters: &[START],
    build: |setting| Box::new(RoundRobin { start: start(setting), ..RoundRobin::default() }),
};

/// Instances in turn.
#[derive(Debug, Default)]
struct RoundRobin {
    /// Sorted.
    instances: Vec<InstanceId>,
    /// The place of the next.
    next: usize,
    /// Draws the first, until that has been done.
    start: Option<ChaCha8Rng>,
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
        if let Some(mut stream) = self.start.take() {
            self.next = dice::below(&mut stream, self.instances.len());
        }
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
