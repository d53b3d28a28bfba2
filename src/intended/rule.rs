//! What a rule says, laid over what was said before, with the place of each part for the errors.

use super::document::Rule;
use super::error::FileProblem;
use super::regions::Wrong;
use super::shapes::Prepared;
use crate::shaping::{Aspect, Impairment, Jitter, Loss, Reorder, Share};
use crate::units::{Probability, Span};
use crate::yaml::{At, Spot, Text};

/// Where a part of an impairment comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) file: &'a str,
    pub(super) spot: Spot,
}

/// An impairment in the making.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) impairment: Impairment,
    /// By [`Aspect`].
    origins: [Origin<'a>; 7],
}

impl<'a> Layer<'a> {
    /// Everything of `impairment` comes from `origin`.
    pub(super) fn new(impairment: Impairment, origin: Origin<'a>) -> Self {
        Self { impairment, origins: [origin; 7] }
    }

    /// Where a part comes from.
    pub(super) fn origin(&self, aspect: Aspect) -> Origin<'a> {
        self.origins[aspect as usize]
    }

    /// From here on a part comes from there.
    pub(super) fn note(&mut self, aspect: Aspect, origin: Origin<'a>) {
        self.origins[aspect as usize] = origin;
    }
}

impl Rule {
    /// What can be told to be wrong without knowing the nodes.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let losses = [
            self.loss.as_ref().or(self.loss_correlation.as_ref()).map(|loss| loss.spot),
            self.bursts.map(|bursts| bursts.spot),
            self.states.map(|states| states.spot),
        ];
        if let Some(second) = losses.into_iter().flatten().nth(1) {
            return Err((second, FileProblem::SeveralLosses));
        }
        match (&self.service, self.except.first()) {
            (Some(_), Some(except)) => Err((except.spot, FileProblem::ExceptOfService)),
            _ => Ok(()),
        }
    }

    /// Lays everything but the delay over what was said before; `file` is the one that the rule stands in.
    pub(super) fn lay<'a>(&self, file: &'a str, shape: Option<Prepared>, below: &mut Layer<'a>) -> Result<(), Wrong> {
        let mut note = |aspect, spots: &[Option<Spot>]| {
            if let Some(spot) = spots.iter().flatten().next() {
                below.origins[aspect as usize] = Origin { file, spot: *spot };
            }
        };
        let spot = |one: &Option<At<Text<Probability>>>| one.as_ref().map(|one| one.spot);
        note(
            Aspect::Jitter,
            &[
                self.jitter.as_ref().map(|jitter| jitter.spot),
                self.distribution.as_ref().map(|shape| shape.spot),
                spot(&self.jitter_correlation),
            ],
        );
        let (bursts, states) = (self.bursts.map(|one| one.spot), self.states.map(|one| one.spot));
        note(Aspect::Loss, &[spot(&self.loss), spot(&self.loss_correlation), bursts, states]);
        note(Aspect::Duplicate, &[spot(&self.duplicate), spot(&self.duplicate_correlation)]);
        note(Aspect::Corrupt, &[spot(&self.corrupt), spot(&self.corrupt_correlation)]);
        let gap = self.gap.as_ref().map(|gap| gap.spot);
        note(Aspect::Reorder, &[spot(&self.reorder), spot(&self.reorder_correlation), gap]);
        note(Aspect::Rate, &[self.rate.as_ref().map(|rate| rate.spot)]);
        let before = below.impairment;
        below.impairment = Impairment {
            jitter: self.jitter(shape, before.jitter),
            loss: self.loss(before.loss),
            duplicate: share(
                before.duplicate,
                value(self.duplicate.as_ref()),
                value(self.duplicate_correlation.as_ref()),
            ),
            corrupt: share(before.corrupt, value(self.corrupt.as_ref()), value(self.corrupt_correlation.as_ref())),
            reorder: self.reorder(before.reorder)?,
            rate: self.rate.as_ref().map_or(before.rate, |rate| rate.value.0),
            ..before
        };
        Ok(())
    }

    fn jitter(&self, shape: Option<Prepared>, below: Jitter) -> Jitter {
        let span = self.jitter.as_ref().map(|jitter| jitter.value.0);
        let below = if span == Some(Span::ZERO) { Jitter::default() } else { below };
        let (distribution, own) = shape.unzip();
        Jitter {
            span: span.or(own.flatten()).unwrap_or(below.span),
            distribution: distribution.unwrap_or(below.distribution),
            correlation: value(self.jitter_correlation.as_ref()).unwrap_or(below.correlation),
        }
    }

    fn loss(&self, below: Loss) -> Loss {
        if let Some(bursts) = self.bursts {
            return Loss::Gilbert(bursts.value.model());
        }
        if let Some(states) = self.states {
            return Loss::States(states.value.model());
        }
        let before = if let Loss::Random(share) = below { share } else { Share::default() };
        match (value(self.loss.as_ref()), value(self.loss_correlation.as_ref())) {
            (None, None) => below,
            (Some(Probability::ZERO), None) => Loss::None,
            (loss, correlation) => Loss::Random(share(before, loss, correlation)),
        }
    }

    fn reorder(&self, below: Option<Reorder>) -> Result<Option<Reorder>, Wrong> {
        let correlation = value(self.reorder_correlation.as_ref());
        if value(self.reorder.as_ref()) == Some(Probability::ZERO) {
            return Ok(None);
        }
        let alone = match (&self.gap, &self.reorder_correlation) {
            (Some(gap), _) => Some((gap.spot, FileProblem::Alone("gap", "reorder"))),
            (_, Some(one)) => Some((one.spot, FileProblem::Alone("reorderCorrelation", "reorder"))),
            _ => None,
        };
        match (below, value(self.reorder.as_ref()), alone) {
            (None, None, Some(alone)) => Err(alone),
            (None, None, None) => Ok(None),
            (below, probability, _) => {
                let before = below.unwrap_or(Reorder { share: Share::default(), gap: 1 });
                let gap = self.gap.as_ref().map_or(before.gap, |gap| gap.value);
                Ok(Some(Reorder { share: share(before.share, probability, correlation), gap }))
            }
        }
    }
}

fn value<T: Copy>(at: Option<&At<Text<T>>>) -> Option<T> {
    at.map(|at| at.value.0)
}

/// A share with what is new in it; one of nothing has no correlation either.
fn share(below: Share, probability: Option<Probability>, correlation: Option<Probability>) -> Share {
    if probability == Some(Probability::ZERO) && correlation.is_none() {
        return Share::default();
    }
    Share {
        probability: probability.unwrap_or(below.probability),
        correlation: correlation.unwrap_or(below.correlation),
    }
}
