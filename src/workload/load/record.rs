//! [`Record`]: what became of one request.

use std::sync::Arc;

use crate::balance::Qos;
use crate::units::{Moment, Span};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an answer of this status.
    Answered(u16),
    /// Without one: what went wrong.
    Failed(String),
    /// Without one in the time allowed; its latency is that time.
    TimedOut,
    /// It never left: too many were under way. Its latency is none.
    NotSent,
}

impl Ending {
    /// In a word, for tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answered(200..=299) => "ok",
            Self::Answered(_) => "refused",
            Self::Failed(_) => "failed",
            Self::TimedOut => "timed out",
            Self::NotSent => "not sent",
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it was.
    pub client: u32,
    /// When it was to leave.
    pub intended: Moment,
    /// When the client began with it.
    pub begun: Moment,
    /// From when it was to leave until its end.
    pub latency: Span,
    /// How it ended.
    pub ending: Ending,
    /// Who answered, if that was said.
    pub instance: Option<Arc<str>>,
    /// How long the service says it had it.
    pub processing: Option<Span>,
}

impl Record {
    /// Whether it was answered well and in time.
    pub fn is_good(&self, qos: &Qos) -> bool {
        matches!(self.ending, Ending::Answered(200..=299)) && self.latency <= qos.within
    }

    /// How late it left.
    pub fn lateness(&self) -> Span {
        self.begun.since(self.intended)
    }
}
