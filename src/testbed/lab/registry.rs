//! The folder of running labs of this user: names, locks, control sockets, and the removal of what dead labs left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{AccessFlags, Uid, access};

use super::LabError;

/// How long a name may be contested by processes that only look whether its lab lives.
const CONTEST: Duration = Duration::from_millis(500);

/// A lab's entry: its folder, and the lock that says that it lives.
pub(super) struct Entry {
    folder: PathBuf,
    /// Held until the process ends, beyond the entry itself: then a free lock means that the last process is gone.
    _lock: ManuallyDrop<Flock<File>>,
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
        // Who is root in a user namespace only, as inside a lab, may not write there.
        None if uid.is_root() && access("/run", AccessFlags::W_OK).is_ok() => PathBuf::from("/run/longhaul"),
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

/// The control socket of the lab `name`; an error when others could have put it there.
pub(super) fn socket_path(name: &str) -> Result<PathBuf, LabError> {
    check_name(name)?;
    let root = root();
    match check_root(&root) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(LabError::Registry { path: root, source }),
        _ => Ok(root.join(name).join("control")),
    }
}

impl Entry {
    /// Takes the name `name`; what a dead lab of that name left is removed first.
    pub(super) fn create(name: &str) -> Result<Self, LabError> {
        check_name(name)?;
        make_root()?;
        let folder = root().join(name);
        match Self::contest(&folder) {
            Ok(entry) => entry.ok_or_else(|| LabError::NameInUse { name: name.to_owned() }),
            Err(source) => Err(LabError::Registry { path: folder, source }),
        }
    }

    /// Whoever looks which labs live holds each lock for a moment, and may remove the folder with it: tried again for a
    /// while, unless a lab answers there.
    fn contest(folder: &Path) -> io::Result<Option<Self>> {
        let deadline = Instant::now() + CONTEST;
        loop {
            let taken = Self::take(folder)?;
            let settled = taken.is_some() || Instant::now() > deadline;
            if settled || UnixStream::connect(folder.join("control")).is_ok() {
                return Ok(taken);
            }
            std::thread::sleep(CONTEST / 100);
        }
    }

    /// `None` when another process holds the lock or has just removed the folder.
    fn take(folder: &Path) -> io::Result<Option<Self>> {
        fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = match options.open(folder.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        let Ok(lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else { return Ok(None) };
        if !still_there(&lock, folder) {
            return Ok(None);
        }
        let _ = fs::remove_file(folder.join("control"));
        Ok(Some(Self { folder: folder.to_owned(), _lock: ManuallyDrop::new(lock) }))
    }

    /// Watches whether the folder, with what is in it now, stays.
    pub(super) fn watch(&self) -> io::Result<Watch> {
        let notify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_MOVE_SELF;
        notify.add_watch(&self.folder, gone | AddWatchFlags::IN_DELETE_SELF)?;
        Ok(Watch { notify, socket: self.folder.join("control") })
    }

    /// The lab's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Tells when a lab's folder is taken away.
pub(super) struct Watch {
    notify: Inotify,
    socket: PathBuf,
}

impl Watch {
    /// Readable when something was taken away.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.notify.as_fd()
    }

    /// Takes in what happened; whether nobody can reach the lab any more.
    pub(super) fn is_lost(&self) -> bool {
        while self.notify.read_events().is_ok() {}
        !self.socket.exists()
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

/// The life of a running lab, to be watched from another process.
pub(super) struct Life(File);

impl Life {
    /// Of the lab `name`; `None` when there is none.
    pub(super) fn of(name: &str) -> Option<Self> {
        OpenOptions::new().write(true).open(root().join(name).join("lock")).ok().map(Self)
    }

    /// Whether every process of the lab has ended: they hold the lock as long as they live, also when its file is gone.
    pub(super) fn has_ended(&self) -> bool {
        let Ok(handle) = self.0.try_clone() else { return false };
        Flock::lock(handle, FlockArg::LockExclusiveNonblock).is_ok()
    }
}

/// The names of the labs that live, sorted; entries of dead ones are removed on the way.
pub fn living() -> Vec<String> {
    if check_root(&root()).is_err() {
        return Vec::new();
    }
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
    let Ok(file) = OpenOptions::new().write(true).open(folder.join("lock")) else {
        // Succeeds only when it is empty: its maker was killed before it had the lock, or comes again when it had not.
        let _ = fs::remove_dir(folder);
        return true;
    };
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
    check_root(&path).map_err(failed)
}

/// In a folder that others may write to, a lab could be somebody else's trap.
fn check_root(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let ours = metadata.is_dir() && metadata.uid() == Uid::effective().as_raw() && metadata.mode() & 0o022 == 0;
    if ours { Ok(()) } else { Err(io::Error::other("it belongs to somebody else, or others may write to it")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whoever asks which labs live takes each lock for a moment, and removes the folder when it gets it.
    #[test]
    fn a_name_that_is_only_looked_at_can_be_taken() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("net");
        for removes in [false, true] {
            fs::create_dir_all(&folder).unwrap();
            let lock = Flock::lock(File::create(folder.join("lock")).unwrap(), FlockArg::LockExclusive).unwrap();
            assert!(Entry::take(&folder).unwrap().is_none());
            let onlooker = std::thread::spawn({
                let folder = folder.clone();
                move || {
                    if removes {
                        fs::remove_dir_all(&folder).unwrap();
                    }
                    drop(lock);
                }
            });
            assert!(Entry::contest(&folder).unwrap().is_some(), "removes: {removes}");
            onlooker.join().unwrap();
        }
        let entry = Entry::take(&folder).unwrap().unwrap();
        assert!(Entry::contest(&folder).unwrap().is_none(), "it is really in use");
        drop(entry);
        assert!(!folder.exists());
    }

    #[test]
    fn an_empty_folder_of_a_dead_lab_goes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("net");
        fs::create_dir(&folder).unwrap();
        assert!(remove_if_dead(&folder) && !folder.exists());
    }

    #[test]
    fn the_loss_of_the_socket_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let entry = Entry::take(&root.path().join("net")).unwrap().unwrap();
        let control = entry.folder().join("control");
        fs::write(&control, "").unwrap();
        let watch = entry.watch().unwrap();
        assert!(!watch.is_lost());
        fs::remove_file(control).unwrap();
        assert!(watch.is_lost());
    }

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
