//! Plain requests and answers, the form that nearly all have: found and made ready for the next hop in one pass; pure.
//!
//! Nothing is refused here. What is not plain, or only may not be, the HTTP library gets, behind [`crate::serving::Framing`]; so a
//! doubt costs time and nothing else, and every test here is as narrow as it can be.

use super::headers::BY_US;
use crate::serving::{Lines, content_length};

/// The header by which the answer says whose it is, where the instance does not.
pub(super) const INSTANCE_HEADER: &str = "x-longhaul-instance";

/// The most headers.
const MOST_FIELDS: usize = 64;

/// What a plain request says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainRequest<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    /// The value of the header that names the service.
    pub(super) service: Option<&'a [u8]>,
    /// The bytes that it has; what stands behind them is the next request's.
    pub(super) length: usize,
}

/// What a plain answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlainAnswer {
    pub(super) status: u16,
    /// It says that it is the last of the connection.
    pub(super) last: bool,
}

/// What we say about an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours<'a> {
    /// Whose it is.
    pub(super) instance: &'a [u8],
    /// The date, if the instance does not say it (RFC 9110, section 6.6.1).
    pub(super) date: fn() -> String,
    /// It is the last of the connection.
    pub(super) last: bool,
}

/// What a header is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Is passed on.
    Ordinary,
    Host,
    Cookie,
    Length,
    Date,
    Instance,
    /// Says that the connection is kept, which goes without saying.
    Kept,
    /// Makes of its message one that is not plain.
    Odd,
}

/// The request without a body that `bytes` begin with, if it is plain and its head has at most `most` bytes. What an instance is to
/// get is added to `wire`; if the request is not plain, that may be a part. `header` names the service, in small letters.
pub(super) fn request<'a>(bytes: &'a [u8], header: &str, most: usize, wire: &mut Vec<u8>) -> Option<PlainRequest<'a>> {
    let mut lines = Lines::of(bytes);
    let line = lines.next()?.ok()?;
    let (method, target) = request_line(line)?;
    put(wire, &[line, b"\r\n"]);
    let (mut hosts, mut cookies, mut service) = (0, 0, None);
    for (name, value) in fields(&mut lines) {
        let (name, value) = (name, value?);
        if name.eq_ignore_ascii_case(header.as_bytes()) && service.replace(value).is_some() {
            return None;
        }
        match kind(name, value) {
            Kind::Odd | Kind::Length => return None,
            Kind::Kept => continue,
            Kind::Host => hosts += 1,
            // HTTP/1.1 has one line of them; who joins them is the other way.
            Kind::Cookie => cookies += 1,
            Kind::Ordinary | Kind::Date | Kind::Instance => {}
        }
        put(wire, &[name, b": ", value, b"\r\n"]);
    }
    let length = bytes.len() - lines.rest().len();
    if !bytes[..length].ends_with(b"\r\n\r\n") || length > most || hosts != 1 || cookies > 1 {
        return None;
    }
    put(wire, &[b"via: ", BY_US.as_bytes(), b"\r\n\r\n"]);
    Some(PlainRequest { method, target, service, length })
}

