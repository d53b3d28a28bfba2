//! The lab as users meet it: the real program in real namespaces, as root and as an ordinary user, judged by other tools.
//!
//! Every test runs once for each user that this process can become, and looks at the host before and after.
#![allow(clippy::unwrap_used)]

mod bench;
mod crash;
mod fail_open;
mod host;
mod impaired;
mod life;
mod replay;
mod run;
mod run_conditions;
mod surroundings;
mod user;
mod verify;
mod watch;
