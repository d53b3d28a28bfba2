//! Timelines on hosts: switched together, held, left, interrupted, measured, and without hosts that are lost.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::bridged_nodes::{v4, v6};
use super::ground::{Ground, Running, by_v4, errors_of, in_own_namespaces};

/// From each host to the next one 20 ms in one matrix and 200 ms in the other, and always 20 ms back: what a ping to the next one
/// takes tells of its sender's switches alone.
const NEAR: &str = "0,20,20\n20,0,20\n20,20,0\n";
const FAR: &str = "0,200,20\n20,0,200\n200,20,0\n";

/// The round trips to the next host, in milliseconds, on a busy machine too.
const IS_NEAR: std::ops::Range<f64> = 39.0..130.0;
const IS_FAR: std::ops::Range<f64> = 219.0..400.0;

const WIDE: [&str; 2] = ["--tolerance", "0%,45ms"];

fn hosts(ground: &Ground) {
    ground.inventory("edge.yaml", by_v4, |host| {
        let addresses = format!("addresses: [{}, \"{}\"]", v4(host), v6(host));
        format!("{addresses}, sshOptions: [ServerAliveInterval=1, ServerAliveCountMax=2, ConnectTimeout=5]")
    });
    ground.write("near.csv", NEAR);
    ground.write("far.csv", FAR);
}

fn replay<'a>(every: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["replay", "--hosts", "edge.yaml", "--every", every, "near.csv", "far.csv"], more].concat()
}

fn json(ground: &Ground, file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(ground.path(file)).unwrap()).unwrap()
}

/// When each ping was sent, in milliseconds since 1970, and its round trip, as `ping -D` prints them.
fn pings(printed: &str) -> Vec<(f64, f64)> {
    let ping = |line: &str| {
        let arrived: f64 = line.strip_prefix('[')?.split_once(']')?.0.parse().ok()?;
        let rtt: f64 = line.split_once("time=")?.1.split(' ').next()?.parse().ok()?;
        Some((arrived * 1_000.0 - rtt, rtt))
    };
    printed.lines().filter_map(ping).collect()
}

/// Waits until a ping takes so long.
fn takes(ground: &Ground, range: std::ops::Range<f64>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !range.contains(&ground.ping_ms(0, 1)) {
        assert!(Instant::now() < deadline, "no ping takes {range:?}: {}", ground.ping_ms(0, 1));
    }
}

fn interrupt(running: Running, said: &Path, code: i32) -> String {
    running.signal(Signal::SIGINT);
    let ended = running.end();
    let text = std::fs::read_to_string(said).unwrap();
    assert_eq!(ended, Some(code), "{text}\n{}", std::fs::read_to_string(errors_of(said)).unwrap());
    text
}

