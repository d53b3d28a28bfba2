//! Reading a delay matrix from a file or from bytes: CSV, JSON, GML or GraphML, told apart by their
//! content. The only I/O of this room.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::csv;
use super::delay_matrix::{DelayMatrix, MAX_NODES};
use super::error::{Place, Problem, ReadError};
use super::graph;
use super::json;
use super::tcconfig::{self, TcconfigProblem};
use super::unit::DelayUnit;

/// How an RTT table becomes one-way delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RttSplit {
    /// Each cell `r[i][j]` gives half of itself to the path from i to j.
    Halves,
}

/// What the reader may do with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// How to split round-trip times; `None` refuses files of kind rtt.
    pub split_rtt: Option<RttSplit>,
    /// The unit of latencies in graphs that have none; `None` refuses them.
    pub latency_unit: Option<DelayUnit>,
    /// Whether to drop impairments that a matrix cannot hold, with a comment, instead of refusing them.
    pub ignore_unsupported: bool,
}

/// Room for 24 characters in each cell of the largest matrix, and for its names.
const MAX_BYTES: u64 = (MAX_NODES * MAX_NODES * 24 + MAX_NODES * 512) as u64;

/// How much is looked at before the rest is read: enough for any header.
const HEAD_BYTES: u64 = 4 << 20;

/// Reads a delay matrix from a file.
pub fn read(path: &Path, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    parse(&path.display().to_string(), &read_bytes(path)?, options)
}

/// Reads a delay matrix from an open file or stream; `name` is what errors call it.
pub fn read_from(name: &str, reader: impl Read, options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    parse(name, &read_bytes_from(name, reader)?, options)
}

/// Reads the bytes of an open file or stream; `name` is what errors call it.
pub fn read_bytes_from(name: &str, reader: impl Read) -> Result<Vec<u8>, ReadError> {
    slurp(reader).map_err(|problem| ReadError::new(name, Place::File, problem))
}

/// Reads the bytes of a file, for the parsers of lists of cities and pairs.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    open(path).and_then(slurp).map_err(|problem| ReadError::new(&path.display().to_string(), Place::File, problem))
}

/// Makes a delay matrix of the bytes of a file; `name` is what errors call it.
pub fn parse(name: &str, bytes: &[u8], options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let at_file = |problem: Problem| ReadError::new(name, Place::File, problem);
    let text = decode(bytes).map_err(at_file)?;
    if text.trim_start().starts_with('{') {
        if tcconfig::is_tcconfig(text) {
            return Err(at_file(TcconfigProblem::OneRow.into()));
        }
        return json::parse(name, text);
    }
    if graph::is_xml(text) {
        return graph::parse_graphml(name, text, options);
    }
    if graph::is_gml(text) {
        return graph::parse_gml(name, text, options);
    }
    csv::parse(name, text, options)
}

fn open(path: &Path) -> Result<File, Problem> {
    let file = File::open(path).map_err(Problem::Io)?;
    if file.metadata().map_err(Problem::Io)?.is_dir() {
        return Err(Problem::Directory);
    }
    Ok(file)
}

/// Reads everything, but stops early at what cannot be a matrix: binary data, or a stream without end.
fn slurp(mut reader: impl Read) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    reader.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(Problem::Io)?;
    if is_utf16(&bytes) {
        reader.take(MAX_BYTES).read_to_end(&mut bytes).map_err(Problem::Io)?;
        return if bytes.len() as u64 > MAX_BYTES { Err(Problem::TooLarge(MAX_BYTES)) } else { from_utf16(&bytes) };
    }
    check_text(&bytes)?;
    if bytes.len() as u64 == HEAD_BYTES && csv::first_line_is_too_wide(&bytes) {
        return Err(Problem::TooManyNodes);
    }
    reader.take(MAX_BYTES).read_to_end(&mut bytes).map_err(Problem::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::TooLarge(MAX_BYTES));
    }
    Ok(bytes)
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// UTF-16 with its byte-order mark, which spreadsheets and the shell of Windows write, as UTF-8 without.
fn from_utf16(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let unit = if bytes[0] == 0xff {
        |pair: [u8; 2]| u16::from_le_bytes(pair)
    } else {
        |pair: [u8; 2]| u16::from_be_bytes(pair)
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text.into_bytes()),
        _ => Err(Problem::Utf16),
    }
}

/// Tells by the first bytes, or by any NUL, that this is no UTF-8 text, before the rest is read or decoded.
fn check_text(bytes: &[u8]) -> Result<(), Problem> {
    if is_utf16(bytes) {
        return Err(Problem::Utf16);
    }
    match bytes.iter().position(|byte| *byte == 0) {
        Some(offset) => Err(Problem::Binary(offset)),
        None => Ok(()),
    }
}

/// The bytes as text, without a byte-order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    check_text(bytes)?;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::NotUtf8 { offset: error.valid_up_to(), byte: bytes[error.valid_up_to()] })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(decode(b"\xef\xbb\xbf0,1").unwrap(), "0,1");
    }

    #[test]
    fn utf_16_is_read_in_both_orders() {
        let text = "\u{feff}a,ü\r\n0,1\r\n2,0\r\n";
        let units = || text.encode_utf16();
        let (little, big) = (units().flat_map(u16::to_le_bytes), units().flat_map(u16::to_be_bytes));
        for bytes in [little.collect::<Vec<u8>>(), big.collect()] {
            let matrix = read_from("x", &bytes[..], ReadOptions::default()).unwrap();
            assert_eq!((matrix.names()[1].as_str(), matrix.delay(1, 0).as_nanos()), ("ü", 2_000_000));
            let cut = read_from("x", &bytes[..bytes.len() - 1], ReadOptions::default()).unwrap_err();
            assert_eq!(cut.to_string(), "x: is UTF-16 text that is not whole; save it as UTF-8");
        }
    }

    #[test]
    fn an_endless_binary_file_is_refused_from_its_head() {
        let error = read(Path::new("/dev/zero"), ReadOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/zero: has a NUL byte at offset 0, so it is a binary file; give a text file (CSV or JSON)"
        );
    }

    #[test]
    fn a_table_too_wide_is_refused_from_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.csv");
        let line = format!("0{}\n", ",1".repeat(MAX_NODES + 1));
        std::fs::write(&path, line.repeat(600)).unwrap();
        assert!(matches!(open(&path).and_then(slurp), Err(Problem::TooManyNodes)));
    }
}
