//! Rows to files and back.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::matrix::{MAX_DELAY, ReadError, ReadOptions};

fn addresses() -> AddressList {
    AddressList::parse("a.csv", b"a,10.0.0.1\nb,10.0.0.2\nb,fd00::2\nc,192.168.7.3\n").unwrap()
}

fn read(texts: [&str; 3], options: ReadOptions) -> Result<DelayMatrix, ReadError> {
    let files: Vec<_> = ["a", "b", "c"]
        .iter()
        .zip(texts)
        .map(|(name, text)| (name.parse().unwrap(), format!("{name}.json"), text.as_bytes().to_vec()))
        .collect();
    parse_tcconfig(&files, &addresses(), options)
}

fn refused(rule: &str) -> String {
    let text = format!("{{\n  \"eth0\": {{\n    \"outgoing\": {{\n      {rule}\n    }}\n  }}\n}}");
    read([&text, "{}", "{}"], ReadOptions::default()).unwrap_err().to_string()
}

const SHOWN: &str = r#"{
    "eth0": {
        "outgoing": {
            "dst-network=10.0.0.2/32, protocol=ip": {
                "filter_id": "800::800",
                "delay": "10.0ms",
                "rate": "250Kbps"
            },
            "dst_network=192.168.0.0/16, protocol=ip": { "delay": "1.000001ms", "rate": "32Gbps" },
            "dst-network=192.168.7.0/24, protocol=ip": { "delay": "2500usec" },
            "dst-network=10.9.9.9/32, dst-port=80, protocol=ip": { "delay": "7ms" },
            "network=0.0.0.0/0": {}
        },
        "incoming": {
            "protocol=ip": { "filter_id": "800::800", "delay": "1.0ms" }
        }
    }
}"#;

