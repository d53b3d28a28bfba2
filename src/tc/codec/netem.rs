//! netem: the options of a delay element, always sent complete, because the kernel keeps what it is not told.

use super::attributes::{Fields, Writer, find, long_number};
use super::{TICK_NS, Truncated};
use crate::shaping::{LossChain, LossShare, Netem, RateShape};
use crate::units::{Delay, Rate, Span};

/// The kind.
pub(in crate::tc) const KIND: &str = "netem";

const TCA_NETEM_CORR: u16 = 1;
const TCA_NETEM_DELAY_DIST: u16 = 2;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_PRNG_SEED: u16 = 14;

/// Inside the group of loss models: the chain of four states, and the Gilbert–Elliott chain.
const NETEM_LOSS_GI: u16 = 1;
const NETEM_LOSS_GE: u16 = 2;

/// The bytes of `struct tc_netem_qopt`, which stands before the attributes.
const STRUCTURE: usize = 24;

/// The options.
pub(in crate::tc) fn options(netem: &Netem) -> Vec<u8> {
    let ticks = |ns: u64| u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX);
    let (delay, jitter) = (netem.delay.as_nanos(), netem.jitter.as_nanos());
    let mut writer = Writer::default()
        .raw(&words([ticks(delay), netem.limit, netem.loss.share, netem.gap, netem.duplicate.share, ticks(jitter)]))
        .attribute(
            TCA_NETEM_CORR,
            &words([netem.delay_correlation, netem.loss.correlation, netem.duplicate.correlation]),
        )
        .attribute(TCA_NETEM_REORDER, &words([netem.reorder.share, netem.reorder.correlation]))
        .attribute(TCA_NETEM_CORRUPT, &words([netem.corrupt.share, netem.corrupt.correlation]))
        .attribute(TCA_NETEM_RATE, &rate_structure(netem.rate, netem.mark()))
        .attribute(TCA_NETEM_LATENCY64, &delay.to_ne_bytes())
        .attribute(TCA_NETEM_JITTER64, &jitter.to_ne_bytes());
    if let Some(RateShape { rate, .. }) = netem.rate
        && rate.bytes_per_second() > u64::from(u32::MAX)
    {
        writer = writer.attribute(TCA_NETEM_RATE64, &rate.bytes_per_second().to_ne_bytes());
    }
    if let Some(chain) = netem.chain {
        let model = match chain {
            LossChain::Gilbert(chain) => Writer::default().attribute(NETEM_LOSS_GE, &words(chain)),
            LossChain::FourState(chain) => Writer::default().attribute(NETEM_LOSS_GI, &words(chain)),
        };
        writer = writer.nest(TCA_NETEM_LOSS, &model);
    }
    if jitter != 0 {
        // Also for the uniform one: a netem that had another table would keep it.
        let table: Vec<u8> = netem.distribution.table().iter().flat_map(|entry| entry.to_ne_bytes()).collect();
        writer = writer.attribute(TCA_NETEM_DELAY_DIST, &table);
    }
    if let Some(seed) = netem.seed {
        writer = writer.attribute(TCA_NETEM_PRNG_SEED, &seed.to_ne_bytes());
    }
    writer.finish()
}

