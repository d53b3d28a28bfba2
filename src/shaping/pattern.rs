//! [`Pattern`]: what a single rule of a kernel can compare. Selectors become patterns that are tried in a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;

use super::{PortRange, Selector, Service, Transport};

/// What a single rule compares.
///
/// For one prefix the order is the order of trial: whatever comes first decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// Where packets go, without host bits.
    pub prefix: IpNet,
    /// What they carry.
    pub portion: Portion,
}

/// What packets carry, as far as one comparison goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Portion {
    /// This port.
    Port(Side, Transport, u16),
    /// One of these ports: part of a range.
    Ports(Side, Transport, PortBlock),
    /// The protocol of this number.
    Protocol(u8),
    /// Anything.
    All,
}

/// Which of the two ports of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The port that it goes to.
    Destination,
    /// The port that it comes from.
    Source,
}

/// Ports whose leading bits are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortBlock {
    first: u16,
    bits: u8,
}

impl Side {
    /// Both, in the order of trial.
    pub const ALL: [Self; 2] = [Self::Destination, Self::Source];
}

impl PortBlock {
    /// The ports that have the `bits` leading bits of `first`; `None` when `first` has others set.
    pub fn new(first: u16, bits: u8) -> Option<Self> {
        let block = Self { first, bits };
        (bits <= 16 && first & !block.mask() == 0).then_some(block)
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The leading bits that count.
    pub fn mask(self) -> u16 {
        u16::MAX.checked_shl(16 - u32::from(self.bits)).unwrap_or(0)
    }

    /// The fewest blocks that make up the ports from `first` to `last`.
    fn split(first: u16, last: u16) -> Vec<Self> {
        let (mut next, end) = (u32::from(first), u32::from(last) + 1);
        let mut blocks = Vec::new();
        while next < end {
            let aligned = next.trailing_zeros().min(16);
            let log = (0..=aligned).rev().find(|log| next + (1 << log) <= end).unwrap_or(0);
            let (Ok(first), Ok(bits)) = (u16::try_from(next), u8::try_from(16 - log)) else { break };
            blocks.push(Self { first, bits });
            next += 1 << log;
        }
        blocks
    }
}

/// The patterns that single these selectors out, each with the selector that it stands for.
///
/// Of the patterns of one prefix that hold for a packet the least one says which selector the packet meets. Where ranges of
/// ports overlap, the narrower range has the ports that both contain.
pub(super) fn patterns<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> BTreeMap<Pattern, Selector> {
    let mut patterns = BTreeMap::new();
    let mut ranges: BTreeMap<(IpNet, Transport), Vec<PortRange>> = BTreeMap::new();
    for selector in selectors {
        let prefix = selector.prefix;
        let mut insert = |portion| patterns.insert(Pattern { prefix, portion }, *selector);
        match selector.service {
            Service::All => _ = insert(Portion::All),
            Service::Protocol(protocol) => _ = insert(Portion::Protocol(protocol.number(&prefix))),
            Service::Port(transport, ports) if ports.is_single() => {
                for side in Side::ALL {
                    insert(Portion::Port(side, transport, ports.first()));
                }
            }
            Service::Port(transport, ports) => ranges.entry((prefix, transport)).or_default().push(ports),
        }
    }
    for ((prefix, transport), ranges) in ranges {
        for (first, last, owner) in without_overlap(&ranges) {
            let selector = Selector { prefix, service: Service::Port(transport, owner) };
            for (block, side) in
                PortBlock::split(first, last).into_iter().flat_map(|block| Side::ALL.map(|side| (block, side)))
            {
                patterns.insert(Pattern { prefix, portion: Portion::Ports(side, transport, block) }, selector);
            }
        }
    }
    patterns
}

/// The ports of some ranges, first and last, each with the narrowest range that contains them.
fn without_overlap(ranges: &[PortRange]) -> Vec<(u16, u16, PortRange)> {
    let ends = |range: &PortRange| [u32::from(range.first()), u32::from(range.last()) + 1];
    let cuts: BTreeSet<u32> = ranges.iter().flat_map(ends).collect();
    let cuts: Vec<u32> = cuts.into_iter().collect();
    let mut pieces: Vec<(u16, u16, PortRange)> = Vec::new();
    for pair in cuts.windows(2) {
        let (Ok(first), Ok(last)) = (u16::try_from(pair[0]), u16::try_from(pair[1] - 1)) else { continue };
        let Some(owner) = narrowest(ranges, first) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.2 == owner && u32::from(piece.1) + 1 == pair[0] => piece.1 = last,
            _ => pieces.push((first, last, owner)),
        }
    }
    pieces
}