#[test]
fn the_longest_prefix_counts_and_the_rest_is_dropped_by_name() {
    let options = ReadOptions { ignore_unsupported: true, ..ReadOptions::default() };
    let matrix = read([SHOWN, "{}", r#"{"eth1": {"outgoing": {"protocol=ip": {"delay": 5}}}}"#], options).unwrap();
    let ms: Vec<f64> = matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect();
    assert_eq!(ms, [0.0, 10.0, 2.5, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0]);
    let dropped = ["rate (1)", "rules for incoming packets (1)", "rules with dst-port (1)"];
    assert_eq!(matrix.metadata.comments, dropped.map(|what| format!("dropped from a: {what}")));
}

#[test]
fn what_a_matrix_cannot_hold_is_refused_where_it_stands() {
    let message = read([SHOWN, "{}", "{}"], ReadOptions::default()).unwrap_err().to_string();
    assert_eq!(
        message,
        "a.json:4: rule `dst-network=10.0.0.2/32, protocol=ip` has `rate`, and a delay matrix holds delays only; \
         remove it, or drop it with `--ignore-unsupported`"
    );
    for (rule, message) in [
        (
            r#""dst-network=10.0.0.300/32": {"delay": "1ms"}"#,
            "`10.0.0.300/32` in rule `dst-network=10.0.0.300/32` is not a network; write one such as 10.0.0.2/32 or fd00::2/128",
        ),
        (
            r#""dst-port=80": {"delay": "1ms"}"#,
            "rule `dst-port=80` selects by `dst-port`, and a matrix knows destinations only; remove the rule, or drop it with `--ignore-unsupported`",
        ),
        (
            r#""protocol=ip": {"delay": "fast"}"#,
            "`fast` is not a one-way delay; write a number of milliseconds such as 1.5, or a number and a unit such as 20ms",
        ),
        (
            r#""protocol=ip": {"delay": true}"#,
            "the delay of rule `protocol=ip` is neither a text nor a number; write one such as \"10ms\"",
        ),
        (
            r#""protocol=ip": {"delay": 1}, "network=0.0.0.0/0": {"delay": 2}"#,
            "0.0.0.0/0 has two rules, with 1ms and 2ms; keep one of the two",
        ),
    ] {
        assert_eq!(refused(rule), format!("a.json:4: {message}"));
    }
    assert_eq!(
        refused(r#""protocol=ip": {"delay": 1}, "protocol=ipv6": {"delay": 2}"#),
        "a.json: the addresses of `b` are at different distances, 1ms and 2ms; a matrix holds one delay for each node, \
         so make them equal or leave one out of the list of addresses"
    );
    assert_eq!(
        read(["[]", "{}", "{}"], ReadOptions::default()).unwrap_err().to_string(),
        "a.json:1: is not JSON of tcconfig: invalid type: sequence, expected an object at line 1 column 0"
    );
}

#[test]
fn a_row_is_written_as_tcshow_prints_it() {
    let matrix = read([SHOWN, "{}", "{}"], ReadOptions { ignore_unsupported: true, ..ReadOptions::default() }).unwrap();
    insta::assert_snapshot!(to_tcconfig(&matrix, 0, &addresses(), "eth0").unwrap(), @r#"
    {
        "eth0": {
            "outgoing": {
                "dst_network=10.0.0.2/32, protocol=ip": {
                    "delay": "10ms"
                },
                "dst_network=fd00::2/128, protocol=ipv6": {
                    "delay": "10ms"
                },
                "dst_network=192.168.7.3/32, protocol=ip": {
                    "delay": "2.5ms"
                }
            },
            "incoming": {}
        }
    }
    "#);
    assert!(to_tcconfig(&matrix, 1, &addresses(), "eth0").unwrap().contains("\"outgoing\": {},"));
    let unknown = to_tcconfig(&matrix, 0, &AddressList::default(), "eth0").unwrap_err();
    assert_eq!(unknown.to_string(), "node `b` has no address; add a line `b,ADDRESS` to the list of addresses");
}

#[test]
fn rules_are_found_however_their_keys_are_written() {
    let rule = r#""a\"b\\": {}, "network=10.0.0.0/8": {"filter_id": "\"protocol=ip"},
"protocol=\u0069p": {"delay": "fast"}"#;
    assert!(refused(rule).starts_with("a.json:5: `fast` is not"), "{}", refused(rule));
}

#[test]
fn what_a_terminal_obeys_is_not_repeated() {
    assert_eq!(
        refused(r#""dst-network=\u001b/32": {"delay": "1ms"}"#),
        "a.json:4: `\\u{1b}/32` in rule `dst-network=\\u{1b}/32` is not a network; write one such as 10.0.0.2/32 or fd00::2/128"
    );
}

proptest! {
    #[test]
    fn rows_read_back_to_the_nanosecond(mut ns in prop::collection::vec(0u64..=MAX_DELAY.as_nanos(), 9)) {
        (0..3).for_each(|node| ns[node * 4] = 0);
        let names = ["a", "b", "c"].map(|name| name.parse().unwrap()).to_vec();
        let matrix = DelayMatrix::new(names, ns.into_iter().map(Delay::from_nanos).collect()).unwrap();
        let rows = [0, 1, 2].map(|from| to_tcconfig(&matrix, from, &addresses(), "eth0").unwrap());
        prop_assert_eq!(read([&rows[0], &rows[1], &rows[2]], ReadOptions::default()).unwrap(), matrix);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([{}\\[\\]\":, 0-9]|\"eth0\"|\"outgoing\"|\"delay\"|\\PC){0,40}") {
        let _ = read([&text, "{}", "{}"], ReadOptions::default());
    }

    #[test]
    fn any_rule_is_read_or_refused(filter in "(dst-network=|protocol=|[0-9./:,= ]|\\PC){0,12}", delay in "\\PC{0,8}") {
        let text = serde_json::json!({"e": {"outgoing": {filter: {"delay": delay}}}}).to_string();
        let _ = read([&text, "{}", "{}"], ReadOptions::default());
    }
}
