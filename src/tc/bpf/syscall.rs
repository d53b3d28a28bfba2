//! bpf(2): the commands that the capture needs, each as a safe function.
//!
//! Every structure is the start of `union bpf_attr` for its command; the kernel takes what is beyond a structure as zero.
#![allow(unsafe_code)] // bpf(2) has no safe wrapper

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::assembler::Instruction;

const PROGRAM_LOAD: i32 = 5;
const PROGRAM_BY_ID: i32 = 13;
const INFO: i32 = 15;
const PROGRAM_QUERY: i32 = 16;
const LINK_CREATE: i32 = 28;
const LINK_UPDATE: i32 = 29;
const LINK_BY_ID: i32 = 30;
const LINK_DETACH: i32 = 34;

const PROGRAM_TYPE_CLASSIFIER: u32 = 3;
const TCX_EGRESS: u32 = 47;
/// So much of the verifier's log is kept.
const LOG: usize = 1 << 16;
/// The kernel gives up loading when a signal comes in between.
const LOADS: usize = 5;
/// More programs than the kernel lets be on one interface.
const MOST_PROGRAMS: usize = 64;

/// Names that other tools show; at most 15 letters.
pub(super) type Name = [u8; 16];

/// A program or link on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attached {
    /// The program's number.
    pub(super) program: u32,
    /// The link's number; 0 when it was attached without one.
    pub(super) link: u32,
}

/// Why the kernel does not load a program.
#[derive(Debug)]
pub(super) struct Refused {
    /// What the call says.
    pub(super) errno: Errno,
    /// What the verifier says; empty when it was not asked.
    pub(super) log: String,
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: Name,
    device: u32,
    attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    padding: u32,
    revision: u64,
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
struct Identity {
    number: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
struct Info {
    descriptor: u32,
    length: u32,
    place: u64,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    interface: u32,
    attach_type: u32,
    flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    padding: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}

/// The start of `struct bpf_link_info` of a TCX link.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkInfo {
    kind: u32,
    /// The link's number.
    pub(super) number: u32,
    /// The number of its program.
    pub(super) program: u32,
    padding: u32,
    /// The index of its interface; 0 when that is gone.
    pub(super) interface: u32,
    attach_type: u32,
}

/// The start of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProgramInfo {
    kind: u32,
    number: u32,
    tag: [u8; 8],
    sizes: [u32; 2],
    instructions: [u64; 2],
    loaded: u64,
    user: u32,
    map_count: u32,
    maps: u64,
    /// Its name, filled up with zeros.
    pub(super) name: Name,
}

/// Calls with attributes whose pointers are valid for what the command reads and writes behind them.
///
/// # Safety
/// `T` must be the start of `union bpf_attr` for `command`, and every address in it must be valid for that command.
pub(super) unsafe fn call<T>(command: i32, attributes: &mut T) -> Result<i32, Errno> {
    // SAFETY: the kernel reads and writes at most the given size of the structure; the rest is the caller's promise.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    Errno::result(answer).map(|answer| i32::try_from(answer).unwrap_or(-1))
}

/// Takes a descriptor over that a command has returned.
///
/// # Safety
/// `descriptor` must be one that nobody else owns.
pub(super) unsafe fn own(descriptor: i32) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

pub(super) fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

/// Loads a classifier.
pub(super) fn load(instructions: &[Instruction], name: Name, license: &CStr) -> Result<OwnedFd, Refused> {
    let attempt = |log: &mut [u8]| {
        let mut attributes = ProgramLoad {
            kind: PROGRAM_TYPE_CLASSIFIER,
            count: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            name,
            attach_type: TCX_EGRESS,
            ..ProgramLoad::default()
        };
        if !log.is_empty() {
            attributes.log_level = 1;
            attributes.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
            attributes.log = log.as_mut_ptr() as u64;
        }
        // SAFETY: instructions and license are only read, the log is written up to its length; all outlive the call.
        unsafe { call(PROGRAM_LOAD, &mut attributes).map(|descriptor| own(descriptor)) }
    };
    let mut answer = attempt(&mut []);
    for _ in 1..LOADS {
        if !matches!(answer, Err(Errno::EAGAIN | Errno::EINTR)) {
            break;
        }
        answer = attempt(&mut []);
    }
    answer.map_err(|errno| {
        let mut log = vec![0; LOG];
        // Once more, for the reason; ENOSPC only means that the log is longer than there is room for.
        let errno = attempt(&mut log).err().filter(|again| *again != Errno::ENOSPC).unwrap_or(errno);
        let length = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
        Refused { errno, log: String::from_utf8_lossy(&log[..length]).into_owned() }
    })
}

