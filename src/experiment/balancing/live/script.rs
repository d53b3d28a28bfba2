//! [`Script`]: a trial as a testbed plays it. The same clients on the same nodes, the same instances and the same draws as in
//! simulation; all times are the testbed's.

use crate::experiment::balancing::layout::{Layout, crowd, find};
use crate::experiment::balancing::{Balancing, Change};
use crate::experiment::plan::{Topology, Trial};
use crate::experiment::time_scale::TimeScale;
use crate::matrix::{DelayMatrix, MatrixError};
use crate::shaping::{Impairment, Loss, PathIntent, Share};
use crate::topology::NodeIndex;
use crate::units::{Moment, Probability, Span};
use crate::workload::load::{Slot, Trace};

/// How long before it is announced an instance that appears is started: it has to listen by then.
const START_LEAD: Span = Span::from_secs(1);

/// A trial as a testbed plays it.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The node of each client, by its number.
    pub clients: Vec<NodeIndex>,
    /// By node: the numbers of its clients, in the order in which its load knows them.
    pub members: Vec<Vec<usize>>,
    /// By node: what its clients send and when.
    pub traces: Vec<Trace>,
    /// All instances that ever are, by number.
    pub instances: Vec<Instance>,
    /// What happens, in the order of the instants.
    pub steps: Vec<Step>,
    /// For how long requests are sent.
    pub duration: Span,
}

/// An instance of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What it is called in files: equally long names sort as their numbers do.
    pub name: String,
    /// Its node.
    pub node: NodeIndex,
    /// Whether it is started before the first request.
    pub started: bool,
    /// Whether balancers know it from the start.
    pub announced: bool,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, after the common start.
    pub at: Moment,
    /// What is to be done.
    pub action: Action,
    /// The event of the plan, if it is one: what is done for it beforehand is none.
    pub event: Option<usize>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start an instance; nobody is told.
    Start(usize),
    /// Tell balancers of it.
    Announce(usize),
    /// Tell balancers that it is gone, and let it finish.
    Remove(usize),
    /// Kill it, and tell balancers.
    Fail(usize),
    /// Make the network so.
    Network(Box<Situation>),
    /// Nothing: the traces of the loads have it.
    Clients,
}

/// What the network is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The delays.
    pub matrix: DelayMatrix,
    /// What paths do beside them, a row of paths per node, if they do anything.
    pub beyond: Option<Vec<Vec<PathIntent>>>,
    /// Nodes that nothing reaches and that reach nothing.
    pub cut: Vec<NodeIndex>,
}

impl Situation {
    /// That of a topology before anything happens.
    pub fn of(topology: &Topology, scale: TimeScale) -> Result<Self, MatrixError> {
        let matrix = scale.matrix_on_testbed(&topology.matrix)?;
        let nodes = 0..matrix.len();
        let beyond = topology.impaired.as_ref().map(|intended| {
            let path = |from, to| slowed(intended.intent(from, to), scale);
            nodes.clone().map(|from| nodes.clone().map(|to| path(from, to)).collect()).collect()
        });
        Ok(Self { matrix, beyond, cut: Vec::new() })
    }

    /// What packets from one node to another one meet.
    pub fn path(&self, from: NodeIndex, to: NodeIndex) -> PathIntent {
        if self.cut.contains(&from) || self.cut.contains(&to) {
            let all = Share { probability: Probability::ONE, ..Share::default() };
            return PathIntent::all(Impairment { loss: Loss::Random(all), ..Impairment::default() });
        }
        let delay = self.matrix.delay(from, to);
        let beyond = self.beyond.as_ref().and_then(|rows| rows.get(from)?.get(to)).cloned();
        let mut path = beyond.unwrap_or_else(|| PathIntent::all(Impairment::default()));
        path.all.delay = delay;
        path
    }
}

fn slowed(path: PathIntent, scale: TimeScale) -> PathIntent {
    let slow = |impairment| scale.impairment_on_testbed(impairment);
    let services = path.services.into_iter().map(|(service, impairment)| (service, slow(impairment)));
    PathIntent { all: slow(path.all), services: services.collect(), except: path.except }
}

/// A client's time in the plan.
struct Stay {
    node: NodeIndex,
    from: Moment,
    until: Moment,
}

impl Script {
    /// The script of a trial; the error says that a delay is too long at this pace.
    pub fn new(plan: &Balancing, trial: &Trial, scale: TimeScale) -> Result<Self, MatrixError> {
        let stays = stays(plan, trial);
        let (mut members, mut slots) = (vec![Vec::new(); trial.topology.matrix.len()], Vec::new());
        slots.resize_with(members.len(), Vec::new);
        for (number, stay) in stays.iter().enumerate() {
            let own: &mut Vec<usize> = &mut members[stay.node];
            let local = u32::try_from(own.len()).unwrap_or(u32::MAX);
            own.push(number);
            slots[stay.node].extend(sent(plan, trial, (number, stay)).map(|(at, work)| Slot {
                at: scale.moment_on_testbed(at),
                client: local,
                work: Some(scale.on_testbed(work)),
            }));
        }
        let (instances, steps) = events(plan, trial, scale)?;
        Ok(Self {
            clients: stays.iter().map(|stay| stay.node).collect(),
            members,
            traces: slots.into_iter().map(Trace::new).collect(),
            instances,
            steps,
            duration: scale.on_testbed(plan.duration),
        })
    }

