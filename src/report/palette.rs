//! Colours of the heat maps: one sequential and one diverging map, and the text colour that reads on them.

/// A colour, 8 bits a channel, sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// Black: text on light cells.
pub(super) const BLACK: Rgb = Rgb(0, 0, 0);
/// White: text on dark cells.
pub(super) const WHITE: Rgb = Rgb(255, 255, 255);

/// Viridis, light end first so that more delay is more ink: eleven points of it, linear between them.
const SEQUENTIAL: [Rgb; 11] = [
    Rgb(253, 231, 37),
    Rgb(189, 223, 38),
    Rgb(122, 209, 81),
    Rgb(68, 191, 112),
    Rgb(34, 168, 132),
    Rgb(33, 145, 140),
    Rgb(42, 120, 142),
    Rgb(53, 95, 141),
    Rgb(65, 68, 135),
    Rgb(72, 36, 117),
    Rgb(68, 1, 84),
];

/// Blue, white, orange. The blue end is darker than the orange one, so that the ends differ in print without colour too.
const DIVERGING: [Rgb; 9] = [
    Rgb(8, 40, 100),
    Rgb(22, 92, 165),
    Rgb(86, 146, 204),
    Rgb(172, 205, 232),
    Rgb(250, 250, 250),
    Rgb(253, 214, 170),
    Rgb(246, 164, 90),
    Rgb(224, 112, 28),
    Rgb(172, 70, 6),
];

/// Colours for things that have no order, such as strategies: those of Okabe and Ito (2008), which people who do not see
/// all colours tell apart too, in an order in which neighbours differ in lightness; the yellow, which would vanish on paper,
/// is darker.
const CATEGORIES: [Rgb; 8] = [
    Rgb(0, 114, 178),
    Rgb(230, 159, 0),
    Rgb(0, 158, 115),
    Rgb(204, 121, 167),
    Rgb(213, 94, 0),
    Rgb(86, 180, 233),
    Rgb(64, 64, 64),
    Rgb(158, 148, 36),
];

/// How many things have a colour of their own.
pub(super) const CATEGORY_COUNT: usize = CATEGORIES.len();

/// The colour of the `number`th thing without an order; they come again when there are more of them than colours.
pub(super) fn category(number: usize) -> Rgb {
    CATEGORIES[number % CATEGORIES.len()]
}

impl Rgb {
    /// As SVG and CSS write it: `#rrggbb`.
    pub(super) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance as WCAG 2 defines it: 0 for black, 1 for white.
    pub(super) fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// WCAG 2 contrast ratio of two colours, 1 to 21.
    pub(super) fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Black or white, whichever reads better on this colour.
    pub(super) fn text_colour(self) -> Self {
        if self.contrast(BLACK) >= self.contrast(WHITE) { BLACK } else { WHITE }
    }
}

/// The sequential map at `share` of the range, 0 to 1; outside it is the nearest end.
pub(super) fn sequential(share: f64) -> Rgb {
    at(&SEQUENTIAL, share)
}

/// The diverging map at `share` of the range, 0 to 1 with the centre at 0.5; outside it is the nearest end.
pub(super) fn diverging(share: f64) -> Rgb {
    at(&DIVERGING, share)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn at(points: &[Rgb], share: f64) -> Rgb {
    let place = share.clamp(0.0, 1.0) * (points.len() - 1) as f64;
    let below = (place.floor() as usize).min(points.len() - 2);
    let part = place - below as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    let (low, high) = (points[below], points[below + 1]);
    Rgb(mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rounding of a channel to 8 bits may bend a monotone curve by this much.
    const ROUNDING: f64 = 0.004;

    #[test]
    fn the_luminance_formula_agrees_with_published_values() {
        assert!((Rgb(255, 0, 0).luminance() - 0.2126).abs() < 1e-9);
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        // #767676 is the well-known lightest grey that reads on white at 4.5.
        assert!((4.5..4.6).contains(&Rgb(0x76, 0x76, 0x76).contrast(WHITE)));
    }

    #[test]
    fn colours_of_categories_are_seen_on_white_and_differ_from_their_neighbours() {
        for number in 0..CATEGORIES.len() {
            let (one, next) = (category(number), category(number + 1));
            assert!(one.contrast(WHITE) >= 2.0, "{one:?}");
            let apart = |a: u8, b: u8| (i32::from(a) - i32::from(b)).abs();
            let distance = apart(one.0, next.0) + apart(one.1, next.1) + apart(one.2, next.2);
            assert!(one.contrast(next) >= 1.1 && distance > 100, "{one:?} {next:?}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_on_every_cell_colour(share in 0.0f64..=1.0) {
            for cell in [sequential(share), diverging(share)] {
                prop_assert!(cell.contrast(cell.text_colour()) >= 4.5);
            }
        }

        #[test]
        fn text_reads_on_any_colour(r: u8, g: u8, b: u8) {
            let cell = Rgb(r, g, b);
            prop_assert!(cell.contrast(cell.text_colour()) >= 4.5);
        }

        #[test]
        fn more_is_darker(a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(sequential(low).luminance() + ROUNDING >= sequential(high).luminance());
        }

        #[test]
        fn farther_from_zero_is_darker(a in 0.0f64..=0.5, b in 0.0f64..=0.5) {
            let (near, far) = (a.min(b), a.max(b));
            for side in [-1.0, 1.0] {
                let luminance = |distance: f64| diverging(0.5 + side * distance).luminance();
                prop_assert!(luminance(near) + ROUNDING >= luminance(far));
            }
        }
    }
}
