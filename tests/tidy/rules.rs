//! The rules of the house, each a function from a source file to what is wrong in it.

use proc_macro2::{Delimiter, TokenTree};

use crate::source::Source;

/// The most lines of a file without its tests: wished for, and allowed.
pub(crate) const LINES: (usize, usize) = (400, 500);

/// The most lines of a function.
const FUNCTION_LINES: usize = 60;

/// What each room may import, from the ground up. A port sits with its domain; adapters do not know each other.
const ROOMS: [(&str, &[&str]); 26] = [
    ("wording", &[]),
    ("yaml", &[]),
    ("units", &["wording"]),
    ("topology", &["wording", "units"]),
    ("matrix", &["wording", "units", "topology"]),
    ("inventory", &["wording", "units", "topology"]),
    ("parameters", &["wording", "units"]),
    ("balance", &["wording", "units", "parameters"]),
    ("placement", &["wording", "yaml", "units", "topology", "matrix", "parameters"]),
    ("shaping", &["wording", "units", "topology", "matrix"]),
    ("sim", &["wording", "units", "topology", "matrix", "shaping"]),
    ("serving", &["wording", "units"]),
    ("workload", &["wording", "units", "balance", "sim", "serving"]),
    (
        "experiment",
        &[
            "wording",
            "yaml",
            "units",
            "topology",
            "matrix",
            "shaping",
            "intended",
            "parameters",
            "balance",
            "placement",
            "sim",
            "workload",
            "report",
        ],
    ),
    ("intended", &["wording", "yaml", "units", "topology", "matrix", "shaping"]),
    ("measure", &["wording", "units", "topology", "matrix", "shaping"]),
    ("timeline", &["wording", "units", "topology", "matrix", "shaping"]),
    ("report", &["wording", "units", "topology", "matrix", "shaping", "measure", "timeline"]),
    ("agent", &["wording", "units", "topology", "matrix", "shaping", "measure", "timeline"]),
    ("proxy", &["wording", "yaml", "units", "parameters", "balance", "sim", "serving"]),
    ("netlink", &[]),
    ("tc", &["wording", "units", "topology", "matrix", "shaping", "netlink"]),
    (
        "testbed",
        &["wording", "units", "topology", "matrix", "shaping", "measure", "timeline", "agent", "netlink", "inventory"],
    ),
    (
        "cli",
        &[
            "wording",
            "yaml",
            "units",
            "topology",
            "matrix",
            "inventory",
            "shaping",
            "parameters",
            "balance",
            "placement",
            "sim",
            "workload",
            "experiment",
            "intended",
            "measure",
            "timeline",
            "report",
            "agent",
            "netlink",
            "tc",
            "testbed",
            "serving",
            "proxy",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Rooms and files that decide without acting.
const PURE: [&str; 45] = [
    "src/wording.rs",
    "src/yaml.rs",
    "src/units.rs",
    "src/topology/",
    "src/matrix/",
    "src/inventory/",
    "src/parameters/",
    "src/balance/",
    "src/placement/",
    "src/sim/",
    "src/workload/arrivals.rs",
    "src/workload/service_time.rs",
    "src/experiment/plan/",
    "src/experiment/balancing/",
    "src/experiment/placement/",
    "src/experiment/outcome.rs",
    "src/experiment/time_scale.rs",
    "src/experiment/subject.rs",
    "src/experiment/run/description.rs",
    "src/experiment/report/verdict.rs",
    "src/shaping/",
    "src/timeline/",
    "src/intended/",
    "src/report/",
    "src/measure/schedule.rs",
    "src/measure/beyond.rs",
    "src/measure/clock.rs",
    "src/measure/collect.rs",
    "src/measure/compare.rs",
    "src/measure/missing.rs",
    "src/measure/sample.rs",
    "src/measure/rank.rs",
    "src/agent/lease.rs",
    "src/proxy/config.rs",
    "src/proxy/headers.rs",
    "src/proxy/instances.rs",
    "src/proxy/settings.rs",
    "src/serving/framing.rs",
    "src/workload/load/figures.rs",
    "src/workload/load/record.rs",
    "src/workload/load/schedule.rs",
    "src/workload/load/windows.rs",
    "src/workload/service/station.rs",
    "src/agent/pulse.rs",
    "src/testbed/lab/turns.rs",
];

/// The one pure room's file that reads files.
const READS_FILES: &str = "src/matrix/read.rs";

/// What acts on the world, or asks it.
const IMPURE: [&str; 20] = [
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "nix",
    "libc",
    "tokio",
    "SystemTime::now",
    "Instant::now",
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "rand::rng",
    "rand::random",
];

/// Adapters, and the room that they live in; beside it only the command line and the daemons build them.
const ADAPTERS: [(&str, &str); 4] =
    [("KernelTc", "tc"), ("IcmpProber", "measure"), ("Lab", "testbed"), ("Hosts", "testbed")];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "misc", "types", "stuff"];

/// Something wrong, and where.
pub(crate) type Finding = String;

fn finding(source: &Source, line: usize, what: &str) -> Finding {
    format!("{}:{line}: {what}", source.path)
}

/// Every file begins by saying what lives there.
pub(crate) fn module_docs(source: &Source) -> Vec<Finding> {
    let documented = source.text.lines().next().is_some_and(|line| line.starts_with("//! "));
    if documented {
        vec![]
    } else {
        vec![finding(source, 1, "the first line does not say what lives here (`//! …`)")]
    }
}

/// No file is longer than can be read at a stretch.
pub(crate) fn file_length(source: &Source) -> Vec<Finding> {
    match source.lines_without_tests() {
        lines if lines > LINES.1 => {
            vec![finding(source, 1, &format!("{lines} lines without tests, more than {}; split it", LINES.1))]
        }
        _ => vec![],
    }
}

/// No function is longer than a screen.
pub(crate) fn function_length(source: &Source) -> Vec<Finding> {
    let mut findings = vec![];
    each_list(&source.tokens, &mut |trees| {
        for (place, pair) in trees.windows(2).enumerate() {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair else { continue };
            let body = trees[place..].iter().find_map(|tree| match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
                TokenTree::Punct(sign) if sign.as_char() == ';' => Some(None),
                _ => None,
            });
            let (true, Some(Some(body))) = (keyword == "fn", body) else { continue };
            let first = keyword.span().start().line;
            let lines = body.span_close().end().line - first + 1;
            if lines > FUNCTION_LINES {
                let what = format!("function `{name}` has {lines} lines, more than {FUNCTION_LINES}");
                findings.push(finding(source, first, &what));
            }
        }
    });
    findings
}

/// Rooms import only what lies below them.
pub(crate) fn imports(source: &Source) -> Vec<Finding> {
    let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room()) else {
        let lost = source.path.starts_with("src/");
        let what = format!("room `{}` has no rule of imports yet", source.room());
        return if lost { vec![finding(source, 1, &what)] } else { vec![] };
    };
    let above = source.mentions().into_iter().filter(|mention| {
        let target = mention.parts[1].as_str();
        let is_room = ROOMS.iter().any(|(room, _)| *room == target);
        mention.parts[0] == "crate" && is_room && target != *room && !allowed.contains(&target)
    });
    above
        .map(|mention| finding(source, mention.line, &format!("`{room}` imports {}", mention.parts.join("::"))))
        .collect()
}

