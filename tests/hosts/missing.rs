//! Hosts that are lost, before a measurement or in it: the others are measured all the same.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::bridged_nodes::{v4, v6};
use super::ground::{Ground, by_v4, errors_of, in_own_namespaces};

const MATRIX: &str = "0,30,30,30\n30,0,30,30\n30,30,0,30\n30,30,30,0\n";
const WIDE: [&str; 2] = ["--tolerance", "0%,45ms"];

/// Four hosts; a dead connection is noticed within two seconds.
fn four_hosts() -> Ground {
    let ground = Ground::new(4);
    ground.inventory("edge.yaml", by_v4, |host| {
        let addresses = format!("addresses: [{}, \"{}\"]", v4(host), v6(host));
        format!("{addresses}, sshOptions: [ServerAliveInterval=1, ServerAliveCountMax=2, ConnectTimeout=5]")
    });
    ground.write("net.csv", MATRIX);
    ground
}

fn json(ground: &Ground, file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(ground.path(file)).unwrap()).unwrap()
}

/// Of the paths of a result those that are missing, and those that pass.
fn paths(result: &Value) -> (Vec<String>, Vec<String>) {
    let name = |path: &Value| format!("{}{}", path["from"].as_str().unwrap(), path["to"].as_str().unwrap());
    let all = result["paths"].as_array().unwrap();
    let (missing, others): (Vec<_>, Vec<_>) = all.iter().partition(|path| path["missing"] == true);
    assert!(missing.iter().all(|path| path["verdict"] == "fail"), "{result}");
    let passed = others.iter().filter(|path| path["verdict"] == "pass");
    (missing.into_iter().map(name).collect(), passed.map(|path| name(path)).collect())
}

