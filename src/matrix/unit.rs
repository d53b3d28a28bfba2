//! [`DelayUnit`]: the unit that a file of delays is written in, and exact decimals of it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The unit of the plain numbers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DelayUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds: what a file means that does not say otherwise.
    #[default]
    Ms,
    /// Seconds.
    S,
}

/// The text does not name a unit of delays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown unit `{0}`; write ms, us, s or ns")]
pub struct UnknownUnit(pub String);

impl DelayUnit {
    /// Nanoseconds in one of it.
    pub const fn nanos(self) -> u64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }

    /// The symbol: `ms`.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    /// The name in the plural: `milliseconds`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Ns => "nanoseconds",
            Self::Us => "microseconds",
            Self::Ms => "milliseconds",
            Self::S => "seconds",
        }
    }

    /// Nanoseconds as a decimal of this unit, exact, with no more digits than needed: 1,500,000 ns are `1.5` ms.
    pub fn format(self, ns: u64) -> String {
        let (whole, rest) = (ns / self.nanos(), ns % self.nanos());
        if rest == 0 {
            return whole.to_string();
        }
        let digits = self.nanos().ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        format!("{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl fmt::Display for DelayUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.symbol())
    }
}

impl FromStr for DelayUnit {
    type Err = UnknownUnit;

    fn from_str(text: &str) -> Result<Self, UnknownUnit> {
        match text.trim() {
            "ns" => Ok(Self::Ns),
            "us" | "µs" => Ok(Self::Us),
            "ms" => Ok(Self::Ms),
            "s" => Ok(Self::S),
            other => Err(UnknownUnit(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::scaled_decimal;
    use proptest::prelude::*;

    const ALL: [DelayUnit; 4] = [DelayUnit::Ns, DelayUnit::Us, DelayUnit::Ms, DelayUnit::S];

    #[test]
    fn decimals_have_the_digits_they_need() {
        for (unit, ns, text) in [
            (DelayUnit::Ms, 0, "0"),
            (DelayUnit::Ms, 1_500_000, "1.5"),
            (DelayUnit::Ms, 1, "0.000001"),
            (DelayUnit::S, 60_000_000_000, "60"),
            (DelayUnit::Us, 1_050, "1.05"),
            (DelayUnit::Ns, 7, "7"),
        ] {
            assert_eq!(unit.format(ns), text);
        }
    }

    #[test]
    fn symbols_parse_back_and_others_are_refused() {
        for unit in ALL {
            assert_eq!(unit.symbol().parse(), Ok(unit));
        }
        assert_eq!("µs".parse(), Ok(DelayUnit::Us));
        assert_eq!("min".parse::<DelayUnit>(), Err(UnknownUnit("min".to_owned())));
    }

    proptest! {
        #[test]
        fn decimals_read_back_exactly(ns in 0u64..200_000_000_000, which in 0usize..4) {
            let unit = ALL[which];
            prop_assert_eq!(scaled_decimal(&unit.format(ns), unit.nanos()), Some(u128::from(ns)));
        }
    }
}