/// The narrowest range that contains a port; of equally wide ones the lowest.
fn narrowest(ranges: &[PortRange], port: u16) -> Option<PortRange> {
    ranges.iter().copied().filter(|range| range.contains(port)).min_by_key(|range| (range.width(), range.first()))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.portion {
            Portion::All => write!(f, "{}", self.prefix),
            portion => write!(f, "{} {portion}", self.prefix),
        }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(side, transport, port) => write!(f, "{transport} {side} port {port}"),
            Self::Ports(side, transport, block) => {
                write!(f, "{transport} {side} ports {}-{}", block.first(), block.first() | !block.mask())
            }
            Self::Protocol(number) => write!(f, "protocol {number}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destination => "destination",
            Self::Source => "source",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn shown(selectors: &[&str]) -> Vec<String> {
        let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse().unwrap()).collect();
        patterns(&selectors).iter().map(|(pattern, selector)| format!("{pattern} -> {selector}")).collect()
    }

    #[test]
    fn the_more_specific_is_tried_first() {
        assert_eq!(
            shown(&["10.0.0.0/24", "10.0.0.0/24 udp", "10.0.0.0/24 udp:4-7", "10.0.0.0/24 udp:53"]),
            [
                "10.0.0.0/24 udp destination port 53 -> 10.0.0.0/24 udp:53",
                "10.0.0.0/24 udp source port 53 -> 10.0.0.0/24 udp:53",
                "10.0.0.0/24 udp destination ports 4-7 -> 10.0.0.0/24 udp:4-7",
                "10.0.0.0/24 udp source ports 4-7 -> 10.0.0.0/24 udp:4-7",
                "10.0.0.0/24 protocol 17 -> 10.0.0.0/24 udp",
                "10.0.0.0/24 -> 10.0.0.0/24",
            ]
        );
    }

    #[test]
    fn a_narrow_range_is_cut_out_of_a_wide_one() {
        let shown = shown(&["10.0.0.0/24 tcp:8-15", "10.0.0.0/24 tcp:10-11"]);
        let destinations: Vec<&str> =
            shown.iter().map(String::as_str).filter(|line| line.contains("destination")).collect();
        assert_eq!(
            destinations,
            [
                "10.0.0.0/24 tcp destination ports 8-9 -> 10.0.0.0/24 tcp:8-15",
                "10.0.0.0/24 tcp destination ports 10-11 -> 10.0.0.0/24 tcp:10-11",
                "10.0.0.0/24 tcp destination ports 12-15 -> 10.0.0.0/24 tcp:8-15",
            ]
        );
    }

    fn any_range() -> impl Strategy<Value = PortRange> {
        let near = (1u16..40, 0u16..40).prop_map(|(first, more)| PortRange::new(first, first + more).unwrap());
        let far = (1u16.., 1u16..).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
        prop_oneof![3 => near, 1 => far]
    }

    proptest! {
        #[test]
        fn blocks_are_exactly_the_range(range in any_range(), port: u16) {
            let blocks = PortBlock::split(range.first(), range.last());
            prop_assert!(blocks.len() <= 30);
            prop_assert!(blocks.iter().all(|block| PortBlock::new(block.first, block.bits) == Some(*block)));
            let found = |port: u16| blocks.iter().filter(|block| port & block.mask() == block.first).count();
            for port in [port, range.first(), range.last(), range.first() - 1, range.last().wrapping_add(1)] {
                prop_assert_eq!(found(port), usize::from(range.contains(port)));
            }
        }

        #[test]
        fn every_port_is_the_narrowest_ranges(ranges in prop::collection::vec(any_range(), 0..6), port in 0u16..100) {
            let pieces = without_overlap(&ranges);
            let found: Vec<PortRange> =
                pieces.iter().filter(|(first, last, _)| (*first..=*last).contains(&port)).map(|piece| piece.2).collect();
            let mut expected: Vec<PortRange> = ranges.into_iter().filter(|range| range.contains(port)).collect();
            expected.sort_by_key(|range| (range.last() - range.first(), range.first()));
            expected.truncate(1);
            prop_assert_eq!(found, expected);
        }
    }
}
