//! The knee of a latency curve: the load at which tail latency turns steep, and the latency there as a target.
//!
//! The paper names the point and no rule; its authors' two marks come from no single one of the two here.

use crate::units::Span;

/// A load (requests a second) and the latency seen at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Requests a second.
    pub load: f64,
    /// The latency, such as the 99th percentile.
    pub latency: Span,
}

/// How a knee is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// The point before the greatest relative jump. The default.
    #[default]
    Jump,
    /// The point farthest below the straight line from the first point to the last (Kneedle).
    Chord,
}

/// The knee of a curve with rising loads: the place of its point. `None` with less than three points, or where latency never
/// rises.
pub fn knee(points: &[Point], rule: Rule) -> Option<usize> {
    let rises = points.windows(2).any(|pair| pair[1].latency > pair[0].latency);
    if points.len() < 3 || !rises {
        return None;
    }
    let score: Vec<f64> = match rule {
        Rule::Jump => points.windows(2).map(|pair| ns(pair[1]) / ns(pair[0]).max(1.0)).collect(),
        Rule::Chord => {
            let share = |value: f64, of: &dyn Fn(&Point) -> f64| {
                let least = points.iter().map(of).fold(f64::INFINITY, f64::min);
                let most = points.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
                if most > least { (value - least) / (most - least) } else { 0.0 }
            };
            points.iter().map(|one| share(one.load, &|one| one.load) - share(ns(*one), &|one| ns(*one))).collect()
        }
    };
    // Of equals the first.
    (0..score.len()).max_by(|one, other| score[*one].total_cmp(&score[*other]).then(other.cmp(one)))
}

/// The latency at the knee, or at the greatest load where there is no knee; `None` of nothing.
pub fn target(points: &[Point], rule: Rule) -> Option<Span> {
    knee(points, rule).map(|place| points[place]).or(points.last().copied()).map(|point| point.latency)
}

fn ns(point: Point) -> f64 {
    point.latency.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, u64)]) -> Vec<Point> {
        points.iter().map(|(load, ms)| Point { load: *load, latency: Span::from_millis(*ms) }).collect()
    }

    const READ_USER: [(f64, u64); 14] = [
        (50.0, 150),
        (100.0, 100),
        (150.0, 160),
        (200.0, 190),
        (250.0, 200),
        (300.0, 210),
        (350.0, 230),
        (400.0, 290),
        (500.0, 310),
        (600.0, 1930),
        (800.0, 9170),
        (900.0, 11_260),
        (1000.0, 15_550),
        (1200.0, 30_440),
    ];
    const COMPOSE: [(f64, u64); 11] = [
        (20.0, 410),
        (50.0, 250),
        (100.0, 360),
        (150.0, 410),
        (200.0, 620),
        (250.0, 1410),
        (300.0, 2510),
        (350.0, 2670),
        (400.0, 3300),
        (450.0, 5230),
        (500.0, 8950),
    ];

    /// GOLDEN. The authors' marks are 600 at 1.93 s and 200 at 0.62 s: each rule hits one of them.
    #[test]
    fn each_rule_finds_one_of_the_authors_marks() {
        for (points, rule, load, ms) in [
            (&READ_USER[..], Rule::Jump, 500.0, 310),
            (&READ_USER, Rule::Chord, 600.0, 1930),
            (&COMPOSE, Rule::Jump, 200.0, 620),
            (&COMPOSE, Rule::Chord, 400.0, 3300),
        ] {
            let points = curve(points);
            let found = points[knee(&points, rule).expect("a knee")];
            assert_eq!(found, Point { load, latency: Span::from_millis(ms) }, "{rule:?}");
        }
    }

    #[test]
    fn curves_without_a_knee_give_the_latency_of_the_greatest_load() {
        for (points, latency) in [
            (&[][..], None),
            (&[(1.0, 5)], Some(5)),
            (&[(1.0, 5), (2.0, 50)], Some(50)),
            (&[(1.0, 9), (2.0, 8), (3.0, 8)], Some(8)),
        ] {
            let points = curve(points);
            assert_eq!(knee(&points, Rule::Jump), None);
            assert_eq!(target(&points, Rule::Chord), latency.map(Span::from_millis));
        }
    }
}
