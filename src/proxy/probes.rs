//! How far peers are: each proxy answers small datagrams of the others and sends its own. An answer is as long as what it
//! answers and goes to where that came from, and answers are never answered, so nobody can be flooded by way of a proxy.
//!
//! A datagram has 24 bytes: `LHRT`, the kind, three zeros, a number of this proxy's life and a sequence number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::serving::Clock;
use crate::units::{Moment, Rtt, Span};

const LENGTH: usize = 24;
const QUESTION: [u8; 8] = *b"LHRT\x01\0\0\0";
const ANSWER: [u8; 8] = *b"LHRT\x02\0\0\0";

/// Of so many last probes of a peer the median counts: one that waited for a processor says nothing of the way.
const REMEMBERED: usize = 5;

/// How soon a peer is asked again that was not asked so often yet: the first answer alone, which may have come while everything
/// started, is no distance to go by.
const ACQUAINTANCE: Span = Span::from_millis(80);

/// How long an answer is waited for.
const PATIENCE: Span = Span::from_secs(5);

/// Answers the probes of others, for ever.
pub(super) async fn respond(socket: UdpSocket) {
    let mut bytes = [0; 64];
    loop {
        // What went wrong with one datagram is no reason to end.
        let Ok((length, from)) = socket.recv_from(&mut bytes).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if length == LENGTH && bytes.starts_with(&QUESTION) {
            bytes[..8].copy_from_slice(&ANSWER);
            // An answer that cannot leave is a lost one.
            let _ = socket.send_to(&bytes[..LENGTH], from).await;
        }
    }
}

/// Sends probes and takes their answers.
#[derive(Debug)]
pub(super) struct Prober {
    clock: Clock,
    nonce: u64,
    sent: BTreeMap<u64, (SocketAddr, Moment)>,
    next: u64,
    last: BTreeMap<SocketAddr, VecDeque<Rtt>>,
    /// How often each peer was asked.
    asked: BTreeMap<SocketAddr, usize>,
}

