//! Pure: how long to wait for answers.

use std::time::Duration;

use crate::agent::protocol::Request;

/// How long an agent may take to answer, beyond what its task takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the next answer to one of these requests may take: what they themselves take, and far more than a busy machine
/// needs on top.
pub(super) fn of<'a>(requests: impl Iterator<Item = &'a Request>) -> Duration {
    let own = |request: &Request| match request {
        Request::Probe(order) => order.plan().duration().as_duration() + order.grace.as_duration(),
        _ => Duration::ZERO,
    };
    let (count, longest) = requests.fold((0, Duration::ZERO), |(count, most), one| (count + 1, most.max(own(one))));
    longest + ANSWER_TIMEOUT + Duration::from_millis(200) * count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_task() {
        let quick = of([Request::Ready].iter());
        assert!((60..120).contains(&quick.as_secs()), "{quick:?}");
        let order = crate::measure::ProbeOrder {
            run: 1,
            me: 0,
            addresses: vec![std::net::Ipv4Addr::LOCALHOST.into(); 2],
            probes: 1_000,
            warm_up: 0,
            interval: crate::units::Span::from_millis(1_000),
            pattern: crate::measure::Pattern::Rounds,
            start_realtime_ns: 0,
            grace: crate::units::Span::from_millis(5_000),
        };
        assert!(of([Request::Probe(order)].iter()) > quick + Duration::from_secs(1_000));
    }
}
