//! Capture by a BPF program: matched packets go to the delay line as long as this process holds the program's link.
//!
//! ```text
//!            tables: v4 trie, v6 trie, services
//!                      ▲ look up
//! egress of eth0 ─► program ─redirect─► lh0 ═veth═ lh1 ─► delay line
//!                      └─pass─► other programs, filters, qdisc, driver
//! ```
//!
//! Program, tables and link live by open files alone: nothing is pinned. When the process ends, however it ends, the kernel
//! closes them, the program leaves the interface, and packets go undelayed. The program is assembled here, from
//! a few instructions; no compiler is needed. It takes kernel 6.6 (TCX) and, in the first user namespace, `CAP_BPF` and
//! `CAP_NET_ADMIN`.

mod assembler;
mod program;
mod syscall;
mod tables;
mod trie;

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::errno::Errno;

use self::assembler::AssemblyError;
use self::program::Parts;
use self::syscall::Attached;
use self::tables::{Tables, name};
use crate::shaping::{Block, Catch, Profile, Verdicts};

/// The program's name, by which `bpftool` shows it and by which we know our own.
const PROGRAM_NAME: &str = "longhaul";
/// The kernel asks for one; the program uses no function that is for the GPL only.
const LICENSE: &std::ffi::CStr = c"Apache-2.0";
/// How long the program of a process that is ending may stay.
const ENDING: Duration = Duration::from_millis(500);
/// How often to look meanwhile.
const ENDING_POLL: Duration = Duration::from_millis(2);
/// Lines of the verifier's log in an error.
const LOG_LINES: usize = 6;

/// Why the capture program does not work.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// The kernel refused an operation.
    #[error("{operation}: {}", errno.desc())]
    Kernel {
        /// What was tried.
        operation: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The verifier did not accept the program.
    #[error("load the capture program: {}; the verifier says: {log}", errno.desc())]
    Verifier {
        /// The kernel's answer.
        errno: Errno,
        /// The last lines of its log.
        log: String,
    },
    /// The program could not be put together.
    #[error("assemble the capture program: {0}")]
    Assembly(String),
    /// Another process has such a program on the interface.
    #[error(
        "another longhaul has its capture program (number {program}) on the interface already; clear that one first, or end its agent"
    )]
    Taken {
        /// The number of its program.
        program: u32,
    },
}

impl BpfError {
    /// Makes the error of an operation from the kernel's answer.
    fn of(operation: impl Into<String>) -> impl Fn(Errno) -> Self {
        let operation = operation.into();
        move |errno| Self::Kernel { operation: operation.clone(), errno }
    }

    /// What the kernel answered.
    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } | Self::Verifier { errno, .. } => Some(*errno),
            Self::Assembly(_) | Self::Taken { .. } => None,
        }
    }
}

impl From<AssemblyError> for BpfError {
    fn from(error: AssemblyError) -> Self {
        Self::Assembly(error.to_string())
    }
}

/// Whether the program is where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: never attached, or its interface has gone.
    Nowhere,
    /// On the interface, leading to the device.
    Here,
    /// On another interface, or leading to another device, as after one of them was made anew.
    Elsewhere,
}

/// The capture program with its tables.
#[derive(Debug)]
pub(super) struct Capture {
    tables: Tables,
    hook: Option<Hook>,
}

/// A program on an interface.
#[derive(Debug)]
struct Hook {
    link: OwnedFd,
    /// The device that the program redirects to.
    device: u32,
}

impl Capture {
    /// Makes empty tables; nothing is captured yet.
    pub(super) fn new() -> Result<Self, BpfError> {
        Ok(Self { tables: Tables::make()?, hook: None })
    }

    /// Says what becomes of packets to a prefix, at once; `None` takes the prefix out.
    pub(super) fn set_prefix(&self, prefix: &IpNet, catch: Option<Catch>) -> Result<(), BpfError> {
        self.tables.set_prefix(prefix, catch)
    }

    /// Says what becomes of a block of a profile, at once; `None` takes it out.
    pub(super) fn set_service(
        &self,
        profile: Profile,
        block: Block,
        verdicts: Option<Verdicts>,
    ) -> Result<(), BpfError> {
        self.tables.set_service(profile, block, verdicts)
    }

    /// All prefixes, read from the kernel.
    pub(super) fn prefixes(&self) -> Result<Vec<(IpNet, Catch)>, BpfError> {
        self.tables.prefixes()
    }

    /// All services, read from the kernel.
    pub(super) fn services(&self) -> Result<Vec<(Profile, Block, Verdicts)>, BpfError> {
        self.tables.services()
    }

    /// Puts the program on the egress of `interface`, behind those that are there, to redirect to `device`. One that is
    /// there already is replaced at once. Both are indexes in the calling thread's network namespace.
    pub(super) fn attach(&mut self, interface: u32, device: u32) -> Result<(), BpfError> {
        let program = self.load(device)?;
        if let Some(hook) = &mut self.hook
            && syscall::link_info(hook.link.as_fd()).is_ok_and(|link| link.interface == interface)
        {
            syscall::replace(hook.link.as_fd(), program.as_fd())
                .map_err(BpfError::of("replace the capture program"))?;
            hook.device = device;
            return Ok(());
        }
        alone(interface)?;
        let failed = BpfError::of("attach the capture program to the interface");
        let link = syscall::attach(program.as_fd(), interface).map_err(failed)?;
        self.hook = Some(Hook { link, device });
        Ok(())
    }

