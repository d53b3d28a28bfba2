//! Reading the files of several hosts to one matrix.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::TcconfigProblem;
use crate::matrix::addresses::AddressList;
use crate::matrix::csv::cell;
use crate::matrix::error::{Kind, Place, Problem, ReadError};
use crate::matrix::graph::short_unit;
use crate::matrix::read::decode;
use crate::matrix::{DelayMatrix, DelayUnit, ReadOptions};
use crate::topology::NodeName;
use crate::units::Delay;

/// A JSON object with its keys in the order of the file, also those that stand twice.
struct Entries<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect(PhantomData))
    }
}

/// The rate that `tcshow` prints for a rule without any: the most that tcconfig sets on an interface of unknown speed.
const UNLIMITED: &str = "32Gbps";

/// Interfaces, directions, filters, attributes.
type Document = Entries<Entries<Entries<Entries<Value>>>>;

/// Makes a matrix of the files of its nodes: the name of the node, what errors call the file, and its bytes. Where a
/// file has no rule for a node, the delay is 0.
pub fn parse_tcconfig(
    files: &[(NodeName, String, Vec<u8>)],
    addresses: &AddressList,
    options: ReadOptions,
) -> Result<DelayMatrix, ReadError> {
    let names: Vec<NodeName> = files.iter().map(|(name, ..)| name.clone()).collect();
    let mut delays = Vec::with_capacity(names.len() * names.len());
    let mut comments = Vec::new();
    for (name, file, bytes) in files {
        let rules = Rules::read(file, bytes, options)?;
        for to in &names {
            let delay = if to == name { Ok(Delay::ZERO) } else { rules.delay_to(to, addresses) };
            delays.push(delay.map_err(|problem| ReadError::new(file, Place::File, problem))?);
        }
        comments.extend(rules.dropped.iter().map(|(what, count)| format!("dropped from {name}: {what} ({count})")));
    }
    let file = files.first().map_or("<none>", |(_, file, _)| file);
    let mut matrix = DelayMatrix::new(names, delays).map_err(|error| ReadError::new(file, Place::File, error))?;
    matrix.metadata.comments = comments;
    Ok(matrix)
}

/// The delays of one host by destination.
#[derive(Default)]
struct Rules {
    delays: BTreeMap<IpNet, Delay>,
    dropped: BTreeMap<String, usize>,
}

impl Rules {
    fn read(file: &str, bytes: &[u8], options: ReadOptions) -> Result<Self, ReadError> {
        let text = decode(bytes).map_err(|problem| ReadError::new(file, Place::File, problem))?;
        let document: Document = serde_json::from_str(text).map_err(|error| {
            ReadError::new(file, Place::Line(error.line() as u64), TcconfigProblem::Json(error.to_string()))
        })?;
        let mut rules = Self::default();
        let mut finder = Finder { text, offset: 0, next: 0 };
        for (device, directions) in &document.0 {
            finder.go_to(device);
            for (direction, filters) in &directions.0 {
                finder.go_to(direction);
                let check = direction == "outgoing" || direction == "incoming";
                let unknown = || TcconfigProblem::Direction(cell::excerpt(direction));
                check.then_some(()).ok_or_else(|| finder.error(file, unknown()))?;
                for (filter, attributes) in &filters.0 {
                    finder.go_to(filter);
                    rules
                        .take(direction, filter, &attributes.0, options)
                        .map_err(|problem| finder.error(file, problem))?;
                }
            }
        }
        Ok(rules)
    }

