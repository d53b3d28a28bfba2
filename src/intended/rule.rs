//! A [`Rule`] of the impairment file: what some paths do, laid over what was said before.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::shaping::{Distribution, GilbertElliott, Impairment, Jitter, Loss, Reorder, Share};
use crate::topology::NodeName;
use crate::units::{Probability, Rate, Span};

/// What some paths do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Rule {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    #[serde(deserialize_with = "text")]
    jitter: Option<Span>,
    #[serde(deserialize_with = "text")]
    distribution: Option<Distribution>,
    #[serde(deserialize_with = "text")]
    jitter_correlation: Option<Probability>,
    #[serde(deserialize_with = "text")]
    loss: Option<Probability>,
    #[serde(deserialize_with = "text")]
    loss_correlation: Option<Probability>,
    bursts: Option<Bursts>,
    #[serde(deserialize_with = "text")]
    duplicate: Option<Probability>,
    #[serde(deserialize_with = "text")]
    corrupt: Option<Probability>,
    #[serde(deserialize_with = "text")]
    reorder: Option<Probability>,
    gap: Option<u32>,
    #[serde(deserialize_with = "text")]
    rate: Option<Rate>,
}

/// Loss by the Gilbert–Elliott model.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Bursts {
    #[serde(deserialize_with = "needed")]
    to_bad: Probability,
    #[serde(deserialize_with = "needed")]
    to_good: Probability,
    #[serde(deserialize_with = "needed")]
    bad_loss: Probability,
    #[serde(default, deserialize_with = "needed")]
    good_loss: Probability,
}

fn needed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    needed(deserializer).map(Some)
}

impl Rule {
    /// What the rule says, in front of what was said before.
    pub(super) fn over(&self, below: Impairment) -> Impairment {
        let Jitter { span, distribution, correlation } = below.jitter;
        let jitter = Jitter {
            span: self.jitter.unwrap_or(span),
            distribution: self.distribution.unwrap_or(distribution),
            correlation: self.jitter_correlation.unwrap_or(correlation),
        };
        Impairment {
            jitter,
            loss: self.loss(below.loss),
            duplicate: self.duplicate.map_or(below.duplicate, Share::of),
            corrupt: self.corrupt.map_or(below.corrupt, Share::of),
            reorder: self.reorder.map_or(below.reorder, |probability| {
                Some(Reorder { share: Share::of(probability), gap: self.gap.unwrap_or(1) })
            }),
            rate: self.rate.or(below.rate),
            ..below
        }
    }

    fn loss(&self, below: Loss) -> Loss {
        if let Some(Bursts { to_bad, to_good, bad_loss, good_loss }) = self.bursts {
            return Loss::Gilbert(GilbertElliott { to_bad, to_good, bad_loss, good_loss });
        }
        let before = if let Loss::Random(share) = below { share } else { Share::default() };
        match (self.loss, self.loss_correlation) {
            (None, None) => below,
            (Some(Probability::ZERO), _) => Loss::None,
            (loss, correlation) => Loss::Random(Share {
                probability: loss.unwrap_or(before.probability),
                correlation: correlation.unwrap_or(before.correlation),
            }),
        }
    }
}

/// Whether a name fits a pattern with at most one `*`; no pattern fits all.
pub(super) fn fits(pattern: Option<&str>, name: &NodeName) -> bool {
    let name = name.to_string();
    match pattern.map(|pattern| pattern.split_once('*').ok_or(pattern)) {
        None => true,
        Some(Err(exact)) => name == exact,
        Some(Ok((head, tail))) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}
