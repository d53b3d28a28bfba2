//! [`run`]: a proxy from its files to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use super::access_log::AccessLog;
use super::admin;
use super::config::{Config, ConfigError, ProbeSettings, parse};
use super::forward::{Proxy, Routes};
use super::instances::{Instance, parse_instances};
use super::lane;
use super::metrics::Metrics;
use super::probes::{self, Prober};
use super::service::{Numbers, Service};
use super::watch::watch;
use crate::serving::{self, Bounds, Clock, Listening, Stopper};
use crate::units::{Moment, Span};

/// How often connections are tidied and logs written out.
const TIDY: Span = Span::from_secs(1);

/// The longest file that is read: 10,000 instances are a tenth of it.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;

/// Why a proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A file is wrong.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// An address is not to be had.
    #[error("{what} {address}: {error}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Which.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The system refuses something else.
    #[error("run the proxy: {0}")]
    System(#[from] io::Error),
}

/// Where a proxy can be reached.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    /// By clients.
    pub listening: SocketAddr,
    /// By who wants to know how it does.
    pub admin: Option<String>,
    /// By the probes of peers.
    pub probes: Option<SocketAddr>,
}

/// Reads a configuration and its instances, and does nothing with them.
pub(super) fn load(path: &Path) -> Result<(Config, Vec<Instance>), ProxyError> {
    let mut config = parse(&path.display().to_string(), &read(path)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config.instances = folder.join(&config.instances);
    config.access_log = config.access_log.map(|log| folder.join(log));
    let instances = instances(&config)?;
    Ok((config, instances))
}

fn instances(config: &Config) -> Result<Vec<Instance>, ProxyError> {
    let path = &config.instances;
    Ok(parse_instances(&path.display().to_string(), &read(path)?)?)
}

fn read(path: &Path) -> Result<String, ProxyError> {
    let refused = |error| unreadable(path, error);
    let length = std::fs::metadata(path).map_err(refused)?.len();
    if length > LONGEST_FILE {
        return Err(refused(io::Error::other(format!("has {length} bytes; at most {LONGEST_FILE} are read"))));
    }
    std::fs::read_to_string(path).map_err(refused)
}

/// Reads the files and says whether they are right; the number of services and instances.
pub fn check(path: &Path) -> Result<(usize, usize), ProxyError> {
    let (config, instances) = load(path)?;
    Ok((config.services.len(), instances.len()))
}

/// Runs a proxy until SIGTERM or SIGINT, and then until the requests under way are done. `ready` is called once it listens,
/// `complain` with what goes wrong meanwhile.
pub fn run(
    path: &Path,
    ready: &mut dyn FnMut(&Addresses) -> io::Result<()>,
    complain: fn(&str),
) -> Result<(), ProxyError> {
    let (config, instances) = load(path)?;
    let clock = Clock::start();
    serving::runtime()?.block_on(async {
        let signalled = serving::signalled();
        let hangups = signal(SignalKind::hangup())?;
        let watched = watch(&config.instances).map_err(|error| unreadable(&config.instances, error))?;
        let metrics = Arc::new(Metrics::new());
        let log = config.access_log.as_ref();
        let log = log.map(|path| AccessLog::open(path).map_err(|error| unreadable(path, error))).transpose()?;
        let routes = routes(&config, &BTreeMap::new(), &metrics);
        let proxy = Arc::new(Proxy::new(clock, metrics, log, routes));
        let listener = serving::bind(config.listen).map_err(|error| refused("listen on", config.listen, error))?;
        let (probes, admin) = aside(&config, &proxy).await?;
        let addresses = Addresses { listening: listener.local_addr()?, admin, probes };
        let bounds = bounds(&config);
        let mut upkeep = Upkeep::new(path.to_owned(), config, instances, Arc::clone(&proxy), complain).await?;
        upkeep.renew();
        tokio::spawn(upkeep.go_on(hangups, watched));
        let (stopper, stop) = Stopper::new();
        tokio::spawn(async move {
            // Without signals it ends by being killed.
            match signalled.await {
                Ok(()) => stopper.stop(),
                Err(_) => std::future::pending().await,
            }
        });
        ready(&addresses)?;
        let answering = Arc::clone(&proxy);
        let handle = move |client| lane::serve(Arc::clone(&answering), client);
        Listening { bounds, clock }.accept(listener, stop, handle).await?;
        if let Some(log) = &proxy.log {
            log.flush();
        }
        Ok(())
    })
}

fn bounds(config: &Config) -> Bounds {
    let Config { limits, timeouts, .. } = config;
    Bounds {
        connections: limits.connections,
        head_bytes: limits.head_bytes,
        head: timeouts.head,
        piece: timeouts.body,
        idle: timeouts.idle,
        drain: timeouts.drain,
    }
}

/// Starts what peers and people ask: where probes are answered, and where the admin socket is.
async fn aside(config: &Config, proxy: &Arc<Proxy>) -> Result<(Option<SocketAddr>, Option<String>), ProxyError> {
    let mut probes = None;
    if let Some(ProbeSettings { listen, .. }) = config.probes {
        let bound = UdpSocket::bind(listen).await;
        let socket = bound.map_err(|error| refused("answer probes on", listen, error))?;
        probes = Some(socket.local_addr()?);
        tokio::spawn(probes::respond(socket));
    }
    let Some(wanted) = &config.admin else { return Ok((probes, None)) };
    let opened = admin::open(wanted);
    let (socket, address) = opened.map_err(|error| refused("open the admin socket", wanted, error))?;
    tokio::spawn(admin::serve(socket, Arc::clone(proxy)));
    Ok((probes, Some(address)))
}

fn unreadable(path: &Path, error: io::Error) -> ProxyError {
    ProxyError::Read { path: path.to_owned(), error }
}

fn refused(what: &'static str, address: impl std::fmt::Display, error: io::Error) -> ProxyError {
    ProxyError::Listen { what, address: address.to_string(), error }
}

/// The services of a configuration; those that are as before stay, with all that they have learnt.
fn routes(config: &Config, before: &BTreeMap<String, Arc<Service>>, metrics: &Metrics) -> Routes {
    let service = |(name, wanted): (&String, &super::config::ServiceConfig)| {
        let kept = before.get(name).filter(|service| service.config == *wanted).cloned();
        let service = kept.unwrap_or_else(|| Arc::new(Service::new(wanted.clone(), config.seed, metrics)));
        (name.clone(), service)
    };
    Routes {
        header: config.service_header.clone(),
        services: config.services.iter().map(service).collect(),
        limits: config.limits,
        timeouts: config.timeouts,
    }
}

/// What is done beside the requests.
struct Upkeep {
    path: PathBuf,
    config: Config,
    instances: Vec<Instance>,
    proxy: Arc<Proxy>,
    numbers: Numbers,
    prober: Prober,
    sockets: (UdpSocket, Option<UdpSocket>),
    next_probe: Moment,
    /// When all are probed next, not only those that are new.
    next_round: Moment,
    next_tidy: Moment,
    /// When each service is to be maintained next.
    next_maintenance: BTreeMap<String, Moment>,
    complain: fn(&str),
}

impl Upkeep {
    async fn new(
        path: PathBuf,
        config: Config,
        instances: Vec<Instance>,
        proxy: Arc<Proxy>,
        complain: fn(&str),
    ) -> io::Result<Self> {
        let now = proxy.clock.now();
        // Not secret, only unlike that of any other life of a proxy.
        let nonce = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let nonce = u64::try_from(nonce).unwrap_or_default() ^ (u64::from(std::process::id()) << 48);
        Ok(Self {
            path,
            config,
            instances,
            numbers: Numbers::default(),
            prober: Prober::new(proxy.clock, nonce),
            proxy,
            sockets: probes::sockets().await?,
            next_probe: now,
            next_round: now,
            next_tidy: now,
            next_maintenance: BTreeMap::new(),
            complain,
        })
    }

    /// Goes on for ever.
    async fn go_on(mut self, mut hangups: Signal, mut watched: Receiver<()>) {
        loop {
            tokio::select! {
                _ = hangups.recv() => self.reload(),
                Some(()) = watched.recv() => self.reread(),
                () = self.work() => {}
            }
        }
    }

    /// Gives each service its instances.
    fn renew(&mut self) {
        let routes = self.proxy.routes();
        let now = self.proxy.clock.now();
        for (name, service) in &routes.services {
            let own: Vec<Instance> = self.instances.iter().filter(|one| one.service == *name).cloned().collect();
            let prober = &self.prober;
            let rtts = |instance: &Instance| prober.rtt(instance.probe?);
            service.set_instances(now, &own, &mut self.numbers, &rtts, &self.proxy.metrics);
        }
        self.proxy.metrics.instances_valid.set(1);
        self.next_maintenance.retain(|name, _| routes.services.contains_key(name));
        for (name, service) in &routes.services {
            if let Some(interval) = service.interval().filter(|_| service.has_instances()) {
                self.next_maintenance.entry(name.clone()).or_insert(now + service.config.phase.unwrap_or(interval));
            }
        }
        // New peers are not made to wait.
        self.next_probe = now;
        self.next_round = now;
    }

    /// Reads the instances again; a file that is wrong changes nothing.
    fn reread(&mut self) {
        match instances(&self.config) {
            Ok(instances) => {
                self.instances = instances;
                self.renew();
            }
            Err(error) => {
                self.proxy.metrics.instances_valid.set(0);
                (self.complain)(&format!("{error}; the instances stay as they were"));
            }
        }
    }

    /// Reads everything again; what is wrong changes nothing.
    fn reload(&mut self) {
        let (config, instances) = match load(&self.path) {
            Ok(loaded) => loaded,
            Err(error) => return (self.complain)(&format!("{error}; everything stays as it was")),
        };
        let fixed = |config: &Config| {
            (config.listen, config.admin.clone(), config.instances.clone(), config.access_log.clone(), config.probes)
        };
        if fixed(&config) != fixed(&self.config) {
            let what = "listen, admin, instances, accessLog and probes are as at the start until the next one";
            (self.complain)(what);
        }
        let before = self.proxy.routes();
        self.proxy.set_routes(routes(&config, &before.services, &self.proxy.metrics));
        let Config { service_header, seed, limits, timeouts, services, .. } = config;
        self.config = Config { service_header, seed, limits, timeouts, services, ..self.config.clone() };
        self.instances = instances;
        self.next_maintenance.clear();
        self.renew();
    }

    /// Waits for the next thing that is due, or for an answer to a probe, and does it.
    async fn work(&mut self) {
        let next = self.next_maintenance.values().copied().chain([self.next_tidy]);
        let next = next.chain(self.config.probes.map(|_| self.next_probe)).min().unwrap_or(self.next_tidy);
        let until = self.proxy.clock.instant(next);
        let (mut old, mut new) = ([0; 64], [0; 64]);
        let heard = tokio::select! {
            () = tokio::time::sleep_until(until.into()) => None,
            Ok((length, from)) = self.sockets.0.recv_from(&mut old) => Some((&old[..length], from)),
            Ok((length, from)) = receive(self.sockets.1.as_ref(), &mut new) => Some((&new[..length], from)),
        };
        if let Some((bytes, from)) = heard {
            if let Some((peer, rtt)) = self.prober.take(bytes, from) {
                let now = self.proxy.clock.now();
                self.proxy.routes().services.values().for_each(|service| service.measured(now, peer, rtt));
            }
            return;
        }
        self.due(self.proxy.clock.now()).await;
    }

    async fn due(&mut self, now: Moment) {
        let routes = self.proxy.routes();
        for (name, next) in &mut self.next_maintenance {
            let Some(service) = routes.services.get(name).filter(|_| *next <= now) else { continue };
            service.maintain(now);
            if let Some(interval) = service.interval() {
                *next = now + interval;
            }
        }
        if let Some(settings) = self.config.probes.filter(|_| self.next_probe <= now) {
            let peers: BTreeSet<SocketAddr> = self.instances.iter().filter_map(|instance| instance.probe).collect();
            self.prober.keep_only(&peers);
            let everybody = self.next_round <= now;
            let asked = if everybody { peers.clone() } else { self.prober.newcomers(&peers) };
            self.prober.probe(&asked, &self.sockets.0, self.sockets.1.as_ref()).await;
            if everybody {
                self.next_round = now + settings.interval;
            }
            let known = self.prober.newcomers(&peers).is_empty();
            let soon = now + self.prober.acquaintance();
            self.next_probe = if known { self.next_round } else { self.next_round.min(soon) };
        }
        if self.next_tidy <= now {
            routes.services.values().for_each(|service| service.tidy(now, &self.proxy.metrics));
            if let Some(log) = &self.proxy.log {
                log.flush();
            }
            self.next_tidy = now + TIDY;
        }
    }
}

async fn receive(socket: Option<&UdpSocket>, bytes: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(bytes).await,
        None => std::future::pending().await,
    }
}
