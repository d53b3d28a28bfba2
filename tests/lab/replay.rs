//! Timelines replayed in a lab: the delays change when the agents say that they did, judged by pings.

use std::io::{BufRead, Read};
use std::process::Stdio;

use super::host::pause;
use super::user::{User, describe};

/// One-way delays of three nodes; the round trip n1 ⇄ n2 takes 60, 200 and 100 ms.
const MATRICES: [(&str, &str); 3] = [
    ("low.csv", "0,25,40\n35,0,40\n40,40,0\n"),
    ("high.csv", "0,90,40\n110,0,40\n40,40,0\n"),
    ("mid.csv", "0,50,40\n50,0,40\n40,40,0\n"),
];

/// A lab named `net` with the matrices beside it.
fn lab(user: &User) {
    for (name, text) in MATRICES {
        user.write(name, text);
    }
    user.write("net.csv", "0,25,25\n25,0,25\n25,25,0\n");
    user.succeed(&["lab", "up", "net.csv", "--detach"]);
}

/// Lines of switches: number, when it was planned in milliseconds, the rest.
fn switches(printed: &str) -> Vec<(u64, String)> {
    let line = |line: &str| {
        let (number, rest) = line.trim_start().split_once("  +")?;
        Some((number.parse().ok()?, rest.to_owned()))
    };
    printed.lines().filter_map(line).collect()
}

/// Sending times and round trips in milliseconds, as `ping -D` prints them.
fn pings(printed: &str) -> Vec<(f64, f64)> {
    let ping = |line: &str| {
        let arrived: f64 = line.strip_prefix('[')?.split_once(']')?.0.parse().ok()?;
        let rtt: f64 = line.split_once("time=")?.1.split(' ').next()?.parse().ok()?;
        Some((arrived * 1_000.0 - rtt, rtt))
    };
    printed.lines().filter_map(ping).collect()
}

#[test]
fn delays_change_when_the_agents_say_so() {
    for user in User::all() {
        lab(&user);
        let ping = ["lab", "exec", "n1", "--", "ping", "-D", "-i", "0.02", "-c", "250", "n2"];
        let mut pinging = user.command(&ping).stdout(Stdio::piped()).spawn().unwrap();
        let mut answers = std::io::BufReader::new(pinging.stdout.take().unwrap());
        let mut pinged = String::new();
        while !pinged.contains("time=") {
            assert!(answers.read_line(&mut pinged).unwrap() > 0, "{pinged}");
        }
        let arguments = ["replay", "--every", "500ms", "low.csv", "high.csv", "mid.csv", "--json", "replay.json"];
        let printed = user.succeed(&arguments);
        assert_eq!(switches(&printed).len(), 3, "{printed}");
        assert!(printed.contains("3 switches on 3 nodes") && printed.contains("none failed"), "{printed}");
        answers.read_to_string(&mut pinged).unwrap();
        assert!(pinging.wait().unwrap().success(), "{pinged}");
        let pings = pings(&pinged);
        assert!(pings.len() > 100, "{pinged}");
        let record: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(user.folder().join("replay.json")).unwrap()).unwrap();
        let done = |number: usize, node: usize| {
            let stamp = &record["stamps"][node][number];
            assert!(stamp["begun_ns"].as_u64() >= stamp["planned_ns"].as_u64(), "{stamp}");
            stamp["done_ns"].as_f64().unwrap() / 1e6
        };
        // A round trip is the sum of both directions as they are when the packets leave. In the first half of a step
        // both nodes have switched long since, and pings that were sent then meet nothing of the next.
        for (number, expected) in [(0, 60.0), (1, 200.0), (2, 100.0)] {
            let from = done(number, 0).max(done(number, 1));
            let within = pings.iter().filter(|(sent, _)| (from..from + 250.0).contains(sent));
            let mut times: Vec<f64> = within.map(|(_, rtt)| *rtt).collect();
            times.sort_by(f64::total_cmp);
            assert!(!times.is_empty(), "no ping within step {number}: {pings:?}");
            let median = times[times.len() / 2];
            assert!((expected..expected + 45.0).contains(&median), "step {number}: {times:?}\n{printed}");
        }
        // Before the first switch began, the first matrix of the lab was there.
        let begun = record["stamps"][0][0]["begun_ns"].as_f64().unwrap() / 1e6;
        assert!(pings.iter().filter(|(sent, _)| *sent < begun - 60.0).all(|(_, rtt)| *rtt >= 50.0), "{pings:?}");
        let skew = &record["switches"];
        for switch in skew.as_array().unwrap() {
            // 20 ms are aimed at; a busy machine may take an order of magnitude more.
            assert!(switch["skew_ms"].as_f64().unwrap() < 200.0, "{switch}");
        }
        let status: serde_json::Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
        assert_eq!(status["nodes"]["n2"]["paths"][0]["delay_ms"], 50.0, "{status}");
        user.succeed(&["lab", "down"]);
    }
}

