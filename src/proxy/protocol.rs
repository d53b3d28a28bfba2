//! [`Protocol`]: how the instances of a service are spoken to, and how a request is made ready for that; pure.

use hyper::header::{COOKIE, HOST, HeaderMap, HeaderValue, TE};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Uri, Version};

use super::headers::pass_on;

/// How the instances of a service are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1: a connection has one request at a time.
    #[default]
    Http1,
    /// HTTP/2 without TLS, begun without asking ("prior knowledge"): a connection has many.
    H2c,
}

/// A request whose target cannot be said to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsayable;

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Http1, Self::H2c];

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Makes of a client's request, of whatever version, the one that an instance gets.
    pub(super) fn prepare<B>(self, request: &mut Request<B>) -> Result<(), Unsayable> {
        // Of HTTP/2, and of requests as a forward proxy gets them, the host stands in the target.
        if let Some(authority) = request.uri().authority() {
            let host = HeaderValue::try_from(authority.as_str()).map_err(|_| Unsayable)?;
            request.headers_mut().insert(HOST, host);
        }
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let takes_trailers = self == Self::H2c && names_trailers(request.headers());
        pass_on(request.headers_mut());
        *request.uri_mut() = Uri::from(path);
        *request.version_mut() = Version::HTTP_11;
        match self {
            Self::Http1 => join_cookies(request.headers_mut()),
            Self::H2c => {
                say_authority(request)?;
                if takes_trailers {
                    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
                }
            }
        }
        Ok(())
    }
}

/// Whether the client takes trailers; the proxy passes them on between two hops of HTTP/2, and some instances want to know.
fn names_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Moves the host to where HTTP/2 has it. A request without one, which HTTP/1.0 allows, stays without.
fn say_authority<B>(request: &mut Request<B>) -> Result<(), Unsayable> {
    let Some(host) = request.headers_mut().remove(HOST).filter(|host| !host.is_empty()) else { return Ok(()) };
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| Unsayable)?;
    // Names of users have no place in it (RFC 9113, section 8.3.1).
    if authority.as_str().contains('@') {
        return Err(Unsayable);
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Unsayable)?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// HTTP/2 may have cookies in pieces; HTTP/1.1 has one line of them (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    // Pieces that are values stay one when joined.
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prepared(
        protocol: Protocol,
        target: &str,
        lines: &[(&'static str, &'static str)],
    ) -> Result<Request<()>, Unsayable> {
        let mut request = Request::get(target).body(()).unwrap();
        for (name, value) in lines {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        protocol.prepare(&mut request).map(|()| request)
    }

    #[test]
    fn the_host_stands_where_the_protocol_has_it() {
        let old = prepared(Protocol::Http1, "http://shop.example/a?b", &[("host", "other")]).unwrap();
        assert_eq!(
            (old.uri().to_string(), &old.headers()[HOST]),
            ("/a?b".to_owned(), &"shop.example".parse().unwrap())
        );
        for (target, host) in [("http://shop.example:8/a?b", "other"), ("/a?b", "shop.example:8")] {
            let new = prepared(Protocol::H2c, target, &[("host", host)]).unwrap();
            assert_eq!(
                (new.uri().to_string(), new.version()),
                ("http://shop.example:8/a?b".to_owned(), Version::HTTP_2)
            );
            assert!(!new.headers().contains_key(HOST));
        }
        let without = prepared(Protocol::H2c, "/a", &[]).unwrap();
        assert_eq!((without.uri().to_string(), without.version()), ("/a".to_owned(), Version::HTTP_11));
        for host in ["user@shop.example", "a b", "a/b", "[::1"] {
            assert_eq!(prepared(Protocol::H2c, "/", &[("host", host)]).unwrap_err(), Unsayable, "{host}");
        }
    }

    #[test]
    fn trailers_may_go_on_over_http2_alone() {
        let lines = [("te", "gzip, Trailers"), ("connection", "te")];
        assert_eq!(prepared(Protocol::H2c, "/", &lines).unwrap().headers()[TE], "trailers");
        assert!(!prepared(Protocol::H2c, "/", &[("te", "gzip")]).unwrap().headers().contains_key(TE));
        assert!(!prepared(Protocol::Http1, "/", &lines).unwrap().headers().contains_key(TE));
    }

    #[test]
    fn cookies_in_pieces_become_one_line_of_http1() {
        let lines = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3")];
        let cookies = |protocol| {
            let request = prepared(protocol, "/", &lines).unwrap();
            request.headers().get_all(COOKIE).iter().map(|one| one.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cookies(Protocol::Http1), ["a=1; b=2; c=3"]);
        assert_eq!(cookies(Protocol::H2c), ["a=1", "b=2; c=3"]);
    }
}
