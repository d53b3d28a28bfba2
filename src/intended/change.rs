//! [`DelayChange`]: what a rule does to the delay of its paths: another one, some more, or some less.

use std::str::FromStr;

use crate::units::{Delay, UnitError};

/// `20ms` in place of what was there, `+5ms` on top of it, or `-5ms` off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DelayChange {
    To(Delay),
    Plus(Delay),
    Minus(Delay),
}

impl DelayChange {
    /// What becomes of a delay; `None` when it would be below zero.
    pub(super) fn applied(self, delay: Delay) -> Option<Delay> {
        let nanos = delay.as_nanos();
        match self {
            Self::To(delay) => Some(delay),
            Self::Plus(more) => Some(Delay::from_nanos(nanos.saturating_add(more.as_nanos()))),
            Self::Minus(less) => nanos.checked_sub(less.as_nanos()).map(Delay::from_nanos),
        }
    }
}

impl FromStr for DelayChange {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(more), _) => more.parse().map(Self::Plus),
            (_, Some(less)) => less.parse().map(Self::Minus),
            _ => text.parse().map(Self::To),
        }
    }
}
