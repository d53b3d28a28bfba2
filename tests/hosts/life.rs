//! What works: delays on hosts, held, left, measured, watched and removed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::bridged_nodes::{v4, v6};
use super::ground::{Ground, by_v4, by_v6, errors_of, in_own_namespaces};

const MATRIX: &str = "0,60,120\n40,0,80\n20,100,0\n";

/// Wide enough for a busy machine.
const WIDE: [&str; 2] = ["--tolerance", "0%,45ms"];

/// What a lease and a busy machine take.
const LEASE_AND_MORE: Duration = Duration::from_secs(30);

fn addresses(host: usize) -> String {
    format!("addresses: [{}, \"{}\"]", v4(host), v6(host))
}

#[test]
fn delays_are_held_until_ctrl_c() {
    in_own_namespaces("life::delays_are_held_until_ctrl_c", || {
        let ground = Ground::new(3);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", MATRIX);
        let said = ground.path("applied.txt");
        let mut holding = ground.start(&["apply", "--hosts", "edge.yaml", "net.csv"], &said);
        let text = holding.says(&said, "Ctrl-C clears it");
        assert!(text.starts_with("applied to testbed `edge`: "), "{text}");
        let ping = ground.ping_ms(0, 1);
        assert!((100.0..190.0).contains(&ping), "{ping} ms instead of 60 + 40");
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 0);
        assert!(table.contains("10.9.0.1") && table.contains("60ms–120ms"), "{table}");
        let (json, _) = ground.ends(&["status", "--hosts", "edge.yaml", "--json"], 0);
        let status: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(status["testbed"], "edge");
        assert_eq!(status["nodes"]["n3"]["paths"][1]["delay_ms"], 100.0);
        let (measured, _) = ground.ends(&["measure", "--hosts", "edge.yaml", "--json", "m.json", WIDE[0], WIDE[1]], 0);
        assert!(measured.contains("6 paths, 60 probes"), "{measured}");
        let (watched, _) =
            ground.ends(&["watch", "--hosts", "edge.yaml", "--rounds", "1", "--json", "--ipv6", WIDE[0], WIDE[1]], 0);
        let round: Value = serde_json::from_str(&watched).unwrap();
        assert_eq!(
            (&round["testbed"], &round["paths"], &round["verdict"]),
            (&"edge".into(), &6.into(), &"pass".into())
        );
        holding.signal(Signal::SIGINT);
        assert_eq!(holding.end(), Some(0));
        let text = std::fs::read_to_string(&said).unwrap();
        assert!(text.contains("cleared testbed `edge`: "), "{text}");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
    });
}

#[test]
fn what_is_left_behind_can_be_attached_to_and_ends() {
    in_own_namespaces("life::what_is_left_behind_can_be_attached_to_and_ends", || {
        let ground = Ground::new(3);
        // By IPv6, with the interface's own addresses.
        ground.inventory("edge.yaml", by_v6, |_| "interface: eth0".to_owned());
        ground.write("net.csv", MATRIX);
        let (text, _) = ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"], 0);
        assert!(text.contains("testbed `edge` keeps its delays at least until 2"), "{text}");
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 0);
        assert!(table.contains("60ms–120ms") && table.contains("0 of 3 nodes differ"), "{table}");
        // From one of the hosts, whose sessions are delayed as all else is.
        let measured = ground.run_from(0, &["measure", "--hosts", "edge.yaml", WIDE[0], WIDE[1]]);
        assert_eq!(measured.status.code(), Some(0), "{measured:?}");
        ground.ends(&["clear", "--hosts", "edge.yaml"], 0);
        ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "2s"], 0);
        for host in 0..3 {
            assert!(ground.is_clear_within(host, LEASE_AND_MORE), "host {host} is not clear after the time is over");
        }
        ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"], 0);
        let (cleared, _) = ground.ends(&["clear", "--hosts", "edge.yaml"], 0);
        assert!(cleared.starts_with("cleared testbed `edge`: "), "{cleared}");
        assert!(ground.is_clear_within(2, Duration::from_secs(1)));
    });
}

