//! Reports of small runs, read back: as XML, as pictures, as bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use roxmltree::{Document, ParsingOptions};

use super::*;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::run::{Simulation, run};

const HEAD: &str = "apiVersion: longhaul/v1\nname: it\nquestion: Is <b>this</b> & that so?\ntestbed: simulation\n\
                    repetitions: 2\n\
                    topologies: [{name: \"one <i>\", random: {nodes: 4, base: 5ms, addition: 20ms}, seed: 1},\
                    \x20 {name: two, random: {nodes: 4, base: 5ms, addition: 30ms}, seed: 2}]\n\
                    strategies: [{policy: round-robin}, {name: \"<script>x\", policy: round-robin}]\nbalancing:\n\
                    \x20 duration: 20s\n  qos: {within: 80ms, atLeast: 90%, window: 5s}\n\
                    \x20 service: {time: {logNormal: {mean: 5ms, cv: 0.5}}}\n  instances: {on: [n1, n2]}\n\
                    \x20 clients: {each: 2, rate: 10/s, arrivals: poisson}\n\
                    timeline:\n  - {at: 10s, do: {remove: i2}}\n\
                    claims:\n  - {says: \"nearly all <u>\", metric: requestsOk, of: round-robin, between: [0.9, 1]}\n\
                    \x20 - {says: better, metric: requestsOk, of: round-robin, above: \"<script>x\"}\n\
                    \x20 - {says: elsewhere, notTestable: \"it has & no hardware\"}\n";

const ONE_AXIS: &str =
    "sweep: [{vary: balancing.service.time.logNormal.mean, over: [4ms, 6ms], label: service time}]\n";
const TWO_AXES: &str = "sweep: [{vary: balancing.service.time.logNormal.mean, over: [4ms, 6ms]},\
                        {vary: balancing.clients.each, over: [1, 2, 3]}]\n";

fn plan(sweep: &str) -> Plan {
    let text = format!("{HEAD}{sweep}");
    Plan::load(Path::new("plan.yaml"), |_| Ok(text.as_bytes().to_vec())).expect("a plan")
}

/// A run of as many trials as `count`.
fn ran(sweep: &str, count: usize, folder: &Path) {
    let plan = plan(sweep);
    let directory = RunDirectory::open(folder, &plan, &Description::new(&plan, "0"), false).expect("new");
    let trials: Vec<Trial> = plan.trials().take(count).collect();
    run(&trials, &directory, &Simulation::default(), 2, &AtomicBool::new(false), &|_, _| {}).expect("runs");
}

/// The same with its report.
fn reported(sweep: &str, count: usize, folder: &Path) -> Written {
    ran(sweep, count, folder);
    again(folder, folder)
}

/// The page of a run without its files: drawing these takes most of the time.
fn composed(folder: &Path) -> (Vec<Judged>, String, String) {
    let (directory, description) = RunDirectory::existing(folder).expect("a run");
    let results = Results {
        description: &description,
        records: directory.records().expect("records"),
        simulated: directory.simulated().expect("records"),
    };
    let judged = verdicts(&results);
    let page = document(&directory, &results, &judged).expect("a page");
    let summary = text::summary(&results, &judged);
    (judged, summary, html(&page))
}

fn again(folder: &Path, output: &Path) -> Written {
    let (directory, description) = RunDirectory::existing(folder).expect("a run");
    write(&directory, &description, output).expect("a report")
}

fn page(folder: &Path) -> String {
    fs::read_to_string(folder.join("report.html")).expect("a page")
}

fn parsed(text: &str) -> Document<'_> {
    Document::parse_with_options(text, ParsingOptions { allow_dtd: true, ..ParsingOptions::default() })
        .expect("well-formed")
}