/// Pure rooms take time, randomness and files as arguments.
pub(crate) fn purity(source: &Source) -> Vec<Finding> {
    if !PURE.iter().any(|room| source.path.starts_with(room)) {
        return vec![];
    }
    let impure = source.mentions().into_iter().filter(|mention| {
        let path = mention.parts.join("::");
        let reads = source.path == READS_FILES && path.starts_with("std::fs");
        !reads && IMPURE.iter().any(|banned| path == *banned || path.starts_with(&format!("{banned}::")))
    });
    impure
        .map(|mention| finding(source, mention.line, &format!("a pure room uses {}", mention.parts.join("::"))))
        .collect()
}

/// Only the command line and the daemons build adapters.
pub(crate) fn construction(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/") || source.room() == "cli" {
        return vec![];
    }
    let mut findings = vec![];
    let words = source.words();
    for (adapter, home) in ADAPTERS.iter().filter(|(_, home)| *home != source.room()) {
        for pair in
            words.windows(2).filter(|pair| pair[0].text == *adapter && ["::", "{"].contains(&pair[1].text.as_str()))
        {
            findings.push(finding(source, pair[0].line, &format!("builds {adapter} of `{home}`")));
        }
    }
    findings
}

/// Nothing is left for later, no test is switched off.
pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    let mut findings = vec![];
    for (number, line) in source.text.lines().enumerate() {
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME")] {
            if line.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == mark) {
                findings.push(finding(source, number + 1, mark));
            }
        }
    }
    let stream = source.text.parse().expect("it was parsed before");
    each_list(&Vec::from_iter::<proc_macro2::TokenStream>(stream), &mut |trees| {
        for pair in trees.windows(2) {
            match pair {
                [TokenTree::Ident(name), TokenTree::Punct(sign)]
                    if sign.as_char() == '!' && (name == "todo" || name == "unimplemented") =>
                {
                    findings.push(finding(source, name.span().start().line, &format!("{name}!")));
                }
                [TokenTree::Punct(sign), TokenTree::Group(attribute)] if sign.as_char() == '#' => {
                    let first = attribute.stream().into_iter().next();
                    if first.is_some_and(|first| matches!(first, TokenTree::Ident(name) if name == "ignore")) {
                        findings.push(finding(source, sign.span().start().line, "a test is switched off"));
                    }
                }
                _ => {}
            }
        }
    });
    findings
}

/// A file's name says what is in it.
pub(crate) fn names(source: &Source) -> Vec<Finding> {
    let parts = source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    parts
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| finding(source, 1, &format!("`{part}` says nothing")))
        .collect()
}

/// Every unsafe block says why it is sound: on the line above, or above the statement that it is part of.
pub(crate) fn safety(source: &Source) -> Vec<Finding> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let words = source.words();
    let blocks =
        words.windows(2).filter(|pair| pair[0].text == "unsafe" && ["{", "impl"].contains(&pair[1].text.as_str()));
    let unexplained = blocks.map(|pair| pair[0].line).filter(|line| !is_explained(&lines, *line));
    unexplained.map(|line| finding(source, line, "unsafe without a `// SAFETY:` line above it")).collect()
}

/// Whether there is a `SAFETY` comment above the statement that has `unsafe` in its `line` (from 1).
fn is_explained(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev();
    let mut in_comment = false;
    for text in above {
        let comment = text.starts_with("//");
        if text.starts_with("// SAFETY:") {
            return true;
        }
        let statement_begins = !comment && (text.is_empty() || text.ends_with([';', '{', '}']));
        if statement_begins || (in_comment && !comment) {
            return false;
        }
        in_comment = comment;
    }
    false
}

/// Visits the trees of every level.
fn each_list(trees: &[TokenTree], visit: &mut dyn FnMut(&[TokenTree])) {
    visit(trees);
    for tree in trees {
        if let TokenTree::Group(group) = tree {
            each_list(&Vec::from_iter(group.stream()), visit);
        }
    }
}
