//! What kernels, other tools and networks send: netlink, packets, frames, the lab's control lines.

use longhaul::testbed::lab;
use longhaul::{measure, netlink, tc};

pub(crate) const BYTES: &[&str] = &[
    "\0\0\0\0",
    "\x01\0\0\0",
    "\x08\0\x01\0",
    "\x08\0\x05\0",
    "\x18\0",
    "\x10\0\0\0",
    "netem\0",
    "htb\0",
    "u32\0",
    "mirred\0",
    "skbedit\0",
];
pub(crate) const PROBE: &[&str] =
    &["LHPB\x01\x01\0\0", "LHPB\x01\0\0\0", "E\0\0<", "F\0", "O\0", "\x08\0", "\0\0", "\x60\0\0\0"];
pub(crate) const LAB: &[&str] = &[
    "{\"id\":1,\"ask\":",
    "\"info\"",
    "\"stop\"",
    "\"detach\"",
    "{\"enter\":{\"node\":0}}",
    "{\"relay\":{\"node\":1,\"request\":",
    "}",
    "null",
    "{\"id\":1,\"tell\":",
    "\"done\"",
    "{\"relayed\":{\"response\":",
    "{\"failed\":{\"message\":\"\"}}",
    "18446744073709551615",
];

fn holds(result: Result<(), String>) {
    result.unwrap_or_else(|what| panic!("{what}"));
}

pub(crate) fn netem(bytes: &[u8]) {
    holds(tc::outside::netem(bytes));
}

pub(crate) fn htb(bytes: &[u8]) {
    holds(tc::outside::htb_class(bytes));
}

pub(crate) fn u32_objects(bytes: &[u8]) {
    holds(tc::outside::u32_objects(bytes));
}

/// A datagram as a list of traffic-control objects, and as one of links and addresses.
pub(crate) fn netlink(bytes: &[u8]) {
    holds(tc::outside::dump(bytes));
    netlink::outside::route_messages(bytes);
}

pub(crate) fn packet(bytes: &[u8]) {
    holds(measure::outside::packet(bytes));
}

pub(crate) fn books(bytes: &[u8]) {
    holds(measure::outside::books(bytes));
}

pub(crate) fn frame(bytes: &[u8]) {
    holds(tc::outside::frame(bytes));
}

pub(crate) fn lab_line(bytes: &[u8]) {
    holds(lab::outside::line(bytes));
}
