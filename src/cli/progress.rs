//! A progress line on the terminal, none in a pipe.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// What is going on, on standard error when that is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self { bar }
    }

    /// Shows a step of unknown length.
    pub(super) fn say(&self, step: &str) {
        self.bar.set_style(ProgressStyle::default_spinner());
        self.bar.set_message(format!("{step} …"));
        self.bar.enable_steady_tick(TICK);
    }

    /// Shows a step that takes `duration`.
    pub(super) fn run(&self, step: &str, duration: Duration) {
        let total = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        // What stands beside the bar takes 46 letters at most; a line that wraps could not be drawn anew.
        let room = super::terminal::columns(io::stderr()).unwrap_or(80).saturating_sub(47).min(40);
        let bar = if room < 5 { String::new() } else { format!("[{{bar:{room}}}] ") };
        if let Ok(style) = ProgressStyle::with_template(&format!("{{msg:24}} {bar}{{percent:>3}} %, {{eta}} left")) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_message(step.to_owned());
        let (bar, waited) = (self.bar.clone(), step.to_owned());
        // Ends by itself: when the time is over, when the next step replaces the length, or with the process.
        std::thread::spawn(move || {
            while !bar.is_finished() && bar.length() == Some(total) {
                let passed = u64::try_from(bar.elapsed().as_millis()).unwrap_or(total);
                bar.set_position(passed.min(total));
                if passed >= total {
                    // What is late is still awaited; how long depends on the longest path.
                    bar.set_message(format!("{waited}: wait for the last answers"));
                    break;
                }
                std::thread::sleep(TICK);
            }
        });
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// How many trials have ended, and how long the others will take.
pub(super) struct Trials {
    bar: ProgressBar,
    /// How long a trial takes by the clock, where that is known, in milliseconds.
    each: Option<u64>,
    ended: Arc<AtomicU64>,
}

impl Trials {
    /// None of `count` has ended.
    pub(super) fn new(count: usize) -> Self {
        Self::of(count as u64, None, "trial {pos}/{len} [{bar:30}] {eta} left, last {msg}")
    }

    /// The same where all of them take `whole` by the clock.
    pub(super) fn timed(count: usize, whole: Duration) -> Self {
        let each = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX) / (count as u64).max(1);
        let trials = Self::of(each * count as u64, Some(each), "[{bar:30}] {eta} left, {msg}");
        let (bar, ended) = (trials.bar.clone(), Arc::clone(&trials.ended));
        // Ends with the bar, or with the process.
        std::thread::spawn(move || {
            let mut last = (0, Instant::now());
            while !bar.is_finished() {
                let now = ended.load(Ordering::Relaxed);
                if now != last.0 {
                    last = (now, Instant::now());
                }
                let within = u64::try_from(last.1.elapsed().as_millis()).unwrap_or(each).min(each);
                bar.set_position(now * each + within);
                std::thread::sleep(TICK);
            }
        });
        trials
    }

    fn of(length: u64, each: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        Self { bar, each, ended: Arc::default() }
    }

    /// What is done within a trial.
    pub(super) fn step(&self, step: &str) {
        self.bar.set_message(step.to_owned());
    }

    /// A trial of this strategy has ended.
    pub(super) fn ended(&self, strategy: &str) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if self.each.is_none() {
            self.bar.set_message(strategy.to_owned());
            self.bar.inc(1);
        }
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
