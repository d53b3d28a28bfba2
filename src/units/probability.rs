//! [`Probability`]: a share of packets, exact in billionths, written in per cent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{UnitError, scaled_decimal};

/// Billionths in a whole.
const WHOLE: u32 = 1_000_000_000;
/// Billionths in one per cent.
const PER_CENT: u32 = WHOLE / 100;
const WHAT: &str = "probability";

/// A number from 0 to 1, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Probability(u32);

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0);
    /// Always.
    pub const ONE: Self = Self(WHOLE);

    /// From billionths; `None` above a whole.
    pub const fn from_billionths(billionths: u32) -> Option<Self> {
        if billionths <= WHOLE { Some(Self(billionths)) } else { None }
    }

    /// Billionths.
    pub const fn billionths(self) -> u32 {
        self.0
    }

    /// What is missing to always.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// As the kernel counts: in parts of 2^32 − 1, rounded, so that always is its greatest number.
    #[allow(clippy::cast_possible_truncation)] // at most 2^32 − 1
    pub const fn of_u32(self) -> u32 {
        ((self.0 as u64 * u32::MAX as u64 + WHOLE as u64 / 2) / WHOLE as u64) as u32
    }

    /// As a fraction of one, for statistics and printing.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

impl TryFrom<u32> for Probability {
    type Error = UnitError;

    fn try_from(billionths: u32) -> Result<Self, UnitError> {
        Self::from_billionths(billionths)
            .ok_or_else(|| UnitError::TooLarge { what: WHAT, text: format!("{billionths} billionths") })
    }
}

impl From<Probability> for u32 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

impl fmt::Display for Probability {
    /// In per cent, the shortest exact text: `5%`, `0.1%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / PER_CENT, self.0 % PER_CENT);
        let fraction = format!("{rest:07}");
        match fraction.trim_end_matches('0') {
            "" => f.pad(&format!("{whole}%")),
            digits => f.pad(&format!("{whole}.{digits}%")),
        }
    }
}

impl FromStr for Probability {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let syntax = || UnitError::Syntax { what: WHAT, text: text.to_owned(), example: "0.5% or 10%" };
        let number = text.trim().strip_suffix('%').ok_or_else(syntax)?.trim_end();
        if number.strip_prefix('-').is_some_and(|positive| scaled_decimal(positive, 1).is_some()) {
            return Err(UnitError::Negative { what: WHAT, text: text.to_owned() });
        }
        let billionths = scaled_decimal(number, u64::from(PER_CENT)).ok_or_else(syntax)?;
        let whole = u32::try_from(billionths).ok().and_then(Self::from_billionths);
        whole.ok_or_else(|| UnitError::TooLarge { what: WHAT, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_become_billionths() {
        for (text, billionths) in
            [("0.5%", 5_000_000), ("100%", WHOLE), ("0%", 0), (" 12.5 % ", 125_000_000), (".0000001%", 1)]
        {
            assert_eq!(text.parse::<Probability>().map(Probability::billionths), Ok(billionths), "{text}");
        }
    }

    #[test]
    fn wrong_texts_say_what_is_wrong() {
        for (text, message) in [
            ("0.5", "`0.5` is not a probability; write a number and a unit, such as 0.5% or 10%"),
            ("%", "`%` is not a probability; write a number and a unit, such as 0.5% or 10%"),
            ("-1%", "`-1%` is negative; a probability is zero or more"),
            ("100.1%", "`100.1%` is too large for a probability"),
        ] {
            assert_eq!(text.parse::<Probability>().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
        assert!(serde_json::from_str::<Probability>("1000000001").is_err());
    }

    #[test]
    fn the_kernel_counts_to_its_greatest_number() {
        assert_eq!(Probability::ONE.of_u32(), u32::MAX);
        assert_eq!(Probability::ZERO.of_u32(), 0);
        assert_eq!("0.5%".parse().map(Probability::of_u32), Ok(0x0147_ae14));
    }

    proptest! {
        #[test]
        fn printed_probabilities_parse_back(billionths in 0u32..=WHOLE) {
            let probability = Probability(billionths);
            prop_assert_eq!(probability.to_string().parse::<Probability>(), Ok(probability));
            prop_assert_eq!(probability.complement().complement(), probability);
        }
    }
}
