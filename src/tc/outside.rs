//! What fuzz targets give to the private parsers of this room: bytes as kernels, other tools and networks may send them.
//!
//! Each function reads the bytes, writes what it has read, and says what is not as it should be.

use super::codec::{Object, htb, netem, u32};
use super::{kernel, line};
use crate::netlink;

/// The options of a netem, as a kernel reports them.
pub fn netem(bytes: &[u8]) -> Result<(), String> {
    let Ok(read) = netem::parse(bytes) else { return Ok(()) };
    // Beyond 2^64 bits a second the rate is cut.
    if read.rate.is_some_and(|shape| shape.rate.bits_per_second() == u64::MAX) {
        return Ok(());
    }
    same(&Ok(read), &netem::parse(&netem::options(&read)))
}

/// The options of an HTB class.
pub fn htb_class(bytes: &[u8]) -> Result<(), String> {
    let Ok(read) = htb::parse_class(bytes) else { return Ok(()) };
    if [read.rate, read.ceil].iter().any(|rate| rate.bits_per_second() == u64::MAX) {
        return Ok(());
    }
    same(&Ok(read), &htb::parse_class(&htb::class_options(&read)))
}

/// The options of u32 objects, each behind its handle and its length, and which of them are ours.
pub fn u32_objects(mut bytes: &[u8]) -> Result<(), String> {
    let mut objects = Vec::new();
    while let Some((&[a, b, c, d, low, high], rest)) = bytes.split_first_chunk() {
        let (options, next) = rest.split_at(rest.len().min(u16::from_le_bytes([low, high]).into()));
        bytes = next;
        let Ok(read) = u32::Options::parse(options) else { continue };
        if !matches!(&read, u32::Options::Rule(rule) if rule.verdict == u32::Verdict::Other) {
            same(&Ok(read.clone()), &u32::Options::parse(&read.emit()))?;
        }
        objects.push((core::primitive::u32::from_le_bytes([a, b, c, d]), read));
    }
    kernel::recognised(&objects)
}

/// A datagram of a dump: framing, messages, what is in them.
pub fn dump(bytes: &[u8]) -> Result<(), String> {
    let Ok(messages) = netlink::outside::messages::<Object>(bytes) else { return Ok(()) };
    for object in messages {
        let again = Object::parse(&bytes_of(&object));
        // The chain and a kind that is no text are not sent.
        if object.chain == 0 && object.kind.is_ascii() {
            same(&Some(object), &again)?;
        }
    }
    Ok(())
}

fn bytes_of(object: &Object) -> Vec<u8> {
    use netlink_packet_core::Emitable;
    let message = object.to_message();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// A frame with its offload header, as the delay line captures it.
pub fn frame(bytes: &[u8]) -> Result<(), String> {
    line::outside_frame(bytes)
}

fn same<T: PartialEq + std::fmt::Debug>(read: &T, again: &T) -> Result<(), String> {
    if read == again { Ok(()) } else { Err(format!("{read:?} is read again as {again:?}")) }
}
