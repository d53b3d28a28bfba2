//! [`Table`]: the hash tables that rules are sorted into, and what sorts them.

use std::fmt;

use ipnet::IpNet;

use super::Family;

/// How many tables may hang under each other below the one for a prefix length. The kernel follows eight links at most.
const MAX_DEPTH: usize = 3;

/// A hash table of rules, all for prefixes of one length.
///
/// At the top of a list every length has a link to its table, whose bucket is the last whole byte of the prefix. A bucket
/// that is too full has a link to a further table, which sorts its prefixes by another byte; that one may have others below.
///
/// The order is by family, longest prefix first, and a table before those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    family: Family,
    /// The bits of an address that are not in the prefix.
    free_bits: u8,
    trail: [Option<Step>; MAX_DEPTH],
}

/// The way from a table to one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Step {
    /// The bucket above.
    bucket: u8,
    /// The byte of the address that sorts the table below.
    byte: u8,
}

/// The bits of a destination address that choose the bucket of a table: those under the mask, moved to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashField {
    /// The index of the byte within the address, from 0.
    pub byte: u8,
    /// Its bits that count: those of the prefix.
    pub mask: u8,
}

impl HashField {
    /// The field of prefixes of `bits` in that byte; `None` when none of its bits is theirs.
    fn of(bits: u8, byte: u8) -> Option<Self> {
        let before = u32::from(byte) * 8;
        let count = u32::from(bits).checked_sub(before).filter(|count| *count > 0)?;
        Some(Self { byte, mask: u8::MAX.checked_shl(8 - count.min(8)).unwrap_or(u8::MAX) })
    }

    /// What it makes of an address with these octets.
    fn value(self, octets: &[u8]) -> u8 {
        octets.get(usize::from(self.byte)).map_or(0, |octet| (octet & self.mask) >> self.mask.trailing_zeros())
    }
}

impl Table {
    /// The table of all prefixes of that length, which the list's top links to.
    pub const fn of_length(family: Family, bits: u8) -> Self {
        Self { family, free_bits: family.address_bits().saturating_sub(bits), trail: [None; MAX_DEPTH] }
    }

    /// The table that the rules of `prefix` are in when no bucket is too full.
    pub fn of(prefix: &IpNet) -> Self {
        Self::of_length(Family::of(prefix), prefix.prefix_len())
    }

    /// The protocol whose packets it holds rules for.
    pub const fn family(self) -> Family {
        self.family
    }

    /// The length of its prefixes.
    pub const fn bits(self) -> u8 {
        self.family.address_bits() - self.free_bits
    }

    /// The table below `bucket` that is sorted by `byte`; `None` at the greatest depth, or when its prefixes do not reach it.
    pub fn below(self, bucket: u8, byte: u8) -> Option<Self> {
        HashField::of(self.bits(), byte)?;
        let mut below = self;
        *below.trail.iter_mut().find(|step| step.is_none())? = Some(Step { bucket, byte });
        Some(below)
    }

    /// The table that it hangs under, and the bucket there; `None` when the list's top links to it.
    pub fn above(self) -> Option<(Self, u8)> {
        let mut above = self;
        let step = above.trail.iter_mut().rev().find(|step| step.is_some())?.take()?;
        Some((above, step.bucket))
    }

    /// What chooses its bucket; `None` for prefixes shorter than a byte, whose table has a single bucket.
    pub fn field(self) -> Option<HashField> {
        match self.trail.iter().flatten().last() {
            Some(step) => HashField::of(self.bits(), step.byte),
            None => (self.bits() / 8).checked_sub(1).map(|byte| HashField { byte, mask: u8::MAX }),
        }
    }

    /// The bucket that a prefix of its length belongs into.
    pub fn bucket(self, prefix: &IpNet) -> u8 {
        self.field().map_or(0, |field| match prefix {
            IpNet::V4(net) => field.value(&net.addr().octets()),
            IpNet::V6(net) => field.value(&net.addr().octets()),
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.family, self.bits())?;
        let mut sorted_by = self.bits().saturating_sub(8) / 8;
        for step in self.trail.iter().flatten() {
            write!(f, " with byte {sorted_by} = {}", step.bucket)?;
            sorted_by = step.byte;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_at_the_top_are_the_last_whole_byte_of_the_prefix() {
        for (prefix, expected) in [
            ("10.1.2.3/32", 3),
            ("10.1.2.0/24", 2),
            ("10.1.2.128/25", 2),
            ("10.0.0.0/8", 10),
            ("8.0.0.0/5", 0),
            ("fd00::9/128", 9),
        ] {
            let prefix: IpNet = prefix.parse().unwrap();
            assert_eq!(Table::of(&prefix).bucket(&prefix), expected, "{prefix}");
        }
    }

    #[test]
    fn only_bits_of_the_prefix_choose() {
        let prefix: IpNet = "10.1.240.0/20".parse().unwrap();
        let below = Table::of(&prefix).below(1, 2).unwrap();
        assert_eq!(below.field(), Some(HashField { byte: 2, mask: 0xf0 }));
        assert_eq!(below.bucket(&prefix), 15);
        assert_eq!(below.to_string(), "IPv4 /20 with byte 1 = 1");
        assert_eq!(Table::of(&prefix).below(1, 3), None);
    }

    proptest! {
        #[test]
        fn the_way_down_is_the_way_up(steps in prop::collection::vec((any::<u8>(), 0u8..16), 0..6)) {
            let mut way = vec![Table::of_length(Family::V6, 128)];
            for (bucket, byte) in steps {
                let Some(below) = way.last().unwrap().below(bucket, byte) else { break };
                prop_assert_eq!(below.above(), Some((*way.last().unwrap(), bucket)));
                way.push(below);
            }
            prop_assert!(way.len() <= 1 + MAX_DEPTH);
            prop_assert!(way.is_sorted());
            prop_assert_eq!(way[0].above(), None);
        }
    }
}
