//! Hosts for tests: network namespaces on one bridge, an sshd in each, and one more from where longhaul is run.
//!
//! Root needs no user namespace. Anybody else gets one in which he stays who he is: an sshd that is not root logs in nobody
//! but its own user, needs no second user to shut itself in, and passes on the capabilities that the namespace gives.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tempfile::TempDir;

use crate::bridged_nodes::{Bridged, v4, v6};

/// Set in the process that runs inside the namespaces.
const INSIDE: &str = "LONGHAUL_TEST_INSIDE_NAMESPACES";

/// Runs `body` of the test called `test` in namespaces of its own, where /run is empty.
pub(crate) fn in_own_namespaces(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let user: &[&str] = if Uid::effective().is_root() { &[] } else { &["--user", "--map-current-user", "--keep-caps"] };
    let output = Command::new("unshare")
        .args(user)
        .args(["--net", "--mount", "--", "sh", "-c"])
        .arg("mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "`{test}` failed in its namespaces");
}

/// Where longhaul runs, beside the hosts: the node behind the last host.
pub(crate) struct Ground {
    bridged: Bridged,
    folder: TempDir,
    servers: Vec<Child>,
    hosts: usize,
}

impl Ground {
    /// So many hosts, called n1, n2 and so on, with an agent in their path.
    pub(crate) fn new(hosts: usize) -> Self {
        Self::build(hosts, false)
    }

    /// As [`Ground::new`], of hosts that each say they have booted by themselves, as those with kernels of their own do.
    pub(crate) fn of_many_kernels(hosts: usize) -> Self {
        Self::build(hosts, true)
    }

    fn build(hosts: usize, many_kernels: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("lh").tempdir().unwrap();
        let mut ground = Self { bridged: Bridged::build(hosts + 1), folder, servers: vec![], hosts };
        for key in ["host_key", "user_key", "other_key"] {
            let file = ground.path(key);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status().unwrap();
            assert!(made.success(), "ssh-keygen");
        }
        fs::copy(ground.path("user_key.pub"), ground.path("authorized_keys")).unwrap();
        let key = fs::read_to_string(ground.path("host_key.pub")).unwrap();
        let known: Vec<String> = (0..hosts).map(|host| format!("{},{} {key}", v4(host), v6(host))).collect();
        ground.write("known_hosts", &known.concat());
        ground.write("ssh_config", &ground.ssh_config("user_key", "known_hosts"));
        for host in 0..hosts {
            let bin = ground.path(&format!("h{host}/bin"));
            fs::create_dir_all(&bin).unwrap();
            symlink(env!("CARGO_BIN_EXE_longhaul"), bin.join("longhaul-agent")).unwrap();
            ground.serve(host, many_kernels);
        }
        ground
    }

    /// A file of the test's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A configuration of ssh with these files.
    pub(crate) fn ssh_config(&self, key: &str, known: &str) -> String {
        let (key, known) = (self.path(key), self.path(known));
        let user = User::from_uid(Uid::current()).unwrap().unwrap().name;
        format!(
            "Host *\n User {user}\n IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {}\n \
             GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n",
            key.display(),
            known.display()
        )
    }

    /// Writes an inventory whose hosts have what `host` says of each, after name and ssh target.
    pub(crate) fn inventory(&self, name: &str, ssh: fn(usize) -> String, host: impl Fn(usize) -> String) {
        let head = format!(
            "apiVersion: longhaul/v1\ntestbed: edge\nsshCommand: [ssh, -F, {}]\nhosts:\n",
            self.path("ssh_config").display()
        );
        let hosts = (0..self.hosts)
            .map(|place| format!("  - {{name: n{}, ssh: \"{}\", {}}}\n", place + 1, ssh(place), host(place)));
        self.write(name, &(head + &hosts.collect::<Vec<String>>().concat()));
    }

    /// Writes an inventory with the hosts of another one in the opposite order.
    pub(crate) fn reversed(&self, of: &str, name: &str) {
        let text = fs::read_to_string(self.path(of)).unwrap();
        let (hosts, head): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("  - {name"));
        let lines = head.into_iter().chain(hosts.into_iter().rev());
        self.write(name, &lines.flat_map(|line| [line, "\n"]).collect::<String>());
    }

    /// Starts the sshd of a host and waits until it listens.
    fn serve(&mut self, host: usize, own_kernel: bool) {
        let own = self.path(&format!("h{host}"));
        let config = format!(
            "Port 22\nListenAddress {}\nListenAddress [{}]\nHostKey {}\nAuthorizedKeysFile {}\nUsePAM no\nStrictModes no\n\
             PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nUseDNS no\n\
             SetEnv PATH={}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin XDG_CACHE_HOME={}\n",
            v4(host),
            v6(host),
            self.path("host_key").display(),
            self.path("authorized_keys").display(),
            own.join("bin").display(),
            own.join("cache").display(),
        );
        fs::write(own.join("sshd_config"), config).unwrap();
        fs::write(own.join("boot"), format!("00000000-0000-0000-0000-{host:012}\n")).unwrap();
        let boot = "mount --bind \"$0/boot\" /proc/sys/kernel/random/boot_id && ";
        let script = format!("{}exec /usr/sbin/sshd -D -e -f \"$0/sshd_config\"", if own_kernel { boot } else { "" });
        #[allow(clippy::zombie_processes)] // Waited for when the ground is given up.
        let start = move || {
            Command::new("unshare")
                .args(["--mount", "--", "sh", "-c", &script])
                .arg(own)
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut server = self.bridged.nodes[host].begin(start)();
        let mut said = BufReader::new(server.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("Server listening on fd09") && !line.contains("Server listening on 10.9") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "sshd of host {host} ended");
        }
        // What it says later is for nobody, but it must be able to say it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        self.servers.push(server);
    }

    /// Ends the sshd of a host and all its sessions, as when the host loses power but for its kernel.
    pub(crate) fn end_server(&mut self, host: usize) {
        let server = &mut self.servers[host];
        let _ = kill(Pid::from_raw(i32::try_from(server.id()).unwrap()), Signal::SIGKILL);
        let _ = server.wait();
    }

    /// longhaul with arguments, where longhaul runs.
    pub(crate) fn start(&self, arguments: &[&str], stdout: &Path) -> Running {
        let stderr = fs::File::create(errors_of(stdout)).unwrap();
        let (folder, stdout) = (self.folder.path().to_owned(), fs::File::create(stdout).unwrap());
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let start = move || {
            Command::new(env!("CARGO_BIN_EXE_longhaul"))
                .args(&arguments)
                .current_dir(folder)
                .env_remove("LONGHAUL_SSH")
                .stdin(Stdio::null())
                .stdout(stdout)
                .stderr(stderr)
                .spawn()
                .unwrap()
        };
        Running(self.bridged.nodes[self.hosts].begin(start)())
    }

    /// Runs longhaul to its end, where no delays are.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_from(self.hosts, arguments)
    }

    /// Runs longhaul to its end on one of the nodes.
    pub(crate) fn run_from(&self, node: usize, arguments: &[&str]) -> Output {
        let folder = self.folder.path().to_owned();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let run = move || {
            Command::new(env!("CARGO_BIN_EXE_longhaul"))
                .args(&arguments)
                .current_dir(folder)
                .env_remove("LONGHAUL_SSH")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        self.bridged.nodes[node].begin(run)()
    }

    /// Runs longhaul, which must end with `code`; what it wrote to standard output and to standard error.
    pub(crate) fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "longhaul {arguments:?}\n{out}\n{error}");
        (out, error)
    }

    /// Runs a command on a host, without ssh.
    pub(crate) fn on(&self, host: usize, command: &str) -> String {
        self.bridged.nodes[host].run(command)
    }

    /// Starts a command on a host, without ssh; the function that is returned waits for what it prints. Meanwhile nothing else
    /// runs there but by ssh.
    pub(crate) fn begin_on<'a>(&'a self, host: usize, command: &str) -> impl FnOnce() -> String + use<'a> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let run = move || Command::new(&words[0]).args(&words[1..]).output().unwrap().stdout;
        let wait = self.bridged.nodes[host].begin(run);
        move || String::from_utf8(wait()).unwrap()
    }

    /// The round trip of a ping from one host to another, in milliseconds: another tool's word for the delays.
    pub(crate) fn ping_ms(&self, from: usize, to: usize) -> f64 {
        let said = self.on(from, &format!("ping -n -c 3 -i 0.01 {}", v4(to)));
        let times = said.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
        times.fold(f64::INFINITY, f64::min)
    }

    /// The devices and rules of a host, without what counts or grows older.
    pub(crate) fn everything(&self, host: usize) -> String {
        let links = self.on(host, "ip -o -br link");
        let disciplines = self.on(host, "tc qdisc show");
        links + &disciplines + &self.on(host, "tc filter show dev eth0 egress")
    }

    /// The keeper of a host, its worker and its guardian: those that the kernel shows in its network namespace.
    pub(crate) fn processes(&self, host: usize) -> Vec<Pid> {
        let own = self.on(host, "readlink /proc/thread-self/ns/net");
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = pids.filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let place = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
            name.starts_with("lh-") && place.to_str() == Some(own.trim())
        });
        ours.map(Pid::from_raw).collect()
    }

    /// Waits until nothing of longhaul is in the kernel of a host: no filter, no device.
    pub(crate) fn is_clear_within(&self, host: usize, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let links = self.on(host, "ip -o link");
            let filters = self.on(host, "tc filter show dev eth0 egress");
            if links.lines().count() == 2 && filters.is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for host in 0..self.servers.len() {
            // What was detached would outlive the test, in a namespace that nobody can enter any more.
            let end = || Command::new(env!("CARGO_BIN_EXE_longhaul")).arg("panic").stdout(Stdio::null()).status();
            let _ = self.bridged.nodes[host].begin(end)();
            self.end_server(host);
        }
    }
}

/// Where a longhaul that is running writes its standard error when its standard output goes to `file`.
pub(crate) fn errors_of(file: &Path) -> PathBuf {
    file.with_extension("err")
}

/// A longhaul that is running.
pub(crate) struct Running(Child);

impl Running {
    /// Waits until its output, which goes to `file`, has a line with `part`.
    pub(crate) fn says(&mut self, file: &Path, part: &str) -> String {
        loop {
            let said = fs::read_to_string(file).unwrap();
            if said.contains(part) {
                return said;
            }
            if let Some(status) = self.0.try_wait().unwrap() {
                let error = fs::read_to_string(errors_of(file)).unwrap_or_default();
                panic!("longhaul ended with {status} without saying `{part}`: {said}\n{error}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    /// The ssh processes that it has started.
    pub(crate) fn ssh_processes(&self) -> Vec<Pid> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.0.id())).unwrap();
        children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }
}

/// `n1`'s address, and the others'.
pub(crate) fn by_v4(host: usize) -> String {
    v4(host).to_string()
}

/// As [`by_v4`], by IPv6.
pub(crate) fn by_v6(host: usize) -> String {
    v6(host).to_string()
}
