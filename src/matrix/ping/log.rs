//! The lines of a log: of ping (iputils with and without `-D`, busybox, macOS and the BSDs, Windows), of fping (`-c`, `-C` and
//! `-e`) and of hping.

use std::collections::HashMap;
use std::net::IpAddr;

use super::PingProblem;
use crate::matrix::csv::cell;
use crate::matrix::error::{Kind, Problem};
use crate::matrix::unit::DelayUnit;
use crate::units::Rtt;

/// What was pinged, and how that went.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// As it was given to the program.
    pub(super) text: String,
    pub(super) address: Option<IpAddr>,
    pub(super) line: u64,
    /// One for each reply, and the probes that timed out, as they happened.
    replies: Vec<Rtt>,
    timeouts: u64,
    /// The same from the last line of `fping -C`.
    summary: Vec<Rtt>,
    summary_lost: u64,
    /// Probes sent, from the statistics.
    transmitted: Option<u64>,
}

impl Target {
    fn samples(&self) -> &[Rtt] {
        if self.replies.is_empty() { &self.summary } else { &self.replies }
    }

    /// The median; of an even number the middle between the two in the middle.
    pub(super) fn median(&self) -> Option<Rtt> {
        let mut sorted = self.samples().to_vec();
        sorted.sort_unstable();
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = if sorted.len().is_multiple_of(2) { sorted[sorted.len() / 2 - 1] } else { upper };
        Some(Rtt::from_nanos(u64::midpoint(lower.as_nanos(), upper.as_nanos())))
    }

    pub(super) fn sent(&self) -> u64 {
        let replies = self.samples().len() as u64;
        self.transmitted.unwrap_or(0).max(replies + self.timeouts.max(self.summary_lost))
    }

    pub(super) fn lost(&self) -> u64 {
        self.sent() - self.samples().len() as u64
    }
}

/// Beginnings of lines that say nothing about a round trip.
const OTHER_LINES: [&str; 21] = [
    "---",
    "rtt ",
    "round-trip ",
    "From ",
    "no answer yet",
    "Request timeout",
    "ping: ",
    "fping: ",
    "ICMP ",
    "WARNING",
    "Warning",
    "^C",
    // A reply whose bytes are not those that were sent, byte by byte.
    "wrong data byte",
    "#",
    // The header of a packet that did not get there, as the BSDs show it.
    "Vr HL TOS",
    "4  5  ",
    // Windows.
    "Request timed out.",
    "Ping statistics for ",
    "Approximate round trip times",
    "Minimum = ",
    "Control-C",
];

/// What stands in a reply of somebody on the way instead of a time.
const NO_REPLY: [&str; 6] =
    ["unreachable", "exceeded", "redirect", "source quench", "expired in transit", "packet filtered"];

/// What a reply of Windows that took less than a millisecond is counted as: the middle of what it may have been.
const UNDER_A_MILLISECOND: Rtt = Rtt::from_micros(500);

/// Reads all targets of a log, in their order.
pub(super) fn read(text: &str) -> Result<Vec<Target>, (u64, Problem)> {
    let mut reader = Reader::default();
    for (line, number) in text.lines().zip(1u64..) {
        reader.line = number;
        reader.take(without_stamp(line.trim())).map_err(|problem| (number, problem))?;
    }
    if reader.targets.is_empty() { Err((0, PingProblem::Empty.into())) } else { Ok(reader.targets) }
}

#[derive(Default)]
struct Reader {
    targets: Vec<Target>,
    /// Each target by its text.
    places: HashMap<String, usize>,
    /// The target that replies of ping belong to.
    current: Option<usize>,
    line: u64,
}

