//! What is placed where, for the reader of a report.

use super::{Capacity, Placing, Services, Start};
use crate::units::Delay;

impl Placing {
    /// Names and values.
    pub(crate) fn words(&self) -> Vec<(String, String)> {
        let mut words = vec![("services".to_owned(), self.services.words())];
        let capacity = match self.capacity {
            Capacity::Fixed { cpu, memory } => format!("{cpu} thousandths of a core and {memory} MiB"),
            Capacity::Slack(slack) => format!("{slack} times an even share of what all services ask for"),
        };
        words.push(("each node has".to_owned(), capacity));
        let start = match self.start {
            Start::Spread => "one after the other over all nodes",
            Start::Random => "each on a random node",
            Start::Nowhere => "nowhere: they are new",
        };
        words.push(("services run at the start".to_owned(), start.to_owned()));
        let weights = format!("requests × {}, responses × {}", self.weights.request, self.weights.response);
        words.push(("traffic counts".to_owned(), weights));
        if self.round_trips {
            words.push(("delay of each direction".to_owned(), "there and back".to_owned()));
        }
        if self.same_node > Delay::ZERO {
            words.push(("delay within a node".to_owned(), self.same_node.to_string()));
        }
        words.extend(self.time.map(|time| ("policies return after".to_owned(), time.to_string())));
        let price = self.overload_price.map(|price| format!("{price} KB·ms for a core or GiB too much"));
        words.push(("overload".to_owned(), price.unwrap_or_else(|| "forbidden".to_owned())));
        words
    }
}

impl Services {
    fn words(&self) -> String {
        match self {
            Self::Graph { file, graph } => {
                format!("{file}: {} services, {} calls", graph.services.len(), graph.calls())
            }
            Self::Generated(generated) => {
                let callers = generated.callers.map_or_else(|| "all others".to_owned(), |count| count.to_string());
                let apart = generated.application < generated.services;
                let apart = if apart { format!(" of its {}", generated.application) } else { String::new() };
                format!(
                    "{} by lot, each called by {callers}{apart}, up to {} KB each way, up to {} thousandths of a core",
                    generated.services, generated.kilobytes, generated.cpu
                )
            }
            Self::Alike { counts, cpu, memory, kilobytes } => {
                let counts = counts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let traffic =
                    if *kilobytes > 0 { format!(", {kilobytes} KB from each to each") } else { String::new() };
                format!("{counts} of one group, {cpu} thousandths of a core and {memory} MiB each{traffic}")
            }
        }
    }
}
