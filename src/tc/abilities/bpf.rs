//! Probe of BPF programs that are attached to an interface by a link, and vanish with the process that holds it (TCX).
#![allow(unsafe_code)] // bpf(2) has no safe wrapper

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use crate::shaping::Ability;

const BPF_PROG_LOAD: i32 = 5;
const BPF_LINK_CREATE: i32 = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_TCX_EGRESS: u32 = 47;
const LOOPBACK: u32 = 1;

/// `r0 = -1; exit`: the program that leaves every packet to the next.
const PROGRAM: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

/// The start of `union bpf_attr` for loading a program.
#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 12],
}

/// The start of `union bpf_attr` for attaching one.
#[repr(C)]
struct Link {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    rest: [u64; 4],
}

/// Loads a program and attaches it to the loopback interface of the calling thread's namespace; both vanish again.
pub(super) fn tcx() -> Ability {
    let load = Load {
        program_type: BPF_PROG_TYPE_SCHED_CLS,
        instruction_count: 2,
        instructions: PROGRAM.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        rest: [0; 12],
    };
    let program = match call(BPF_PROG_LOAD, &load) {
        Ok(program) => program,
        Err(errno) => {
            return Ability::missing(
                format!("loading a BPF program: {}", errno.desc()),
                "run as root (CAP_BPF and CAP_NET_ADMIN outside of user namespaces), on a kernel with CONFIG_BPF_SYSCALL",
            );
        }
    };
    let link = Link {
        program: program.as_raw_fd().cast_unsigned(),
        interface: LOOPBACK,
        attach_type: BPF_TCX_EGRESS,
        flags: 0,
        rest: [0; 4],
    };
    match call(BPF_LINK_CREATE, &link) {
        Ok(_) => Ability::Present,
        Err(errno) => {
            Ability::missing(format!("attaching a BPF program by a link: {}", errno.desc()), "a kernel from 6.6")
        }
    }
}

fn call<T>(command: i32, attributes: &T) -> Result<OwnedFd, Errno> {
    // SAFETY: both commands read at most the given size from the structure, which starts as `union bpf_attr` does for that
    // command and is zero beyond; the pointers inside it are to statics.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let descriptor = Errno::result(answer)?;
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::EBADF)?;
    // SAFETY: both commands return a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
