//! Finds out what this kernel lets this user do, by trying it in a scratch network namespace that is thrown away.
//!
//! Configuration files lie: a module may be missing, a container may refuse, a fix may have taken something away. So nothing
//! is looked up that can be tried.
#![allow(unsafe_code)] // fork, for users who need a user namespace: that takes a process with a single thread

mod bpf;
mod links;
mod sockets;

use std::fs::File;
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, pipe};

use crate::shaping::{Abilities, Ability};

/// The settings that govern who may make user namespaces.
const SYSCTLS: [&str; 3] =
    ["user.max_user_namespaces", "kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"];

/// What this kernel and this user can do.
///
/// Tried in a network namespace of a thread of its own where the caller has the privilege to make one, else in a user and
/// network namespace of a process of its own: then the answers are those for an ordinary user's lab.
pub fn probe() -> Abilities {
    let tried = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).map(|()| inside())).join();
    let mut abilities = match tried {
        Ok(Ok(abilities)) => abilities,
        Ok(Err(Errno::EPERM)) => in_user_namespace(),
        Ok(Err(errno)) => no_namespace(&format!("a network namespace: {}", errno.desc())),
        Err(_) => Abilities::none("the probe ended unexpectedly", "report this with the output of `dmesg`"),
    };
    abilities.kernel =
        nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    abilities.sysctls = SYSCTLS.iter().filter_map(|name| Some(((*name).to_owned(), sysctl(name)?))).collect();
    abilities
}

/// All probes, in a fresh network namespace.
fn inside() -> Abilities {
    let links = links::probe();
    Abilities {
        kernel: String::new(),
        namespace: Ability::Present,
        ifb: links.ifb,
        veth: links.veth,
        clsact: links.clsact,
        redirect: links.redirect,
        htb: links.htb,
        netem: links.netem,
        netem_duplicate: links.netem_duplicate,
        skbedit: links.skbedit,
        packet_socket: sockets::packet_socket(),
        large_buffers: sockets::large_buffers(),
        tun: sockets::tun(),
        tcx: bpf::tcx(),
        priority: sockets::priority(),
        sysctls: Vec::new(),
    }
}

/// The probes in a child process, which may make a user namespace because it has a single thread.
fn in_user_namespace() -> Abilities {
    let Ok((read, write)) = pipe() else { return no_namespace("a pipe to the probing process") };
    // SAFETY: the child makes system calls, allocates (glibc keeps its allocator usable after fork) and takes no other lock
    // that a thread of the parent might hold; it ends with _exit, so no destructor or exit handler of the parent runs twice.
    match unsafe { fork() } {
        Err(errno) => no_namespace(&format!("a process for the probe: {}", errno.desc())),
        Ok(ForkResult::Child) => {
            drop(read);
            let answer = match unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
                Ok(()) => inside(),
                Err(errno) => no_namespace(&format!("a user and network namespace: {}", errno.desc())),
            };
            let sent = serde_json::to_vec(&answer).is_ok_and(|bytes| File::from(write).write_all(&bytes).is_ok());
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(i32::from(!sent)) }
        }
        Ok(ForkResult::Parent { child }) => {
            drop(write);
            let mut bytes = Vec::new();
            let received = File::from(read).read_to_end(&mut bytes);
            let _ = waitpid(child, None);
            let answer = received.ok().and_then(|_| serde_json::from_slice(&bytes).ok());
            answer.unwrap_or_else(|| no_namespace("the probing process gave no answer"))
        }
    }
}

/// Nothing works without a namespace; names the settings that may forbid it.
fn no_namespace(why: &str) -> Abilities {
    let forbids = |name: &&str| match (*name, sysctl(name).as_deref()) {
        ("kernel.apparmor_restrict_unprivileged_userns", Some("1")) => Some(format!("{name}=0 (now 1)")),
        ("kernel.unprivileged_userns_clone", Some("0")) => Some(format!("{name}=1 (now 0)")),
        ("user.max_user_namespaces", Some("0")) => Some(format!("{name}=10000 (now 0)")),
        _ => None,
    };
    let settings: Vec<String> = SYSCTLS.iter().filter_map(forbids).collect();
    let remedy = if settings.is_empty() {
        "run as root, or in a container that permits user namespaces".to_owned()
    } else {
        format!("run as root, or `sysctl -w` {}", settings.join(" and "))
    };
    Abilities::none(why, &remedy)
}

/// The value of a sysctl; `None` where it does not exist.
fn sysctl(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sysctls_are_read_by_their_dotted_names() {
        assert_eq!(sysctl("kernel.ostype").as_deref(), Some("Linux"));
        assert_eq!(sysctl("kernel.no_such_thing"), None);
    }

    /// Thread and process find the same where both can; only what the first user namespace grants may differ.
    #[test]
    fn an_ordinary_user_and_root_find_the_same_kernel() {
        let (root, user) = (probe(), in_user_namespace());
        println!("{root:#?}");
        let same = |abilities: &Abilities| {
            let kernel: Vec<bool> = abilities.list()[1..10].iter().map(|(_, ability)| ability.is_present()).collect();
            kernel
        };
        if root.namespace.is_present() && user.namespace.is_present() {
            assert_eq!(same(&root), same(&user));
        }
        if nix::unistd::geteuid().is_root() {
            assert!(!user.large_buffers.is_present(), "buffers are the first user namespace's to grant");
        }
    }

    /// What is claimed is what `tc` finds, in another namespace of its own.
    #[test]
    fn iproute2_agrees() {
        let abilities = probe();
        for (command, ability) in [
            ("ip link add x type ifb", &abilities.ifb),
            ("ip link add x type veth peer name y", &abilities.veth),
            ("tc qdisc add dev lo clsact", &abilities.clsact),
            ("tc qdisc add dev lo root htb", &abilities.htb),
            ("tc qdisc add dev lo root netem delay 1ms", &abilities.netem),
            (
                "tc qdisc add dev lo clsact && tc filter add dev lo egress protocol ip u32 match u32 0 0 action skbedit priority 1:1",
                &abilities.skbedit,
            ),
        ] {
            let output = std::process::Command::new("unshare").args(["-rn", "sh", "-c", command]).output().unwrap();
            assert_eq!(output.status.success(), ability.is_present(), "{command}: {output:?} but {ability:?}");
        }
    }
}
