//! [`Trace`]: requests whose moments were fixed elsewhere, one by one; and [`Source`], which is that or a schedule. Pure.

use std::sync::Arc;

use crate::units::{Moment, Span};
use crate::wording::excerpt;

use super::{Schedule, Slot};

/// The columns of a trace.
const COLUMNS: [&str; 3] = ["at_ms", "client", "work_ms"];

/// The most clients of a trace, as of a schedule.
const MOST_CLIENTS: u32 = 100_000;

/// Requests one by one, in the order of their moments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    slots: Arc<[Slot]>,
}

/// A text that is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Its first line says something else.
    #[error("the first line is `{}`; a trace of requests begins with at_ms,client,work_ms", excerpt(.0))]
    Columns(String),
    /// A line that is no request.
    #[error(
        "line {line}: `{}` is no request; write milliseconds, a client from 0 to 99999, and milliseconds or nothing",
        excerpt(.text)
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
}

impl Trace {
    /// Puts requests in their order.
    pub fn new(mut slots: Vec<Slot>) -> Self {
        slots.sort();
        Self { slots: slots.into() }
    }

    /// Reads `at_ms,client,work_ms`, a request a line, in any order; the work may be left empty.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        if head.split(',').map(str::trim).ne(COLUMNS) {
            return Err(TraceError::Columns(head.to_owned()));
        }
        let slots = lines
            .enumerate()
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(place, text)| slot(text).ok_or_else(|| TraceError::Line { line: place + 2, text: text.to_owned() }));
        Ok(Self::new(slots.collect::<Result<_, _>>()?))
    }

    /// As [`parse`](Self::parse) reads it, exact to the nanosecond.
    pub fn to_csv(&self) -> String {
        let ms = |ns: u64| format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
        let line = |slot: &Slot| {
            let work = slot.work.map_or_else(String::new, |work| ms(work.as_nanos()));
            format!("{},{},{work}\n", ms(slot.at.as_nanos()), slot.client)
        };
        std::iter::once(format!("{}\n", COLUMNS.join(","))).chain(self.slots.iter().map(line)).collect()
    }

    /// The requests in their order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

fn slot(text: &str) -> Option<Slot> {
    let mut fields = text.split(',').map(str::trim);
    let (at, client, work) = (fields.next()?, fields.next()?, fields.next()?);
    let ms = |text: &str| Span::from_millis_f64(text.parse().ok().filter(|ms: &f64| *ms >= 0.0)?);
    let work = if work.is_empty() { None } else { Some(ms(work)?) };
    let client = client.parse().ok().filter(|client| *client < MOST_CLIENTS)?;
    fields.next().is_none().then_some(Slot { at: Moment::START + ms(at)?, client, work })
}

/// Where the moments of a load come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Drawn by a schedule.
    Drawn(Schedule),
    /// Fixed elsewhere.
    Traced(Trace),
}

impl Source {
    /// How many clients there are.
    pub fn clients(&self) -> u32 {
        match self {
            Self::Drawn(schedule) => schedule.clients,
            Self::Traced(trace) => trace.slots.iter().map(|slot| slot.client + 1).max().unwrap_or(0),
        }
    }

    /// Requests that are to be expected in all.
    pub fn expected(&self) -> f64 {
        match self {
            Self::Drawn(schedule) => schedule.expected(),
            Self::Traced(trace) => trace.slots.len() as f64,
        }
    }

    /// All requests in the order of their moments.
    pub fn slots(&self) -> Box<dyn Iterator<Item = Slot> + Send> {
        match self {
            Self::Drawn(schedule) => Box::new(schedule.slots()),
            Self::Traced(trace) => {
                let trace = trace.clone();
                Box::new((0..trace.slots.len()).map(move |place| trace.slots[place]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_read_in_any_order_and_what_is_none_is_named() {
        let trace = Trace::parse("at_ms,client,work_ms\n20,1,\n10.5,0,5.25\n").unwrap();
        let slot = |us, client, work: Option<u64>| {
            let at = Moment::START + Span::from_micros(us);
            Slot { at, client, work: work.map(Span::from_micros) }
        };
        assert_eq!(trace.slots(), [slot(10_500, 0, Some(5_250)), slot(20_000, 1, None)]);
        assert_eq!(Source::Traced(trace).clients(), 2);
        assert_eq!(
            Trace::parse("").unwrap_err().to_string(),
            "the first line is ``; a trace of requests begins with at_ms,client,work_ms"
        );
        for line in ["1,0", "x,0,", "-1,0,", "1,100000,", "1,0,1,1", "nan,0,"] {
            let error = Trace::parse(&format!("at_ms,client,work_ms\n1,0,\n{line}\n")).unwrap_err();
            assert_eq!(error, TraceError::Line { line: 3, text: line.to_owned() });
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(slots in prop::collection::vec((0u64..1 << 42, 0u32..9, prop::option::of(0u64..1 << 36)), 0..20)) {
            let slot = |(at, client, work): (u64, u32, Option<u64>)| {
                Slot { at: Moment::from_nanos(at), client, work: work.map(Span::from_nanos) }
            };
            let trace = Trace::new(slots.into_iter().map(slot).collect());
            prop_assert_eq!(Trace::parse(&trace.to_csv()), Ok(trace));
        }
    }
}
