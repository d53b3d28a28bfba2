//! The hold queue against a plain model, by properties and by example.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::shaping::{Jitter, Loss, Selector, Share};
use crate::units::Span;

const MEMORY: usize = 1_000_000;

impl Cargo for u32 {
    fn length(&self) -> usize {
        100
    }

    fn copy(&self) -> Self {
        *self
    }

    fn damaged(self, damage: Damage) -> Option<Self> {
        Some(self | 1 << (16 + damage.bit))
    }
}

fn at(us: u64) -> Moment {
    Moment::from_nanos(us * 1_000)
}

fn table(paths: &[(&str, u64)]) -> Paths {
    let paths: BTreeMap<Selector, Impairment> =
        paths.iter().map(|(net, us)| (net.parse().unwrap(), Impairment::delay(Delay::from_micros(*us)))).collect();
    Paths::new(&paths)
}

fn schedule(paths: &[(&str, u64)]) -> Schedule<u32> {
    let mut schedule = Schedule::new(MEMORY, 0);
    schedule.replace(table(paths));
    schedule
}

fn arrival(stamp_us: u64, to: &str, packet: u32) -> Arrival<u32> {
    let flow = Flow { destination: to.parse().unwrap(), protocol: 17, ports: None };
    Arrival { stamp: at(stamp_us), flow: Some(flow), size: 100, packet }
}

/// Everything that leaves until `now`, as (due in µs, packet).
fn leave(schedule: &mut Schedule<u32>, now: Moment) -> Vec<(u64, u32)> {
    std::iter::from_fn(|| schedule.pop_due(now, Moment::END))
        .map(|held| (held.due.as_nanos() / 1_000, held.packet))
        .collect()
}

#[test]
fn packets_leave_after_the_delay_of_their_path() {
    let mut schedule = schedule(&[("10.0.0.1/32", 500), ("10.0.0.2/32", 100)]);
    assert_eq!(schedule.offer(arrival(1_000, "10.0.0.1", 1)), Offered::Held);
    assert_eq!(schedule.offer(arrival(1_010, "10.0.0.2", 2)), Offered::Held);
    assert_eq!(schedule.next_due(), Some(at(1_110)));
    assert_eq!(leave(&mut schedule, at(1_109)), []);
    assert_eq!(leave(&mut schedule, at(1_110)), [(1_110, 2)]);
    assert_eq!(leave(&mut schedule, at(9_999)), [(1_500, 1)]);
    assert_eq!(schedule.next_due(), None);
}

#[test]
fn packets_without_a_path_leave_at_once_and_first() {
    let mut schedule = schedule(&[("10.0.0.1/32", 500)]);
    schedule.offer(arrival(1_000, "10.0.0.1", 1));
    assert_eq!(schedule.offer(arrival(1_400, "10.0.0.9", 2)), Offered::Unmatched);
    let arp = Arrival { flow: None, ..arrival(1_401, "10.0.0.1", 3) };
    assert_eq!(schedule.offer(arp), Offered::Unmatched);
    assert_eq!(leave(&mut schedule, at(1_401)), [(1_400, 2), (1_401, 3)]);
}

#[test]
fn packets_wait_for_older_ones_that_may_still_be_in_another_queue() {
    let mut schedule = schedule(&[("10.0.0.1/32", 10)]);
    schedule.offer(arrival(105, "10.0.0.1", 2));
    assert!(schedule.pop_due(at(200), at(104)).is_none());
    schedule.offer(arrival(103, "10.0.0.1", 1));
    assert_eq!(schedule.pop_due(at(200), at(104)).map(|held| held.packet), Some(1));
    assert!(schedule.pop_due(at(200), at(104)).is_none());
    assert_eq!(schedule.pop_due(at(200), at(105)).map(|held| held.packet), Some(2));
}

#[test]
fn what_does_not_fit_is_dropped_and_leaving_makes_room() {
    let mut schedule = Schedule::new(250, 0);
    schedule.replace(table(&[("10.0.0.1/32", 500)]));
    assert_eq!(schedule.offer(arrival(0, "10.0.0.1", 1)), Offered::Held);
    assert_eq!(schedule.offer(arrival(1, "10.0.0.1", 2)), Offered::Held);
    assert_eq!(schedule.offer(arrival(2, "10.0.0.1", 3)), Offered::Dropped);
    assert_eq!(leave(&mut schedule, at(500)), [(500, 1)]);
    assert_eq!(schedule.offer(arrival(500, "10.0.0.1", 4)), Offered::Held);
    assert_eq!(schedule.len(), 2);
}

