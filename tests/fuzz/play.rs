//! Plays a target's kept corpus, then seeded mutations of it; what fails is kept and named with the way to see it again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use crate::mutation::Mutator;
use crate::{Target, bounds};

/// Where the mutations start unless `LONGHAUL_FUZZ_SEED` says otherwise.
const SEED: u64 = 0x1009_4a01;

pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The names of the corpus's folders.
pub(crate) fn folders() -> Vec<String> {
    sorted(&corpus()).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

pub(crate) fn corpus_bytes() -> u64 {
    sorted(&corpus()).iter().flat_map(|folder| sorted(folder)).map(|path| path.metadata().unwrap().len()).sum()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// The corpus, or the one input that `LONGHAUL_FUZZ_INPUT` names; then mutations, `LONGHAUL_FUZZ_TRIES` of them.
pub(crate) fn play(target: &Target) {
    if let Some(path) = std::env::var_os("LONGHAUL_FUZZ_INPUT") {
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        bounds::within(input.len(), || (target.run)(&input));
        return;
    }
    let paths = sorted(&corpus().join(target.name));
    assert!(!paths.is_empty(), "{} has no corpus", target.name);
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, input) in paths.iter().zip(&seeds) {
        attempt(target, input, &path.display().to_string());
    }
    let seed = number("LONGHAUL_FUZZ_SEED").unwrap_or(SEED);
    let tries = number("LONGHAUL_FUZZ_TRIES").unwrap_or(u64::from(target.tries));
    println!("{}: {} kept inputs, {tries} mutations from seed {seed}", target.name, seeds.len());
    let mut mutator = Mutator::new(seed, target, &seeds);
    for number in 1..=tries {
        attempt(target, &mutator.next(), &format!("mutation {number} of seed {seed}"));
    }
}

fn attempt(target: &Target, input: &[u8], what: &str) {
    let run = AssertUnwindSafe(|| bounds::within(input.len(), || (target.run)(input)));
    let Err(cause) = catch_unwind(run) else { return };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    fs::write(&path, input).unwrap();
    eprintln!(
        "{}: {what} fails: {:?}\nagain: LONGHAUL_FUZZ_INPUT={} cargo test --test fuzz {}",
        target.name,
        String::from_utf8_lossy(input),
        path.display(),
        target.name
    );
    resume_unwind(cause);
}
