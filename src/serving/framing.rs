//! Where messages begin and end on an HTTP/1.1 connection, by the strictest reading; pure.
//!
//! Whoever reads a request more leniently than the next hop can be made to see another request than that hop does: that is
//! request smuggling. So what has two readings is refused here, before the HTTP library sees it (RFC 9112, sections 2.2, 5,
//! 6 and 11.2): a line that ends by LF alone, folded lines, a length beside a transfer coding, two lengths, codings other
//! than `chunked`, two hosts, long chunk extensions.

/// The most bytes of a head that are looked at; the HTTP library refuses far shorter ones by its own limit.
const MAX_HEAD: usize = 256 * 1024;

/// The most bytes after a chunk's size, and of all trailers together.
const MAX_EXTENSION: usize = 128;
const MAX_TRAILERS: usize = 8 * 1024;

/// The most chunks of at most [`SMALL_CHUNK`] bytes that may come in a row: each costs as much as a large one.
const MAX_SMALL_CHUNKS: u32 = 10_000;
const SMALL_CHUNK: u64 = 8;

/// What is refused. `at` is where the offending message begins in the bytes that were given: what stands before is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// What is wrong.
    pub what: &'static str,
    /// Bytes of the given ones that belong to messages before it.
    pub at: usize,
    /// Whether the head is wrong, so that an answer can still be given; else the body is.
    pub in_head: bool,
}

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body(u64),
    Size { digits: u32, size: u64 },
    Extension { length: usize, size: u64 },
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    Trailer { line: usize, total: usize, returned: bool },
}

/// Follows one connection.
#[derive(Debug)]
pub struct Framing {
    part: Part,
    /// A head of which the end is still to come.
    head: Vec<u8>,
    small_chunks: u32,
}

impl Default for Framing {
    fn default() -> Self {
        Self { part: Part::Head, head: Vec::new(), small_chunks: 0 }
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
}

impl Framing {
    /// Looks at bytes that came. After a refusal the connection is to be given up.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (mut place, mut start) = (0, 0);
        while place < bytes.len() {
            let rest = &bytes[place..];
            let in_head = self.part == Part::Head;
            if in_head {
                start = place;
            }
            let taken = if in_head { self.head(rest) } else { self.body(rest) };
            place += taken.map_err(|what| Refusal { what, at: start, in_head })?;
        }
        Ok(())
    }

    /// Whether a head has begun and not ended.
    pub fn is_amid_head(&self) -> bool {
        self.part == Part::Head && !self.head.is_empty()
    }

    /// Whether a body has begun and not ended.
    pub fn is_amid_body(&self) -> bool {
        self.part != Part::Head
    }

    /// Takes bytes of a head; how many.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        if self.head.is_empty() {
            // What most clients do: a head in one piece, not copied.
            if let Some(length) = end_of_head(bytes, 0) {
                self.part = first_part(judge(&bytes[..length])?);
                return Ok(length);
            }
        }
        let (before, scanned) = (self.head.len(), self.head.len().saturating_sub(3));
        if before + bytes.len() > MAX_HEAD {
            return Err("a head without end");
        }
        self.head.extend_from_slice(bytes);
        let Some(length) = end_of_head(&self.head, scanned) else { return Ok(bytes.len()) };
        self.part = first_part(judge(&self.head[..length])?);
        self.head.clear();
        Ok(length - before)
    }

    /// Takes bytes of a body; how many.
    fn body(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let much = |left: u64| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match self.part {
            Part::Body(left) => {
                let taken = much(left);
                self.part = if left == taken as u64 { Part::Head } else { Part::Body(left - taken as u64) };
                Ok(taken)
            }
            Part::Data(left) => {
                let taken = much(left);
                self.part = if left == taken as u64 { Part::DataReturn } else { Part::Data(left - taken as u64) };
                Ok(taken)
            }
            _ => self.chunk_byte(bytes[0]).map(|()| 1),
        }
    }

    /// Takes a byte between the data of chunks.
    fn chunk_byte(&mut self, byte: u8) -> Result<(), &'static str> {
        self.part = match (self.part, byte) {
            (Part::Size { digits, size }, byte) if byte.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                if digits == 15 {
                    return Err("a chunk too large");
                }
                Part::Size { digits: digits + 1, size: size * 16 + digit }
            }
            (Part::Size { digits: 1.., size } | Part::Extension { size, .. }, b'\r') => Part::SizeEnd(size),
            (Part::Size { digits: 1.., size }, b';') => Part::Extension { length: 0, size },
            (Part::Extension { length, size }, b'\t' | b' '..=b'~') if length < MAX_EXTENSION => {
                Part::Extension { length: length + 1, size }
            }
            (Part::SizeEnd(0), b'\n') => Part::Trailer { line: 0, total: 0, returned: false },
            (Part::SizeEnd(size), b'\n') => {
                self.small_chunks = if size <= SMALL_CHUNK { self.small_chunks + 1 } else { 0 };
                if self.small_chunks > MAX_SMALL_CHUNKS {
                    return Err("too many small chunks");
                }
                Part::Data(size)
            }
            (Part::DataReturn, b'\r') => Part::DataEnd,
            (Part::DataEnd, b'\n') => Part::Size { digits: 0, size: 0 },
            (Part::Trailer { line: 0, returned: true, .. }, b'\n') => Part::Head,
            (Part::Trailer { total, returned: true, .. }, b'\n') => Part::Trailer { line: 0, total, returned: false },
            (Part::Trailer { line, total, returned: false }, b'\r') => Part::Trailer { line, total, returned: true },
            (Part::Trailer { line, total, returned: false }, b'\t' | b' '..)
                if total < MAX_TRAILERS && byte != 0x7f =>
            {
                Part::Trailer { line: line + 1, total: total + 1, returned: false }
            }
            _ => return Err("a chunk that is none"),
        };
        Ok(())
    }
}

