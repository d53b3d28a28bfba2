//! Requests on their way: what a policy noted when it gave one away, until that ends.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::RequestId;

/// Notes by request. Nothing ever goes through them in order, so the map's order cannot change a decision.
#[derive(Debug)]
pub(super) struct Flights<T>(HashMap<RequestId, T, BuildHasherDefault<Spread>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> Flights<T> {
    /// A request leaves.
    pub(super) fn leave(&mut self, request: RequestId, note: T) {
        self.0.insert(request, note);
    }

    /// A request has ended; its note. `None` for one that never left, or ended before.
    pub(super) fn end(&mut self, request: RequestId) -> Option<T> {
        self.0.remove(&request)
    }
}

/// Spreads the bits of one number; requests are numbered by ourselves, so nobody can choose them to collide.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_once_whatever_its_number() {
        let mut flights = Flights::default();
        let numbers = || (0..1000u64).flat_map(|n| [n, n << 32, u64::MAX - n]).map(RequestId);
        numbers().for_each(|request| flights.leave(request, request.0));
        assert_eq!(flights.end(RequestId(5_000)), None);
        let first: Vec<u64> = numbers().filter_map(|request| flights.end(request)).collect();
        assert_eq!(first.len(), 2999, "0 and 0 << 32 are one");
        assert!(numbers().all(|request| flights.end(request).is_none()));
    }
}
