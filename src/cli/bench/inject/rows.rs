//! The rows that `bench inject` applies: many destinations of one node, one of which is there. Pure.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::shaping::{Impairment, Row, RowPath};
use crate::units::{Delay, Span};

/// The shortest delay.
pub(super) const SHORTEST: Delay = Delay::from_millis(10);
/// Between two delays that are next to each other.
const STEP: Span = Span::from_micros(50);
/// Hosts in each /24 of addresses that nobody has.
const HOSTS: usize = 250;

/// How large a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Destinations.
    pub(super) destinations: usize,
    /// Different delays among them.
    pub(super) delays: usize,
}

/// One destination of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Destination {
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// The delay on the way there.
    pub(super) delay: Delay,
}

/// A row in which `real` stands in the middle, where a list that is searched from its beginning does as on average.
/// The others are addresses that nobody has. `longer` is added to every delay.
pub(super) fn destinations(real: Ipv4Addr, shape: Shape, longer: Span) -> Vec<Destination> {
    let middle = shape.destinations / 2;
    let nanos = |at: usize| {
        let step = (at % shape.delays.max(1)) as u64 * STEP.as_nanos();
        SHORTEST.as_nanos() + step + longer.as_nanos()
    };
    let one = |at: usize| {
        let address = if at == middle { real } else { stranger(at) };
        Destination { address, delay: Delay::from_nanos(nanos(at)) }
    };
    (0..shape.destinations).map(one).collect()
}

fn stranger(at: usize) -> Ipv4Addr {
    #[allow(clippy::cast_possible_truncation)] // There are fewer than 250 such networks.
    let (network, host) = ((at / HOSTS) as u8, (at % HOSTS + 1) as u8);
    Ipv4Addr::new(10, 78, network, host)
}

/// What longhaul is asked for.
pub(super) fn row(destinations: &[Destination]) -> Row {
    let host = |one: &Destination| IpNet::from(IpAddr::V4(one.address));
    destinations.iter().map(|one| RowPath::to(&[host(one)], Impairment::delay(one.delay))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const REAL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    #[test]
    fn rows_have_as_many_destinations_and_delays_as_asked_for() {
        for (count, delays) in [(1, 1), (10, 10), (100, 50), (1_000, 50), (1_000, 1_000)] {
            let all = destinations(REAL, Shape { destinations: count, delays }, Span::ZERO);
            let addresses: BTreeSet<Ipv4Addr> = all.iter().map(|one| one.address).collect();
            let distinct: BTreeSet<Delay> = all.iter().map(|one| one.delay).collect();
            assert_eq!((addresses.len(), distinct.len()), (count, delays));
            assert_eq!(all[count / 2].address, REAL);
            assert_eq!(row(&all).paths.len(), count);
        }
    }

    #[test]
    fn longer_means_every_delay() {
        let shape = Shape { destinations: 100, delays: 7 };
        let longer = Span::from_millis(1);
        for (one, other) in destinations(REAL, shape, Span::ZERO).iter().zip(destinations(REAL, shape, longer)) {
            assert_eq!(other.delay.as_nanos() - one.delay.as_nanos(), 1_000_000);
            assert_eq!(other.address, one.address);
        }
    }
}
