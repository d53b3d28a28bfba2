//! Ctrl-C and its like, taken as news instead of as an end.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that would end this process.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Takes them, for this thread and those that it starts.
    pub(super) fn take() -> anyhow::Result<Self> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        set.thread_block().context("block signals")?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("take signals")?))
    }

    /// Waits so long; the number of a signal that came meanwhile.
    pub(super) fn wait(&self, patience: Duration) -> Option<u8> {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is a short one; the caller looks at the clock.
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], patience);
        let signal = self.0.read_signal().ok().flatten()?;
        Some(u8::try_from(signal.ssi_signo).unwrap_or(0))
    }
}
