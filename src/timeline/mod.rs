//! Timelines: what every path does, from which instant on. Pure: files are read and clocks are looked at elsewhere.
//!
//! ```text
//! YAML schedule ─parse_schedule─► matrices by name, instants ─┐
//! --every 10m a.csv b.csv ────────────────────────────────────┼─► Timeline ─rows_of─► one change of the row per step and node
//! trace CSV ──────────────parse_trace─► values of single paths ┘
//! ```

mod build;
mod change;
mod force;
mod moment;
mod pace;
mod schedule;
mod trace;
mod trace_error;

pub use build::{Timeline, TimelineError, TimelineStep};
pub use change::{StepChange, changes};
pub use force::{Force, InForce, ReplayGap, SwitchStamp};
pub use moment::{MomentError, parse_moment, write_moment};
pub use pace::{Pace, Repeat, Switch};
pub use schedule::{PaceError, Schedule, ScheduleError, ScheduleStep, parse_schedule};
pub use trace::{Trace, TraceEntry, parse_trace};
pub use trace_error::{TraceError, TraceProblem};
