//! What became of each request, from the files of the loads to the counts, metrics and tables of a trial, in plan time.

use serde::Deserialize;

use crate::experiment::balancing::Balancing;
use crate::experiment::balancing::regret::with_regret;
use crate::experiment::balancing::tally::{Ended, Tally};
use crate::experiment::outcome::{Outcome, Table};
use crate::experiment::plan::Trial;
use crate::experiment::time_scale::TimeScale;
use crate::topology::NodeIndex;
use crate::units::{Moment, Span};

use super::Script;

/// Records that are none.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A line of another form.
    #[error("the records of node {node}: {error}")]
    Form {
        /// The node's number, from 0.
        node: NodeIndex,
        /// What is wrong.
        error: csv::Error,
    },
    /// A client or a time that cannot be.
    #[error("the records of node {node}, line {line}: client {client} is unknown or a time is none")]
    Value {
        /// The node's number, from 0.
        node: NodeIndex,
        /// The line, from 1.
        line: usize,
        /// The client.
        client: u32,
    },
}

/// What became of a request, in plan time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose it was: the client's number in the trial.
    pub client: usize,
    /// Who answered, or was asked last, as far as somebody said.
    pub instance: Option<usize>,
    /// When it was to leave.
    pub intended: Moment,
    /// How late it left.
    pub lateness: Span,
    /// From when it was to leave until its end.
    pub latency: Span,
    /// How it ended, in the words of the load: ok, refused, failed, timed out, not sent.
    pub outcome: String,
    /// How long the instance had it.
    pub processing: Option<Span>,
}

/// A line of a load's file, in testbed time.
#[derive(Debug, Deserialize)]
struct Line {
    client: u32,
    intended_ms: f64,
    lateness_ms: f64,
    latency_ms: f64,
    outcome: String,
    instance: Option<String>,
    processing_ms: Option<f64>,
}

/// Reads the file of a node's load.
pub fn parse_records(
    script: &Script,
    scale: TimeScale,
    node: NodeIndex,
    text: &str,
) -> Result<Vec<Request>, RecordError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let lines = reader.deserialize::<Line>().enumerate().map(|(place, line)| {
        let line = line.map_err(|error| RecordError::Form { node, error })?;
        let client = line.client;
        request(script, scale, node, line).ok_or(RecordError::Value { node, line: place + 2, client })
    });
    lines.collect()
}

fn request(script: &Script, scale: TimeScale, node: NodeIndex, line: Line) -> Option<Request> {
    let span = |ms: f64| Some(scale.in_plan(Span::from_millis_f64(ms)?));
    let named = |name: &String| script.instances.iter().position(|instance| instance.name == *name);
    Some(Request {
        client: *script.members.get(node)?.get(line.client as usize)?,
        instance: line.instance.as_ref().and_then(named),
        intended: Moment::START + span(line.intended_ms)?,
        lateness: span(line.lateness_ms)?,
        latency: span(line.latency_ms)?,
        outcome: line.outcome,
        processing: line.processing_ms.and_then(span),
    })
}

/// What a trial gives, by the same counts as in simulation, with every request in a table beside it.
pub fn outcome(plan: &Balancing, trial: &Trial, script: &Script, requests: &[Request]) -> Outcome {
    let mut tally = Tally::new(plan.qos, plan.warm_up, plan.duration);
    for node in &script.clients {
        tally.client(*node);
    }
    for instance in &script.instances {
        tally.instance(instance.node);
    }
    for request in requests {
        let answered = request.outcome == "ok";
        tally.end(&Ended {
            client: request.client,
            instance: request.instance,
            sent: request.intended,
            latency: request.latency,
            answered,
            processing: request.processing.filter(|_| answered),
        });
    }
    let names: Vec<String> = trial.topology.matrix.names().iter().map(ToString::to_string).collect();
    let mut outcome = with_regret(tally.outcome(&names), plan, trial);
    outcome.evidence.push(table(script, requests, &names));
    outcome
}

fn table(script: &Script, requests: &[Request], names: &[String]) -> Table {
    let columns =
        ["client", "node", "instance", "intended_ms", "lateness_ms", "latency_ms", "outcome", "processing_ms"];
    let mut table = Table::new("requests", &columns);
    let ms = |span: Span| format!("{:.3}", span.as_millis_f64());
    table.rows = requests
        .iter()
        .map(|request| {
            vec![
                format!("c{}", request.client + 1),
                names[script.clients[request.client]].clone(),
                request.instance.map_or_else(String::new, |number| format!("i{}", number + 1)),
                ms(request.intended.since(Moment::START)),
                ms(request.lateness),
                ms(request.latency),
                request.outcome.clone(),
                request.processing.map_or_else(String::new, ms),
            ]
        })
        .collect();
    table
}
