//! [`Selector`]: which packets are meant: those to a prefix, or of one protocol, or of some ports of it.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wording::excerpt;

/// The packets to a prefix that belong to a service.
///
/// Its text is the prefix, followed by the service unless that is everything: `10.0.0.2/32`, `10.0.0.0/24 tcp`,
/// `10.0.0.0/24 tcp:22`, `fd00::/64 udp:5000-5010`. An address without a length is that host.
///
/// The order is by prefix, and for equal prefixes the more specific service first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// Where the packets go.
    pub prefix: IpNet,
    /// What they carry.
    pub service: Service,
}

/// What packets carry, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A port of a transport, as destination or as source: both directions of a connection.
    Port(Transport, PortRange),
    /// One protocol.
    Protocol(Protocol),
    /// Everything.
    All,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What an IP packet says that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// ICMP: 1 to IPv4 prefixes, 58 (`ICMPv6`) to IPv6 prefixes.
    Icmp,
    /// Any other, by its number.
    Number(u8),
}

/// Neighbouring ports, at least one, none of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The prefix cannot be read.
    #[error("`{}` is no address and no prefix; write for example 10.0.0.2, 10.0.0.0/24 or fd00::/64", excerpt(.0))]
    Prefix(String),
    /// The service cannot be read.
    #[error(
        "`{}` is no service; write tcp, udp, icmp or a protocol's number, and for ports tcp:22 or udp:5000-5010",
        excerpt(.0)
    )]
    Service(String),
    /// A port, or a range of them, cannot be.
    #[error("`{}` are no ports; write one from 1 to 65535, or two with the lower first, such as 5000-5010", excerpt(.0))]
    Ports(String),
    /// Ports of a protocol that has none.
    #[error("`{}` has ports that longhaul can look for in tcp and udp only", excerpt(.0))]
    NoPorts(String),
}

impl Selector {
    /// Everything to a prefix.
    pub const fn all(prefix: IpNet) -> Self {
        Self { prefix, service: Service::All }
    }

    /// The same packets, said in one way only: without host bits, and with ICMP by its name.
    #[must_use]
    pub fn canonical(self) -> Self {
        let service = match self.service {
            Service::Protocol(protocol) => Service::Protocol(Protocol::of(protocol.number(&self.prefix), &self.prefix)),
            service => service,
        };
        Self { prefix: self.prefix.trunc(), service }
    }
}

impl From<IpNet> for Selector {
    fn from(prefix: IpNet) -> Self {
        Self::all(prefix)
    }
}

impl Transport {
    /// The number in the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl Protocol {
    /// The number in the header of packets to `prefix`.
    pub const fn number(self, prefix: &IpNet) -> u8 {
        match (self, prefix) {
            (Self::Tcp, _) => 6,
            (Self::Udp, _) => 17,
            (Self::Icmp, IpNet::V4(_)) => 1,
            (Self::Icmp, IpNet::V6(_)) => 58,
            (Self::Number(number), _) => number,
        }
    }

    /// The protocol of that number, for packets to `prefix`.
    pub const fn of(number: u8, prefix: &IpNet) -> Self {
        match (number, prefix) {
            (6, _) => Self::Tcp,
            (17, _) => Self::Udp,
            (1, IpNet::V4(_)) | (58, IpNet::V6(_)) => Self::Icmp,
            _ => Self::Number(number),
        }
    }
}

impl PortRange {
    /// The ports from `first` to `last`; `None` unless `1 ≤ first ≤ last`.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether it is one port.
    pub const fn is_single(self) -> bool {
        self.first == self.last
    }

    /// How many ports it is, less one.
    pub const fn width(self) -> u16 {
        self.last - self.first
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        let (prefix, service) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let host = || prefix.parse::<std::net::IpAddr>().map(IpNet::from);
        let prefix = prefix.parse().or_else(|_| host()).map_err(|_| SelectorError::Prefix(prefix.to_owned()))?;
        let service = if service.is_empty() { Service::All } else { service.trim().parse()? };
        Ok(Self { prefix, service })
    }
}

impl Service {
    /// Whether every packet of `other` is one of this service too.
    pub fn covers(&self, other: &Self) -> bool {
        let number = |protocol: &Protocol| match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmp => 1,
            Protocol::Number(number) => *number,
        };
        match (self, other) {
            (Self::All, _) => true,
            (Self::Protocol(wide), Self::Protocol(narrow)) => number(wide) == number(narrow),
            (Self::Protocol(wide), Self::Port(narrow, _)) => number(wide) == narrow.number(),
            (Self::Port(wide, all), Self::Port(narrow, some)) => {
                wide == narrow && all.first() <= some.first() && some.last() <= all.last()
            }
            (Self::Protocol(_) | Self::Port(..), _) => false,
        }
    }
}

