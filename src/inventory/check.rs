//! From the file's text to an [`Inventory`] that cannot be wrong; every complaint says where and what to change.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_saphyr::{Location, Spanned};

use super::document::{Defaults, Document, HostEntry};
use super::{Host, Interface, Inventory, InventoryError, MAX_HOSTS, SshTarget};
use crate::topology::NodeName;

/// The language of the files.
const API_VERSION: &str = "longhaul/v1";

/// The longest name of an interface, in bytes.
const MAX_INTERFACE: usize = 15;

/// Where, and what is wrong.
type Complaint = (Location, String);

/// Reads an inventory; `file` is what errors call it.
pub fn parse(file: &str, text: &str) -> Result<Inventory, InventoryError> {
    let error = |at: Location, message: String| InventoryError {
        file: file.to_owned(),
        line: at.line().max(1),
        column: at.column().max(1),
        message,
    };
    let document: Document = serde_saphyr::from_str(text).map_err(|wrong| {
        let place = wrong.location().unwrap_or(Location::UNKNOWN);
        // The place stands in front already.
        let words = wrong.without_snippet().to_string();
        let tail = format!(" at line {}, column {}", place.line(), place.column());
        error(place, words.strip_suffix(&tail).unwrap_or(&words).to_owned())
    })?;
    inventory(&document).map_err(|(at, message)| error(at, message))
}

fn inventory(document: &Document) -> Result<Inventory, Complaint> {
    let version = &document.api_version;
    if version.value != API_VERSION {
        return Err(at(version, format!("apiVersion is `{}`; this longhaul reads {API_VERSION}", version.value)));
    }
    let testbed = testbed_name(&document.testbed)?;
    let ssh_command = document.ssh_command.as_ref().map(ssh_command).transpose()?;
    let entries = &document.hosts.value;
    if !(2..=MAX_HOSTS).contains(&entries.len()) {
        let message = format!("a testbed has 2 to {MAX_HOSTS} hosts, here are {}", entries.len());
        return Err(at(&document.hosts, message));
    }
    let hosts: Vec<Host> =
        entries.iter().map(|entry| host(entry, &document.defaults)).collect::<Result<_, Complaint>>()?;
    check_names(entries, &hosts)?;
    check_targets(entries, &hosts)?;
    check_addresses(entries, &hosts)?;
    check_interfaces(entries, &hosts)?;
    Ok(Inventory { testbed, ssh_command, hosts })
}

fn at<T>(field: &Spanned<T>, message: String) -> Complaint {
    (field.referenced, message)
}

/// As for labs: the name is part of paths.
fn testbed_name(field: &Spanned<String>) -> Result<String, Complaint> {
    let name = field.value.as_str();
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Ok(name.to_owned());
    }
    let rule = "use up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
    Err(at(field, format!("`{name}` cannot name a testbed: {rule}")))
}

fn ssh_command(field: &Spanned<Vec<String>>) -> Result<Vec<String>, Complaint> {
    match field.value.first() {
        Some(program) if !program.is_empty() => Ok(field.value.clone()),
        _ => Err(at(field, "sshCommand names no program; write for example [ssh, -F, edge.conf]".to_owned())),
    }
}

fn host(entry: &HostEntry, defaults: &Defaults) -> Result<Host, Complaint> {
    let name: NodeName = entry.name.value.parse().map_err(|wrong| at(&entry.name, format!("{wrong}")))?;
    let options = defaults.ssh_options.iter().chain(&entry.ssh_options);
    Ok(Host {
        ssh: ssh_target(entry, defaults)?,
        ssh_options: options.map(ssh_option).collect::<Result<_, Complaint>>()?,
        agent: entry.agent.as_ref().or(defaults.agent.as_ref()).map(agent).transpose()?,
        sudo: entry.sudo.or(defaults.sudo).unwrap_or(false),
        interface: entry.interface.as_ref().or(defaults.interface.as_ref()).map_or(Ok(Interface::Auto), interface)?,
        addresses: entry.addresses.iter().map(address).collect::<Result<_, Complaint>>()?,
        networks: entry.networks.iter().map(network).collect::<Result<_, Complaint>>()?,
        name,
    })
}

/// What the host says, or its name, which may be an alias; user and port by default where it says none.
fn ssh_target(entry: &HostEntry, defaults: &Defaults) -> Result<SshTarget, Complaint> {
    let field = entry.ssh.as_ref().unwrap_or(&entry.name);
    let mut target = SshTarget::read(&field.value).map_err(|message| {
        let missing = entry.ssh.is_none().then(|| format!("host `{}` has no ssh target: ", entry.name.value));
        at(field, missing.unwrap_or_default() + &message)
    })?;
    if let (None, Some(user)) = (&target.user, &defaults.user) {
        let whole = format!("{}@{}", user.value, "host");
        SshTarget::read(&whole).map_err(|_| at(user, format!("`{}` is no user name", user.value)))?;
        target.user = Some(user.value.clone());
    }
    if let (None, Some(port)) = (target.port, &defaults.port) {
        let number = u16::try_from(port.value).ok().filter(|number| *number > 0);
        target.port = Some(number.ok_or_else(|| at(port, format!("`{}` is no port; use 1 to 65535", port.value)))?);
    }
    Ok(target)
}

