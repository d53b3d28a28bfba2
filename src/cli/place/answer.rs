//! The answer of `longhaul place` as text, JSON and a file. Pure.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::parameters::Parameters;
use crate::placement::explain::{Reason, Shortage, moves, overloads, reason, shortages};
use crate::placement::files::shown;
use crate::placement::{Evaluator, MAKESHIFT, Placed, Placement, Policy, Problem, Valuation};
use crate::wording::OneLine;

/// A placement and what led to it.
pub(super) struct Answer<'a> {
    pub(super) policy: &'a Policy,
    pub(super) parameters: Parameters,
    pub(super) problem: &'a Problem,
    /// Where it began: where services run now, and Kubernetes' choice for what is new.
    pub(super) begin: Placement,
    pub(super) placed: Placed,
    pub(super) took: Duration,
}

impl Answer<'_> {
    fn value(&self, placement: &Placement) -> Valuation {
        Evaluator::new(self.problem, placement.clone()).valuation()
    }

    fn service(&self, service: usize) -> &str {
        &self.problem.services()[service].name
    }

    fn node(&self, node: usize) -> &str {
        self.problem.hosts()[node].name.as_str()
    }

    /// What the numbers before are of.
    fn began(&self) -> &'static str {
        if self.problem.current().is_some() {
            "where services run now"
        } else {
            "Kubernetes' default for what runs nowhere yet"
        }
    }

    /// The lines above the picture.
    pub(super) fn headline(&self) -> String {
        let (before, after) = (self.value(&self.begin), self.value(&self.placed.placement));
        let proven = if self.placed.proven { ", proved to be the least" } else { "" };
        let share = after.traffic.as_kb_ms() / before.traffic.as_kb_ms().max(f64::MIN_POSITIVE) * 100.0;
        let share = if before.traffic.as_kb_ms() > 0.0 { format!(" ({share:.1} % of before)") } else { String::new() };
        format!("{} → {}{share}{proven}, {} moves", before.traffic, after.traffic, after.moves)
    }

    pub(super) fn text(&self, explained: bool) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, explained);
        text
    }

    fn write(&self, text: &mut String, explained: bool) -> std::fmt::Result {
        let after = self.value(&self.placed.placement);
        writeln!(text, "policy     {} ({:.1} ms)", self.policy.name, self.took.as_secs_f64() * 1000.0)?;
        writeln!(text, "cost       {}", self.headline())?;
        writeln!(text, "before     {}", self.began())?;
        self.write_nodes(text)?;
        if self.placed.makeshift > 0 {
            let words = format!("{} of {} {MAKESHIFT}", self.placed.makeshift, self.placed.placement.len());
            writeln!(text, "\n{}", super::super::terminal::hanging("", &words, 0, 100))?;
        }
        let moves = moves(self.problem, &self.placed.placement);
        if !moves.is_empty() {
            let width = self.width();
            writeln!(text, "\n{:width$}  {:>12}  {:>12}  move", "service", "gain", "cost then")?;
            for one in &moves {
                let way = format!("{} → {}", self.node(one.from), self.node(one.to));
                let (gain, then) = (one.gain.as_kb_ms(), one.after.as_kb_ms());
                writeln!(text, "{:width$}  {gain:>12.0}  {then:>12.0}  {}", self.service(one.service), OneLine(way))?;
            }
            writeln!(text, "Each gain is with those above done; a move without gain makes room or goes with another.")?;
        } else if after.moves == 0 && self.problem.current().is_some() {
            writeln!(text, "\nNothing moves.")?;
        }
        if explained {
            self.write_reasons(text)?;
        }
        for shortage in self.shortages() {
            writeln!(text, "\nDoes not fit: {}", OneLine(shortage))?;
        }
        Ok(())
    }

    fn width(&self) -> usize {
        let names = self.problem.services().iter().map(|service| service.name.chars().count());
        names.max().unwrap_or(7).clamp(7, 40)
    }

    fn write_nodes(&self, text: &mut String) -> std::fmt::Result {
        let loads = crate::placement::Loads::of(self.problem, &self.placed.placement);
        writeln!(text)?;
        for node in 0..self.problem.hosts().len() {
            let asked = self.problem.resources().iter().enumerate().map(|(place, resource)| {
                let (asked, free) = (loads.asked(node)[place], self.problem.free(node)[place]);
                format!("{} {} of {}", resource.name, shown(resource, asked), shown(resource, free))
            });
            let asked = asked.collect::<Vec<_>>().join(", ");
            let here = self.placed.placement.iter().filter(|(_, place)| *place == node);
            let names = here.map(|(service, _)| self.service(service)).collect::<Vec<_>>().join(" ");
            writeln!(text, "{:<10} {}", self.node(node), OneLine(asked))?;
            if !names.is_empty() {
                writeln!(text, "{}", super::super::terminal::hanging("", &names, 11, 100))?;
            }
        }
        Ok(())
    }

    fn write_reasons(&self, text: &mut String) -> std::fmt::Result {
        let evaluator = Evaluator::new(self.problem, self.placed.placement.clone());
        writeln!(text, "\nWhy the others stay:")?;
        let width = self.width();
        for service in self.stays() {
            let words = self.words(&reason(&evaluator, service));
            writeln!(
                text,
                "  {:width$}  {:<8} {}",
                self.service(service),
                self.node(evaluator.node(service)),
                OneLine(words)
            )?;
        }
        Ok(())
    }

    /// Services that do not move, and those that are new.
    fn stays(&self) -> impl Iterator<Item = usize> + '_ {
        let placed = self.placed.placement.iter();
        placed
            .filter(|(service, node)| self.problem.services()[*service].current.is_none_or(|now| now == *node))
            .map(|(service, _)| service)
    }

    fn words(&self, reason: &Reason) -> String {
        let less = "would cost less on";
        match reason {
            Reason::Pinned => "pinned: it may run nowhere else".to_owned(),
            Reason::Silent => "no traffic: no node is better".to_owned(),
            Reason::Best(node, lost) => format!("best there: on {} it would cost {lost} more", self.node(*node)),
            Reason::NoRoom(node, gain, place, amount) => {
                let resource = &self.problem.resources()[*place];
                let lack = format!("{} {} too little there", shown(resource, *amount), resource.name);
                format!("{less} {} by {gain}, but no room: {lack}", self.node(*node))
            }
            Reason::NotWorth(node, gain) => {
                format!("{less} {} by {gain}, but not within the limit or price of moves", self.node(*node))
            }
            Reason::Unseen(node, gain) => {
                format!("{less} {} by {gain}, which the policy does not see", self.node(*node))
            }
        }
    }

    /// What does not fit, in words; nothing where everything does.
    fn shortages(&self) -> Vec<String> {
        let over = overloads(self.problem, &self.placed.placement);
        if over.is_empty() {
            return Vec::new();
        }
        shortages(self.problem).iter().chain(&over).map(|shortage| self.shortage(*shortage)).collect()
    }

    fn shortage(&self, shortage: Shortage) -> String {
        let amount = |place: usize, amount: u64| {
            let resource = &self.problem.resources()[place];
            format!("{} {}", shown(resource, amount), resource.name)
        };
        match shortage {
            Shortage::Total(place, missing) => {
                format!("all services together ask for {} more than all nodes have", amount(place, missing))
            }
            Shortage::Service(service, place, missing) => {
                let name = self.service(service);
                format!("`{name}` asks for {} more than any node that it may run on has", amount(place, missing))
            }
            Shortage::Node(node, place, missing) => {
                format!(
                    "in the best placement found, `{}` is asked for {} too much",
                    self.node(node),
                    amount(place, missing)
                )
            }
        }
    }

    pub(super) fn document(&self, explained: bool) -> Value {
        let evaluator = Evaluator::new(self.problem, self.placed.placement.clone());
        let placement: serde_json::Map<String, Value> = self
            .placed
            .placement
            .iter()
            .map(|(service, node)| (self.service(service).to_owned(), self.node(node).into()))
            .collect();
        let moves: Vec<Value> = moves(self.problem, &self.placed.placement)
            .iter()
            .map(|one| {
                json!({
                    "service": self.service(one.service), "from": self.node(one.from), "to": self.node(one.to),
                    "gain_kb_ms": one.gain, "cost_then_kb_ms": one.after,
                })
            })
            .collect();
        let value =
            |value: Valuation| json!({"cost_kb_ms": value.traffic, "excess_units": value.excess, "moves": value.moves});
        let mut document = json!({
            "policy": self.policy.name, "parameters": self.parameters, "seconds": self.took.as_secs_f64(),
            "proven": self.placed.proven, "tried": self.placed.tried,
            "makeshift": self.placed.makeshift,
            "begin": self.began(), "before": value(self.value(&self.begin)), "after": value(evaluator.valuation()),
            "placement": placement, "moves": moves, "does_not_fit": self.shortages(),
        });
        if explained {
            let stays = self.stays().map(|service| {
                let (node, why) = (self.node(evaluator.node(service)), self.words(&reason(&evaluator, service)));
                json!({"service": self.service(service), "node": node, "why": why})
            });
            document["stays"] = stays.collect();
        }
        document
    }

    /// The placement as `--from` reads it.
    pub(super) fn file(&self) -> String {
        let quoted = |name: &str| Value::from(name).to_string();
        let line = |(service, node)| format!("  {}: {}\n", quoted(self.service(service)), quoted(self.node(node)));
        let lines: String = self.placed.placement.iter().map(line).collect();
        format!("# {}: {}\napiVersion: longhaul/v1\nplacement:\n{lines}", self.policy.name, self.headline())
    }
}