/// The length of the head that `bytes` begin with, its last line included; `None` as long as there is no end. An end by bare
/// line feeds counts as one too, so that it is found and refused.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut ends = memchr::memchr_iter(b'\n', &bytes[from..]).map(|place| from + place);
    ends.find(|end| {
        let line = &bytes[..*end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Empty lines before a head are no end of it: they are looked at as a head of their own.
        line.is_empty() || line.ends_with(b"\n")
    })
    .map(|end| end + 1)
}

fn first_part(length: Length) -> Part {
    match length {
        Length::Known(0) => Part::Head,
        Length::Known(length) => Part::Body(length),
        Length::Chunked => Part::Size { digits: 0, size: 0 },
    }
}

/// Whether a head has but one reading, and how its body is delimited.
fn judge(head: &[u8]) -> Result<Length, &'static str> {
    let mut lines = Lines::of(head);
    let request = lines.next().ok_or("no request")??;
    if request.is_empty() {
        return Err("an empty line before the request");
    }
    let new = match request {
        [.., b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if b"01".contains(minor) => *minor == b'1',
        _ => return Err("a request line that is none"),
    };
    let (mut length, mut coded, mut hosts) = (None, false, 0);
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let colon = memchr::memchr(b':', line).ok_or("a header without a colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            return Err("a folded header, or one with a space in its name");
        }
        // By their lengths first: most names end there.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let before = length.replace(content_length(value)?);
                before.is_none().then_some(()).ok_or("two lengths")?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if coded || !new || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("a transfer coding other than chunked");
                }
                coded = true;
            }
            _ => {}
        }
    }
    match (length, coded) {
        _ if hosts > 1 || (new && hosts == 0) => Err("not exactly one host"),
        (Some(_), true) => Err("a length beside a transfer coding"),
        (Some(length), false) => Ok(Length::Known(length)),
        (None, true) => Ok(Length::Chunked),
        (None, false) => Ok(Length::Known(0)),
    }
}

/// The lines of a head, without their ends. What does not end by CRLF, or has another CR or a NUL in it, is none.
#[derive(Debug)]
pub(crate) struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What stands behind those that were taken.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(match line.strip_suffix(b"\r") {
            Some(line) if memchr::memchr2(b'\r', 0, line).is_none() => Ok(line),
            _ => Err("a line that does not end by CRLF, or has a control character"),
        })
    }
}

