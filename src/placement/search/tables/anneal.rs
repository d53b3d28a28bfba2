//! Annealing on a table of costs: a trial looks up what it would change, and costs the same whatever services talk to.
//!
//! Most trials take a service to where one of its peers is, or near; where there is no room, it changes places with one from there.
//! Several are drawn and looked up before the first is decided, so that the processor need not wait for one after the other; those
//! that may be carried out are looked at again then, as things are.
//!
//! Where nodes are full nearly all trials are exchanges, and most of those that would gain enough fail for want of room: partners are
//! chosen among those that fit.

use std::sync::LazyLock;

use super::sites::CHOICES;
use super::tableau::Tableau;
use crate::placement::TimeUp;
use crate::placement::search::anneal::Course;
use crate::placement::search::ground::Lots;

/// How many trials lie between two looks at the clock and two temperatures, and how many are drawn at once.
const BATCH: u64 = 512;
const AT_ONCE: usize = 16;

/// Of how many that are side by side in the list of a node the one that gains the most by it, and fits, is taken to change places with;
/// and by how many temperatures a service may be worse beyond what it may be by its own draw for a partner to be looked for.
const PARTNERS: usize = 16;
const HOPE: f32 = 4.0;

/// In how many steps the chance of a worse trial is cut: a table of few, as it is beside much else in the cache.
const STEPS: u16 = 1024;

/// How many bits of a draw say which peer, or which node.
const PEER_BITS: u32 = 14;

/// Minus the logarithm of the middle of every step from 0 to 1.
#[allow(clippy::cast_possible_truncation)] // Seven digits are enough.
static PATIENCE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let step = |step| -libm::log((f64::from(step) + 0.5) / f64::from(STEPS)) as f32;
    (0..STEPS).map(step).collect()
});

/// By how many temperatures a trial may be worse, or how long something takes that comes once a unit of time in the mean; by the lowest
/// bits of a draw.
#[allow(clippy::cast_possible_truncation)] // Few bits.
pub(super) fn patience(word: u64) -> f32 {
    PATIENCE[word as usize & (STEPS as usize - 1)]
}

/// A trial that may be carried out: who goes where, in exchange for whom, and by how much it may be worse.
#[derive(Debug, Clone, Copy, Default)]
struct Trial {
    service: u32,
    to: u32,
    partner: Option<u32>,
    most: f32,
}

/// What a draw decides: each from bits of its own, but for partners, who come of all of them.
struct Draw(u64);

impl Draw {
    fn talker(&self, talkers: &[u32]) -> u32 {
        talkers[(((self.0 >> 32) * talkers.len() as u64) >> 32) as usize]
    }

    #[allow(clippy::cast_possible_truncation)] // Few bits.
    fn bits(&self, from: u32, count: u32) -> usize {
        (self.0 >> from) as usize & ((1 << count) - 1)
    }

    fn patience(&self) -> f32 {
        patience(self.0)
    }

    /// Whether it goes to any node: one time in 16.
    fn anywhere(&self) -> bool {
        self.bits(10, 4) == 0
    }

    fn choice(&self) -> usize {
        self.bits(14, CHOICES.ilog2())
    }

    /// Below 2^[`PEER_BITS`].
    fn peer(&self) -> usize {
        self.bits(18, PEER_BITS)
    }

    /// Below 2^32.
    fn partner(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    }
}