#[test]
fn hosts_switch_together_and_keep_the_last_step_until_ctrl_c() {
    in_own_namespaces("replay::hosts_switch_together_and_keep_the_last_step_until_ctrl_c", || {
        let ground = Ground::new(3);
        hosts(&ground);
        let said = ground.path("replay.txt");
        let mut replaying = ground.start(&replay("5s", &["--json", "replay.json"]), &said);
        replaying.says(&said, "   1  +0s");
        let next = |host: usize| v4((host + 1) % 3);
        let pinging: Vec<_> =
            (0..3).map(|host| ground.begin_on(host, &format!("ping -n -D -i 0.01 -c 900 {}", next(host)))).collect();
        let pinged: Vec<Vec<(f64, f64)>> = pinging.into_iter().map(|wait| pings(&wait())).collect();
        let text = replaying.says(&said, "Ctrl-C clears it");
        assert!(text.contains("2 switches on 3 nodes: ") && text.contains("none failed"), "{text}");
        // When the first ping that takes long was sent, and the last before it that does not.
        let switched: Vec<f64> = pinged
            .iter()
            .map(|pings| {
                let first = pings.iter().position(|(_, rtt)| IS_FAR.contains(rtt)).expect("no ping takes long");
                assert!(first > 0, "there was no ping before: {pings:?}");
                let before = pings[..first].iter().filter(|(_, rtt)| IS_NEAR.contains(rtt)).count();
                assert!(before > first / 2, "{before} of {first} pings were near: {pings:?}");
                pings[first].0
            })
            .collect();
        let (least, most) = switched.iter().fold((f64::MAX, f64::MIN), |(a, b), at| (a.min(*at), b.max(*at)));
        assert!(most - least < 200.0, "the hosts switched {} ms apart: {switched:?}\n{text}", most - least);
        // And when their own stamps say so: pings are 10 ms apart.
        let record = json(&ground, "replay.json");
        for (host, at) in switched.iter().enumerate() {
            let done = record["stamps"][host][1]["done_ns"].as_f64().unwrap() / 1e6;
            assert!((at - done).abs() < 200.0, "host {host} switched at {at}, and says at {done}");
        }
        // The first switch too: all that takes long was made before it.
        for switch in 0..2 {
            assert!(record["switches"][switch]["skew_ms"].as_f64().unwrap() < 200.0, "{record}");
        }
        // The last step stays, also for those who ask.
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 0);
        assert!(table.contains("replay `near.csv far.csv` is over: step 2 of 2 (far.csv, switch 2)"), "{table}");
        takes(&ground, IS_FAR);
        let text = interrupt(replaying, &said, 0);
        assert!(text.contains("cleared testbed `edge`: "), "{text}");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

#[test]
fn a_replay_that_is_interrupted_clears_the_hosts() {
    in_own_namespaces("replay::a_replay_that_is_interrupted_clears_the_hosts", || {
        let ground = Ground::new(3);
        hosts(&ground);
        let said = ground.path("replay.txt");
        let mut replaying = ground.start(&replay("1s", &["--repeat", "forever"]), &said);
        replaying.says(&said, "   2  +1s");
        let text = interrupt(replaying, &said, 130);
        assert!(text.ends_with("stopped; every node is cleared\n"), "{text}");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
        // Nor does one stay whose client is killed.
        let mut replaying = ground.start(&replay("1s", &["--repeat", "forever"]), &said);
        replaying.says(&said, "   2  +1s");
        replaying.signal(Signal::SIGKILL);
        assert_eq!(replaying.end(), None);
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(30)), "host {host}");
        }
    });
}

#[test]
fn what_is_left_goes_on_switching_and_ends() {
    in_own_namespaces("replay::what_is_left_goes_on_switching_and_ends", || {
        let ground = Ground::new(3);
        hosts(&ground);
        let (_, error) = ground.ends(&replay("2s", &["--detach"]), 2);
        assert!(error.contains("say how long the replay stays, such as --for 2h"), "{error}");
        let began = Instant::now();
        let (text, _) = ground.ends(&replay("2s", &["--repeat", "forever", "--detach", "--for", "20s"]), 0);
        assert!(text.contains("testbed `edge` keeps its delays at least until 2"), "{text}");
        assert!(text.contains("note: the timeline lasts longer than 20s and is cut off then"), "{text}");
        for _ in 0..2 {
            takes(&ground, IS_FAR);
            takes(&ground, IS_NEAR);
        }
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 0);
        assert!(table.contains("`near.csv far.csv` is running: step "), "{table}");
        for host in 0..3 {
            assert!(
                ground.is_clear_within(host, Duration::from_secs(60)),
                "host {host} is not clear when time is over"
            );
        }
        assert!(began.elapsed() >= Duration::from_secs(20), "it ended before its time");
    });
}

