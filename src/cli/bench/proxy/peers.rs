//! Who is measured, and how each is set up: alike where they can be.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::processes::{Process, free_address};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// A service, without a proxy.
    Direct,
    /// Ours.
    Longhaul,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
}

impl Peer {
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Longhaul, Self::Nginx, Self::Haproxy];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "no proxy",
            Self::Longhaul => "longhaul",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// What has to be installed; of Debian the package of that name.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Direct | Self::Longhaul => "longhaul",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Whether it can be measured here.
    pub(super) fn is_there(self) -> bool {
        let places = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&places).chain(["/usr/sbin".into(), "/sbin".into()]);
        matches!(self, Self::Direct | Self::Longhaul)
            || folders.into_iter().any(|folder| folder.join(self.program()).is_file())
    }

    /// Starts it before the services; its files are in `folder`.
    pub(super) fn start(self, folder: &Path, services: &[SocketAddr], policy: &str) -> anyhow::Result<Process> {
        let folder = folder.join(self.program());
        std::fs::create_dir_all(&folder)?;
        match self {
            Self::Direct => Process::ours(None, &["service", "--time", "0ms", "--name", "alone"]),
            Self::Longhaul => longhaul(&folder, services, policy),
            Self::Nginx => nginx(&folder, services),
            Self::Haproxy => haproxy(&folder, services),
        }
    }
}

/// The proxy's own program, as nodes have it, when it lies beside this one: much smaller, so its memory is another.
pub(super) fn own_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.parent()?.join("longhaul-proxy");
    program.is_file().then_some(program)
}

fn longhaul(folder: &Path, services: &[SocketAddr], policy: &str) -> anyhow::Result<Process> {
    let config = format!(
        "apiVersion: longhaul/v1\nlisten: 127.0.0.1:0\ninstances: instances.yaml\nservices:\n  - {{name: s, policy: {policy}}}\n"
    );
    let instances =
        each(services, |number, address| format!("  - {{name: i{number}, service: s, address: '{address}'}}\n"));
    std::fs::write(folder.join("instances.yaml"), format!("apiVersion: longhaul/v1\ninstances:\n{instances}"))?;
    let path = folder.join("proxy.yaml");
    std::fs::write(&path, config)?;
    let path = path.to_string_lossy();
    match own_program() {
        Some(program) => Process::ours(Some(&program), &["--config", &path]),
        None => Process::ours(None, &["proxy", "--config", &path]),
    }
}

/// A line for each service.
fn each(services: &[SocketAddr], line: impl Fn(usize, &SocketAddr) -> String) -> String {
    let lines: Vec<String> = services.iter().enumerate().map(|(number, service)| line(number, service)).collect();
    lines.concat()
}

fn nginx(folder: &Path, services: &[SocketAddr]) -> anyhow::Result<Process> {
    let address = free_address()?;
    let servers = each(services, |_, service| format!("    server {service};\n"));
    let folder_text = folder.to_string_lossy();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {folder_text}/pid;\nerror_log {folder_text}/error.log;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  keepalive_requests 100000000;\n\
         \x20 client_body_temp_path {folder_text}/a;\n  proxy_temp_path {folder_text}/b;\n  fastcgi_temp_path {folder_text}/c;\n\
         \x20 uwsgi_temp_path {folder_text}/d;\n  scgi_temp_path {folder_text}/e;\n  tcp_nodelay on;\n\
         \x20 upstream services {{\n    least_conn;\n{servers}    keepalive 64;\n    keepalive_requests 100000000;\n  }}\n\
         \x20 server {{\n    listen {address};\n    location / {{\n      proxy_pass http://services;\n      proxy_http_version 1.1;\n\
         \x20     proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n    }}\n  }}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config)?;
    let mut command = program(Peer::Nginx);
    command.arg("-p").arg(folder).arg("-c").arg(&path);
    Process::theirs(command, address)
}

fn haproxy(folder: &Path, services: &[SocketAddr]) -> anyhow::Result<Process> {
    let address = free_address()?;
    let servers = each(services, |number, service| format!("  server s{number} {service} pool-max-conn 64\n"));
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 75s\n\
         \x20 timeout server 30s\n  option http-keep-alive\n  http-reuse always\nlisten services\n  bind {address}\n\
         \x20 balance leastconn\n{servers}"
    );
    let path = folder.join("haproxy.cfg");
    std::fs::write(&path, config)?;
    let mut command = program(Peer::Haproxy);
    command.arg("-db").arg("-f").arg(&path);
    Process::theirs(command, address)
}

/// Debian has them where users do not look.
fn program(peer: Peer) -> Command {
    let place = Path::new("/usr/sbin").join(peer.program());
    if place.is_file() { Command::new(place) } else { Command::new(peer.program()) }
}
