//! Probe of the capture by a BPF program, which vanishes with the process that holds it (TCX).

use nix::errno::Errno;

use crate::shaping::Ability;
use crate::tc::bpf::{BpfError, try_on};

const LOOPBACK: u32 = 1;

/// Loads the capture program and attaches it to the loopback interface of the calling thread's namespace; both vanish again.
pub(super) fn tcx() -> Ability {
    match try_on(LOOPBACK) {
        Ok(()) => Ability::Present,
        Err(error) => Ability::missing(error.to_string(), remedy(&error)),
    }
}

fn remedy(error: &BpfError) -> &'static str {
    match error.errno() {
        Some(Errno::EPERM | Errno::EACCES) => {
            "run as root; BPF takes CAP_BPF and CAP_NET_ADMIN outside of any user namespace, so a lab of an ordinary user \
             has none"
        }
        Some(Errno::ENOSYS) => "a kernel with CONFIG_BPF_SYSCALL",
        _ => "a kernel from 6.6 on with CONFIG_BPF_SYSCALL and CONFIG_NET_XGRESS",
    }
}