impl Tableau<'_> {
    /// One course of falling temperatures; how many trials it took. The placement is what it comes to; what was best on the way is
    /// returned too. Ends early when the time is up.
    pub(super) fn anneal(&mut self, course: Course, lots: &mut Lots, time_up: TimeUp<'_>) -> (u64, Vec<u32>) {
        let factor = libm::pow(course.to / course.from, BATCH as f64 / course.trials.max(1) as f64);
        let (mut temperature, mut done) = (course.from, 0);
        let mut best = (self.total, self.at.clone());
        while done < course.trials && !self.graph.talkers.is_empty() && !time_up() {
            #[allow(clippy::cast_possible_truncation)] // Seven digits are enough.
            let heat = temperature as f32;
            for _ in 0..BATCH.min(course.trials - done).div_ceil(AT_ONCE as u64) {
                let (mut trials, mut count) = ([Trial::default(); AT_ONCE], 0);
                for _ in 0..AT_ONCE {
                    if let Some(trial) = self.drawn(&Draw(lots.word()), heat) {
                        trials[count] = trial;
                        count += 1;
                    }
                }
                trials[..count].iter().for_each(|trial| self.decide(trial));
            }
            done += BATCH;
            temperature *= factor;
            if self.total < best.0 {
                best.0 = self.total;
                best.1.copy_from_slice(&self.at);
            }
        }
        (done.min(course.trials), best.1)
    }

    /// The trial that a draw stands for; `None` where it changes nothing or is too bad.
    fn drawn(&self, draw: &Draw, heat: f32) -> Option<Trial> {
        let (graph, sites) = (self.graph, self.sites);
        let most = heat * draw.patience();
        let service = draw.talker(&graph.talkers);
        let home = self.at[service as usize];
        let beside = graph.peer(service, draw.peer(), PEER_BITS).map_or(home, |peer| self.at[peer as usize]);
        let near = sites.beside(beside, beside == home, draw.choice());
        #[allow(clippy::cast_possible_truncation)] // Below the number of nodes.
        let any = ((draw.peer() * sites.count) >> PEER_BITS) as u32;
        let to = if draw.anywhere() { any } else { near };
        let alone = self.cost(service, to) - self.cost(service, home);
        if alone > most + heat * HOPE || to == home {
            return None;
        }
        if self.has_room(to, service) {
            return (alone <= most).then_some(Trial { service, to, partner: None, most });
        }
        let (partner, theirs) = self.partner(service, (home, to), draw.partner());
        (alone + theirs <= most).then_some(Trial { service, to, partner: Some(partner), most })
    }

    /// Who of [`PARTNERS`] on `to`, from one by lot on, can go to `home` in exchange and had best do so, and what that costs more:
    /// without end where there is none.
    #[inline(never)] // A loop that needs all registers.
    pub(super) fn partner(&self, service: u32, (home, to): (u32, u32), lot: u64) -> (u32, f32) {
        let (asked, there, here) = (self.graph.demand(service), self.left(to), self.left(home));
        let choice = (service, (home, to), lot);
        if let ([asked], [there], [here]) = (asked, there, here) {
            let fitting = asked.saturating_sub(*there)..=asked.saturating_add(*here);
            let demands = self.graph.demands();
            self.cheapest(choice, |other| fitting.contains(&demands[other as usize]))
        } else {
            self.cheapest(choice, |other| {
                self.has_room_for(to, service, other) && self.has_room_for(home, other, service)
            })
        }
    }

    /// Which of some on `to` that fit costs the least on `home` instead.
    #[inline]
    fn cheapest(&self, (service, (home, to), lot): (u32, (u32, u32), u64), fits: impl Fn(u32) -> bool) -> (u32, f32) {
        let (before, after) = self.members(to, lot);
        // Not all: otherwise the best would have to go each time, and never the second.
        let count = PARTNERS.min((before.len() + after.len()).div_ceil(2));
        let after = &after[..after.len().min(count)];
        let before = &before[..before.len().min(count - after.len())];
        let mut best = (service, f32::INFINITY);
        for others in [after, before] {
            for other in others {
                // Looked up even where it does not fit: that is faster than to guess wrong whether it does.
                let gained = self.cost(*other, home) - self.cost(*other, to);
                let gained = if fits(*other) { gained } else { f32::INFINITY };
                best = if gained < best.1 { (*other, gained) } else { best };
            }
        }
        best
    }

    /// Carries a trial out if it is allowed and not too bad as things are now.
    fn decide(&mut self, trial: &Trial) {
        let Trial { service, to, partner, most } = *trial;
        let home = self.at[service as usize];
        let mut gained = self.cost(service, to) - self.cost(service, home);
        if home == to {
            return;
        }
        let Some(partner) = partner else {
            if gained <= most && self.has_room(to, service) {
                self.shift(service, to);
            }
            return;
        };
        if self.at[partner as usize] != to
            || !self.has_room_for(to, service, partner)
            || !self.has_room_for(home, partner, service)
        {
            return;
        }
        gained += self.cost(partner, home) - self.cost(partner, to);
        if let Some(tie) = self.graph.ties(service).iter().find(|tie| tie.peer == partner) {
            // Each row took the other for staying: they are as far apart as before, the other way round.
            gained += (tie.there + tie.back) * self.sites.round_trip(home, to);
        }
        if gained <= most {
            self.shift(service, to);
            self.shift(partner, home);
        }
    }
}
