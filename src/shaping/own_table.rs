//! [`OwnTable`]: a distribution of one's own, as a table of quantiles that both delay elements draw from.
//!
//! Tables are kept once for the whole process and are named by their content, so that an impairment that has one stays as
//! small as one that has none, and is compared as fast. In a [`Row`](super::Row) each table is written once, before the
//! paths that refer to it. A process that is given ever new ones says from time to time which it still needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Deserializer, Serialize};

use super::TABLE_SCALE;
use crate::units::Span;

/// The fewest entries: below that a table says little of a distribution.
const MIN_ENTRIES: usize = 64;
/// The most that netem takes.
const MAX_ENTRIES: usize = 16_384;
/// The most tables that one process keeps; each takes 32 KiB at most.
const MAX_TABLES: usize = 4_096;

/// The tables of this process by digest.
static TABLES: RwLock<BTreeMap<u64, Entries>> = RwLock::new(BTreeMap::new());

/// What stands in a kernel for a table that nobody here knows.
const UNKNOWN: OwnTable = OwnTable { digest: 0 };

/// A table of quantiles in parts of [`TABLE_SCALE`]: each packet's delay strays by one of them, drawn evenly, times the jitter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnTable {
    digest: u64,
}

struct Entries {
    name: Arc<str>,
    strays: Arc<[i16]>,
}

fn tables() -> RwLockReadGuard<'static, BTreeMap<u64, Entries>> {
    TABLES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Why numbers are no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Too few or too many entries.
    #[error("{count} entries; a table has {MIN_ENTRIES} to {MAX_ENTRIES}")]
    Length {
        /// How many there are.
        count: usize,
    },
    /// Too few samples.
    #[error("{count} samples; a distribution needs {MIN_ENTRIES} or more")]
    Samples {
        /// How many there are.
        count: usize,
    },
    /// Samples that are all the same.
    #[error("all samples are the same; there is no jitter in them")]
    Still,
    /// A table is named that was not given.
    #[error("the table {0} is used before it is given")]
    Unknown(String),
    /// Too many tables.
    #[error("more than {MAX_TABLES} tables in one process")]
    TooMany,
}

impl OwnTable {
    /// The table of these entries; `name` is what messages call it and part of what it is.
    pub fn new(name: &str, entries: Vec<i16>) -> Result<Self, TableError> {
        if !(MIN_ENTRIES..=MAX_ENTRIES).contains(&entries.len()) {
            return Err(TableError::Length { count: entries.len() });
        }
        let digest = digest(name, &entries);
        let mut tables = TABLES.write().unwrap_or_else(PoisonError::into_inner);
        if tables.len() == MAX_TABLES && !tables.contains_key(&digest) {
            return Err(TableError::TooMany);
        }
        tables.entry(digest).or_insert_with(|| Entries { name: name.into(), strays: entries.into() });
        Ok(Self { digest })
    }

    /// Forgets all tables of this process but these. One that was forgotten has no name and does not let delays stray, until
    /// it is made again.
    pub fn keep_only(used: &BTreeSet<Self>) {
        let mut tables = TABLES.write().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|digest, _| used.contains(&Self { digest: *digest }));
    }

    /// The table by which delays stray as `samples` do from their mean, and the jitter that makes them as wide.
    ///
    /// Without `jitter` no sample is cut: that jitter is the samples' standard deviation, or more where single samples lie
    /// beyond four of it. With it, the table's one is the standard deviation, and what lies beyond four is cut.
    /// Up to 16,384 samples are the table themselves; of more it has so many quantiles.
    pub fn of_samples(name: &str, samples: &[f64], jitter: Option<Span>) -> Result<(Self, Span), TableError> {
        if samples.len() < MIN_ENTRIES {
            return Err(TableError::Samples { count: samples.len() });
        }
        let count = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / count;
        let deviation = (samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / count).sqrt();
        if deviation == 0.0 || !deviation.is_finite() {
            return Err(TableError::Still);
        }
        let farthest = samples.iter().map(|sample| (sample - mean).abs()).fold(0.0, f64::max);
        let reach = f64::from(i16::MAX) / f64::from(TABLE_SCALE);
        let one = if jitter.is_some() { deviation } else { deviation.max(farthest / reach) };
        let mut strays: Vec<f64> = samples.iter().map(|sample| (sample - mean) / one).collect();
        strays.sort_unstable_by(f64::total_cmp);
        let size = strays.len().min(MAX_ENTRIES);
        let entries = (0..size).map(|place| entry(strays[(2 * place + 1) * strays.len() / (2 * size)])).collect();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above zero, and delays end at a minute
        let own = Span::from_nanos(one.round() as u64);
        Ok((Self::new(name, entries)?, jitter.unwrap_or(own)))
    }

    /// The entries.
    pub fn entries(self) -> Arc<[i16]> {
        tables().get(&self.digest).map_or_else(|| [0].into(), |entries| Arc::clone(&entries.strays))
    }

    /// What it is called.
    pub fn name(self) -> Arc<str> {
        tables().get(&self.digest).map_or_else(|| "".into(), |entries| Arc::clone(&entries.name))
    }

    /// The number that stands for it where 13 bits can be kept; never 0.
    #[allow(clippy::cast_possible_truncation)] // below 2^13
    pub(super) const fn tag(self) -> u16 {
        (self.digest % 0x1fff) as u16 + 1
    }

    /// The table of a tag; an unknown one, equal to no other, where this process knows none or several.
    pub(super) fn tagged(tag: u16) -> Self {
        let tables = tables();
        let mut known = tables.keys().map(|digest| Self { digest: *digest }).filter(|table| table.tag() == tag);
        match (known.next(), known.next()) {
            (Some(table), None) => table,
            _ => UNKNOWN,
        }
    }

    /// The text that stands for it where its content is given elsewhere: 16 hexadecimal digits.
    pub(super) fn reference(self) -> String {
        format!("{:016x}", self.digest)
    }

    /// The table of a reference, if this process knows it.
    pub(super) fn referred(text: &str) -> Result<Self, TableError> {
        let digest = u64::from_str_radix(text, 16).ok().filter(|digest| tables().contains_key(digest));
        digest.map(|digest| Self { digest }).ok_or_else(|| TableError::Unknown(text.to_owned()))
    }
}

