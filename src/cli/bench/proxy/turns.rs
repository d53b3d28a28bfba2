//! Loads that take turns: everybody has a tenth of a second, then the next, so that what the machine does meanwhile meets all alike;
//! pure.

use crate::units::{Moment, Span};
use crate::workload::load::{Schedule, Slot, Trace};

/// Of a load, until the next one has its own.
const TURN: Span = Span::from_millis(100);

/// The schedule of each of `schedules.len()` loads, cut into turns. Who begins a round changes from one to the next, from `first` on.
pub(super) fn in_turns(schedules: &[Schedule], first: u64) -> Vec<Trace> {
    let loads = schedules.len() as u64;
    let of_load = |(load, schedule): (u64, &Schedule)| {
        let moved = |slot: Slot| {
            let round = slot.at.as_nanos() / TURN.as_nanos();
            let place = (load + first + round) % loads;
            let turns_before = round * loads + place;
            let at = Moment::from_nanos(turns_before * TURN.as_nanos() + slot.at.as_nanos() % TURN.as_nanos());
            Slot { at, ..slot }
        };
        Trace::new(schedule.slots().map(moved).collect())
    };
    (0..).zip(schedules).map(of_load).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workload::Arrivals;

    #[test]
    fn every_tenth_of_a_second_is_one_loads_and_all_have_all_places() {
        let schedule = |seed| Schedule {
            clients: 4,
            pace: "250/s".parse().unwrap(),
            arrivals: Arrivals::Poisson,
            duration: Span::from_secs(2),
            seed,
        };
        let schedules = [schedule(1), schedule(1), schedule(1)];
        let traces = in_turns(&schedules, 7);
        let turn = |slot: &Slot| slot.at.as_nanos() / TURN.as_nanos();
        let mut owners = std::collections::BTreeMap::new();
        let mut places = std::collections::BTreeSet::new();
        for (load, trace) in traces.iter().enumerate() {
            assert_eq!(trace.slots().len(), schedules[load].slots().count());
            for slot in trace.slots() {
                assert_eq!(*owners.entry(turn(slot)).or_insert(load), load);
                places.insert((load, turn(slot) % 3));
            }
            let between = |slots: &[Slot]| slots.windows(2).filter(|pair| turn(&pair[0]) == turn(&pair[1])).count();
            assert!(between(trace.slots()) > 1_900, "within a turn it is the schedule's own");
        }
        assert_eq!((owners.len(), places.len()), (60, 9));
    }
}