/// The answer that `bytes` are, if it is plain, whole, and there is nothing behind it. What the client is to get is added to `wire`;
/// if the answer is not plain, that may be a part.
pub(super) fn answer(bytes: &[u8], ours: &Ours<'_>, wire: &mut Vec<u8>) -> Option<PlainAnswer> {
    let mut lines = Lines::of(bytes);
    let line = lines.next()?.ok()?;
    let status = status_line(line)?;
    put(wire, &[line, b"\r\n"]);
    let (mut length, mut dated, mut named) = (None, false, false);
    for (name, value) in fields(&mut lines) {
        let (name, value) = (name, value?);
        match kind(name, value) {
            Kind::Odd => return None,
            Kind::Kept => continue,
            Kind::Length => {
                let said = content_length(value).ok()?;
                if length.replace(said).is_some() {
                    return None;
                }
            }
            Kind::Date => dated = true,
            Kind::Instance => named = true,
            Kind::Ordinary | Kind::Host | Kind::Cookie => {}
        }
        put(wire, &[name, b": ", value, b"\r\n"]);
    }
    let body = lines.rest();
    if !bytes[..bytes.len() - body.len()].ends_with(b"\r\n\r\n") || length? != body.len() as u64 {
        return None;
    }
    put(wire, &[b"via: ", BY_US.as_bytes(), b"\r\n"]);
    if !named {
        put(wire, &[INSTANCE_HEADER.as_bytes(), b": ", ours.instance, b"\r\n"]);
    }
    if !dated {
        put(wire, &[b"date: ", (ours.date)().as_bytes(), b"\r\n"]);
    }
    put(wire, &[if ours.last { b"connection: close\r\n\r\n" } else { b"\r\n" }, body]);
    Some(PlainAnswer { status, last: ours.last })
}

fn put(wire: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        wire.extend_from_slice(piece);
    }
}

/// Methods whose requests mean the same without a body as with an empty one, and whose answers have the body that they say.
fn request_line(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let target = rest.strip_suffix(" HTTP/1.1")?;
    let fine = matches!(method, "GET" | "DELETE" | "OPTIONS")
        && target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/?".contains(&byte));
    fine.then_some((method, target))
}

/// The status of an answer with a body of its length: not of one that is none yet, and not of those that never have a body.
fn status_line(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let fine = digits.iter().all(u8::is_ascii_digit)
        && (200..600).contains(&status)
        && ![204, 205, 304].contains(&status)
        && reason.first() == Some(&b' ')
        && is_text(reason);
    fine.then_some(status)
}