#[test]
fn whoever_is_killed_leaves_nothing() {
    in_own_namespaces("life::whoever_is_killed_leaves_nothing", || {
        let ground = Ground::new(2);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", "0,30\n30,0\n");
        let said = ground.path("applied.txt");
        let arguments = ["apply", "--hosts", "edge.yaml", "net.csv"];
        let mut holding = ground.start(&arguments, &said);
        holding.says(&said, "Ctrl-C clears it");
        holding.signal(Signal::SIGKILL);
        assert_eq!(holding.end(), None);
        for host in 0..2 {
            assert!(
                ground.is_clear_within(host, LEASE_AND_MORE),
                "host {host} is not clear after the program was killed"
            );
        }
        assert!(ground.ping_ms(0, 1) < 25.0);
        let mut holding = ground.start(&arguments, &said);
        holding.says(&said, "Ctrl-C clears it");
        let all = holding.ssh_processes();
        assert_eq!(all.len(), 2);
        kill(all[0], Signal::SIGKILL).unwrap();
        let words = "host `n1` is lost: the connection was lost: ssh was killed; the others go on\n";
        holding.says(&errors_of(&said), words);
        assert!(ground.is_clear_within(0, LEASE_AND_MORE), "the host whose ssh was killed is not clear");
        let ping = ground.ping_ms(1, 0);
        assert!((29.0..200.0).contains(&ping), "{ping} ms: the other goes on with its 30");
        // A client that neither speaks nor ends: the lease decides.
        holding.signal(Signal::SIGSTOP);
        assert!(ground.is_clear_within(1, LEASE_AND_MORE), "the host of a silent client is not clear");
        holding.signal(Signal::SIGKILL);
        holding.end();
    });
}

#[test]
fn a_verification_leaves_evidence_and_nothing_else() {
    in_own_namespaces("life::a_verification_leaves_evidence_and_nothing_else", || {
        let ground = Ground::new(3);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", MATRIX);
        let verify = ["verify", "--hosts", "edge.yaml", "net.csv", "--out", "v", "--probes", "5", WIDE[0], WIDE[1]];
        let (text, _) = ground.ends(&verify, 0);
        assert!(text.contains("6 paths, 30 probes") && text.contains("PASS"), "{text}");
        let words = "note: all hosts run on one kernel and have one clock: one-way delays are judged, and exact\n";
        assert!(text.contains(words), "{text}");
        let result: Value =
            serde_json::from_str(&std::fs::read_to_string(ground.path("v/result.json")).unwrap()).unwrap();
        assert_eq!(result["summary"]["basis"], "one_way");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host}");
        }
        ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"], 0);
        let (_, error) = ground.ends(&verify, 2);
        assert!(error.starts_with("error: host `n1` has delays already; remove them with"), "{error}");
        ground.ends(&["clear", "--hosts", "edge.yaml"], 0);
    });
}

#[test]
fn hosts_with_clocks_of_their_own_are_judged_by_round_trips() {
    in_own_namespaces("life::hosts_with_clocks_of_their_own_are_judged_by_round_trips", || {
        let ground = Ground::of_many_kernels(2);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", "0,60\n10,0\n");
        let (text, _) = ground.ends(&["verify", "--hosts", "edge.yaml", "net.csv", "--out", "v", WIDE[0], WIDE[1]], 0);
        assert!(text.contains("intended/measured round-trip time") && text.contains("|rtt error| p50 "), "{text}");
        assert!(text.contains("note: the hosts have clocks of their own: round-trip times are judged"), "{text}");
        let result: Value =
            serde_json::from_str(&std::fs::read_to_string(ground.path("v/result.json")).unwrap()).unwrap();
        assert_eq!(result["summary"]["basis"], "round_trip");
        for path in result["paths"].as_array().unwrap() {
            let number = |pointer: &str| path.pointer(pointer).unwrap().as_f64().unwrap();
            assert!((number("/rtt_ms/p50") - 70.0).abs() < 45.0, "{path}");
            // The clocks are in truth one: what is said of one way holds within what is said of the clocks.
            let (bound, error) = (number("/clock_bound_ms"), number("/one_way_ms/p50") - number("/intended_ms"));
            assert!(bound > 0.0 && error.abs() < bound + 45.0, "{path}");
        }
    });
}
