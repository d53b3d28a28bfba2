//! Lines of a bounded length: from a reader that may block, and by a stream socket that never blocks its owner.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// The longest line in bytes: a row of 10,000 destinations is far below it, and so is a timeline of ten thousand steps.
pub const MAX_LINE: usize = 64 * 1024 * 1024;

/// What a line says that is too long.
pub const TOO_LONG: &str = "a request is longer than 64 MiB, which is more than any row takes";

/// How much is kept of a line that is too long: enough for the number of a request.
const KEPT: usize = 64;

/// A line of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// All of it, without its end.
    Whole(Vec<u8>),
    /// Only its beginning: it was longer than it may be.
    TooLong(Vec<u8>),
}

/// Reads a line of at most `most` bytes, and past a longer one without keeping it; `None` at the end of the input. What
/// stands after the last line end is a line too.
pub fn read_line(input: &mut impl BufRead, most: usize) -> io::Result<Option<Line>> {
    let (mut line, mut length, mut any) = (Vec::new(), 0usize, false);
    loop {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        any |= !bytes.is_empty();
        length = length.saturating_add(part.len());
        if length <= most {
            line.extend_from_slice(part);
        } else {
            line.extend_from_slice(&part[..part.len().min(KEPT)]);
            // Its space is given back at once.
            line.truncate(KEPT);
            line.shrink_to_fit();
        }
        let (taken, over) = (part.len() + usize::from(end.is_some()), end.is_some() || bytes.is_empty());
        input.consume(taken);
        if over {
            let line = if length > most { Line::TooLong(line) } else { Line::Whole(line) };
            return Ok(any.then_some(line));
        }
    }
}

/// A non-blocking stream with what has been read of the next line and what is still to be written.
pub struct Lines {
    stream: UnixStream,
    inward: Vec<u8>,
    /// How much of `inward` is known to hold no line end.
    scanned: usize,
    outward: Vec<u8>,
    /// How many bytes have come so far.
    received: u64,
}

impl Lines {
    /// Takes over a connected stream.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, inward: Vec::new(), scanned: 0, outward: Vec::new(), received: 0 })
    }

    /// The stream itself, to send open files over.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// How many bytes have come so far: a long line on a slow way is a sign of life before it is complete.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// For polling.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// True while something waits to be written.
    pub fn wants_to_write(&self) -> bool {
        !self.outward.is_empty()
    }

    /// Reads what has arrived and returns the complete lines; `None` in the second place means that the stream goes on.
    pub fn read_lines(&mut self) -> (Vec<Vec<u8>>, Option<io::Error>) {
        let end = self.fill();
        let mut lines = Vec::new();
        while let Some(length) = self.inward[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let rest = self.inward.split_off(self.scanned + length + 1);
            let mut line = std::mem::replace(&mut self.inward, rest);
            line.pop();
            lines.push(line);
            self.scanned = 0;
        }
        self.scanned = self.inward.len();
        let too_long = self.inward.len() > MAX_LINE;
        (lines, end.or_else(|| too_long.then(|| io::Error::new(ErrorKind::InvalidData, TOO_LONG))))
    }

    fn fill(&mut self) -> Option<io::Error> {
        let mut chunk = [0u8; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Some(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.inward.extend_from_slice(&chunk[..length]);
                    self.received += length as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
            if self.inward.len() > MAX_LINE {
                return None;
            }
        }
    }

    /// Queues bytes, whole lines or parts of them, and writes what the peer takes now.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outward.extend_from_slice(bytes);
        self.flush()
    }

    /// Queues a line and writes what the peer takes now.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.outward.extend_from_slice(line);
        self.outward.push(b'\n');
        self.flush()
    }

    /// Writes what the peer takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.outward.is_empty() {
            match self.stream.write(&self.outward) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.outward.drain(..length);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(far).unwrap();
        near.write_all(b"one\ntw").unwrap();
        assert_eq!(lines.read_lines().0, vec![b"one".to_vec()]);
        near.write_all(b"o\n\nthree\nfo").unwrap();
        assert_eq!(lines.read_lines().0, vec![b"two".to_vec(), b"".to_vec(), b"three".to_vec()]);
        drop(near);
        let (rest, end) = lines.read_lines();
        assert!(rest.is_empty() && end.is_some());
    }

    #[test]
    fn long_lines_are_read_past() {
        let text = [&b"one\n\n"[..], &[b'x'; 300], b"\ntwo\n", &[b'y'; 200], b"\nlast"].concat();
        let mut input = std::io::BufReader::with_capacity(7, &text[..]);
        let mut next = || read_line(&mut input, 200).unwrap();
        let whole = |text: &[u8]| Some(Line::Whole(text.to_vec()));
        assert_eq!([next(), next()], [whole(b"one"), whole(b"")]);
        let Some(Line::TooLong(kept)) = next() else { panic!("300 bytes are too long") };
        assert!(kept.len() <= KEPT && kept.iter().all(|byte| *byte == b'x') && !kept.is_empty());
        assert_eq!([next(), next(), next(), next()], [whole(b"two"), whole(&[b'y'; 200]), whole(b"last"), None]);
    }

    #[test]
    fn a_slow_reader_does_not_block_the_writer() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(near).unwrap();
        let long = vec![b'x'; 4 * 1024 * 1024];
        lines.write_line(&long).unwrap();
        assert!(lines.wants_to_write());
        let reader = std::thread::spawn(move || {
            let mut far = far;
            let mut total = Vec::new();
            far.read_to_end(&mut total).unwrap();
            total.len()
        });
        while lines.wants_to_write() {
            lines.flush().unwrap();
            std::thread::yield_now();
        }
        drop(lines);
        assert_eq!(reader.join().unwrap(), long.len() + 1);
    }
}
