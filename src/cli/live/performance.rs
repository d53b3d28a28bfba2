//! One trial in a lab: programs started, the common start, what happens at its instants, what became of every request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::crew::{Program, patience};
use super::stage::Stage;
use crate::cli::host::monotonic_ns;
use crate::experiment::balancing::Balancing;
use crate::experiment::balancing::live::{
    Action, Emulation, Happened, Place, Request, Script, Step, instances_file, load_words, parse_records, proxy_config,
    proxy_words, service_words,
};
use crate::experiment::plan::Trial;
use crate::experiment::time_scale::TimeScale;
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

/// How often signals and programs are looked at.
const TICK: Duration = Duration::from_millis(50);

/// How often the lab is asked whether it lives.
const LOOK: Duration = Duration::from_secs(2);

/// From the readiness of all to the first probes, and from the opening of the service to the common start.
const LEAD: Duration = Duration::from_millis(500);

/// How long proxies take to ask instances that are new to them as often as they remember answers.
const ACQUAINTANCE: Duration = Duration::from_secs(1);

/// How long loads may take to write what they have seen, beyond the last answer.
const WRITING: Duration = Duration::from_secs(60);

/// Somebody asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// What a trial is played with.
pub(super) struct Performance<'a> {
    pub(super) plan: &'a Balancing,
    pub(super) trial: &'a Trial<'a>,
    pub(super) script: &'a Script,
    pub(super) scale: TimeScale,
    pub(super) stage: &'a mut Stage,
    /// For files of the programs; it is there and empty.
    pub(super) folder: PathBuf,
    pub(super) stop: &'a AtomicBool,
}

/// What a trial left.
pub(super) struct Seen {
    pub(super) requests: Vec<Request>,
    pub(super) happened: Vec<Happened>,
    pub(super) emulation: Emulation,
}

/// The programs of a trial.
#[derive(Default)]
struct Crew {
    services: BTreeMap<usize, Program>,
    /// Instances that balancers know.
    present: Vec<usize>,
    /// Whether they may choose them.
    open: bool,
    proxies: Vec<Program>,
    loads: Vec<(NodeIndex, Program)>,
}

