//! A server that takes work in the order of its coming, on one core or several.

use crate::units::{Moment, Span};

/// First come, first served. As nothing overtakes, what comes is told at once when it will be done.
#[derive(Debug, Clone)]
pub struct Fifo {
    /// When each core has done what it was given.
    free: Vec<Moment>,
}

impl Fifo {
    /// Idle, with that many cores; one at least.
    pub fn new(cores: usize) -> Self {
        Self { free: vec![Moment::START; cores.max(1)] }
    }

    /// Takes work that comes now; when it will be done. The core that is free first has it, the lowest of equals.
    pub fn take(&mut self, now: Moment, work: Span) -> Moment {
        let first = self.free.iter().enumerate().min_by_key(|(core, free)| (**free, *core)).map_or(0, |(core, _)| core);
        self.free[first] = self.free[first].max(now) + work;
        self.free[first]
    }

    /// How long what came now would wait for a core.
    pub fn wait(&self, now: Moment) -> Span {
        self.free.iter().min().map_or(Span::ZERO, |free| free.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Streams, unit_interval};

    #[test]
    fn work_waits_for_the_core_that_is_free_first() {
        let ms = Moment::from_millis;
        let mut one = Fifo::new(1);
        assert_eq!(one.take(ms(0), Span::from_millis(5)), ms(5));
        assert_eq!(one.take(ms(2), Span::from_millis(5)), ms(10));
        assert_eq!(one.wait(ms(4)), Span::from_millis(6));
        assert_eq!(one.take(ms(20), Span::from_millis(1)), ms(21));
        let mut two = Fifo::new(2);
        assert_eq!(two.take(ms(0), Span::from_millis(5)), ms(5));
        assert_eq!(two.take(ms(1), Span::from_millis(5)), ms(6));
        assert_eq!(two.take(ms(2), Span::from_millis(5)), ms(10));
    }

    /// M/M/1 at load 0.5: the mean time in the system is 1 / (μ − λ), here 20 ms.
    #[test]
    fn a_poisson_load_stays_as_long_as_queueing_theory_says() {
        let mut dice = Streams::new(1).stream("queue", 0);
        let mut exponential = |mean: f64| Span::from_millis_f64(-mean * (1.0 - unit_interval(&mut dice)).ln());
        let (mut server, mut now, mut total) = (Fifo::new(1), Moment::START, 0.0);
        for _ in 0..200_000 {
            now += exponential(20.0).expect("finite");
            let work = exponential(10.0).expect("finite");
            total += server.take(now, work).since(now).as_millis_f64();
        }
        let mean = total / 200_000.0;
        assert!((mean - 20.0).abs() < 1.0, "{mean}");
    }
}
