//! What an agent's keeper stands on: this kernel.

use std::io::BufReader;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use super::agent_session::{NodeProber, interrupt};
use super::kernel_node::KernelNode;
use crate::agent::keeper::Ground;
use crate::agent::privilege;
use crate::agent::session::serve;
use crate::measure::StopSignal;
use crate::netlink::monitor::LinkMonitor;
use crate::netlink::{Connection, link};
use crate::shaping::Abilities;
use crate::tc::{self, KernelTc};

/// The devices whose changes may break what is applied, beside the interface itself.
const OURS: [&str; 2] = ["lh0", "lh1"];

/// The kernel of this host, for one interface.
pub(super) struct KernelGround {
    interface: String,
    abilities: Option<Abilities>,
    monitor: Option<LinkMonitor>,
    /// The interface's index when it was last looked up: a new name comes with it.
    index: Option<u32>,
}

impl KernelGround {
    /// For the interface of that name.
    pub(super) const fn new(interface: String) -> Self {
        Self { interface, abilities: None, monitor: None, index: None }
    }
}

impl Ground for KernelGround {
    fn prepare(&mut self) -> Result<(), String> {
        // Takes more privileges than are kept.
        self.abilities = Some(tc::beside_others(&self.interface, tc::abilities::probe()));
        // Without it, changes are seen when somebody asks for the status.
        self.monitor = LinkMonitor::open().ok();
        privilege::reduce().map_err(|error| error.to_string())
    }

    fn work(&mut self, stream: UnixStream) -> i32 {
        // What a former life has left goes before anything is asked: there is nobody who wants it.
        let _ = self.sweep();
        let (Ok(stop), Ok(input)) = (StopSignal::new(), stream.try_clone()) else { return 2 };
        let prober = NodeProber { stop: stop.clone() };
        let mut node = KernelNode::new(self.interface.clone(), self.abilities.clone());
        i32::from(serve(BufReader::new(input), stream, &mut node, prober, move |why| interrupt(&stop, why)).is_err())
    }

    fn sweep(&mut self) -> Result<(), String> {
        // The way that lets a line send on what it holds, where it works.
        let _ = KernelTc::open(&self.interface).map(|mut kernel| tc::clear(&mut kernel));
        // What is half made, mixed with what others have put there, or under another name: there its rules would lead into a
        // device that is gone, and packets with them.
        let removal = tc::remove_all(Some(&self.interface), false).map_err(|error| error.to_string())?;
        if removal.stuck.is_empty() { Ok(()) } else { Err(removal.stuck.join("; ")) }
    }

    fn index(&mut self) -> Option<u32> {
        let found = Connection::open().and_then(|mut kernel| link::find(&mut kernel, &self.interface));
        self.index = found.ok().flatten().map(|link| link.index);
        self.index
    }

    fn events(&self) -> Option<BorrowedFd<'_>> {
        self.monitor.as_ref().map(LinkMonitor::as_fd)
    }

    fn changed(&mut self) -> bool {
        let Some(changes) = self.monitor.as_mut().map(LinkMonitor::changes) else { return false };
        changes.is_none_or(|changes| {
            let ours = |name: &str| name == self.interface || OURS.contains(&name);
            changes.iter().any(|change| ours(&change.name) || Some(change.index) == self.index)
        })
    }
}
