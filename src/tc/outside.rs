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

/// The options of a u32 object, and whether it is one of ours.
pub fn u32_object(bytes: &[u8]) -> Result<(), String> {
    let Some((handle, bytes)) = bytes.split_first_chunk() else { return Ok(()) };
    let Ok(read) = u32::Options::parse(bytes) else { return Ok(()) };
    kernel::recognised(u32::from_ne_bytes(*handle), &read)?;
    let is_other = matches!(&read, u32::Options::Rule(rule) if rule.verdict == u32::Verdict::Other);
    if is_other { Ok(()) } else { same(&Ok(read.clone()), &u32::Options::parse(&read.emit())) }
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
