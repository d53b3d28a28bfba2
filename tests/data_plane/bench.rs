//! `longhaul bench proxy`, short: what it measures is judged by nobody here, only that it is measured, counted and shown.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// The number of requests that 40/s for two seconds make, far from exactly: they come at random.
const REQUESTS: std::ops::Range<f64> = 30.0..150.0;

#[test]
fn a_short_footprint_is_counted_drawn_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (out, json) = (folder.path().join("figures"), folder.path().join("bench.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(["bench", "proxy", "--quick", "--only", "footprint", "decisions", "--out"]);
    let output = command.arg(&out).arg("--json").arg(&json).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("BESIDE IT"), "{printed}");
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let number = |what: &str, side: &str| {
        let row = result["rows"].as_array().unwrap().iter().find(|row| row["what"].as_str().unwrap().starts_with(what));
        let row = row.unwrap_or_else(|| panic!("{what}: {printed}"));
        row[side]["median"].as_f64().unwrap_or_else(|| panic!("{what}, {side}: {printed}"))
    };
    // The load's count beside that of the services.
    let sent = number("sent", "longhaul");
    assert!(REQUESTS.contains(&sent) && (sent - number("sent", "plain")).abs() < f64::EPSILON, "{printed}");
    for (instances, target) in [("10", 200.0), ("1000", 2_000.0)] {
        let what = format!("choice among {instances} instances, qedgeproxy");
        let (cost, row) = (number(&what, "longhaul"), what);
        let found = result["rows"].as_array().unwrap().iter().find(|found| found["what"] == row.as_str()).unwrap();
        let expected = if cost <= target { "met" } else { "not_met" };
        assert!(cost > 0.0 && (found["verdict"] == expected || found["verdict"] == "unclear"), "{found}");
    }
    // Over time it is what it is as a whole.
    let csv = std::fs::read_to_string(out.join("footprint.csv")).unwrap();
    let mut looks = BTreeMap::<&str, Vec<Vec<f64>>>::new();
    for line in csv.lines().skip(1) {
        let (name, numbers) = line.split_once(',').unwrap();
        looks.entry(name).or_default().push(numbers.split(',').map(|number| number.parse().unwrap()).collect());
    }
    assert_eq!(looks.keys().copied().collect::<Vec<_>>(), ["HAProxy", "longhaul", "nginx"], "Debian: nginx, haproxy");
    for (name, side, what) in [
        ("longhaul", "longhaul", "resident at 40 requests/s, beside nginx"),
        ("nginx", "plain", "resident at 40 requests/s, beside nginx"),
        ("HAProxy", "plain", "resident at 40 requests/s, beside HAProxy"),
    ] {
        let looks = &looks[name];
        assert!(looks.len() == 2 && looks[0][1] >= 1.0 && looks[1][1] >= 2.0, "{csv}");
        let (last, whole) = (looks[1][3], number(what, side));
        assert!(last > 1.0 && (last / whole - 1.0).abs() < 0.2, "{name}: {last} and {whole} MB");
        assert!(looks.iter().all(|look| look[2] > 0.0 && look[2] < 2.0), "{csv}");
    }
    for name in ["footprint-core", "footprint-memory"] {
        let svg = std::fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
        assert!(svg.contains("HAProxy") && svg.contains("paper 004"), "{svg}");
        assert!(std::fs::read(out.join(format!("{name}.png"))).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn an_unknown_policy_is_said_before_anything_is_measured() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_longhaul")).args(["bench", "proxy", "--policy", "guess"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no policy `guess`"));
}
