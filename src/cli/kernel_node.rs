//! A node whose kernel is this one: what a session asks of it, and what a replay does to it meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agent::protocol::{
    Applied, Compared, Destinations, NodeStatus, Place, ReplayOrder, ReplayState, Request, Response, TakeUp, Traffic,
};
use crate::agent::replay::{Replay, Switching, now_ns};
use crate::agent::session::NodeControl;
use crate::netlink::{Connection, NetlinkError, link};
use crate::shaping::{
    Abilities, Backend, BackendChoice, Impairment, OwnTable, Row, RowPath, Selector, State, choose_for, desired, diff,
};
use crate::tc::{self, KernelTc, Prepared, TrafficControl};
use crate::timeline::{Repeat, write_moment};

/// What was applied last.
struct Last {
    row: Row,
    backend: Backend,
}

/// The traffic control of a node; one thread at a time uses it.
struct Kernel {
    interface: String,
    tc: Option<KernelTc>,
    abilities: Option<Abilities>,
    applied: Option<Last>,
    /// What was made for a replay whose first step is still to come.
    ground: State,
    /// Which delay element the replay uses.
    replayed_by: Backend,
    /// The next step of the replay.
    prepared: Option<(Row, Prepared)>,
}

/// A node whose kernel is this one.
pub(super) struct KernelNode {
    kernel: Arc<Mutex<Kernel>>,
    replay: Replay,
}

/// How the selectors of two rows differ.
fn destinations(before: &Row, after: &Row) -> Destinations {
    let by_selector = |row: &Row| -> BTreeMap<Selector, Impairment> {
        let of = |path: &RowPath| path.selectors.iter().map(|one| (*one, path.impairment)).collect::<Vec<_>>();
        row.paths.iter().flat_map(of).collect()
    };
    let (before, after) = (by_selector(before), by_selector(after));
    Destinations {
        added: after.keys().filter(|one| !before.contains_key(one)).count(),
        changed: after.iter().filter(|(one, does)| before.get(one).is_some_and(|now| now != *does)).count(),
        removed: before.keys().filter(|one| !after.contains_key(one)).count(),
    }
}