/// A length of digits alone.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, &'static str> {
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or("a length that is no number")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn said(bytes: &str) -> Option<&'static str> {
        Framing::default().feed(bytes.as_bytes()).err().map(|refusal| refusal.what)
    }

    /// A request with these headers beside its host.
    fn with(headers: &str) -> Option<&'static str> {
        said(&format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n"))
    }

    #[test]
    fn plain_requests_pass_one_after_the_other() {
        let mut framing = Framing::default();
        let requests = "GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nHost:a\r\nContent-Length: 5\r\n\r\nhello\
             PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nT: 1\r\n\r\n\
             GET / HTTP/1.0\r\n\r\n";
        assert_eq!(framing.feed(requests.as_bytes()), Ok(()));
        assert!(!framing.is_amid_head() && !framing.is_amid_body());
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let folded = "a folded header, or one with a space in its name";
        let coding = "a transfer coding other than chunked";
        let number = "a length that is no number";
        let ending = "a line that does not end by CRLF, or has a control character";
        for (headers, what) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "a length beside a transfer coding"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "a length beside a transfer coding"),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "two lengths"),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", "two lengths"),
            ("Content-Length: 5, 5\r\n", number),
            ("Content-Length: +5\r\n", number),
            ("Content-Length: 0x5\r\n", number),
            ("Content-Length:\r\n", number),
            ("Content-Length: 9999999999999999999\r\n", number),
            ("Transfer-Encoding: xchunked\r\n", coding),
            ("Transfer-Encoding: gzip, chunked\r\n", coding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", coding),
            ("Transfer-Encoding: \"chunked\"\r\n", coding),
            ("Transfer-Encoding : chunked\r\n", folded),
            ("A: b\r\n c\r\n", "a header without a colon"),
            ("A: b\r\n c: d\r\n", folded),
            ("A: b\nC: d\r\n", ending),
            ("A: b\rC: d\r\n", ending),
            ("A: b\0\r\n", ending),
            (": b\r\n", folded),
            ("Host: b\r\n", "not exactly one host"),
        ] {
            assert_eq!(with(headers), Some(what), "{headers:?}");
        }
        assert_eq!(said("GET / HTTP/1.1\r\n\r\n"), Some("not exactly one host"));
        assert_eq!(said("GET / HTTP/1.1\nHost: a\n\n"), Some(ending));
        assert_eq!(said("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some("an empty line before the request"));
        assert_eq!(said("GET /\r\n\r\n"), Some("a request line that is none"));
        assert_eq!(
            said("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Some("a transfer coding other than chunked")
        );
    }

    #[test]
    fn chunks_have_one_form_and_bounds() {
        let none = Some("a chunk that is none");
        for (body, what) in [
            ("5\nhello\r\n0\r\n\r\n", none),
            ("5\r\nhello0\r\n\r\n", none),
            ("\r\n", none),
            ("-5\r\n", none),
            ("0x5\r\n", none),
            ("5 \r\n", none),
            ("5;a\nb\r\n", none),
            ("0\r\nT: 1\n\r\n", none),
            ("1000000000000000\r\n", Some("a chunk too large")),
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(said(&request), what, "{body:?}");
        }
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(said(&format!("{head}5;{}\r\nhello\r\n", "x".repeat(128))), None);
        assert_eq!(said(&format!("{head}5;{}", "x".repeat(129))), none);
        assert_eq!(said(&format!("{head}0\r\nT: {}", "x".repeat(9000))), none);
        assert_eq!(said(&format!("{head}{}", "1\r\nx\r\n".repeat(10_001))), Some("too many small chunks"));
    }

    #[test]
    fn a_refusal_tells_where_the_bad_message_begins() {
        let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let refusal = Framing::default().feed(format!("{good}GET / HTTP/1.1\n\n").as_bytes()).unwrap_err();
        assert_eq!((refusal.at, refusal.in_head), (good.len(), true));
    }

    proptest! {
        /// However the bytes are cut, the verdict is the same.
        #[test]
        fn cuts_do_not_matter(
            parts in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n", "\n", "\r", "Content-Length: 3\r\n", "abc",
                "POST / HTTP/1.1\r\nHost: a\r\n", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "T: 1\r\n", " ",
            ]), 0..14),
            cut in 1usize..40,
        ) {
            let bytes = parts.concat();
            let whole = said(&bytes);
            let mut framing = Framing::default();
            let pieces = bytes.as_bytes().chunks(cut).try_for_each(|piece| framing.feed(piece));
            prop_assert_eq!(pieces.err().map(|refusal| refusal.what), whole, "{:?}", bytes);
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Framing::default().feed(&bytes);
        }
    }
}
