//! How many packets passed our delay element, and how many it had to drop.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcMessage, TcStats2};

use super::{KernelTc, device};
use crate::tc::TcError;

/// Packets since the delay element was set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets that went through.
    pub packets: u64,
    /// Packets that did not fit: an error of the emulation, not of the network.
    pub dropped: u64,
    /// Packets that left more than a millisecond after their time; the kernel's elements do not say.
    pub late: u64,
}

impl KernelTc {
    /// Reads the counters of the delay line, or of all netem leaves.
    pub fn traffic(&mut self) -> Result<Traffic, TcError> {
        if let Some(line) = self.line() {
            return Ok(line.traffic());
        }
        let Some(device) = device::find(&mut self.connection, &self.interface)? else { return Ok(Traffic::default()) };
        let list = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
        let leaves = self.connection.dump(&list)?.into_iter().filter_map(|object| match object {
            RouteNetlinkMessage::NewQueueDiscipline(message) => Some(message),
            _ => None,
        });
        let ours = leaves.filter(|leaf| {
            let netem = leaf.attributes.iter().any(|a| matches!(a, TcAttribute::Kind(kind) if kind == "netem"));
            netem && u32::try_from(leaf.header.index).is_ok_and(|index| index == device.link.index)
        });
        Ok(ours.fold(Traffic::default(), |sum, leaf| add(sum, &leaf)))
    }
}

fn add(mut sum: Traffic, leaf: &TcMessage) -> Traffic {
    let statistics = leaf.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Stats2(statistics) => Some(statistics),
        _ => None,
    });
    for statistic in statistics.flatten() {
        match statistic {
            TcStats2::Basic(basic) => sum.packets += u64::from(basic.packets),
            TcStats2::Queue(queue) => sum.dropped += u64::from(queue.drops),
            _ => {}
        }
    }
    sum
}