    fn take(
        &mut self,
        direction: &str,
        filter: &str,
        attributes: &[(String, Value)],
        options: ReadOptions,
    ) -> Result<(), Problem> {
        if attributes.iter().all(|(key, _)| key == "filter_id") {
            return Ok(());
        }
        if direction == "incoming" {
            return self.refuse("rules for incoming packets", TcconfigProblem::Incoming(filter.to_owned()), options);
        }
        let network = match destination(filter)? {
            Ok(network) => network,
            Err(key) => {
                let what = format!("rules with {key}");
                return self.refuse(&what, TcconfigProblem::Selector { rule: filter.to_owned(), key }, options);
            }
        };
        for (key, value) in attributes {
            match key.as_str() {
                "filter_id" => {}
                "rate" if value == UNLIMITED => {}
                "delay" => self.add(network, delay(filter, value)?)?,
                _ => {
                    let problem = TcconfigProblem::Attribute { rule: filter.to_owned(), key: cell::excerpt(key) };
                    self.refuse(&cell::excerpt(key), problem, options)?;
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, what: &str, problem: TcconfigProblem, options: ReadOptions) -> Result<(), Problem> {
        if !options.ignore_unsupported {
            return Err(problem.into());
        }
        *self.dropped.entry(what.to_owned()).or_default() += 1;
        Ok(())
    }

    fn add(&mut self, network: IpNet, second: Delay) -> Result<(), TcconfigProblem> {
        match self.delays.insert(network, second) {
            Some(first) if first != second => Err(TcconfigProblem::RuleTwice { network, first, second }),
            _ => Ok(()),
        }
    }

    /// The delay to a node: that of the longest prefix which has its address.
    fn delay_to(&self, name: &NodeName, addresses: &AddressList) -> Result<Delay, TcconfigProblem> {
        let mut found: Option<Delay> = None;
        let mut known = false;
        for address in addresses.of(name) {
            known = true;
            let longest = self
                .delays
                .iter()
                .filter(|(network, _)| network.contains(&address))
                .max_by_key(|(net, _)| net.prefix_len());
            let Some((_, second)) = longest else { continue };
            match found {
                Some(first) if first != *second => {
                    return Err(TcconfigProblem::Ambiguous { name: name.clone(), first, second: *second });
                }
                _ => found = Some(*second),
            }
        }
        if known { Ok(found.unwrap_or_default()) } else { Err(TcconfigProblem::NoAddress(name.clone())) }
    }
}

/// The destination of a filter such as `dst_network=10.0.0.2/32, protocol=ip`, in the spelling of any release; inside,
/// the key that is no destination.
fn destination(filter: &str) -> Result<Result<IpNet, String>, TcconfigProblem> {
    let (mut network, mut ipv6) = (None, false);
    for part in filter.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("dst_network" | "dst-network" | "network", text) => network = Some(text),
            ("protocol", "ip") => {}
            ("protocol", "ipv6") => ipv6 = true,
            ("protocol", other) => return Ok(Err(format!("protocol={}", cell::excerpt(other)))),
            (key, _) => return Ok(Err(cell::excerpt(key))),
        }
    }
    let everything = if ipv6 { IpNet::V6(Ipv6Net::default()) } else { IpNet::V4(Ipv4Net::default()) };
    let Some(text) = network else { return Ok(Ok(everything)) };
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let wrong = |_| TcconfigProblem::Network { rule: cell::excerpt(filter), network: cell::excerpt(text) };
    parsed.map(|network| Ok(network.trunc())).map_err(wrong)
}

/// A delay as it stands: a text with or without a unit, or a number; milliseconds where there is no unit.
fn delay(filter: &str, value: &Value) -> Result<Delay, Problem> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(TcconfigProblem::DelayType(cell::excerpt(filter)).into()),
    };
    cell::parse(&short_unit(&text), Kind::OneWay, DelayUnit::Ms).map(Delay::from_nanos)
}

/// Where the keys of a document stand, found in their order.
struct Finder<'a> {
    text: &'a str,
    /// Where the last key starts.
    offset: usize,
    /// Where the search for the next one begins.
    next: usize,
}

impl Finder<'_> {
    /// Goes to the next text that means `key`, however it is written.
    fn go_to(&mut self, key: &str) {
        while let Some((start, end)) = next_text(self.text, self.next) {
            (self.offset, self.next) = (start, end);
            if serde_json::from_str::<Cow<'_, str>>(&self.text[start..end]).is_ok_and(|found| found == key) {
                break;
            }
        }
    }

    fn error(&self, file: &str, problem: impl Into<Problem>) -> ReadError {
        let before = self.text[..self.offset].matches('\n').count();
        ReadError::new(file, Place::Line(before as u64 + 1), problem)
    }
}

/// Where the next text in quotation marks starts and ends, with its marks.
fn next_text(json: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + json[from..].find('"')?;
    let mut escaped = false;
    let end = json[start + 1..].bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((start, start + 1 + end + 1))
}
