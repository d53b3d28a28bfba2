//! Request balancing in virtual time.

mod connections;
mod instance;
mod requests;

use crate::balance::{Balancer, Completion, InstanceId, Outcome as Ending, Policy, Setting, build};
use crate::experiment::outcome::Outcome;
use crate::experiment::plan::Trial;
use crate::sim::{Disturbances, Network, Passage, Queue};
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

use self::connections::Opened;
use self::instance::Instance;
use self::requests::{Client, Request, Requests};
use super::layout::{Layout, crowd, find};
use super::regret::with_regret;
use super::tally::{Ended, Tally};
use super::{Balancing, Change, Connections, Crowd};

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// A client sends.
    Send(u32),
    /// A request, or its answer, that chance took is sent again; or a request has its connection now.
    Again(u32),
    /// A request is at its instance.
    Arrive(u32),
    /// A request ends so, if it has not ended before.
    End(u32, Ending),
    /// An instance that shares its cores may be done with something; only if nothing has come since.
    Check(u32, u32),
    /// A node's balancer does what it does at intervals.
    Maintain(u32),
    /// A node's balancer hears how far instances are.
    Probe(u32),
    /// Something of the plan happens.
    Change(u32),
}

/// A trial in virtual time.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// What it gives.
    pub outcome: Outcome,
    /// How many events it took.
    pub events: u64,
}

/// Runs a trial; `policy` is that of its strategy.
pub fn simulate(balancing: &Balancing, policy: &Policy, trial: &Trial) -> Simulated {
    let Ready(mut world) = Ready::new(balancing, policy, trial);
    world.run();
    let names: Vec<String> = trial.topology.matrix.names().iter().map(ToString::to_string).collect();
    let events = world.queue.taken();
    Simulated { outcome: with_regret(world.tally.outcome(&names), balancing, trial), events }
}

/// A trial that is ready to run, for measuring what its events cost without what stands before and after them.
pub struct Ready<'a>(World<'a>);

impl<'a> Ready<'a> {
    /// The world of a trial at its start.
    pub fn new(balancing: &'a Balancing, policy: &Policy, trial: &'a Trial<'a>) -> Self {
        let mut world = World::new(balancing, policy, trial);
        world.start();
        Self(world)
    }

    /// Lets everything happen; how many events that were.
    pub fn run(mut self) -> u64 {
        self.0.run();
        self.0.queue.taken()
    }
}

impl std::fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("events", &self.0.queue.taken()).finish_non_exhaustive()
    }
}

struct World<'a> {
    plan: &'a Balancing,
    trial: &'a Trial<'a>,
    end: Moment,
    queue: Queue<Next>,
    network: Network,
    balancers: Vec<Box<dyn Balancer>>,
    instances: Vec<Instance>,
    clients: Vec<Client>,
    requests: Requests,
    tally: Tally,
    /// None where there are always enough.
    opened: Option<Opened>,
}

impl<'a> World<'a> {
    fn new(plan: &'a Balancing, policy: &Policy, trial: &'a Trial<'a>) -> Self {
        let network = Network::new(&trial.topology.matrix, plan.local_rtt);
        let network = match &trial.topology.impaired {
            Some(intended) => {
                let path = |from, to| intended.path(from, to);
                network.disturbed(Disturbances::new(trial.topology.matrix.len(), path, trial.streams))
            }
            None => network,
        };
        let balancers = (0..network.nodes()).map(|node| balancer(policy, plan, trial, node)).collect();
        Self {
            plan,
            trial,
            end: Moment::START + plan.duration,
            queue: Queue::new(),
            network,
            balancers,
            instances: Vec::new(),
            clients: Vec::new(),
            requests: Requests::default(),
            tally: Tally::new(plan.qos, plan.warm_up, plan.duration),
            opened: (plan.connections == Connections::Opened).then(Opened::default),
        }
    }

    fn run(&mut self) {
        // What is on its way at the end is waited for, so that slow requests count as what they are.
        let last = Moment::from_nanos(u64::MAX);
        while let Some((now, next)) = self.queue.next_until(last) {
            self.step(now, next);
        }
    }

