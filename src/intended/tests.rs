//! Files in memory against what they should come to.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::matrix;
use crate::shaping::Distribution;

const NET: &str = ",a1,a2,b1\na1,0,10,20\na2,10,0,30\nb1,20,30,0\n";
const HEAD: &str = "apiVersion: longhaul/v1\nmatrix: net.csv\n";

/// Reads `net.yaml` in a folder of these files and `net.csv`.
fn load(text: &str, files: &[(&str, &str)]) -> Result<Intended, String> {
    let mut files: HashMap<&str, &str> = files.iter().copied().collect();
    files.extend([("net.yaml", text), ("net.csv", NET)]);
    let read = |path: &Path| match files.get(path.to_str().unwrap()) {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => matrix::read_bytes(path),
    };
    Intended::load(Path::new("net.yaml"), ReadOptions::default(), read).map_err(|error| error.to_string())
}

/// What each path does, in words.
fn words(intended: &Intended) -> Vec<String> {
    let path = |(from, to)| {
        let PathIntent { all, services, except } = intended.intent(from, to);
        let names = intended.matrix().names();
        let mut parts = vec![format!("{}>{} {all}", names[from], names[to])];
        parts.extend(services.iter().map(|(service, impairment)| format!("{service}: {impairment}")));
        parts.extend(except.iter().map(|service| format!("except {service}")));
        parts.join(" ")
    };
    intended.matrix().paths().map(path).collect()
}

fn resolve(rules: &str) -> Result<Vec<String>, String> {
    load(&format!("{HEAD}{rules}"), &[]).map(|intended| words(&intended))
}

#[test]
fn later_rules_win_field_by_field() {
    let rules = "defaults: {jitter: 1ms, loss: 0.1%}\npaths:\n  - {from: a*, to: b1, loss: 5%, rate: 10mbit}\n  - {from: a2, loss: 0%}\n";
    assert_eq!(
        resolve(rules).unwrap(),
        [
            "a1>a2 10ms jitter 1ms uniform loss 0.1%",
            "a1>b1 20ms jitter 1ms uniform loss 5% rate 10mbit",
            "a2>a1 10ms jitter 1ms uniform",
            "a2>b1 30ms jitter 1ms uniform rate 10mbit",
            "b1>a1 20ms jitter 1ms uniform loss 0.1%",
            "b1>a2 30ms jitter 1ms uniform loss 0.1%",
        ]
    );
}

#[test]
fn whatever_was_said_can_be_taken_back() {
    let all = "jitter: 1ms, distribution: normal, jitterCorrelation: 10%, loss: 1%, lossCorrelation: 20%, duplicate: 1%, \
               duplicateCorrelation: 5%, corrupt: 2%, corruptCorrelation: 6%, reorder: 3%, reorderCorrelation: 7%, gap: 4, rate: 1mbit";
    let nothing = "jitter: 0ms, loss: 0%, duplicate: 0%, corrupt: 0%, reorder: 0%, rate: none";
    let rules = format!("defaults: {{{all}}}\npaths:\n  - {{from: a1, {nothing}}}\n  - {{from: a2, gap: 9}}\n");
    let words = resolve(&rules).unwrap();
    assert_eq!(words[0], "a1>a2 10ms");
    assert_eq!(
        words[2],
        "a2>a1 10ms jitter 1ms normal correlation 10% loss 1% correlation 20% duplicate 1% correlation 5% corrupt 2% \
         correlation 6% reorder 3% correlation 7% gap 9 rate 1mbit"
    );
}

#[test]
fn chains_of_losses_take_each_others_place() {
    let rules = "defaults: {bursts: {toBad: 1%, toGood: 10%, badLoss: 50%}}\npaths:\n  - {from: a1, states: {p13: 1%}}\n  - {from: a2, loss: 1%}\n";
    let words = resolve(rules).unwrap();
    assert_eq!(words[0], "a1>a2 10ms loss by states 1% 99% 0% 100% 0%");
    assert_eq!(words[2], "a2>a1 10ms loss 1%");
    assert_eq!(words[4], "b1>a1 20ms loss in bursts 1% 10% 50% 0%");
}

#[test]
fn delays_are_set_and_changed() {
    let rules = "defaults: {delay: +1ms}\npaths:\n  - {from: a1, delay: 7ms}\n  - {from: a2, delay: -5ms}\n";
    let intended = load(&format!("{HEAD}{rules}"), &[]).unwrap();
    assert_eq!(words(&intended), ["a1>a2 7ms", "a1>b1 7ms", "a2>a1 6ms", "a2>b1 26ms", "b1>a1 21ms", "b1>a2 31ms"]);
    assert_eq!(intended.matrix().delay(1, 2).to_string(), "26ms", "the matrix has what is meant");
}