#[test]
fn a_shorter_delay_does_not_let_new_packets_overtake_held_ones() {
    let mut schedule = schedule(&[("10.0.0.1/32", 1_000), ("10.0.0.2/32", 1_000)]);
    schedule.offer(arrival(0, "10.0.0.1", 1));
    schedule.replace(table(&[("10.0.0.1/32", 100), ("10.0.0.2/32", 100)]));
    schedule.offer(arrival(10, "10.0.0.1", 2));
    schedule.offer(arrival(20, "10.0.0.1", 3));
    schedule.offer(arrival(30, "10.0.0.2", 4));
    schedule.offer(arrival(950, "10.0.0.1", 5));
    assert_eq!(leave(&mut schedule, at(9_999)), [(130, 4), (1_000, 1), (1_000, 2), (1_000, 3), (1_050, 5)]);
}

#[test]
fn a_host_taken_out_of_its_network_does_not_overtake_itself_through_two_tables() {
    let mut schedule = schedule(&[("10.0.0.0/8", 1_000)]);
    schedule.offer(arrival(0, "10.0.0.1", 1));
    schedule.replace(table(&[("10.0.0.0/8", 1_000), ("10.0.0.1/32", 100)]));
    schedule.replace(table(&[("10.0.0.0/8", 1_000), ("10.0.0.1/32", 50)]));
    schedule.offer(arrival(10, "10.0.0.1", 2));
    assert_eq!(leave(&mut schedule, at(9_999)), [(1_000, 1), (1_000, 2)]);
}

fn impaired(impairment: Impairment) -> Schedule<u32> {
    let mut schedule = Schedule::new(MEMORY, 0);
    schedule.replace(Paths::new(&BTreeMap::from([("10.0.0.1/32".parse().unwrap(), impairment)])));
    schedule
}

#[test]
fn lost_packets_are_told_from_dropped_ones_and_copies_are_held() {
    let always = Share::of("100%".parse().unwrap());
    let base = Impairment::delay(Delay::from_micros(500));
    let mut lossy = impaired(Impairment { loss: Loss::Random(always), ..base });
    assert_eq!(lossy.offer(arrival(0, "10.0.0.1", 1)), Offered::Lost);
    assert_eq!((lossy.len(), lossy.bytes), (0, 0));
    let mut double = impaired(Impairment { duplicate: always, ..base });
    assert_eq!(double.offer(arrival(0, "10.0.0.1", 1)), Offered::Doubled);
    assert_eq!(leave(&mut double, at(500)), [(500, 1), (500, 1)]);
    assert_eq!(double.bytes, 0);
    let mut damaged = impaired(Impairment { corrupt: always, ..base });
    damaged.offer(arrival(0, "10.0.0.1", 1));
    assert_ne!(leave(&mut damaged, at(500)), [(500, 1)]);
}

#[test]
fn a_lane_goes_on_when_a_table_is_replaced_around_it() {
    let jitter = Jitter { span: Span::from_micros(400), ..Jitter::default() };
    let path = Impairment { jitter, seed: Some(1), ..Impairment::delay(Delay::from_micros(500)) };
    let send = |schedule: &mut Schedule<u32>, number: u32| {
        schedule.offer(arrival(u64::from(number) * 10_000, "10.0.0.1", number));
        leave(schedule, at(u64::from(number) * 10_000 + 9_999))[0].0
    };
    let (mut still, mut replaced) = (impaired(path), impaired(path));
    let expected: Vec<u64> = (0..20).map(|number| send(&mut still, number)).collect();
    let found: Vec<u64> = (0..20)
        .map(|number| {
            let net = |text: &str| text.parse::<Selector>().unwrap();
            let other = Impairment::delay(Delay::from_micros(u64::from(number)));
            replaced.replace(Paths::new(&BTreeMap::from([(net("10.0.0.1/32"), path), (net("10.0.0.2/32"), other)])));
            send(&mut replaced, number)
        })
        .collect();
    assert_eq!(expected, found);
}

const DESTINATIONS: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.9.0.1", "11.0.0.1", "fd00::1"];
const PREFIXES: [&str; 5] = ["10.0.0.1/32", "10.0.0.0/24", "10.0.0.0/8", "fd00::1/128", "fd00::/16"];

/// One thing that happens to a schedule.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, in µs; packets leave.
    Pass(u64),
    /// A packet arrives that the kernel saw so many µs ago.
    Arrive { destination: usize, age: u64 },
    /// A table is put in: prefixes and delays in µs.
    Replace(Vec<(usize, u64)>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..400).prop_map(Step::Pass),
        6 => (0..DESTINATIONS.len(), 0u64..3).prop_map(|(destination, age)| Step::Arrive { destination, age }),
        1 => proptest::collection::vec((0..PREFIXES.len(), 1u64..2_000), 0..5).prop_map(Step::Replace),
    ]
}