    fn start(&mut self) {
        let layout = Layout::new(self.plan, &self.trial.topology.matrix, self.trial.layout);
        for node in layout.instances {
            self.add_instance(Moment::START, node);
        }
        for node in 0..self.network.nodes() {
            for _ in 0..self.plan.clients.each {
                self.add_client(Moment::START, node);
            }
            let number = index(node);
            let interval = self.balancers[node].interval();
            let (probing, maintenance) = phases(self.plan, self.trial, node, interval);
            self.queue.at(Moment::START + probing, Next::Probe(number));
            if interval.is_some() {
                self.queue.at(Moment::START + maintenance, Next::Maintain(number));
            }
        }
        for (number, event) in self.plan.events.iter().enumerate() {
            self.queue.at(event.at, Next::Change(index(number)));
        }
    }

    fn step(&mut self, now: Moment, next: Next) {
        match next {
            Next::Send(client) => self.send(now, client as usize),
            Next::Again(slot) => self.again(now, slot),
            Next::Arrive(slot) => self.arrive(now, slot),
            Next::End(slot, ending) => self.end(now, slot, ending),
            Next::Check(instance, version) => self.check(now, instance as usize, version),
            Next::Maintain(node) => self.maintain(now, node as usize),
            Next::Probe(node) => self.probe(now, node as usize),
            Next::Change(number) => self.change(now, number as usize),
        }
    }

    fn send(&mut self, now: Moment, number: usize) {
        let client = &mut self.clients[number];
        if client.left || now >= self.end {
            return;
        }
        let (work, pause) = client.draw(self.plan);
        let node = client.node;
        self.queue.after(pause, Next::Send(index(number)));
        let id = self.requests.next_id();
        let picked = self.balancers[node].pick(now, id).map(|instance| instance.0 as usize);
        let Some(instance) = picked.filter(|instance| *instance < self.instances.len()) else {
            let (latency, processing) = (Span::ZERO, None);
            let ended = Ended { client: number, instance: None, sent: now, latency, answered: false, processing };
            self.tally.end(&ended);
            return;
        };
        let slot = self.requests.insert(Request::new(id, (number, node), instance, now, work));
        // Who is refused hears that without a connection.
        let connects = self.instances[instance].is_open()
            && self.opened.as_mut().is_some_and(|opened| !opened.take(node, instance));
        if connects {
            let (from, to) = self.ends(slot);
            self.requests[slot].ends_planned += 1;
            self.queue.at(now + Span::from(self.network.round_trip(from, to)), Next::Again(slot));
        } else {
            self.transmit(now, slot);
        }
    }

    /// The nodes of a request: of its client and of its instance.
    fn ends(&self, slot: u32) -> (NodeIndex, NodeIndex) {
        let request = &self.requests[slot];
        (request.node(), self.instances[request.instance()].node)
    }

    /// A request leaves for its instance, for the first time or again.
    fn transmit(&mut self, now: Moment, slot: u32) {
        let (from, to) = self.ends(slot);
        match self.network.pass(from, to) {
            Passage::Takes(way) => self.queue.at(now + way, Next::Arrive(slot)),
            Passage::Lost => self.retry(now, slot),
            Passage::Cut => self.lose(slot),
        }
    }

    /// What chance took is sent again, as TCP does, if somebody waits for it that long.
    fn retry(&mut self, sent: Moment, slot: u32) {
        self.requests[slot].losses += 1;
        let ((client, instance), request) = (self.ends(slot), self.requests[slot]);
        let again = sent + self.network.patience(client, instance, request.losses);
        if again > request.sent + self.plan.timeout {
            self.lose(slot);
        } else {
            self.requests[slot].ends_planned += 1;
            self.queue.at(again, Next::Again(slot));
        }
    }

    fn again(&mut self, now: Moment, slot: u32) {
        self.requests[slot].ends_planned -= 1;
        let request = self.requests[slot];
        if request.ended {
            self.requests.remove_if_over(slot);
        } else if !request.served {
            self.transmit(now, slot);
        } else if self.instances[request.instance()].lost(now) {
            self.lose(slot);
        } else {
            self.leave_instance(now, slot);
        }
    }

