//! How delays, tables and rules add up to what each path does.

use std::collections::BTreeMap;

use super::change::DelayChange;
use super::document::{Document, Rule};
use super::error::{FileProblem, IntendedError};
use super::regions::{Nodes, Wrong};
use super::rule::{Layer, Origin};
use super::shapes::{Prepared, Shapes};
use crate::matrix::{DelayMatrix, Grid, MAX_DELAY};
use crate::shaping::{Aspect, Impairment, Loss, PathIntent, Service, Share};
use crate::topology::{NodeIndex, NodeName};
use crate::units::{Delay, Probability, Rate, Span};
use crate::yaml::{At, Spot};

/// A table beside the delay matrix, in its order of nodes, and the file that it stands in.
#[derive(Debug)]
pub(super) struct Side<T> {
    pub(super) file: String,
    /// Where each node of the matrix stands in the table.
    pub(super) order: Vec<NodeIndex>,
    pub(super) grid: Grid<T>,
}

impl<T: crate::matrix::Quantity> Side<T> {
    fn get(&self, from: NodeIndex, to: NodeIndex) -> Option<T> {
        self.grid.get(self.order[from], self.order[to])
    }

    fn origin(&self) -> Origin<'_> {
        Origin { file: &self.file, spot: Spot::File }
    }
}

/// The tables beside the delay matrix.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub(super) jitter: Option<Side<Span>>,
    pub(super) loss: Option<Side<Probability>>,
    pub(super) rate: Option<Side<Rate>>,
}

/// A rule with everything looked up.
struct Step<'a> {
    rule: &'a Rule,
    from: Vec<bool>,
    to: Vec<bool>,
    shape: Option<Prepared>,
}

/// Everything that paths are made of.
pub(super) struct Resolver<'a> {
    file: &'a str,
    document: &'a Document,
    nodes: Nodes,
    matrix: &'a DelayMatrix,
    sides: &'a Sides,
    defaults: Step<'a>,
    steps: Vec<Step<'a>>,
    regional: Option<Vec<Option<Delay>>>,
}

impl<'a> Resolver<'a> {
    /// Looks up all that the rules name. `file` is what errors call the impairment file.
    pub(super) fn new(
        file: &'a str,
        document: &'a Document,
        matrix: &'a DelayMatrix,
        sides: &'a Sides,
        shapes: &Shapes,
    ) -> Result<Self, IntendedError> {
        let at = |(spot, problem): Wrong| IntendedError::new(file, spot, problem);
        let nodes = Nodes::new(matrix.names(), document).map_err(at)?;
        let step = |rule: &'a Rule| -> Result<Step<'a>, IntendedError> {
            rule.check().map_err(at)?;
            let jitter = rule.jitter.as_ref().map(|jitter| jitter.value.0);
            let shape = rule.distribution.as_ref().map(|shape| shapes.prepared(&shape.value, jitter));
            let from = nodes.meant(rule.from.as_ref()).map_err(at)?;
            let to = nodes.meant(rule.to.as_ref()).map_err(at)?;
            let one = |meant: &[bool]| meant.iter().filter(|meant| **meant).count() == 1;
            if one(&from) && from == to {
                let spot = rule.to.as_ref().map_or(Spot::File, |ends| ends.spot);
                return Err(at((spot, FileProblem::NoPath)));
            }
            Ok(Step { from, to, shape: shape.transpose()?.flatten(), rule })
        };
        let steps = document.paths.iter().map(step).collect::<Result<_, _>>()?;
        let defaults = step(&document.defaults)?;
        let regional = document.delays.as_ref().map(|delays| nodes.delays(delays)).transpose().map_err(at)?;
        Ok(Self { file, document, nodes, matrix, sides, defaults, steps, regional })
    }

    /// What every path does.
    pub(super) fn paths(&self) -> Result<BTreeMap<(NodeIndex, NodeIndex), PathIntent>, IntendedError> {
        self.matrix.paths().map(|path| Ok((path, self.path(path)?))).collect()
    }

    /// Networks of nodes beyond their addresses.
    pub(super) fn networks(&self) -> Result<BTreeMap<NodeIndex, Vec<ipnet::IpNet>>, IntendedError> {
        let of = |(name, extras): &(At<String>, super::document::NodeExtras)| {
            let node = self.nodes.named(name)?;
            Ok((node, extras.networks.iter().map(|network| network.0.0).collect()))
        };
        let all: Result<_, Wrong> = self.document.nodes.0.iter().map(of).collect();
        all.map_err(|(spot, problem)| IntendedError::new(self.file, spot, problem))
    }

