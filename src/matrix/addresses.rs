//! [`AddressList`]: which node has which addresses, for files that know nodes by address alone.

use std::collections::HashMap;
use std::net::IpAddr;

use super::csv::lines::Lines;
use super::csv::separator;
use super::error::{Place, Problem, ReadError};
use super::read::decode;
use crate::topology::NodeName;

/// Names and addresses; a name may have several addresses, an address has one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressList {
    entries: Vec<(NodeName, IpAddr)>,
}

impl AddressList {
    /// From pairs that are known to be right.
    pub fn new(entries: Vec<(NodeName, IpAddr)>) -> Self {
        Self { entries }
    }

    /// Reads `name,address` lines, with or without a header of just these words; `file` is what errors call it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ReadError> {
        let text = decode(bytes).map_err(|problem| ReadError::new(file, Place::File, problem))?;
        let first = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut lines = Lines::new(file, text, separator(first.unwrap_or_default()));
        let mut list = Self::default();
        let mut seen: HashMap<IpAddr, u64> = HashMap::new();
        while let Some(row) = lines.next()? {
            let fields: Vec<&str> = row.fields.iter().map(str::trim).collect();
            if list.entries.is_empty() && fields == ["name", "address"] {
                continue;
            }
            let at = |column| Place::Column { line: row.line, column };
            let [name, address] = fields[..] else {
                let problem = Problem::Fields { found: fields.len(), expected: "name,address" };
                return Err(lines.error(Place::Line(row.line), problem));
            };
            let name: NodeName = name.parse().map_err(|error| lines.error(at(1), Problem::Name(error)))?;
            let address: IpAddr = address
                .parse()
                .map_err(|_| lines.error(at(2), Problem::Address(super::csv::cell::excerpt(address))))?;
            if let Some(first) = seen.insert(address, row.line) {
                let problem = Problem::ListedTwice { name: address.to_string(), first };
                return Err(lines.error(at(2), problem));
            }
            list.entries.push((name, address));
        }
        Ok(list)
    }

    /// All addresses with the names of their nodes.
    pub fn entries(&self) -> &[(NodeName, IpAddr)] {
        &self.entries
    }

    /// The addresses of a node.
    pub fn of<'a>(&'a self, name: &'a NodeName) -> impl Iterator<Item = IpAddr> + 'a {
        self.entries.iter().filter(move |(known, _)| known == name).map(|(_, address)| *address)
    }

    /// The node that has an address.
    pub fn name_of(&self, address: IpAddr) -> Option<&NodeName> {
        self.entries.iter().find(|(_, known)| *known == address).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_list_names_addresses() {
        let list =
            AddressList::parse("a.csv", b"name,address\n# two families\na,10.0.0.1\na,fd00::1\nb,10.0.0.2\n").unwrap();
        let a: NodeName = "a".parse().unwrap();
        assert_eq!(list.of(&a).map(|address| address.to_string()).collect::<Vec<_>>(), ["10.0.0.1", "fd00::1"]);
        assert_eq!(list.name_of("fd00::1".parse().unwrap()), Some(&a));
    }

    #[test]
    fn wrong_lists_are_refused_where_they_are_wrong() {
        for (text, message) in [
            ("a,10.0.0.1,x\n", "a.csv:1: has 3 fields; a line is `name,address`"),
            (
                "a,10.0.0.1/24\n",
                "a.csv:1: column 2: `10.0.0.1/24` is not an IP address; write one such as 10.0.0.2 or fd00::2",
            ),
            ("a,10.0.0.1\nb,10.0.0.1\n", "a.csv:2: column 2: `10.0.0.1` stands already in line 1; keep one of the two"),
            (",10.0.0.1\n", "a.csv:1: column 1: a node name is empty; write a name"),
        ] {
            assert_eq!(AddressList::parse("a.csv", text.as_bytes()).unwrap_err().to_string(), message);
        }
    }
}