impl Prober {
    pub(super) fn new(clock: Clock, nonce: u64) -> Self {
        Self { clock, nonce, sent: BTreeMap::new(), next: 0, last: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Forgets all peers but these.
    pub(super) fn keep_only(&mut self, peers: &BTreeSet<SocketAddr>) {
        self.last.retain(|peer, _| peers.contains(peer));
        self.asked.retain(|peer, _| peers.contains(peer));
    }

    /// Those of the peers that were asked less often than answers are remembered.
    pub(super) fn newcomers(&self, peers: &BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
        let new = |peer: &&SocketAddr| self.asked.get(peer).is_none_or(|asked| *asked < REMEMBERED);
        peers.iter().filter(new).copied().collect()
    }

    /// How long until newcomers are asked again: not the same for all proxies, so that those that start together do not ask
    /// together.
    pub(super) fn acquaintance(&self) -> Span {
        ACQUAINTANCE + Span::from_millis(self.nonce % 40)
    }

    /// Probes each of the peers once.
    pub(super) async fn probe(&mut self, peers: &BTreeSet<SocketAddr>, old: &UdpSocket, new: Option<&UdpSocket>) {
        let now = self.clock.now();
        self.sent.retain(|_, (_, at)| now.since(*at) < PATIENCE);
        for peer in peers {
            *self.asked.entry(*peer).or_default() += 1;
            let socket = if peer.is_ipv4() { Some(old) } else { new };
            let Some(socket) = socket else { continue };
            let number = self.next;
            self.next += 1;
            let mut bytes = [0; LENGTH];
            bytes[..8].copy_from_slice(&QUESTION);
            bytes[8..16].copy_from_slice(&self.nonce.to_be_bytes());
            bytes[16..].copy_from_slice(&number.to_be_bytes());
            self.sent.insert(number, (*peer, self.clock.now()));
            // A probe that cannot leave is a lost one.
            let _ = socket.send_to(&bytes, *peer).await;
        }
    }

    /// Takes a datagram; the peer's round trip if it is an answer to a probe of ours.
    pub(super) fn take(&mut self, bytes: &[u8], from: SocketAddr) -> Option<(SocketAddr, Rtt)> {
        let now = self.clock.now();
        let number = |place: usize| Some(u64::from_be_bytes(bytes.get(place..place + 8)?.try_into().ok()?));
        if bytes.len() != LENGTH || !bytes.starts_with(&ANSWER) || number(8)? != self.nonce {
            return None;
        }
        let (peer, at) = *self.sent.get(&number(16)?)?;
        if peer != from {
            return None;
        }
        self.sent.remove(&number(16)?);
        let last = self.last.entry(peer).or_default();
        last.push_back(Rtt::from_nanos(now.since(at).as_nanos()));
        if last.len() > REMEMBERED {
            last.pop_front();
        }
        Some((peer, median(last)))
    }

    /// The round trip of a peer as far as it is known.
    pub(super) fn rtt(&self, peer: SocketAddr) -> Option<Rtt> {
        self.last.get(&peer).filter(|last| !last.is_empty()).map(median)
    }
}

fn median(rtts: &VecDeque<Rtt>) -> Rtt {
    let mut ascending: Vec<Rtt> = rtts.iter().copied().collect();
    ascending.sort_unstable();
    ascending.get(ascending.len().saturating_sub(1) / 2).copied().unwrap_or(Rtt::ZERO)
}

/// Sockets to send probes by, for both families where the system has both.
pub(super) async fn sockets() -> io::Result<(UdpSocket, Option<UdpSocket>)> {
    let old = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    Ok((old, UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn peers_are_measured_and_nothing_else_is_believed() {
        crate::serving::runtime().unwrap().block_on(async {
            let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = peer.local_addr().unwrap();
            tokio::spawn(respond(peer));
            let (socket, _) = sockets().await.unwrap();
            let mut prober = Prober::new(Clock::start(), 7);
            let mut bytes = [0; 64];
            let peers = BTreeSet::from([address]);
            for _ in 0..REMEMBERED {
                assert_eq!(prober.newcomers(&peers), peers, "it is asked as often as answers count");
                prober.probe(&BTreeSet::from([address]), &socket, None).await;
                let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                assert_eq!(length, LENGTH, "an answer is as long as the question");
                let mut forged = bytes;
                forged[8] ^= 1;
                assert_eq!(prober.take(&forged[..length], from), None, "another's number");
                assert_eq!(prober.take(&bytes[..length], "127.0.0.1:9".parse().unwrap()), None, "another's address");
                let (peer, rtt) = prober.take(&bytes[..length], from).unwrap();
                assert!(peer == address && Rtt::ZERO < rtt && rtt < Rtt::from_millis(1_000), "{rtt}");
                assert_eq!(prober.take(&bytes[..length], from), None, "an answer counts once");
            }
            assert!(prober.newcomers(&peers).is_empty() && prober.rtt(address).is_some());
            prober.keep_only(&BTreeSet::new());
            assert!(prober.newcomers(&peers) == peers && prober.rtt(address).is_none(), "it was forgotten");
        });
    }

    #[test]
    fn only_questions_are_answered() {
        crate::serving::runtime().unwrap().block_on(async {
            let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = peer.local_addr().unwrap();
            tokio::spawn(respond(peer));
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut answer = [0; LENGTH];
            answer[..8].copy_from_slice(&ANSWER);
            let mut question = [0; LENGTH];
            question[..8].copy_from_slice(&QUESTION);
            let long = [&question[..], &[0]].concat();
            for bytes in [&answer[..], &long, b"", b"LHRT\x01", &question] {
                socket.send_to(bytes, address).await.unwrap();
            }
            // Only the last is answered, and datagrams of one socket keep their order here.
            let mut bytes = [0; 64];
            let (length, _) = socket.recv_from(&mut bytes).await.unwrap();
            assert!(length == LENGTH && bytes.starts_with(&ANSWER));
            let more = tokio::time::timeout(Duration::from_millis(50), socket.recv_from(&mut bytes)).await;
            assert!(more.is_err(), "{more:?}");
        });
    }
}
