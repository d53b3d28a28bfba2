//! The holder of a lab: two processes. The outer keeps the lock and tidies up; the inner is the first process of the lab's
//! process namespace, owns every namespace and runs the relay.
#![allow(unsafe_code)] // inherited descriptors are closed by number; `Command::pre_exec` runs between fork and exec.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, dup2_stderr, setsid};

use super::namespaces::{NodeNamespaces, dress, fork_child, isolate, of_lab};
use super::protocol::{Birth, LabInfo, Order};
use super::registry::{Entry, Watch};
use super::relay::{Relay, Surroundings};
use super::{LabError, addressing, network};
use crate::agent::process::Process;
use crate::topology::NodeIndex;

/// `sun_path` holds 108 bytes, the last of them 0.
const LONGEST_SOCKET_PATH: usize = 107;

/// The hidden subcommand that a lab's holder runs as.
pub const HOLDER_COMMAND: &str = "lab-holder";

/// The hidden subcommand that a node's agent runs as.
pub const AGENT_COMMAND: &str = "agent-session";

/// What removes a node's delays when its agent died; called in a thread that is in the node's network namespace.
pub(super) type Rescue = dyn Fn() + Sync;

/// Runs a holder: its standard input is a socket to the client that started it. Returns the exit code.
pub fn main(rescue: &Rescue) -> i32 {
    close_inherited_files();
    let Ok(mut client) = first_client() else { return 2 };
    match hold(&client, rescue) {
        Ok(code) => code,
        Err(error) => {
            announce(&mut client, &Birth::Failed { message: error.to_string() });
            2
        }
    }
}

/// A lab that outlives its command must not keep open what a script had open there: a pipe that somebody reads to its end,
/// a lock. Called before this process opens anything of its own.
fn close_inherited_files() {
    // SAFETY: nothing in this process owns a descriptor above standard error yet.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

fn first_client() -> io::Result<UnixStream> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(stdin))
}

fn announce(client: &mut UnixStream, birth: &Birth) {
    if let Ok(mut line) = serde_json::to_vec(birth) {
        line.push(b'\n');
        // The client may be gone; then nobody needs to know.
        let _ = client.write_all(&line);
    }
}

fn hold(client: &UnixStream, rescue: &Rescue) -> Result<i32, LabError> {
    let system =
        |operation: &'static str| move |source: io::Error| LabError::System { operation: operation.to_owned(), source };
    let _ = setsid();
    raise_file_limit();
    let order = read_order(client)?;
    let entry = Entry::create(&order.name)?;
    let socket = entry.folder().join("control");
    if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
        return Err(LabError::LongPath { path: socket });
    }
    let listener = UnixListener::bind(&socket).map_err(|source| LabError::Registry { path: socket, source })?;
    let hosts = entry.folder().join("hosts");
    fs::write(&hosts, addressing::hosts_file(&order.nodes)).map_err(system("write the hosts file"))?;
    // Whatever the umask: a program in the lab may have given up the user that made the lab.
    fs::set_permissions(&hosts, Permissions::from_mode(0o644)).map_err(system("open the hosts file to all"))?;
    redirect_errors(&entry).map_err(system("open the lab's log"))?;
    let own_user_namespace = isolate()?;
    let signals = block_signals()?;
    let holder = Pid::this();
    let outer = Process::open(holder).map_err(system("open the own process"))?;
    let watch = entry.watch().map_err(system("watch the lab's folder"))?;
    let inner = fork_child(|| {
        let Ok(mut client) = client.try_clone() else { return 2 };
        dress(&hosts);
        let life = Inner { order: &order, holder, outer: &outer, own_user_namespace, rescue };
        match life.run(&client, listener, &signals) {
            Ok(()) => 0,
            Err(error) => {
                announce(&mut client, &Birth::Failed { message: error.to_string() });
                2
            }
        }
    })?;
    Ok(guard(inner, &signals, &watch))
}

/// Waits for the inner process. A signal to end, or the loss of the folder by which others reach the lab (a log-out that
/// clears the runtime directory), ends it first. The entry goes when the caller returns.
fn guard(inner: Pid, signals: &SignalFd, folder: &Watch) -> i32 {
    loop {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(folder.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => break,
            Ok(_) => {}
        }
        let signalled = fds[0].any().unwrap_or(true);
        if signalled && !matches!(signals.read_signal(), Ok(Some(signal)) if signal.ssi_signo != Signal::SIGCHLD as u32)
        {
            break;
        }
        if signalled || folder.is_lost() {
            let _ = kill(inner, Signal::SIGKILL);
        }
    }
    match waitpid(inner, None) {
        Ok(nix::sys::wait::WaitStatus::Exited(_, code)) => code,
        _ => 1,
    }
}

