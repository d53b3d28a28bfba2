//! [`Pairs`]: a matrix from a list of pairs; pairs that the list lacks take the shortest way over those it has.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::GenerateError;
use crate::matrix::csv::cell;
use crate::matrix::csv::lines::{Lines, Row};
use crate::matrix::csv::{header::Header, separator};
use crate::matrix::read::decode;
use crate::matrix::{DelayMatrix, Kind, Metadata, Place, Problem, ReadError, ReadOptions};
use crate::topology::{NameError, NodeIndex, NodeName};
use crate::units::{Delay, Rtt};

/// A list of pairs of nodes with the delays between them, as cloud tables often are: not all pairs are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    names: Vec<NodeName>,
    given: BTreeMap<(NodeIndex, NodeIndex), Delay>,
    metadata: Metadata,
}

impl Pairs {
    /// How many unordered pairs the list gives.
    pub fn given(&self) -> usize {
        self.given.len() / 2
    }

    /// Makes the matrix. What the list gives stays as it is; every other path is the shortest sum of given ones, and
    /// the metadata say which are which.
    pub fn generate(&self) -> Result<DelayMatrix, GenerateError> {
        let n = self.names.len();
        GenerateError::check_nodes(n, "the list of pairs")?;
        let mut neighbours = vec![Vec::new(); n];
        for ((from, to), delay) in &self.given {
            neighbours[*from].push((*to, *delay));
        }
        let mut delays = Vec::with_capacity(n * n);
        for from in 0..n {
            let mut row = shortest_ways(&neighbours, from);
            neighbours[from].iter().for_each(|(to, given)| row[*to] = Some(*given));
            for (to, delay) in row.into_iter().enumerate() {
                delays.push(delay.ok_or_else(|| self.unconnected(from, to))?);
            }
        }
        let mut matrix = DelayMatrix::new(self.names.clone(), delays)?;
        matrix.metadata = self.metadata.clone();
        matrix.metadata.comments.push(self.derivation());
        Ok(matrix)
    }

    fn unconnected(&self, from: NodeIndex, to: NodeIndex) -> GenerateError {
        GenerateError::Unconnected { from: self.names[from].to_string(), to: self.names[to].to_string() }
    }

    /// Which pairs are given and which derived, in words.
    fn derivation(&self) -> String {
        let n = self.names.len();
        let (given, all) = (self.given(), n * (n - 1) / 2);
        if given == all {
            return format!("all {all} pairs are given");
        }
        let pair = |(from, to): &(NodeIndex, NodeIndex)| format!("{}/{}", self.names[*from], self.names[*to]);
        let list: Vec<String> = self.given.keys().filter(|(from, to)| from < to).map(pair).collect();
        format!(
            "{given} of {all} pairs are given: {}; the other {} are derived: shortest way over the given ones",
            list.join(", "),
            all - given
        )
    }
}

/// The shortest sums of delays from `start` to all nodes (Dijkstra); `None` where no way leads.
pub(in crate::matrix) fn shortest_ways(neighbours: &[Vec<(NodeIndex, Delay)>], start: NodeIndex) -> Vec<Option<Delay>> {
    let mut shortest = vec![None; neighbours.len()];
    let mut queue = BinaryHeap::from([Reverse((Delay::ZERO, start))]);
    while let Some(Reverse((delay, node))) = queue.pop() {
        if shortest[node].is_some() {
            continue;
        }
        shortest[node] = Some(delay);
        for (next, further) in neighbours[node].iter().filter(|(next, _)| shortest[*next].is_none()) {
            queue.push(Reverse((Delay::from_nanos(delay.as_nanos() + further.as_nanos()), *next)));
        }
    }
    shortest
}

