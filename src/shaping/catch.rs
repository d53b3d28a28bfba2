//! What the capture program knows: a [`Catch`] for each prefix, and profiles for those where protocol and ports matter.
//!
//! The kernel finds the longest prefix and nothing else, so each prefix's catch says all that there is to say: where its own
//! selectors leave something open, those of the prefixes around it are in its profile too.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;

use super::{Family, Key, PortRange, Selector, Service, Setting, State, Transport};

/// What the capture program does with packets to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catch {
    /// They pass.
    Pass,
    /// They go to the delay line.
    Take,
    /// Their protocol and ports decide, by the rules of a profile.
    Ask(Profile),
}

/// A prefix that the capture program knows. The longest come first: then at no time of a change a packet is taken that is to
/// be left alone before and after, nor the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caught {
    /// The bits of an address that are not in the prefix.
    free_bits: u8,
    prefix: IpNet,
}

/// The number of a set of rules. Sets do not change: another set is another profile, so that a prefix goes from one to the
/// other at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile(u32);

/// Packets that a profile says something of. The most specific block that holds a packet counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// All.
    Any,
    /// Those of a protocol, by its number.
    Protocol(u8),
    /// Those of a protocol with a port whose first `bits` bits are those of `first`.
    Ports {
        /// The protocol's number.
        protocol: u8,
        /// The first port; its bits behind `bits` are 0.
        first: u16,
        /// How many bits count, from 1 to 16.
        bits: u8,
    },
}

/// What a profile says of a block: of a packet to it and of one from it. Of the two ports of a packet, the verdict of the
/// higher rank decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdicts {
    /// When the destination port is in the block, or the block has no ports.
    pub to: Verdict,
    /// When the source port is.
    pub from: Verdict,
}

/// What becomes of a packet if nothing of a higher rank says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Verdict {
    /// How specific the selector is, counted within the profile.
    pub rank: u32,
    /// Whether packets go to the delay line.
    pub taken: bool,
}

impl Caught {
    /// The key of a prefix.
    pub fn of(prefix: &IpNet) -> Self {
        let prefix = prefix.trunc();
        Self { free_bits: Family::of(&prefix).address_bits() - prefix.prefix_len(), prefix }
    }

    /// The prefix.
    pub const fn prefix(&self) -> &IpNet {
        &self.prefix
    }
}

