//! Instants of a timeline as text: `90`, `300ms`, `10m`, `1.5h`, counted from the start of the replay.

use crate::units::{Span, scaled_decimal};

/// The latest instant that a timeline may have: 366 days.
pub(super) const LATEST: Span = Span::from_millis(366 * 24 * 3_600_000);

/// Units of instants with their nanoseconds; longer names first where one ends another.
const UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("s", 1_000_000_000),
];

/// Why a text is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// Not a number, or an unknown unit.
    #[error("`{0}` is not a time; write seconds, or a number and a unit such as 300ms, 90s, 10m or 2h")]
    Syntax(String),
    /// Below zero.
    #[error("`{0}` is negative; times count from the start of the replay")]
    Negative(String),
    /// Beyond a year.
    #[error("`{0}` is more than 366 days after the start; times count from the start of the replay")]
    TooLate(String),
}

/// The instant that a text means: a number of seconds, or a number with its unit.
pub fn parse_moment(text: &str) -> Result<Span, MomentError> {
    let ns = parse_nanos(text, 1_000_000_000)?;
    let span = u64::try_from(ns).ok().map(Span::from_nanos).filter(|span| *span <= LATEST);
    span.ok_or_else(|| MomentError::TooLate(text.trim().to_owned()))
}

/// The nanoseconds that a text means, where plain numbers are multiples of `plain` nanoseconds.
pub(super) fn parse_nanos(text: &str, plain: u64) -> Result<u128, MomentError> {
    let trimmed = text.trim();
    let with_unit = UNITS.iter().find_map(|(unit, scale)| Some((trimmed.strip_suffix(unit)?.trim_end(), *scale)));
    let (number, scale) = with_unit.unwrap_or((trimmed, plain));
    if let Some(ns) = scaled_decimal(number, scale) {
        return Ok(ns);
    }
    let negative = number.strip_prefix('-').is_some_and(|positive| scaled_decimal(positive, scale).is_some());
    Err(if negative { MomentError::Negative(trimmed.to_owned()) } else { MomentError::Syntax(trimmed.to_owned()) })
}

/// An instant as people write it: `0s`, `300ms`, `10m`, `1h30m`, `2.5s`.
pub fn write_moment(span: Span) -> String {
    const MINUTE: u64 = 60_000_000_000;
    let ns = span.as_nanos();
    if ns == 0 {
        return "0s".to_owned();
    }
    if ns < MINUTE {
        return span.to_string();
    }
    let (hours, minutes, rest) = (ns / (60 * MINUTE), ns / MINUTE % 60, ns % MINUTE);
    let part = |count: u64, text: String| if count > 0 { text } else { String::new() };
    [
        part(hours, format!("{hours}h")),
        part(minutes, format!("{minutes}m")),
        part(rest, Span::from_nanos(rest).to_string()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_need_no_unit() {
        for (text, ns) in [
            ("0", 0),
            ("90", 90_000_000_000),
            (" 1.5 ", 1_500_000_000),
            ("300ms", 300_000_000),
            ("10m", 600_000_000_000),
            ("10 min", 600_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("7us", 7_000),
        ] {
            assert_eq!(parse_moment(text).map(Span::as_nanos), Ok(ns), "{text}");
        }
    }

    #[test]
    fn wrong_times_say_what_is_wrong() {
        for (text, message) in [
            ("soon", "`soon` is not a time; write seconds, or a number and a unit such as 300ms, 90s, 10m or 2h"),
            ("", "`` is not a time; write seconds, or a number and a unit such as 300ms, 90s, 10m or 2h"),
            ("-1s", "`-1s` is negative; times count from the start of the replay"),
            (
                "1700000000",
                "`1700000000` is more than 366 days after the start; times count from the start of the replay",
            ),
        ] {
            assert_eq!(parse_moment(text).map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    #[test]
    fn instants_are_short_to_read() {
        for (ms, text) in
            [(0, "0s"), (300, "300ms"), (2_500, "2.5s"), (600_000, "10m"), (5_400_000, "1h30m"), (3_600_500, "1h500ms")]
        {
            assert_eq!(write_moment(Span::from_millis(ms)), text);
        }
    }
}
