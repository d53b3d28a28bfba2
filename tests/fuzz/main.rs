//! Bytes from outside: each parser is given its kept corpus, seeded mutations of it and large nasty inputs, and what comes out
//! must hold. `docs/fuzzing.md` says how to search further.
#![allow(clippy::unwrap_used, missing_docs)]

mod bounds;
mod claims;
#[cfg(fuzzing)]
mod guided;
#[path = "../support/idle_node.rs"]
mod idle_node;
mod large;
mod mutation;
mod play;
mod targets;

/// A parser and what is claimed of it.
pub(crate) struct Target {
    /// Also the name of its folder in the corpus.
    name: &'static str,
    /// Panics when something does not hold.
    run: fn(&[u8]),
    /// Words of the format.
    words: &'static [&'static str],
    /// Mutations that `cargo test` tries.
    tries: u32,
}

macro_rules! targets {
    ($($name:ident: $run:path, $words:expr, $tries:expr;)*) => {
        pub(crate) const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $run, words: $words, tries: $tries }),*];

        $(#[test]
        fn $name() {
            play::play(crate::named(stringify!($name)));
        })*
    };
}

fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target is called {name}"))
}

use targets::{kernel, lists, matrix, serving, session, yaml};

targets! {
    matrix_csv: matrix::any, matrix::CSV, 500;
    matrix_json: matrix::any, matrix::JSON, 500;
    matrix_gml: matrix::any, matrix::GML, 500;
    matrix_graphml: matrix::any, matrix::GRAPHML, 500;
    tcconfig: lists::tcconfig, lists::TCCONFIG, 500;
    ping: lists::ping, lists::PING, 500;
    pairs: lists::pairs, lists::CSV, 500;
    cities: lists::cities, lists::CSV, 500;
    addresses: lists::addresses, lists::CSV, 500;
    selector: yaml::selector, yaml::SELECTOR, 2_000;
    impairments: yaml::impairments, yaml::IMPAIRMENTS, 500;
    inventory: yaml::inventory, yaml::INVENTORY, 500;
    schedule: yaml::schedule, yaml::SCHEDULE, 500;
    trace: lists::trace, lists::TRACE, 500;
    request: session::request, session::WORDS, 500;
    response: session::response, session::WORDS, 500;
    session: session::whole, session::WORDS, 150;
    lab_line: kernel::lab_line, kernel::LAB, 500;
    netem: kernel::netem, kernel::BYTES, 2_000;
    htb: kernel::htb, kernel::BYTES, 2_000;
    u32_objects: kernel::u32_objects, kernel::BYTES, 2_000;
    netlink: kernel::netlink, kernel::BYTES, 2_000;
    packet: kernel::packet, kernel::PROBE, 2_000;
    books: kernel::books, &[], 2_000;
    frame: kernel::frame, kernel::BYTES, 2_000;
    plan: serving::plan, serving::PLAN, 500;
    proxy_config: serving::proxy_config, serving::PROXY, 500;
    instances: serving::instances, serving::PROXY, 500;
    http: serving::http, serving::HTTP, 2_000;
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let folders = play::folders();
    assert!(folders.iter().all(|folder| TARGETS.iter().any(|target| target.name == folder)), "{folders:?}");
    let size = play::corpus_bytes();
    assert!(size <= 300_000, "the corpus has {size} bytes; keep what is small and finds something");
}