    /// Takes the program off its interface.
    pub(super) fn detach(&mut self) {
        self.hook = None;
    }

    /// Asks the kernel where the program is.
    pub(super) fn place(&self, interface: Option<u32>, device: Option<u32>) -> Result<Place, BpfError> {
        let Some(hook) = &self.hook else { return Ok(Place::Nowhere) };
        let link = syscall::link_info(hook.link.as_fd()).map_err(BpfError::of("look at the capture program's link"))?;
        if link.interface == 0 {
            return Ok(Place::Nowhere);
        }
        if interface != Some(link.interface) || device != Some(hook.device) {
            return Ok(Place::Elsewhere);
        }
        let all = syscall::attached(link.interface).map_err(list_failed())?;
        let listed = all.contains(&Attached { program: link.program, link: link.number });
        Ok(if listed { Place::Here } else { Place::Elsewhere })
    }

    fn load(&self, device: u32) -> Result<OwnedFd, BpfError> {
        let Tables { four, six, services } = &self.tables;
        let parts = Parts { four: four.descriptor(), six: six.descriptor(), services: services.descriptor(), device };
        let instructions = program::assemble(&parts)?;
        syscall::load(&instructions, name(PROGRAM_NAME), LICENSE)
            .map_err(|refused| BpfError::Verifier { errno: refused.errno, log: last_lines(&refused.log) })
    }
}

/// Waits until no other capture program is on the interface: a process that is ending takes a moment.
fn alone(interface: u32) -> Result<(), BpfError> {
    let start = Instant::now();
    while let Some(other) = others_of_ours(interface)?.first() {
        if start.elapsed() > ENDING {
            return Err(BpfError::Taken { program: other.program });
        }
        sleep(ENDING_POLL);
    }
    Ok(())
}

/// Puts an empty capture program on the interface of that index and takes it off again.
pub(super) fn try_on(interface: u32) -> Result<(), BpfError> {
    Capture::new()?.attach(interface, interface)
}

/// Takes every capture program off `interface`, whoever holds it: for supervisors of a process that does not answer. Without
/// the privilege to do so the end of that process does it. Returns how many there were.
pub(super) fn sweep(interface: u32) -> Result<usize, BpfError> {
    let ours = others_of_ours(interface)?;
    for attached in &ours {
        let link =
            syscall::link_by_number(attached.link).map_err(BpfError::of("open the link of a capture program"))?;
        syscall::detach(link.as_fd()).map_err(BpfError::of("detach a capture program"))?;
    }
    Ok(ours.len())
}

/// Whether there is a capture program on `interface`, whoever holds it; no where we may not look.
pub(super) fn is_on(interface: u32) -> bool {
    others_of_ours(interface).is_ok_and(|ours| !ours.is_empty())
}

/// Programs of our name on an interface; none where we may not look.
fn others_of_ours(interface: u32) -> Result<Vec<Attached>, BpfError> {
    let all = match syscall::attached(interface) {
        Ok(all) => all,
        Err(Errno::EPERM | Errno::EINVAL | Errno::ENOSYS | Errno::ENODEV) => return Ok(Vec::new()),
        Err(errno) => return Err(list_failed()(errno)),
    };
    let named = |attached: &Attached| {
        let program = syscall::program_by_number(attached.program);
        program
            .and_then(|program| syscall::program_info(program.as_fd()))
            .is_ok_and(|info| info.name == name(PROGRAM_NAME))
    };
    Ok(all.into_iter().filter(named).collect())
}

fn list_failed() -> impl Fn(Errno) -> BpfError {
    BpfError::of("list the programs on the interface")
}

/// The end of a log, in one line.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "nothing".to_owned();
    }
    lines[lines.len().saturating_sub(LOG_LINES)..].join(" | ")
}

/// Puts a program of that name, which lets everything pass, on an interface as another tool would.
#[cfg(test)]
pub(super) fn other_program(called: &str, interface: u32) -> OwnedFd {
    let mut code = assembler::Assembler::default();
    code.set(assembler::Register::R0, -1);
    code.exit();
    let loaded = code.finish().ok().and_then(|code| syscall::load(&code, name(called), LICENSE).ok());
    let link = loaded.and_then(|program| syscall::attach(program.as_fd(), interface).ok());
    link.unwrap_or_else(|| panic!("cannot attach the program `{called}`"))
}

/// The names of the programs on an interface, in the order in which packets meet them.
#[cfg(test)]
pub(super) fn names_on(interface: u32) -> Vec<String> {
    let info = |attached: &Attached| {
        let program = syscall::program_by_number(attached.program)?;
        syscall::program_info(program.as_fd())
    };
    let name = |info: syscall::ProgramInfo| String::from_utf8_lossy(&info.name).trim_end_matches('\0').to_owned();
    let all = syscall::attached(interface).unwrap_or_default();
    all.iter().map(|attached| info(attached).map_or("?".to_owned(), name)).collect()
}

#[cfg(test)]
mod tests;