impl Profile {
    /// The profile of that number, counted from 0.
    pub const fn nth(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Verdicts {
    const fn both(verdict: Verdict) -> Self {
        Self { to: verdict, from: verdict }
    }
}

/// What a profile consists of.
type Rules = BTreeMap<Block, Verdicts>;

/// The entries of the capture program's tables for selectors whose packets are taken (`true`) or left alone. Profiles that
/// `current` has already keep their numbers.
pub(super) fn catches(taken: &BTreeMap<Selector, bool>, current: &State) -> Vec<(Key, Setting)> {
    let mut services: BTreeMap<IpNet, Vec<(Service, bool)>> = BTreeMap::new();
    for (selector, taken) in taken {
        services.entry(selector.prefix).or_default().push((selector.service, *taken));
    }
    let lengths: BTreeSet<(Family, Reverse<u8>)> =
        services.keys().map(|prefix| (Family::of(prefix), Reverse(prefix.prefix_len()))).collect();
    let mut numbers = Numbers::of(current);
    let mut entries = Vec::new();
    for prefix in services.keys() {
        let rules = rules(&chain(prefix, &services, &lengths), prefix);
        let verdicts: BTreeSet<bool> = rules.values().flat_map(|both| [both.to.taken, both.from.taken]).collect();
        let catch = match verdicts.first() {
            Some(true) if verdicts.len() == 1 => Catch::Take,
            _ if verdicts.len() < 2 => Catch::Pass,
            _ => Catch::Ask(numbers.number(rules)),
        };
        entries.push((Key::Caught(Caught::of(prefix)), Setting::Caught(catch)));
    }
    let rules = numbers.used.into_iter().flat_map(|(rules, profile)| {
        rules.into_iter().map(move |(block, verdicts)| (Key::Service(profile, block), Setting::Service(verdicts)))
    });
    entries.extend(rules);
    entries
}

/// The numbers of profiles: those that are in the kernel, and those that are wanted.
#[derive(Default)]
struct Numbers {
    known: BTreeMap<Profile, Rules>,
    used: BTreeMap<Rules, Profile>,
}

impl Numbers {
    fn of(current: &State) -> Self {
        let mut known: BTreeMap<Profile, Rules> = BTreeMap::new();
        for (key, setting) in current.iter() {
            if let (Key::Service(profile, block), Setting::Service(verdicts)) = (key, setting) {
                known.entry(*profile).or_default().insert(*block, *verdicts);
            }
        }
        Self { known, ..Self::default() }
    }

    /// The number of these rules: the one that they have, or else the first that is free.
    fn number(&mut self, rules: Rules) -> Profile {
        if let Some(profile) = self.used.get(&rules) {
            return *profile;
        }
        let has = |profile: &Profile| self.known.get(profile) == Some(&rules);
        let known = self.known.keys().find(|profile| has(profile)).copied();
        let is_free =
            |profile: &Profile| !self.known.contains_key(profile) && !self.used.values().any(|used| used == profile);
        let profile = known.or_else(|| (0..=u32::MAX >> 1).map(Profile).find(is_free)).unwrap_or(Profile(u32::MAX));
        self.used.insert(rules, profile);
        profile
    }
}

/// The services that packets to `prefix` may belong to, those of its own first, then those of the prefixes around it, as far
/// as something is left open.
fn chain<'a>(
    prefix: &IpNet,
    services: &'a BTreeMap<IpNet, Vec<(Service, bool)>>,
    lengths: &BTreeSet<(Family, Reverse<u8>)>,
) -> Vec<&'a [(Service, bool)]> {
    let family = Family::of(prefix);
    let shorter = lengths.range((family, Reverse(prefix.prefix_len()))..=(family, Reverse(0)));
    let around = shorter.filter_map(|(_, Reverse(length))| {
        let wider = IpNet::new(prefix.addr(), *length).ok()?.trunc();
        services.get(&wider).map(Vec::as_slice)
    });
    let mut chain = Vec::new();
    for services in around {
        chain.push(services);
        if services.iter().any(|(service, _)| *service == Service::All) {
            break;
        }
    }
    chain
}

/// How specific a selector is for a packet: the length of its prefix, as a place in the chain; then what the service says;
/// then, for ranges, how narrow they are.
type Specificity = (Reverse<usize>, Kind, Reverse<u16>);

/// What makes a service match, the least specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    All,
    Protocol,
    SourceRange,
    DestinationRange,
    Source,
    Destination,
}

/// Which packets something matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    All,
    Protocol(u8),
    To(u8, PortRange),
    From(u8, PortRange),
}

/// A way to match, with its verdict.
type Way = (Match, Verdict);

/// The ways in which the services of a chain match, ranked.
fn ways(chain: &[&[(Service, bool)]], prefix: &IpNet) -> Vec<Way> {
    let mut ways: Vec<(Specificity, Match, bool)> = Vec::new();
    for (place, (service, taken)) in
        chain.iter().enumerate().flat_map(|(place, services)| services.iter().map(move |service| (place, service)))
    {
        let mut add = |kind, narrow, matched| ways.push(((Reverse(place), kind, Reverse(narrow)), matched, *taken));
        match service {
            Service::All => add(Kind::All, 0, Match::All),
            Service::Protocol(protocol) => add(Kind::Protocol, 0, Match::Protocol(protocol.number(prefix))),
            Service::Port(transport, ports) => {
                let width = ports.last() - ports.first();
                let [to, from] = if ports.is_single() {
                    [Kind::Destination, Kind::Source]
                } else {
                    [Kind::DestinationRange, Kind::SourceRange]
                };
                add(to, width, Match::To(transport.number(), *ports));
                add(from, width, Match::From(transport.number(), *ports));
            }
        }
    }
    let order: BTreeSet<Specificity> = ways.iter().map(|(specificity, ..)| *specificity).collect();
    // Rank 0 is for what nothing matches.
    let ranks: BTreeMap<Specificity, u32> = order.into_iter().zip(1..).collect();
    let ranked = ways.into_iter().map(|(specificity, matched, taken)| {
        (matched, Verdict { rank: ranks.get(&specificity).copied().unwrap_or(0), taken })
    });
    ranked.collect()
}

