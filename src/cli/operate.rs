//! `longhaul apply`, `measure`, `status` and `clear` on a running lab.

use crate::agent::protocol::Applied;
use crate::matrix::DelayMatrix;
use crate::shaping::BackendChoice;
use crate::testbed::{self, Testbed};

/// Applies a matrix and says in words which back-ends are at work and why.
pub(super) fn apply(testbed: &mut dyn Testbed, matrix: &DelayMatrix, backend: BackendChoice) -> anyhow::Result<String> {
    let applied = testbed::apply(testbed, matrix, backend)?;
    Ok(backends(&applied))
}

/// "userspace (netem does not work here: …)", or both when the nodes differ.
pub(super) fn backends(applied: &[Applied]) -> String {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for one in applied {
        let text = format!("{} ({})", one.backend, one.reason);
        match seen.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => seen.push((text, 1)),
        }
    }
    match seen.as_slice() {
        [] => "nothing applied".to_owned(),
        [(only, _)] => format!("back-end {only}"),
        several => {
            let parts: Vec<String> = several.iter().map(|(text, count)| format!("{text} on {count} nodes")).collect();
            format!("back-ends {}", parts.join("; "))
        }
    }
}