fn block_signals() -> Result<SignalFd, LabError> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    let failed = |errno: nix::Error| LabError::System { operation: "block signals".to_owned(), source: errno.into() };
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(failed)
}

/// Two files a node are open at once; the usual soft limit of 1,024 would end at 500 nodes.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn read_order(mut client: &UnixStream) -> Result<Order, LabError> {
    let mut line = Vec::new();
    let mut byte = [0u8];
    loop {
        match client.read(&mut byte) {
            Ok(1) if byte[0] != b'\n' => line.push(byte[0]),
            Ok(1) => break,
            _ => return Err(LabError::Holder { what: "was started by hand; use `longhaul lab up`".to_owned() }),
        }
    }
    serde_json::from_slice(&line).map_err(|error| LabError::Holder { what: format!("cannot read its order: {error}") })
}

/// Errors go to a file: the terminal of the command that started the lab must not be kept open by it.
fn redirect_errors(entry: &Entry) -> io::Result<()> {
    let log = File::create(entry.folder().join("log"))?;
    Ok(dup2_stderr(log)?)
}

/// Ties the calling process to its parent, whose file is `parent`: it dies with it, also when that is dead already.
fn die_with(parent: BorrowedFd<'_>) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut fds = [PollFd::new(parent, PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO)?;
    if fds[0].any().unwrap_or(true) { Err(io::Error::other("it has ended")) } else { Ok(()) }
}

/// The first process of the lab's process namespace.
struct Inner<'a> {
    order: &'a Order,
    holder: Pid,
    outer: &'a Process,
    own_user_namespace: bool,
    rescue: &'a Rescue,
}

impl Inner<'_> {
    fn run(&self, client: &UnixStream, listener: UnixListener, signals: &SignalFd) -> Result<(), LabError> {
        let system = |operation: &'static str| {
            move |source: io::Error| LabError::System { operation: operation.to_owned(), source }
        };
        die_with(self.outer.as_fd()).map_err(system("die with the outer process"))?;
        let networks = network::build(&self.order.nodes)?;
        let agents = networks
            .iter()
            .map(|network| self.start_agent(network.as_fd()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("start an agent"))?;
        let info = LabInfo {
            name: self.order.name.clone(),
            nodes: self.order.nodes.clone(),
            source: self.order.source.clone(),
            holder: self.holder.as_raw(),
            since: self.order.since.clone(),
        };
        let mut client = client.try_clone().map_err(system("keep the client's socket"))?;
        announce(&mut client, &Birth::Ready(info.clone()));
        let surroundings =
            Networks { nodes: networks, own_user_namespace: self.own_user_namespace, rescue: self.rescue };
        let nonblocking = SignalFd::as_raw_fd(signals);
        set_nonblocking(nonblocking).map_err(system("prepare signals"))?;
        let lease = Duration::from_millis(self.order.lease_ms);
        Relay::new(info, &surroundings, listener, client, agents, lease)
            .and_then(|mut relay| relay.run(signals))
            .map_err(system("run the lab"))
    }

    /// Starts this program again as the agent of the node whose network namespace is `network`.
    fn start_agent(&self, network: BorrowedFd<'_>) -> io::Result<(UnixStream, Process)> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let mut command = own_program();
        command.args([AGENT_COMMAND, "--interface", network::NODE_INTERFACE]);
        command.envs(self.order.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(theirs.try_clone()?)).stdout(Stdio::from(theirs));
        let namespace = network.try_clone_to_owned()?;
        // SAFETY: between fork and exec only two system calls are made, on a descriptor that lives in the closure.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(())
            });
        }
        // Not waited for here: the relay reaps every child.
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok((ours, Process::open(Pid::from_raw(pid))?))
    }
}

fn set_nonblocking(fd: i32) -> io::Result<()> {
    // SAFETY: the descriptor is the signal file of the caller, open for the whole call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok(())
}

/// This program, to be started again. By its path, so that process lists name it, unless it was replaced or removed since.
pub fn own_program() -> Command {
    match std::env::current_exe() {
        Ok(path) if path.exists() => Command::new(path),
        _ => Command::new("/proc/self/exe"),
    }
}

/// The nodes' network namespaces.
struct Networks<'a> {
    nodes: Vec<OwnedFd>,
    own_user_namespace: bool,
    rescue: &'a Rescue,
}

impl Surroundings for Networks<'_> {
    fn namespaces(&self, node: NodeIndex) -> io::Result<NodeNamespaces> {
        of_lab(self.nodes[node].try_clone()?, self.own_user_namespace)
    }

    fn agent_died(&self, node: NodeIndex) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if setns(self.nodes[node].as_fd(), CloneFlags::CLONE_NEWNET).is_ok() {
                    (self.rescue)();
                }
            });
        });
    }
}
