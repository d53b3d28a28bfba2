//! The page of a run, put together.

use serde_json::Value;

use crate::experiment::run::{MetricDescription, PointDescription};
use crate::report::number;
use crate::report::page::{Block, Cell, Page, PageTable, Section, Tone};

use super::Given;
use super::conduct;
use super::cross_check;
use super::matrices::{self, Delays};
use super::overview;
use super::results::{Results, TrialTables};
use super::sweep;
use super::verdict::{Judged, Verdict};

/// Everything that the page is made from.
pub(super) struct Material<'a> {
    pub(super) results: &'a Results<'a>,
    /// Trials of the plan as written.
    pub(super) trials: &'a [TrialTables],
    pub(super) delays: &'a [Delays],
    pub(super) judged: &'a [Judged],
    /// The plan as given.
    pub(super) plan: &'a str,
    /// What `run.json` says.
    pub(super) record: Option<&'a Value>,
}

/// The page.
pub(super) fn page(material: &Material) -> Page {
    let description = material.results.description;
    let mut lead = vec![format!(
        "An experiment run of longhaul {}, in {}.",
        description.version,
        testbed(description.testbed.as_str())
    )];
    lead.extend(progress(material.results).map(|words| format!("Unfinished: {words}.")));
    let mut sections = vec![question(material)];
    if !material.judged.is_empty() {
        sections.push(claims(material));
    }
    if let Some(point) = material.results.written() {
        sections.push(results(material, point));
        sections.extend(cross_check::section(material.results));
        sections.push(details(material, point));
        sections.extend(conduct::section(material.trials, point));
        let headlines = headlines(material.results);
        let swept = sweep::blocks(material.results, &headlines);
        if !swept.is_empty() {
            let text = "The plan with other values in it. Claims are judged on the plan as written alone; this shows whether \
                        that is a favourable point.";
            let blocks = std::iter::once(Block::Text(text.to_owned())).chain(swept).collect();
            sections.push(Section { title: "Sweep".to_owned(), blocks });
        }
        sections.push(setting(material, point));
    }
    sections.push(Section { title: "Delays".to_owned(), blocks: matrices::blocks(material.delays) });
    sections.push(caveats(material));
    sections.push(repeat(material));
    Page { title: description.name.clone(), lead, sections }
}

fn testbed(name: &str) -> &str {
    if name == "simulation" { "virtual time" } else { name }
}

/// How far an unfinished run has come; nothing for a finished one.
pub(super) fn progress(results: &Results) -> Option<String> {
    let (there, planned) = (results.records.len(), results.planned());
    (there < planned).then(|| format!("{there} of {planned} trials are there; all numbers are of those"))
}

/// The metrics that are looked at closely: those of the experiment, then those of claims.
fn headlines<'a>(results: &Results<'a>) -> Vec<&'a MetricDescription> {
    let chosen = results.written().map_or(&[][..], |point| point.facts.headlines());
    chosen.iter().filter_map(|name| results.description.metrics.iter().find(|metric| metric.name == *name)).collect()
}

fn question(material: &Material) -> Section {
    let mut blocks = vec![Block::Text(material.results.description.question.trim().to_owned())];
    if let Some(words) = progress(material.results) {
        blocks.push(Block::Notice(format!("This run is not finished: {words}.")));
    }
    Section { title: "Question".to_owned(), blocks }
}

fn claims(material: &Material) -> Section {
    let rows = material.judged.iter().map(|one| {
        let tone = match one.verdict {
            Verdict::Held => Tone::Yes,
            Verdict::NotHeld => Tone::No,
            Verdict::Unclear | Verdict::NotTestable => Tone::Open,
        };
        let verdict = format!("{} {}", one.verdict.sign(), one.verdict.word());
        vec![Cell::plain(&one.says), Cell::new(verdict, tone), Cell::plain(&one.expected), Cell::plain(&one.seen)]
    });
    let head = ["claim", "verdict", "to be seen", "seen: mean ± half of the 95 % interval"].map(str::to_owned).to_vec();
    let caption = "What was said before, and what this run says of it, on the plan as written".to_owned();
    let table = Block::Table(PageTable { caption, head, rows: rows.collect() });
    let shared = material.results.written().map_or("are a pair", |point| point.facts.shared());
    let text = format!(
        "A claim held if the whole 95 % interval is where the claim says, and did not if none of it is; otherwise it is \
         unclear. Strategies are compared trial by trial: those of one topology and repetition {shared}."
    );
    Section { title: "Claims".to_owned(), blocks: vec![table, Block::Text(text)] }
}

