//! `longhaul bench` from end to end; what it measures is judged by nobody here, only that it is measured and shown.

use serde_json::Value;

use super::host::{Host, processes_of};
use super::user::{User, describe};

#[test]
fn a_quick_accuracy_has_its_rows_in_table_and_json() {
    for user in User::all() {
        let before = Host::look();
        let printed = user.succeed(&["bench", "lab", "--quick", "--only", "accuracy", "--json", "bench.json"]);
        assert_eq!(Host::look(), before, "as {}", user.name());
        assert!(printed.contains("userspace: one-way |error| p50") && printed.contains("≤ 100 µs"), "{printed}");
        let text = std::fs::read_to_string(user.folder().join("bench.json")).unwrap();
        let result: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&result["run"]["repeat"], &result["run"]["quick"]), (&Value::from(1), &Value::from(true)));
        let rows = result["rows"].as_array().unwrap();
        assert!(rows.len() == 6 || rows.len() == 12, "{text}");
        let (timers, errors): (Vec<&Value>, Vec<&Value>) =
            rows.iter().partition(|row| row["what"].as_str().unwrap().contains("timer"));
        assert_eq!(timers.len(), errors.len());
        errors.into_iter().for_each(check_row);
        assert!(timers.iter().all(|row| row["longhaul"].is_null() && row["plain"]["median"].is_number()), "{text}");
        assert!(processes_of(user.folder()).is_empty());
    }
}

fn check_row(row: &Value) {
    assert_eq!((&row["measurement"], &row["unit"]), (&"accuracy".into(), &"us".into()), "{row}");
    let number = |side: &str, name: &str| row[side][name].as_f64().unwrap_or_else(|| panic!("{side} {name}: {row}"));
    for side in ["longhaul", "plain"] {
        assert!(number(side, "min") > 0.0 && number(side, "max") < 1e7, "{row}");
        assert_eq!(row[side]["values"].as_array().unwrap().len(), 1, "{row}");
    }
    let difference = number("longhaul", "median") - number("plain", "median");
    assert!((row["compared"].as_f64().unwrap() - difference).abs() < 1e-6, "{row}");
    match row["target"]["value"].as_f64() {
        Some(target) => {
            let met = number("longhaul", "median") <= target;
            assert_eq!(row["verdict"], if met { "met" } else { "not_met" }, "{row}");
        }
        None => assert_eq!(row["verdict"], "no_target", "{row}"),
    }
}

#[test]
fn what_cannot_be_measured_ends_with_two_or_says_so() {
    let user = User::all().pop().unwrap();
    let text = user.fail(&["bench", "lab", "--only", "accuracy", "--json", "no/such/x.json"], 2);
    assert!(text.contains("--json no/such/x.json"), "{text}");
    let mut command = user.command(&["bench", "lab", "--quick", "--only", "tcp"]);
    let output = command.env("PATH", user.folder()).output().unwrap();
    let text = describe(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("not measured: iperf3 is not installed (Debian: iperf3)"), "{text}");
}

#[test]
fn a_quick_injection_has_its_rows_in_table_and_json() {
    let user = User::all().pop().unwrap();
    let before = Host::look();
    // Without tcconfig, which would take minutes.
    let mut command =
        user.command(&["bench", "inject", "--quick", "--only", "apply", "update", "--json", "bench.json"]);
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(Host::look(), before);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("BESIDE IT") && printed.contains("1000 destinations, 1000 delays"), "{printed}");
    let text = std::fs::read_to_string(user.folder().join("bench.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let rows = result["rows"].as_array().unwrap();
    let find = |what: &str| {
        let found: Vec<&Value> = rows.iter().filter(|row| row["what"].as_str().unwrap().starts_with(what)).collect();
        assert!(!found.is_empty(), "no row `{what}`: {text}");
        found
    };
    for row in find("  beside tc -batch of the same") {
        let [ours, theirs] = ["longhaul", "plain"].map(|side| row[side]["median"].as_f64().unwrap());
        assert!((row["compared"].as_f64().unwrap() - theirs / ours).abs() < 1e-6, "{row}");
        assert_eq!((&row["unit"], &row["relation"]), (&"ms".into(), &"speedup".into()), "{row}");
    }
    // Whatever the machine: what is there is not written again.
    assert!(find("  writes of that").iter().all(|row| row["longhaul"]["median"] == 0.0), "{text}");
    assert!(find("  beside tcconfig").iter().all(|row| row["verdict"] == "not_measured"), "{text}");
    assert!(find("one change of all delays")[0]["longhaul"]["median"].as_f64().unwrap() > 0.0, "{text}");
    assert!(find("lost of 15000 while 1000 delays change")[0]["longhaul"]["median"].is_number(), "{text}");
    assert!(processes_of(user.folder()).is_empty());
}

#[test]
fn a_tcset_that_is_not_there_is_told_beforehand() {
    let user = User::all().pop().unwrap();
    let text = user.fail(&["bench", "inject", "--tcconfig", "no/such"], 2);
    assert!(text.contains("--tcconfig no/such: no tcset there"), "{text}");
}
