//! [`Flight`]: a request that an instance has; whatever happens to it, the policy is told once.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::service::Service;
use super::upstream::Upstream;
use crate::balance::{Completion, Outcome, RequestId};
use crate::serving::Clock;
use crate::units::{Moment, Span};

/// A request that an instance has.
pub(super) struct Flight {
    service: Arc<Service>,
    pub(super) upstream: Arc<Upstream>,
    request: RequestId,
    clock: Clock,
    begun: Moment,
    told: bool,
}

impl Flight {
    /// Asks the policy; `None` if there is no instance.
    pub(super) fn begin(service: &Arc<Service>, clock: Clock) -> Option<Self> {
        let begun = clock.now();
        let (request, upstream) = service.pick(begun)?;
        Some(Self { service: Arc::clone(service), upstream, request, clock, begun, told: false })
    }

    /// Tells the policy; the first time counts. How long it took.
    pub(super) fn end(&mut self, outcome: Outcome) -> Span {
        let now = self.clock.now();
        let latency = now.since(self.begun);
        if !self.told {
            self.told = true;
            let completion = Completion { request: self.request, instance: self.upstream.id, latency, outcome };
            self.service.complete(now, &completion, &self.upstream);
        }
        latency
    }

    /// Waits until `limit` for a connection to the instance. When there is none, the policy has been told.
    pub(super) async fn connected<C>(
        &mut self,
        limit: Instant,
        connecting: impl Future<Output = io::Result<C>>,
    ) -> Result<C, ()> {
        let outcome = match tokio::time::timeout_at(limit.into(), connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => Outcome::Failed,
            _ => Outcome::TimedOut,
        };
        self.end(outcome);
        Err(())
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }
}

impl Drop for Flight {
    /// Nobody waits any longer: the client has gone, or the proxy ends. For the client that was all the time there was.
    fn drop(&mut self) {
        self.end(Outcome::TimedOut);
    }
}
