//! Watches the folder of a file: files are replaced by renaming, which leaves nothing of the old one to watch.

use std::io;
use std::path::Path;
use std::thread;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc::{self, Receiver};

/// What may mean that the file is another.
fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
}

/// Starts a thread that tells of changes in the folder of `path`; those that come together are told once.
pub(super) fn watch(path: &Path) -> io::Result<Receiver<()>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(folder, changes())?;
    // One that waits to be heard is enough.
    let (sender, receiver) = mpsc::channel(1);
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        while inotify.read_events().is_ok() {
            if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
                break;
            }
        }
    })?;
    Ok(receiver)
}
