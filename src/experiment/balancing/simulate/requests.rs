//! Clients and their requests in virtual time.

use std::ops::{Index, IndexMut};

use rand_chacha::ChaCha8Rng;

use crate::balance::RequestId;
use crate::experiment::balancing::Balancing;
use crate::sim::Streams;
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

/// Who sends.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) node: NodeIndex,
    pub(super) left: bool,
    arrivals: ChaCha8Rng,
    work: ChaCha8Rng,
}

impl Client {
    pub(super) fn new(node: NodeIndex, streams: Streams, number: u64) -> Self {
        let (arrivals, work) = (streams.stream("client", number), streams.stream("work", number));
        Self { node, left: false, arrivals, work }
    }

    /// How long until its first request.
    pub(super) fn first(&mut self, plan: &Balancing) -> Span {
        plan.clients.arrivals.first(plan.clients.pace, &mut self.arrivals)
    }

    /// What a request costs an instance, and how long until the next. Drawn by the client, so that a request costs the same
    /// whoever gets it.
    pub(super) fn draw(&mut self, plan: &Balancing) -> (Span, Span) {
        let clients = plan.clients;
        (plan.service.time.draw(&mut self.work), clients.arrivals.next(clients.pace, &mut self.arrivals))
    }
}

/// A request on its way. Of the size of a line of the processor's cache: what its events need of a thousand others is not there.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Request {
    pub(super) id: RequestId,
    client: u32,
    /// The client's node.
    node: u32,
    instance: u32,
    pub(super) sent: Moment,
    pub(super) work: Span,
    pub(super) arrived: Moment,
    /// When the instance was done with it.
    pub(super) done: Moment,
    /// Whether the balancer knows how it ended.
    pub(super) ended: bool,
    /// Whether the instance is through with it, or never had it.
    pub(super) served: bool,
    /// Ends that are planned and yet to come; an instance that shares its cores may answer before or after patience ends.
    pub(super) ends_planned: u8,
    /// How often in a row chance took it, or its answer.
    pub(super) losses: u32,
}

impl Request {
    /// A request of `client`, on a node, to an instance.
    pub(super) fn new(
        id: RequestId,
        (client, node): (usize, NodeIndex),
        instance: usize,
        sent: Moment,
        work: Span,
    ) -> Self {
        Self {
            id,
            client: super::index(client),
            node: super::index(node),
            instance: super::index(instance),
            sent,
            work,
            arrived: sent,
            done: sent,
            ended: false,
            served: false,
            ends_planned: 0,
            losses: 0,
        }
    }

    pub(super) fn client(&self) -> usize {
        self.client as usize
    }

    pub(super) fn node(&self) -> NodeIndex {
        self.node as usize
    }

    pub(super) fn instance(&self) -> usize {
        self.instance as usize
    }
}

/// Requests on their way, in slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: Vec<Request>,
    free: Vec<u32>,
    given: u64,
}

impl Requests {
    /// A number that no request had.
    pub(super) fn next_id(&mut self) -> RequestId {
        self.given += 1;
        RequestId(self.given)
    }

    pub(super) fn insert(&mut self, request: Request) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = request;
            return slot;
        }
        self.slots.push(request);
        super::index(self.slots.len() - 1)
    }

    /// The slot is free if nothing of the request is to come.
    pub(super) fn remove_if_over(&mut self, slot: u32) {
        let request = &self.slots[slot as usize];
        if request.ended && request.served && request.ends_planned == 0 {
            self.free.push(slot);
        }
    }
}

impl Index<u32> for Requests {
    type Output = Request;

    fn index(&self, slot: u32) -> &Request {
        &self.slots[slot as usize]
    }
}

impl IndexMut<u32> for Requests {
    fn index_mut(&mut self, slot: u32) -> &mut Request {
        &mut self.slots[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_of_the_cache() {
        assert_eq!(std::mem::size_of::<Request>(), 64);
    }
}
