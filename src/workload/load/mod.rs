//! Open-loop load: requests leave at moments that are fixed beforehand, whether or not earlier ones have been answered, and a
//! request's latency counts from the moment at which it was to leave. So a server that pauses is charged with all the requests
//! that would have come meanwhile. The schedule, the windows and the figures are pure; [`run`] is the shell.

mod connections;
mod figures;
mod pacer;
mod record;
mod run;
mod schedule;
mod trace;
mod windows;

pub use figures::{ClientFigures, InstanceFigures, Quantiles, Summary, summarise};
pub use record::{Ending, Record};
pub use run::{LoadError, LoadOptions, run, run_from};
pub use schedule::{Schedule, Slot};
pub use trace::{Source, Trace, TraceError};
pub use windows::{Quality, quality};