/// The page opens without a network and without scripts; every picture has a title, every name is there once.
fn check(text: &str) {
    let document = parsed(text);
    let mut names = BTreeMap::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let tag = node.tag_name().name();
        assert!(!["script", "link", "img", "iframe", "object", "image", "use"].contains(&tag), "{tag}");
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!name.starts_with("on"), "{name}");
            assert!(!["href", "src"].contains(&name) || value.starts_with('#'), "{name}={value}");
            assert!(!value.contains("url(") || value.contains("url(#"), "{name}={value}");
            if name == "id" {
                *names.entry(value).or_insert(0) += 1;
            }
        }
        if tag == "svg" {
            let title = node.children().find(|child| child.tag_name().name() == "title").and_then(|title| title.text());
            assert!(title.is_some_and(|title| title.len() > 5), "a picture without a title");
        }
    }
    assert!(names.values().all(|count| *count == 1), "{names:?}");
    for node in document.descendants() {
        let links =
            [node.attribute("href").and_then(|value| value.strip_prefix('#')), node.attribute("aria-labelledby")];
        for link in links.into_iter().flatten() {
            assert!(names.contains_key(link), "{link} leads nowhere");
        }
    }
    let style = document.descendants().find(|node| node.tag_name().name() == "style").and_then(|node| node.text());
    assert!(style.is_some_and(|style| !style.contains("url(") && !style.contains("@import")));
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    for (sweep, trials, figures) in [("", 8, 12), (ONE_AXIS, 24, 16), (TWO_AXES, 56, 16)] {
        let folder = tempfile::tempdir().expect("a folder");
        let written = reported(sweep, trials, folder.path());
        assert_eq!(written.figures, figures);
        let text = page(folder.path());
        check(&text);
        assert_eq!(text.matches("<figure").count(), figures);
        assert!(!text.contains("NaN") && !text.contains("Infinity"));
        let pictures = fs::read_dir(folder.path().join("figures")).expect("figures").count();
        assert_eq!(pictures, 2 * figures, "each as SVG and PNG");
        let rows = fs::read_to_string(folder.path().join("metrics.csv")).expect("metrics").lines().count();
        assert_eq!(rows, 1 + 9 * trials);
    }
}

#[test]
fn claims_have_their_verdicts_on_the_page_and_on_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    ran("", 8, folder.path());
    let (judged, summary, text) = composed(folder.path());
    let verdicts: Vec<Verdict> = judged.iter().map(|one| one.verdict).collect();
    // Two names of one policy meet the same requests and do the same: the difference is nothing, exactly.
    assert_eq!(verdicts, [Verdict::Held, Verdict::NotHeld, Verdict::NotTestable]);
    assert!(judged[1].seen.starts_with("difference 0.0 ± 0.0 points"), "{}", judged[1].seen);
    let document = parsed(&text);
    let cells =
        document.descendants().filter(|node| ["yes", "no", "open"].map(Some).contains(&node.attribute("class")));
    let words: Vec<&str> = cells.filter_map(|node| node.text()).collect();
    assert_eq!(words, ["✓ held", "✗ not held", "– not testable here"]);
    assert!(summary.contains("✓ held: nearly all <u>"), "{}", summary);
    assert!(summary.contains("over 2 topologies × 2 repetitions"), "{}", summary);
}

#[test]
fn the_same_directory_gives_the_same_bytes_wherever_they_are_written() {
    let (folder, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("other"));
    reported(ONE_AXIS, 24, folder.path());
    let first = page(folder.path());
    again(folder.path(), folder.path());
    again(folder.path(), other.path());
    assert_eq!((page(folder.path()) == first, page(other.path()) == first), (true, true));
    let figure = |folder: &Path| fs::read(folder.join("figures/routing.png")).expect("a figure");
    assert_eq!(figure(folder.path()), figure(other.path()));
}

#[test]
fn a_run_that_is_not_finished_says_so_and_one_without_trials_too() {
    for trials in [0, 1, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        ran(ONE_AXIS, trials, folder.path());
        let (judged, summary, text) = composed(folder.path());
        let words = format!("{trials} of 24 trials are there");
        assert!(text.contains(&words) && summary.contains(&words));
        check(&text);
        let verdict = judged[0].verdict;
        assert!(trials > 1 || verdict == Verdict::Unclear, "one value is no interval");
    }
}

