//! Amounts of resources as Kubernetes writes them: `150m`, `1.5`, `64Mi`, `2k`.

use crate::placement::problem::Resource;
use crate::units::scaled_decimal;
use crate::wording::excerpt;

/// Suffixes and what they multiply by, in thousandths.
const SUFFIXES: [(&str, u64); 10] = [
    ("Ki", 1024 * 1000),
    ("Mi", 1_048_576 * 1000),
    ("Gi", 1_073_741_824 * 1000),
    ("Ti", 1_099_511_627_776 * 1000),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("", 1000),
];

/// Whether amounts are bytes; of everything else they are thousandths.
fn is_bytes(resource: &str) -> bool {
    resource == "memory" || resource.ends_with("storage")
}

/// What counts as one: a core, a gibibyte, a piece.
pub(super) fn unit(resource: &str) -> u64 {
    if is_bytes(resource) { 1 << 30 } else { 1000 }
}

/// The amount of a resource; rounded up to whole bytes or thousandths.
pub(super) fn parse(resource: &str, text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let thousandths = SUFFIXES.iter().find_map(|(suffix, scale)| {
        let number = trimmed.strip_suffix(suffix)?;
        scaled_decimal(number, *scale)
    });
    let amount = thousandths.map(|amount| if is_bytes(resource) { amount.div_ceil(1000) } else { amount });
    // So that sums over very many nodes and services stay whole.
    let amount = amount.and_then(|amount| u64::try_from(amount).ok()).filter(|amount| *amount < 1 << 53);
    amount.ok_or_else(|| format!("`{}` is no amount of {resource}; write for example 150m, 2 or 64Mi", excerpt(text)))
}

/// An amount as users write it: `1.25` cores, `512Mi`.
pub fn shown(resource: &Resource, amount: u64) -> String {
    if !is_bytes(&resource.name) {
        return format!("{}", amount as f64 / 1000.0);
    }
    let units = [("Gi", 1u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let fitting = units.iter().find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
    match fitting {
        Some((suffix, size)) => format!("{}{suffix}", amount / size),
        None if amount >= 1 << 20 => format!("{:.1}Mi", amount as f64 / f64::from(1 << 20)),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_of_kubernetes() {
        for (resource, text, amount) in [
            ("cpu", "150m", 150),
            ("cpu", "1.5", 1500),
            ("cpu", "4", 4000),
            ("memory", "64Mi", 64 << 20),
            ("memory", "1.5Gi", 3 << 29),
            ("memory", "100", 100),
            ("memory", "2k", 2000),
            ("ephemeral-storage", "1M", 1_000_000),
            ("gpu", "2", 2000),
        ] {
            assert_eq!(parse(resource, text), Ok(amount), "{text}");
        }
        for text in ["", "x", "-1", "1.5.2", "4cores", "1e3", "99999999T"] {
            assert!(parse("cpu", text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_they_are_written() {
        for (name, text) in [("cpu", "0.15"), ("cpu", "4"), ("memory", "64Mi"), ("memory", "3Gi"), ("memory", "77")] {
            let resource = Resource { name: name.to_owned(), unit: unit(name) };
            assert_eq!(shown(&resource, parse(name, text).expect("an amount")), text);
        }
    }
}