/// What is known of a packet, for judging when it leaves.
#[derive(Debug, Clone, Copy)]
struct Known {
    destination: usize,
    stamp: u64,
    earliest: u64,
    /// How often a table without its destination had been put in; `None` when the current one is such a table.
    matched: Option<u32>,
}

/// Looks the delay up in the plainest way.
fn delay_of(table: &BTreeMap<usize, u64>, destination: usize) -> Option<u64> {
    let address: std::net::IpAddr = DESTINATIONS[destination].parse().unwrap();
    let nets = table.iter().map(|(net, us)| (PREFIXES[*net].parse::<ipnet::IpNet>().unwrap(), *us));
    nets.filter(|(net, _)| net.contains(&address)).max_by_key(|(net, _)| net.prefix_len()).map(|(_, us)| us)
}

/// Runs the steps; what is known of each packet, and (time, packet) of each one that left.
fn run(steps: &[Step]) -> (Vec<Known>, Vec<(u64, u32)>) {
    let (mut schedule, mut table) = (Schedule::new(usize::MAX, 0), BTreeMap::new());
    let mut generation = [0u32; DESTINATIONS.len()];
    let (mut known, mut left, mut now) = (Vec::new(), Vec::new(), 10u64);
    for step in steps {
        match step {
            Step::Pass(us) => {
                now += us;
                left.extend(leave(&mut schedule, at(now)).into_iter().map(|(_, packet)| (now, packet)));
            }
            Step::Arrive { destination, age } => {
                let delay = delay_of(&table, *destination);
                let stamp = now - age;
                let packet = u32::try_from(known.len()).unwrap();
                let matched = delay.map(|_| generation[*destination]);
                known.push(Known { destination: *destination, stamp, earliest: stamp + delay.unwrap_or(0), matched });
                schedule.offer(arrival(stamp, DESTINATIONS[*destination], packet));
            }
            Step::Replace(paths) => {
                table = paths.iter().copied().collect();
                for (destination, generation) in generation.iter_mut().enumerate() {
                    *generation += u32::from(delay_of(&table, destination).is_none());
                }
                let named: Vec<_> = table.iter().map(|(net, us)| (PREFIXES[*net], *us)).collect();
                schedule.replace(super::tests::table(&named));
            }
        }
    }
    now += 100_000;
    left.extend(leave(&mut schedule, at(now)).into_iter().map(|(_, packet)| (now, packet)));
    assert_eq!((schedule.len(), schedule.bytes), (0, 0));
    (known, left)
}

proptest! {
    #[test]
    fn everything_comes_out_once_and_never_early(steps in proptest::collection::vec(step(), 0..80)) {
        let (known, left) = run(&steps);
        let mut packets: Vec<u32> = left.iter().map(|(_, packet)| *packet).collect();
        for (time, packet) in &left {
            prop_assert!(*time >= known[*packet as usize].earliest);
        }
        packets.sort_unstable();
        prop_assert_eq!(packets, (0..u32::try_from(known.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn each_destination_keeps_the_order_of_its_stamps(steps in proptest::collection::vec(step(), 0..80)) {
        // A packet that is offered after a younger one has left cannot be put before it, packets that match no prefix
        // wait for nobody, and a table forgets the prefixes it does not have: the order holds between the others.
        let steps: Vec<Step> = steps
            .into_iter()
            .map(|step| if let Step::Arrive { destination, .. } = step { Step::Arrive { destination, age: 0 } } else { step })
            .collect();
        let (known, left) = run(&steps);
        let mut last: BTreeMap<(usize, u32), (u64, u32)> = BTreeMap::new();
        for (_, packet) in left {
            let Known { destination, stamp, matched, .. } = known[packet as usize];
            if let Some(generation) = matched {
                prop_assert!(last.insert((destination, generation), (stamp, packet)) < Some((stamp, packet)));
            }
        }
    }

    #[test]
    fn without_a_change_the_due_time_is_exact(stamps in proptest::collection::vec((0u64..1_000, 0..DESTINATIONS.len()), 1..50)) {
        let mut schedule = schedule(&[("10.0.0.0/24", 700), ("10.0.0.1/32", 30), ("fd00::/16", 5)]);
        let table = BTreeMap::from([(1, 700), (0, 30), (4, 5)]);
        let mut expected = Vec::new();
        for (packet, (stamp, destination)) in (0u32..).zip(&stamps) {
            schedule.offer(arrival(*stamp, DESTINATIONS[*destination], packet));
            expected.push((stamp + delay_of(&table, *destination).unwrap_or(0), *stamp, packet));
        }
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().map(|(due, _, packet)| (due, packet)).collect();
        prop_assert_eq!(leave(&mut schedule, at(100_000)), expected);
    }
}
