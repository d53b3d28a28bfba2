//! What of a head is passed on; pure.

use hyper::header::{
    CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

/// Says in a head that a proxy had the message (RFC 9110, section 7.6.3).
pub(super) const BY_US: &str = "1.1 longhaul";

/// What is meant for the next hop alone (RFC 9110, section 7.6.1). `Expect` is ours to answer, which hyper does.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The most names that `Connection` may list; who lists more means no good.
const MOST_LISTED: usize = 32;

/// Removes what is meant for this hop alone, and says that we had the message.
pub(super) fn pass_on(headers: &mut HeaderMap) {
    // Most heads have none of them.
    if headers.contains_key(CONNECTION) {
        for name in listed(headers) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(EXPECT);
    headers.append(VIA, HeaderValue::from_static(BY_US));
}

/// The names that `Connection` lists. What tells a message's length or whom it is for is never taken from it.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let kept = ["content-length", "host"];
    names.filter(|name| !kept.contains(&name.as_str())).take(MOST_LISTED).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn passed(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        pass_on(&mut headers);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_for_one_hop_stays_here() {
        let lines = [
            ("connection", "close, X-Private"),
            ("connection", "x-other , "),
            ("x-private", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "secret"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ];
        assert_eq!(passed(&lines), ["accept", "via"]);
    }

    #[test]
    fn who_lists_the_length_or_the_host_does_not_get_rid_of_them() {
        let lines = [("connection", "content-length, host"), ("content-length", "5"), ("host", "a")];
        assert_eq!(passed(&lines), ["content-length", "host", "via"]);
    }
}