    /// What nobody answers ends with the balancer's patience.
    fn lose(&mut self, slot: u32) {
        self.requests[slot].served = true;
        let patience = self.requests[slot].sent + self.plan.timeout;
        self.plan_end(patience, slot, Ending::TimedOut);
    }

    fn plan_end(&mut self, at: Moment, slot: u32, ending: Ending) {
        self.requests[slot].ends_planned += 1;
        self.queue.at(at, Next::End(slot, ending));
    }

    fn arrive(&mut self, now: Moment, slot: u32) {
        let request = &mut self.requests[slot];
        request.arrived = now;
        let (number, node, work) = (request.instance(), request.node(), request.work);
        let instance = &mut self.instances[number];
        if !instance.is_open() {
            // Nobody listens: the refusal goes back at once. Where chance takes it, the request comes again.
            match self.network.pass(instance.node, node) {
                Passage::Takes(way) => {
                    self.requests[slot].served = true;
                    self.plan_end(now + way, slot, Ending::Failed);
                }
                Passage::Lost => self.retry(now, slot),
                Passage::Cut => self.lose(slot),
            }
            return;
        }
        self.requests[slot].losses = 0;
        if let Some(done) = instance.take(now, slot, work) {
            self.answer(slot, done);
        } else {
            let patience = self.requests[slot].sent + self.plan.timeout;
            self.plan_end(patience, slot, Ending::TimedOut);
            self.look_again(number);
        }
    }

    /// The instance is through with a request at `done`.
    fn answer(&mut self, slot: u32, done: Moment) {
        let request = &mut self.requests[slot];
        (request.served, request.done) = (true, done);
        self.leave_instance(done, slot);
    }

    /// The answer leaves the instance, for the first time or again, and is there in time or not.
    fn leave_instance(&mut self, sent: Moment, slot: u32) {
        let (client, instance) = self.ends(slot);
        let patience = self.requests[slot].sent + self.plan.timeout;
        match self.network.pass(instance, client) {
            Passage::Takes(way) if sent + way <= patience => self.plan_end(sent + way, slot, Ending::Answered),
            Passage::Lost => self.retry(sent, slot),
            Passage::Takes(_) | Passage::Cut => self.plan_end(patience, slot, Ending::TimedOut),
        }
    }

    fn look_again(&mut self, number: usize) {
        let instance = &mut self.instances[number];
        if let Some((next, version)) = instance.next_check() {
            self.queue.at(next, Next::Check(index(number), version));
        }
    }

    fn check(&mut self, now: Moment, number: usize, version: u32) {
        if !self.instances[number].is_current(version) {
            return;
        }
        for slot in self.instances[number].done(now) {
            if self.requests[slot].ended {
                self.requests[slot].served = true;
                self.requests.remove_if_over(slot);
            } else {
                self.answer(slot, now);
            }
        }
        self.look_again(number);
    }

    fn end(&mut self, now: Moment, slot: u32, ending: Ending) {
        self.requests[slot].ends_planned -= 1;
        let request = self.requests[slot];
        if request.ended {
            self.requests.remove_if_over(slot);
            return;
        }
        let (instance, node) = (&self.instances[request.instance()], request.node());
        let lost =
            ending == Ending::Answered && (instance.lost(request.done) || !self.network.connects(instance.node, node));
        if lost {
            self.lose(slot);
            return;
        }
        self.requests[slot].ended = true;
        let latency = now.since(request.sent);
        let completion = Completion {
            request: request.id,
            instance: InstanceId(index(request.instance())),
            latency,
            outcome: ending,
        };
        if let (Some(opened), Ending::Answered) = (&mut self.opened, ending) {
            opened.leave(node, request.instance());
        }
        self.balancers[node].complete(now, &completion);
        let answered = ending == Ending::Answered;
        self.tally.end(&Ended {
            client: request.client(),
            instance: Some(request.instance()),
            sent: request.sent,
            latency,
            answered,
            processing: answered.then(|| request.done.since(request.arrived)),
        });
        self.requests.remove_if_over(slot);
    }

