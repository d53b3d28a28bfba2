//! `longhaul matrix …` as a user sees it: outputs, exit codes and files.

#![allow(clippy::unwrap_used)]

use clap::{CommandFactory, Parser};
use longhaul::cli::matrix::{MatrixArgs, run};
use serde_json::{Value, json};

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: MatrixArgs,
}

/// The exit code and what is printed; or the error.
fn matrix(line: &str) -> Result<(u8, String), String> {
    let args = Command::try_parse_from(std::iter::once("matrix").chain(line.split(' ')))
        .map_err(|error| error.to_string())?
        .args;
    let mut out = Vec::new();
    let code = run(args, &mut out).map_err(|error| format!("{error:#}"))?;
    let number = (0..=2).find(|number| code == std::process::ExitCode::from(*number)).unwrap();
    Ok((number, String::from_utf8(out).unwrap()))
}

fn printed(line: &str) -> String {
    let (code, text) = matrix(line).unwrap();
    assert_eq!(code, 0, "{line}");
    text
}

fn document(line: &str) -> Value {
    serde_json::from_str(&matrix(line).unwrap().1).unwrap()
}

/// A file in a fresh folder.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_line_is_sound_and_everything_has_help_with_examples() {
    Command::command().debug_assert();
    for line in ["", "check", "stats", "convert", "diff", "generate"] {
        let help = matrix(format!("{line} --help").trim_start()).unwrap_err();
        assert!(help.contains("Examples:\n  longhaul matrix "), "{line}: {help}");
    }
    for line in ["generate random", "generate regions", "generate cities", "generate pairs"] {
        let help = matrix(&format!("{line} --help")).unwrap_err();
        assert!(help.contains(&format!("Example:\n  longhaul matrix {line}")), "{help}");
    }
}

#[test]
fn check_says_what_a_file_holds() {
    assert_eq!(printed("check matrices/trade.csv"), "ok: 9 nodes, 72 paths, 3–40 ms one-way, asymmetric\n");
    assert_eq!(
        printed("check matrices/europe-30.csv"),
        "ok: 30 nodes, 870 paths, 2.525–35.295 ms one-way, symmetric\n"
    );
    let expected = json!({"nodes": 9, "paths": 72, "min_ms": 3.0, "max_ms": 40.0, "symmetric": false});
    assert_eq!(document("check matrices/trade.csv --json"), expected);
}

#[test]
fn stats_describe_a_matrix() {
    assert_eq!(
        printed("stats matrices/trade.csv"),
        "\
nodes      9
paths      72 (0 without delay)
one-way    min 3ms  p50 11ms  mean 13.486ms  p90 25ms  p99 40ms  max 40ms
asymmetry  up to 28ms, between n2 and n7
triangles  33 paths (45.8 %) are longer than a way over a third node, at most by 30ms: n2 → n7 over n3
"
    );
    assert_eq!(
        printed("stats matrices/gcp-dreams.csv"),
        "\
nodes      3
paths      6 (0 without delay)
one-way    min 40ms  p50 75ms  mean 80ms  p90 125ms  p99 125ms  max 125ms
asymmetry  none, every path is as long as its way back
triangles  2 paths (33.3 %) are longer than a way over a third node, at most by 10ms: us-east4 → asia-southeast1 over europe-west3
"
    );
    let stats = document("stats matrices/trade.csv --json");
    assert_eq!(stats["one_way_ms"]["p90"], json!(25.0));
    assert_eq!(stats["asymmetry"], json!({"from": "n2", "to": "n7", "difference_ms": 28.0}));
    assert_eq!(stats["triangle_violations"]["worst"]["via"], json!("n3"));
    assert_eq!(document("stats matrices/europe-30.csv --json")["asymmetry"], Value::Null);
}

#[test]
fn round_trips_are_read_only_when_told_how() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "rtt.csv", "# kind: rtt\n0,10\n10,0\n");
    let message = matrix(&format!("check {path}")).unwrap_err();
    assert!(message.starts_with(&format!("{path}:1: holds round-trip times")), "{message}");
    assert!(message.contains("--split-rtt halves"), "{message}");
    assert_eq!(printed(&format!("check {path} --split-rtt halves")), "ok: 2 nodes, 2 paths, 5 ms one-way, symmetric\n");
    assert!(matrix(&format!("check {path} --split-rtt thirds")).unwrap_err().contains("invalid value 'thirds'"));
}

