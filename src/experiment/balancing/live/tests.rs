//! Scripts beside simulations of the same trials, and what files say.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::experiment::balancing::{Balancing, simulate};
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::time_scale::TimeScale;
use crate::topology::{Node, NodeName};
use crate::units::{Moment, Span};
use crate::workload::load::Trace;

const EVENTS: &str = "  - {at: 4s, do: {join: {nodes: 2, each: 3}}}\n  - {at: 6s, do: {fail: i2}}\n\
                      \x20 - {at: 9s, do: {leave: {on: [n1, n2], each: 2}}}\n  - {at: 8s, do: {add: n3}}\n\
                      \x20 - {at: 10s, do: {cut: n2}}\n  - {at: 12s, do: {rejoin: n2}}\n  - {at: 13s, do: {remove: i1}}\n";

fn plan(lines: &str) -> Plan {
    let text = format!(
        "apiVersion: longhaul/v1\nname: it\nquestion: what\n{lines}repetitions: 2\n\
         topologies: [{{random: {{nodes: 4, base: 5ms, addition: 20ms}}, seed: 1, jitter: 1ms}}]\n\
         strategies: [{{policy: qedgeproxy}}]\nbalancing:\n  duration: 20s\n  warmUp: 2s\n\
         \x20 service: {{time: {{logNormal: {{mean: 5ms, cv: 0.5}}}}}}\n  instances: {{kCenter: {{count: 2, first: random}}}}\n\
         \x20 clients: {{each: 2, rate: 10/s, arrivals: poisson}}\n  qos: {{within: 80ms, atLeast: 90%, window: 10s}}\n\
         timeline:\n{EVENTS}"
    );
    Plan::load(Path::new("plan.yaml"), |_| Ok(text.clone().into_bytes())).expect("a plan")
}

fn trial(plan: &Plan) -> (&Balancing, Trial<'_>) {
    let trial = plan.trials().last().expect("some");
    let (balancing, _) = trial.balancing().expect("requests are balanced");
    (balancing, trial)
}

/// Every request of a script, answered after 10 ms by the first instance.
fn answered(script: &Script, scale: TimeScale) -> Vec<Request> {
    let nodes = script.traces.iter().zip(&script.members);
    let requests = nodes.flat_map(|(trace, members)| {
        trace.slots().iter().map(|slot| Request {
            client: members[slot.client as usize],
            instance: Some(0),
            intended: Moment::START + scale.in_plan(slot.at.since(Moment::START)),
            lateness: Span::ZERO,
            latency: Span::from_millis(10),
            outcome: "ok".to_owned(),
            processing: Some(Span::from_millis(5)),
        })
    });
    requests.collect()
}