#[test]
fn a_bad_step_is_refused_before_the_first_and_nothing_changes() {
    let user = User::all().pop().unwrap();
    lab(&user);
    let before = user.succeed(&["status", "--json"]);
    user.write("trace.csv", "time,from,to,delay\n0,n1,n2,100\n1,n1,n4,20\n");
    let error = user.fail(&["replay", "trace.csv"], 2);
    assert!(error.contains("trace.csv:3: there is no node `n4`; there are n1, n2, n3"), "{error}");
    // A rate of the last step that makes no sense, found when the file is read.
    user.write("trace.csv", "time,from,to,delay,rate\n0,n1,n2,100,\n1,n1,n2,20,1bit\n");
    let error = user.fail(&["replay", "trace.csv"], 2);
    assert!(error.contains("trace.csv:3: a rate of 1bit is less than 8bit"), "{error}");
    let error = user.fail(&["replay", "low.csv", "high.csv"], 2);
    assert!(error.contains("say how long each matrix lasts: --every"), "{error}");
    let error = user.fail(&["replay", "low.csv"], 2);
    assert!(error.contains("it is no trace; for matrices say how long each lasts: --every"), "{error}");
    assert_eq!(user.succeed(&["status", "--json"]), before);
    user.succeed(&["lab", "down"]);
}

#[test]
fn an_interrupted_replay_leaves_what_was_switched_to_last() {
    let user = User::all().pop().unwrap();
    lab(&user);
    let mut command = user.command(&["replay", "--every", "200ms", "--repeat", "forever", "low.csv", "high.csv"]);
    let replay = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(replay.id()).unwrap());
    // The lab is at one of the two as soon as the first switch is made.
    let delay = || -> f64 {
        let status: serde_json::Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
        status["nodes"]["n1"]["paths"][0]["delay_ms"].as_f64().unwrap()
    };
    let begun = std::time::Instant::now();
    while (delay() - 90.0).abs() > 1e-6 {
        assert!(begun.elapsed().as_secs() < 60, "no switch to the far matrix");
        pause();
    }
    let told = user.succeed(&["status"]);
    assert!(told.contains("`low.csv high.csv` is running: step ") && told.contains(", next switch at "), "{told}");
    let status: serde_json::Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
    let told = &status["nodes"]["n2"]["replay"];
    assert_eq!((&told["timeline"], &told["phase"]), (&"low.csv high.csv".into(), &"running".into()), "{told}");
    let step = usize::try_from(told["step"].as_u64().unwrap()).unwrap();
    assert_eq!((&told["steps"], &told["what"]), (&2.into(), &["low.csv", "high.csv"][step - 1].into()), "{told}");
    let instant = |key: &str| humantime::parse_rfc3339(told[key].as_str().unwrap()).unwrap();
    assert!(instant("next_switch") > instant("since"), "{told}");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = replay.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", describe(&ended));
    assert!(user.succeed(&["status"]).contains("`low.csv high.csv` was stopped: step "));
    assert!(
        String::from_utf8_lossy(&ended.stdout).contains("stopped; what was switched to last stays"),
        "{}",
        describe(&ended)
    );
    // Every node has one of the two, and all of it.
    let left = delay();
    assert!([25.0, 90.0].iter().any(|known| (left - known).abs() < 1e-6), "{left}");
    assert!(user.succeed(&["status"]).contains("0 of 3 nodes differ"));
    user.succeed(&["lab", "down"]);
}

