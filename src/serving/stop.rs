//! The wish to end: told once, heard by every connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Says when it is over.
#[derive(Debug)]
pub struct Stopper {
    sender: watch::Sender<()>,
    said: Arc<AtomicBool>,
}

/// Hears when it is over.
#[derive(Debug, Clone)]
pub struct Stop {
    receiver: watch::Receiver<()>,
    said: Arc<AtomicBool>,
}

impl Stopper {
    /// A pair.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(());
        let said = Arc::new(AtomicBool::new(false));
        (Self { sender, said: Arc::clone(&said) }, Stop { receiver, said })
    }

    /// It is over.
    pub fn stop(&self) {
        self.said.store(true, Ordering::Relaxed);
        self.sender.send_replace(());
    }
}

impl Stop {
    /// Whether it is over.
    pub fn is_said(&self) -> bool {
        self.said.load(Ordering::Relaxed)
    }

    /// Returns when it is over.
    pub async fn wait(mut self) {
        // An error means that nobody is left who could say it: over, too.
        let _ = self.receiver.changed().await;
    }
}

/// Returns at the first SIGTERM or SIGINT.
pub async fn signalled() -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