    fn maintain(&mut self, now: Moment, node: NodeIndex) {
        self.balancers[node].maintain(now);
        if let Some(interval) = self.balancers[node].interval().filter(|_| now < self.end) {
            self.queue.after(interval.max(Span::from_micros(1)), Next::Maintain(index(node)));
        }
    }

    fn probe(&mut self, now: Moment, node: NodeIndex) {
        for (number, instance) in self.instances.iter().enumerate().filter(|(_, instance)| instance.is_open()) {
            if let Some(rtt) = self.network.measure(node, instance.node) {
                self.balancers[node].measured(now, InstanceId(index(number)), rtt);
            }
        }
        if now < self.end {
            self.queue.after(self.plan.probe_every, Next::Probe(index(node)));
        }
    }

    fn change(&mut self, now: Moment, number: usize) {
        let matrix = &self.trial.topology.matrix;
        match &self.plan.events[number].change {
            Change::Join(who) => {
                for node in crowd(&who.nodes, matrix, self.trial.layout, number) {
                    (0..who.each).for_each(|_| self.add_client(now, node));
                }
            }
            Change::Leave(who) => self.leave(who, number),
            Change::Add(name) => {
                if let Some(node) = find(matrix, name) {
                    self.add_instance(now, node);
                }
            }
            Change::Remove(instance) => {
                self.instances[*instance].close();
                self.tell_removed(now, *instance);
            }
            Change::Fail(instance) => {
                self.instances[*instance].fail(now);
                self.tell_removed(now, *instance);
            }
            Change::Cut(name) | Change::Rejoin(name) => {
                let apart = matches!(self.plan.events[number].change, Change::Cut(_));
                if let Some(node) = find(matrix, name) {
                    self.network.cut(node, apart);
                }
            }
            Change::Matrix(other) => self.network.change(other),
        }
    }

    fn tell_removed(&mut self, now: Moment, instance: usize) {
        for balancer in &mut self.balancers {
            balancer.remove(now, InstanceId(index(instance)));
        }
    }

    fn leave(&mut self, who: &Crowd, number: usize) {
        for node in crowd(&who.nodes, &self.trial.topology.matrix, self.trial.layout, number) {
            let there = self.clients.iter_mut().rev().filter(|client| client.node == node && !client.left);
            there.take(who.each as usize).for_each(|client| client.left = true);
        }
    }

    fn add_instance(&mut self, now: Moment, node: NodeIndex) {
        let number = self.tally.instance(node);
        self.instances.push(Instance::new(node, self.plan.service));
        for (place, balancer) in self.balancers.iter_mut().enumerate() {
            balancer.add(now, InstanceId(index(number)), Some(self.network.round_trip(place, node)));
        }
    }

    fn add_client(&mut self, now: Moment, node: NodeIndex) {
        let number = self.tally.client(node);
        let mut client = Client::new(node, self.trial.streams, number as u64);
        let first = client.first(self.plan);
        self.clients.push(client);
        self.queue.at(now + first, Next::Send(index(number)));
    }
}

fn balancer(policy: &Policy, plan: &Balancing, trial: &Trial, node: NodeIndex) -> Box<dyn Balancer> {
    let stream = trial.streams.stream("balancer", node as u64);
    build(policy, Setting { qos: plan.qos, parameters: trial.strategy.parameters.clone(), stream })
}

/// When the balancer of a node first measures round trips, and when it is first maintained if it is at that `interval`:
/// balancers of different nodes were not started at the same instant.
pub(super) fn phases(plan: &Balancing, trial: &Trial, node: NodeIndex, interval: Option<Span>) -> (Span, Span) {
    let mut dice = trial.streams.stream("phase", node as u64);
    let probing = part(plan.probe_every, &mut dice);
    (probing, interval.map_or(Span::ZERO, |interval| part(interval, &mut dice)))
}

fn part(span: Span, dice: &mut rand_chacha::ChaCha8Rng) -> Span {
    Span::from_millis_f64(span.as_millis_f64() * crate::sim::unit_interval(dice)).unwrap_or_default()
}

/// Numbers of things in a world: far below 2^32.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
