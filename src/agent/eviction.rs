//! Ending a keeper from outside: asked first, then by force, with the kernel's word for which processes are meant.

use std::fs;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::unistd::Pid;

use super::claim::{self, Held, Peer};
use super::front::ask;
use super::greeting::{Greeting, Holder, Welcome};
use super::process::Process;

/// How long a keeper that lives may take to clear and end.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often to look meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The keeper cleared and ended when it was asked.
    Asked(Holder),
    /// These processes were killed.
    Killed(Vec<i32>),
    /// The processes that hold it let nobody in, as agents of labs do; they were left alone.
    Agent(Vec<i32>),
    /// It was just ending.
    Gone,
}

/// Who holds a claim; `None` when it does not say.
pub fn holder(held: &Held) -> Option<Holder> {
    let stream = claim::connect(&held.interface).ok()??;
    match ask(&mut &stream, &Greeting::Who, PATIENCE).ok()? {
        Welcome::Holder(holder) => Some(holder),
        _ => None,
    }
}

/// Ends the keeper that holds a claim, and returns when the claim is free.
pub fn evict(held: &Held) -> io::Result<Evicted> {
    if !held.listening {
        return Ok(Evicted::Agent(holders_of(held.inode).iter().map(|process| process.pid().as_raw()).collect()));
    }
    let holder = holder(held);
    if let (Some(holder), true) = (holder, end(held)) {
        return Ok(Evicted::Asked(holder));
    }
    let processes = holders_of(held.inode);
    for process in &processes {
        process.kill();
    }
    for process in &processes {
        process.ends_within(PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX));
    }
    match (freed(held), processes.as_slice()) {
        (true, []) => Ok(Evicted::Gone),
        (true, killed) => Ok(Evicted::Killed(killed.iter().map(|process| process.pid().as_raw()).collect())),
        (false, []) => Err(io::Error::other("its processes belong to somebody else; run this as root")),
        (false, _) => Err(io::Error::other("its processes do not end")),
    }
}

/// Asks a keeper to end; whether it has. A socket whose peer is another user's is nobody to be asked.
fn end(held: &Held) -> bool {
    let Ok(Some(stream)) = claim::connect(&held.interface) else { return false };
    if !Peer::of(&stream).is_ok_and(|peer| peer.is_trusted()) {
        return false;
    }
    if !matches!(ask(&mut &stream, &Greeting::End, PATIENCE), Ok(Welcome::Ending)) {
        return false;
    }
    // Its end closes the connection.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = (&stream).read(&mut [0]);
    freed(held)
}

/// Whether nobody holds the claim any more; waits for it a while.
fn freed(held: &Held) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let taken = claim::all().is_ok_and(|all| all.iter().any(|one| one.inode == held.inode));
        if !taken || Instant::now() > deadline {
            return !taken;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The processes that have the socket of that number open: keeper, guardian and worker, and nobody else ever.
fn holders_of(inode: u64) -> Vec<Process> {
    let wanted = format!("socket:[{inode}]");
    let has = |pid: i32| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
    };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.filter(|pid| has(*pid)).filter_map(|pid| Process::open(Pid::from_raw(pid)).ok());
    // Looked at again through the open process: its number may have gone to another meanwhile.
    found.filter(|process| has(process.pid().as_raw()) && !process.ends_within(PollTimeout::ZERO)).collect()
}