/// Reads a list of pairs: `from,to,there` or `from,to,there,back` lines, with the `#` lines of a matrix and with or
/// without a header; `file` is what errors call it. Nodes are numbered as they appear. The way back is as long as the way there
/// unless its line says it, or a line of its own; a pair of a node with itself is left out.
pub fn parse_pairs(file: &str, bytes: &[u8], options: ReadOptions) -> Result<Pairs, ReadError> {
    let text = decode(bytes).map_err(|problem| ReadError::new(file, Place::File, problem))?;
    let header = Header::scan(file, text)?;
    header.check_split(file, options)?;
    let mut lines = Lines::new(file, text, separator(header.first_data_line.unwrap_or_default()));
    let mut list = List::default();
    while let Some(row) = lines.next()? {
        let is_header = list.names.is_empty() && row.fields.iter().all(|text| !cell::looks_like_number(text));
        if !(is_header && (3..=4).contains(&row.fields.len())) {
            list.add(&lines, &row, &header)?;
        }
    }
    let mut metadata = header.metadata;
    if list.own > 0 {
        metadata.comments.push(format!("dropped: pairs of a node with itself: {}", list.own));
    }
    Ok(Pairs { names: list.names, given: list.given, metadata })
}

/// The list as far as it has been read.
#[derive(Default)]
struct List {
    names: Vec<NodeName>,
    places: HashMap<NodeName, NodeIndex>,
    given: BTreeMap<(NodeIndex, NodeIndex), Delay>,
    /// The line of each way that a line gives.
    lines: HashMap<(NodeIndex, NodeIndex), u64>,
    /// Pairs of a node with itself.
    own: usize,
}

