//! [`Pace`]: how passes over the steps follow each other, and which switch is the latest at an instant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TimelineError;
use crate::units::Span;

/// How often the steps are passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// So many passes, at least one.
    Times(u32),
    /// Until somebody stops it.
    Forever,
}

impl Default for Repeat {
    fn default() -> Self {
        Self::Times(1)
    }
}

impl FromStr for Repeat {
    type Err = TimelineError;

    fn from_str(text: &str) -> Result<Self, TimelineError> {
        match text.trim() {
            "forever" => Ok(Self::Forever),
            number => match number.parse() {
                Ok(times) if times > 0 => Ok(Self::Times(times)),
                _ => Err(TimelineError::Repeat(number.to_owned())),
            },
        }
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// One switch of a replay: a step in one of the passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// From 1, through all passes.
    pub number: u64,
    /// From the start of the replay.
    pub at: Span,
    /// Which of the steps, from 0.
    pub step: usize,
}

/// How passes follow each other, and when all is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pace {
    /// How long one pass takes; needed only where there are several.
    pub length: Option<Span>,
    /// How many.
    pub repeat: Repeat,
    /// From here on nothing is switched any more, counted from the start of the replay.
    pub until: Option<Span>,
}

impl Pace {
    /// All switches of steps at these instants of each pass, in order; without end when the replay has none.
    pub fn switches(self, ats: Vec<Span>) -> impl Iterator<Item = Switch> {
        self.switches_from(ats, 1)
    }

    /// Those from number `first` on; numbers begin with 1.
    pub fn switches_from(self, ats: Vec<Span>, first: u64) -> impl Iterator<Item = Switch> {
        let (length, count) = (self.length.map_or(0, Span::as_nanos), ats.len() as u64);
        let places = if count == 0 { 0 } else { self.passes().saturating_mul(count) };
        let all = (first.saturating_sub(1)..places).map(move |place| {
            let step = usize::try_from(place % count).unwrap_or(0);
            let at = (place / count).saturating_mul(length).saturating_add(ats[step].as_nanos());
            Switch { number: place + 1, at: Span::from_nanos(at), step }
        });
        all.take_while(move |switch| self.until.is_none_or(|until| switch.at < until))
    }

    /// The number of the last switch that is due so long after the start; 0 before the first. The instants of steps rise
    /// strictly, and where there are several passes the first is at 0.
    pub fn latest(self, ats: &[Span], elapsed: Span) -> u64 {
        let elapsed = match self.until {
            Some(until) if until <= elapsed => match until.as_nanos().checked_sub(1) {
                Some(last) => last,
                None => return 0,
            },
            _ => elapsed.as_nanos(),
        };
        let pass = match self.length.map_or(0, Span::as_nanos) {
            0 => 0,
            length => (elapsed / length).min(self.passes() - 1),
        };
        let within = elapsed.saturating_sub(pass.saturating_mul(self.length.map_or(0, Span::as_nanos)));
        let due = ats.partition_point(|at| at.as_nanos() <= within) as u64;
        pass.saturating_mul(ats.len() as u64).saturating_add(due)
    }

    fn passes(self) -> u64 {
        match self.repeat {
            // A pass fewer than one cannot be written, but can be sent.
            Repeat::Times(times) => u64::from(times).max(1),
            Repeat::Forever => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_latest_switch_is_the_last_that_was_due(
            mut ats in prop::collection::btree_set(0u64..50, 1..5),
            times in 1u32..5,
            longer in 1u64..20,
            until in prop::option::of(0u64..260),
            elapsed in 0u64..260,
            first in 1u64..12,
        ) {
            if times > 1 {
                ats.insert(0);
            }
            let length = (times > 1).then(|| Span::from_nanos(ats.last().copied().unwrap_or(0) + longer));
            let ats: Vec<Span> = ats.into_iter().map(Span::from_nanos).collect();
            let (until, elapsed) = (until.map(Span::from_nanos), Span::from_nanos(elapsed));
            let pace = Pace { length, repeat: Repeat::Times(times), until };
            let all: Vec<Switch> = pace.switches(ats.clone()).collect();
            let due = all.iter().rfind(|one| one.at <= elapsed).map_or(0, |one| one.number);
            prop_assert_eq!(pace.latest(&ats, elapsed), due);
            let rest: Vec<Switch> = pace.switches_from(ats, first).collect();
            prop_assert_eq!(rest, all.into_iter().filter(|one| one.number >= first).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_endless_replay_is_not_counted_through() {
        let pace = Pace { length: Some(Span::from_nanos(2)), repeat: Repeat::Forever, until: None };
        let ats = [Span::ZERO, Span::from_nanos(1)];
        assert_eq!(pace.latest(&ats, Span::from_nanos(u64::MAX - 1)), u64::MAX);
        assert_eq!(pace.latest(&ats, Span::from_nanos(1_000_000_000_001)), 1_000_000_000_002);
    }
}
