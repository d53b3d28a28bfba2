//! Pure: from the inventory and what the hosts say of themselves to the nodes of the testbed.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::HostsError;
use crate::agent::protocol::{Place, Response};
use crate::inventory::{Host, Inventory};
use crate::topology::Node;

/// The place and the kernel's boot that an agent's first answer tells, if it is an agent of this version.
pub(super) fn place(hello: Value, version: &str) -> Result<(Place, String), String> {
    // Looked at first: the rest of another version's answer may be unlike ours.
    let theirs = hello.pointer("/hello/version").and_then(Value::as_str).map(str::to_owned);
    if let Some(theirs) = theirs.filter(|theirs| theirs != version) {
        let advice = "push the agent of this one with --push";
        return Err(format!("its agent is of longhaul {theirs}, this is longhaul {version}: {advice}"));
    }
    match serde_json::from_value(hello) {
        Ok(Response::Hello { place, boot, .. }) => Ok((place, boot)),
        Ok(Response::Failed { message }) => Err(message),
        Ok(other) => Err(format!("an unexpected answer: {other:?}")),
        Err(error) => Err(format!("its agent's answer cannot be read: {error}")),
    }
}

/// The nodes, in the inventory's order; `places` are those of the hosts that answered.
pub(super) fn of(inventory: &Inventory, places: &[Option<Place>]) -> Result<Vec<Node>, HostsError> {
    let mut nodes = Vec::new();
    for (host, place) in inventory.hosts.iter().zip(places) {
        let addresses = match place {
            Some(place) if host.addresses.is_empty() && place.addresses.is_empty() => {
                let interface = place.interface.clone();
                return Err(HostsError::NoAddress { node: host.name.clone(), interface });
            }
            Some(place) if host.addresses.is_empty() => &place.addresses,
            _ => &host.addresses,
        };
        nodes.push(node(host, addresses));
    }
    check_owners(&nodes, places)?;
    Ok(nodes)
}

/// The first address of each family is probed; to the others packets are delayed too.
fn node(host: &Host, addresses: &[IpAddr]) -> Node {
    let ipv4 = addresses.iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None });
    let ipv6 = addresses.iter().find_map(|address| if let IpAddr::V6(v6) = address { Some(*v6) } else { None });
    let probed = |address: &IpAddr| Some(*address) == ipv4.map(IpAddr::V4) || Some(*address) == ipv6.map(IpAddr::V6);
    let further = addresses.iter().filter(|address| !probed(address)).map(|address| IpNet::from(*address));
    let networks = further.chain(host.networks.iter().copied()).collect();
    Node { name: host.name.clone(), ipv4, ipv6, networks }
}

/// No host has an address that is another's: the delays would be those of other paths than the matrix says.
fn check_owners(nodes: &[Node], places: &[Option<Place>]) -> Result<(), HostsError> {
    for (of, node) in nodes.iter().enumerate() {
        for address in node.addresses() {
            let elsewhere = |(on, place): &(usize, &Option<Place>)| {
                *on != of && place.as_ref().is_some_and(|place| place.addresses.contains(&address))
            };
            if let Some((on, _)) = places.iter().enumerate().find(elsewhere) {
                let (of, on) = (node.name.clone(), nodes[on].name.clone());
                return Err(HostsError::Misplaced { address, of, on });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::inventory::parse;

    fn inventory() -> Inventory {
        let text = "\
apiVersion: longhaul/v1
testbed: t
hosts:
  - {name: a, interface: eth0, networks: [10.42.0.0/24]}
  - {name: b, addresses: [10.0.0.2, 10.0.0.3, \"fd00::2\"]}
  - {name: c, addresses: [10.0.0.4]}
";
        parse(
            "x",
            &text.replace("{name: b,", "{name: b, interface: eth0,").replace("{name: c,", "{name: c, interface: eth0,"),
        )
        .unwrap()
    }

    fn at(addresses: &[&str]) -> Place {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Place { interface: "eth0".to_owned(), addresses }
    }

    #[test]
    fn addresses_are_the_inventorys_or_the_interfaces() {
        let nodes = of(&inventory(), &[Some(at(&["10.0.0.1", "fd00::1"])), Some(at(&["192.168.0.2"])), None]).unwrap();
        let prefixes = |node: &Node| node.prefixes().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(prefixes(&nodes[0]), ["10.0.0.1/32", "fd00::1/128", "10.42.0.0/24"]);
        assert_eq!(prefixes(&nodes[1]), ["10.0.0.2/32", "fd00::2/128", "10.0.0.3/32"]);
        assert_eq!(prefixes(&nodes[2]), ["10.0.0.4/32"]);
        // A host that is down and has no addresses is a node all the same.
        assert!(of(&inventory(), &[None, None, None]).unwrap()[0].addresses().next().is_none());
    }

    #[test]
    fn an_address_on_another_host_is_refused() {
        let error = of(&inventory(), &[Some(at(&["10.0.0.2"])), None, None]).unwrap_err().to_string();
        assert!(
            error.contains("`10.0.0.2` is the address of host `b` by the inventory, but host `a` has it"),
            "{error}"
        );
        let error = of(&inventory(), &[Some(at(&[])), None, None]).unwrap_err().to_string();
        assert!(error.contains("interface eth0 of host `a` has no address"), "{error}");
    }

    #[test]
    fn another_version_is_told_with_both() {
        let hello = json!({"hello": {"version": "0.0.9 (old)", "strange": 1}});
        let expected =
            "its agent is of longhaul 0.0.9 (old), this is longhaul 0.1.0: push the agent of this one with --push";
        assert_eq!(place(hello, "0.1.0"), Err(expected.to_owned()));
        assert_eq!(place(json!({"failed": {"message": "no"}}), "0.1.0"), Err("no".to_owned()));
    }
}
