//! Watching a lab in a pipe and on a terminal: lines, JSON, exit codes, and a lab that ends meanwhile.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use super::host::time_is_virtual;
use super::user::User;

const MATRIX: &str = "0,100,200\n50,0,150\n250,0,0\n";

/// Wide enough for a busy machine.
const WIDE: [&str; 2] = ["--tolerance", "0%,45ms"];

#[test]
fn rounds_are_lines_in_a_pipe() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let printed = user.succeed(&["watch", "--rounds", "2", "--interval", "100ms", WIDE[0], WIDE[1]]);
        let rounds: Vec<&str> = printed.lines().filter(|line| line.contains(" paths, |error| p50 ")).collect();
        assert_eq!(rounds.len(), 2, "{printed}");
        for (place, line) in rounds.iter().enumerate() {
            assert!(line.contains(&format!("Z round {}: 6 paths, ", place + 1)), "{line}");
            assert!(line.contains(" of 18 lost, none outside"), "{line}");
        }
        let json = user.succeed(&["watch", "--rounds", "1", "--json", "--probes", "2", WIDE[0], WIDE[1]]);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["lab"], &value["paths"], &value["sent"]), (&"net".into(), &6.into(), &12.into()));
        assert_eq!(value["verdict"], "pass", "{json}");
        user.succeed(&["lab", "down"]);
    }
}

/// What is judged is what the impairments make of the delay: here a path that loses everything, one whose jitter strays further
/// than the tolerance, one that loses most of its few probes now and then, and one whose rate adds to every packet.
#[test]
fn impairments_are_no_errors() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let rules = "{from: n1, to: n2, loss: 100%}, {from: n1, to: n3, jitter: 190ms, distribution: normal}, \
                     {from: n2, to: n1, loss: 40%}, {from: n2, to: n3, rate: 200kbit}";
        user.write("net.yaml", &format!("apiVersion: longhaul/v1\nmatrix: net.csv\nseed: 3\npaths: [{rules}]\n"));
        user.succeed(&["lab", "up", "net.yaml", "--detach"]);
        let printed = user.succeed(&["watch", "--rounds", "3", "--interval", "1s", WIDE[0], WIDE[1]]);
        assert_eq!(printed.matches(" lost, none outside").count(), 3, "{printed}");
        user.succeed(&["lab", "down"]);
    }
}

#[test]
fn a_path_outside_the_tolerance_is_named_and_decides_the_exit_code() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        // Nothing is that exact.
        let output = user.run(&["watch", "--rounds", "1", "--tolerance", "1ns"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(" outside, worst n"), "{printed}");
        // On virtual time half of the paths are, none of them by more than some hundred nanoseconds.
        let known = ["n1→n2 applied 100", "n2→n1 applied 50", "n2→n3 applied 150", "n3→n1 applied 250"];
        let is_known = |path: &&str| printed.contains(&format!("outside: {path} ms, measured "));
        let told = printed.contains("outside: n1→n3 applied 200 ms, measured 2");
        assert!(told || (time_is_virtual() && known.iter().any(is_known)), "{printed}");
        user.succeed(&["lab", "down"]);
        let none = user.fail(&["watch"], 2);
        assert!(none.contains("no lab is running"), "{none}");
    }
}

#[test]
fn a_lab_that_ends_ends_the_watching() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        // In the first run the lab ends between two rounds, in the second probably during one.
        for interval in ["3600s", "100ms"] {
            let mut watching = user
                .command(&["watch", "--interval", interval, WIDE[0], WIDE[1]])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut first = String::new();
            let mut printed = BufReader::new(watching.stdout.take().unwrap());
            printed.read_line(&mut first).unwrap();
            assert!(first.contains("round 1: 6 paths"), "{first}");
            user.succeed(&["lab", "down"]);
            std::io::copy(&mut printed, &mut std::io::sink()).unwrap();
            let mut said = String::new();
            watching.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(watching.wait().unwrap().code(), Some(2), "as {}: {said}", user.name());
            assert!(said.starts_with("error: lab `net` has ended meanwhile: "), "{said}");
            user.succeed(&["lab", "up", "net.csv", "--detach"]);
        }
        user.succeed(&["lab", "down"]);
    }
}