#[test]
fn convert_changes_the_form_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.csv", "# source: me\n# a comment\n,a,b\na,0,1.5\nb,250us,0\n");
    assert_eq!(
        printed(&format!("convert {path} --unit us --delimiter semicolon")),
        "# source: me\n# a comment\n# unit: us\n# kind: one-way\n;a;b\na;0;1500\nb;250;0\n"
    );
    assert_eq!(
        printed(&format!("convert {path} --no-names --delimiter tab")),
        "# source: me\n# a comment\n# unit: ms\n# kind: one-way\n0\t1.5\n0.25\t0\n"
    );
    let expected = json!({
        "names": ["a", "b"], "unit": "ns", "source": "me", "comments": ["a comment"],
        "delays_ns": [[0, 1_500_000], [250_000, 0]],
    });
    assert_eq!(document(&format!("convert {path} --to json")), expected);
}

#[test]
fn the_name_of_the_output_decides_its_format_and_both_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(printed(&format!("convert matrices/trade.csv -o {}", path("t.json"))), "");
    assert!(std::fs::read_to_string(path("t.json")).unwrap().starts_with('{'));
    printed(&format!("convert {} -o {}", path("t.json"), path("t.csv")));
    assert_eq!(std::fs::read(path("t.csv")).unwrap(), std::fs::read("matrices/trade.csv").unwrap());
    let message = matrix(&format!("convert matrices/trade.csv -o {}", path("no/such/folder.csv"))).unwrap_err();
    assert!(message.contains("folder.csv cannot be written: No such file or directory"), "{message}");
}

#[test]
fn a_graph_is_a_matrix_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let gml = folder.path().join("net.gml").to_str().unwrap().to_owned();
    printed(&format!("convert matrices/trade.csv --output {gml}"));
    assert_eq!(printed(&format!("convert {gml}")), std::fs::read_to_string("matrices/trade.csv").unwrap());
    let lossy = "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 latency 3 packet_loss 0.5 ] ]";
    let lossy = file(&folder, "lossy.gml", lossy);
    assert!(matrix(&format!("check {lossy}")).unwrap_err().contains("--ignore-unsupported"));
    assert!(matrix(&format!("convert {lossy} --ignore-unsupported")).unwrap_err().contains("--latency-unit"));
    let converted = printed(&format!("convert {lossy} --ignore-unsupported --latency-unit us"));
    assert_eq!(
        converted,
        "# dropped: packet_loss of edges: 1\n# unit: ms\n# kind: one-way\n,0,1\n0,0,0.003\n1,0.003,0\n"
    );
}

#[test]
fn rows_of_tcconfig_make_the_matrix_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (1..=9)
        .map(|number| {
            let row = printed(&format!("convert matrices/trade.csv --to tcconfig --node n{number}"));
            format!("n{number}={}", file(&folder, &format!("{number}.json"), &row))
        })
        .collect();
    let again = file(&folder, "again.csv", &printed(&format!("convert --from tcconfig {}", rows.join(" "))));
    let (code, text) = matrix(&format!("diff matrices/trade.csv {again} --tolerance 0ms")).unwrap();
    assert_eq!(code, 0, "{text}");
    let unnamed = matrix("convert matrices/trade.csv --to tcconfig").unwrap_err();
    assert_eq!(unnamed, "--to tcconfig: say whose row it is with --node NAME; a file holds what one host does");
    let stranger = matrix("convert matrices/trade.csv --to tcconfig --node n10").unwrap_err();
    assert_eq!(stranger, "--node: there is no node `n10` in the matrix");
    let nameless = matrix("convert --from tcconfig a.json").unwrap_err();
    assert_eq!(nameless, "`a.json` does not say whose file it is; write NAME=a.json");
}

#[test]
fn logs_of_ping_and_lists_of_pairs_are_converted() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = file(&folder, "hosts.csv", "a,192.0.2.1\nb,192.0.2.2\n");
    let log = file(&folder, "a.log", "192.0.2.1 : 0.01 0.02\n192.0.2.2 : 4.00 - 3.00\n");
    assert_eq!(
        printed(&format!("convert --from ping a={log} --addresses {hosts} --split-rtt halves")),
        "# median round trips of ping, half of each one way\n# lost from a to b: 1 of 3\n\
         # not measured from b to a: taken from the way back\n# unit: ms\n# kind: one-way\n,a,b\na,0,1.75\nb,1.75,0\n"
    );
    assert!(matrix(&format!("convert --from ping a,b={log}")).unwrap_err().contains("--split-rtt halves"));
    let pairs = file(&folder, "pairs.csv", "# kind: rtt\nfrom,to,there\nparis,tokyo,220.5 ms\n");
    assert!(
        printed(&format!("convert --from pairs {pairs} --split-rtt halves"))
            .ends_with("paris,0,110.25\ntokyo,110.25,0\n")
    );
    let two = matrix(&format!("convert {pairs} {pairs}")).unwrap_err();
    assert_eq!(two, "2 files and no --from; give one file, or say with --from what they are");
}

