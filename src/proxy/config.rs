//! [`Config`]: what a proxy is to do; read from YAML, checked, with the place of what is wrong. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::header::HeaderName;
use serde::de::DeserializeOwned;

use super::protocol::Protocol;
use super::settings::{Document, LimitFields, ProbeFields, ServiceFields, Text, TimeoutFields};
use crate::balance::{POLICIES, Policy, Qos, find};
use crate::parameters::{Given, Parameters};
use crate::units::Span;
use crate::wording::{OneLine, excerpt};
use crate::yaml::{self, At, Spot};

/// The language of the files.
pub(super) const API_VERSION: &str = "longhaul/v1";

/// The header that names the service, unless told.
const SERVICE_HEADER: &str = "x-longhaul-service";

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}", OneLine(format_args!("{spot}: {message}")))]
pub struct ConfigError {
    /// The file as it was given.
    pub file: String,
    /// Where in it.
    pub spot: Spot,
    /// What is wrong, and what to change.
    pub message: String,
}

/// Where the admin socket is: reachable from this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// A loopback address.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is taken at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients.
    pub connections: usize,
    /// Requests without an answer so far; further ones get 503.
    pub in_flight: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect to an instance.
    pub connect: Span,
    /// From a request's coming until the head of its answer, retries included.
    pub request: Span,
    /// For a client to send a head.
    pub head: Span,
    /// Between two pieces of a body, either way.
    pub body: Span,
    /// Between two requests of a client's connection.
    pub idle: Span,
    /// For requests under way when the proxy is to end.
    pub drain: Span,
}

/// Probes to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Where probes of others are answered.
    pub listen: SocketAddr,
    /// How often each peer is probed.
    pub interval: Span,
}

/// One service.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Its name, as the header gives it.
    pub name: String,
    /// How its instances are chosen.
    pub policy: &'static Policy,
    /// By these parameters.
    pub parameters: Parameters,
    /// What it is to keep.
    pub qos: Qos,
    /// How its instances are spoken to.
    pub protocol: Protocol,
    /// From its first instance to the first maintenance of its policy; `None`: as long as between two.
    pub phase: Option<Span>,
}

impl PartialEq for ServiceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.policy.name == other.policy.name
            && self.parameters == other.parameters
            && self.qos == other.qos
            && self.protocol == other.protocol
    }
}

/// What a proxy is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// Where metrics are.
    pub admin: Option<Admin>,
    /// The file of instances, relative to the configuration.
    pub instances: PathBuf,
    /// The header that names the service.
    pub service_header: HeaderName,
    /// Where the dice of policies start.
    pub seed: u64,
    /// Where requests are logged, relative to the configuration.
    pub access_log: Option<PathBuf>,
    /// Probes to peers.
    pub probes: Option<ProbeSettings>,
    /// What is taken at a time.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// By name; at least one.
    pub services: BTreeMap<String, ServiceConfig>,
}

/// Where, and what is wrong.
pub(super) type Complaint = (Spot, String);

/// Reads a configuration; `file` is what errors call it.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    config(&document(file, text)?).map_err(|complaint| error(file, complaint))
}

pub(super) fn error(file: &str, (spot, message): Complaint) -> ConfigError {
    ConfigError { file: file.to_owned(), spot, message }
}

/// Reads the fields of either file.
pub(super) fn document<D: DeserializeOwned>(file: &str, text: &str) -> Result<D, ConfigError> {
    yaml::parse(text.as_bytes()).map_err(|complaint| error(file, (complaint.spot, complaint.words)))
}

pub(super) fn at<T>(field: &At<T>, message: impl Into<String>) -> Complaint {
    (field.spot, message.into())
}

pub(super) fn check_version(version: &Text) -> Result<(), Complaint> {
    if version.value == API_VERSION {
        return Ok(());
    }
    Err(at(version, format!("apiVersion is `{}`; this longhaul reads {API_VERSION}", excerpt(&version.value))))
}

fn config(document: &Document) -> Result<Config, Complaint> {
    check_version(&document.api_version)?;
    Ok(Config {
        listen: address(&document.listen)?,
        admin: document.admin.as_ref().map(admin).transpose()?,
        instances: PathBuf::from(&document.instances.value),
        service_header: service_header(document.service_header.as_ref())?,
        seed: document.seed.unwrap_or(1),
        access_log: document.access_log.as_ref().map(|path| PathBuf::from(&path.value)),
        probes: document.probes.as_ref().map(probes).transpose()?,
        limits: limits(&document.limits)?,
        timeouts: timeouts(&document.timeouts)?,
        services: services(&document.services)?,
    })
}

pub(super) fn address(field: &Text) -> Result<SocketAddr, Complaint> {
    field.value.parse().map_err(|_| {
        let text = excerpt(&field.value);
        at(field, format!("`{text}` is no address with a port; write 10.0.0.1:8080 or [fd00::1]:8080"))
    })
}

