//! Processes of the agent: forks without a new program, files that stand for processes, and detaching from whoever started us.
#![allow(unsafe_code)] // fork, close_range and the pidfd calls have no safe wrapper

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::lease::Moment;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// Runs `child` in a new process, which ends with the exit code that it returns.
///
/// Call only while the process has one thread: the child of a threaded process may hold locks that nobody releases.
pub fn fork_off(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the process is single-threaded here, so the child inherits no lock held by another thread; it ends with `_exit`,
    // so no destructor or exit handler of the parent runs twice.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = child();
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Closes every file of the process but these: what a child of a fork has inherited and must not keep open.
pub fn close_all_but(kept: &[RawFd]) {
    let mut kept: Vec<u32> = kept.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > first {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: the caller gives up all other files: it is a fresh child whose parent has its own copies.
            let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Leaves the session of whoever started this process, and everything that could keep it waiting: terminal, pipes, folder.
pub fn leave_starter() -> io::Result<()> {
    setsid()?;
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    std::env::set_current_dir("/")
}

/// What `ps` shows as the process's command.
pub fn set_name(name: &str) {
    let Ok(name) = std::ffi::CString::new(name) else { return };
    let _ = prctl::set_name(&name);
}

/// A whole group of processes is often told to end at once; those who tidy up behind the others stay until they have.
pub fn outlast_signals() {
    for ending in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        // SAFETY: ignoring a signal installs no handler.
        let _ = unsafe { signal(ending, SigHandler::SigIgn) };
    }
}

/// Keeps memory that was freed for the next use, instead of handing it back to the kernel and faulting it in again page by page: each
/// apply reads and compares the same thousands of objects, and on User-Mode Linux those faults were half of its time.
///
/// Up to [`KEPT_MEMORY`] stay with the process. Only glibc is told; others have ways of their own.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in
        [(libc::M_TRIM_THRESHOLD, KEPT_MEMORY), (libc::M_MMAP_THRESHOLD, LARGEST_ON_HEAP), (libc::M_TOP_PAD, HEAP_STEP)]
    {
        // SAFETY: sets one number of the allocator; a value that it does not take changes nothing.
        let _ = unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// How much freed memory a process keeps at the end of its heap.
const KEPT_MEMORY: i32 = 64 << 20;
/// Allocations beyond this are mapped, and go back to the kernel when they are freed; glibc takes no more.
const LARGEST_ON_HEAP: i32 = 32 << 20;
/// By how much a heap grows beyond what is asked for.
const HEAP_STEP: i32 = 1 << 20;

/// A process as an open file: it never means another process that got the same number later.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    file: OwnedFd,
}

impl Process {
    /// Opens the process of that number.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: the call takes numbers only.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let fd = RawFd::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        Ok(Self { pid, file: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Takes over a file that another process has sent.
    pub const fn from_file(pid: Pid, file: OwnedFd) -> Self {
        Self { pid, file }
    }

    /// Its number.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Readable once it has ended.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether it has ended within `timeout`.
    pub fn ends_within(&self, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, timeout), Ok(count) if count > 0)
    }

    /// Kills it; nothing happens when it has ended.
    pub fn kill(&self) {
        // SAFETY: the descriptor is ours and open; no information is passed along.
        let _ = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.file.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
    }

    /// Waits for the end of a child, and kills it when that takes longer than `patience`. Says how it ended, in words.
    pub fn end(&self, patience: PollTimeout) -> String {
        if !self.ends_within(patience) {
            self.kill();
            let _ = self.reap();
            return "did not end and was killed".to_owned();
        }
        match self.reap() {
            Ok(WaitStatus::Exited(_, code)) => format!("ended with exit code {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("was killed by {signal}"),
            _ => "is gone".to_owned(),
        }
    }

    /// Waits for the end of a child.
    fn reap(&self) -> nix::Result<WaitStatus> {
        loop {
            match waitpid(self.pid, None) {
                Err(Errno::EINTR) => {}
                status => return status,
            }
        }
    }
}

/// How long to poll until a moment, rounded up so that it has come then.
pub fn timeout(until: Moment, now: Moment) -> PollTimeout {
    let left = until.saturating_sub(now);
    let milliseconds = left.as_millis() + u128::from(!left.subsec_nanos().is_multiple_of(1_000_000));
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    #[allow(clippy::zombie_processes)] // they are waited for by their process files
    fn a_child_is_killed_and_its_end_told() {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::open(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
        assert!(!process.ends_within(PollTimeout::ZERO));
        process.kill();
        assert!(process.ends_within(PollTimeout::from(10_000u16)));
        assert_eq!(process.end(PollTimeout::ZERO), "was killed by SIGKILL");
        process.kill();
        let child = Command::new("false").spawn().unwrap();
        let process = Process::open(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
        assert!(process.ends_within(PollTimeout::from(10_000u16)));
        assert_eq!(process.end(PollTimeout::ZERO), "ended with exit code 1");
    }
}
