//! Impairments beyond delay from end to end: told when they are applied, judged when they are measured.

use serde_json::Value;

use super::user::User;

const MATRIX: &str = ",a,b\na,0,40\nb,40,0\n";

/// A third of the packets one way, a fifth twice the other way, and a distribution whose median is not its mean.
const FILE: &str = "\
apiVersion: longhaul/v1
matrix: net.csv
paths:
  - {from: a, loss: 30%, jitter: 8ms, distribution: pareto}
  - {from: b, duplicate: 20%}
";

const MEASURE: &[&str] = &["--probes", "400", "--interval", "5ms", "--tolerance", "0%,45ms"];

#[test]
fn losses_copies_and_jitter_are_judged() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    user.write("net.yaml", FILE);
    let printed = user.succeed(&[&["verify", "net.yaml", "--out", "out", "--json", "result.json"], MEASURE].concat());
    for part in ["loss: ", "duplicates: ", "jitter: of 1 paths", "95 % interval", "intended 30 %: inside", "PASS"] {
        assert!(printed.contains(part), "no `{part}`: {printed}");
    }
    let result: Value =
        serde_json::from_str(&std::fs::read_to_string(user.folder().join("result.json")).unwrap()).unwrap();
    let (lost, doubled) = (&result["beyond"]["lost"], &result["beyond"]["doubled"]);
    assert_eq!((&lost["of"], &lost["judgement"]), (&Value::from(400), &Value::from("inside")), "{lost}");
    assert_eq!((&doubled["intended"], &doubled["judgement"]), (&Value::from(0.2), &Value::from("inside")), "{doubled}");
    // 2^(1/3) of a distribution of mean 3/2 and deviation √3/2 at 8 ms.
    let median = result["paths"][0]["intended_median_ms"].as_f64().unwrap();
    assert!((median - (40.0 + (2f64.cbrt() - 1.5) / (3f64.sqrt() / 2.0) * 8.0)).abs() < 0.05, "{median}");
    assert_eq!(result["paths"][1].get("intended_median_ms"), None);
}

#[test]
fn impairments_are_told_and_measured_against_what_is_applied() {
    let user = User::all().pop().unwrap();
    user.write("net.csv", MATRIX);
    user.write("net.yaml", FILE);
    user.write("loss.csv", "-,2%\n-,-\n");
    let up = user.succeed(&["lab", "up", "net.yaml", "--name", "impaired", "--detach"]);
    assert!(up.contains("beyond delay: jitter on 1 path, loss on 1, duplicates on 1"), "{up}");
    let measured = user.succeed(&[&["measure", "--name", "impaired"], MEASURE].concat());
    assert!(measured.contains("intended 30 %: inside"), "{measured}");
    let status: Value = serde_json::from_str(&user.succeed(&["status", "--name", "impaired", "--json"])).unwrap();
    let path = &status["nodes"]["a"]["paths"][0];
    assert_eq!(path["does"], "40ms jitter 8ms pareto loss 30%", "{path}");
    assert_eq!(path["impairment"]["loss"]["random"]["probability"], 300_000_000, "{path}");
    let table = user.succeed(&["status", "--name", "impaired"]);
    assert!(table.contains("jitter on 1 path, loss on 1") && table.contains("BEYOND DELAY"), "{table}");
    let applied = user.succeed(&["apply", "net.csv", "--name", "impaired", "--loss", "loss.csv"]);
    assert!(applied.contains("beyond delay: loss on 1 path"), "{applied}");
    let few = user.succeed(&["measure", "--name", "impaired", "--tolerance", "0%,45ms"]);
    assert!(few.contains("intended 2 %: not judged: n below 3,136"), "{few}");
    user.succeed(&["lab", "down", "impaired"]);
}
