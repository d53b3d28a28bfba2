//! HTB: the root's and the classes' options.

use super::attributes::{Fields, Writer, find, long_number};
use super::{Handle, Truncated};
use crate::shaping::ClassShape;
use crate::units::Rate;

/// The kind of the root and of its classes.
pub(in crate::tc) const KIND: &str = "htb";
/// The name of our root.
pub(in crate::tc) const ROOT: Handle = Handle::new(0x10, 0);

const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;

/// The version of the structures that the kernel expects.
const VERSION: u32 = 3;
/// The divisor for quanta that are not given; ours are.
const RATE_TO_QUANTUM: u32 = 10;
/// Ethernet: with it the kernel reckons by itself and needs no rate table.
const LINKLAYER_ETHERNET: u8 = 1;

/// The options of a root whose unclassified packets go out directly.
pub(in crate::tc) fn root_options() -> Vec<u8> {
    let init: Vec<u8> = [VERSION, RATE_TO_QUANTUM, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    Writer::default().attribute(TCA_HTB_INIT, &init).finish()
}

/// The options of a class.
pub(in crate::tc) fn class_options(shape: &ClassShape) -> Vec<u8> {
    let mut parms = Vec::with_capacity(44);
    for rate in [shape.rate, shape.ceil] {
        parms.extend(rate_structure(rate));
    }
    for number in [shape.buffer_ticks, shape.ceil_buffer_ticks, shape.quantum, 0, 0] {
        parms.extend(number.to_ne_bytes());
    }
    let wide = |rate: Rate| rate.bytes_per_second().to_ne_bytes();
    Writer::default()
        .attribute(TCA_HTB_RATE64, &wide(shape.rate))
        .attribute(TCA_HTB_CEIL64, &wide(shape.ceil))
        .attribute(TCA_HTB_PARMS, &parms)
        .finish()
}

/// `struct tc_ratespec`, with the cell fields as iproute2 sends them; the kernel does not look at those.
fn rate_structure(rate: Rate) -> Vec<u8> {
    let mut bytes = vec![3, LINKLAYER_ETHERNET, 0, 0, 0xff, 0xff, 0, 0];
    bytes.extend(u32::try_from(rate.bytes_per_second()).unwrap_or(u32::MAX).to_ne_bytes());
    bytes
}

/// Reads the options of a class; a field that the kernel left out is zero.
pub(in crate::tc) fn parse_class(options: &[u8]) -> Result<ClassShape, Truncated> {
    let mut parms = Fields::of("struct tc_htb_opt", find(options, TCA_HTB_PARMS).unwrap_or_default());
    let rate = parse_rate(&mut parms)?;
    let ceil = parse_rate(&mut parms)?;
    let wide = |kind, narrow: u32| {
        let bytes = find(options, kind).and_then(long_number).unwrap_or(u64::from(narrow));
        Rate::from_bits_per_second(bytes.saturating_mul(8))
    };
    Ok(ClassShape {
        rate: wide(TCA_HTB_RATE64, rate),
        ceil: wide(TCA_HTB_CEIL64, ceil),
        buffer_ticks: parms.number()?,
        ceil_buffer_ticks: parms.number()?,
        quantum: parms.number()?,
    })
}

fn parse_rate(fields: &mut Fields<'_>) -> Result<u32, Truncated> {
    fields.number()?;
    fields.number()?;
    fields.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn classes_are_read_as_they_were_written(
            rate in 0u64..1 << 60, ceil in 0u64..1 << 60, buffer_ticks: u32, ceil_buffer_ticks: u32, quantum: u32
        ) {
            let rate = Rate::from_bits_per_second(rate * 8);
            let ceil = Rate::from_bits_per_second(ceil * 8);
            let shape = ClassShape { rate, ceil, buffer_ticks, ceil_buffer_ticks, quantum };
            prop_assert_eq!(parse_class(&class_options(&shape)), Ok(shape));
        }

        #[test]
        fn no_bytes_make_the_parser_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_class(&bytes);
        }
    }
}
