//! `longhaul verify` from end to end.

use serde_json::Value;

use super::host::{Host, time_is_virtual};
use super::user::{User, describe};

const MATRIX: &str = "# source: made up\n,a,b,c,d\na,0,50,125,8.25\nb,70,0,200,300\nc,0,30,0,40\nd,600,20,10,0\n";

/// Tight figures belong to `longhaul bench`; a busy machine of one processor may be late by tens of milliseconds.
const LOOSE: &[&str] = &["--tolerance", "0%,45ms"];

#[test]
fn a_matrix_verifies_and_leaves_evidence() {
    for user in User::all() {
        let before = Host::look();
        user.write("net.csv", MATRIX);
        let printed = user.succeed(&[&["verify", "net.csv", "--out", "out", "--json", "result.json"], LOOSE].concat());
        assert!(printed.contains("PASS") && printed.contains("files: out"), "{printed}");
        assert_eq!(Host::look(), before, "as {}", user.name());
        let out = user.folder().join("out");
        for name in ["intended", "measured", "error", "error-cdf"] {
            let svg = std::fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
            let png = std::fs::read(out.join(format!("{name}.png"))).unwrap();
            assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{name}.svg: {}", &svg[..40]);
            assert!(png.starts_with(b"\x89PNG"), "{name}.png");
        }
        let samples = std::fs::read_to_string(out.join("samples.csv")).unwrap();
        assert_eq!(samples.lines().count(), 1 + 12 * 10);
        check_result(&std::fs::read_to_string(user.folder().join("result.json")).unwrap());
        let record: Value = serde_json::from_str(&std::fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
        assert_eq!(record["backends"].as_array().unwrap().len(), 4);
        user.succeed(&[&["verify", "out/measured.csv", "--out", "again"], LOOSE].concat());
    }
}

fn check_result(text: &str) {
    let result: Value = serde_json::from_str(text).unwrap();
    assert_eq!(result["nodes"], serde_json::json!(["a", "b", "c", "d"]));
    let paths = result["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 12);
    for path in paths {
        let number = |value: &Value| value.as_f64().unwrap();
        let (intended, p50) = (number(&path["intended_ms"]), number(&path["one_way_ms"]["p50"]));
        assert!(p50 >= intended && p50 < intended + 45.0, "{path}");
        assert!(number(&path["rtt_ms"]["p50"]) >= p50, "{path}");
        assert!((number(&path["error_ms"]) - (p50 - intended)).abs() < 1e-6, "{path}");
        assert_eq!((&path["sent"], &path["lost"]), (&Value::from(10), &Value::from(0)), "{path}");
    }
    assert_eq!(result["summary"]["verdict"], "pass");
    assert_eq!(result["summary"]["lost"], 0);
}

#[test]
fn ipv6_paths_and_a_subtracted_base_verify_too() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&[&["verify", "net.csv", "--out", "six", "--ipv6"], LOOSE].concat());
        user.succeed(&[&["verify", "net.csv", "--out", "base", "--subtract-base"], LOOSE].concat());
        assert_raw(&user.folder().join("base"));
    }
}

/// The samples stay as measured, and then each has the median base more than what became of it: the medians show it.
fn assert_raw(out: &std::path::Path) {
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    let samples = read("samples.csv");
    for path in result["paths"].as_array().unwrap() {
        let ends = format!("{},{},", path["from"].as_str().unwrap(), path["to"].as_str().unwrap());
        let of_path = samples.lines().filter(|line| line.starts_with(&ends));
        let mut delays: Vec<f64> = of_path.map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect();
        delays.sort_by(f64::total_cmp);
        let (raw, less) = (delays[(delays.len() - 1) / 2], path["one_way_ms"]["p50"].as_f64().unwrap());
        // On virtual time the base is nothing.
        assert!(raw > less || (time_is_virtual() && raw >= less), "{raw}: {path}");
    }
}

#[test]
fn an_impossible_tolerance_is_answered_no() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    let output = user.run(&["verify", "net.csv", "--out", "out", "--probes", "2", "--tolerance", "0%,1ns"]);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAIL"), "{}", describe(&output));
}

#[test]
fn bad_input_is_refused_before_anything_is_made() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    user.write("bad.csv", "0,1\n-2,0\n");
    user.write("file", "");
    for (arguments, expected) in [
        (vec!["verify", "bad.csv"], "bad.csv:2"),
        (vec!["verify", "missing.csv"], "missing.csv: there is no such file"),
        (vec!["verify", "net.csv", "--out", "file"], "--out file: it is a file, not a folder"),
        (vec!["verify", "net.csv", "--json", "."], "--json .: it is a folder; name a file"),
        (vec!["verify", "net.csv", "--json", "no/such/x.json"], "--json no/such/x.json: cannot write to no/such"),
        (vec!["verify", "net.csv", "--tolerance", "x"], "`x` is neither a share nor a duration"),
        (vec!["verify", "net.csv", "--interval", "1us"], "1us is not between 100us and 60s"),
        (vec!["verify", "net.csv", "--probes", "0"], "0 is not in 1..=100000"),
    ] {
        let text = user.fail(&arguments, 2);
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    assert!(!user.folder().join("runs").exists());
    assert!(!user.folder().join("run").exists());
}

#[test]
fn a_back_end_that_is_not_here_is_refused_with_the_reason() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    let output = user.run(&["verify", "net.csv", "--out", "out", "--backend", "netem", "--tolerance", "0%,45ms"]);
    let text = describe(&output);
    match output.status.code() {
        Some(0) => assert!(text.contains("back-end netem (asked for)"), "{text}"),
        Some(2) => assert!(text.contains("CONFIG_NET_SCH_NETEM"), "{text}"),
        _ => panic!("{text}"),
    }
}

#[test]
fn nodes_with_different_back_ends_live_in_one_lab() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    let arguments = ["verify", "net.csv", "--out", "out", "--node-backend", "b=userspace"];
    let printed = user.succeed(&[&arguments, LOOSE].concat());
    // Two back-ends where the kernel has both, one otherwise; the record says which node has which.
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(user.folder().join("out/run.json")).unwrap()).unwrap();
    assert_eq!(record["backends"][1]["backend"], "userspace", "{printed}");
    assert_eq!(record["backends"][1]["reason"], "asked for", "{printed}");
    let unknown = user.fail(&["verify", "net.csv", "--node-backend", "x=netem"], 2);
    assert!(unknown.contains("--node-backend: there is no node `x`"), "{unknown}");
    let wrong = user.fail(&["verify", "net.csv", "--node-backend", "b=magic"], 2);
    assert!(wrong.contains("`magic` is not a back-end; write auto, netem or userspace"), "{wrong}");
}
