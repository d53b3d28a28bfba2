//! `longhaul load`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::programs::Program;

fn load(address: SocketAddr, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(["load", &format!("http://{address}/x")]).args(words).output().unwrap()
}

fn figures(folder: &tempfile::TempDir) -> serde_json::Value {
    let text = std::fs::read_to_string(folder.path().join("load.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["figures"].take()
}

/// Answers at once, but for one request that holds everybody up for `pause`. It lives as long as the tests do.
fn pausing_server(pause: Duration, at: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counter = Arc::new(Mutex::new(0));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let mut bytes = [0; 4_096];
                while stream.read(&mut bytes).is_ok_and(|length| length > 0) {
                    let mut count = counter.lock().unwrap();
                    *count += 1;
                    if *count == at {
                        thread::sleep(pause);
                    }
                    drop(count);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

/// The request that meets the pause and those that were to leave during it wait for its end: with 100 a second some 60 of them
/// for a pause of 600 ms, half of them for more than half of it. A client that waits for answers would see a single one.
#[test]
fn a_pause_is_charged_to_all_who_would_have_come_meanwhile() {
    let address = pausing_server(Duration::from_millis(600), 50);
    let folder = tempfile::tempdir().unwrap();
    let (json, csv) = (folder.path().join("load.json"), folder.path().join("load.csv"));
    let words = ["--rate", "100/s", "--for", "2s", "--timeout", "5s", "--lateness", "1s"];
    let output =
        load(address, &[&words[..], &["--json", json.to_str().unwrap(), "--csv", csv.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let figures = figures(&folder);
    assert_eq!((&figures["requests"], &figures["endings"]["ok"]), (&200.into(), &200.into()));
    let longest = figures["latency"]["max_ms"].as_f64().unwrap();
    assert!((595.0..1_500.0).contains(&longest), "{longest}");
    let mut rows = csv::Reader::from_path(&csv).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 200);
    let waited = |ms: f64| rows.iter().filter(|row| row[3].parse::<f64>().unwrap() >= ms).count();
    assert!((25..90).contains(&waited(300.0)), "{}", waited(300.0));
    // Each was intended a hundredth of a second after the one before, whatever happened to that.
    let intended: Vec<f64> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(intended.windows(2).all(|pair| (pair[1] - pair[0] - 10.0).abs() < 0.001));
}

#[test]
fn a_schedule_that_cannot_be_kept_is_said() {
    let service = Program::start(&["service", "--time", "20ms"]);
    let output = load(service.address(), &["--rate", "100/s", "--for", "1s", "--connections", "1", "--timeout", "10s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the schedule was NOT kept: p99 lateness"), "{text}");
    let output =
        load(service.address(), &["--rate", "100/s", "--for", "500ms", "--in-flight", "1", "--lateness", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("not sent"));
}

#[test]
fn many_clients_over_both_versions_are_answered_and_judged() {
    let service = Program::start(&["service", "--time", "500us", "--name", "i1"]);
    for version in [&[][..], &["--http2"]] {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("load.json");
        let common = ["--clients", "20", "--rate", "10/s", "--for", "1s", "--arrivals", "poisson", "--lateness", "1s"];
        let judged = ["--within", "900ms", "--at-least", "0.9", "--json", json.to_str().unwrap()];
        let output = load(service.address(), &[&common[..], &judged, version].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("20 of 20 clients had at least 90.0 % good"), "{text}");
        let figures = figures(&folder);
        assert_eq!(figures["instances"][0]["instance"], "i1");
        let processing = figures["processing"]["p50_ms"].as_f64().unwrap();
        let latency = figures["latency"]["p50_ms"].as_f64().unwrap();
        assert!(processing >= 0.5 && latency >= processing, "{processing} {latency}");
        let requests = figures["requests"].as_u64().unwrap();
        assert!((140..260).contains(&requests), "20 clients with 10 requests each, more or less: {requests}");
    }
}

#[test]
fn what_is_not_answered_is_told_apart() {
    let service = Program::start(&["service", "--time", "30s", "--queue", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("load.json");
    let words = ["--rate", "20/s", "--for", "200ms", "--timeout", "300ms", "--json", json.to_str().unwrap()];
    let output = load(service.address(), &[&words[..], &["--lateness", "1s", "--at-least", "0.5"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let figures = figures(&folder);
    assert_eq!(figures["endings"], serde_json::json!({ "timed out": 1, "refused": 3 }));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = load(closed, &["--rate", "20/s", "--for", "200ms", "--lateness", "1s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("4 failed") && text.contains("connect: Connection refused"), "{text}");
}

#[test]
fn what_is_no_load_is_said() {
    let said = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_longhaul")).arg("load").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["ftp://a/"]).contains("is no URL to load; write http://HOST:PORT/PATH"));
    assert!(said(&["http://127.0.0.1:1/", "--rate", "1e6/s", "--clients", "1000"]).contains("can be remembered"));
    assert!(said(&["http://127.0.0.1:1/", "--header", "a b: c"]).contains("is no name of a header"));
}