fn admin(field: &Text) -> Result<Admin, Complaint> {
    if let Some(path) = field.value.strip_prefix("unix:") {
        return Ok(Admin::Unix(PathBuf::from(path)));
    }
    let address = address(field)?;
    if address.ip().is_loopback() {
        return Ok(Admin::Tcp(address));
    }
    let message = format!(
        "the admin socket is for this machine only, {} is not; write 127.0.0.1:PORT or unix:FILE",
        address.ip()
    );
    Err(at(field, message))
}

fn service_header(field: Option<&Text>) -> Result<HeaderName, Complaint> {
    let Some(field) = field else { return Ok(HeaderName::from_static(SERVICE_HEADER)) };
    field.value.parse().map_err(|_| at(field, format!("`{}` is no name of a header", excerpt(&field.value))))
}

fn probes(fields: &ProbeFields) -> Result<ProbeSettings, Complaint> {
    let interval = time(fields.interval.as_ref(), Span::from_secs(1), Span::from_millis(10), Span::from_secs(3_600))?;
    Ok(ProbeSettings { listen: address(&fields.listen)?, interval })
}

/// A time between two bounds.
fn time(field: Option<&Text>, unless_told: Span, least: Span, most: Span) -> Result<Span, Complaint> {
    let Some(field) = field else { return Ok(unless_told) };
    let span: Span = field.value.parse().map_err(|error: crate::units::UnitError| at(field, error.to_string()))?;
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err(at(field, format!("{span} is out of bounds; from {least} to {most}")))
}

fn count(field: Option<&At<u64>>, unless_told: usize, least: usize, most: usize) -> Result<usize, Complaint> {
    let Some(field) = field else { return Ok(unless_told) };
    let fine = usize::try_from(field.value).ok().filter(|count| (least..=most).contains(count));
    fine.ok_or_else(|| at(field, format!("{} is out of bounds; from {least} to {most}", field.value)))
}

fn limits(fields: &LimitFields) -> Result<Limits, Complaint> {
    Ok(Limits {
        connections: count(fields.connections.as_ref(), 4_096, 1, 1_000_000)?,
        in_flight: count(fields.in_flight.as_ref(), 1_024, 1, 1_000_000)?,
        head_bytes: count(fields.head_bytes.as_ref(), 16 * 1024, 8 * 1024, 128 * 1024)?,
    })
}

fn timeouts(fields: &TimeoutFields) -> Result<Timeouts, Complaint> {
    let read = |field: &Option<Text>, ms| {
        time(field.as_ref(), Span::from_millis(ms), Span::from_millis(1), Span::from_secs(86_400))
    };
    Ok(Timeouts {
        connect: read(&fields.connect, 1_000)?,
        request: read(&fields.request, 30_000)?,
        head: read(&fields.head, 10_000)?,
        body: read(&fields.body, 30_000)?,
        idle: read(&fields.idle, 75_000)?,
        drain: read(&fields.drain, 10_000)?,
    })
}

fn services(fields: &At<Vec<ServiceFields>>) -> Result<BTreeMap<String, ServiceConfig>, Complaint> {
    let mut services = BTreeMap::new();
    for one in &fields.value {
        let name = service_name(&one.name)?;
        if services.insert(name.clone(), service(one, name)?).is_some() {
            return Err(at(&one.name, format!("service `{}` is there already", one.name.value)));
        }
    }
    if services.is_empty() { Err(at(fields, "there is no service; list at least one")) } else { Ok(services) }
}

/// A name that can be the value of a header and stand in metrics.
pub(super) fn service_name(field: &Text) -> Result<String, Complaint> {
    let name = field.value.as_str();
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(fine) {
        return Ok(name.to_owned());
    }
    let rule = "use up to 64 letters, digits, `.`, `_`, `-` and `/`";
    Err(at(field, format!("`{}` is no name; {rule}", excerpt(name))))
}

fn service(fields: &ServiceFields, name: String) -> Result<ServiceConfig, Complaint> {
    let policy = find(&fields.policy.value).ok_or_else(|| {
        let known = POLICIES.iter().map(|policy| policy.name).collect::<Vec<_>>().join(", ");
        at(&fields.policy, format!("there is no policy `{}`; there is {known}", excerpt(&fields.policy.value)))
    })?;
    // One by one first, so that the place is that of the wrong one.
    for (parameter, value) in &fields.parameters {
        let one = Given::from([(parameter.clone(), value.value.clone())]);
        Parameters::new(policy.name, policy.parameters, &one).map_err(|error| at(value, error.to_string()))?;
    }
    let given: Given = fields.parameters.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect();
    let parameters = Parameters::new(policy.name, policy.parameters, &given)
        .map_err(|error| at(&fields.policy, error.to_string()))?;
    let long = |field: &Option<Text>, ms| {
        time(field.as_ref(), Span::from_millis(ms), Span::from_millis(1), Span::from_secs(86_400))
    };
    let at_least = match &fields.qos.at_least {
        Some(share) if !(0.0..=1.0).contains(&share.value) => {
            return Err(at(share, format!("{} is no share; from 0 to 1", share.value)));
        }
        Some(share) => share.value,
        None => 0.9,
    };
    let qos = Qos { within: long(&fields.qos.within, 80)?, at_least, window: long(&fields.qos.window, 10_000)? };
    let most = Span::from_secs(86_400);
    let phase = fields.phase.as_ref().map(|_| time(fields.phase.as_ref(), Span::ZERO, Span::ZERO, most)).transpose()?;
    let protocol = fields.protocol.as_ref().map_or(Ok(Protocol::default()), protocol)?;
    Ok(ServiceConfig { name, policy, parameters, qos, protocol, phase })
}