#[test]
fn hosts_that_are_lost_take_only_themselves_along() {
    in_own_namespaces("replay::hosts_that_are_lost_take_only_themselves_along", || {
        let ground = Ground::new(4);
        hosts(&ground);
        let four = |long: u64| format!("0,{long},20,20\n20,0,20,20\n20,20,0,20\n20,20,20,0\n");
        ground.write("near.csv", &four(20));
        ground.write("far.csv", &four(200));
        let said = ground.path("replay.txt");
        let arguments = replay("1s", &["--repeat", "6", "--json", "replay.json"]);
        let mut replaying = ground.start(&arguments, &said);
        replaying.says(&said, "   2  +1s");
        // One whose processes are all killed, and one whose cable is pulled.
        for pid in ground.processes(2) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        ground.on(3, "ip link set eth0 down");
        replaying.says(&said, "Ctrl-C clears it");
        takes(&ground, IS_FAR);
        let text = interrupt(replaying, &said, 1);
        let (killed, silent) =
            ("the agent has ended: the keeper of eth0 has ended", "ssh: Timeout, server 10.9.0.4 not responding");
        let lost = |node: &str, why: &str| format!(" node `{node}` is lost: {why}");
        assert!(text.contains(&lost("n3", killed)) && text.contains(&lost("n4", silent)), "{text}");
        assert!(text.contains("not responding; the others go on\n") && text.contains("; without n3, n4\n"), "{text}");
        assert!(text.contains("12 switches on 4 nodes: ") && text.contains("note: node `n3` was lost at +"), "{text}");
        assert!(text.contains("cleared testbed `edge`: ") && text.contains("note: `n4` is lost (ssh: "), "{text}");
        let record = json(&ground, "replay.json");
        assert_eq!(record["lost"]["n4"]["why"], silent, "{record}");
        let final_one = &record["switches"][11];
        assert_eq!(
            (&final_one["lost"], &final_one["failed"]),
            (&serde_json::json!(["n3", "n4"]), &serde_json::json!([]))
        );
        assert!((0..2).all(|node| record["stamps"][node].as_array().unwrap().len() == 12), "{record}");
        for host in 0..2 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

#[test]
fn a_measured_replay_judges_hosts_with_their_own_clocks_by_round_trips() {
    in_own_namespaces("replay::a_measured_replay_judges_hosts_with_their_own_clocks_by_round_trips", || {
        let ground = Ground::of_many_kernels(3);
        hosts(&ground);
        let (text, _) = ground.ends(&replay("3s", &["--measure", "--out", "m", WIDE[0], WIDE[1]]), 0);
        assert!(text.contains("PASS: 2 of 2 judged switches within tolerance"), "{text}");
        assert!(text.contains("note: the hosts have clocks of their own: round-trip times are judged"), "{text}");
        assert!(text.contains("cleared testbed `edge`: "), "{text}");
        let results = &json(&ground, "m/replay.json")["results"];
        for (switch, long) in [(0, 40.0), (1, 220.0)] {
            let result = &results[switch];
            assert_eq!((&result["basis"], &result["verdict"]), (&"round_trip".into(), &"pass".into()));
            for path in result["paths"].as_array().unwrap() {
                let rtt = path["rtt_p50_ms"].as_f64().unwrap();
                assert!((long..long + 45.0).contains(&rtt), "{path}");
            }
        }
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

#[test]
fn a_measured_replay_goes_on_without_a_host_that_is_lost() {
    in_own_namespaces("replay::a_measured_replay_goes_on_without_a_host_that_is_lost", || {
        let ground = Ground::new(3);
        hosts(&ground);
        let said = ground.path("replay.txt");
        let arguments = replay("4s", &["--measure", "--out", "m", WIDE[0], WIDE[1]]);
        let mut replaying = ground.start(&arguments, &said);
        replaying.says(&said, "   1  +0s");
        for pid in ground.processes(2) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        assert_eq!(replaying.end(), Some(1), "{}", std::fs::read_to_string(errors_of(&said)).unwrap());
        let text = std::fs::read_to_string(&said).unwrap();
        assert!(text.contains("FAIL: 2 of 2 judged switches within tolerance"), "{text}");
        let missing = "missing: n3 and the 4 paths from and to it: the keeper of eth0 has ended";
        assert!(text.contains(missing) && text.contains("note: node `n3` was lost at +"), "{text}");
        assert!(json(&ground, "m/run.json")["missing"]["n3"].as_str().unwrap().starts_with("the keeper of eth0"));
        let paths: Vec<_> = json(&ground, "m/replay.json")["results"][1]["paths"].as_array().unwrap().clone();
        assert!(paths.len() == 2 && paths.iter().all(|path| path["verdict"] == "pass"), "{paths:?}");
        for host in 0..2 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}