    /// How many requests are to be sent.
    pub fn requests(&self) -> usize {
        self.traces.iter().map(|trace| trace.slots().len()).sum()
    }
}

/// When each client is there, by its number, as in simulation.
fn stays(plan: &Balancing, trial: &Trial) -> Vec<Stay> {
    let (matrix, end) = (&trial.topology.matrix, Moment::START + plan.duration);
    let come = |node, from| Stay { node, from, until: end };
    let mut stays: Vec<Stay> =
        (0..matrix.len()).flat_map(|node| (0..plan.clients.each).map(move |_| come(node, Moment::START))).collect();
    for (number, event) in plan.events.iter().enumerate() {
        match &event.change {
            Change::Join(who) => {
                for node in crowd(&who.nodes, matrix, trial.layout, number) {
                    stays.extend((0..who.each).map(|_| come(node, event.at)));
                }
            }
            Change::Leave(who) => {
                for node in crowd(&who.nodes, matrix, trial.layout, number) {
                    let there = stays.iter_mut().rev().filter(|stay| stay.node == node && stay.until == end);
                    there.take(who.each as usize).for_each(|stay| stay.until = event.at);
                }
            }
            _ => {}
        }
    }
    stays
}

/// What a client sends: the moments, and what each request takes, in plan time. The draws are those of a simulated client.
fn sent<'a>(
    plan: &'a Balancing,
    trial: &Trial,
    (number, stay): (usize, &'a Stay),
) -> impl Iterator<Item = (Moment, Span)> + use<'a> {
    let mut arrivals = trial.streams.stream("client", number as u64);
    let mut work = trial.streams.stream("work", number as u64);
    let clients = plan.clients;
    let mut next = stay.from + clients.arrivals.first(clients.pace, &mut arrivals);
    std::iter::from_fn(move || {
        let at = next;
        let drawn = plan.service.time.draw(&mut work);
        next += clients.arrivals.next(clients.pace, &mut arrivals);
        (at < stay.until).then_some((at, drawn))
    })
}

/// The instances, and what happens when.
fn events(plan: &Balancing, trial: &Trial, scale: TimeScale) -> Result<(Vec<Instance>, Vec<Step>), MatrixError> {
    let matrix = &trial.topology.matrix;
    let mut nodes: Vec<(NodeIndex, Moment)> =
        Layout::new(plan, matrix, trial.layout).instances.into_iter().map(|node| (node, Moment::START)).collect();
    let from_start = nodes.len();
    let mut situation = Situation::of(trial.topology, scale)?;
    let mut steps = Vec::new();
    for (number, event) in plan.events.iter().enumerate() {
        let at = scale.moment_on_testbed(event.at);
        let action = match &event.change {
            Change::Join(_) | Change::Leave(_) => Action::Clients,
            Change::Add(name) => {
                nodes.extend(find(matrix, name).map(|node| (node, at)));
                Action::Announce(nodes.len() - 1)
            }
            Change::Remove(instance) => Action::Remove(*instance),
            Change::Fail(instance) => Action::Fail(*instance),
            change => {
                alter(&mut situation, change, matrix, scale)?;
                Action::Network(Box::new(situation.clone()))
            }
        };
        steps.push(Step { at, action, event: Some(number) });
    }
    let digits = nodes.len().to_string().len();
    let instances: Vec<Instance> = nodes
        .iter()
        .enumerate()
        .map(|(number, (node, at))| Instance {
            name: format!("i{:0digits$}", number + 1),
            node: *node,
            started: *at <= Moment::START + START_LEAD,
            announced: number < from_start,
        })
        .collect();
    let late = instances.iter().enumerate().filter(|(_, instance)| !instance.started);
    steps.extend(late.map(|(number, _)| {
        let at = Moment::START + nodes[number].1.since(Moment::START + START_LEAD);
        Step { at, action: Action::Start(number), event: None }
    }));
    steps.sort_by_key(|step| step.at);
    Ok((instances, steps))
}

fn alter(
    situation: &mut Situation,
    change: &Change,
    matrix: &DelayMatrix,
    scale: TimeScale,
) -> Result<(), MatrixError> {
    match change {
        Change::Matrix(other) => situation.matrix = scale.matrix_on_testbed(other)?,
        Change::Cut(name) | Change::Rejoin(name) => {
            let node = find(matrix, name);
            situation.cut.retain(|other| Some(*other) != node);
            if matches!(change, Change::Cut(_)) {
                situation.cut.extend(node);
            }
        }
        _ => {}
    }
    Ok(())
}