    fn path(&self, (from, to): (NodeIndex, NodeIndex)) -> Result<PathIntent, IntendedError> {
        let steps: Vec<&Step<'_>> = self.steps.iter().filter(|step| step.from[from] && step.to[to]).collect();
        let named = std::iter::once(&self.defaults).chain(steps.iter().copied());
        let mut services: Vec<Service> = named.clone().filter_map(|step| Some(step.rule.service?.value)).collect();
        services.sort_unstable();
        services.dedup();
        let mut except: Vec<Service> =
            named.flat_map(|step| step.rule.except.iter().map(|service| service.value)).collect();
        except.sort_unstable();
        except.dedup();
        let impairment = |service| self.impairment((from, to), &steps, service);
        let services = services.into_iter().map(|service| Ok((service, impairment(service)?)));
        Ok(PathIntent {
            all: impairment(Service::All)?,
            services: services.collect::<Result<_, IntendedError>>()?,
            except,
        })
    }

    /// What packets of a service meet: the rules for everything and those for services that hold it, in the file's order.
    fn impairment(
        &self,
        path: (NodeIndex, NodeIndex),
        steps: &[&Step<'_>],
        service: Service,
    ) -> Result<Impairment, IntendedError> {
        let holds = |step: &Step<'_>| step.rule.service.is_none_or(|wider| wider.value.covers(&service));
        let mut layer = self.base(path);
        if holds(&self.defaults) {
            self.lay(path, &self.defaults, &mut layer)?;
        }
        self.lay_sides(path, &mut layer);
        for step in steps.iter().filter(|step| holds(step)) {
            self.lay(path, step, &mut layer)?;
        }
        self.checked(path, &layer)
    }

    fn base(&self, (from, to): (NodeIndex, NodeIndex)) -> Layer<'a> {
        let regional = self.regional.as_ref().and_then(|delays| delays[from * self.matrix.len() + to]);
        let delay = regional.unwrap_or_else(|| self.matrix.delay(from, to));
        let spot = match (regional, &self.document.delays) {
            (Some(_), Some(delays)) => delays.spot,
            _ => Spot::File,
        };
        let base = Impairment { seed: self.document.seed.map(|seed| seed.0.0), ..Impairment::delay(delay) };
        Layer::new(base, Origin { file: self.file, spot })
    }

    fn lay_sides(&self, (from, to): (NodeIndex, NodeIndex), layer: &mut Layer<'a>) {
        if let Some((side, jitter)) = self.sides.jitter.as_ref().and_then(|side| Some((side, side.get(from, to)?))) {
            layer.impairment.jitter.span = jitter;
            if jitter == Span::ZERO {
                layer.impairment.jitter = crate::shaping::Jitter::default();
            }
            layer.note(Aspect::Jitter, side.origin());
        }
        if let Some((side, loss)) = self.sides.loss.as_ref().and_then(|side| Some((side, side.get(from, to)?))) {
            layer.impairment.loss = if loss == Probability::ZERO { Loss::None } else { Loss::Random(Share::of(loss)) };
            layer.note(Aspect::Loss, side.origin());
        }
        if let Some((side, rate)) = self.sides.rate.as_ref().and_then(|side| Some((side, side.get(from, to)?))) {
            layer.impairment.rate = Some(rate);
            layer.note(Aspect::Rate, side.origin());
        }
    }

    fn lay(
        &self,
        (from, to): (NodeIndex, NodeIndex),
        step: &Step<'_>,
        layer: &mut Layer<'a>,
    ) -> Result<(), IntendedError> {
        let at = |(spot, problem): Wrong| IntendedError::new(self.file, spot, problem);
        if let Some(change) = &step.rule.delay {
            let delay = layer.impairment.delay;
            let less = if let DelayChange::Minus(less) = change.value.0 { less } else { Delay::ZERO };
            layer.impairment.delay = change.value.0.applied(delay).ok_or_else(|| {
                let (from, to) = self.names((from, to));
                at((change.spot, FileProblem::BelowZero { from, to, delay, less }))
            })?;
            layer.note(Aspect::Delay, Origin { file: self.file, spot: change.spot });
        }
        step.rule.lay(self.file, step.shape, layer).map_err(at)
    }

    fn checked(&self, path: (NodeIndex, NodeIndex), layer: &Layer<'_>) -> Result<Impairment, IntendedError> {
        let (from, to) = self.names(path);
        let delay = layer.impairment.delay;
        if delay > MAX_DELAY {
            let Origin { file, spot } = layer.origin(Aspect::Delay);
            return Err(IntendedError::new(file, spot, FileProblem::TooLong { from, to, delay }));
        }
        layer.impairment.checked().map_err(|cause| {
            let Origin { file, spot } = layer.origin(cause.aspect());
            IntendedError::new(file, spot, FileProblem::Nonsense { from, to, cause })
        })
    }

    fn names(&self, (from, to): (NodeIndex, NodeIndex)) -> (NodeName, NodeName) {
        (self.matrix.names()[from].clone(), self.matrix.names()[to].clone())
    }
}
