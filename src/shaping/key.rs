//! [`Key`]: the identity of each object that longhaul puts into a kernel, ordered so that nothing comes before what it needs.

use std::fmt;

use ipnet::IpNet;

use super::{Block, Caught, ClassId, Pattern, Profile, Selector, Table};

/// An object of ours in a node's kernel.
///
/// The order of keys is the order of dependence: adding in ascending and deleting in descending order is always legal,
/// and the rules that take packets off their normal way come last, so that a half-done change leaves packets undelayed, never lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The device that captured packets are sent to.
    Device(DeviceKind),
    /// The HTB qdisc at that device's root.
    Root,
    /// A class of it.
    Class(ClassId),
    /// The netem qdisc of a class.
    Leaf(ClassId),
    /// A filter object on that HTB: names the class of a packet.
    Classify(FilterKey),
    /// A destination of the user-space delay line.
    Line(Selector),
    /// A rule of a profile of the capture program.
    Service(Profile, Block),
    /// A prefix that the capture program knows.
    Caught(Caught),
    /// The hook on the interface that the capture rules need.
    Clsact,
    /// A filter object on the interface: takes packets to the device.
    Capture(FilterKey),
    /// The capture program on the interface, which does what such filters do and vanishes with the process that put it there.
    Program,
}

/// What the device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// An intermediate functional block: the kernel itself delays and sends on.
    Ifb,
    /// A pair of virtual Ethernet devices: a program at its other end delays and sends on.
    Veth,
}

/// An object of a filter list.
///
/// Exemptions and tables come before the rules in them, and more specific rules before less specific ones. Where rules are added
/// in this order and then others deleted in the reverse order, a packet meets at any time either what it met before or what it
/// will meet in the end, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterKey {
    /// The list for one protocol, with its own preference.
    Chain(Family),
    /// A hash table of rules.
    Table(Table),
    /// A table that nothing leads to, left behind by a program that was killed: read from a kernel by its number, never wanted.
    Stray(Family, u16),
    /// A rule that lets packets pass which must never be delayed.
    Exempt(Exempt),
    /// The rule that leads packets into that table.
    Link(Table),
    /// A rule in that table.
    Rule(Table, Pattern, Treatment),
}

/// What a rule does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// It leaves them alone: no further rule of ours sees them.
    Pass,
    /// It takes them to its target.
    Take,
}

/// The protocol of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A group of Neighbour Discovery messages (`ICMPv6` types 133 to 137) that one masked comparison matches.
///
/// Delaying them would delay the first packet to every neighbour once more, and would let neighbours look dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exempt {
    /// Type 133.
    RouterSolicitation,
    /// Types 134 and 135.
    RouterAdvertisementNeighbourSolicitation,
    /// Types 136 and 137.
    NeighbourAdvertisementRedirect,
}

impl Exempt {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::RouterSolicitation,
        Self::RouterAdvertisementNeighbourSolicitation,
        Self::NeighbourAdvertisementRedirect,
    ];

    /// The `ICMPv6` type and the mask to compare it under.
    pub const fn icmp_type(self) -> (u8, u8) {
        match self {
            Self::RouterSolicitation => (133, 0xff),
            Self::RouterAdvertisementNeighbourSolicitation => (134, 0xfe),
            Self::NeighbourAdvertisementRedirect => (136, 0xfe),
        }
    }
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of a prefix.
    pub const fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    /// Bits of an address.
    pub const fn address_bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl FilterKey {
    /// The protocol that it is for.
    pub const fn family(&self) -> Family {
        match self {
            Self::Chain(family) | Self::Stray(family, _) => *family,
            Self::Table(table) | Self::Link(table) | Self::Rule(table, ..) => table.family(),
            Self::Exempt(_) => Family::V6,
        }
    }

    /// The objects of the same list that must exist for this one.
    fn parents(&self) -> Vec<Self> {
        match self {
            Self::Chain(_) => vec![],
            Self::Table(table) => vec![Self::Chain(table.family())],
            Self::Stray(family, _) => vec![Self::Chain(*family)],
            Self::Exempt(_) => vec![Self::Chain(Family::V6)],
            Self::Link(table) => match table.above() {
                Some((above, _)) => vec![Self::Table(*table), Self::Table(above)],
                None => vec![Self::Table(*table)],
            },
            Self::Rule(table, ..) => vec![Self::Table(*table)],
        }
    }
}

impl Key {
    /// Whether it says which packets are taken off their way. Everything else does nothing to packets as long as no object
    /// that does is there.
    pub const fn takes_packets(&self) -> bool {
        matches!(self, Self::Service(..) | Self::Caught(_) | Self::Capture(_))
    }

    /// The objects that must exist for this one; the device of a capture rule is named by its setting, not by its key.
    pub fn parents(&self) -> Vec<Self> {
        match self {
            Self::Device(_) | Self::Clsact => vec![],
            Self::Root => vec![Self::Device(DeviceKind::Ifb)],
            Self::Class(_) => vec![Self::Root],
            Self::Leaf(class) => vec![Self::Class(*class)],
            Self::Line(_) | Self::Service(..) | Self::Caught(_) | Self::Program => vec![Self::Device(DeviceKind::Veth)],
            Self::Classify(filter @ FilterKey::Chain(_)) => {
                [Self::Root].into_iter().chain(filter.parents().into_iter().map(Self::Classify)).collect()
            }
            Self::Classify(filter) => filter.parents().into_iter().map(Self::Classify).collect(),
            Self::Capture(FilterKey::Chain(_)) => vec![Self::Clsact],
            Self::Capture(filter) => filter.parents().into_iter().map(Self::Capture).collect(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl fmt::Display for FilterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(family) => write!(f, "list for {family}"),
            Self::Table(table) => write!(f, "table of {table}"),
            Self::Stray(family, number) => write!(f, "unused {family} table {number:x}"),
            Self::Exempt(exempt) => write!(f, "exemption of ICMPv6 type {}", exempt.icmp_type().0),
            Self::Link(table) => write!(f, "link to the table of {table}"),
            Self::Rule(_, pattern, Treatment::Pass) => write!(f, "exclusion of {pattern}"),
            Self::Rule(_, pattern, Treatment::Take) => write!(f, "rule for {pattern}"),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(DeviceKind::Ifb) => f.write_str("the ifb device"),
            Self::Device(DeviceKind::Veth) => f.write_str("the veth pair"),
            Self::Root => f.write_str("the HTB root"),
            Self::Class(class) => write!(f, "HTB class {class}"),
            Self::Leaf(class) => write!(f, "the netem of class {class}"),
            Self::Classify(filter) => write!(f, "classify {filter}"),
            Self::Line(selector) => write!(f, "the delay line's path to {selector}"),
            Self::Service(profile, block) => write!(f, "{block} in {profile} of the capture program"),
            Self::Caught(caught) => write!(f, "{caught} in the capture program"),
            Self::Clsact => f.write_str("clsact"),
            Self::Capture(filter) => write!(f, "capture {filter}"),
            Self::Program => f.write_str("the capture program"),
        }
    }
}