#[test]
fn measured_delays_are_shown_beside_the_intended_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    ran("", 2, folder.path());
    assert!(!composed(folder.path()).2.contains("id=\"measured-1\""));
    let matrices = folder.path().join("matrices");
    fs::copy(matrices.join("p0-t1.csv"), matrices.join("measured-p0-t0.csv")).expect("copied");
    let text = composed(folder.path()).2;
    check(&text);
    assert!(text.contains("id=\"measured-1\"") && text.contains("id=\"error-1\""));
}

/// The texts of the cells of the rows below a caption, read from the page as XML.
fn table_below(text: &str, caption: &str) -> Vec<Vec<String>> {
    let document = parsed(text);
    let is_it = |node: &roxmltree::Node| {
        node.tag_name().name() == "caption" && node.text().is_some_and(|text| text.starts_with(caption))
    };
    let table = document.descendants().find(is_it).and_then(|node| node.parent()).expect("a table");
    let rows = table.descendants().filter(|node| node.tag_name().name() == "tr");
    let cells = |row: roxmltree::Node| -> Vec<String> {
        let texts = row.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text());
        texts.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn how_a_lab_behaved_stands_on_the_page_with_what_should_not_be_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    ran("", 8, folder.path());
    assert!(!composed(folder.path()).2.contains("How the lab behaved"), "virtual time has no conduct");
    let conduct = |late: f64, dropped: &str| {
        format!(
            "what,value\nrequests,100.000000\nnot_sent,0.000000\nlateness_p50_ms,0.250000\nlateness_p99_ms,{late}\n\
             lateness_max_ms,9.500000\nlateness_bound_ms,4.000000\nsteal,0.021000\nload1,1.500000\n\
             packets_delayed,4000.000000\npackets_dropped,{dropped}\npackets_late,3.000000\nagent_restarts,0.000000\n"
        )
    };
    for (trial, late, dropped) in
        [("t0-r0-s0", 1.0, "0"), ("t0-r1-s0", 4.5, "0"), ("t0-r0-s1", 2.0, ""), ("t0-r1-s1", 3.0, "0")]
    {
        let trial = folder.path().join(format!("trials/p0-{trial}"));
        fs::write(trial.join("conduct.csv"), conduct(late, dropped)).expect("written");
        let events = "what,at_s,late_ms,took_ms\nremove <i2>,10.000,0.100,30.000\n".replace("0.100", &late.to_string());
        fs::write(trial.join("events.csv"), events).expect("written");
        let record = fs::read_to_string(trial.join("trial.json")).expect("a trial");
        let mut record: Value = serde_json::from_str(&record).expect("JSON");
        record["tables"].as_array_mut().expect("a list").extend(["conduct", "events"].map(Value::from));
        fs::write(trial.join("trial.json"), record.to_string()).expect("written");
    }
    let text = composed(folder.path()).2;
    check(&text);
    let leaving = table_below(&text, "When requests left");
    assert_eq!(leaving[1], ["round-robin", "2", "200", "0", "0.250", "✗ 4.500", "9.500", "4.000"]);
    assert_eq!(leaving[2], ["<script>x", "2", "200", "0", "0.250", "3.000", "9.500", "4.000"]);
    let around = table_below(&text, "What the machine");
    assert_eq!(around[1], ["round-robin", "2", "2.1", "1.50", "8000", "0", "6", "0"]);
    assert_eq!(around[2][5], "–", "of one trial nobody knows");
    assert_eq!(table_below(&text, "What happened")[1], ["remove <i2>", "10.0", "4", "4.5", "30.0"]);
    let each = table_below(&text, "When requests left, by trial");
    assert_eq!(each.len(), 5);
    // Only what is above what is allowed is marked: once for the strategy, once for the trial.
    let marked = parsed(&text);
    let marked = marked.descendants().filter(|node| node.attribute("class") == Some("number no"));
    assert_eq!(marked.filter_map(|node| node.text()).collect::<Vec<_>>(), ["✗ 4.500"; 2]);
}

