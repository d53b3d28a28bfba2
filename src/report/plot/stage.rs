//! The stage of pictures that have things side by side: heading, legend, upright axis, what is to be kept, and a slot for each.

use super::axes::{Axis, Frame};
use super::categories::Names;
use super::heading::{Heading, MARGIN};
use super::legend::{BOUND, Key, Legend};
use super::svg::{GREY, Svg};
use super::{Bound, PAGE_WIDTH};

/// What a stage is made from.
pub(super) struct Plan<'a> {
    pub(super) title: &'a str,
    pub(super) subtitle: &'a [String],
    /// What the things are; its title stands below.
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    /// Names of the colours, where the legend is to have them.
    pub(super) areas: &'a [String],
    pub(super) bounds: &'a [Bound],
    /// The names of the things, each with its note.
    pub(super) names: Vec<(&'a str, &'a str)>,
    /// The room between the legend and the plot.
    pub(super) gap: f64,
    /// The height of the plot.
    pub(super) height: f64,
}

/// A stage that is set.
pub(super) struct Stage<'a> {
    pub(super) svg: Svg,
    pub(super) frame: Frame<'a>,
    /// The width of a slot.
    pub(super) slot: f64,
    names: Names,
}

impl<'a> Stage<'a> {
    /// Draws all but the things and their names.
    pub(super) fn set(plan: &Plan<'a>) -> Self {
        let (left, right) = (Frame::left_of(plan.y), PAGE_WIDTH - MARGIN - 10.0);
        let slot = (right - left) / plan.names.len().max(1) as f64;
        let heading = Heading::new(plan.title, plan.subtitle, PAGE_WIDTH);
        let areas = plan.areas.iter().enumerate().map(|(number, name)| (Key::Area(number), name.clone()));
        let bounds = plan.bounds.iter().map(|bound| (Key::Bound, bound.name().to_owned()));
        let legend = Legend::new(areas.chain(bounds), right - left);
        let names = Names::new(plan.names.iter().copied(), slot);
        let top = (heading.bottom() + 8.0 + legend.height() + plan.gap).ceil();
        let frame = Frame { left, right, top, bottom: top + plan.height, x: plan.x, y: plan.y };
        let mut svg = Svg::new(PAGE_WIDTH, (frame.bottom + names.height(&plan.x.title)).ceil());
        heading.draw(&mut svg);
        legend.draw(&mut svg, left, heading.bottom() + 8.0);
        frame.draw_upright(&mut svg);
        for bound in plan.bounds {
            let y = frame.y(bound.at());
            svg.line((left, y), (right, y), GREY, BOUND);
        }
        Self { svg, frame, slot, names }
    }

    /// Where the slot of a thing begins.
    pub(super) fn start(&self, place: usize) -> f64 {
        self.frame.left + self.slot * place as f64
    }

    /// Draws the names and ends the picture.
    pub(super) fn finish(mut self, title: &str) -> String {
        let Frame { left, right, bottom, x, .. } = self.frame;
        self.names.draw(&mut self.svg, (left, right), bottom, &x.title);
        self.svg.finish(title)
    }
}
