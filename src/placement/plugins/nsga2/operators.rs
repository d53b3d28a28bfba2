//! Simulated binary crossover and polynomial mutation of one gene, which is the place of a node in a list.

/// How far the children of two are apart, by how far the parents are: for a draw from [0, 1).
fn spread(draw: f64, eta: f64) -> f64 {
    let ratio = if draw <= 0.5 { 2.0 * draw } else { 1.0 / (2.0 * (1.0 - draw)) };
    libm::pow(ratio, 1.0 / (eta + 1.0))
}

/// The children of two genes, not rounded.
pub(super) fn crossover((one, other): (f64, f64), draw: f64, eta: f64) -> (f64, f64) {
    let spread = spread(draw, eta);
    let child = |near: f64, far: f64| 0.5 * ((1.0 + spread) * near + (1.0 - spread) * far);
    (child(one, other), child(other, one))
}

/// By which share of its range a gene changes: for a draw from [0, 1).
pub(super) fn mutation(draw: f64, eta: f64) -> f64 {
    let power = |x: f64| libm::pow(x, 1.0 / (eta + 1.0));
    if draw < 0.5 { power(2.0 * draw) - 1.0 } else { 1.0 - power(2.0 * (1.0 - draw)) }
}

/// The nearest of `0..count`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within 0 and count.
pub(super) fn nearest(gene: f64, count: usize) -> usize {
    gene.round().clamp(0.0, count.saturating_sub(1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOLDEN: eta 20, genes 2 and 10.
    #[test]
    fn operators_are_those_of_the_test_vector() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-5;
        for (draw, wanted, children) in
            [(0.1, 0.926_223, (2.295_11, 9.704_89)), (0.9, 1.079_653, (1.681_39, 10.318_61))]
        {
            assert!(near(spread(draw, 20.0), wanted), "{}", spread(draw, 20.0));
            let (one, other) = crossover((2.0, 10.0), draw, 20.0);
            assert!(near(one, children.0) && near(other, children.1), "{one} {other}");
        }
        assert!(near(mutation(0.1, 20.0), -0.073_777) && near(mutation(0.9, 20.0), 0.073_777));
        assert_eq!([-3.0, 0.4, 1.5, 99.0].map(|gene| nearest(gene, 3)), [0, 0, 2, 2]);
    }
}