impl Performance<'_> {
    /// Plays the trial; whatever happens, its programs are gone when this returns.
    pub(super) fn play(mut self) -> anyhow::Result<Seen> {
        let mut crew = self.assemble()?;
        let before = self.stage.emulations()?;
        let start = self.begin(&mut crew)?;
        let mut happened = Vec::new();
        for step in &self.script.steps {
            self.wait_until(start + after(step.at), &mut crew)?;
            let begun = Instant::now();
            self.act(&step.action, &mut crew)?;
            happened.extend(self.record(step, start, begun));
        }
        self.wait_until(start + self.script.duration.as_duration(), &mut crew)?;
        self.wait_for_loads(&mut crew)?;
        let emulations = self.stage.emulations()?.into_iter().zip(before).map(|(after, before)| after.since(before));
        let emulation = emulations.reduce(Emulation::and).unwrap_or_default();
        drop(crew.proxies);
        drop(crew.services);
        let mut requests = Vec::new();
        for (node, _) in &crew.loads {
            let path = self.records(*node);
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            requests.extend(parse_records(self.script, self.scale, *node, &text)?);
        }
        requests.sort_by_key(|request| (request.intended, request.client));
        Ok(Seen { requests, happened, emulation })
    }

    fn assemble(&mut self) -> anyhow::Result<Crew> {
        let mut crew = Crew::default();
        let instances = self.script.instances.iter().enumerate();
        crew.present = instances.clone().filter(|(_, one)| one.announced).map(|(number, _)| number).collect();
        // Distances that are measured while all programs start are none: proxies hear of instances when all are ready.
        self.write_instances(&Crew::default())?;
        for (number, _) in instances.filter(|(_, one)| one.started) {
            crew.services.insert(number, self.service(number)?);
        }
        for node in 0..self.stage.nodes.len() {
            self.check_stop()?;
            let config = self.folder.join(format!("proxy-{}.yaml", node + 1));
            let text = proxy_config((self.plan, self.trial), self.scale, node, &self.instances())?;
            write(&config, &text)?;
            crew.proxies.push(self.start(&format!("proxy-{}", node + 1), &proxy_words(&config), node)?);
        }
        let clients = self.script.members.iter().enumerate().filter(|(_, members)| !members.is_empty());
        for (node, _) in clients {
            self.check_stop()?;
            let trace = self.folder.join(format!("trace-{}.csv", node + 1));
            write(&trace, &self.script.traces[node].to_csv())?;
            let words = load_words(self.plan, self.scale, &trace, &self.records(node));
            crew.loads.push((node, self.start(&format!("load-{}", node + 1), &words, node)?));
        }
        let programs = crew.services.len() + crew.proxies.len() + crew.loads.len();
        let deadline = Instant::now() + patience(programs);
        let loads = crew.loads.iter_mut().map(|(_, load)| load);
        for program in crew.services.values_mut().chain(&mut crew.proxies).chain(loads) {
            self.check_stop()?;
            program.ready(deadline)?;
        }
        Ok(crew)
    }

    /// Opens the service once distances are known, and tells all loads when to begin.
    fn begin(&mut self, crew: &mut Crew) -> anyhow::Result<Instant> {
        self.wait_until(Instant::now() + LEAD, crew)?;
        self.write_instances(crew)?;
        self.wait_until(Instant::now() + ACQUAINTANCE + 2 * self.longest_round_trip(), crew)?;
        crew.open = true;
        self.write_instances(crew)?;
        let lead = LEAD;
        let start_ns = monotonic_ns()? + u64::try_from(lead.as_nanos()).unwrap_or(u64::MAX);
        let start = Instant::now() + lead;
        for (_, load) in &mut crew.loads {
            load.tell(&start_ns.to_string())?;
        }
        Ok(start)
    }

    fn longest_round_trip(&self) -> Duration {
        let longest = self.trial.topology.matrix.delays().iter().max().copied().unwrap_or_default();
        2 * self.scale.on_testbed(Span::from(longest)).as_duration()
    }

    /// Waits, looking after signals and programs.
    fn wait_until(&mut self, until: Instant, crew: &mut Crew) -> anyhow::Result<()> {
        let mut look = Instant::now() + LOOK;
        loop {
            self.check_stop()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if Instant::now() > look && left > LOOK {
                self.stage.lab.check()?;
                crew.check()?;
                look = Instant::now() + LOOK;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    fn wait_for_loads(&mut self, crew: &mut Crew) -> anyhow::Result<()> {
        let timeout = self.scale.on_testbed(self.plan.timeout).as_duration();
        let deadline = Instant::now() + 2 * timeout + WRITING;
        loop {
            self.check_stop()?;
            let mut running = false;
            for (_, load) in &mut crew.loads {
                match load.ended()? {
                    None => running = true,
                    // 1 says that it was late, which is judged for all loads together.
                    Some(0 | 1) => {}
                    Some(_) => return Err(load.complaint("failed")),
                }
            }
            if !running {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the loads do not end");
            }
            std::thread::sleep(TICK);
        }
    }

    fn act(&mut self, action: &Action, crew: &mut Crew) -> anyhow::Result<()> {
        match action {
            Action::Start(number) => {
                crew.services.insert(*number, self.service(*number)?);
            }
            Action::Announce(number) => {
                crew.present.push(*number);
                self.write_instances(crew)?;
            }
            Action::Remove(number) => {
                crew.present.retain(|other| other != number);
                self.write_instances(crew)?;
                if let Some(service) = crew.services.get(number) {
                    service.finish();
                }
            }
            Action::Fail(number) => {
                if let Some(mut service) = crew.services.remove(number) {
                    service.kill();
                }
                crew.present.retain(|other| other != number);
                self.write_instances(crew)?;
            }
            Action::Network(situation) => self.stage.set(situation)?,
            Action::Clients => {}
        }
        Ok(())
    }

    fn record(&self, step: &Step, start: Instant, begun: Instant) -> Option<Happened> {
        let event = self.plan.events.get(step.event?)?;
        let span = |duration: Duration| {
            self.scale.in_plan(Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
        };
        Some(Happened {
            what: event.change.words(),
            at: event.at.since(Moment::START),
            late: span(begun.saturating_duration_since(start + after(step.at))),
            took: span(begun.elapsed()),
        })
    }

    fn service(&self, number: usize) -> anyhow::Result<Program> {
        let place = Place { nodes: &self.stage.nodes };
        let words = service_words(self.plan, self.script, number, place, self.scale);
        self.start(&format!("service-{}", number + 1), &words, self.script.instances[number].node)
    }

    fn start(&self, name: &str, words: &[String], node: NodeIndex) -> anyhow::Result<Program> {
        Program::start(name, words, &self.stage.namespaces[node], &self.folder)
    }

    fn instances(&self) -> PathBuf {
        self.folder.join("instances.yaml")
    }

    fn records(&self, node: NodeIndex) -> PathBuf {
        self.folder.join(format!("records-{}.csv", node + 1))
    }

    /// Replaces the file at once: all proxies watch it.
    fn write_instances(&self, crew: &Crew) -> anyhow::Result<()> {
        let text = instances_file(self.script, &crew.present, Place { nodes: &self.stage.nodes }, crew.open);
        let new = self.folder.join("instances.new");
        write(&new, &text)?;
        std::fs::rename(&new, self.instances()).with_context(|| format!("rename {}", new.display()))
    }

    fn check_stop(&self) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

impl Crew {
    /// Whether all that are to run do.
    fn check(&mut self) -> anyhow::Result<()> {
        for proxy in &mut self.proxies {
            if proxy.ended()?.is_some() {
                return Err(proxy.complaint("has ended"));
            }
        }
        for (number, service) in &mut self.services {
            if self.present.contains(number) && service.ended()?.is_some() {
                return Err(service.complaint("has ended"));
            }
        }
        for (_, load) in &mut self.loads {
            if load.ended()?.is_some_and(|code| code > 1) {
                return Err(load.complaint("has ended"));
            }
        }
        Ok(())
    }
}

fn after(at: Moment) -> Duration {
    at.since(Moment::START).as_duration()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