fn words<const N: usize>(numbers: [u32; N]) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct tc_netem_rate`; a rate of zero is no limit.
///
/// Without cells the kernel keeps their overhead, but makes no use of it: that is where our mark lies.
fn rate_structure(shape: Option<RateShape>, mark: u32) -> Vec<u8> {
    let Some(RateShape { rate, packet_overhead, cell_size, cell_overhead }) = shape else {
        return words([0, 0, 0, mark]);
    };
    let narrow = u32::try_from(rate.bytes_per_second()).unwrap_or(u32::MAX);
    let last = if cell_size == 0 { mark } else { cell_overhead.cast_unsigned() };
    words([narrow, packet_overhead.cast_unsigned(), cell_size, last])
}

/// Reads the options. The seed is reported by kernels from 6.6, also when the kernel chose it; then it is left out.
pub(in crate::tc) fn parse(options: &[u8]) -> Result<Netem, Truncated> {
    let mut fields = Fields::of("struct tc_netem_qopt", options);
    let (delay, limit, loss) = (fields.number()?, fields.number()?, fields.number()?);
    let (gap, duplicate, jitter) = (fields.number()?, fields.number()?, fields.number()?);
    let attributes = &options[STRUCTURE..];
    let long = |kind| find(attributes, kind).and_then(long_number);
    let nanos = |kind, ticks: u32| long(kind).unwrap_or(u64::from(ticks) * TICK_NS);
    let mut correlation = Fields::of("struct tc_netem_corr", find(attributes, TCA_NETEM_CORR).unwrap_or(&[0; 12]));
    let delay_correlation = correlation.number()?;
    let (rate, mark) = parse_rate(attributes)?;
    let netem = Netem {
        delay: Delay::from_nanos(nanos(TCA_NETEM_LATENCY64, delay)),
        jitter: Span::from_nanos(nanos(TCA_NETEM_JITTER64, jitter)),
        delay_correlation,
        limit,
        loss: LossShare { share: loss, correlation: correlation.number()? },
        duplicate: LossShare { share: duplicate, correlation: correlation.number()? },
        reorder: share(attributes, TCA_NETEM_REORDER)?,
        gap,
        corrupt: share(attributes, TCA_NETEM_CORRUPT)?,
        rate,
        seed: long(TCA_NETEM_PRNG_SEED),
        chain: chain(attributes)?,
        ..Netem::default()
    };
    Ok(netem.marked(mark))
}

fn chain(attributes: &[u8]) -> Result<Option<LossChain>, Truncated> {
    let Some(models) = find(attributes, TCA_NETEM_LOSS) else { return Ok(None) };
    if let Some(chain) = find(models, NETEM_LOSS_GE) {
        let mut fields = Fields::of("struct tc_netem_gemodel", chain);
        let numbers = [fields.number()?, fields.number()?, fields.number()?, fields.number()?];
        return Ok(Some(LossChain::Gilbert(numbers)));
    }
    let Some(chain) = find(models, NETEM_LOSS_GI) else { return Ok(None) };
    let mut fields = Fields::of("struct tc_netem_gimodel", chain);
    let numbers = [fields.number()?, fields.number()?, fields.number()?, fields.number()?, fields.number()?];
    Ok(Some(LossChain::FourState(numbers)))
}

fn share(attributes: &[u8], kind: u16) -> Result<LossShare, Truncated> {
    let mut fields = Fields::of("a netem share", find(attributes, kind).unwrap_or(&[0; 8]));
    Ok(LossShare { share: fields.number()?, correlation: fields.number()? })
}

/// The rate, and our mark.
fn parse_rate(attributes: &[u8]) -> Result<(Option<RateShape>, u32), Truncated> {
    let Some(value) = find(attributes, TCA_NETEM_RATE) else { return Ok((None, 0)) };
    let mut fields = Fields::of("struct tc_netem_rate", value);
    let narrow = u64::from(fields.number()?);
    let bytes = find(attributes, TCA_NETEM_RATE64).and_then(long_number).map_or(narrow, |wide| wide.max(narrow));
    let (packet_overhead, cell_size, last) = (fields.signed()?, fields.number()?, fields.signed()?);
    let (cell_overhead, mark) = if cell_size == 0 { (0, last.cast_unsigned()) } else { (last, 0) };
    let rate = Rate::from_bits_per_second(bytes.saturating_mul(8));
    let shape = RateShape { rate, packet_overhead, cell_size, cell_overhead };
    Ok(((bytes != 0).then_some(shape), mark))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shaping::{Distribution, OwnTable};
    use proptest::prelude::*;

    fn any_share() -> impl Strategy<Value = LossShare> {
        any::<(u32, u32)>().prop_map(|(share, correlation)| LossShare { share, correlation })
    }

    fn any_rate() -> impl Strategy<Value = Option<RateShape>> {
        prop::option::of((1u64..1 << 60, any::<i32>()).prop_map(|(bytes, po)| RateShape {
            rate: Rate::from_bits_per_second(bytes * 8),
            packet_overhead: po,
            cell_size: 0,
            cell_overhead: 0,
        }))
    }

    fn any_chain() -> impl Strategy<Value = Option<LossChain>> {
        prop::option::of(prop_oneof![
            any::<[u32; 4]>().prop_map(LossChain::Gilbert),
            any::<[u32; 5]>().prop_map(LossChain::FourState),
        ])
    }

    fn any_distribution() -> impl Strategy<Value = Distribution> {
        let own = Distribution::Own(OwnTable::new("codec", (0..500).collect()).unwrap());
        prop::sample::select([Distribution::ALL.as_slice(), &[own]].concat())
    }

    proptest! {
        #[test]
        fn netems_are_read_as_they_were_written(
            (delay, jitter, delay_correlation, limit, gap) in any::<(u64, u64, u32, u32, u32)>(),
            (loss, duplicate, reorder, corrupt) in (any_share(), any_share(), any_share(), any_share()),
            rate in any_rate(),
            (seed, stream) in any::<(Option<u64>, u16)>(),
            chain in any_chain(),
            distribution in any_distribution(),
        ) {
            let netem = Netem {
                delay: Delay::from_nanos(delay), jitter: Span::from_nanos(jitter), delay_correlation, limit,
                loss, duplicate, reorder, gap, corrupt, rate, seed, chain, stream, distribution,
            };
            prop_assert_eq!(parse(&options(&netem)), Ok(netem));
        }

        #[test]
        fn no_bytes_make_the_parser_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
