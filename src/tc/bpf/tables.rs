//! The tables that the capture program looks into: bytes of keys and values, and the tries that hold them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::BpfError;
use super::program::{PASS, PORT_BITS, PROFILE_BITS, PROTOCOL_BITS, TAKE, TAKEN};
use super::syscall::Name;
use super::trie::{Trie, Value};
use crate::shaping::{Block, Catch, Profile, Verdict, Verdicts};

/// The most entries of one table. Memory is taken as they come.
const MOST: u32 = 1 << 20;
/// The value of a prefix whose packets ask the first profile.
const FIRST_PROFILE: u32 = TAKE + 1;

/// The three tables.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) four: Trie<8>,
    pub(super) six: Trie<20>,
    pub(super) services: Trie<12>,
}

/// A name as the kernel keeps it.
pub(super) fn name(text: &str) -> Name {
    let mut name = Name::default();
    for (place, byte) in name.iter_mut().zip(text.bytes().take(size_of::<Name>() - 1)) {
        *place = byte;
    }
    name
}

impl Tables {
    /// Makes them, empty.
    pub(super) fn make() -> Result<Self, BpfError> {
        let failed = BpfError::of("make the tables of the capture program");
        Ok(Self {
            four: Trie::make(name("longhaul_four"), MOST).map_err(&failed)?,
            six: Trie::make(name("longhaul_six"), MOST).map_err(&failed)?,
            services: Trie::make(name("longhaul_ports"), MOST).map_err(&failed)?,
        })
    }

    /// Says what becomes of packets to a prefix; without a catch, nothing special.
    pub(super) fn set_prefix(&self, prefix: &IpNet, catch: Option<Catch>) -> Result<(), BpfError> {
        let answer = match (prefix, catch.map(value_of)) {
            (IpNet::V4(net), Some(value)) => self.four.set(&key_of_four(*net), value),
            (IpNet::V6(net), Some(value)) => self.six.set(&key_of_six(net), value),
            (IpNet::V4(net), None) => self.four.remove(&key_of_four(*net)),
            (IpNet::V6(net), None) => self.six.remove(&key_of_six(net)),
        };
        answer.map_err(|errno| BpfError::of(format!("set {prefix} in the capture program's table"))(errno))
    }

    /// Says what becomes of a block of a profile; `None` takes it out.
    pub(super) fn set_service(
        &self,
        profile: Profile,
        block: Block,
        verdicts: Option<Verdicts>,
    ) -> Result<(), BpfError> {
        let key = key_of_service(profile, block);
        let answer = match verdicts {
            Some(verdicts) => self.services.set(&key, [verdicts.to, verdicts.from].map(number_of)),
            None => self.services.remove(&key),
        };
        answer.map_err(|errno| BpfError::of(format!("set {block} of {profile} in the capture program's table"))(errno))
    }

    /// All prefixes, as the kernel has them.
    pub(super) fn prefixes(&self) -> Result<Vec<(IpNet, Catch)>, BpfError> {
        let failed = BpfError::of("read the capture program's table");
        let four = self
            .four
            .entries()
            .map_err(&failed)?
            .into_iter()
            .filter_map(|(key, value)| Some((IpNet::V4(four_of_key(key)?), catch_of(value))));
        let six = self
            .six
            .entries()
            .map_err(&failed)?
            .into_iter()
            .filter_map(|(key, value)| Some((IpNet::V6(six_of_key(&key)?), catch_of(value))));
        Ok(four.chain(six).collect())
    }

    /// All blocks of all profiles, as the kernel has them.
    pub(super) fn services(&self) -> Result<Vec<(Profile, Block, Verdicts)>, BpfError> {
        let entries = self.services.entries().map_err(BpfError::of("read the capture program's table"))?;
        let read = entries.into_iter().filter_map(|(key, value)| {
            let (profile, block) = service_of_key(&key)?;
            let [to, from] = value.map(verdict_of);
            Some((profile, block, Verdicts { to, from }))
        });
        Ok(read.collect())
    }
}

fn value_of(catch: Catch) -> Value {
    let first = match catch {
        Catch::Pass => PASS,
        Catch::Take => TAKE,
        Catch::Ask(profile) => FIRST_PROFILE.saturating_add(profile.number()),
    };
    [first, 0]
}

fn catch_of([first, _]: Value) -> Catch {
    match first {
        PASS => Catch::Pass,
        TAKE => Catch::Take,
        number => Catch::Ask(Profile::nth(number - FIRST_PROFILE)),
    }
}

fn number_of(verdict: Verdict) -> u32 {
    verdict.rank << 1 | u32::from(verdict.taken)
}

fn verdict_of(number: u32) -> Verdict {
    Verdict { rank: number >> 1, taken: number & TAKEN != 0 }
}

fn key_of_four(net: Ipv4Net) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&u32::from(net.prefix_len()).to_ne_bytes());
    key[4..].copy_from_slice(&net.network().octets());
    key
}

fn key_of_six(net: &Ipv6Net) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&u32::from(net.prefix_len()).to_ne_bytes());
    key[4..].copy_from_slice(&net.network().octets());
    key
}

/// The length in bits that a key begins with, and the rest.
fn split<const N: usize>(key: &[u8; N]) -> Option<(u32, &[u8])> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    Some((u32::from_ne_bytes(*length), rest))
}

fn four_of_key(key: [u8; 8]) -> Option<Ipv4Net> {
    let (length, address) = split(&key)?;
    Ipv4Net::new(Ipv4Addr::from(*address.first_chunk::<4>()?), u8::try_from(length).ok()?).ok()
}

fn six_of_key(key: &[u8; 20]) -> Option<Ipv6Net> {
    let (length, address) = split(key)?;
    Ipv6Net::new(Ipv6Addr::from(*address.first_chunk::<16>()?), u8::try_from(length).ok()?).ok()
}

fn key_of_service(profile: Profile, block: Block) -> [u8; 12] {
    let (length, protocol, port) = match block {
        Block::Any => (PROFILE_BITS, 0, 0),
        Block::Protocol(protocol) => (PROTOCOL_BITS, protocol, 0),
        Block::Ports { protocol, first, bits } => (PORT_BITS - 16 + u32::from(bits), protocol, first),
    };
    let mut key = [0; 12];
    key[..4].copy_from_slice(&length.to_ne_bytes());
    // The program copies the number from a prefix's value, as it is in memory.
    key[4..8].copy_from_slice(&FIRST_PROFILE.saturating_add(profile.number()).to_ne_bytes());
    key[8..10].copy_from_slice(&u16::from(protocol).to_be_bytes());
    key[10..].copy_from_slice(&port.to_be_bytes());
    key
}

fn service_of_key(key: &[u8; 12]) -> Option<(Profile, Block)> {
    let (length, rest) = split(key)?;
    let profile = u32::from_ne_bytes(*rest.first_chunk()?).checked_sub(FIRST_PROFILE).map(Profile::nth)?;
    let protocol = rest[5];
    let block = match length {
        PROFILE_BITS => Block::Any,
        PROTOCOL_BITS => Block::Protocol(protocol),
        _ => {
            let bits = u8::try_from(length.checked_sub(PROTOCOL_BITS)?).ok()?;
            Block::Ports { protocol, first: u16::from_be_bytes([rest[6], rest[7]]), bits }
        }
    };
    Some((profile, block))
}
