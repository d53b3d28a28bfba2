//! What fuzz targets give to the private parsers of this room: packets as anybody may send them, and what the books make
//! of them.

use std::collections::BTreeMap;

use super::echo::{Direction, Family, Probe, parse, request, trailing_probe};
use super::icmp::record;
use super::ledger::Ledger;
use super::probe::{ReceivedProbe, SentProbe};
use super::raw_socket::Event;
use super::schedule::Sequence;

/// The run that the books are of.
const RUN: u64 = 7;

/// A packet as a raw socket of either family delivers it, or as the kernel hands one of our own back.
pub fn packet(bytes: &[u8]) -> Result<(), String> {
    for family in [Family::V4, Family::V6] {
        if let Some((direction, probe)) = parse(family, bytes) {
            let message = request(family, &probe);
            // A header of five words stands before a message over IPv4.
            let whole = if family == Family::V4 { [&[0x45; 20], &message[..]].concat() } else { message.to_vec() };
            if parse(family, &whole) != Some((Direction::Request, probe)) {
                return Err(format!("{direction:?} of {probe:?} over {family:?} is not read again"));
            }
            if trailing_probe(bytes) != Some(probe) {
                return Err(format!("{probe:?} is another probe from behind"));
            }
        }
    }
    let _ = trailing_probe(bytes);
    Ok(())
}

/// Any events in any order, six bytes each; the report must be what a plain reckoning of them says.
pub fn books(bytes: &[u8]) -> Result<(), String> {
    let Some(([nodes, probes, me], events)) = bytes.split_first_chunk() else { return Ok(()) };
    let (nodes, probes) = (2 + usize::from(nodes % 3), 1 + u32::from(probes % 3));
    let me = usize::from(*me) % nodes;
    let (mut ledger, mut reckoning) = (Ledger::new(me, nodes, probes), Reckoning::default());
    for (event, place) in events.as_chunks::<6>().0.iter().zip(1u64..) {
        let [kind, run, from, to, seq, counted] = *event;
        let seq = if counted == 0 { Sequence::WarmUp(seq.into()) } else { Sequence::Probe(seq.into()) };
        let probe = Probe { run: u64::from(run % 8), from: u32::from(from % 5), to: u32::from(to % 5), seq };
        let event = match kind % 4 {
            0 => Event::Arrived(Direction::Request, probe, place),
            1 => Event::Arrived(Direction::Reply, probe, place),
            2 => Event::Stamped(probe, place),
            _ => {
                reckoning.sending(&mut ledger, (me, nodes, probes), probe, place);
                continue;
            }
        };
        record(&mut ledger, RUN, u32::try_from(me).unwrap_or(0), event);
        reckoning.take((me, nodes, probes), event);
    }
    reckoning.compare(ledger)
}

/// Own reading, the kernel's stamp, and the answer.
type Instants = (u64, Option<u64>, Option<u64>);

/// The events once more, without the arrays and counters of the books.
#[derive(Default)]
struct Reckoning {
    sent: BTreeMap<(usize, u32), Instants>,
    received: Vec<ReceivedProbe>,
    duplicates: u32,
}

impl Reckoning {
    fn sending(&mut self, ledger: &mut Ledger, (me, nodes, probes): (usize, usize, u32), probe: Probe, at: u64) {
        let (to, Sequence::Probe(seq)) = (probe.to as usize, probe.seq) else { return };
        // The schedule has each probe once.
        if to < nodes && to != me && seq < probes && !self.sent.contains_key(&(to, seq)) {
            self.sent.insert((to, seq), (at, None, None));
            ledger.sending(to, seq, at, at);
        }
    }

    fn take(&mut self, (me, nodes, probes): (usize, usize, u32), event: Event) {
        let (Event::Arrived(_, probe, at) | Event::Stamped(probe, at)) = event;
        let (Sequence::Probe(seq), RUN) = (probe.seq, probe.run) else { return };
        let (from, to) = (probe.from as usize, probe.to as usize);
        match event {
            Event::Arrived(Direction::Request, ..) => {
                let known = self.received.iter().filter(|known| (known.from, known.seq) == (from, seq)).count();
                if to == me && from != me && from < nodes && seq < probes {
                    // The first counts, a second is kept beside it, of more only their number.
                    if known >= 2 {
                        self.duplicates += 1;
                    } else {
                        self.received.push(ReceivedProbe { from, seq, rx_ns: at });
                    }
                }
            }
            Event::Arrived(Direction::Reply, ..) if from == me => {
                if let Some((.., answer)) = self.sent.get_mut(&(to, seq)) {
                    self.duplicates += u32::from(answer.is_some());
                    answer.get_or_insert(at);
                }
            }
            Event::Stamped(..) if from == me => {
                if let Some((_, stamp, _)) = self.sent.get_mut(&(to, seq)) {
                    stamp.get_or_insert(at);
                }
            }
            Event::Arrived(..) | Event::Stamped(..) => {}
        }
    }

    fn compare(self, ledger: Ledger) -> Result<(), String> {
        let report = ledger.into_report();
        let sent: Vec<SentProbe> = self
            .sent
            .into_iter()
            .map(|((to, seq), (user, stamp, rx_ns))| SentProbe { to, seq, tx_ns: stamp.unwrap_or(user), rx_ns })
            .collect();
        if (&report.sent, &report.received, report.duplicates) == (&sent, &self.received, self.duplicates) {
            return Ok(());
        }
        Err(format!("{report:?} instead of {sent:?}, {:?}, {} duplicates", self.received, self.duplicates))
    }
}
