//! The capture program: which packets leave for the delay line. Pure.
//!
//! ```text
//! IPv4, IPv6 ──► Neighbour Discovery? ──yes──► pass
//!                      │ no
//!                longest prefix of the destination ──none, or `pass`──► pass
//!                      │ `take`         │ `ask n`
//!                   redirect      protocol and ports in profile n ──► redirect or pass
//! ```
//!
//! To pass is to leave the packet to the next program of the interface, and to its filters.

use std::os::fd::RawFd;

use super::assembler::{Assembler, AssemblyError, Condition, Helper, Instruction, Label, Register, Width};
use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// What a program must know to be assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// The trie of IPv4 prefixes.
    pub(super) four: RawFd,
    /// The trie of IPv6 prefixes.
    pub(super) six: RawFd,
    /// The trie of services.
    pub(super) services: RawFd,
    /// The device that packets are sent to.
    pub(super) device: u32,
}

/// In the value of a prefix: packets pass, packets are taken, or else the number of the profile to ask.
pub(super) const PASS: u32 = 0;
/// See [`PASS`].
pub(super) const TAKE: u32 = 1;
/// In each half of the value of a service, the first for destination ports and the second for source ports: whether packets
/// are taken. The bits above are the rank: of two that match, the higher decides.
pub(super) const TAKEN: u32 = 1;

/// The bits of a service's key that are the profile, and those that are the protocol too.
pub(super) const PROFILE_BITS: u32 = 32;
/// See [`PROFILE_BITS`].
pub(super) const PROTOCOL_BITS: u32 = 48;
/// All of a service's key, the port included.
pub(super) const PORT_BITS: u32 = 64;

/// `TCX_NEXT`.
const NEXT: i32 = -1;
/// Bytes are counted from the packet's network header.
const FROM_NETWORK_HEADER: i32 = 1;

/// Where the kernel's description of a packet has its fields.
const SKB_PROTOCOL: i16 = 16;
const SKB_VLAN_PRESENT: i16 = 20;

/// The stack, in bytes from its end. The IP header, aligned for the addresses in it.
const HEADER: i16 = -40;
/// The key of a prefix: its length in bits, then the address.
const PREFIX_KEY: i16 = -64;
const PREFIX_ADDRESS: i16 = PREFIX_KEY + 4;
/// The key of a service: its length in bits, then profile, protocol, port.
const SERVICE_KEY: i16 = -80;
const SERVICE_PROFILE: i16 = SERVICE_KEY + 4;
const SERVICE_PROTOCOL: i16 = SERVICE_KEY + 8;
const SERVICE_PORT: i16 = SERVICE_KEY + 10;
/// The first bytes behind the IP header: the two ports, or an `ICMPv6` type.
const BEYOND: i16 = -88;

const ICMP6: i32 = 58;
/// Protocols whose ports are looked at: TCP and UDP.
const WITH_PORTS: [i32; 2] = [6, 17];
/// The first byte of an IPv4 header without options.
const PLAIN_FOUR: i32 = 0x45;
/// Neighbour Discovery: the first type, and how many more there are.
const FIRST_ND_TYPE: i32 = 133;
const FURTHER_ND_TYPES: i32 = 4;
const ND_HOP_LIMIT: i32 = 255;

const SIX: Label = Label("IPv6");
const SIX_PREFIX: Label = Label("IPv6 prefix");
const SERVICES: Label = Label("services");
const PORTS: Label = Label("ports");
const NO_PORTS: Label = Label("no ports");
const DECIDE: Label = Label("decide");
const REDIRECT: Label = Label("redirect");
const LEAVE: Label = Label("leave");

/// Puts the program together.
pub(super) fn assemble(parts: &Parts) -> Result<Vec<Instruction>, AssemblyError> {
    let mut code = Assembler::default();
    code.copy(R6, R1);
    // A tag beside the packet means another network; the delay line could not put it back on.
    code.load(Width::Word, R2, R6, SKB_VLAN_PRESENT);
    code.jump_if(R2, Condition::Differs, 0, LEAVE);
    code.load(Width::Word, R2, R6, SKB_PROTOCOL);
    code.jump_if(R2, Condition::Equal, network_order(0x86dd), SIX);
    code.jump_if(R2, Condition::Differs, network_order(0x0800), LEAVE);
    four(&mut code, parts);
    code.label(SIX);
    six(&mut code, parts);
    code.label(SERVICES);
    services(&mut code, parts);
    code.label(REDIRECT);
    code.set(R1, parts.device.cast_signed());
    code.set(R2, 0);
    code.call(Helper::Redirect);
    code.exit();
    code.label(LEAVE);
    code.set(R0, NEXT);
    code.exit();
    code.finish()
}

/// A number of two bytes as it looks when loaded from a packet.
fn network_order(number: u16) -> i32 {
    i32::from(number.to_be())
}