/// The headers up to the empty line, which is taken too: name and value, or `None` for the value of what is none, and then no more.
fn fields<'l, 'a>(lines: &'l mut Lines<'a>) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'l, 'a> {
    let (mut left, mut over) = (MOST_FIELDS, false);
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let line = lines.next()?.ok().filter(|_| left > 0);
        left = left.saturating_sub(1);
        if line == Some(b"") {
            return None;
        }
        let field = line.and_then(field);
        over = field.is_none();
        Some(field.map_or((&b""[..], None), |(name, value)| (name, Some(value))))
    })
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    (!name.is_empty() && name.iter().all(|byte| is_token(*byte)) && is_text(value)).then_some((name, value))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, section 5.5, without the letters beyond ASCII.
fn is_text(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

fn kind(name: &[u8], value: &[u8]) -> Kind {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    // By their lengths first: most names end there.
    match name.len() {
        2 if is("te") => Kind::Odd,
        4 if is("host") => Kind::Host,
        4 if is("date") => Kind::Date,
        6 if is("cookie") => Kind::Cookie,
        6 if is("expect") => Kind::Odd,
        7 if is("trailer") || is("upgrade") => Kind::Odd,
        10 if is("keep-alive") => Kind::Kept,
        10 if is("connection") && value.eq_ignore_ascii_case(b"keep-alive") => Kind::Kept,
        10 if is("connection") => Kind::Odd,
        14 if is("content-length") => Kind::Length,
        16 if is("proxy-connection") => Kind::Odd,
        17 if is("transfer-encoding") => Kind::Odd,
        18 if is("proxy-authenticate") => Kind::Odd,
        19 if is("proxy-authorization") => Kind::Odd,
        19 if is(INSTANCE_HEADER) => Kind::Instance,
        _ => Kind::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::serving::Framing;
    use proptest::prelude::*;

    fn passed(bytes: &str) -> Option<(PlainRequest<'_>, String)> {
        let mut wire = Vec::new();
        let request = request(bytes.as_bytes(), "x-longhaul-service", 8_192, &mut wire)?;
        Some((request, String::from_utf8(wire).unwrap()))
    }

    fn answered(bytes: &str, last: bool) -> Option<(u16, String)> {
        let mut wire = Vec::new();
        let ours = Ours { instance: b"i1", date: || "today".to_owned(), last };
        let answer = answer(bytes.as_bytes(), &ours, &mut wire)?;
        assert_eq!(answer.last, last);
        Some((answer.status, String::from_utf8(wire).unwrap()))
    }

    #[test]
    fn a_plain_request_is_passed_on_as_it_came() {
        let head = "GET /a?b=c%20d HTTP/1.1\r\nHost: shop.example\r\nX-Longhaul-Service:s \r\nConnection: Keep-Alive\r\n\
            Keep-Alive: timeout=5\r\nCookie: a=1\r\nAccept:\t*/*\r\nX-Empty:\r\n\r\n";
        let bytes = format!("{head}GET /next");
        let (request, wire) = passed(&bytes).unwrap();
        let service = Some(&b"s"[..]);
        assert_eq!(request, PlainRequest { method: "GET", target: "/a?b=c%20d", service, length: head.len() });
        let expected = "GET /a?b=c%20d HTTP/1.1\r\nHost: shop.example\r\nX-Longhaul-Service: s\r\nCookie: a=1\r\nAccept: */*\r\n\
            X-Empty: \r\nvia: 1.1 longhaul\r\n\r\n";
        assert_eq!(wire, expected);
    }

    #[test]
    fn what_may_not_be_a_plain_request_is_none() {
        let with = |headers: &str| passed(&format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n")).map(|(_, wire)| wire);
        assert!(with("").is_some() && with("X: y\r\nX: z\r\n").is_some());
        for headers in [
            "Content-Length: 0\r\n",
            "content-length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "Upgrade: websocket\r\n",
            "TE: trailers\r\n",
            "Trailer: x\r\n",
            "Connection: close\r\n",
            "Connection: x\r\n",
            "Connection: keep-alive, x\r\n",
            "Proxy-Connection: keep-alive\r\n",
            "Proxy-Authorization: x\r\n",
            "Host: i\r\n",
            "Cookie: a=1\r\nCookie: b=2\r\n",
            "X-Longhaul-Service: s\r\nx-longhaul-service: t\r\n",
            "A: b\n",
            "A: b\rc\r\n",
            "A: \0\r\n",
            "A: \x7f\r\n",
            "A: \u{e9}\r\n",
            "A : b\r\n",
            "A\r\n",
            ": b\r\n",
            " A: b\r\n",
            "A: b\r\n c: d\r\n",
        ] {
            assert_eq!(with(headers), None, "{headers:?}");
        }
        assert_eq!(with(&"A: b\r\n".repeat(MOST_FIELDS)), None);
        assert_eq!(with(&format!("A: {}\r\n", "x".repeat(8_192))), None);
        for line in [
            "POST / HTTP/1.1",
            "HEAD / HTTP/1.1",
            "CONNECT h:1 HTTP/1.1",
            "get / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET / HTTP/2.0",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET http://h/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET /",
            "GET /# HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /\" HTTP/1.1",
            "GET",
            "",
        ] {
            assert_eq!(passed(&format!("{line}\r\nHost: h\r\n\r\n")), None, "{line:?}");
        }
        for bytes in
            ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n", "\r\nGET / HTTP/1.1"]
        {
            assert_eq!(passed(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_plain_answer_says_whose_it_is() {
        let bytes = "HTTP/1.1 200 Fine so\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\nX:y\r\n\r\nhello";
        let ours = "via: 1.1 longhaul\r\nx-longhaul-instance: i1\r\ndate: today\r\n";
        let expected = format!("HTTP/1.1 200 Fine so\r\nContent-Length: 5\r\nX: y\r\n{ours}\r\nhello");
        assert_eq!(answered(bytes, false), Some((200, expected)));
        let own = "HTTP/1.1 404 \r\nDate: then\r\nX-Longhaul-Instance: me\r\ncontent-length: 0\r\n\r\n";
        let expected = "HTTP/1.1 404 \r\nDate: then\r\nX-Longhaul-Instance: me\r\ncontent-length: 0\r\nvia: 1.1 longhaul\r\n\
            connection: close\r\n\r\n";
        assert_eq!(answered(own, true), Some((404, expected.to_owned())));
    }

    #[test]
    fn what_may_not_be_a_plain_answer_is_none() {
        let with = |headers: &str, body: &str| answered(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}"), false);
        assert!(with("Content-Length: 2\r\n", "ab").is_some());
        for (headers, body) in [
            ("", ""),
            ("Content-Length: 2\r\n", "a"),
            ("Content-Length: 2\r\n", "abc"),
            ("Content-Length: +2\r\n", "ab"),
            ("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"),
            ("Content-Length: 2, 2\r\n", "ab"),
            ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "ab"),
            ("Content-Length: 2\r\nConnection: close\r\n", "ab"),
            ("Content-Length: 2\r\nTrailer: x\r\n", "ab"),
            ("Content-Length: 2\r\nUpgrade: x\r\n", "ab"),
            ("Content-Length: 2\nX: y\r\n", "ab"),
            ("Content-Length: 9999999999\r\n", "ab"),
            ("Content-Length:\r\n", ""),
        ] {
            assert_eq!(with(headers, body), None, "{headers:?}");
        }
        for line in [
            "HTTP/1.0 200 OK",
            "HTTP/1.1 200",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 101 Switching",
            "HTTP/1.1 204 No",
            "HTTP/1.1 205 No",
            "HTTP/1.1 304 No",
            "HTTP/1.1 600 X",
            "HTTP/1.1 20 X",
            "HTTP/1.1 +20 X",
            "HTTP/1.1 2000 X",
            "HTTP/1.1  200 OK",
            "ICY 200 OK",
        ] {
            assert_eq!(answered(&format!("{line}\r\nContent-Length: 0\r\n\r\n"), false), None, "{line:?}");
        }
        for end in 0.."HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab".len() {
            assert_eq!(answered(&"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"[..end], false), None, "{end}");
        }
    }

    proptest! {
        /// What is plain is what the strictest reading takes for one request without a body, and so is what is passed on.
        #[test]
        fn a_plain_request_is_one_by_the_strictest_reading(
            line in prop::sample::select(vec!["GET / HTTP/1.1", "DELETE /a HTTP/1.1", "GET / HTTP/1.0", "GET /\t HTTP/1.1"]),
            parts in prop::collection::vec(prop::sample::select(vec![
                "Host: a\r\n", "Host:b\r\n", "X: y\r\n", "\r\n", "\n", "\r", " ", ":", "Content-Length: 3\r\n", "Cookie: c\r\n",
                "Connection: keep-alive\r\n", "Transfer-Encoding: chunked\r\n", "X-Longhaul-Service: s\r\n", "0\r\n\r\n", "\0", "\x0b",
            ]), 0..6),
            end in prop::sample::select(vec!["\r\n", "\r\n\r\n", "\n\n", ""]),
        ) {
            let bytes = format!("{line}\r\nHost: h\r\n{}{end}", parts.concat());
            if let Some((request, wire)) = passed(&bytes) {
                for whole in [&bytes[..request.length], &wire] {
                    let mut framing = Framing::default();
                    prop_assert_eq!(framing.feed(whole.as_bytes()), Ok(()), "{:?}", whole);
                    prop_assert!(!framing.is_amid_head() && !framing.is_amid_body(), "{:?}", whole);
                    prop_assert_eq!(whole.matches("\r\n\r\n").count(), 1, "{:?}", whole);
                }
            }
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let ours = Ours { instance: b"i", date: String::new, last: false };
            for start in ["", "GET / HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"] {
                let bytes = [start.as_bytes(), &bytes].concat();
                let _ = request(&bytes, "x", 8_192, &mut Vec::new());
                let _ = answer(&bytes, &ours, &mut Vec::new());
            }
        }
    }
}
