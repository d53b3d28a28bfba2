//! The folder of running labs of this user: names, locks, control sockets, and the removal of what dead labs left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::LabError;

/// A lab's entry: its folder, and the lock that says that it lives.
pub(super) struct Entry {
    folder: PathBuf,
    _lock: Flock<File>,
}

/// The folder of all labs of this user: `$LONGHAUL_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/longhaul`, `/run/longhaul` for root,
/// else in `/tmp`.
pub(super) fn root() -> PathBuf {
    if let Some(path) = std::env::var_os("LONGHAUL_RUNTIME_DIR") {
        return PathBuf::from(path);
    }
    let uid = Uid::effective();
    let given =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && usable(path));
    match given {
        Some(path) => path.join("longhaul"),
        None if uid.is_root() => PathBuf::from("/run/longhaul"),
        None => PathBuf::from(format!("/tmp/longhaul-{uid}")),
    }
}

/// A runtime directory counts only when it is ours: `su` and `sudo` leave another user's in the environment.
fn usable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == Uid::effective().as_raw())
}

/// Checks a lab name: it becomes a folder name.
pub fn check_name(name: &str) -> Result<(), LabError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fine = !name.is_empty() && name.len() <= 64 && name.chars().all(allowed) && !name.starts_with(['.', '-']);
    if fine { Ok(()) } else { Err(LabError::BadName { name: name.to_owned() }) }
}

/// The control socket of the lab `name`.
pub(super) fn socket_path(name: &str) -> PathBuf {
    root().join(name).join("control")
}

impl Entry {
    /// Takes the name `name`; what a dead lab of that name left is removed first.
    pub(super) fn create(name: &str) -> Result<Self, LabError> {
        check_name(name)?;
        make_root()?;
        let folder = root().join(name);
        let failed = |source| LabError::Registry { path: folder.clone(), source };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(folder.join("lock")).map_err(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| LabError::NameInUse { name: name.to_owned() })?;
        if !still_there(&lock, &folder) {
            // The lab that had the name was just being removed, and our lock with it.
            return Err(LabError::NameInUse { name: name.to_owned() });
        }
        let _ = fs::remove_file(folder.join("control"));
        Ok(Self { folder, _lock: lock })
    }

    /// The lab's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn still_there(lock: &File, folder: &Path) -> bool {
    let (Ok(held), Ok(named)) = (lock.metadata(), fs::metadata(folder.join("lock"))) else { return false };
    held.ino() == named.ino()
}

/// The names of the labs that live, sorted; entries of dead ones are removed on the way.
pub fn living() -> Vec<String> {
    let Ok(entries) = fs::read_dir(root()) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| !remove_if_dead(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Removes a folder whose lock nobody holds; true when it was dead.
fn remove_if_dead(folder: &Path) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(folder.join("lock")) else { return true };
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return false };
    remove(folder);
    true
}

fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    // Succeeds only when this was the last lab. Not `root()`: inside a user namespace the user looks like root.
    if let Some(parent) = folder.parent() {
        let _ = fs::remove_dir(parent);
    }
}

fn make_root() -> Result<(), LabError> {
    let path = root();
    let failed = |source| LabError::Registry { path: path.clone(), source };
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&path).map_err(failed)?;
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    let ours = metadata.is_dir() && metadata.uid() == Uid::effective().as_raw() && metadata.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(failed(io::Error::other("it belongs to somebody else, or others may write to it"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_names_are_folder_names() {
        for good in ["trade", "a.b-c_1", "9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
