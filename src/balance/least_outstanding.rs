//! Least outstanding: the instance that has the fewest of this balancer's requests under way.

use rand_chacha::ChaCha8Rng;

use crate::parameters::{Definition, Kind, Value};
use crate::units::{Moment, Rtt};

use super::flight::Flights;
use super::roster::{Roster, Ticket};
use super::round_robin::{START, start};
use super::{Balancer, Completion, InstanceId, Policy, RequestId, Setting, dice};

/// Who has it of several with the fewest.
const TIES: Definition = Definition {
    name: "ties",
    what: "who has the request of several with the fewest: the lowest number, or each in turn",
    kind: Kind::Choice(&["lowest", "in-turn"]),
    default: Value::Choice("in-turn"),
};

/// Least outstanding.
pub(super) const POLICY: Policy = Policy {
    name: "least-outstanding",
    what: "the instance with the fewest requests of this balancer under way",
    parameters: &[TIES, START],
    build: |setting| Box::new(LeastOutstanding::new(setting)),
};

/// Requests under way, counted.
#[derive(Debug)]
struct LeastOutstanding {
    /// How many each has.
    instances: Roster<u32>,
    flights: Flights<Ticket>,
    in_turn: bool,
    /// Where looking for the fewest begins: behind who was last.
    from: usize,
    /// Draws where it first begins, until that has been done.
    start: Option<ChaCha8Rng>,
}

impl LeastOutstanding {
    fn new(setting: Setting) -> Self {
        let in_turn = setting.parameters.choice(TIES.name) == "in-turn";
        let start = start(setting).filter(|_| in_turn);
        Self { instances: Roster::default(), flights: Flights::default(), in_turn, from: 0, start }
    }

    /// The first place with the fewest, from a place on and around; `None` without instances.
    fn least(&self) -> Option<usize> {
        let counts = self.instances.kept();
        let (before, after) = counts.split_at(self.from.min(counts.len()));
        let least = |counts: &[u32]| counts.iter().copied().enumerate().min_by_key(|(_, count)| *count);
        match (least(after), least(before)) {
            (Some((_, late)), Some((place, early))) if early < late => Some(place),
            (Some((place, _)), _) => Some(before.len() + place),
            (None, early) => early.map(|(place, _)| place),
        }
    }
}

impl Balancer for LeastOutstanding {
    fn add(&mut self, _now: Moment, instance: InstanceId, _rtt: Option<Rtt>) {
        if let Some(place) = self.instances.insert(instance, 0) {
            self.from += usize::from(place < self.from);
        }
    }

    fn remove(&mut self, _now: Moment, instance: InstanceId) {
        if let Some(place) = self.instances.remove(instance) {
            self.from -= usize::from(place < self.from);
        }
    }

    fn pick(&mut self, _now: Moment, request: RequestId) -> Option<InstanceId> {
        if let Some(mut stream) = self.start.take() {
            self.from = dice::below(&mut stream, self.instances.kept().len());
        }
        let place = self.least()?;
        self.instances.kept_mut()[place] += 1;
        self.from = if self.in_turn { place + 1 } else { 0 };
        self.flights.leave(request, self.instances.ticket(place));
        Some(self.instances.id(place))
    }

    fn complete(&mut self, _now: Moment, completion: &Completion) {
        let place = self.flights.end(completion.request).and_then(|ticket| self.instances.find(ticket));
        if let Some(place) = place {
            self.instances.kept_mut()[place] -= 1;
        }
    }

    fn weights(&self) -> Vec<(InstanceId, f64)> {
        let counts = self.instances.kept();
        let least = counts.iter().min();
        let share = 1.0 / counts.iter().filter(|count| Some(*count) == least).count() as f64;
        let of = |count| if Some(count) == least { share } else { 0.0 };
        self.instances.ids().iter().zip(counts).map(|(instance, count)| (*instance, of(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::balance::contract::{Driven, balancer};

    #[test]
    fn the_fewest_under_way_win_and_ties_go_as_told() {
        for (ties, first, then) in [("in-turn", [1, 2, 3, 1, 2, 3], [2, 2]), ("lowest", [1, 2, 3, 1, 2, 3], [2, 2])] {
            let mut driven =
                Driven::new(balancer("least-outstanding", &[("ties", ties), ("start", "lowest")]), &[1, 2, 3]);
            assert_eq!(driven.picks(6), first, "{ties}");
            // 2 is done with both of its requests: it has two until it is level again.
            driven.finish_all(2);
            assert_eq!(driven.picks(2), then, "{ties}");
        }
        for (ties, expected) in [("in-turn", [1, 2, 3, 1]), ("lowest", [1, 1, 1, 1])] {
            let mut driven =
                Driven::new(balancer("least-outstanding", &[("ties", ties), ("start", "lowest")]), &[1, 2, 3]);
            let picks: Vec<u32> = (0..4).map(|_| driven.served()).collect();
            assert_eq!(picks, expected, "{ties}");
        }
    }

    #[test]
    fn requests_of_an_earlier_life_do_not_count() {
        let mut driven = Driven::new(balancer("least-outstanding", &[]), &[1]);
        driven.picks(3);
        driven.remove(1);
        driven.add(1, None);
        driven.add(2, None);
        driven.finish_all(1);
        let mut picks = driven.picks(4);
        picks.sort_unstable();
        assert_eq!(picks, [1, 1, 2, 2]);
    }
}
