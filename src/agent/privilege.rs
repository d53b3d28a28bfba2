//! Least privilege: the capabilities that an agent keeps, what it says when one is missing, and giving up all others for good.
#![allow(unsafe_code)] // capget, capset and their prctl have no safe wrapper

use std::io;

use nix::errno::Errno;
use nix::sys::prctl;

/// A capability of Linux, by its number (`linux/capability.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Capability {
    number: u32,
    name: &'static str,
    purpose: &'static str,
}

/// Without these nothing works.
const NEEDED: [Capability; 2] = [
    Capability { number: 12, name: "CAP_NET_ADMIN", purpose: "to set up traffic control" },
    Capability { number: 13, name: "CAP_NET_RAW", purpose: "to probe, and to send on what the user-space line held" },
];

/// These are kept where they are there: priority of the line's thread, BPF capture.
const USEFUL: [Capability; 3] = [
    Capability { number: 23, name: "CAP_SYS_NICE", purpose: "to be on time on a busy machine" },
    Capability { number: 38, name: "CAP_PERFMON", purpose: "to load BPF programs" },
    Capability { number: 39, name: "CAP_BPF", purpose: "to load BPF programs" },
];

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

/// More capabilities than any kernel has.
const NUMBERS: u32 = 64;

/// Why an agent cannot begin: a capability that it needs is missing.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Some of those that are needed.
    #[error(
        "longhaul-agent lacks {missing} in this network namespace; run it as root, or grant what it needs: \
         setcap cap_net_admin,cap_net_raw,cap_sys_nice+ep {program}"
    )]
    Missing {
        /// Which ones, and what for, in words.
        missing: String,
        /// The program's file.
        program: String,
    },
    /// A system call failed.
    #[error("{operation}: {source}")]
    System {
        /// Which one.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// The three sets of a thread, by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// 32 capabilities of each set; two of them in a row make 64.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Part {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Fails when a capability that every agent needs is not there.
pub fn check() -> Result<(), PrivilegeError> {
    let program =
        std::env::current_exe().map_or_else(|_| "longhaul-agent".to_owned(), |path| path.display().to_string());
    match missing(read()?.permitted) {
        None => Ok(()),
        Some(missing) => Err(PrivilegeError::Missing { missing, program }),
    }
}

/// Gives up everything but what an agent needs, for this process and all that it starts. Call while it has one thread.
pub fn reduce() -> Result<(), PrivilegeError> {
    prctl::set_no_new_privs()
        .map_err(|errno| PrivilegeError::System { operation: "forbid new privileges", source: errno.into() })?;
    for number in 0..NUMBERS {
        // SAFETY: takes numbers only. Refused without CAP_SETPCAP, and beyond the last capability of this kernel; without the
        // first, `no_new_privs` alone keeps lost capabilities lost.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
    }
    // SAFETY: takes numbers only; kernels that do not know it have no ambient set.
    let _ = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let kept = kept(read()?.permitted);
    write(Sets { effective: kept, permitted: kept, inheritable: 0 })
}

const fn bit(capability: Capability) -> u64 {
    1 << capability.number
}

/// What of `permitted` an agent keeps.
fn kept(permitted: u64) -> u64 {
    NEEDED.into_iter().chain(USEFUL).map(bit).sum::<u64>() & permitted
}

/// Which needed capabilities are not in `permitted`, in words; `None` when all are.
fn missing(permitted: u64) -> Option<String> {
    let lacking = NEEDED.into_iter().filter(|capability| permitted & bit(*capability) == 0);
    let words: Vec<String> =
        lacking.map(|capability| format!("{} ({})", capability.name, capability.purpose)).collect();
    if words.is_empty() { None } else { Some(words.join(" and ")) }
}

fn read() -> Result<Sets, PrivilegeError> {
    let header = Header { version: VERSION, pid: 0 };
    let mut parts = [Part::default(); 2];
    // SAFETY: version 3 reads the header and writes two parts, which is what there is room for.
    let answer = unsafe { libc::syscall(libc::SYS_capget, &raw const header, parts.as_mut_ptr()) };
    Errno::result(answer)
        .map_err(|errno| PrivilegeError::System { operation: "read the capabilities", source: errno.into() })?;
    let join = |set: fn(&Part) -> u32| u64::from(set(&parts[1])) << 32 | u64::from(set(&parts[0]));
    Ok(Sets {
        effective: join(|part| part.effective),
        permitted: join(|part| part.permitted),
        inheritable: join(|part| part.inheritable),
    })
}

fn write(sets: Sets) -> Result<(), PrivilegeError> {
    #[allow(clippy::cast_possible_truncation)] // the truncation takes one half
    let half = |set: u64, shift: u32| (set >> shift) as u32;
    let parts = [0, 32].map(|shift| Part {
        effective: half(sets.effective, shift),
        permitted: half(sets.permitted, shift),
        inheritable: half(sets.inheritable, shift),
    });
    let header = Header { version: VERSION, pid: 0 };
    // SAFETY: version 3 reads the header and two parts, which are there.
    let answer = unsafe { libc::syscall(libc::SYS_capset, &raw const header, parts.as_ptr()) };
    let failed = |errno: Errno| PrivilegeError::System { operation: "give up capabilities", source: errno.into() };
    Errno::result(answer).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_purpose() {
        assert_eq!(missing(u64::MAX), None);
        assert_eq!(missing(!(1 << 12)).unwrap(), "CAP_NET_ADMIN (to set up traffic control)");
        assert_eq!(
            missing(1 << 21).unwrap(),
            "CAP_NET_ADMIN (to set up traffic control) and CAP_NET_RAW (to probe, and to send on what the user-space line held)"
        );
    }

    #[test]
    fn only_what_is_useful_and_there_is_kept() {
        assert_eq!(kept(u64::MAX), 1 << 12 | 1 << 13 | 1 << 23 | 1 << 38 | 1 << 39);
        assert_eq!(kept(1 << 12 | 1 << 21), 1 << 12);
    }

    /// The kernel's own account of this thread.
    #[test]
    fn the_sets_are_those_that_the_kernel_shows() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let shown = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let sets = read().unwrap();
        assert_eq!(sets.permitted, shown("CapPrm:"));
        assert_eq!(sets.effective, shown("CapEff:"));
        assert_eq!(sets.inheritable, shown("CapInh:"));
    }
}
