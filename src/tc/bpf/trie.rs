//! [`Trie`]: the kernel's table for longest-prefix lookups, by bpf(2).
#![allow(unsafe_code)] // bpf(2) has no safe wrapper

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::syscall::{Name, call, number, own};

const MAP_CREATE: i32 = 0;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const MAP_LOOKUP_BATCH: i32 = 24;
const MAP_TYPE_LPM_TRIE: u32 = 11;
/// Demanded of such maps: memory is taken as entries come.
const NO_PREALLOCATION: u32 = 1;
/// So many entries of a table are read at once.
const BATCH: usize = 1_024;
/// A value of a table, and its bytes.
pub(super) type Value = [u32; 2];
const VALUE: u32 = 8;

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    most: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: Name,
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    /// The value, or where the next key goes.
    other: u64,
    flags: u64,
}

#[repr(C)]
struct Batch {
    /// The last key of the batch before; 0 for the first.
    after: u64,
    /// Where the last key of this one goes.
    last: u64,
    keys: u64,
    values: u64,
    /// Room for so many; the kernel says how many there were.
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// A trie for longest-prefix lookups. Keys start with their length in bits; values are two numbers.
#[derive(Debug)]
pub(super) struct Trie<const KEY: usize>(OwnedFd);

impl<const KEY: usize> Trie<KEY> {
    /// Makes an empty one for at most `most` entries.
    pub(super) fn make(name: Name, most: u32) -> Result<Self, Errno> {
        let mut attributes = MapCreate {
            kind: MAP_TYPE_LPM_TRIE,
            key_size: u32::try_from(KEY).unwrap_or(0),
            value_size: VALUE,
            most,
            flags: NO_PREALLOCATION,
            name,
            ..MapCreate::default()
        };
        // SAFETY: the structure has no addresses; a new descriptor is returned.
        unsafe { call(MAP_CREATE, &mut attributes).map(|descriptor| Self(own(descriptor))) }
    }

    /// The descriptor, for programs to name it by.
    pub(super) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Puts an entry in, or sets it anew, at once.
    pub(super) fn set(&self, key: &[u8; KEY], value: Value) -> Result<(), Errno> {
        self.element(MAP_UPDATE, key.as_ptr() as u64, value.as_ptr() as u64)
    }

    /// Takes an entry out.
    pub(super) fn remove(&self, key: &[u8; KEY]) -> Result<(), Errno> {
        self.element(MAP_DELETE, key.as_ptr() as u64, 0)
    }

    /// All entries. Nobody else changes them meanwhile.
    pub(super) fn entries(&self) -> Result<Vec<([u8; KEY], Value)>, Errno> {
        let mut entries = Vec::new();
        let (mut keys, mut values) = (vec![[0; KEY]; BATCH], vec![Value::default(); BATCH]);
        let (mut after, mut last) = (None, [0; KEY]);
        loop {
            let (count, more) = self.batch(after.as_ref(), &mut last, &mut keys, &mut values)?;
            // With the key's own length, the longest match is the key itself.
            entries.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
            if !more {
                return Ok(entries);
            }
            after = Some(last);
        }
    }

    /// Reads entries behind the key `after`, as many as there is room for, and which was the `last`: how many they are, and
    /// whether there may be more.
    fn batch(
        &self,
        after: Option<&[u8; KEY]>,
        last: &mut [u8; KEY],
        keys: &mut [[u8; KEY]],
        values: &mut [Value],
    ) -> Result<(usize, bool), Errno> {
        let room = keys.len().min(values.len());
        let mut attributes = Batch {
            after: after.map_or(0, |key| key.as_ptr() as u64),
            last: last.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(room).unwrap_or(0),
            map: number(self.0.as_fd()),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: keys and values are of the sizes that the map was made with, there is room for `count` of them, and all outlive
        // the call.
        let more = match unsafe { call(MAP_LOOKUP_BATCH, &mut attributes) } {
            Ok(_) => true,
            Err(Errno::ENOENT) => false,
            Err(errno) => return Err(errno),
        };
        Ok((usize::try_from(attributes.count).unwrap_or(0).min(room), more))
    }

    fn element(&self, command: i32, key: u64, other: u64) -> Result<(), Errno> {
        let mut attributes = Element { map: number(self.0.as_fd()), padding: 0, key, other, flags: 0 };
        // SAFETY: all callers above give addresses of live keys of `KEY` bytes and of values, which are the sizes
        // that the map was made with, and writable ones where the command writes.
        unsafe { call(command, &mut attributes).map(drop) }
    }
}
