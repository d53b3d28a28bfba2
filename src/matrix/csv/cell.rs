//! One cell: its text as whole nanoseconds, or the precise reason why not.

use crate::matrix::delay_matrix::MAX_DELAY;
use crate::matrix::error::{Kind, Problem, max_rtt};
use crate::matrix::unit::DelayUnit;
use crate::units::{Delay, UnitError, scaled_decimal};
pub(in crate::matrix) use crate::wording::excerpt;

/// The nanoseconds that `text` means in a file of this kind and unit. A number may carry a unit of its own.
pub(in crate::matrix) fn parse(text: &str, kind: Kind, unit: DelayUnit) -> Result<u64, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::MissingDelay(kind, unit));
    }
    let ns = match scaled_decimal(text, unit.nanos()) {
        Some(ns) => ns,
        None => text
            .parse::<Delay>()
            .map(|delay| u128::from(delay.as_nanos()))
            .map_err(|error| explain(text, kind, unit, &error))?,
    };
    let limit = match kind {
        Kind::OneWay => MAX_DELAY.as_nanos(),
        Kind::Rtt => max_rtt().as_nanos(),
    };
    match u64::try_from(ns) {
        Ok(ns) if ns <= limit => Ok(ns),
        _ => Err(Problem::TooLong { text: excerpt(text), kind, unit }),
    }
}

/// Whether the writer of `text` meant a number, right or wrong, rather than a name.
pub(in crate::matrix) fn looks_like_number(text: &str) -> bool {
    !matches!(parse(text, Kind::OneWay, DelayUnit::Ms), Err(Problem::MissingDelay(..) | Problem::NotADelay { .. }))
}

fn explain(text: &str, kind: Kind, unit: DelayUnit, error: &UnitError) -> Problem {
    let shown = excerpt(text);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let is_decimal = |text: &str| scaled_decimal(text, 1).is_some();
    if lower == "nan" {
        return Problem::NotANumber { text: shown, kind, unit };
    }
    if lower == "inf" || lower == "infinity" {
        return Problem::Infinite { text: shown, kind };
    }
    if is_decimal(unsigned) && text.starts_with('-') || matches!(error, UnitError::Negative { .. }) {
        return Problem::Negative { text: shown, kind, unit };
    }
    let is_long_number = text.bytes().filter(|byte| *byte != b'.').all(|byte| byte.is_ascii_digit());
    if is_long_number && text.len() > 18 || matches!(error, UnitError::TooLarge { .. }) {
        return Problem::TooLong { text: shown, kind, unit };
    }
    let number = lower.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
    if number.contains(',') && is_decimal(&number.replacen(',', ".", 1)) {
        return Problem::DecimalComma { text: shown };
    }
    let is_exponent = |(mantissa, exponent): (&str, &str)| is_decimal(mantissa) && exponent.parse::<i32>().is_ok();
    if lower.split_once('e').is_some_and(is_exponent) {
        return Problem::Exponent { text: shown, unit };
    }
    Problem::NotADelay { text: shown, kind, unit }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> String {
        parse(text, Kind::OneWay, DelayUnit::Ms).unwrap_err().to_string()
    }

    #[test]
    fn numbers_mean_the_unit_of_the_file_unless_they_carry_their_own() {
        for (text, unit, ns) in [
            ("20", DelayUnit::Ms, 20_000_000),
            (" 1.5 ", DelayUnit::Us, 1_500),
            ("20ms", DelayUnit::Us, 20_000_000),
            ("1.5 s", DelayUnit::Ns, 1_500_000_000),
            ("0.000001", DelayUnit::Ms, 1),
            ("60", DelayUnit::S, 60_000_000_000),
        ] {
            assert_eq!(parse(text, Kind::OneWay, unit).unwrap(), ns, "{text} {unit}");
        }
        assert_eq!(parse("120", Kind::Rtt, DelayUnit::S).unwrap(), 120_000_000_000);
    }

    #[test]
    fn wrong_cells_say_what_is_wrong() {
        let not_a_delay =
            "is not a one-way delay; write a number of milliseconds such as 1.5, or a number and a unit such as 20ms";
        let too_long = "is a one-way delay over 60s, the longest allowed; is the unit right (it is milliseconds)?";
        for (text, expected) in [
            ("", "the cell is empty; write the one-way delay in milliseconds".to_owned()),
            ("NaN", "`NaN` is not a number; write the measured one-way delay in milliseconds".to_owned()),
            ("-nan", "`-nan` is not a number; write the measured one-way delay in milliseconds".to_owned()),
            ("inf", "`inf` is infinite; a one-way delay is at most 60s".to_owned()),
            ("-Infinity", "`-Infinity` is infinite; a one-way delay is at most 60s".to_owned()),
            ("-2", "`-2` is negative; a one-way delay is 0 or more milliseconds".to_owned()),
            ("-2ms", "`-2ms` is negative; a one-way delay is 0 or more milliseconds".to_owned()),
            ("1,5", "`1,5` has a decimal comma; write `1.5` with a point".to_owned()),
            ("1,5ms", "`1,5ms` has a decimal comma; write `1.5ms` with a point".to_owned()),
            ("-1,5", "`-1,5` has a decimal comma; write `-1.5` with a point".to_owned()),
            ("1e3", "`1e3` has an exponent; write it as a plain decimal number of milliseconds".to_owned()),
            ("2.5E-3", "`2.5E-3` has an exponent; write it as a plain decimal number of milliseconds".to_owned()),
            ("+5", format!("`+5` {not_a_delay}")),
            ("abc", format!("`abc` {not_a_delay}")),
            ("1.2.3", format!("`1.2.3` {not_a_delay}")),
            ("60000.000001", format!("`60000.000001` {too_long}")),
            ("61s", format!("`61s` {too_long}")),
            ("1234567890123456789012", format!("`1234567890123456789012` {too_long}")),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert!(message(&"x".repeat(100)).starts_with(&format!("`{}…` is not", "x".repeat(40))));
    }

    #[test]
    fn names_do_not_look_like_numbers() {
        for name in ["a", "n1", "10.0.0.1", "us-east-1", "", "1e", "3com"] {
            assert!(!looks_like_number(name), "{name}");
        }
        for number in ["1", "-1", "nan", "inf", "1,5", "20ms", "1e9", "99999999999999999999"] {
            assert!(looks_like_number(number), "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = parse(&text, Kind::Rtt, DelayUnit::S);
        }
    }
}