#[test]
fn a_host_that_cannot_be_reached_takes_only_its_own_paths_along() {
    in_own_namespaces("missing::a_host_that_cannot_be_reached_takes_only_its_own_paths_along", || {
        let mut ground = four_hosts();
        ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"], 0);
        ground.end_server(3);
        let words = "ssh: connect to host 10.9.0.4 port 22: Connection refused";
        let (its, others) =
            (["n1n4", "n2n4", "n3n4", "n4n1", "n4n2", "n4n3"], ["n1n2", "n1n3", "n2n1", "n2n3", "n3n1", "n3n2"]);

        let measure = ["measure", "--hosts", "edge.yaml", "--csv", "m.csv", "--json", "m.json", WIDE[0], WIDE[1]];
        let (table, _) = ground.ends(&measure, 1);
        assert!(table.contains(&format!("missing: n4 and the 6 paths from and to it: {words}\n")), "{table}");
        let row = table.lines().find(|line| line.starts_with("n4    n1 ")).unwrap();
        assert!(row.contains(" ? ") && row.ends_with("missing"), "{table}");
        assert!(table.contains("12 paths, 60 probes"), "{table}");
        let result = json(&ground, "m.json");
        assert_eq!(paths(&result), (its.map(str::to_owned).to_vec(), others.map(str::to_owned).to_vec()));
        assert_eq!((&result["missing"]["n4"], &result["summary"]["verdict"]), (&words.into(), &"fail".into()));
        assert_eq!(result["paths"][2]["intended_ms"], 30.0, "what goes to it is known");
        assert_eq!(result["paths"][9]["intended_ms"], Value::Null, "what comes from it is not");
        let matrix = std::fs::read_to_string(ground.path("m.csv")).unwrap();
        assert!(matrix.contains("without n4 (ssh: connect") && !matrix.contains("\nn4,"), "{matrix}");
        ground.ends(&["matrix", "check", "m.csv"], 0);

        let (round, _) =
            ground.ends(&["watch", "--hosts", "edge.yaml", "--rounds", "1", "--json", WIDE[0], WIDE[1]], 1);
        let round: Value = serde_json::from_str(&round).unwrap();
        assert_eq!((&round["missing"]["n4"], round["outside"].as_array().unwrap().len()), (&words.into(), 6));
        let (lines, _) = ground.ends(&["watch", "--hosts", "edge.yaml", "--rounds", "1", WIDE[0], WIDE[1]], 1);
        assert!(lines.contains("outside: n4→n1 not measured: one of the nodes is missing\n"), "{lines}");
        assert!(lines.contains(&format!("missing: n4 and the 6 paths from and to it: {words}\n")), "{lines}");

        // A matrix is applied to all or to none.
        ground.write("other.csv", &MATRIX.replace("30", "60"));
        let (_, error) = ground.ends(&["apply", "--hosts", "edge.yaml", "other.csv", "--detach", "--for", "1h"], 2);
        assert!(error.starts_with(&format!("error: node `n4`: {words}")), "{error}");
        assert!((60.0..100.0).contains(&ground.ping_ms(0, 1)), "nothing was changed");

        // What can be cleared is, and that is said.
        let (_, error) = ground.ends(&["clear", "--hosts", "edge.yaml"], 2);
        let others = error.strip_prefix(&format!("error: node `n4`: {words}; the other 3 are cleared (")).unwrap();
        assert!(others.ends_with(" writes)\n"), "{error}");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

#[test]
fn a_verification_without_a_host_says_no_and_measures_the_others() {
    in_own_namespaces("missing::a_verification_without_a_host_says_no_and_measures_the_others", || {
        let mut ground = four_hosts();
        // The first one: nothing depends on it.
        ground.end_server(0);
        let verify = ["verify", "--hosts", "edge.yaml", "net.csv", "--out", "v", "--probes", "5", WIDE[0], WIDE[1]];
        let (text, _) = ground.ends(&verify, 1);
        let words = "ssh: connect to host 10.9.0.1 port 22: Connection refused";
        assert!(text.contains(&format!("missing: n1 and the 6 paths from and to it: {words}\n")), "{text}");
        assert!(text.contains("30/x") && text.contains("x not measured: one of the nodes is missing"), "{text}");
        assert!(text.contains("one-way delays are judged, and exact"), "{text}");
        let (missing, passed) = paths(&json(&ground, "v/result.json"));
        assert_eq!((missing.len(), passed.len()), (6, 6));
        assert_eq!(json(&ground, "v/run.json")["missing"]["n1"], words);
        let samples = std::fs::read_to_string(ground.path("v/samples.csv")).unwrap();
        assert_eq!(samples.lines().count(), 1 + 6 * 5, "what nobody sent is no sample");
        for host in 1..4 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

/// Waits until a host has been sent so many echoes, by its own kernel's count.
fn wait_for_echoes(ground: &Ground, host: usize, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let echoes = || {
        let table = ground.on(host, "cat /proc/net/snmp");
        let mut lines = table.lines().filter(|line| line.starts_with("Icmp:"));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let pairs = names.split(' ').zip(values.split(' '));
        let mut found = pairs.filter(|(name, _)| *name == "InEchos");
        found.next().unwrap().1.parse::<u64>().unwrap()
    };
    while echoes() < count {
        assert!(Instant::now() < deadline, "only {} echoes came to host {host}", echoes());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn hosts_that_are_lost_in_the_middle_take_only_their_own_paths_along() {
    in_own_namespaces("missing::hosts_that_are_lost_in_the_middle_take_only_their_own_paths_along", || {
        let ground = four_hosts();
        let said = ground.path("verify.txt");
        let arguments =
            ["verify", "--hosts", "edge.yaml", "net.csv", "--out", "v", "--probes", "60", "--interval", "100ms"];
        let verifying = ground.start(&[&arguments[..], &WIDE].concat(), &said);
        // Past the bare paths, of which it sends 4 a path.
        wait_for_echoes(&ground, 0, 30);
        // One whose processes are all killed, and one whose cable is pulled.
        for pid in ground.processes(2) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        ground.on(3, "ip link set eth0 down");
        assert_eq!(verifying.end(), Some(1), "{}", std::fs::read_to_string(errors_of(&said)).unwrap());
        let text = std::fs::read_to_string(&said).unwrap();
        let killed = "missing: n3 and the 6 paths from and to it: the keeper of eth0 has ended";
        let silent = "missing: n4 and the 6 paths from and to it: ssh: Timeout, server 10.9.0.4 not responding";
        assert!(text.contains(killed) && text.contains(silent), "{text}");
        let (missing, passed) = paths(&json(&ground, "v/result.json"));
        assert_eq!((missing.len(), passed), (10, vec!["n1n2".to_owned(), "n2n1".to_owned()]));
        for host in 0..2 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}