/// The rows of a samples.csv as maps of column to text.
fn samples(text: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn a_measured_replay_knows_the_step_of_every_probe() {
    let user = User::all().pop().unwrap();
    for (name, text) in MATRICES {
        user.write(name, text);
    }
    user.write(
        "day.yaml",
        "apiVersion: longhaul/v1\ntimeline:\n  - {at: 0, matrix: low.csv}\n  - {at: 500ms, matrix: high.csv}\nlength: 1s\nrepeat: 2\n",
    );
    let arguments = ["replay", "--lab", "day.yaml", "--measure", "--out", "out", "--tolerance", "0%,45ms"];
    let printed = user.succeed(&arguments);
    assert!(printed.contains("PASS: 4 of 4 judged switches within tolerance"), "{printed}");
    let read = |name: &str| std::fs::read_to_string(user.folder().join("out").join(name)).unwrap();
    let record: serde_json::Value = serde_json::from_str(&read("replay.json")).unwrap();
    let samples = samples(&read("samples.csv"));
    assert!(samples.len() > 300, "{printed}");
    for sample in &samples {
        // By the sender's own stamps: the last switch that was done before the probe was sent.
        let node = record["nodes"].as_array().unwrap().iter().position(|node| *node == *sample["from"]).unwrap();
        let sent: u64 = sample["sent_unix_ns"].parse().unwrap();
        let stamps = record["stamps"][node].as_array().unwrap();
        let done = stamps.iter().filter(|stamp| stamp["error"].is_null() && stamp["done_ns"].as_u64().unwrap() <= sent);
        let number = done.map(|stamp| stamp["number"].as_u64().unwrap()).max().unwrap_or(0);
        assert_eq!(sample["switch"], number.to_string(), "{sample:?}");
        let step = if number == 0 { String::new() } else { ((number - 1) % 2 + 1).to_string() };
        assert_eq!(sample["step"], step, "{sample:?}");
    }
    // Of the path that changes, what met no switch took what its step asks for: 25 or 90 ms.
    let of_path = || samples.iter().filter(|one| one["from"] == "n1" && one["to"] == "n2");
    for (step, delay) in [("1", 25.0), ("2", 90.0)] {
        let clear = of_path().filter(|one| one["straddles"] == "0" && one["step"] == step);
        let mut delays: Vec<f64> = clear.filter_map(|one| one["one_way_ms"].parse().ok()).collect();
        delays.sort_by(f64::total_cmp);
        assert!(delays.first().is_some_and(|least| *least >= delay), "step {step}: {delays:?}");
        assert!(delays[delays.len() / 2] < delay + 45.0, "step {step}: {delays:?}");
    }
    assert!(of_path().any(|one| one["straddles"] == "1"));
    assert!(read("delays.svg").contains("n1 → n2"));
    assert!(std::fs::read(user.folder().join("out/delays.png")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(user.succeed(&["lab", "list"]), "no lab is running\n");
}

#[test]
fn steps_have_services_exceptions_and_networks() {
    let user = User::all().pop().unwrap();
    lab(&user);
    // Pings are left alone but for the second step; TCP to port 7 is slow only in the first, a network only in the second.
    user.write("first.yaml", "apiVersion: longhaul/v1\nmatrix: net.csv\ndefaults: {except: [icmp]}\npaths:\n  - {from: n1, to: n2, service: \"tcp:7\", delay: 300ms}\n");
    user.write("second.yaml", "apiVersion: longhaul/v1\nmatrix: net.csv\nnodes:\n  n2: {networks: [10.123.0.0/16]}\npaths:\n  - {from: n1, to: n2, delay: 200ms}\n");
    user.write(
        "day.yaml",
        "apiVersion: longhaul/v1\ntimeline:\n  - {at: 0, matrix: first.yaml}\n  - {at: 3s, matrix: second.yaml}\n",
    );
    let planned = user.succeed(&["replay", "day.yaml", "--dry-run"]);
    assert!(planned.contains("note: this is what pings meet"), "{planned}");
    let mut replay = user.command(&["replay", "day.yaml"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(replay.stdout.take().unwrap());
    let mut printed = String::new();
    let rtt = || -> f64 {
        let pinged = user.succeed(&["lab", "exec", "n1", "--", "ping", "-n", "-c", "1", "-W", "5", "n2"]);
        pinged.split_once("time=").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    let selectors = || {
        let status: serde_json::Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
        assert_eq!(status["nodes"]["n1"]["differences"], serde_json::json!([]), "{status}");
        let paths = status["nodes"]["n1"]["paths"].as_array().unwrap().clone();
        paths.iter().map(|path| (path["prefixes"].to_string(), path["delay_ms"].as_f64().unwrap())).collect::<Vec<_>>()
    };
    let mut until = |number: usize| {
        while switches(&printed).len() < number {
            assert!(said.read_line(&mut printed).unwrap() > 0, "{printed}");
        }
        assert!(!printed.contains("FAILED"), "{printed}");
    };
    until(1);
    let (first, alone) = (selectors(), rtt());
    until(2);
    let (second, slow) = (selectors(), rtt());
    assert!(alone < 25.0, "pings are left alone: {alone} ms");
    assert!(first.iter().any(|(to, ms)| to.contains("tcp:7") && (ms - 300.0).abs() < 1e-9), "{first:?}");
    assert!((225.0..2_000.0).contains(&slow), "{slow} ms");
    assert!(second.iter().all(|(to, _)| !to.contains("tcp:7")), "{second:?}");
    assert!(second.iter().any(|(to, ms)| to.contains("10.123.0.0/16") && (ms - 200.0).abs() < 1e-9), "{second:?}");
    assert!(replay.wait().unwrap().success());
    user.succeed(&["lab", "down"]);
}

#[test]
fn an_interrupted_measurement_writes_what_there_is_and_clears() {
    let user = User::all().pop().unwrap();
    lab(&user);
    let arguments =
        ["replay", "--every", "400ms", "--repeat", "1000", "low.csv", "high.csv", "--measure", "--out", "out"];
    let mut replay = user.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(replay.id()).unwrap());
    let mut said = std::io::BufReader::new(replay.stdout.take().unwrap());
    let mut printed = String::new();
    while switches(&printed).len() < 4 {
        assert!(said.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    said.read_to_string(&mut printed).unwrap();
    replay.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(replay.wait().unwrap().code(), Some(130), "{printed}");
    assert!(printed.contains("cut short at +") && printed.contains("stopped; every node is cleared"), "{printed}");
    let read = |name: &str| std::fs::read_to_string(user.folder().join("out").join(name)).unwrap();
    for name in ["replay.json", "run.json"] {
        let record: serde_json::Value = serde_json::from_str(&read(name)).unwrap();
        let cut = record["cut_short_ms"].as_f64().unwrap();
        assert!((1_200.0..100_000.0).contains(&cut), "{name}: {cut}");
    }
    // What was measured before is there, up to what may still have been under way.
    let record: serde_json::Value = serde_json::from_str(&read("replay.json")).unwrap();
    let (start, cut) = (record["start_unix_ns"].as_f64().unwrap() / 1e6, record["cut_short_ms"].as_f64().unwrap());
    let samples = samples(&read("samples.csv"));
    let sent =
        |one: &std::collections::BTreeMap<String, String>| one["sent_unix_ns"].parse::<f64>().unwrap() / 1e6 - start;
    assert!(samples.iter().all(|one| (-1_000.0..cut).contains(&sent(one))), "{printed}");
    for switch in ["1", "2"] {
        let of_switch = samples.iter().filter(|one| one["switch"] == switch && !one["one_way_ms"].is_empty());
        assert!(of_switch.count() > 20, "switch {switch}: {printed}");
    }
    assert!(read("delays.svg").contains("cut short at +"));
    let status: serde_json::Value = serde_json::from_str(&user.succeed(&["status", "--json"])).unwrap();
    for node in ["n1", "n2", "n3"] {
        assert_eq!(status["nodes"][node]["paths"], serde_json::json!([]), "{status}");
    }
    let links = user.succeed(&["lab", "exec", "n1", "--", "ip", "-o", "link", "show"]);
    assert!(!links.contains("lh0"), "{links}");
    user.succeed(&["lab", "down"]);
}

#[test]
fn a_dry_run_says_what_an_application_then_does() {
    let user = User::all().pop().unwrap();
    lab(&user);
    let dry = user.succeed(&["apply", "high.csv", "--dry-run", "--json"]);
    let dry: serde_json::Value = serde_json::from_str(&dry).unwrap();
    let writes: usize =
        dry["nodes"].as_object().unwrap().values().map(|node| node["operations"].as_array().unwrap().len()).sum();
    assert!(writes > 0, "{dry}");
    assert_eq!(dry["nodes"]["n1"]["destinations"]["changed"], 4, "two nodes, each by IPv4 and IPv6: {dry}");
    assert!(user.succeed(&["apply", "high.csv", "--dry-run"]).contains(&format!("dry run: {writes} writes")));
    assert!(user.succeed(&["apply", "net.csv"]).contains(": 0 writes"), "nothing was written");
    assert!(user.succeed(&["apply", "high.csv"]).contains(&format!(": {writes} writes")));
    assert!(user.succeed(&["apply", "high.csv", "--dry-run"]).contains("dry run: 0 writes"));
    user.succeed(&["lab", "down"]);
}