fn ssh_option(field: &Spanned<String>) -> Result<String, Complaint> {
    let option = field.value.as_str();
    let named = option.split_once(['=', ' ']).is_some_and(|(name, value)| {
        !value.trim().is_empty() && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
    });
    if named && !option.chars().any(char::is_control) {
        return Ok(option.to_owned());
    }
    Err(at(field, format!("`{option}` is no option of ssh; write for example IdentityFile=~/.ssh/edge")))
}

/// A path or a name. It goes through the host's shell, and is quoted there; `~` then means nothing.
fn agent(field: &Spanned<String>) -> Result<String, Complaint> {
    let path = field.value.as_str();
    if path.is_empty() || path.starts_with(['-', '~']) || path.chars().any(char::is_control) {
        let advice =
            "write a path such as /usr/local/bin/longhaul-agent; one without `/` at its start is below the home folder";
        return Err(at(field, format!("`{path}` cannot be the agent's program; {advice}")));
    }
    Ok(path.to_owned())
}

fn interface(field: &Spanned<String>) -> Result<Interface, Complaint> {
    let name = field.value.as_str();
    if name == "auto" {
        return Ok(Interface::Auto);
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/:".contains(c);
    if name.is_empty() || name.len() > MAX_INTERFACE || name.starts_with(['-', '.']) || name.chars().any(odd) {
        return Err(at(field, format!("`{name}` cannot be an interface; write its name, such as eth1, or auto")));
    }
    Ok(Interface::Named(name.to_owned()))
}

fn address(field: &Spanned<String>) -> Result<IpAddr, Complaint> {
    let text = field.value.as_str();
    let address: IpAddr = text.parse().map_err(|_| {
        let network = if text.contains('/') { "; networks have a field of their own" } else { "" };
        at(field, format!("`{text}` is no IP address{network}"))
    })?;
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local {
        return Err(at(field, format!("`{text}` does not reach one host from all others; write a routable address")));
    }
    Ok(address)
}

fn network(field: &Spanned<String>) -> Result<IpNet, Complaint> {
    let text = field.value.as_str();
    let network: IpNet =
        text.parse().map_err(|_| at(field, format!("`{text}` is no network; write for example 10.42.1.0/24")))?;
    let trunc = network.trunc();
    if network != trunc {
        return Err(at(field, format!("`{text}` has bits behind its prefix; the network is {trunc}")));
    }
    if network.prefix_len() == 0 {
        return Err(at(field, format!("`{text}` is everything, not what is behind one host")));
    }
    Ok(network)
}

fn check_names(entries: &[HostEntry], hosts: &[Host]) -> Result<(), Complaint> {
    let mut seen = BTreeMap::new();
    for (entry, host) in entries.iter().zip(hosts) {
        if let Some(line) = seen.insert(&host.name, entry.name.referenced.line()) {
            return Err(at(&entry.name, format!("the name `{}` was given in line {line} already", host.name)));
        }
    }
    Ok(())
}

fn check_targets(entries: &[HostEntry], hosts: &[Host]) -> Result<(), Complaint> {
    let mut seen = BTreeMap::new();
    for (entry, host) in entries.iter().zip(hosts) {
        if let Some(other) = seen.insert(&host.ssh, &host.name) {
            let field = entry.ssh.as_ref().unwrap_or(&entry.name);
            return Err(at(
                field,
                format!("`{}` is the ssh target of `{other}` already; a host is one node", host.ssh),
            ));
        }
    }
    Ok(())
}

/// No address and no network belongs to two hosts, nor twice to one.
fn check_addresses(entries: &[HostEntry], hosts: &[Host]) -> Result<(), Complaint> {
    let mut seen: BTreeMap<IpNet, &NodeName> = BTreeMap::new();
    for (entry, host) in entries.iter().zip(hosts) {
        let addresses = entry.addresses.iter().zip(host.addresses.iter().map(|address| IpNet::from(*address)));
        let networks = entry.networks.iter().zip(host.networks.iter().copied());
        for (field, prefix) in addresses.chain(networks) {
            if let Some(other) = seen.insert(prefix, &host.name) {
                return Err(at(field, format!("`{}` belongs to host `{other}` already", field.value)));
            }
        }
    }
    Ok(())
}

/// Interfaces are found by the routes to the others' addresses, addresses by the interface's name: not both at once.
fn check_interfaces(entries: &[HostEntry], hosts: &[Host]) -> Result<(), Complaint> {
    let others_known =
        |place: usize| hosts.iter().enumerate().any(|(other, host)| other != place && !host.addresses.is_empty());
    for (place, (entry, host)) in entries.iter().zip(hosts).enumerate() {
        if host.interface != Interface::Auto {
            continue;
        }
        let name = &host.name;
        if host.addresses.is_empty() {
            let message =
                format!("host `{name}` has neither addresses nor the name of an interface; write one of them");
            return Err(at(&entry.name, message));
        }
        if !others_known(place) {
            let message = format!(
                "the interface of host `{name}` is to be found by the routes to the others, but none has addresses; name it"
            );
            return Err(at(&entry.name, message));
        }
    }
    Ok(())
}
