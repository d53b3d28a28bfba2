//! The JSON of tcconfig, as `tcshow` prints and `tcset --import-setting` reads it: one file holds what one host does.

mod problem;
mod read;

pub use problem::TcconfigProblem;
pub use read::parse_tcconfig;

use std::net::IpAddr;

use super::addresses::AddressList;
use super::delay_matrix::DelayMatrix;
use super::unit::DelayUnit;
use crate::topology::{NodeIndex, NodeName};
use crate::units::Delay;

/// The row of node `from` as a file for the interface `device`: a rule for each address of each node at a distance.
/// Written as release 0.30 spells it: it reads `dst_network` alone. Refuses a node at a distance that has no address.
pub fn to_tcconfig(
    matrix: &DelayMatrix,
    from: NodeIndex,
    addresses: &AddressList,
    device: &str,
) -> Result<String, TcconfigProblem> {
    let mut rules = Vec::new();
    for to in (0..matrix.len()).filter(|to| matrix.delay(from, *to) != Delay::ZERO) {
        let name: &NodeName = &matrix.names()[to];
        let before = rules.len();
        let delay = format!("{}ms", DelayUnit::Ms.format(matrix.delay(from, to).as_nanos()));
        rules.extend(addresses.of(name).map(|address| rule(address, &delay)));
        if rules.len() == before {
            return Err(TcconfigProblem::NoAddress(name.clone()));
        }
    }
    let device = serde_json::json!(device);
    let rules = if rules.is_empty() { "{}".to_owned() } else { format!("{{\n{}\n        }}", rules.join(",\n")) };
    Ok(format!("{{\n    {device}: {{\n        \"outgoing\": {rules},\n        \"incoming\": {{}}\n    }}\n}}\n"))
}

fn rule(address: IpAddr, delay: &str) -> String {
    let (length, protocol) = if address.is_ipv4() { (32, "ip") } else { (128, "ipv6") };
    format!(
        "            \"dst_network={address}/{length}, protocol={protocol}\": {{\n                \"delay\": \"{delay}\"\n            }}"
    )
}

/// Whether a JSON text has the keys of tcconfig and not those of a matrix.
pub(super) fn is_tcconfig(text: &str) -> bool {
    !text.contains("\"delays_ns\"") && (text.contains("\"outgoing\"") || text.contains("\"incoming\""))
}

#[cfg(test)]
mod tests;