#[test]
fn a_lab_has_the_clients_and_requests_of_the_simulation() {
    let plan = plan("testbed: lab\ntimeScale: 0.25\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let (_, policy) = trial.balancing().expect("requests are balanced");
    let simulated = simulate(balancing, policy, &trial).outcome;
    let live = outcome(balancing, &trial, &script, &answered(&script, plan.time_scale));
    // Who sent how much, warm-up left out: clients that joined and left, second by second.
    let sent = |tables: &[crate::experiment::outcome::Table], name: &str, column: &str| -> Vec<String> {
        let table = tables.iter().find(|table| table.name == name).expect("a table");
        table.texts(column).into_iter().map(str::to_owned).collect()
    };
    for (table, column) in
        [("clients", "client"), ("clients", "node"), ("clients", "requests"), ("seconds", "requests")]
    {
        assert_eq!(sent(&live.tables, table, column), sent(&simulated.tables, table, column), "{table} {column}");
    }
    assert_eq!(sent(&live.tables, "instances", "node"), sent(&simulated.tables, "instances", "node"));
    assert_eq!(script.clients.len(), 4 * 2 + 2 * 3);
    // Every single request is kept beside the tables.
    assert_eq!(live.evidence[0].rows.len(), script.requests());
    // What requests take is as drawn, four times as long: a mean of 20 ms.
    let work: Vec<f64> = script
        .traces
        .iter()
        .flat_map(Trace::slots)
        .map(|slot| slot.work.expect("each brings its work").as_millis_f64())
        .collect();
    let mean = work.iter().sum::<f64>() / work.len() as f64;
    assert!((mean - 20.0).abs() < 1.5, "{mean}");
}

#[test]
fn steps_come_at_their_instants_and_instances_are_started_before() {
    let plan = plan("testbed: lab\ntimeScale: 0.5\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let words: Vec<String> = script
        .steps
        .iter()
        .map(|step| {
            let what = match &step.action {
                Action::Start(number) => format!("start {number}"),
                Action::Announce(number) => format!("announce {number}"),
                Action::Remove(number) => format!("remove {number}"),
                Action::Fail(number) => format!("fail {number}"),
                Action::Network(situation) => format!("cut {:?}", situation.cut),
                Action::Clients => "clients".to_owned(),
            };
            format!("{:.1} {what}", step.at.as_secs_f64())
        })
        .collect();
    let expected = [
        "8.0 clients",
        "12.0 fail 1",
        "15.0 start 2",
        "16.0 announce 2",
        "18.0 clients",
        "20.0 cut [1]",
        "24.0 cut []",
        "26.0 remove 0",
    ];
    assert_eq!(words, expected);
    let by_name: Vec<(&str, bool, bool)> =
        script.instances.iter().map(|one| (one.name.as_str(), one.started, one.announced)).collect();
    assert_eq!(by_name, [("i1", true, true), ("i2", true, true), ("i3", false, false)]);
}

#[test]
fn the_network_is_the_topologys_slowed_and_a_node_that_is_cut_reaches_nobody() {
    let plan = plan("testbed: lab\ntimeScale: 0.25\n");
    let (_, trial) = trial(&plan);
    let mut situation = Situation::of(trial.topology, plan.time_scale).expect("delays");
    let delay = trial.topology.matrix.delay(0, 1);
    let path = situation.path(0, 1).all;
    assert_eq!(path.delay.as_nanos(), 4 * delay.as_nanos());
    assert_eq!(path.jitter.span, Span::from_millis(4));
    situation.cut = vec![1];
    for (from, to) in [(0, 1), (1, 0), (1, 3)] {
        assert_eq!(situation.path(from, to).all.to_string(), "0ms loss 100%", "{from} to {to}");
    }
    assert_eq!(situation.path(0, 2).all.jitter, path.jitter);
}

#[test]
fn programs_are_told_what_the_plan_says_in_testbed_time() {
    let plan = plan("testbed: lab\ntimeScale: 0.25\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let node = |number: u8| Node {
        name: NodeName::numbered(usize::from(number)),
        ipv4: Some([10, 77, 0, number].into()),
        ipv6: None,
        networks: Vec::new(),
    };
    let nodes: Vec<Node> = (1..=4).map(node).collect();
    let place = Place { nodes: &nodes };
    let words = service_words(balancing, &script, 0, place, plan.time_scale).join(" ");
    let address = place.instance(&script, 0);
    assert_eq!(
        words,
        format!("service --listen {address} --name i1 --time 20ms --asked-work --cores 1 --queue 1000000")
    );
    let words = load_words(balancing, plan.time_scale, Path::new("t"), Path::new("r")).join(" ");
    assert!(words.contains("--trace t --csv r --timeout 9s --within 320ms"), "{words}");
    let config: serde_json::Value = serde_json::from_str(
        &proxy_config((balancing, &trial), plan.time_scale, 0, Path::new("/i")).expect("within bounds"),
    )
    .expect("JSON");
    let service = &config["services"][0];
    assert_eq!(service["qos"]["within"], "320ms");
    assert_eq!(service["qos"]["window"], "40s");
    assert_eq!(service["parameters"]["interval"], "20s");
    assert_eq!(config["timeouts"]["request"], "4s");
    // Five in every 5 s of the plan.
    assert_eq!(config["probes"]["interval"], "4s");
    let phase: Span = service["phase"].as_str().expect("it has an interval").parse().expect("a time");
    assert!(phase < Span::from_secs(20), "{phase}");
    let seeds: std::collections::BTreeSet<String> = (0..4)
        .map(|node| {
            let text = proxy_config((balancing, &trial), plan.time_scale, node, Path::new("/i")).expect("bounds");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["seed"].to_string()
        })
        .collect();
    assert_eq!(seeds.len(), 4, "balancers throw dice of their own");
    let file = |open| instances_file(&script, &[1], place, open);
    assert!(file(true).contains("\"service\":\"service\"") && !file(false).contains("\"service\":\"service\""));
    assert!(file(true).contains("\"name\":\"i2\"") && !file(true).contains("\"name\":\"i1\""));
}

#[test]
fn records_are_read_into_plan_time_and_nonsense_is_refused() {
    let plan = plan("testbed: lab\ntimeScale: 0.5\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let head = "client,intended_ms,lateness_ms,latency_ms,outcome,status,good,instance,processing_ms\n";
    let read = |line: &str| parse_records(&script, plan.time_scale, 2, &format!("{head}{line}\n"));
    let request = &read("1,1000.5,2,80,ok,200,true,i2,10").expect("a record")[0];
    assert_eq!((request.client, request.instance), (script.members[2][1], Some(1)));
    assert_eq!(request.intended, Moment::START + Span::from_micros(500_250));
    let times = (request.lateness, request.latency, request.processing);
    assert_eq!(times, (Span::from_millis(1), Span::from_millis(40), Some(Span::from_millis(5))));
    let lost = &read("0,1,0,4000,refused,504,false,,").expect("a record")[0];
    assert_eq!((lost.instance, lost.processing, lost.outcome.as_str()), (None, None, "refused"));
    for line in ["99,1,0,1,ok,200,true,i1,1", "0,-1,0,1,ok,200,true,i1,1", "0,x,0,1,ok,200,true,i1,1"] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn a_load_that_was_late_has_a_caveat_and_one_that_was_not_has_none() {
    let plan = plan("testbed: lab\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let noted = |late: u64, steal: f64| {
        let mut requests = answered(&script, plan.time_scale);
        for request in &mut requests {
            request.lateness = Span::from_millis(late);
        }
        let mut outcome = outcome(balancing, &trial, &script, &requests);
        let conduct = Conduct { steal: Some(steal), ..Conduct::default() };
        conduct.note(&mut outcome, &requests, &balancing.qos, plan.time_scale);
        let table = outcome.tables.iter().find(|table| table.name == "conduct").expect("a table").clone();
        let lines: BTreeMap<String, String> = table.rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        (outcome.caveats, lines)
    };
    let (caveats, lines) = noted(1, 0.01);
    assert_eq!((caveats.len(), lines["lateness_p99_ms"].as_str()), (0, "1.000000"));
    assert_eq!(lines["lateness_bound_ms"], "4.000000");
    let (caveats, _) = noted(5, 0.2);
    assert!(caveats[0].contains("above 4ms") && caveats[1].contains("more than 5 %"), "{caveats:?}");
}

#[test]
fn what_the_emulation_did_is_noted_and_what_it_should_not_have_is_a_caveat() {
    let plan = plan("testbed: lab\n");
    let (balancing, trial) = trial(&plan);
    let script = Script::new(balancing, &trial, plan.time_scale).expect("a script");
    let requests = answered(&script, plan.time_scale);
    let noted = |emulation: Emulation| {
        let mut outcome = outcome(balancing, &trial, &script, &requests);
        let conduct = Conduct { emulation: Some(emulation), ..Conduct::default() };
        conduct.note(&mut outcome, &requests, &balancing.qos, plan.time_scale);
        let table = outcome.tables.iter().find(|table| table.name == "conduct").expect("a table").clone();
        let value = |name: &str| table.rows.iter().find(|row| row[0] == name).map(|row| row[1].clone());
        let counts = ["packets_delayed", "packets_dropped", "packets_late", "agent_restarts"]
            .map(|name| value(name).expect("a line"));
        (outcome.caveats, counts.map(|count| count.split('.').next().unwrap_or("").to_owned()))
    };
    let good = Emulation { packets: 1_000, dropped: Some(0), late: 10, restarts: 0 };
    let (caveats, counts) = noted(good);
    assert_eq!((caveats.len(), counts), (0, ["1000", "0", "10", "0"].map(str::to_owned)));
    let (caveats, counts) = noted(Emulation { dropped: None, late: 11, restarts: 1, ..good });
    assert_eq!(counts, ["1000", "", "11", "1"].map(str::to_owned), "nobody knows of drops");
    assert!(caveats[0].contains("More than 1 %") && caveats[1].contains("begin anew"), "{caveats:?}");
    assert!(noted(Emulation { dropped: Some(1), ..good }).0[0].contains("dropped packets"));
}

#[test]
fn counts_of_the_emulation_are_those_since_the_start_also_where_an_agent_began_anew() {
    let before = Emulation { packets: 100, dropped: Some(3), late: 5, restarts: 0 };
    let after = Emulation { packets: 150, dropped: Some(3), late: 7, restarts: 1 };
    let passed = after.since(before);
    assert_eq!(passed, Emulation { packets: 50, dropped: Some(0), late: 2, restarts: 1 });
    let anew = Emulation { packets: 20, dropped: None, late: 0, restarts: 2 };
    assert_eq!(anew.since(before), Emulation { packets: 20, dropped: None, late: 0, restarts: 2 });
    assert_eq!(passed.and(anew), Emulation { packets: 70, dropped: None, late: 2, restarts: 3 });
}
