//! Packets that are none of a prober's, or only nearly so, as a hostile host may send them: whole IP packets by raw sockets.

use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};

const ECHO: [[u8; 2]; 2] = [[8, 0], [128, 129]];

fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let total: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum();
    let folded = (total & 0xffff) + (total >> 16);
    u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// An echo message as probes are, of any numbers.
fn probe(kind: u8, run: u64, from: u32, to: u32, seq: u32) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    message.extend(b"LHPB\x01\x01\0\0");
    message.extend(run.to_be_bytes());
    for number in [from, to, seq, 0] {
        message.extend(number.to_be_bytes());
    }
    message
}

fn v4_packet(options: usize, from: [u8; 4], to: [u8; 4], mut message: Vec<u8>, right: bool) -> Vec<u8> {
    if message.len() >= 4 {
        let checksum = !sum(&[&message]) ^ u16::from(!right);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    // The kernel fills the length, the number and the checksum of the header in.
    let mut packet = vec![0x45 + u8::try_from(options).unwrap(), 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
    packet.extend(from);
    packet.extend(to);
    packet.extend(vec![1; options * 4]);
    packet.extend(message);
    packet
}

fn v6_packet(extension: Option<u8>, from: [u8; 16], to: [u8; 16], mut message: Vec<u8>, right: bool) -> Vec<u8> {
    let length = u8::try_from(message.len()).unwrap();
    if message.len() >= 4 {
        let checksum = !sum(&[&from, &to, &[0, 0, 0, length, 0, 0, 0, 58], &message]) ^ u16::from(!right);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    // An extension header of eight bytes, padded.
    let extra = if extension.is_some() { vec![58, 0, 1, 4, 0, 0, 0, 0] } else { vec![] };
    let payload = u16::try_from(extra.len() + message.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, payload[0], payload[1], extension.unwrap_or(58), 64];
    packet.extend(from);
    packet.extend(to);
    packet.extend(extra);
    packet.extend(message);
    packet
}

/// Messages that the measurement `run` of two nodes must not count, each with whether its checksum is right.
fn messages(run: u64, [request, reply]: [u8; 2]) -> Vec<(Vec<u8>, bool)> {
    let good = |kind| probe(kind, run, 1, 0, 0);
    let mut all = vec![
        (vec![], true),
        (vec![request], true),
        (good(request)[..8].to_vec(), true),
        (good(request)[..39].to_vec(), true),
        ([good(request), vec![0]].concat(), true),
        ([good(request), vec![b'x'; 200]].concat(), true),
        ([vec![request; 150], good(request)].concat(), true),
        // What ping sends.
        ([vec![request, 0, 0, 0, 0, 1, 0, 1], (0..56).collect()].concat(), true),
        (good(request), false),
        (good(reply), false),
        // Another kind of message with a probe in it.
        (good(if request == 8 { 13 } else { 135 }), true),
    ];
    for kind in [request, reply] {
        all.extend([
            (probe(kind, run ^ 1, 1, 0, 0), true),
            (probe(kind, !run, 0, 1, 0), true),
            (probe(kind, run, 2, 0, 0), true),
            (probe(kind, run, u32::MAX, 0, 0), true),
            (probe(kind, run, 1, 0, u32::MAX), true),
            (probe(kind, run, 0, 0, 0), true),
            (probe(kind, run, 0, 1, 4_000_000), true),
            (probe(kind, run, 1, 2, 0), true),
        ]);
    }
    all
}

/// Sends garbage to the nodes at `targets` until told to stop, in short bursts; how many packets the kernel took.
pub(crate) fn flood(run: u64, me: [IpAddr; 2], targets: &[IpAddr], stop: &AtomicBool) -> u64 {
    let open = |family| socket(family, SockType::Raw, SockFlag::empty(), SockProtocol::Raw).unwrap();
    let (v4, v6) = (open(AddressFamily::Inet), open(AddressFamily::Inet6));
    let mut taken = 0;
    let mut send = |packet: &[u8], to: IpAddr| {
        let result = match to {
            IpAddr::V4(ip) => {
                sendto(v4.as_raw_fd(), packet, &SockaddrIn::from(SocketAddrV4::new(ip, 0)), MsgFlags::empty())
            }
            IpAddr::V6(ip) => {
                sendto(v6.as_raw_fd(), packet, &SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0)), MsgFlags::empty())
            }
        };
        taken += u64::from(result.is_ok());
    };
    while !stop.load(Ordering::Relaxed) {
        for target in targets {
            match (*target, me) {
                (IpAddr::V4(to), [IpAddr::V4(from), _]) => {
                    for (at, (message, right)) in messages(run, ECHO[0]).into_iter().enumerate() {
                        send(&v4_packet(at % 11, from.octets(), to.octets(), message, right), *target);
                    }
                }
                (IpAddr::V6(to), [_, IpAddr::V6(from)]) => {
                    for (at, (message, right)) in messages(run, ECHO[1]).into_iter().enumerate() {
                        // None, hop by hop, destination options.
                        let extension = [None, Some(0), Some(60)][at % 3];
                        send(&v6_packet(extension, from.octets(), to.octets(), message, right), *target);
                    }
                }
                _ => unreachable!("the first address is of IPv4, the second of IPv6"),
            }
        }
        // A rate that leaves the machine some time for the measurement.
        std::thread::sleep(Duration::from_millis(2));
    }
    taken
}
