//! Request balancing with real processes: what a testbed is to start, write and do for a trial, and what comes of the records
//! that it gives back. Pure: the processes are started by who has a testbed.
//!
//! ```text
//! Balancing + Trial ─script─► who is where, who sends when, what happens when (testbed time)
//!                     └files─► command lines, configurations                    … processes run …
//! Outcome ◄─records── what became of each request (back in plan time)  ◄──────────────┘
//! ```

mod conduct;
mod files;
mod records;
mod script;

pub use conduct::{Conduct, Emulation, Happened, lateness_bound};
pub use files::{Place, SERVICE_PORT, instances_file, load_words, proxy_config, proxy_words, service_words};
pub use records::{RecordError, Request, outcome, parse_records};
pub use script::{Action, Instance, Script, Situation, Step};

#[cfg(test)]
mod tests;
