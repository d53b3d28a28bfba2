//! Linux namespaces: making them for a lab, and entering those of a node.
#![allow(unsafe_code)] // `fork` is unsafe to call, from single-threaded processes only; `pre_exec` runs between fork and exec.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork};

use super::LabError;

/// The namespaces of one node, as open files.
pub struct NodeNamespaces {
    /// Absent when the lab runs as root, without a user namespace of its own.
    pub user: Option<OwnedFd>,
    /// The lab's mount namespace, where the hosts file names the nodes.
    pub mount: OwnedFd,
    /// The lab's process namespace: what runs in it ends with the lab.
    pub pid: OwnedFd,
    /// The node's network namespace.
    pub net: OwnedFd,
}

impl NodeNamespaces {
    /// The order in which they travel between processes.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        let mut fds = vec![self.mount, self.pid, self.net];
        fds.extend(self.user);
        fds
    }

    /// The inverse of [`into_fds`](Self::into_fds); `None` when the number does not fit.
    pub fn from_fds(fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        let (mount, pid, net) = (fds.next()?, fds.next()?, fds.next()?);
        Some(Self { user: fds.next(), mount, pid, net })
    }
}

/// Leaves for namespaces of our own: user (unless root suffices), mount, network, and processes for the next child.
/// True when a user namespace was made.
pub(super) fn isolate() -> Result<bool, LabError> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let rest = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    let needs_user_namespace = !(uid.is_root() && unshare(rest).is_ok());
    if needs_user_namespace {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(refused)?;
        map_identity(uid, gid)?;
        unshare(rest).map_err(refused)?;
    }
    // Nothing gets out, but what is unmounted outside goes here too: a lab must not keep a disk busy.
    let inward = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, inward, None::<&str>).map_err(refused)?;
    Ok(needs_user_namespace)
}

/// Maps the user and group to 0 inside: what an ordinary user may do without help.
fn map_identity(uid: Uid, gid: Gid) -> Result<(), LabError> {
    let write = |path: &'static str, text: String| {
        fs::write(path, text).map_err(|source| LabError::System { operation: path.to_owned(), source })
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Says why namespaces are refused and which setting to change.
fn refused(errno: nix::Error) -> LabError {
    LabError::NoNamespaces { source: errno, hint: namespace_hint(|path| fs::read_to_string(path).ok()) }
}

/// The first setting of this kernel that forbids user namespaces. `read` gives the text of a file under `/proc/sys`.
fn namespace_hint(read: impl Fn(&str) -> Option<String>) -> String {
    const SETTINGS: [(&str, &str, &str); 4] = [
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_net_namespaces", "0", "sysctl -w user.max_net_namespaces=10000"),
    ];
    for (setting, bad, cure) in SETTINGS {
        if read(&format!("/proc/sys/{setting}")).is_some_and(|text| text.trim() == bad) {
            return format!("{} is {bad}; as root: {cure}, or run longhaul as root", setting.replace('/', "."));
        }
    }
    "no setting that forbids them was found; a container's seccomp profile may (run it with more privileges), \
     or run longhaul as root"
        .to_owned()
}

/// Forks. The child runs `child` and ends with the exit code that it returns.
///
/// Call only while the process has one thread: the child of a threaded process may hold locks that nobody releases.
pub fn fork_child(child: impl FnOnce() -> i32) -> Result<Pid, LabError> {
    // SAFETY: the process is single-threaded here, so the child inherits no lock held by another thread.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => std::process::exit(child()),
        Err(errno) => Err(LabError::System { operation: "fork".to_owned(), source: errno.into() }),
    }
}

/// Mounts a new `/proc` for the process namespace, and `hosts` over `/etc/hosts`. Best effort: in containers with
/// a masked `/proc` the first is refused, and a minimal image may have no `/etc/hosts`; the lab works without both.
pub(super) fn dress(hosts: &Path) {
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>);
    let _ = mount(Some(hosts), "/etc/hosts", None::<&str>, MsFlags::MS_BIND, None::<&str>);
}