impl FromStr for Service {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let unknown = || SelectorError::Service(text.to_owned());
        let Some((name, ports)) = text.split_once(':') else {
            return match text {
                "all" => Ok(Self::All),
                _ => protocol(text).map(Self::Protocol).ok_or_else(unknown),
            };
        };
        let transport = match protocol(name).ok_or_else(unknown)? {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
            _ => return Err(SelectorError::NoPorts(text.to_owned())),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let range = number(first).zip(number(last)).and_then(|(first, last)| PortRange::new(first, last));
        Ok(Self::Port(transport, range.ok_or_else(|| SelectorError::Ports(text.to_owned()))?))
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "icmp" => Some(Protocol::Icmp),
        _ => match number(text)? {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            number => Some(Protocol::Number(number)),
        },
    }
}

/// A number of digits alone: the standard library would take a sign too.
fn number<N: FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Service::All => write!(f, "{}", self.prefix),
            service => write!(f, "{} {service}", self.prefix),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Protocol(protocol) => write!(f, "{protocol}"),
            Self::Port(transport, ports) => write!(f, "{transport}:{ports}"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_service() -> impl Strategy<Value = Service> {
        let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
        let ports = (1u16.., 1u16..).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap());
        prop_oneof![
            Just(Service::All),
            prop_oneof![Just("tcp".to_owned()), Just("icmp".to_owned()), any::<u8>().prop_map(|n| n.to_string())]
                .prop_map(|text| text.parse().unwrap()),
            (transport, ports).prop_map(|(transport, ports)| Service::Port(transport, ports)),
        ]
    }

    proptest! {
        #[test]
        fn texts_are_read_as_they_are_written(four: u32, six: u128, length in 0u8..=32, service in any_service()) {
            let nets = [IpNet::new(std::net::Ipv4Addr::from(four).into(), length), IpNet::new(std::net::Ipv6Addr::from(six).into(), length * 4)];
            for net in nets {
                let selector = Selector { prefix: net.unwrap(), service };
                prop_assert_eq!(selector.to_string().parse(), Ok(selector));
                let json = serde_json::to_string(&selector).unwrap();
                prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
                prop_assert_eq!(selector.canonical().canonical(), selector.canonical());
            }
        }

        #[test]
        fn no_text_makes_the_parser_fail(text in ".{0,40}") {
            let _ = text.parse::<Selector>();
        }
    }

    #[test]
    fn examples_are_understood() {
        for (text, shown) in [
            ("10.0.0.2", "10.0.0.2/32"),
            ("fd00::2", "fd00::2/128"),
            ("10.0.0.9/24", "10.0.0.0/24"),
            ("10.0.0.0/24 all", "10.0.0.0/24"),
            ("10.0.0.0/24   tcp", "10.0.0.0/24 tcp"),
            ("10.0.0.0/24 6", "10.0.0.0/24 tcp"),
            ("10.0.0.0/24 1", "10.0.0.0/24 icmp"),
            ("fd00::/64 58", "fd00::/64 icmp"),
            ("fd00::/64 1", "fd00::/64 1"),
            ("10.0.0.0/24 tcp:22", "10.0.0.0/24 tcp:22"),
            ("10.0.0.0/24 17:22-22", "10.0.0.0/24 udp:22"),
            ("fd00::/64 udp:5000-5010", "fd00::/64 udp:5000-5010"),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().canonical().to_string(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ports = "are no ports; write one from 1 to 65535, or two with the lower first, such as 5000-5010";
        for (text, message) in [
            (
                "10.0.0/24",
                "`10.0.0/24` is no address and no prefix; write for example 10.0.0.2, 10.0.0.0/24 or fd00::/64",
            ),
            (
                "10.0.0.0/24 ssh",
                "`ssh` is no service; write tcp, udp, icmp or a protocol's number, and for ports tcp:22 or udp:5000-5010",
            ),
            ("10.0.0.0/24 icmp:8", "`icmp:8` has ports that longhaul can look for in tcp and udp only"),
            ("10.0.0.0/24 tcp:0", &format!("`tcp:0` {ports}")),
            ("10.0.0.0/24 tcp:9-8", &format!("`tcp:9-8` {ports}")),
            ("10.0.0.0/24 tcp:+9", &format!("`tcp:+9` {ports}")),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_more_specific_service_comes_first() {
        let read = |text: &str| text.parse::<Service>().unwrap();
        let mut services = [read("all"), read("tcp"), read("udp:1-9"), read("tcp:22"), read("icmp")];
        services.sort();
        assert_eq!(services.map(|service| service.to_string()), ["tcp:22", "udp:1-9", "tcp", "icmp", "all"]);
    }
}
