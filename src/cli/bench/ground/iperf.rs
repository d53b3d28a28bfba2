//! TCP throughput by iperf3 inside nodes.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::BenchLab;
use super::programs::{Server, installed, output};
use crate::topology::NodeIndex;
use crate::units::Rate;

/// Why rows that need iperf3 have no figures.
pub(in crate::cli::bench) const MISSING: &str = "iperf3 is not installed (Debian: iperf3)";

/// The largest TCP buffers in a node: room for 10 Gbit/s over a round trip of 50 ms.
const BUFFERS: &str = "4096 131072 67108864";

/// What one transfer reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bench) struct Transfer {
    /// What the receiver got.
    pub(in crate::cli::bench) rate: Rate,
    /// Segments that were sent again.
    pub(in crate::cli::bench) retransmits: u64,
}

/// Whether transfers can be made.
pub(in crate::cli::bench) fn available() -> bool {
    installed("iperf3")
}

/// Raises the limits of TCP's buffers in every node, so that the window does not limit a long path.
pub(in crate::cli::bench) fn raise_buffers(lab: &BenchLab) -> anyhow::Result<()> {
    for node in 0..lab.matrix().len() {
        let mut command = lab.command(node, "sh");
        let files = "/proc/sys/net/ipv4/tcp_rmem /proc/sys/net/ipv4/tcp_wmem";
        command.args(["-c", &format!("for file in {files}; do echo '{BUFFERS}' > $file || exit 1; done")]);
        output(command, Duration::from_secs(10)).context("raise the limits of TCP's buffers")?;
    }
    Ok(())
}

/// Sends one TCP stream from node to node for `length`, after `settle` of not being counted (whole seconds).
pub(in crate::cli::bench) fn transfer(
    lab: &BenchLab,
    from: NodeIndex,
    to: NodeIndex,
    length: Duration,
    settle: Duration,
) -> anyhow::Result<Transfer> {
    Running::start(lab, (from, to), length, settle, None)?.finish()
}

/// A stream that is under way.
pub(in crate::cli::bench) struct Running {
    server: Server,
    client: JoinHandle<anyhow::Result<String>>,
}

impl Running {
    /// Starts what [`transfer`] does, from the first node to the second, at no more than `most`.
    pub(in crate::cli::bench) fn start(
        lab: &BenchLab,
        (from, to): (NodeIndex, NodeIndex),
        length: Duration,
        settle: Duration,
        most: Option<Rate>,
    ) -> anyhow::Result<Self> {
        let limit = length + settle + Duration::from_secs(15);
        let mut server = lab.command(to, "iperf3");
        server.args(["-s", "-1", "--forceflush"]);
        let server = Server::start(server, limit)?;
        server.line(|line| line.contains("listening")).context("start iperf3's server")?;
        let mut client = lab.command(from, "iperf3");
        client.args(["-c", &lab.address(to).to_string(), "-J", "-t", &length.as_secs().to_string()]);
        client.args(["-O", &settle.as_secs().to_string(), "--connect-timeout", "5000"]);
        if let Some(most) = most {
            client.args(["-b", &most.bits_per_second().to_string()]);
        }
        Ok(Self { server, client: std::thread::spawn(move || output(client, limit)) })
    }

    /// Whether it has ended.
    pub(in crate::cli::bench) fn has_ended(&self) -> bool {
        self.client.is_finished()
    }

    /// Ends it before its time.
    pub(in crate::cli::bench) fn end(self) {
        drop(self.server);
        // Without its server the client ends with an error that is no news.
        let _ = self.client.join();
    }

    /// Waits for its end; what it reached.
    pub(in crate::cli::bench) fn finish(self) -> anyhow::Result<Transfer> {
        let Self { server: _server, client } = self;
        let Ok(report) = client.join() else { bail!("the thread of iperf3's client failed") };
        read(&report?)
    }
}

/// What iperf3's client reports.
fn read(report: &str) -> anyhow::Result<Transfer> {
    #[derive(Deserialize)]
    struct Report {
        error: Option<String>,
        end: End,
    }
    #[derive(Deserialize, Default)]
    struct End {
        sum_sent: Option<Sum>,
        sum_received: Option<Sum>,
    }
    #[derive(Deserialize)]
    struct Sum {
        bits_per_second: f64,
        retransmits: Option<u64>,
    }
    let report: Report = serde_json::from_str(report).context("read iperf3's report")?;
    match (report.error, report.end.sum_received, report.end.sum_sent) {
        (Some(error), ..) => bail!("iperf3: {error}"),
        (None, Some(received), Some(sent)) => {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, and rates are positive.
            let rate = Rate::from_bits_per_second(received.bits_per_second as u64);
            Ok(Transfer { rate, retransmits: sent.retransmits.unwrap_or(0) })
        }
        _ => bail!("iperf3 reports no sums"),
    }
}

/// For the table.
pub(in crate::cli::bench) fn gigabits(rate: Rate) -> f64 {
    rate.bits_per_second() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reports_are_read() {
        let report = r#"{"start":{},"end":{"sum_sent":{"bits_per_second":9.5e9,"retransmits":7},
            "sum_received":{"bits_per_second":9.25e9}}}"#;
        let transfer = read(report).unwrap();
        assert_eq!(transfer, Transfer { rate: Rate::from_bits_per_second(9_250_000_000), retransmits: 7 });
        assert!((gigabits(transfer.rate) - 9.25).abs() < 1e-9);
    }

    #[test]
    fn refusals_are_passed_on() {
        let text = |report| read(report).unwrap_err().to_string();
        assert_eq!(text(r#"{"end":{},"error":"unable to connect"}"#), "iperf3: unable to connect");
        assert_eq!(text(r#"{"end":{}}"#), "iperf3 reports no sums");
        assert_eq!(text("no"), "read iperf3's report");
    }
}