/// Attaches a program behind the others on the egress of an interface of the calling thread's namespace. The link ends
/// with its last descriptor.
pub(super) fn attach(program: BorrowedFd<'_>, interface: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = LinkCreate {
        program: number(program),
        interface,
        attach_type: TCX_EGRESS,
        flags: 0,
        relative: 0,
        padding: 0,
        revision: 0,
    };
    // SAFETY: the structure has no addresses; a new descriptor is returned.
    unsafe { call(LINK_CREATE, &mut attributes).map(|descriptor| own(descriptor)) }
}

/// Puts another program in the place of a link's, at once.
pub(super) fn replace(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = LinkUpdate { link: number(link), program: number(program), flags: 0, old_program: 0 };
    // SAFETY: the structure has no addresses.
    unsafe { call(LINK_UPDATE, &mut attributes).map(drop) }
}

/// Takes a link's program off its interface, whoever else holds the link.
pub(super) fn detach(link: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = number(link);
    // SAFETY: the structure has no addresses.
    unsafe { call(LINK_DETACH, &mut attributes).map(drop) }
}

/// A descriptor of the link with that number. Takes `CAP_SYS_ADMIN`.
pub(super) fn link_by_number(number: u32) -> Result<OwnedFd, Errno> {
    by_number(LINK_BY_ID, number)
}

/// A descriptor of the program with that number. Takes `CAP_SYS_ADMIN`.
pub(super) fn program_by_number(number: u32) -> Result<OwnedFd, Errno> {
    by_number(PROGRAM_BY_ID, number)
}

fn by_number(command: i32, number: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = Identity { number, next: 0, flags: 0 };
    // SAFETY: the structure has no addresses; a new descriptor is returned.
    unsafe { call(command, &mut attributes).map(|descriptor| own(descriptor)) }
}

/// What the kernel says of a link.
pub(super) fn link_info(link: BorrowedFd<'_>) -> Result<LinkInfo, Errno> {
    info(link, LinkInfo::default())
}

/// What the kernel says of a program.
pub(super) fn program_info(program: BorrowedFd<'_>) -> Result<ProgramInfo, Errno> {
    info(program, ProgramInfo::default())
}

/// `T` must be the start of the structure for that kind of descriptor, with addresses that are zero.
fn info<T: Copy>(descriptor: BorrowedFd<'_>, mut empty: T) -> Result<T, Errno> {
    let length = u32::try_from(size_of::<T>()).unwrap_or(0);
    let mut attributes = Info { descriptor: number(descriptor), length, place: std::ptr::from_mut(&mut empty) as u64 };
    // SAFETY: the kernel writes at most `length` bytes to the place, and nothing behind addresses that are zero.
    unsafe { call(INFO, &mut attributes)? };
    Ok(empty)
}

/// The programs on the egress of an interface, in the order in which packets meet them.
pub(super) fn attached(interface: u32) -> Result<Vec<Attached>, Errno> {
    let (mut programs, mut links) = ([0u32; MOST_PROGRAMS], [0u32; MOST_PROGRAMS]);
    let mut attributes = Query {
        interface,
        attach_type: TCX_EGRESS,
        programs: programs.as_mut_ptr() as u64,
        links: links.as_mut_ptr() as u64,
        count: u32::try_from(MOST_PROGRAMS).unwrap_or(0),
        ..Query::default()
    };
    // SAFETY: the kernel writes at most `count` numbers to either array; both outlive the call.
    unsafe { call(PROGRAM_QUERY, &mut attributes)? };
    let count = usize::try_from(attributes.count).unwrap_or(0).min(MOST_PROGRAMS);
    let pairs = programs.into_iter().zip(links).take(count);
    Ok(pairs.map(|(program, link)| Attached { program, link }).collect())
}

/// What becomes of a packet: the verdict of the program, asked `repeat` times, and the nanoseconds that one answer takes.
#[cfg(test)]
pub(super) fn try_out(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<(i32, u32), Errno> {
    const TEST_RUN: i32 = 10;
    #[repr(C)]
    struct TestRun {
        program: u32,
        verdict: u32,
        size_in: u32,
        size_out: u32,
        packet_in: u64,
        packet_out: u64,
        repeat: u32,
        nanoseconds: u32,
        contexts: [u64; 3],
        flags: [u32; 4],
    }
    let mut attributes = TestRun {
        program: number(program),
        verdict: 0,
        size_in: u32::try_from(frame.len()).unwrap_or(0),
        size_out: 0,
        packet_in: frame.as_ptr() as u64,
        packet_out: 0,
        repeat,
        nanoseconds: 0,
        contexts: [0; 3],
        flags: [0; 4],
    };
    // SAFETY: the frame is only read, and nothing is written beyond the structure.
    unsafe { call(TEST_RUN, &mut attributes)? };
    Ok((attributes.verdict.cast_signed(), attributes.nanoseconds))
}