/// Makes a network namespace in a thread of its own and runs `inside` there; the calling thread stays where it is.
pub(super) fn with_new_network<T: Send>(inside: impl FnOnce() -> T + Send) -> Result<(OwnedFd, T), LabError> {
    let failed = |operation: &str, source: io::Error| LabError::System { operation: operation.to_owned(), source };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(refused)?;
            let namespace =
                File::open("/proc/thread-self/ns/net").map_err(|e| failed("open a network namespace", e))?;
            Ok((OwnedFd::from(namespace), inside()))
        });
        thread.join().unwrap_or_else(|_| Err(failed("make a network namespace", io::Error::other("thread panicked"))))
    })
}

/// The namespaces of the calling process, with the network namespace `net`. `user` only when the lab has its own.
pub(super) fn of_lab(net: OwnedFd, own_user_namespace: bool) -> io::Result<NodeNamespaces> {
    let open = |kind: &str| File::open(format!("/proc/self/ns/{kind}")).map(OwnedFd::from);
    let user = if own_user_namespace { Some(open("user")?) } else { None };
    Ok(NodeNamespaces { user, mount: open("mnt")?, pid: open("pid")?, net })
}

/// Moves the calling, single-threaded process into a node's namespaces; children, not the caller, are in its process namespace.
pub fn enter(namespaces: &NodeNamespaces) -> Result<(), LabError> {
    let join = |fd: &OwnedFd, kind: CloneFlags, name: &str| {
        setns(fd.as_fd(), kind).map_err(|errno| LabError::System {
            operation: format!("enter the {name} namespace"),
            source: errno.into(),
        })
    };
    let folder = std::env::current_dir().ok();
    if let Some(user) = &namespaces.user {
        join(user, CloneFlags::CLONE_NEWUSER, "user")?;
    }
    join(&namespaces.mount, CloneFlags::CLONE_NEWNS, "mount")?;
    join(&namespaces.pid, CloneFlags::CLONE_NEWPID, "process")?;
    join(&namespaces.net, CloneFlags::CLONE_NEWNET, "network")?;
    if let Some(folder) = folder {
        let _ = std::env::set_current_dir(folder);
    }
    show_own_interfaces();
    Ok(())
}

/// Makes `command` start in a node's network and die with the calling thread. It is not in the lab's process namespace: the lab's
/// end does not end it. The files, the folder and the user stay those of the caller.
pub fn place_in(command: &mut Command, namespaces: &NodeNamespaces) -> io::Result<()> {
    let user = namespaces.user.as_ref().map(OwnedFd::try_clone).transpose()?;
    let (net, parent) = (namespaces.net.try_clone()?, Pid::this());
    // SAFETY: between fork and exec only system calls are made, on descriptors that live in the closure.
    unsafe {
        command.pre_exec(move || {
            if let Some(user) = &user {
                setns(user.as_fd(), CloneFlags::CLONE_NEWUSER)?;
            }
            setns(net.as_fd(), CloneFlags::CLONE_NEWNET)?;
            // Last: a change of the user namespace would undo it.
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // Who died before that was asked for sends no signal.
            if Pid::parent() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
        });
    }
    Ok(())
}

/// Mounts a `/sys` that shows the node's interfaces, in a mount namespace of the caller's own. Best effort: programs that
/// ask netlink need it not.
fn show_own_interfaces() {
    if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
        let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_setting_and_the_cure() {
        let with = |name: &'static str, value: &'static str| {
            namespace_hint(move |path| (path == format!("/proc/sys/{name}")).then(|| format!("{value}\n")))
        };
        assert_eq!(
            with("user/max_user_namespaces", "0"),
            "user.max_user_namespaces is 0; as root: sysctl -w user.max_user_namespaces=10000, or run longhaul as root"
        );
        assert!(with("kernel/apparmor_restrict_unprivileged_userns", "1").contains("apparmor_restrict"));
        assert!(with("kernel/unprivileged_userns_clone", "1").contains("seccomp"));
    }
}
