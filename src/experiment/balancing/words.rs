//! What is done, for the reader of a report.

use crate::units::Span;
use crate::workload::{Arrivals, ServiceTime};

use super::{Balancing, Change, Connections, Crowd, Discipline, Instances, Nodes};

impl Balancing {
    /// Names and values.
    pub(crate) fn words(&self) -> Vec<(String, String)> {
        let clients = &self.clients;
        let arrivals = match clients.arrivals {
            Arrivals::Fixed => "evenly",
            Arrivals::Poisson => "Poisson",
        };
        let discipline = match self.service.discipline {
            Discipline::Fifo => "first come, first served",
            Discipline::Sharing => "shared evenly",
        };
        let qos = format!(
            "{} % of each client's requests within {}, over {}",
            self.qos.at_least * 100.0,
            self.qos.within,
            self.qos.window
        );
        let mut words = vec![
            ("duration".to_owned(), self.duration.to_string()),
            ("clients".to_owned(), format!("{} per node at {}, {arrivals}", clients.each, clients.pace)),
            ("instances".to_owned(), self.instances.words()),
            ("service time".to_owned(), time(self.service.time)),
            ("cores of an instance".to_owned(), format!("{}, {discipline}", self.service.cores)),
            ("quality of service".to_owned(), qos),
            ("timeout".to_owned(), self.timeout.to_string()),
            ("round trip on a node".to_owned(), self.local_rtt.to_string()),
            ("round trips measured every".to_owned(), self.probe_every.to_string()),
        ];
        if self.connections == Connections::Opened {
            words.push(("connections".to_owned(), "opened when none is free, a round trip each".to_owned()));
        }
        if self.warm_up > Span::ZERO {
            words.push(("warm-up, not counted".to_owned(), self.warm_up.to_string()));
        }
        words.extend(self.events.iter().map(|event| (format!("at {}", event.at), event.change.words())));
        words
    }
}

impl Instances {
    fn words(&self) -> String {
        match self {
            Self::KCenter { count, first } => {
                let first = first.as_ref().map_or_else(|| "a random node".to_owned(), ToString::to_string);
                format!("{count} by greedy k-center from {first} on")
            }
            Self::On(nodes) => {
                let names: Vec<&str> = nodes.iter().map(crate::topology::NodeName::as_str).collect();
                format!("on {}", names.join(", "))
            }
        }
    }
}

impl Change {
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Join(crowd) => format!("{} join{}", crowd.words(), crowd.ending()),
            Self::Leave(crowd) => format!("{} leave{}", crowd.words(), crowd.ending()),
            Self::Add(node) => format!("an instance appears on {node}"),
            Self::Remove(instance) => format!("instance i{} is removed", instance + 1),
            Self::Fail(instance) => format!("instance i{} fails", instance + 1),
            Self::Cut(node) => format!("{node} is cut off"),
            Self::Rejoin(node) => format!("{node} is back"),
            Self::Matrix(_) => "other delays".to_owned(),
        }
    }
}

impl Crowd {
    /// What a verb of theirs ends with.
    fn ending(&self) -> &'static str {
        if self.each == 1 { "s" } else { "" }
    }

    fn words(&self) -> String {
        let nodes = match &self.nodes {
            Nodes::Drawn(count) => format!("{count} random nodes"),
            Nodes::Named(names) => names.iter().map(crate::topology::NodeName::as_str).collect::<Vec<_>>().join(", "),
        };
        let clients = if self.each == 1 { "client" } else { "clients" };
        format!("{} {clients} on each of {nodes}", self.each)
    }
}

fn time(time: ServiceTime) -> String {
    match time {
        ServiceTime::Fixed(time) => format!("{time}, always"),
        ServiceTime::LogNormal { mean, cv } => format!("log-normal, mean {mean}, coefficient of variation {cv}"),
        ServiceTime::Exponential(mean) => format!("exponential, mean {mean}"),
    }
}
