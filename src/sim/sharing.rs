//! A server that shares its cores evenly among all that it has.

use std::collections::BTreeMap;

use crate::units::{Moment, Span};

/// Processor sharing: with `n` jobs on `c` cores each goes on at the speed `min(1, c / n)`.
///
/// Kept in attained service: every job has had the same since it came, so a job is done when the common count reaches what it
/// stood at on its coming plus the job's work. The count is in 2^-16 ns, so that rounding stays far below a nanosecond.
#[derive(Debug, Clone)]
pub struct Sharing {
    cores: u64,
    /// Service that a job present all along would have had.
    attained: u128,
    /// When `attained` was right.
    at: Moment,
    /// Jobs by the count at which they are done; of equals the first come first.
    jobs: BTreeMap<(u128, u64), u64>,
    came: u64,
}

/// Parts of a nanosecond in which service is counted.
const PARTS: u128 = 1 << 16;

impl Sharing {
    /// Idle, with that many cores; one at least.
    pub fn new(cores: usize) -> Self {
        Self { cores: (cores as u64).max(1), attained: 0, at: Moment::START, jobs: BTreeMap::new(), came: 0 }
    }

    /// Takes a job that comes now.
    pub fn take(&mut self, now: Moment, job: u64, work: Span) {
        self.advance(now);
        self.jobs.insert((self.attained + u128::from(work.as_nanos()) * PARTS, self.came), job);
        self.came += 1;
    }

    /// When the next job will be done if none comes before.
    pub fn next(&self) -> Option<Moment> {
        let ((done, _), _) = self.jobs.first_key_value()?;
        let left = done.saturating_sub(self.attained);
        let real = (left * self.slowness().0).div_ceil(self.slowness().1 * PARTS);
        Some(self.at + Span::from_nanos(u64::try_from(real).unwrap_or(u64::MAX)))
    }

    /// The jobs that are done by now, in the order in which they were.
    pub fn done(&mut self, now: Moment) -> Vec<u64> {
        let mut done = Vec::new();
        while let Some(next) = self.next().filter(|next| *next <= now) {
            self.advance(next);
            let ready = self.attained + PARTS;
            while let Some(entry) = self.jobs.first_entry().filter(|entry| entry.key().0 < ready) {
                done.push(entry.remove());
            }
        }
        self.advance(now);
        done
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many times slower than alone a job goes, as a fraction.
    fn slowness(&self) -> (u128, u128) {
        let jobs = (self.jobs.len() as u64).max(self.cores);
        (u128::from(jobs), u128::from(self.cores))
    }

    fn advance(&mut self, now: Moment) {
        let passed = u128::from(now.since(self.at).as_nanos());
        let (slow, fast) = self.slowness();
        self.attained += passed * PARTS * fast / slow;
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_the_cores_evenly() {
        let ms = Moment::from_millis;
        let mut server = Sharing::new(1);
        server.take(ms(0), 1, Span::from_millis(10));
        assert_eq!(server.next(), Some(ms(10)));
        // From 4 ms on two share: the first has 6 ms left, so is done at 16; the second then has 2 ms left.
        server.take(ms(4), 2, Span::from_millis(8));
        assert_eq!(server.next(), Some(ms(16)));
        assert!(server.done(ms(15)).is_empty());
        assert_eq!(server.done(ms(16)), [1]);
        assert_eq!(server.next(), Some(ms(18)));
        assert_eq!(server.done(ms(30)), [2]);
        assert!(server.is_empty() && server.next().is_none());
    }

    #[test]
    fn as_many_jobs_as_cores_do_not_slow_each_other() {
        let ms = Moment::from_millis;
        let mut server = Sharing::new(2);
        server.take(ms(0), 1, Span::from_millis(10));
        server.take(ms(0), 2, Span::from_millis(10));
        assert_eq!(server.done(ms(10)), [1, 2]);
        for job in 0..3 {
            server.take(ms(20), job, Span::from_millis(10));
        }
        assert_eq!(server.next(), Some(ms(35)));
        assert_eq!(server.len(), 3);
    }
}