fn results(material: &Material, point: &PointDescription) -> Section {
    let mut blocks = vec![Block::Table(overview::table(material.results, point))];
    let headlines = headlines(material.results);
    blocks.extend(headlines.iter().map(|metric| overview::figure(material.results, point, metric)));
    if point.topologies.len() > 1 {
        let tables =
            headlines.iter().map(|metric| Block::Table(overview::by_topology(material.results, point, metric)));
        blocks.push(Block::Fold("The same by topology".to_owned(), tables.collect()));
    }
    Section { title: "Results".to_owned(), blocks }
}

fn details(material: &Material, point: &PointDescription) -> Section {
    let title = "In detail".to_owned();
    let Some(first) = material.delays.first() else {
        return Section { title, blocks: Vec::new() };
    };
    if material.trials.is_empty() {
        return Section {
            title,
            blocks: vec![Block::Text("No trial of the plan as written is there yet.".to_owned())],
        };
    }
    let over = material.results.interval_words();
    let given = Given { point, trials: material.trials, matrix: &first.intended, over: &over };
    Section { title, blocks: point.facts.figures(&given) }
}

fn setting(material: &Material, point: &PointDescription) -> Section {
    let description = material.results.description;
    let pair = |name: &str, value: String| vec![Cell::plain(name), Cell::plain(value)];
    let mut rows: Vec<Vec<Cell>> = point.setting.iter().map(|(name, value)| pair(name, value.clone())).collect();
    for topology in &point.topologies {
        rows.extend(topology.beyond.iter().map(|words| pair(&format!("paths of {}", topology.name), words.clone())));
    }
    rows.push(pair("repetitions", description.repetitions.to_string()));
    rows.push(pair("seed", description.seed.to_string()));
    if (description.time_scale - 1.0).abs() > 1e-12 {
        rows.push(pair("plan seconds per second", description.time_scale.to_string()));
    }
    let settings = PageTable { caption: "What was done".to_owned(), head: Vec::new(), rows };
    let strategies = point.strategies.iter().map(|strategy| {
        let parameters = strategy.parameters.iter().map(|(name, value)| format!("{name} {}", plain(value)));
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let parameters = if parameters.is_empty() { "–".to_owned() } else { parameters };
        vec![Cell::plain(&strategy.name), Cell::plain(&strategy.policy), Cell::plain(parameters)]
    });
    let head = ["strategy", "policy", "parameters"].map(str::to_owned).to_vec();
    let strategies = PageTable { caption: "What was tried".to_owned(), head, rows: strategies.collect() };
    Section { title: "Setting".to_owned(), blocks: vec![Block::Table(settings), Block::Table(strategies)] }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn caveats(material: &Material) -> Section {
    let results = material.results;
    let mut points: Vec<String> = Vec::new();
    if let Some(words) = progress(results) {
        points.push(format!("The run is not finished: {words}."));
    }
    let instead = results.written().and_then(|point| point.facts.caveat());
    points.extend(instead.map(str::to_owned));
    if results.description.testbed == "simulation" && instead.is_none() {
        let beyond = results.written().is_some_and(|point| point.topologies.iter().any(|one| one.beyond.is_some()));
        let ways = if beyond {
            "ways take what the delays and the jitter say, what is lost is sent again after the round trip and 200 ms"
        } else {
            "ways take exactly what the delays say, nothing is lost unless the plan says so"
        };
        points.push(format!(
            "Time is virtual: {ways}, and programs cost nothing. Differences between strategies are theirs; absolute numbers \
             are those of the model."
        ));
    }
    if results.description.testbed == "lab" {
        points.push(
            "Nodes are network namespaces of one machine: programs share its processors, and a node's own instance is as far as \
             the loopback is. What was measured of delays before the trials stands under Delays; how late requests left, what \
             others took of the processors and what the emulation dropped stands under How the lab behaved."
                .to_owned(),
        );
        if (results.description.time_scale - 1.0).abs() > 1e-12 {
            points.push(format!(
                "Time was dilated: {} plan seconds a second. Delays, service times, rates and all times of policies were scaled and \
                 the results scaled back; what programs and TCP take of themselves was not, and counts {0} times as much.",
                results.description.time_scale
            ));
        }
    }
    points.push(format!(
        "Intervals are Student's t, 95 %, over {}, taken as independent draws. They say nothing of what all trials share, \
         such as the kind of topology or the distribution of service times.",
        results.interval_words()
    ));
    if results.description.points.len() == 1 {
        points.push("Nothing was varied: the plan has no sweep, so this may be a favourable point.".to_owned());
    }
    let mut said: Vec<(&str, usize)> = Vec::new();
    for caveat in results.records.iter().flat_map(|record| &record.caveats) {
        match said.iter_mut().find(|(other, _)| other == caveat) {
            Some((_, count)) => *count += 1,
            None => said.push((caveat, 1)),
        }
    }
    let trials = |count: usize| if count == 1 { "1 trial".to_owned() } else { format!("{count} trials") };
    points.extend(said.into_iter().map(|(caveat, count)| format!("{caveat} ({})", trials(count))));
    Section { title: "Caveats".to_owned(), blocks: vec![Block::List(points)] }
}

fn repeat(material: &Material) -> Section {
    let description = material.results.description;
    let mut blocks = Vec::new();
    if let Some(record) = material.record {
        let command = record["command"].as_array().into_iter().flatten().filter_map(Value::as_str).map(quoted);
        let command = command.collect::<Vec<_>>().join(" ");
        if !command.is_empty() {
            blocks.push(Block::Code(command));
        }
        blocks.push(Block::Table(provenance(record)));
    }
    let text = format!(
        "All randomness comes from the seed {}, so that the same version gives the same trials in virtual time. The plan as \
         given is plan.yaml of the run directory, as understood plan.json; every metric of every trial is in metrics.csv. \
         `longhaul report` makes this page again from the run directory alone.",
        description.seed
    );
    blocks.push(Block::Text(text));
    blocks.push(Block::Fold("The plan as given".to_owned(), vec![Block::Code(material.plan.to_owned())]));
    Section { title: "How to repeat it".to_owned(), blocks }
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Where and when it ran, as far as `run.json` says, with what else the machine did.
fn provenance(record: &Value) -> PageTable {
    let text = |value: &Value| (!value.is_null()).then(|| plain(value));
    let percent = |value: &Value| Some(format!("{} %", number(value.as_f64()? * 100.0, 1, false)));
    let seconds = |value: &Value| Some(format!("{} s", number(value.as_f64()?, 1, false)));
    let load = |value: &Value| Some(number(value.as_f64()?, 2, false));
    let rows = [
        ("longhaul", text(&record["version"])),
        ("revision", text(&record["revision"])),
        ("started", text(&record["started"])),
        ("took", seconds(&record["seconds"])),
        ("kernel", text(&record["kernel"])),
        ("processor", text(&record["machine"]["cpu"])),
        ("processors", text(&record["machine"]["cpus"])),
        ("runnable processes at the end, mean of a minute", load(&record["hostNoise"]["load1"])),
        ("processor time taken by other guests", percent(&record["hostNoise"]["steal"])),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![Cell::plain(name), Cell::plain(value?)]));
    PageTable { caption: "Where it ran".to_owned(), head: Vec::new(), rows: rows.collect() }
}
