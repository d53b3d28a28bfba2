//! [`Object`]: a qdisc, class or filter as a netlink message carries it.

use std::fmt;

use netlink_packet_core::{DecodeError, DefaultNla, NetlinkDeserializable, NetlinkHeader};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcHeader, TcMessage};

use super::attributes::{NESTED, find, text};

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
/// The bytes of `struct tcmsg`.
const HEADER: usize = 20;

/// A 32-bit name of a qdisc, class, or filter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(in crate::tc) struct Handle(pub(in crate::tc) u32);

impl Handle {
    /// The parent of a device's root qdisc.
    pub(in crate::tc) const ROOT: Self = Self(0xffff_ffff);
    /// The parent of the clsact qdisc.
    pub(in crate::tc) const CLSACT: Self = Self(0xffff_fff1);
    /// The parent of filters on packets that come in.
    pub(in crate::tc) const INGRESS: Self = Self(0xffff_fff2);
    /// The parent of filters on packets that go out.
    pub(in crate::tc) const EGRESS: Self = Self(0xffff_fff3);

    /// `major:minor`.
    pub(in crate::tc) const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }

    /// The upper half.
    pub(in crate::tc) const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The lower half.
    #[allow(clippy::cast_possible_truncation)] // it is the lower half
    pub(in crate::tc) const fn minor(self) -> u16 {
        self.0 as u16
    }
}

impl fmt::Debug for Handle {
    /// In hexadecimal, as tc prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}", self.major(), self.minor())
    }
}

/// A qdisc, class or filter, with its options as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::tc) struct Object {
    /// The index of the interface that it is on.
    pub(in crate::tc) interface: u32,
    /// Its own name.
    pub(in crate::tc) handle: Handle,
    /// What it hangs under.
    pub(in crate::tc) parent: Handle,
    /// For filters: preference in the upper half, protocol in network order in the lower.
    pub(in crate::tc) info: u32,
    /// `htb`, `netem`, `u32`, …; empty where the kernel does not need it.
    pub(in crate::tc) kind: String,
    /// The bytes of its options; `None` sends none.
    pub(in crate::tc) options: Option<Vec<u8>>,
    /// Filters only: the chain, 0 unless someone else made it.
    pub(in crate::tc) chain: u32,
}

impl Object {
    /// For filters: the preference.
    pub(in crate::tc) const fn preference(&self) -> u16 {
        (self.info >> 16) as u16
    }

    /// For filters: preference and protocol as one number.
    pub(in crate::tc) fn info(preference: u16, protocol: u16) -> u32 {
        u32::from(preference) << 16 | u32::from(protocol.to_be())
    }

    /// The message that carries it.
    pub(in crate::tc) fn to_message(&self) -> TcMessage {
        let header = TcHeader {
            index: self.interface.cast_signed(),
            handle: TcHandle::from(self.handle.0),
            parent: TcHandle::from(self.parent.0),
            info: self.info,
            ..TcHeader::default()
        };
        let mut attributes = Vec::new();
        if !self.kind.is_empty() {
            attributes.push(TcAttribute::Kind(self.kind.clone()));
        }
        if let Some(options) = &self.options {
            attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS | NESTED, options.clone())));
        }
        TcMessage::from_parts(header, attributes)
    }

    /// Reads what follows the netlink header of a message.
    pub(in crate::tc) fn parse(payload: &[u8]) -> Option<Self> {
        let word = |place: usize| Some(u32::from_ne_bytes(*payload.get(place..)?.first_chunk()?));
        let attributes = payload.get(HEADER..)?;
        Some(Self {
            interface: word(4)?,
            handle: Handle(word(8)?),
            parent: Handle(word(12)?),
            info: word(16)?,
            kind: find(attributes, TCA_KIND).map(text).unwrap_or_default(),
            options: find(attributes, TCA_OPTIONS).map(<[u8]>::to_vec),
            chain: find(attributes, TCA_CHAIN).and_then(super::attributes::number).unwrap_or(0),
        })
    }

    /// The bytes of its options, none if it has none.
    pub(in crate::tc) fn options(&self) -> &[u8] {
        self.options.as_deref().unwrap_or_default()
    }
}

impl NetlinkDeserializable for Object {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Self::parse(payload).ok_or_else(|| DecodeError::from("a traffic-control message is too short"))
    }
}
