//! What can go wrong with a line.

use std::io;

/// Why a line could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// There is no such interface in the network namespace.
    #[error("no interface `{interface}` in this network namespace")]
    NoInterface {
        /// The name as configured.
        interface: String,
    },
    /// The kernel refused a step.
    #[error("cannot {operation} `{subject}`: {source}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// On which interface or part of the line.
        subject: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The thread of the line has ended.
    #[error("the delay line has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl LineError {
    /// An error of the kernel.
    pub(super) fn kernel(operation: &'static str, subject: &str, source: impl Into<io::Error>) -> Self {
        Self::Kernel { operation, subject: subject.to_owned(), source: source.into() }
    }
}