#[test]
fn regions_stand_for_their_nodes() {
    let regions = "regions:\n  left: [a*]\n  right: [b1]\n";
    let plain = resolve(&format!("{regions}paths: [{{from: left, to: right, loss: 1%}}]\n")).unwrap();
    assert_eq!((plain[1].as_str(), plain[3].as_str()), ("a1>b1 20ms loss 1%", "a2>b1 30ms loss 1%"));
    assert_eq!((plain[0].as_str(), plain[4].as_str()), ("a1>a2 10ms", "b1>a1 20ms"));
    let named = "paths: [{from: 'region:left', to: ['region:right'], loss: 1%}]\n";
    assert_eq!(resolve(&format!("{regions}{named}")).unwrap(), plain);
    let between = resolve(&format!("{regions}delays: {{left: {{right: 99ms}}}}\n")).unwrap();
    assert_eq!(between, ["a1>a2 10ms", "a1>b1 99ms", "a2>a1 10ms", "a2>b1 99ms", "b1>a1 99ms", "b1>a2 99ms"]);
}

#[test]
fn regions_with_delays_need_no_matrix() {
    let file = "apiVersion: longhaul/v1\nregions:\n  eu: [paris, oslo]\n  us: [nyc]\ndelays:\n  eu: {eu: 5ms, us: 40ms}\n  us: {eu: 45ms}\npaths: [{from: nyc, to: oslo, delay: +1ms}]\n";
    assert_eq!(
        words(&load(file, &[]).unwrap()),
        ["paris>oslo 5ms", "paris>nyc 40ms", "oslo>paris 5ms", "oslo>nyc 40ms", "nyc>paris 45ms", "nyc>oslo 46ms"]
    );
}

#[test]
fn matrices_stand_side_by_side() {
    let file = "apiVersion: longhaul/v1\nmatrices: {delay: net.csv, jitter: j.csv, loss: l.csv, rate: r.csv}\ndefaults: {loss: 9%, distribution: normal, jitter: 1ms}\npaths: [{from: b1, loss: 0%}]\n";
    let files = [
        ("j.csv", "0,2,3\n4,0,-\n0,-,0\n"),
        // In another order of nodes.
        ("l.csv", "b1,a1,a2\n0%,1%,\n2%,0%,3%\n-,-,-\n"),
        ("r.csv", ",a1,a2,b1\na1,-,10mbit,-\na2,-,-,-\nb1,1gbit,,\n"),
    ];
    assert_eq!(
        words(&load(file, &files).unwrap()),
        [
            "a1>a2 10ms jitter 2ms normal loss 3% rate 10mbit",
            "a1>b1 20ms jitter 3ms normal loss 2%",
            "a2>a1 10ms jitter 4ms normal loss 9%",
            "a2>b1 30ms jitter 1ms normal loss 9%",
            "b1>a1 20ms rate 1gbit",
            "b1>a2 30ms jitter 1ms normal",
        ]
    );
}

#[test]
fn services_have_rules_of_their_own() {
    let rules = "defaults: {except: ['tcp:22']}\npaths:\n  - {from: a1, loss: 1%}\n  - {from: a1, service: tcp, delay: +5ms}\n  - {from: a1, to: b1, service: 'tcp:443', loss: 0%, except: []}\n";
    let words = resolve(rules).unwrap();
    assert_eq!(words[0], "a1>a2 10ms loss 1% tcp: 15ms loss 1% except tcp:22");
    assert_eq!(words[1], "a1>b1 20ms loss 1% tcp:443: 25ms tcp: 25ms loss 1% except tcp:22");
    assert_eq!(words[2], "a2>a1 10ms except tcp:22");
}

#[test]
fn nodes_have_networks() {
    let rules = "nodes: {b1: {networks: [10.42.1.0/24]}}\n";
    let intended = load(&format!("{HEAD}{rules}"), &[]).unwrap();
    let node = |name: &str, host: u8| Node {
        name: name.parse().unwrap(),
        ipv4: Some([10, 0, 0, host].into()),
        ipv6: None,
        networks: Vec::new(),
    };
    let rows = intended.rows(&[node("a1", 1), node("a2", 2), node("b1", 3)]);
    let selectors: Vec<String> = rows[0].paths[1].selectors.iter().map(ToString::to_string).collect();
    assert_eq!(selectors, ["10.0.0.3/32", "10.42.1.0/24"]);
    let turned = intended.in_order(&[2, 0, 1]).unwrap();
    assert_eq!(turned.networks.keys().collect::<Vec<_>>(), [&0]);
}

#[test]
fn distributions_come_from_files() {
    let table = (0..100).map(|n| (n * 80).to_string()).collect::<Vec<_>>().join(" ");
    let samples = (0..200).map(|n| (10.0 + f64::from(n) / 100.0).to_string()).collect::<Vec<_>>().join("\n");
    let rules = "paths:\n  - {from: a1, jitter: 2ms, distribution: {table: t.dist}}\n  - {from: a2, distribution: {samples: s.txt}}\n  - {from: b1, jitter: 3ms, distribution: {samples: s.txt}}\n";
    let intended = load(&format!("{HEAD}{rules}"), &[("t.dist", &table), ("s.txt", &samples)]).unwrap();
    let jitter = |from, to| intended.path(from, to).jitter;
    assert_eq!(words(&intended)[0], "a1>a2 10ms jitter 2ms t.dist");
    let Distribution::Own(own) = jitter(0, 1).distribution else { panic!() };
    assert_eq!((own.entries().len(), own.entries()[99]), (100, 7920));
    // The deviation of evenly spread samples is their width over the root of twelve.
    let width = jitter(1, 0).span.as_millis_f64();
    assert!((width - 2.0 / 12f64.sqrt()).abs() < 0.01, "{width}");
    assert_eq!(jitter(2, 0).span, crate::units::Span::from_millis(3));
}