/// The one back-end that takes every step of a timeline.
fn choose_for_all(order: &ReplayOrder, abilities: &Abilities) -> Result<(Backend, String), String> {
    let mut row = Row::default();
    let mut chosen = choose_for(order.backend, abilities, &row).map_err(text)?;
    for step in &order.steps {
        row = step.change.on(&row);
        let of_step = choose_for(order.backend, abilities, &row).map_err(text)?;
        if of_step.0 != chosen.0 {
            chosen = of_step;
            break;
        }
    }
    Ok(chosen)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Kernel {
    fn abilities(&mut self) -> Abilities {
        self.abilities.get_or_insert_with(tc::abilities::probe).clone()
    }

    /// Whether the counter of drops also counts losses that were asked for, as netem's does: then it says nothing of the
    /// emulation's own.
    fn drops_are_meant(&self) -> bool {
        let lossy = |last: &Last| last.row.paths.iter().any(|path| path.impairment.expected_loss() > 0.0);
        self.applied.as_ref().is_some_and(|last| last.backend == Backend::Netem && lossy(last))
    }

    fn tc(&mut self) -> Result<&mut KernelTc, String> {
        if self.tc.is_none() {
            self.tc = Some(KernelTc::open(&self.interface).map_err(text)?);
        }
        self.tc.as_mut().ok_or_else(|| "traffic control is not open".to_owned())
    }

    /// Refuses an interface whose state is not understood, before anything of ours is there.
    fn examine(&self) -> Result<(), String> {
        if self.applied.is_none() { tc::examine(&self.interface).map_err(text) } else { Ok(()) }
    }

    /// The state that what was applied last should be, beside what is there.
    fn wanted(&mut self, current: &State) -> Result<State, String> {
        let abilities = self.abilities();
        match &self.applied {
            Some(last) => desired(&last.row, last.backend, &abilities, current).map_err(text),
            None => Ok(self.ground.clone()),
        }
    }

    fn status(&mut self) -> Result<NodeStatus, String> {
        let current = self.tc()?.current().map_err(text)?;
        let wanted = self.wanted(&current)?;
        let traffic = if self.applied.is_some() { self.tc()?.traffic().map(Some) } else { Ok(None) };
        Ok(NodeStatus {
            backend: self.applied.as_ref().map(|last| last.backend),
            row: self.applied.as_ref().map(|last| last.row.clone()).unwrap_or_default(),
            differences: diff(&current, &wanted).iter().map(ToString::to_string).collect(),
            restarts: vec![],
            replay: None,
            traffic: traffic.map_err(text)?.map(|traffic| Traffic {
                packets: traffic.packets,
                dropped: if self.drops_are_meant() { 0 } else { traffic.dropped },
                drops_unknown: self.drops_are_meant(),
                late: traffic.late,
            }),
        })
    }

    fn apply(&mut self, row: &Row, backend: BackendChoice) -> Result<Applied, String> {
        self.examine()?;
        let abilities = self.abilities();
        let (backend, reason) = choose_for(backend, &abilities, row).map_err(text)?;
        let applied = tc::impair(self.tc()?, row, backend, &abilities).map_err(text)?;
        self.applied = Some(Last { row: row.clone(), backend });
        Ok(Applied { backend, reason, operations: applied.operations })
    }

    fn compare(&mut self, row: &Row, backend: BackendChoice) -> Result<Compared, String> {
        let abilities = self.abilities();
        let (backend, reason) = choose_for(backend, &abilities, row).map_err(text)?;
        let current = self.tc()?.current().map_err(text)?;
        let target = desired(row, backend, &abilities, &current).map_err(text)?;
        let wanted = self.wanted(&current)?;
        let before = self.applied.as_ref().map(|last| last.row.clone());
        let destinations = destinations(before.as_ref().unwrap_or(&Row::default()), row);
        let words = |wanted: &State| diff(&current, wanted).iter().map(ToString::to_string).collect();
        Ok(Compared {
            backend,
            reason,
            operations: words(&target),
            destinations,
            applied: before,
            differences: words(&wanted),
        })
    }

    /// Has the device ready before the first step, so that all nodes can make that step within a moment of each other.
    fn lay_ground(&mut self, order: &ReplayOrder) -> Result<(), String> {
        let (abilities, backend) = (self.abilities(), self.replayed_by);
        let Some(first) = order.steps.first() else { return Ok(()) };
        if self.applied.is_none() {
            let row = first.change.on(&Row::default());
            self.ground = tc::lay_ground(self.tc()?, &row, backend, &abilities).map_err(text)?;
        }
        Ok(())
    }

    /// Goes through a timeline as the replay will, as far as states are concerned: from what is there, step by step, and
    /// once more from its end when it is repeated. The back-end, why, and the operations of each step of the first pass.
    fn rehearse(&mut self, order: &ReplayOrder) -> Result<(Backend, String, Vec<usize>), String> {
        self.examine()?;
        let abilities = self.abilities();
        if order.steps.is_empty() {
            return Err("the timeline has no step".to_owned());
        }
        let (backend, reason) = choose_for_all(order, &abilities)?;
        let mut state = self.tc()?.current().map_err(text)?;
        let mut row = Row::default();
        let passes = if order.pace.repeat == Repeat::Times(1) { 1 } else { 2 };
        let mut operations = Vec::with_capacity(order.steps.len());
        for (place, step) in (0..passes).flat_map(|_| order.steps.iter().enumerate()) {
            row = step.change.on(&row);
            let next = desired(&row, backend, &abilities, &state)
                .map_err(|error| format!("step {} at {}: {error}", place + 1, write_moment(step.at)))?;
            if operations.len() < order.steps.len() {
                operations.push(diff(&state, &next).len());
            }
            state = next;
        }
        Ok((backend, reason, operations))
    }
}

impl Switching for Kernel {
    fn prepare(&mut self, row: &Row) -> Result<usize, String> {
        let (abilities, backend) = (self.abilities(), self.replayed_by);
        let prepared = tc::prepare(self.tc()?, row, backend, &abilities).map_err(text)?;
        let operations = prepared.operations();
        self.prepared = Some((row.clone(), prepared));
        Ok(operations)
    }

    fn switch(&mut self) -> Result<u64, String> {
        let (row, prepared) = self.prepared.take().ok_or("nothing was prepared")?;
        let mut done_ns = 0;
        prepared.carry_out(self.tc()?, &mut || done_ns = now_ns()).map_err(text)?;
        self.applied = Some(Last { row, backend: self.replayed_by });
        Ok(done_ns)
    }
}

impl KernelNode {
    /// The node behind this interface; its abilities are found out when they are not told.
    pub(super) fn new(interface: String, abilities: Option<Abilities>) -> Self {
        let replayed_by = Backend::Netem;
        let kernel = Kernel {
            interface,
            tc: None,
            abilities,
            applied: None,
            ground: State::default(),
            replayed_by,
            prepared: None,
        };
        Self { kernel: Arc::new(Mutex::new(kernel)), replay: Replay::default() }
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        // What a panic may have left half done shows as a difference, and the next application repairs it.
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tables of jitter that neither what is applied nor a timeline needs would fill the memory of an agent that is given ever
    /// new ones.
    fn forget_tables(&self) {
        let kernel = self.kernel();
        let applied = kernel.applied.iter().map(|last| &last.row);
        let rows = applied.chain(kernel.prepared.iter().map(|(row, _)| row)).chain(self.replay.rows());
        let used = rows.flat_map(|row| &row.paths).filter_map(|path| path.impairment.own_table());
        OwnTable::keep_only(&used.collect());
    }

    fn keep_order(&mut self, order: ReplayOrder) -> Result<Response, String> {
        let mut kernel = self.kernel();
        let (backend, reason, operations) = kernel.rehearse(&order)?;
        kernel.replayed_by = backend;
        kernel.lay_ground(&order)?;
        drop(kernel);
        self.replay.accept(order);
        Ok(Response::Replaying { backend, reason, operations })
    }
}

impl NodeControl for KernelNode {
    fn abilities(&mut self) -> Abilities {
        self.kernel().abilities()
    }

    fn place(&mut self) -> Result<Place, String> {
        let interface = self.kernel().interface.clone();
        let addresses = || -> Result<Option<Vec<IpAddr>>, NetlinkError> {
            let mut kernel = Connection::open()?;
            link::find(&mut kernel, &interface)?.map(|link| link::addresses(&mut kernel, &link)).transpose()
        };
        let addresses =
            addresses().map_err(text)?.ok_or_else(|| format!("this host has no interface `{interface}`"))?;
        Ok(Place { interface, addresses })
    }

    fn apply(&mut self, row: &Row, backend: BackendChoice) -> Result<Applied, String> {
        self.replay.stop();
        let applied = self.kernel().apply(row, backend);
        if applied.is_ok() {
            self.replay.forget();
        }
        self.forget_tables();
        applied
    }

    fn clear(&mut self) -> Result<usize, String> {
        self.replay.forget();
        let mut kernel = self.kernel();
        (kernel.applied, kernel.ground) = (None, State::default());
        let cleared = tc::clear(kernel.tc()?).map_err(text)?;
        drop(kernel);
        self.forget_tables();
        Ok(cleared.operations)
    }

    fn status(&mut self) -> Result<NodeStatus, String> {
        let replay = self.replay.progress();
        Ok(NodeStatus { replay, ..self.kernel().status()? })
    }

    fn compare(&mut self, row: &Row, backend: BackendChoice) -> Result<Compared, String> {
        let compared = self.kernel().compare(row, backend);
        self.forget_tables();
        compared
    }

    fn replay(&mut self, order: ReplayOrder) -> Result<Response, String> {
        self.replay.stop();
        let response = self.keep_order(order);
        self.forget_tables();
        response
    }

    fn begin_replay(&mut self, start_realtime_ns: u64) -> Result<(), String> {
        self.replay.begin(Arc::clone(&self.kernel), start_realtime_ns)
    }

    fn switches(&mut self, from: u64) -> ReplayState {
        self.replay.state(from)
    }

    fn stop_replay(&mut self) {
        self.replay.stop();
        let mut kernel = self.kernel();
        if kernel.applied.is_none() {
            // The ground was laid for a first step that never came. What is left shows in the status.
            kernel.ground = State::default();
            let _ = kernel.tc().map(|tc| tc::clear(tc));
        }
    }
    fn take_up(&mut self, taken: TakeUp) -> Result<ReplayState, String> {
        self.replay.stop();
        let mut kernel = self.kernel();
        kernel.examine()?;
        let abilities = kernel.abilities();
        kernel.replayed_by = choose_for_all(&taken.order, &abilities)?.0;
        if taken.order.latest(taken.start_realtime_ns, now_ns()) == 0 {
            match &taken.before {
                Some(Request::Apply { row, backend }) => drop(kernel.apply(row, *backend)?),
                _ => kernel.lay_ground(&taken.order)?,
            }
        }
        drop(kernel);
        self.replay.take_up(Arc::clone(&self.kernel), taken)?;
        Ok(self.replay.state(0))
    }
}
