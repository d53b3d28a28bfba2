//! A progress line on the terminal, none in a pipe.

use std::io;
use std::time::Duration;

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
}

impl Trials {
    /// None of `count` has ended.
    pub(super) fn new(count: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("trial {pos}/{len} [{bar:30}] {eta} left, last {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// A trial of this strategy has ended.
    pub(super) fn ended(&self, strategy: &str) {
        self.bar.set_message(strategy.to_owned());
        self.bar.inc(1);
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
