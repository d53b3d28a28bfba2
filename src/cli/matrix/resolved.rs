//! What every path of an impairment file does, as text.

use std::fmt::Write;

use crate::intended::Intended;
use crate::shaping::PathIntent;

/// One line a path: `a → b  10ms loss 1%`, and one for each service that has a say of its own.
pub(super) fn paths(intended: &Intended) -> String {
    let names = intended.matrix().names();
    let width = names.iter().map(|name| name.as_str().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (from, to) in intended.matrix().paths() {
        let PathIntent { all, services, except } = intended.intent(from, to);
        let ends = format!("{:width$} → {:width$}", names[from].as_str(), names[to].as_str());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{ends}  {all}");
        for (service, impairment) in services {
            let _ = writeln!(text, "{ends}  {service}: {impairment}");
        }
        for service in except {
            let _ = writeln!(text, "{ends}  {service}: left alone");
        }
    }
    text
}
