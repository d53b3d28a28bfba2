//! The plans that come with longhaul, and the one that its documents show.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use longhaul::experiment::plan::Plan;
use longhaul::matrix::{ReadError, read_bytes};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_plan_that_comes_along_can_be_run() {
    let folders =
        std::fs::read_dir(root().join("experiments")).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let mut count = 0;
    for folder in folders {
        let folder_name = folder.file_name().into_string().unwrap();
        let readme = std::fs::read_to_string(folder.path().join("README.md"));
        let readme = readme.unwrap_or_else(|_| panic!("{folder_name}: without a README"));
        let planned = folder.path().join("plan.yaml").exists();
        assert!(planned || readme.contains("\nlonghaul bench "), "{folder_name}: neither a plan nor a command");
        let files = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")) {
            let plan = Plan::load(&path, read_bytes).unwrap_or_else(|error| panic!("{error}"));
            let called = match path.file_stem().and_then(|stem| stem.to_str()).unwrap() {
                "plan" => folder_name.clone(),
                other => format!("{folder_name}-{other}"),
            };
            assert_eq!(plan.name, called, "a plan is called as its folder, and a further one with its file's name");
            assert!(
                !plan.claims.is_empty() || plan.points.len() > 1,
                "{}: says nothing that could be wrong",
                plan.name
            );
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn the_plan_of_the_documents_is_one() {
    let text = std::fs::read_to_string(root().join("docs/experiments.md")).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    let (plan, _) = rest.split_once("```").unwrap();
    let read = |path: &Path| -> Result<Vec<u8>, ReadError> {
        if path == Path::new("experiments/shown/plan.yaml") {
            return Ok(plan.as_bytes().to_vec());
        }
        // Named from a folder that there is not.
        read_bytes(&root().join(path.strip_prefix("experiments/shown/../../").unwrap()))
    };
    let plan = Plan::load(Path::new("experiments/shown/plan.yaml"), read).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.points.len(), plan.trials().count()), (5, 5 * 2 * 5 * 2));
}