impl Reader {
    fn take(&mut self, line: &str) -> Result<(), Problem> {
        if let Some(header) = header(line) {
            let end = header.find([' ', '(']).unwrap_or(header.len());
            let place = self.target(&header[..end]);
            self.targets[place].address = header.split([' ', '(', ')', '[', ']']).find_map(address);
            self.current = Some(place);
            return Ok(());
        }
        if line.is_empty() || OTHER_LINES.iter().any(|start| line.starts_with(start)) {
            return Ok(());
        }
        if line.contains(" bytes from ") || line.starts_with("Reply from ") || line.starts_with("len=") {
            return self.reply(line);
        }
        if line.starts_with("DUP! len=") {
            return Ok(());
        }
        if line.contains(" packets transmitted, ") || line.starts_with("Packets: Sent = ") {
            let sent = leading_number(line.trim_start_matches("Packets: Sent = "));
            let target = self.current.ok_or(PingProblem::NoHeader)?;
            let before = self.targets[target].transmitted.unwrap_or(0);
            self.targets[target].transmitted = sent.map(|sent| before.saturating_add(sent));
            return Ok(());
        }
        if let Some((target, time)) = line.strip_suffix(')').and_then(|line| line.split_once(" is alive (")) {
            let (place, sample) = (self.target(target), round_trip(time)?);
            self.targets[place].replies.push(sample);
            return Ok(());
        }
        if let Some(target) = line.strip_suffix(" is unreachable") {
            let place = self.target(target);
            self.targets[place].timeouts += 1;
            return Ok(());
        }
        match line.split_once(" : ") {
            Some((target, rest)) => self.fping(target.trim(), rest.trim(), line),
            None => Err(unknown(line)),
        }
    }

    /// `64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=10.1 ms`
    fn reply(&mut self, line: &str) -> Result<(), Problem> {
        let target = self.current.ok_or(PingProblem::NoHeader)?;
        if line.contains("DUP!") {
            return Ok(());
        }
        let time = [" time=", " rtt="].iter().find_map(|key| line.split_once(key));
        let sample = match time {
            // Windows puts its TTL behind, others a remark in brackets.
            Some((_, time)) => round_trip(&time[..time.find(['(', 'T']).unwrap_or(time.len())])?,
            None if line.contains(" time<1ms") => UNDER_A_MILLISECOND,
            None if NO_REPLY.iter().any(|words| line.to_ascii_lowercase().contains(words)) => return Ok(()),
            None => return Err(PingProblem::NoTime.into()),
        };
        self.targets[target].replies.push(sample);
        Ok(())
    }

    fn fping(&mut self, target: &str, rest: &str, line: &str) -> Result<(), Problem> {
        if let Some(counts) = rest.strip_prefix("xmt/rcv/%loss = ") {
            let place = self.target(target);
            self.targets[place].transmitted = leading_number(counts);
            return Ok(());
        }
        if rest.starts_with("duplicate for") {
            return Ok(());
        }
        if rest.starts_with('[') {
            let mut fields = rest.split(',').map(str::trim).skip(1);
            let place = self.target(target);
            match (fields.next(), fields.next()) {
                (Some(field), _) if field.starts_with("timed out") => self.targets[place].timeouts += 1,
                (Some(_), Some(time)) => {
                    let end = time.find('(').unwrap_or(time.len());
                    let sample = round_trip(&time[..end])?;
                    self.targets[place].replies.push(sample);
                }
                _ => return Err(unknown(line)),
            }
            return Ok(());
        }
        let samples: Vec<&str> = rest.split_whitespace().collect();
        if samples.iter().any(|text| *text != "-" && !cell::looks_like_number(text)) {
            return Err(unknown(line));
        }
        let place = self.target(target);
        for text in samples {
            if text == "-" {
                self.targets[place].summary_lost += 1;
            } else {
                let sample = round_trip(text)?;
                self.targets[place].summary.push(sample);
            }
        }
        Ok(())
    }

    fn target(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let (place, address) = (self.targets.len(), address(text));
        self.targets.push(Target { text: text.to_owned(), address, line: self.line, ..Target::default() });
        self.places.insert(text.to_owned(), place);
        place
    }
}

/// Who is pinged, and what follows, if the line says so.
fn header(line: &str) -> Option<&str> {
    if line.starts_with("PING6(") {
        return line.split_once(" --> ").map(|(_, target)| target);
    }
    ["PING ", "HPING ", "Pinging "].iter().find_map(|start| line.strip_prefix(start))
}

fn unknown(line: &str) -> Problem {
    PingProblem::Line(cell::excerpt(line)).into()
}

fn round_trip(text: &str) -> Result<Rtt, Problem> {
    cell::parse(text, Kind::Rtt, DelayUnit::Ms).map(Rtt::from_nanos)
}

/// An address, also one with the interface that it is on.
fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

fn leading_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The line without the time in brackets that `-D` puts before it.
fn without_stamp(line: &str) -> &str {
    let stamped = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match stamped {
        Some((stamp, rest)) if stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => rest,
        _ => line,
    }
}
