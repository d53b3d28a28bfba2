//! Lists and logs that become matrices: pairs, cities, addresses, logs of ping, files of tcconfig.

use longhaul::matrix::generate::{parse_cities, parse_pairs};
use longhaul::matrix::{AddressList, DelayMatrix, PingLog, ReadError, parse_pings, parse_tcconfig, to_tcconfig};
use longhaul::topology::NodeName;

use super::matrix::{lenient, written_and_read};
use crate::claims;

pub(crate) const CSV: &[&str] = &[
    ",",
    ";",
    "\t",
    "\n",
    "a",
    "b",
    "10.0.0.1",
    "fd00::1",
    "# kind: rtt\n",
    "# unit: us\n",
    "\"",
    "from,to,there,back\n",
    "90",
    "-180",
    "name,address\n",
    "1",
];
pub(crate) const PING: &[&str] = &[
    "PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n",
    "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=10.1 ms\n",
    " bytes from ",
    "time=",
    " packets transmitted, ",
    " : ",
    "xmt/rcv/%loss = ",
    "[0], ",
    "timed out",
    "DUP!",
    "[1.5] ",
    "(",
    "-",
    "fd00::2%eth0",
    "10.0.0.2",
    "b",
    "\n",
    "duplicate for",
];
pub(crate) const TCCONFIG: &[&str] = &[
    "{",
    "}",
    "\"eth0\"",
    "\"outgoing\"",
    "\"incoming\"",
    "\"dst-network=10.0.0.2/32\"",
    "dst_network=",
    "protocol=ipv6",
    ", ",
    ":",
    "\"delay\"",
    "\"10ms\"",
    "\"rate\"",
    "\"32Gbps\"",
    "\"filter_id\"",
    "10.0.0.2/32",
    "fd00::2/128",
    "null",
    "1e308",
    "\\u0041",
    "\n",
];

pub(crate) fn addresses_of_three() -> AddressList {
    let list = [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("b", "fd00::2"), ("c", "10.0.0.3")];
    AddressList::new(list.map(|(name, address)| (name.parse().unwrap(), address.parse().unwrap())).to_vec())
}

fn outcome(result: Result<DelayMatrix, ReadError>, bytes: &[u8]) {
    match result {
        Ok(matrix) => written_and_read(&matrix),
        Err(error) => claims::refusal(&error, bytes),
    }
}

/// The file of one of three hosts. What is read, is written for tcconfig and read the same.
pub(crate) fn tcconfig(bytes: &[u8]) {
    let addresses = addresses_of_three();
    let named = |name: &str, bytes: &[u8]| (name.parse::<NodeName>().unwrap(), format!("{name}.json"), bytes.to_vec());
    for options in [lenient(bytes), longhaul::matrix::ReadOptions::default()] {
        let files = [named("a", bytes), named("b", b"{}"), named("c", b"{}")];
        let result = parse_tcconfig(&files, &addresses, options);
        if let Ok(matrix) = &result {
            let row = to_tcconfig(matrix, 0, &addresses, "eth0").unwrap();
            let files = [named("a", row.as_bytes()), named("b", b"{}"), named("c", b"{}")];
            let again = parse_tcconfig(&files, &addresses, longhaul::matrix::ReadOptions::default()).unwrap();
            assert_eq!(again.delays(), matrix.delays());
        }
        outcome(result, bytes);
    }
}

/// A log with and without a name for its target.
pub(crate) fn ping(bytes: &[u8]) {
    let addresses = addresses_of_three();
    for to in [None, Some("b".parse().unwrap())] {
        let log = PingLog { from: "a".parse().unwrap(), to, file: "a.log".to_owned(), bytes: bytes.to_vec() };
        outcome(parse_pings(&[log], &addresses, lenient(bytes)), bytes);
    }
}

pub(crate) fn pairs(bytes: &[u8]) {
    for options in [lenient(bytes), longhaul::matrix::ReadOptions::default()] {
        match parse_pairs("pairs.csv", bytes, options) {
            Err(error) => claims::refusal(&error, bytes),
            Ok(pairs) => match pairs.generate() {
                Ok(matrix) => written_and_read(&matrix),
                Err(error) => claims::message(&error),
            },
        }
    }
}

/// Distances are distances, and what reads back from coordinates is a matrix.
pub(crate) fn cities(bytes: &[u8]) {
    match parse_cities("cities.csv", bytes) {
        Err(error) => claims::refusal(&error, bytes),
        Ok(cities) => {
            for pair in cities.windows(2) {
                let (there, back) = (pair[0].distance_km(&pair[1]), pair[1].distance_km(&pair[0]));
                assert!(
                    there.is_finite() && (0.0..=20_100.0).contains(&there) && (there - back).abs() < 1e-6,
                    "{there}"
                );
            }
        }
    }
}

pub(crate) fn addresses(bytes: &[u8]) {
    match AddressList::parse("addresses.csv", bytes) {
        Err(error) => claims::refusal(&error, bytes),
        Ok(list) => {
            // Each search goes through the list.
            let found: Vec<_> = list.entries().iter().take(50).map(|(_, address)| list.name_of(*address)).collect();
            assert!(found.iter().zip(list.entries()).all(|(found, (name, _))| *found == Some(name)));
        }
    }
}

pub(crate) const TRACE: &[&str] = &[
    "time,from,to,delay,jitter,loss,rate\n",
    "time_ms,from,to,delay_us\n",
    "# unit: us\n",
    "# start: 1700000000\n",
    "a,b,",
    "b,a,",
    "\n",
    "\r\n",
    ",",
    "\"",
    "2500ms",
    "1e308",
    "NaN",
    "-1",
    "18446744073709551615",
    "0.1%",
    "10mbit",
    "366d",
];

/// Entries come in the order of their instants, each from a line of the file.
pub(crate) fn trace(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match longhaul::timeline::parse_trace("trace.csv", text) {
        Err(error) => {
            claims::message(&error);
            assert!(error.line == 0 || error.line <= 1 + bytes.len() as u64, "line {}", error.line);
        }
        Ok(trace) => {
            assert!(trace.entries().is_sorted_by_key(|entry| entry.at), "{trace:?}");
            let last = trace.entries().iter().map(|entry| entry.line).max();
            claims::line_within(last.unwrap_or(0), bytes);
        }
    }
}
