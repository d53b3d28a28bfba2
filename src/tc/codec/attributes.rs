//! Netlink attributes: a writer that nests, a reader that never panics.

use super::Truncated;

/// The bit that says that an attribute holds attributes. The kernel's traffic control does not insist; iproute2 sets it in places.
pub(super) const NESTED: u16 = 0x8000;
/// The bits of an attribute's kind that are its number.
const KIND_MASK: u16 = 0x3fff;

/// Builds the bytes of options.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A structure that stands before the attributes.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// One attribute, padded to four bytes.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// An attribute that holds a 32-bit number.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// An attribute that holds a text, with its final zero.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// An attribute that holds attributes.
    pub(super) fn nest(self, kind: u16, inner: &Self) -> Self {
        self.attribute(kind, &inner.0)
    }

    /// The bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The attributes in `bytes`, up to the first that is malformed.
pub(super) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & KIND_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of that kind.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    read(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// A number of four bytes at the start of an attribute's value.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A number of eight bytes at the start of an attribute's value.
pub(super) fn long_number(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// A text, without what follows its first zero.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Reads a structure's fields one after the other.
pub(super) struct Fields<'a> {
    structure: &'static str,
    length: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first byte of `bytes`.
    pub(super) fn of(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, length: bytes.len(), rest: bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let short = Truncated { structure: self.structure, length: self.length };
        let (head, tail) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = tail;
        Ok(*head)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Truncated> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// The next two bytes in the machine's order.
    pub(super) fn short(&mut self) -> Result<u16, Truncated> {
        self.take().map(u16::from_ne_bytes)
    }

    /// The next four bytes in the machine's order.
    pub(super) fn number(&mut self) -> Result<u32, Truncated> {
        self.take().map(u32::from_ne_bytes)
    }

    /// The next four bytes in the machine's order, signed.
    pub(super) fn signed(&mut self) -> Result<i32, Truncated> {
        self.take().map(i32::from_ne_bytes)
    }

    /// The next four bytes in the network's order.
    pub(super) fn network(&mut self) -> Result<u32, Truncated> {
        self.take().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec((1u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..10)) {
            let writer = values.iter().fold(Writer::default(), |writer, (kind, value)| writer.attribute(*kind, value));
            let bytes = writer.finish();
            let found: Vec<(u16, Vec<u8>)> = read(&bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).count() <= bytes.len());
        }
    }
}