/// IPv4: what the longest prefix says; for services the protocol in `R8` and the place of the ports in `R7`, 0 for none.
fn four(code: &mut Assembler, parts: &Parts) {
    read_packet(code, 0, HEADER, 20, LEAVE);
    code.store_number(Width::Word, R10, PREFIX_KEY, 32);
    code.load(Width::Word, R1, R10, HEADER + 16);
    code.store(Width::Word, R10, PREFIX_ADDRESS, R1);
    look_up_prefix(code, parts.four);
    code.load(Width::Byte, R8, R10, HEADER + 9);
    code.set(R7, 0);
    // Filters find ports only where they always are; here it is the same packets. Later fragments have none.
    code.load(Width::Half, R1, R10, HEADER + 6);
    code.jump_if(R1, Condition::Shares, network_order(0x1fff), SERVICES);
    code.load(Width::Byte, R1, R10, HEADER);
    code.jump_if(R1, Condition::Differs, PLAIN_FOUR, SERVICES);
    code.set(R7, 20);
    code.jump(SERVICES);
}

/// IPv6, likewise; Neighbour Discovery passes.
fn six(code: &mut Assembler, parts: &Parts) {
    read_packet(code, 0, HEADER, 40, LEAVE);
    code.load(Width::Byte, R8, R10, HEADER + 6);
    code.jump_if(R8, Condition::Differs, ICMP6, SIX_PREFIX);
    code.load(Width::Byte, R1, R10, HEADER + 7);
    code.jump_if(R1, Condition::Differs, ND_HOP_LIMIT, SIX_PREFIX);
    read_packet(code, 40, BEYOND, 1, SIX_PREFIX);
    code.load(Width::Byte, R1, R10, BEYOND);
    code.add(R1, -FIRST_ND_TYPE);
    code.jump_if(R1, Condition::AtMost, FURTHER_ND_TYPES, LEAVE);
    code.label(SIX_PREFIX);
    code.store_number(Width::Word, R10, PREFIX_KEY, 128);
    for word in (0..16).step_by(4) {
        code.load(Width::Word, R1, R10, HEADER + 24 + word);
        code.store(Width::Word, R10, PREFIX_ADDRESS + word, R1);
    }
    look_up_prefix(code, parts.six);
    code.set(R7, 40);
}

/// Copies bytes of the packet, from the network header on, to the stack; jumps where there are not so many.
fn read_packet(code: &mut Assembler, from: i32, to: i16, count: i32, too_short: Label) {
    code.set(R2, from);
    read_packet_at_r2(code, to, count, too_short);
}

fn read_packet_at_r2(code: &mut Assembler, to: i16, count: i32, too_short: Label) {
    code.copy(R1, R6);
    code.point_to(R3, to);
    code.set(R4, count);
    code.set(R5, FROM_NETWORK_HEADER);
    code.call(Helper::LoadBytesRelative);
    code.jump_if(R0, Condition::Differs, 0, too_short);
}

/// Looks the prefix up. Comes back only when services are to be asked, with the profile in `R9`.
fn look_up_prefix(code: &mut Assembler, map: RawFd) {
    code.map(R1, map);
    code.point_to(R2, PREFIX_KEY);
    code.call(Helper::MapLookup);
    code.jump_if(R0, Condition::Equal, 0, LEAVE);
    code.load(Width::Word, R9, R0, 0);
    code.jump_if(R9, Condition::Equal, TAKE.cast_signed(), REDIRECT);
    code.jump_if(R9, Condition::Equal, PASS.cast_signed(), LEAVE);
}

/// Of all services of profile `R9` that match the packet, the one with the highest rank decides.
fn services(code: &mut Assembler, parts: &Parts) {
    code.store(Width::Word, R10, SERVICE_PROFILE, R9);
    // The protocol has two bytes of the key, the first of which is 0.
    code.store_number(Width::Word, R10, SERVICE_PROTOCOL, 0);
    code.store(Width::Byte, R10, SERVICE_PROTOCOL + 1, R8);
    code.jump_if(R7, Condition::Equal, 0, NO_PORTS);
    for protocol in WITH_PORTS {
        code.jump_if(R8, Condition::Equal, protocol, PORTS);
    }
    code.jump(NO_PORTS);

    code.label(PORTS);
    code.copy(R2, R7);
    read_packet_at_r2(code, BEYOND, 4, NO_PORTS);
    code.store_number(Width::Word, R10, SERVICE_KEY, PORT_BITS.cast_signed());
    look_up_port(code, parts, BEYOND);
    code.load(Width::Word, R9, R0, 4);
    look_up_port(code, parts, BEYOND + 2);
    code.load(Width::Word, R1, R0, 0);
    code.jump_if_both(R1, Condition::AtMost, R9, DECIDE);
    code.copy(R9, R1);
    code.jump(DECIDE);

    code.label(NO_PORTS);
    code.store_number(Width::Word, R10, SERVICE_KEY, PROTOCOL_BITS.cast_signed());
    look_up_service(code, parts);
    code.load(Width::Word, R9, R0, 0);
    code.label(DECIDE);
    code.jump_if(R9, Condition::Shares, TAKEN.cast_signed(), REDIRECT);
    code.jump(LEAVE);
}

fn look_up_port(code: &mut Assembler, parts: &Parts, port: i16) {
    code.load(Width::Half, R1, R10, port);
    code.store(Width::Half, R10, SERVICE_PORT, R1);
    look_up_service(code, parts);
}

/// The value of a service in `R0`. Every profile says something of every packet; one that does not lets it pass.
fn look_up_service(code: &mut Assembler, parts: &Parts) {
    code.map(R1, parts.services);
    code.point_to(R2, SERVICE_KEY);
    code.call(Helper::MapLookup);
    code.jump_if(R0, Condition::Equal, 0, LEAVE);
}