/// Distributions put them into /usr/lib/tc, /usr/share/tc or a folder of the machine's architecture.
fn table_of_tc(file: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path().join("tc"));
    let folders = folders.chain(["/usr/lib/tc".into(), "/usr/share/tc".into()]);
    folders.map(|folder: PathBuf| folder.join(file)).find(|path| path.is_file()).expect("iproute2 is installed")
}

/// iproute2's own tables are read, and they are the distributions that their names say.
#[test]
fn tables_of_tc_are_read() {
    for (file, named) in [("normal", Distribution::Normal), ("pareto", Distribution::Pareto)] {
        let text = std::fs::read_to_string(table_of_tc(&format!("{file}.dist"))).unwrap();
        let rules = "defaults: {jitter: 1ms, distribution: {table: tc.dist}}\n";
        let intended = load(&format!("{HEAD}{rules}"), &[("tc.dist", &text)]).unwrap();
        let path = intended.path(0, 1);
        assert_eq!(path.own_table().unwrap().entries().len(), 4096);
        let mut ours = path;
        ours.jitter.distribution = named;
        let (theirs, ours) = (path.expected(74), ours.expected(74));
        let apart = |one: f64, other: f64| (one - other).abs();
        assert!(apart(theirs.median.as_millis_f64(), ours.median.as_millis_f64()) < 0.1, "{file} {theirs:?} {ours:?}");
        assert!(apart(theirs.deviation.as_millis_f64(), ours.deviation.as_millis_f64()) < 0.25, "{theirs:?} {ours:?}");
    }
}

#[test]
fn names_that_other_languages_take_for_truths_are_names() {
    let file = "apiVersion: longhaul/v1\nregions: {no: [y, n]}\ndelays: {no: {no: 5ms}}\npaths: [{from: y, to: no, loss: 1%}]\n";
    let intended = load(file, &[]).unwrap();
    assert_eq!(intended.matrix().names()[0].as_str(), "y");
    assert!(load(&file.replace("from: y", "from: true"), &[]).unwrap_err().contains("expected a node"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (rules, message) in [
        ("paths:\n  - {from: c1, loss: 5%}\n", "net.yaml:4:12: there is no node and no region called `c1`"),
        (
            "defaults: {loss: 5}\n",
            "net.yaml:3:18: `5` is not a probability; write a number and a unit, such as 0.5% or 10%",
        ),
        (
            "paths:\n  - {from: a1, loss: 1%}\n  - {from: a2, to: a1, jitter: 15ms}\n",
            "net.yaml:5:32: the path from a2 to a1: a jitter of 15ms is more than the delay of 10ms; a packet cannot \
             arrive before it is sent",
        ),
        (
            "paths:\n  - {from: a1, to: [a1], loss: 1%}\n",
            "net.yaml:4:20: this rule is for no path: `from` and `to` mean one and the same node",
        ),
        ("defaults: {from: a1}\n", "net.yaml:3:18: defaults are for every path; `from` and `to` belong under paths"),
        (
            "paths:\n  - {from: a1, delay: -15ms}\n",
            "net.yaml:4:23: the path from a1 to a2: 15ms less than its delay of 10ms is below zero",
        ),
    ] {
        assert_eq!(resolve(rules).unwrap_err(), message);
    }
    let unknown = resolve("paths:\n  - {from: a1, los: 5%}\n").unwrap_err();
    assert!(unknown.starts_with("net.yaml:4:16: unknown field `los`"), "{unknown}");
    let version = load("apiVersion: longhaul/v2\nmatrix: a.csv\n", &[]).unwrap_err();
    assert_eq!(version, "net.yaml:1:13: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1");
    let file = "apiVersion: longhaul/v1\nmatrices: {delay: net.csv, jitter: j.csv}\n";
    let side = load(file, &[("j.csv", "0,11ms,0\n0,0,0\n0,0,0\n")]).unwrap_err();
    assert!(side.starts_with("j.csv: the path from a1 to a2: a jitter of 11ms is more than"), "{side}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), words in "[a-z0-9{}:, \\[\\]\n*%-]{0,120}") {
        let read = |path: &Path| match path.to_str() {
            Some("net.csv") => Ok(NET.as_bytes().to_vec()),
            _ => Ok([HEAD.as_bytes(), words.as_bytes(), &bytes].concat()),
        };
        let _ = Intended::load(Path::new("net.yaml"), ReadOptions::default(), read);
    }
}
