//! The guardian: a tiny process that watches keeper and worker, and clears the node when the keeper is killed or hangs.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use nix::unistd::Pid;

use super::Ground;
use crate::agent::process::{Process, close_all_but, fork_off, outlast_signals, set_name, timeout};
use crate::agent::pulse::{Finding, Pulse};

/// The keeper lives: with the time that it may be silent from now on, in milliseconds. The same byte comes back.
const BEAT: u8 = b'b';
/// The worker's process file comes beside this byte.
const WORKER: u8 = b'w';
/// The keeper ends in an orderly way; so does the guardian.
const STAND_DOWN: u8 = b'x';

/// How long a killed worker may take to be gone before the node is cleared all the same.
const WORKER_END: Duration = Duration::from_secs(5);

/// A guardian as its keeper sees it.
pub(super) struct Guardian {
    pub(super) process: Process,
    pub(super) pulse: Pulse,
    socket: OwnedFd,
}

impl Guardian {
    /// Starts one. It holds the listener too, so that nobody else takes the interface before it has cleared the node.
    pub(super) fn start(
        listener: &UnixListener,
        ground: &mut dyn Ground,
        limit: Duration,
        now: Duration,
    ) -> io::Result<Self> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let keeper = Process::open(Pid::this())?;
        let (kept, parent) = ([theirs.as_raw_fd(), listener.as_raw_fd()], keeper.as_fd().as_raw_fd());
        let pid = fork_off(|| {
            close_all_but(&[kept[0], kept[1], parent]);
            set_name("lh-guardian");
            outlast_signals();
            let _ = crate::agent::privilege::reduce();
            guard(&theirs, &keeper, limit, ground);
            0
        })?;
        Ok(Self { process: Process::open(pid)?, pulse: Pulse::new(limit, now), socket: ours })
    }

    /// For polling: its beats.
    pub(super) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Shows it that the keeper lives, and may be silent for `limit`.
    pub(super) fn beat(&self, limit: Duration) {
        let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).to_le_bytes();
        self.send(&[&[BEAT][..], &milliseconds].concat(), None);
    }

    /// Hands it the worker, to be killed when the keeper cannot.
    pub(super) fn watch(&self, worker: &Process) {
        let pid = worker.pid().as_raw().to_le_bytes();
        self.send(&[&[WORKER][..], &pid].concat(), Some(worker.as_fd().as_raw_fd()));
    }

    /// Tells it to end without a word.
    pub(super) fn stand_down(&self) {
        self.send(&[STAND_DOWN], None);
        let _ = self.process.end(PollTimeout::from(1_000u16));
    }

    /// Its death shows in its process file; nothing is lost with an unsent message.
    fn send(&self, bytes: &[u8], file: Option<RawFd>) {
        let files: Vec<RawFd> = file.into_iter().collect();
        let rights = [ControlMessage::ScmRights(&files)];
        let rights = if files.is_empty() { &[][..] } else { &rights };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let _ = sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None);
    }

    /// Takes in its answers; false when it is gone.
    pub(super) fn answers(&mut self, now: Duration) -> bool {
        loop {
            match receive(&self.socket) {
                Ok(Some(_)) => self.pulse.heard(now),
                Ok(None) => return false,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// What came from the keeper.
struct Message {
    bytes: Vec<u8>,
    file: Option<OwnedFd>,
}

#[allow(unsafe_code)] // The kernel hands descriptors over as bare numbers.
fn receive(socket: &OwnedFd) -> io::Result<Option<Message>> {
    let mut bytes = [0u8; 16];
    let mut space = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut file = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just installed these descriptors for us, and nobody else knows them.
            file = raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }).next();
        }
    }
    let length = message.bytes;
    Ok((length > 0).then(|| Message { bytes: bytes[..length].to_vec(), file }))
}

/// The guardian's life: returns when its keeper has ended in an orderly way, or when the node is clear.
fn guard(socket: &OwnedFd, keeper: &Process, limit: Duration, ground: &mut dyn Ground) {
    let start = Instant::now();
    let (mut pulse, mut worker) = (Pulse::new(limit, Duration::ZERO), None);
    loop {
        let now = start.elapsed();
        let until = match pulse.look(now) {
            Finding::Hangs => break,
            Finding::Ask => {
                // The keeper beats by itself; the question is only when its silence began.
                pulse.asked(now);
                continue;
            }
            Finding::Fine(until) => until,
        };
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(keeper.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut fds, timeout(until, now)), Err(errno) if errno != Errno::EINTR) {
            break;
        }
        let dead = fds[1].any().unwrap_or(true);
        // Also after its death: the worker that it started last may still be in the socket.
        match listen(socket, &mut worker, &mut pulse, start) {
            Told::StandDown => return,
            Told::Gone => break,
            Told::Nothing if dead => break,
            Told::Nothing => {}
        }
    }
    keeper.kill();
    if let Some(worker) = worker {
        // It notices the keeper's end too, and clears. Killed at once, it could not, should this process be killed as well.
        if !worker.ends_within(PollTimeout::try_from(pulse.limit()).unwrap_or(PollTimeout::MAX)) {
            worker.kill();
            worker.ends_within(PollTimeout::try_from(WORKER_END).unwrap_or(PollTimeout::MAX));
        }
    }
    // Nobody is left to tell; the next keeper begins by clearing again.
    let _ = ground.sweep();
}

enum Told {
    Nothing,
    StandDown,
    Gone,
}

fn listen(socket: &OwnedFd, worker: &mut Option<Process>, pulse: &mut Pulse, start: Instant) -> Told {
    loop {
        let message = match receive(socket) {
            Ok(Some(message)) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Told::Nothing,
            _ => return Told::Gone,
        };
        let number = message.bytes.get(1..5).and_then(|number| number.try_into().ok()).unwrap_or_default();
        match (message.bytes[0], message.file) {
            (BEAT, _) => {
                pulse.set_limit(Duration::from_millis(u64::from(u32::from_le_bytes(number))));
                pulse.heard(start.elapsed());
                let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
                let _ = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&[BEAT])], &[], flags, None);
            }
            (WORKER, Some(file)) => *worker = Some(Process::from_file(Pid::from_raw(i32::from_le_bytes(number)), file)),
            (STAND_DOWN, _) => return Told::StandDown,
            _ => {}
        }
    }
}
