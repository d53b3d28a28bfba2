//! A stream of small packets from the first node of a lab to the second, while something else may be done.

use std::time::Duration;

use anyhow::{Context, bail};

use super::BenchLab;
use super::programs::{Server, output};
use crate::cli::bench::traffic::{Ready, Received, Sent};
use crate::units::Span;

/// What became of one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli::bench) struct Stream {
    /// Packets.
    pub(in crate::cli::bench) sent: u32,
    /// Packets per second that the sender reached.
    pub(in crate::cli::bench) rate: f64,
    /// Lost on the way, without what the receiving socket had no room for.
    pub(in crate::cli::bench) lost: u32,
    /// Arrived, but the receiving socket had no room.
    pub(in crate::cli::bench) no_room: u32,
    /// Came after one that was sent later.
    pub(in crate::cli::bench) reordered: u32,
    /// Came sooner than they should.
    pub(in crate::cli::bench) early: u32,
}

/// A stream that is under way.
pub(in crate::cli::bench) struct Flow {
    far_end: Server,
    sender: std::thread::JoinHandle<anyhow::Result<String>>,
}

impl Flow {
    /// Starts to send `rate` packets a second for `length`; those that take less than `least` count as early.
    pub(in crate::cli::bench) fn start(
        lab: &BenchLab,
        rate: u32,
        length: Duration,
        least: Span,
    ) -> anyhow::Result<Self> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Some seconds of packets.
        let count = (f64::from(rate) * length.as_secs_f64()) as u32;
        let limit = length + Duration::from_secs(15);
        let mut far_end = lab.command(1, "/proc/self/exe");
        far_end.args(["bench", "traffic", "receive", "--least-ns", &least.as_nanos().to_string()]);
        let far_end = Server::start(far_end, limit)?;
        let ready: Ready = serde_json::from_str(&far_end.line(|_| true)?).context("start the receiver of packets")?;
        let mut sender = lab.command(0, "/proc/self/exe");
        let to = format!("{}:{}", lab.address(1), ready.port);
        sender.args(["bench", "traffic", "send", &to, &rate.to_string(), &count.to_string()]);
        Ok(Self { far_end, sender: std::thread::spawn(move || output(sender, limit)) })
    }

    /// Whether all has been sent.
    pub(in crate::cli::bench) fn is_sent(&self) -> bool {
        self.sender.is_finished()
    }

    /// Waits for the last packet; what became of all.
    pub(in crate::cli::bench) fn finish(mut self) -> anyhow::Result<Stream> {
        let Ok(report) = self.sender.join() else { bail!("the thread of a sender of packets failed") };
        let sent: Sent = serde_json::from_str(&report?).context("read the sender's report")?;
        self.far_end.end_input();
        let received = self.far_end.line(|_| true)?;
        let received: Received = serde_json::from_str(&received).context("read the receiver's report")?;
        Ok(account(sent, received))
    }
}

fn account(sent: Sent, received: Received) -> Stream {
    Stream {
        sent: sent.packets,
        rate: f64::from(sent.packets) * 1e9 / sent.nanos.max(1) as f64,
        lost: sent.packets.saturating_sub(received.packets).saturating_sub(received.no_room),
        no_room: received.no_room,
        reordered: received.reordered,
        early: received.early,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_receiver_had_no_room_for_is_not_lost_on_the_way() {
        let sent = Sent { packets: 1_000, nanos: 100_000_000 };
        let received = Received { packets: 990, reordered: 2, duplicates: 0, no_room: 7, early: 1 };
        let stream = account(sent, received);
        assert_eq!((stream.lost, stream.no_room, stream.reordered, stream.early), (3, 7, 2, 1));
        assert!((stream.rate - 10_000.0).abs() < 1e-6);
    }
}