fn protocol(field: &Text) -> Result<Protocol, Complaint> {
    Protocol::find(&field.value).ok_or_else(|| {
        let known = Protocol::ALL.map(Protocol::name).join(", ");
        at(field, format!("there is no protocol `{}` to instances; there is {known}", excerpt(&field.value)))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SMALL: &str = "apiVersion: longhaul/v1\nlisten: 127.0.0.1:0\ninstances: i.yaml\nservices:\n  - {name: a, policy: round-robin}\n";

    #[test]
    fn a_small_file_is_enough() {
        let config = parse("p.yaml", SMALL).unwrap();
        assert_eq!(config.service_header.as_str(), "x-longhaul-service");
        assert_eq!(config.services["a"].qos.within, Span::from_millis(80));
        assert_eq!((config.probes, config.admin), (None, None));
        assert_eq!(config.services["a"].protocol, Protocol::Http1);
        assert_eq!(config.limits.in_flight, 1_024);
    }

    #[test]
    fn everything_can_be_said() {
        let text = "apiVersion: longhaul/v1\nlisten: 0.0.0.0:80\nadmin: unix:/run/p.sock\ninstances: i.yaml\n\
            serviceHeader: X-Service\nseed: 7\naccessLog: access.jsonl\nprobes: {listen: '0.0.0.0:9', interval: 100ms}\n\
            limits: {connections: 10, inFlight: 20, headBytes: 9000}\n\
            timeouts: {connect: 1s, request: 2s, head: 3s, body: 4s, idle: 5s, drain: 6s}\n\
            services:\n  - name: a\n    policy: round-robin\n    protocol: h2c\n    qos: {within: 50ms, atLeast: 0.95, window: 5s}\n";
        let config = parse("p.yaml", text).unwrap();
        assert_eq!(config.admin, Some(Admin::Unix("/run/p.sock".into())));
        assert_eq!(config.limits, Limits { connections: 10, in_flight: 20, head_bytes: 9_000 });
        assert_eq!((config.timeouts.connect, config.timeouts.drain), (Span::from_secs(1), Span::from_secs(6)));
        assert_eq!(config.probes.unwrap().interval, Span::from_millis(100));
        assert!((config.services["a"].qos.at_least - 0.95).abs() < 1e-12);
        assert_eq!(config.services["a"].protocol, Protocol::H2c);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let with = |old: &str, new: &str| {
            assert!(SMALL.contains(old), "{old}");
            parse("p.yaml", &SMALL.replace(old, new)).unwrap_err().to_string()
        };
        for (old, new, message) in [
            ("longhaul/v1", "v9", "p.yaml:1:13: apiVersion is `v9`; this longhaul reads longhaul/v1"),
            (
                "127.0.0.1:0",
                "here",
                "p.yaml:2:9: `here` is no address with a port; write 10.0.0.1:8080 or [fd00::1]:8080",
            ),
            (
                "instances: i.yaml",
                "instances: i.yaml\nadmin: 10.0.0.1:9",
                "p.yaml:4:8: the admin socket is for this machine only, 10.0.0.1 is not; write 127.0.0.1:PORT or unix:FILE",
            ),
            ("round-robin", "guess", "p.yaml:5:23: there is no policy `guess`; there is "),
            ("round-robin", "round-robin, parameters: {x: 1}", "p.yaml:5:52: `x` is no parameter of round-robin"),
            (
                "name: a",
                "name: a b",
                "p.yaml:5:12: `a b` is no name; use up to 64 letters, digits, `.`, `_`, `-` and `/`",
            ),
            (
                "  - {name: a",
                "  - {name: a, policy: round-robin}\n  - {name: a",
                "p.yaml:6:12: service `a` is there already",
            ),
            ("round-robin", "round-robin, qos: {atLeast: 2}", "p.yaml:5:51: 2 is no share; from 0 to 1"),
            ("round-robin", "round-robin, qos: {within: 80}", "p.yaml:5:50: `80` is not a duration"),
            ("services", "timeouts: {request: 0ms}\nservices", "p.yaml:4:21: 0ms is out of bounds; from 1ms to 86400s"),
            ("services", "limits: {inFlight: 0}\nservices", "p.yaml:4:20: 0 is out of bounds; from 1 to 1000000"),
            ("services", "colour: red\nservices", "p.yaml:4:1: unknown field `colour`"),
            ("services", "serviceHeader: 'a b'\nservices", "p.yaml:4:16: `a b` is no name of a header"),
        ] {
            let said = with(old, new);
            assert!(said.starts_with(message), "{said}\nis not\n{message}");
        }
        let none = parse("p.yaml", &SMALL.replace("services:\n  - {name: a, policy: round-robin}", "services: []"));
        assert_eq!(none.unwrap_err().to_string(), "p.yaml:4:11: there is no service; list at least one");
    }
}
