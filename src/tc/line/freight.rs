//! Pure: packets as freight: their length on the line, their copies, and one flipped bit that their receiver will notice.

use super::buffer::{OFFLOAD_HEADER, Packet};
use super::schedule::Cargo;
use crate::shaping::Damage;

/// The flag of the offload header that says that the checksum is yet to be completed.
const NEEDS_CHECKSUM: u8 = 1;
/// Where TCP and UDP keep their checksum: this tells the two apart.
const TCP_CHECKSUM: usize = 16;
const TCP_LENGTH: usize = 12;
const UDP_HEADER: usize = 8;

/// The header in front of a frame (`struct virtio_net_hdr`), as far as it matters here.
struct Offload {
    flags: u8,
    segment: usize,
    start: usize,
    offset: usize,
}

impl Offload {
    fn of(bytes: &[u8]) -> Option<Self> {
        let short = |place: usize| Some(usize::from(u16::from_ne_bytes(*bytes.get(place..)?.first_chunk()?)));
        let segmented = *bytes.get(1)? != 0;
        let segment = if segmented { short(4)? } else { 0 };
        Some(Self { flags: bytes[0], segment, start: short(6)?, offset: short(8)? })
    }
}

/// The bytes that a frame with its offload header takes on the line: each segment of a large one has headers of its own.
fn length(bytes: &[u8]) -> usize {
    let frame = bytes.get(OFFLOAD_HEADER..).unwrap_or_default();
    let Some(Offload { segment, start, offset, .. }) = Offload::of(bytes).filter(|offload| offload.segment > 0) else {
        return frame.len();
    };
    let transport = match frame.get(start + TCP_LENGTH) {
        Some(byte) if offset == TCP_CHECKSUM => usize::from(byte >> 4) * 4,
        _ => UDP_HEADER,
    };
    let headers = (start + transport).min(frame.len());
    let segments = (frame.len() - headers).div_ceil(segment).max(1);
    frame.len() + (segments - 1) * headers
}

/// Flips a bit of a frame. A checksum that is yet to be completed would hide it, so it is completed before.
///
/// `None` for a large segment, whose checksums the interface completes: its receiver would throw it away, so do we.
fn damaged(mut bytes: Vec<u8>, damage: Damage) -> Option<Vec<u8>> {
    let Offload { flags, segment, start, offset } = Offload::of(&bytes)?;
    if segment > 0 {
        return None;
    }
    if flags & NEEDS_CHECKSUM != 0 {
        let sum = checksum(bytes.get(OFFLOAD_HEADER + start..)?);
        let place = bytes.get_mut(OFFLOAD_HEADER + start + offset..)?.first_chunk_mut()?;
        *place = sum.to_be_bytes();
        bytes[0] &= !NEEDS_CHECKSUM;
    }
    let frame = bytes.get_mut(OFFLOAD_HEADER..).filter(|frame| !frame.is_empty())?;
    let place = damage.byte as usize % frame.len();
    frame[place] ^= 1 << damage.bit;
    Some(bytes)
}

/// The Internet checksum; never 0, which UDP takes for none.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u64 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    match u16::try_from(sum) {
        Ok(0xffff) | Err(_) => 0xffff,
        Ok(sum) => !sum,
    }
}

impl Cargo for Packet {
    fn length(&self) -> usize {
        length(self.bytes())
    }

    fn copy(&self) -> Self {
        Self::Copied(self.bytes().into())
    }

    fn damaged(self, damage: Damage) -> Option<Self> {
        Some(Self::Copied(damaged(self.bytes().to_vec(), damage)?.into()))
    }
}

/// What must hold of any bytes with an offload header: a length on the line that is no less than the frame's, and damage
/// that flips one bit and changes at most a checksum beside it.
pub(super) fn outside_frame(bytes: &[u8]) -> Result<(), String> {
    let frame = bytes.len().saturating_sub(OFFLOAD_HEADER);
    let found = length(bytes);
    if found < frame || found > frame.saturating_mul(frame + 1) {
        return Err(format!("{frame} bytes take {found} on the line"));
    }
    let damage = Damage { byte: u32::try_from(frame / 2).unwrap_or(0), bit: 3 };
    match damaged(bytes.to_vec(), damage) {
        Some(found) if found.len() != bytes.len() => Err(format!("{} bytes became {}", bytes.len(), found.len())),
        Some(found) => {
            let changed = bytes.iter().zip(&found).skip(OFFLOAD_HEADER).filter(|(old, new)| old != new).count();
            if changed <= 3 { Ok(()) } else { Err(format!("{changed} bytes of the frame changed")) }
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn packet(header: [u8; 2], segment: u16, start: u16, offset: u16, frame: &[u8]) -> Vec<u8> {
        let words = [0, segment, start, offset].into_iter().flat_map(u16::to_ne_bytes);
        header.into_iter().chain(words).chain(frame.iter().copied()).collect()
    }

    #[test]
    fn each_segment_has_its_headers() {
        let mut frame = vec![0; 54 + 3_000];
        frame[34 + 12] = 0x50;
        assert_eq!(length(&packet([1, 1], 1_400, 34, 16, &frame)), 3_054 + 2 * 54, "three segments");
        assert_eq!(length(&packet([1, 0], 0, 34, 16, &frame)), 3_054);
        assert_eq!(length(&packet([1, 5], 1_000, 34, 6, &frame[..42 + 2_000])), 2_042 + 42, "two datagrams");
    }

    #[test]
    fn a_large_segment_is_thrown_away() {
        assert_eq!(damaged(packet([1, 1], 1_400, 34, 16, &[0; 2_000]), Damage { byte: 0, bit: 0 }), None);
    }

    proptest! {
        #[test]
        fn one_bit_differs_and_the_checksum_tells(
            frame in prop::collection::vec(any::<u8>(), 60..200), byte in any::<u32>(), bit in 0u8..8,
        ) {
            let whole = packet([1, 0], 0, 34, 6, &frame);
            let found = damaged(whole, Damage { byte, bit }).unwrap();
            prop_assert_eq!(found[0], 0, "nobody completes the checksum any more");
            let place = byte as usize % frame.len();
            let mut mended = found[OFFLOAD_HEADER..].to_vec();
            mended[place] ^= 1 << bit;
            prop_assert_eq!(&mended[..40], &frame[..40]);
            prop_assert_eq!(&mended[42..], &frame[42..]);
            // What the sum was over, with the finished checksum in place of its seed: a receiver's sum is the seed's part.
            let seed = u16::from_be_bytes([frame[40], frame[41]]);
            mended[40..42].copy_from_slice(&[0, 0]);
            let rest = checksum(&mended[34..]);
            let sum = u32::from(!rest) + u32::from(seed);
            let folded = (sum & 0xffff) + (sum >> 16);
            let finished = u16::from_be_bytes([found[OFFLOAD_HEADER + 40], found[OFFLOAD_HEADER + 41]]);
            if !(40..42).contains(&place) && finished != 0xffff {
                prop_assert_eq!(u32::from(!finished), folded);
            }
        }
    }
}
