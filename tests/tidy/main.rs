//! Holds the rules of the house by reading the sources, and shows on made-up sources that each rule bites.

mod rules;
mod source;

use std::path::Path;

use rules::Finding;
use source::Source;

/// A rule.
type Rule = fn(&Source) -> Vec<Finding>;

/// What is wrong with the sources below `folders`.
fn check(rule: Rule, folders: &[&str]) {
    let sources = source::read_all(Path::new(env!("CARGO_MANIFEST_DIR")), folders);
    assert!(sources.len() > 10, "only {} files were found", sources.len());
    let findings: Vec<Finding> = sources.iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Asserts that the rule finds exactly this in a made-up file.
fn finds(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    assert_eq!(rule(&Source::new(path, text)), expected, "in\n{text}");
}

const PRODUCT: [&str; 2] = ["src", "agents"];
const EVERYTHING: [&str; 4] = ["src", "agents", "benches", "tests"];

#[test]
fn every_file_says_what_lives_there() {
    check(rules::module_docs, &EVERYTHING);
    finds(rules::module_docs, "src/a.rs", "//! Tea.\nfn f() {}", &[]);
    finds(
        rules::module_docs,
        "src/a.rs",
        "/// Tea.\nfn f() {}",
        &["src/a.rs:1: the first line does not say what lives here (`//! …`)"],
    );
}

#[test]
fn files_are_short() {
    for source in source::read_all(Path::new(env!("CARGO_MANIFEST_DIR")), &PRODUCT) {
        let lines = source.lines_without_tests();
        if lines > rules::LINES.0 {
            println!("{}: {lines} lines without tests, more than the {} wished for", source.path, rules::LINES.0);
        }
    }
    check(rules::file_length, &PRODUCT);
    let long = "const A: u8 = 1;\n".repeat(501);
    finds(rules::file_length, "src/a.rs", &long, &["src/a.rs:1: 501 lines without tests, more than 500; split it"]);
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}");
    finds(rules::file_length, "src/a.rs", &tested, &[]);
}

#[test]
fn functions_are_short() {
    check(rules::function_length, &PRODUCT);
    let body = |lines: usize| format!("impl A {{\n    fn f(x: fn(u8)) {{\n{}    }}\n}}", "g();\n".repeat(lines));
    finds(rules::function_length, "src/a.rs", &body(58), &[]);
    finds(rules::function_length, "src/a.rs", &body(59), &["src/a.rs:2: function `f` has 61 lines, more than 60"]);
    finds(rules::function_length, "src/a.rs", &format!("trait T {{ fn g(); }}\n{}", body(58)), &[]);
}

#[test]
fn rooms_import_only_what_lies_below() {
    check(rules::imports, &PRODUCT);
    let above = "use crate::{units::Delay, tc::{kernel::KernelTc, self}};\nuse super::topology::Node;";
    let expected = [
        "src/units.rs:1: `units` imports crate::tc::kernel::KernelTc",
        "src/units.rs:1: `units` imports crate::tc::self",
    ];
    let topology = "src/units.rs:2: `units` imports crate::topology::Node";
    finds(rules::imports, "src/units.rs", above, &[expected[0], expected[1], topology]);
    let inline = "fn f() { crate::testbed::lab::find_running(None); }";
    let adapters = ["src/tc/kernel/mod.rs:1: `tc` imports crate::testbed::lab::find_running"];
    finds(rules::imports, "src/tc/kernel/mod.rs", inline, &adapters);
    finds(
        rules::imports,
        "src/testbed/mod.rs",
        "use crate::tc;",
        &["src/testbed/mod.rs:1: `testbed` imports crate::tc"],
    );
    finds(rules::imports, "src/cli/mod.rs", inline, &[]);
    finds(rules::imports, "src/attic/mod.rs", "", &["src/attic/mod.rs:1: room `attic` has no rule of imports yet"]);
}

#[test]
fn pure_rooms_do_not_act() {
    check(rules::purity, &PRODUCT);
    let text = "use std::{fs::File, io};\nuse nix::unistd;\nfn f() { Instant::now(); rand::rng(); }";
    let used = ["1: a pure room uses std::fs::File", "2: a pure room uses nix::unistd"];
    let called = ["3: a pure room uses Instant::now", "3: a pure room uses rand::rng"];
    let expected = |path: &str| [used, called].concat().iter().map(|what| format!("{path}:{what}")).collect::<Vec<_>>();
    for path in ["src/shaping/row.rs", "src/measure/compare.rs", "src/units.rs"] {
        finds(rules::purity, path, text, &expected(path).iter().map(String::as_str).collect::<Vec<_>>());
    }
    finds(rules::purity, "src/measure/icmp.rs", text, &[]);
    finds(rules::purity, "src/matrix/read.rs", "use std::fs::File;", &[]);
}

#[test]
fn only_the_command_line_builds_adapters() {
    check(rules::construction, &PRODUCT);
    let text = "fn f() { KernelTc::open(\"eth0\"); Lab { name }; }";
    let expected = ["src/agent/a.rs:1: builds KernelTc of `tc`", "src/agent/a.rs:1: builds Lab of `testbed`"];
    finds(rules::construction, "src/agent/a.rs", text, &expected);
    finds(rules::construction, "src/testbed/lab/mod.rs", text, &["src/testbed/lab/mod.rs:1: builds KernelTc of `tc`"]);
    finds(rules::construction, "src/cli/lab.rs", text, &[]);
}

#[test]
fn nothing_is_left_for_later() {
    check(rules::unfinished, &EVERYTHING);
    let later =
        concat!("// TO", "DO: more\nfn f() { todo!(); unimplemented!(\"{}\", 1) }\n#[ignore = \"slow\"]\nfn g() {}");
    let expected = [
        concat!("src/a.rs:1: TO", "DO"),
        "src/a.rs:3: a test is switched off",
        "src/a.rs:2: todo!",
        "src/a.rs:2: unimplemented!",
    ];
    finds(rules::unfinished, "src/a.rs", later, &expected);
}

#[test]
fn names_say_something() {
    check(rules::names, &EVERYTHING);
    finds(rules::names, "src/tc/utils.rs", "", &["src/tc/utils.rs:1: `utils` says nothing"]);
    finds(rules::names, "src/common/mod.rs", "", &["src/common/mod.rs:1: `common` says nothing"]);
}

#[test]
fn unsafe_blocks_are_explained() {
    check(rules::safety, &EVERYTHING);
    let explained = "fn f() {\n    // SAFETY: it is\n    // sound.\n    let x =\n        unsafe { g() };\n}\n";
    finds(rules::safety, "src/a.rs", explained, &[]);
    let expected = ["src/a.rs:3: unsafe without a `// SAFETY:` line above it"];
    finds(rules::safety, "src/a.rs", "fn f() {\n    // It is sound.\n    unsafe { g() };\n}", &expected);
    finds(rules::safety, "src/a.rs", "// SAFETY: f.\nfn f() {\n    unsafe { g() };\n}", &expected);
}
