//! The file of instances: who can answer for which service, and where; pure.
//!
//! ```yaml
//! apiVersion: longhaul/v1
//! instances:
//!   - {name: i1, service: detect, address: 10.0.0.1:8000, probe: 10.0.0.1:9091}
//! ```

use std::net::SocketAddr;

use super::config::{Complaint, ConfigError, address, at, check_version, document, error, service_name};
use super::settings::InstancesDocument;

/// The most instances of a file.
const MOST: usize = 10_000;

/// An instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// The service that it is of.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub address: SocketAddr,
    /// Where the proxy of its node answers probes.
    pub probe: Option<SocketAddr>,
}

/// Reads the file, YAML or JSON; `file` is what errors call it. Sorted by service and name.
pub fn parse_instances(file: &str, text: &str) -> Result<Vec<Instance>, ConfigError> {
    let document: InstancesDocument = document(file, text)?;
    instances(&document).map_err(|complaint| error(file, complaint))
}

fn instances(document: &InstancesDocument) -> Result<Vec<Instance>, Complaint> {
    check_version(&document.api_version)?;
    let mut instances: Vec<Instance> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for fields in &document.instances {
        let instance = Instance {
            service: service_name(&fields.service)?,
            name: service_name(&fields.name)?,
            address: address(&fields.address)?,
            probe: fields.probe.as_ref().map(address).transpose()?,
        };
        if !names.insert((instance.service.clone(), instance.name.clone())) {
            let message = format!("instance `{}` of service `{}` is there already", instance.name, instance.service);
            return Err(at(&fields.name, message));
        }
        if instances.len() == MOST {
            return Err(at(&fields.name, format!("these are more than {MOST} instances")));
        }
        instances.push(instance);
    }
    instances.sort();
    Ok(instances)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn yaml_and_json_are_read() {
        let yaml = "apiVersion: longhaul/v1\ninstances:\n  - {name: b, service: s, address: '10.0.0.2:80'}\n  - {name: a, service: s, address: '[fd00::1]:80', probe: '10.0.0.1:9'}\n";
        let json = r#"{"apiVersion": "longhaul/v1", "instances": [
            {"name": "b", "service": "s", "address": "10.0.0.2:80"},
            {"name": "a", "service": "s", "address": "[fd00::1]:80", "probe": "10.0.0.1:9"}]}"#;
        let read = parse_instances("i", yaml).unwrap();
        assert_eq!(read.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(parse_instances("i", json).unwrap(), read);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |list: &str| {
            parse_instances("i.yaml", &format!("apiVersion: longhaul/v1\ninstances:\n{list}")).unwrap_err().to_string()
        };
        let one = "  - {name: a, service: s, address: '1.2.3.4:5'}\n";
        assert_eq!(said(&format!("{one}{one}")), "i.yaml:4:12: instance `a` of service `s` is there already");
        assert!(
            said("  - {name: a, service: s, address: nowhere}\n").starts_with("i.yaml:3:36: `nowhere` is no address")
        );
        assert!(said("  - {name: a, service: s}\n").contains("missing field `address`"));
    }
}
