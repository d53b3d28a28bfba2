//! Texts of a [`Rate`]: `10mbit`, `1.5gbit`, in powers of ten as on a line.

use std::fmt;
use std::str::FromStr;

use super::{Rate, UnitError, scaled_decimal};

/// Units that texts may carry, with their bits per second; longer names first where one ends another.
const UNITS: [(&str, u64); 4] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
const WHAT: &str = "rate";

impl fmt::Display for Rate {
    /// The shortest exact text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits_per_second();
        let (unit, scale) = UNITS.iter().copied().find(|(_, scale)| bits >= *scale).unwrap_or(("bit", 1));
        let (whole, rest) = (bits / scale, bits % scale);
        if rest == 0 {
            return f.pad(&format!("{whole}{unit}"));
        }
        let digits = scale.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        f.pad(&format!("{whole}.{}{unit}", fraction.trim_end_matches('0')))
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let syntax = || UnitError::Syntax { what: WHAT, text: text.to_owned(), example: "10mbit, 1.5gbit or 500kbit" };
        let lower = text.trim().to_ascii_lowercase();
        let (number, scale) = UNITS
            .iter()
            .find_map(|(unit, scale)| lower.strip_suffix(unit).map(|number| (number.trim_end(), *scale)))
            .ok_or_else(syntax)?;
        let bits = scaled_decimal(number, scale).ok_or_else(syntax)?;
        let bits = u64::try_from(bits).map_err(|_| UnitError::TooLarge { what: WHAT, text: text.to_owned() })?;
        Ok(Self::from_bits_per_second(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_become_bits_per_second() {
        for (text, bits) in [("10mbit", 10_000_000), ("1.5 Gbit", 1_500_000_000), ("64kbit", 64_000), ("800bit", 800)] {
            assert_eq!(text.parse::<Rate>().map(Rate::bits_per_second), Ok(bits), "{text}");
        }
        assert_eq!(
            "10mbps".parse::<Rate>().map_err(|error| error.to_string()),
            Err("`10mbps` is not a rate; write a number and a unit, such as 10mbit, 1.5gbit or 500kbit".to_owned())
        );
    }

    proptest! {
        #[test]
        fn printed_rates_parse_back(bits in 0u64..1_000_000_000_000_000) {
            let rate = Rate::from_bits_per_second(bits);
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }
}