/// FNV-1a over the name, a zero and the entries: the same in every process.
fn digest(name: &str, entries: &[i16]) -> u64 {
    let bytes = name.bytes().chain([0]).chain(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A stray in units of the jitter as the kernel's tables have it.
#[allow(clippy::cast_possible_truncation)] // clamped to 16 bits
pub(super) fn entry(quantile: f64) -> i16 {
    (quantile * f64::from(TABLE_SCALE)).round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

impl fmt::Debug for OwnTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnTable({} {:016x}, {} entries)", self.name(), self.digest, self.entries().len())
    }
}

/// Tables as they travel, in front of what refers to them: reading them makes them known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tables(Vec<Written>);

/// A table with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    entries: Vec<i16>,
}

impl Tables {
    /// Each of the `tables` once.
    pub fn of(tables: impl Iterator<Item = OwnTable>) -> Self {
        let distinct: BTreeSet<OwnTable> = tables.collect();
        let written =
            |table: OwnTable| Written { name: table.name().as_ref().to_owned(), entries: table.entries().to_vec() };
        Self(distinct.into_iter().map(written).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Tables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?;
        for table in &written {
            OwnTable::new(&table.name, table.entries.clone()).map_err(serde::de::Error::custom)?;
        }
        Ok(Self(written))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_tables_are_one_and_names_tell_them_apart() {
        let make = |name: &str, shift: i16| OwnTable::new(name, (0..100).map(|n| n + shift).collect()).unwrap();
        let (one, same) = (make("equal-a", 0), make("equal-a", 0));
        assert!(Arc::ptr_eq(&one.entries(), &same.entries()));
        assert_eq!(one, same);
        assert_ne!(one, make("equal-a", 1));
        assert_ne!(one, make("equal-b", 0));
        assert_eq!(OwnTable::referred(&one.reference()), Ok(one));
        assert_eq!(OwnTable::referred("0123"), Err(TableError::Unknown("0123".to_owned())));
    }

    #[test]
    fn tables_of_a_wrong_size_are_refused() {
        for count in [0, 63, 16_385] {
            assert_eq!(OwnTable::new("x", vec![0; count]), Err(TableError::Length { count }));
        }
        assert_eq!(OwnTable::of_samples("x", &[1.0; 63], None), Err(TableError::Samples { count: 63 }));
        assert_eq!(OwnTable::of_samples("x", &[1.0; 64], None), Err(TableError::Still));
    }

    #[test]
    fn a_tag_that_two_tables_have_is_no_tables() {
        let first = OwnTable::new("tag", vec![7; 64]).unwrap();
        assert_eq!(OwnTable::tagged(first.tag()), first);
        let entries = |n: i16| vec![n; 64 + usize::from(n.unsigned_abs() % 3)];
        let tag = |n: &i16| digest("twin", &entries(*n)) % 0x1fff + 1;
        let twin = (i16::MIN..=i16::MAX).find(|n| tag(n) == u64::from(first.tag())).unwrap();
        OwnTable::new("twin", entries(twin)).unwrap();
        assert_ne!(OwnTable::tagged(first.tag()), first);
        assert_eq!(*OwnTable::tagged(0).entries(), [0], "no table has the tag 0");
    }

    proptest! {
        /// Without a jitter of its own a table gives back every sample, up to the rounding of 16 bits.
        #[test]
        fn samples_come_back(samples in prop::collection::vec(0.0f64..50e6, 64..400)) {
            let (table, one) = OwnTable::of_samples("samples", &samples, None).unwrap();
            let mean = samples.iter().sum::<f64>() / samples.len() as f64;
            let mut sorted = samples;
            sorted.sort_unstable_by(f64::total_cmp);
            prop_assert_eq!(table.entries().len(), sorted.len());
            for (entry, sample) in table.entries().iter().zip(sorted) {
                let back = mean + f64::from(*entry) / 8192.0 * one.as_nanos() as f64;
                prop_assert!((back - sample).abs() < 1e-4 * one.as_nanos() as f64 + 4.0, "{} {}", back, sample);
            }
        }
    }
}