impl List {
    fn add(&mut self, lines: &Lines<'_>, row: &Row, header: &Header<'_>) -> Result<(), ReadError> {
        let fields: Vec<&str> = row.fields.iter().collect();
        let (from, to, there, back) = match fields[..] {
            [from, to, there] => (from, to, there, there),
            [from, to, there, back] => (from, to, there, back),
            _ => {
                let problem = Problem::Fields { found: fields.len(), expected: "from,to,there,back" };
                return Err(lines.error(Place::Line(row.line), problem));
            }
        };
        let at = |column| Place::Column { line: row.line, column };
        let from = self.place(from).map_err(|error| lines.error(at(1), error))?;
        let to = self.place(to).map_err(|error| lines.error(at(2), error))?;
        let delay = |text: &str| cell::parse(text, header.kind, header.unit).map(|ns| one_way(ns, header.kind));
        let (there, _) = delay(there).map_err(|problem| lines.error(at(3), problem))?;
        let (_, back) = delay(back).map_err(|problem| lines.error(at(fields.len()), problem))?;
        if from == to {
            self.own += 1;
            return Ok(());
        }
        let ways = [(from, to), (to, from)];
        let said = if fields.len() == 4 { 2 } else { 1 };
        for way in &ways[..said] {
            self.check_new(*way, row.line).map_err(|problem| lines.error(at(2), problem))?;
        }
        self.given.insert(ways[0], there);
        // A way back that a line of its own gives stays, before or behind this one.
        if said == 2 || !self.lines.contains_key(&ways[1]) {
            self.given.insert(ways[1], back);
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> Result<NodeIndex, NameError> {
        let name: NodeName = name.parse()?;
        let next = self.names.len();
        Ok(*self.places.entry(name.clone()).or_insert_with(|| {
            self.names.push(name);
            next
        }))
    }

    fn check_new(&mut self, (from, to): (NodeIndex, NodeIndex), line: u64) -> Result<(), Problem> {
        if let Some(first) = self.lines.insert((from, to), line) {
            return Err(Problem::ListedTwice { name: format!("{}, {}", self.names[from], self.names[to]), first });
        }
        Ok(())
    }
}

/// The delay for the way there and for the way back: the same, or the halves of a round trip.
fn one_way(ns: u64, kind: Kind) -> (Delay, Delay) {
    match kind {
        Kind::OneWay => (Delay::from_nanos(ns), Delay::from_nanos(ns)),
        Kind::Rtt => Rtt::from_nanos(ns).split_evenly(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::matrix::RttSplit;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Pairs, ReadError> {
        parse_pairs(
            "p.csv",
            text.as_bytes(),
            ReadOptions { split_rtt: Some(RttSplit::Halves), ..ReadOptions::default() },
        )
    }

    #[test]
    fn what_is_given_stays_and_the_rest_is_the_shortest_way() {
        let pairs = parse("from,to,there,back\na,b,10,12\nb,c,5\nc,d,1,2\na,c,100,3\n").unwrap();
        let matrix = pairs.generate().unwrap();
        let ms: Vec<f64> = matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect();
        // a–c is given and stays, although a–b–c is shorter; a–d and d–b have two steps or more.
        assert_eq!(ms, [0.0, 10.0, 100.0, 16.0, 12.0, 0.0, 5.0, 6.0, 3.0, 5.0, 0.0, 1.0, 5.0, 7.0, 2.0, 0.0]);
        assert_eq!(
            matrix.metadata.comments,
            ["4 of 6 pairs are given: a/b, a/c, b/c, c/d; the other 2 are derived: shortest way over the given ones"]
        );
    }

    #[test]
    fn each_way_may_have_its_line_and_nodes_with_themselves_are_left_out() {
        for text in ["a,a,1\na,b,10\nb,a,12\n", "b,a,12\na,b,10\na,a,1\n"] {
            let matrix = parse(text).unwrap().generate().unwrap();
            let place = |name: &str| matrix.names().iter().position(|other| other.as_str() == name).unwrap();
            assert_eq!(matrix.delay(place("a"), place("b")), Delay::from_millis(10));
            assert_eq!(matrix.delay(place("b"), place("a")), Delay::from_millis(12));
            assert_eq!(matrix.metadata.comments[0], "dropped: pairs of a node with itself: 1");
        }
    }

    #[test]
    fn round_trips_are_halved() {
        let matrix = parse("# kind: rtt\na,b,10,7\n").unwrap().generate().unwrap();
        assert_eq!((matrix.delay(0, 1), matrix.delay(1, 0)), (Delay::from_millis(5), Delay::from_micros(3_500)));
    }

    #[test]
    fn wrong_lists_are_refused_where_they_are_wrong() {
        for (text, message) in [
            ("a,b\n", "p.csv:1: has 2 fields; a line is `from,to,there,back`"),
            ("a,b,1\na,b,2\n", "p.csv:2: column 2: `a, b` stands already in line 1; keep one of the two"),
            ("a,b,1,2\nb,a,2\n", "p.csv:2: column 2: `b, a` stands already in line 1; keep one of the two"),
            ("a,b,-1\n", "p.csv:1: column 3: `-1` is negative; a one-way delay is 0 or more milliseconds"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert_eq!(
            parse("a,b,1\nc,d,1\n").unwrap().generate().unwrap_err().to_string(),
            "there is no way from `a` to `c` over the given pairs; add pairs that connect them"
        );
    }

    /// Floyd and Warshall's algorithm: another way to the same sums.
    fn all_shortest(n: usize, given: &BTreeMap<(usize, usize), Delay>) -> Vec<Option<u64>> {
        let mut table = vec![None; n * n];
        (0..n).for_each(|node| table[node * n + node] = Some(0));
        for ((from, to), delay) in given {
            table[from * n + to] = Some(delay.as_nanos());
        }
        for via in 0..n {
            for place in 0..n * n {
                if let (Some(a), Some(b)) = (table[place / n * n + via], table[via * n + place % n]) {
                    table[place] = Some(table[place].map_or(a + b, |old: u64| old.min(a + b)));
                }
            }
        }
        table
    }

    proptest! {
        #[test]
        fn shortest_ways_agree_with_floyd_and_warshall(
            edges in prop::collection::btree_map((0usize..8, 0usize..8), (0u64..100).prop_map(Delay::from_nanos), 0..30)
        ) {
            let mut neighbours = vec![Vec::new(); 8];
            for ((from, to), delay) in &edges {
                neighbours[*from].push((*to, *delay));
            }
            let given = edges.iter().filter(|((from, to), _)| from != to).map(|(pair, delay)| (*pair, *delay)).collect();
            let expected = all_shortest(8, &given);
            for from in 0..8 {
                let found: Vec<_> =
                    shortest_ways(&neighbours, from).into_iter().map(|way| way.map(Delay::as_nanos)).collect();
                prop_assert_eq!(&found, &expected[from * 8..][..8]);
            }
        }
    }
}