/// The rules that decide as the chain of services does.
fn rules(chain: &[&[(Service, bool)]], prefix: &IpNet) -> Rules {
    let ways = ways(chain, prefix);
    let best = |matches: &dyn Fn(&Match) -> bool| {
        let matching = ways.iter().filter(|(matched, _)| matches(matched)).map(|(_, verdict)| *verdict);
        matching.max().unwrap_or_default()
    };
    let any = best(&|matched| *matched == Match::All);
    let mut rules = Rules::from([(Block::Any, Verdicts::both(any))]);
    let protocols: BTreeSet<u8> = ways
        .iter()
        .filter_map(|(matched, _)| match matched {
            Match::Protocol(protocol) => Some(*protocol),
            _ => None,
        })
        .collect();
    let of_protocol =
        |number: u8| best(&|matched| matches!(matched, Match::All) || *matched == Match::Protocol(number));
    rules.extend(protocols.iter().map(|number| (Block::Protocol(*number), Verdicts::both(of_protocol(*number)))));
    for protocol in [Transport::Tcp, Transport::Udp].map(Transport::number) {
        let without_ports = of_protocol(protocol);
        let edges: BTreeSet<u32> = ways
            .iter()
            .filter_map(|(matched, _)| match matched {
                Match::To(of, ports) if *of == protocol => {
                    Some([u32::from(ports.first()), u32::from(ports.last()) + 1])
                }
                _ => None,
            })
            .flatten()
            .collect();
        for (first, end) in edges.iter().zip(edges.iter().skip(1)) {
            let holds = |ports: &PortRange| u16::try_from(*first).is_ok_and(|port| ports.contains(port));
            let to = best(&|matched| matches!(matched, Match::To(of, ports) if *of == protocol && holds(ports)));
            let from = best(&|matched| matches!(matched, Match::From(of, ports) if *of == protocol && holds(ports)));
            let verdicts = Verdicts { to: to.max(without_ports), from: from.max(without_ports) };
            if verdicts != Verdicts::both(without_ports) {
                rules.extend(blocks(protocol, *first, *end).map(|block| (block, verdicts)));
            }
        }
    }
    rules
}

/// The fewest blocks that hold the ports from `first` to before `end`.
fn blocks(protocol: u8, first: u32, end: u32) -> impl Iterator<Item = Block> {
    let mut next = first;
    std::iter::from_fn(move || {
        let left = end.checked_sub(next).filter(|left| *left > 0)?;
        let free_bits = next.trailing_zeros().min(left.ilog2()).min(15);
        let block =
            Block::Ports { protocol, first: u16::try_from(next).ok()?, bits: u8::try_from(16 - free_bits).ok()? };
        next += 1 << free_bits;
        Some(block)
    })
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {}", self.0)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("all packets"),
            Self::Protocol(protocol) => write!(f, "protocol {protocol}"),
            Self::Ports { protocol, first, bits: 16 } => write!(f, "protocol {protocol} port {first}"),
            Self::Ports { protocol, first, bits } => {
                write!(f, "protocol {protocol} ports {first} to {}", u32::from(*first) + (1 << (16 - bits)) - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests;