#[test]
fn diff_says_no_when_a_path_is_beyond_the_tolerance() {
    let same = "72 paths: difference max 0ms, mean 0ms, rmse 0ms\nno path differs by more than 0ms\n";
    assert_eq!(matrix("diff matrices/trade.csv matrices/trade.csv").unwrap(), (0, same.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let left = file(&folder, "left.csv", ",a,b\na,0,3\nb,4,0\n");
    let right = file(&folder, "right.csv", ",b,a\nb,0,3.5\na,5,0\n");
    assert_eq!(
        matrix(&format!("diff {left} {right} --tolerance 1ms")).unwrap(),
        (
            1,
            "2 paths: difference max 2ms, mean 1.25ms, rmse 1.458ms\n1 of them differ by more than 1ms:\n  \
             a → b: 3ms and 5ms, +2ms\n"
                .to_owned()
        )
    );
    assert_eq!(matrix(&format!("diff {left} {right} --tolerance 2ms")).unwrap().0, 0);
    assert_eq!(matrix(&format!("diff {left} {right} --json")).unwrap().0, 1);
    let summary = document(&format!("diff {left} {right} --json --tolerance 0.6ms"));
    assert_eq!((&summary["summary"]["beyond"], &summary["summary"]["max_ms"]), (&json!(1), &json!(2.0)));
    assert_eq!(
        summary["paths"][1],
        json!({"from": "b", "to": "a", "first_ms": 4.0, "second_ms": 3.5, "difference_ms": -0.5})
    );
}

#[test]
fn diff_lists_ten_paths_unless_asked_for_all() {
    let some = matrix("diff matrices/trade.csv matrices/trade-m2.csv").unwrap().1;
    assert_eq!(some.lines().count(), 13, "{some}");
    assert!(some.ends_with("more (--all lists them)\n"), "{some}");
    let all = matrix("diff matrices/trade.csv matrices/trade-m2.csv --all").unwrap().1;
    assert!(all.lines().count() > 60, "{all}");
}

#[test]
fn bad_input_is_an_error_not_an_answer() {
    for (line, message) in [
        ("check no/such.csv", "no/such.csv: there is no such file"),
        ("diff - -", "only one of the two matrices can come from standard input"),
        (
            "diff matrices/trade.csv matrices/gcp-dreams.csv",
            "the matrices have 9 and 3 nodes; only matrices of the same nodes can be compared",
        ),
        ("generate random --nodes 1", "1 nodes (parameter nodes) are not between 2 and 8192"),
        (
            "generate pairs matrices/pairs/aws-world.csv",
            "matrices/pairs/aws-world.csv:5: holds round-trip times, and a delay matrix holds one-way delays; \
             add `--split-rtt halves` to give each way half of them",
        ),
        (
            "generate cities matrices/trade.csv",
            "matrices/trade.csv:6: has 10 fields; a line is `name,latitude,longitude`",
        ),
        ("generate cities no/such.csv", "no/such.csv: there is no such file"),
    ] {
        assert_eq!(matrix(line).unwrap_err(), message, "{line}");
    }
    let message = matrix("generate random --base 5").unwrap_err();
    assert!(message.contains("`5` is not a delay; write a number and a unit, such as 20ms"), "{message}");
}

#[test]
fn the_seed_decides_what_is_generated() {
    let of = |seed: u64| printed(&format!("generate random --nodes 5 --seed {seed}"));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert!(
        of(1).starts_with("# source: longhaul matrix generate random --nodes 5 --base 5ms --addition 50ms --seed 1\n")
    );
    let noisy = printed("generate cities matrices/cities/europe-30.csv --noise 2ms --seed 4");
    assert!(noisy.contains(" --noise 2ms --seed 4\n"), "{noisy}");
    assert_ne!(noisy, printed("generate cities matrices/cities/europe-30.csv --noise 2ms --seed 5"));
}

/// The numbers of one seed, so that no change of a library or of the generator goes unseen.
#[test]
fn the_numbers_of_a_seed_never_change() {
    let numbers = printed("generate random --nodes 4 --seed 1");
    let data: Vec<&str> = numbers.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(data, [",n1,n2,n3,n4", "n1,0,7,24,45", "n2,10,0,16,14", "n3,14,5,0,18", "n4,28,13,7,0"]);
}
