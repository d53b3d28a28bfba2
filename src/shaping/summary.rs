//! What paths do beyond delay, counted, for one line of text.

use super::{Impairment, Jitter, Loss, Share};

/// A kind of impairment: what it is called, and whether a path has it.
type Kind = (&'static str, fn(&Impairment) -> bool);

/// What some `impairments` do beyond delay and to how many paths each: `jitter on 6 paths, loss on 2`. `None` when nothing.
pub fn beyond_delay(impairments: impl IntoIterator<Item = Impairment>) -> Option<String> {
    let kinds: [Kind; 6] = [
        ("jitter", |one| one.jitter != Jitter::default()),
        ("loss", |one| one.loss != Loss::None),
        ("duplicates", |one| one.duplicate != Share::default()),
        ("corruption", |one| one.corrupt != Share::default()),
        ("reordering", |one| one.reorder.is_some()),
        ("a rate", |one| one.rate.is_some()),
    ];
    let mut counts = [0; 6];
    for impairment in impairments {
        for (count, (_, does)) in counts.iter_mut().zip(&kinds) {
            *count += usize::from(does(&impairment));
        }
    }
    let found = kinds.iter().zip(counts).filter(|(_, count)| *count > 0);
    let parts: Vec<String> = found
        .enumerate()
        .map(|(place, ((what, _), count))| {
            let unit = match (place, count) {
                (0, 1) => " path",
                (0, _) => " paths",
                _ => "",
            };
            format!("{what} on {count}{unit}")
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::units::Delay;

    #[test]
    fn each_kind_is_counted() {
        let plain = Impairment::delay(Delay::from_millis(10));
        let lossy = Impairment { loss: Loss::Random(Share::of("1%".parse().unwrap())), ..plain };
        let slow = Impairment { rate: Some("1mbit".parse().unwrap()), ..lossy };
        assert_eq!(beyond_delay([plain]), None);
        assert_eq!(beyond_delay([lossy, plain]).unwrap(), "loss on 1 path");
        assert_eq!(beyond_delay([lossy, slow, slow]).unwrap(), "loss on 3 paths, a rate on 2");
    }
}