/// What `run.json` says is shown; words in it are words, also those that a shell or a browser would obey.
#[test]
fn the_command_can_be_copied_into_a_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    ran("", 1, folder.path());
    let record = r#"{"command": ["longhaul", "run", "my plan.yaml", "</code><script>"], "hostNoise": {"load1": 1.5, "steal": 0.031}}"#;
    fs::write(folder.path().join("run.json"), record).expect("written");
    let text = composed(folder.path()).2;
    check(&text);
    assert!(text.contains("longhaul run &#39;my plan.yaml&#39; &#39;&lt;/code&gt;&lt;script&gt;&#39;"));
    assert!(text.contains("3.1\u{a0}%"));
}

/// Everything but times is the same on every machine, so the table of results is too.
#[test]
fn placements_have_their_table_and_their_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "apiVersion: longhaul/v1\nname: it\nquestion: what\ntestbed: simulation\nrepetitions: 3\n\
                topologies: [{name: small, regions: {regions: 2, nodes: 2}}, {name: large, regions: {regions: 3, nodes: 2}}]\n\
                strategies: [{policy: kubernetes}, {policy: random}]\nplacement:\n\
                \x20 services: {alike: {count: [4, 8], cpu: 1000, memory: 1024}}\n\
                \x20 nodes: {cpu: 4000, memory: 8192}\n  start: nowhere\n\
                claims:\n  - {says: farther, metric: latency, of: kubernetes, topology: large, relativeTo: small, between: [1, 9]}\n";
    let plan = Plan::load(Path::new("plan.yaml"), |_| Ok(text.as_bytes().to_vec())).expect("a plan");
    let directory = RunDirectory::open(folder.path(), &plan, &Description::new(&plan, "0"), false).expect("new");
    let trials: Vec<Trial> = plan.trials().collect();
    run(&trials, &directory, &Simulation::default(), 2, &AtomicBool::new(false), &|_, _| {}).expect("runs");
    let written = again(folder.path(), folder.path());
    assert_eq!(written.judged[0].verdict, Verdict::Held, "{:?}", written.judged);
    check(&page(folder.path()));
    for name in ["time-by-topology", "pod-latency-1", "pod-latency-2", "cpu-allocation-2", "pods-by-region-1"] {
        assert!(folder.path().join("figures").join(format!("{name}.png")).exists(), "{name}");
    }
    let stays = |line: &&str| !line.contains("ime") && !line.contains("point,");
    let metrics = fs::read_to_string(folder.path().join("metrics.csv")).expect("is there");
    let metrics: Vec<&str> = metrics.lines().filter(|line| line.contains(",0,kubernetes,")).filter(stays).collect();
    insta::assert_snapshot!(metrics.join("\n"), @"
    0,,small,0,kubernetes,cpuAllocated,0.25
    0,,small,0,kubernetes,feasible,1
    0,,small,0,kubernetes,latency,2.2333333333333334
    0,,small,0,kubernetes,latencyMost,3
    0,,small,0,kubernetes,memoryAllocated,0.125
    0,,small,0,kubernetes,nodes,4
    0,,small,0,kubernetes,regions,2
    0,,large,0,kubernetes,cpuAllocated,0.3333333333333333
    0,,large,0,kubernetes,feasible,1
    0,,large,0,kubernetes,latency,2.8642857142857143
    0,,large,0,kubernetes,latencyMost,5
    0,,large,0,kubernetes,memoryAllocated,0.16666666666666666
    0,,large,0,kubernetes,nodes,6
    0,,large,0,kubernetes,regions,3
    ");
}
