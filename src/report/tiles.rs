//! A matrix of paths as tiles for a screen of any size: which cells are shown, what stands in them and their colours.

use super::heat::number;
use super::palette::{Rgb, diverging, sequential};
use crate::measure::{Comparison, PathResult};
use crate::topology::{NodeIndex, NodeName};

/// What the tiles show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Measured median, one way or there and back, as it is judged.
    Delay,
    /// Its error in hundredths of what the tolerance allows.
    Error,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// As wide as the board's cells.
    pub text: String,
    /// Its colour; `None` for a node to itself and for what was not measured.
    pub background: Option<Rgb>,
    /// What reads on it.
    pub foreground: Option<Rgb>,
    /// Whether a path in it is outside the tolerance.
    pub outside: bool,
}

/// The tiles that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The names above the columns, as wide as the cells; empty where cells are too narrow for names.
    pub header: Vec<String>,
    /// The name before each row, and its cells.
    pub rows: Vec<(String, Vec<Tile>)>,
    /// How many paths on each side stand in one cell; more than 1 when the whole matrix does not fit.
    pub block: usize,
    /// The first row and column, after being kept inside the matrix.
    pub corner: (NodeIndex, NodeIndex),
}

/// The most letters of a name.
const NAME_LETTERS: usize = 10;
/// The letters of a cell that is only a colour.
const NARROW: usize = 2;

/// What to show where.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Letters a line, names included.
    pub columns: usize,
    /// Rows of cells.
    pub lines: usize,
    /// Row and column to begin with, numbers in the cells; `None` to see the whole matrix whatever that takes.
    pub corner: Option<(NodeIndex, NodeIndex)>,
}

/// The letters before the cells: a name and a blank.
pub fn name_room(names: &[NodeName]) -> usize {
    names.iter().map(|name| name.as_str().chars().count()).max().unwrap_or(0).clamp(2, NAME_LETTERS) + 1
}

/// Chooses and draws the tiles. A cell of many paths shows the mean of their delays, or the error that is farthest off.
pub fn board(names: &[NodeName], comparison: &Comparison, quantity: Quantity, window: Window) -> Board {
    let n = names.len();
    let scene = Scene { n, comparison, quantity, most: most(comparison) };
    let room = window.columns.saturating_sub(name_room(names));
    let lines = window.lines.max(1);
    let numbers = scene.number_width();
    let whole = |width: usize| n * width <= room && n <= lines;
    let (width, block, corner) = match window.corner {
        _ if whole(numbers) => ((room / n.max(1)).clamp(numbers, numbers.max(NAME_LETTERS)), 1, (0, 0)),
        Some(corner) => (numbers, 1, corner),
        None => (NARROW, n.div_ceil((room / NARROW).max(1)).max(n.div_ceil(lines)).max(1), (0, 0)),
    };
    let cells = n.div_ceil(block);
    let across = cells.min((room / width).max(1));
    let down = cells.min(lines);
    let corner = (corner.0.min(cells - down.min(cells)), corner.1.min(cells - across.min(cells)));
    let shown = corner.1..corner.1 + across;
    let label = |node: NodeIndex, letters: usize| shortened(names[node].as_str(), letters);
    let header = if width > NARROW {
        shown.clone().map(|to| format!("{:>width$}", label(to, width - 1))).collect()
    } else {
        vec![]
    };
    let rows = (corner.0..corner.0 + down).map(|row| {
        let tiles = shown.clone().map(|column| scene.tile((row, column), block, width)).collect();
        (label(row * block, name_room(names) - 1), tiles)
    });
    Board { header, rows: rows.collect(), block, corner }
}

/// What the colours mean, from low to high.
pub fn legend(comparison: &Comparison, quantity: Quantity) -> (String, Vec<Rgb>, String) {
    let steps = (0..12).map(|step| f64::from(step) / 11.0);
    match quantity {
        Quantity::Delay => ("0".to_owned(), steps.map(sequential).collect(), format!("{:.0} ms", most(comparison))),
        Quantity::Error => ("−100".to_owned(), steps.map(diverging).collect(), "+100 % of allowed".to_owned()),
    }
}

/// The longest median in milliseconds: the dark end of the colours.
fn most(comparison: &Comparison) -> f64 {
    comparison.paths.iter().filter_map(|path| comparison.judged_ms(path).1).fold(1.0, f64::max)
}

struct Scene<'a> {
    n: usize,
    comparison: &'a Comparison,
    quantity: Quantity,
    most: f64,
}

impl Scene<'_> {
    fn path(&self, from: NodeIndex, to: NodeIndex) -> Option<&PathResult> {
        let place = from * (self.n - 1) + to - usize::from(to > from);
        self.comparison.paths.get(place).filter(|path| (path.from, path.to) == (from, to))
    }

    fn value(&self, path: &PathResult) -> Option<f64> {
        match self.quantity {
            Quantity::Delay => self.comparison.judged_ms(path).1,
            Quantity::Error => self.comparison.share_of_allowed(path).map(|share| share * 100.0),
        }
    }

    fn text(&self, value: f64) -> String {
        let decimals = usize::from(self.quantity == Quantity::Delay && self.most < 9.95);
        // More than ten times the tolerance says enough; the list beside has the figures.
        number(value.clamp(-999.0, 99_999.0).min(self.limit()), decimals, self.quantity == Quantity::Error)
    }

    fn limit(&self) -> f64 {
        if self.quantity == Quantity::Error { 999.0 } else { f64::INFINITY }
    }

    /// The widest text and a blank.
    fn number_width(&self) -> usize {
        let values = self.comparison.paths.iter().filter_map(|path| self.value(path));
        let (low, high) = values.fold((0.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
        let letters = |value: f64| self.text(value).chars().count();
        letters(low).max(letters(high)).max(3) + 1
    }

    fn tile(&self, (row, column): (usize, usize), block: usize, width: usize) -> Tile {
        let ends = |start: usize| start * block..((start + 1) * block).min(self.n);
        let (mut values, mut paths, mut outside) = (Vec::new(), 0, false);
        for from in ends(row) {
            for path in ends(column).filter(|to| *to != from).filter_map(|to| self.path(from, to)) {
                paths += 1;
                outside |= path.verdict == crate::measure::Verdict::Fail;
                values.extend(self.value(path));
            }
        }
        let value = match self.quantity {
            _ if values.is_empty() => None,
            Quantity::Delay => Some(values.iter().sum::<f64>() / values.len() as f64),
            Quantity::Error => values.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs())),
        };
        let background = value.map(|value| match self.quantity {
            Quantity::Delay => sequential(value / self.most),
            Quantity::Error => diverging(0.5 + value / 200.0),
        });
        let text = match (paths, value) {
            (0, _) => "·".to_owned(),
            (_, None) => "?".to_owned(),
            (_, Some(value)) if width > NARROW => self.text(value),
            _ if outside => "!".to_owned(),
            (_, Some(value)) => self.grade(value),
        };
        let foreground = background.map(Rgb::text_colour);
        Tile { text: format!("{text:>width$}"), background, foreground, outside }
    }

    /// A narrow cell's shade as a digit, for terminals without colour: the tenth of the range.
    fn grade(&self, value: f64) -> String {
        let share = if self.quantity == Quantity::Delay { value / self.most } else { value.abs() / 100.0 };
        number((share * 10.0).floor().clamp(0.0, 9.0), 0, false)
    }
}

fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let kept: String = name.chars().take(letters.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::small_run::{comparison, matrix, numbered, sample, three_nodes};
    use proptest::prelude::*;

    fn text(board: &Board) -> String {
        let mut lines = vec![board.header.concat()];
        lines.extend(board.rows.iter().map(|(name, tiles)| {
            let tiles: String = tiles.iter().map(|tile| tile.text.as_str()).collect();
            format!("{name}|{tiles}")
        }));
        lines.join("\n")
    }

    fn off_diagonal(n: usize, place: usize, delay: u64) -> u64 {
        if place / n == place % n { 0 } else { delay }
    }

    /// Path from → to takes from + to ms; every error is zero.
    fn sums(n: usize) -> (Vec<NodeName>, Comparison) {
        let names = numbered(n);
        let delays: Vec<u64> = (0..n * n).map(|place| off_diagonal(n, place, (place / n + place % n) as u64)).collect();
        let places = (0..n * n).map(|place| (place / n, place % n)).filter(|(from, to)| from != to);
        let samples: Vec<_> = places.map(|(a, b)| sample((a, b), 0, Some(1_000 * (a + b) as u64), None)).collect();
        let comparison = comparison(&matrix(&names, &delays), &samples);
        (names, comparison)
    }

    #[test]
    fn numbers_stand_in_cells_that_fit() {
        let (names, _, comparison) = three_nodes();
        let window = Window { columns: 40, lines: 10, corner: None };
        insta::assert_snapshot!(text(&board(&names, &comparison, Quantity::Delay, window)), @r#"
            Paris     Oslo Rome, "…
        Paris|        ·       10       20
        Oslo|       12        ·        5
        Rome, "IT"|       24        ?        ·
        "#);
        insta::assert_snapshot!(text(&board(&names, &comparison, Quantity::Error, window)), @r#"
            Paris     Oslo Rome, "…
        Paris|        ·       +4       +3
        Oslo|       −1        ·       +4
        Rome, "IT"|     +350        ?        ·
        "#);
    }

    #[test]
    fn what_does_not_fit_is_one_cell_for_many_paths_or_scrolled() {
        let (names, comparison) = sums(40);
        let whole = board(&names, &comparison, Quantity::Delay, Window { columns: 30, lines: 10, corner: None });
        assert_eq!((whole.block, whole.rows.len(), whole.rows[0].1.len()), (4, 10, 10));
        let part = Window { columns: 30, lines: 10, corner: Some((35, 2)) };
        let part = board(&names, &comparison, Quantity::Delay, part);
        assert_eq!((part.block, part.corner), (1, (30, 2)));
        assert_eq!(part.rows[0].1[0].text.trim(), "32");
    }

    #[test]
    fn a_block_shows_the_error_that_is_farthest_off() {
        let names = numbered(40);
        let mut samples: Vec<_> = Vec::new();
        for from in 0..40 {
            for to in (0..40).filter(|to| *to != from) {
                samples.push(sample((from, to), 0, Some(if (from, to) == (0, 5) { 13_000 } else { 10_000 }), None));
            }
        }
        let delays: Vec<u64> = (0..1600).map(|place| off_diagonal(40, place, 10)).collect();
        let comparison = comparison(&matrix(&names, &delays), &samples);
        let board = board(&names, &comparison, Quantity::Error, Window { columns: 30, lines: 10, corner: None });
        let outside: usize = board.rows.iter().flat_map(|(_, tiles)| tiles).filter(|tile| tile.outside).count();
        assert_eq!((board.rows[0].1[1].text.as_str(), outside), (" !", 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn boards_fit_their_window(
            n in 2usize..60, columns in 20usize..200, lines in 1usize..60, corner in prop::option::of((0usize..90, 0usize..90))
        ) {
            let (names, comparison) = sums(n);
            for quantity in [Quantity::Delay, Quantity::Error] {
                let board = board(&names, &comparison, quantity, Window { columns, lines, corner });
                prop_assert!(!board.rows.is_empty() && board.rows.len() <= lines);
                for (name, tiles) in &board.rows {
                    let width: usize = tiles.iter().map(|tile| tile.text.chars().count()).sum();
                    prop_assert!(name.chars().count() < name_room(&names) && name_room(&names) + width <= columns);
                }
            }
        }
    }
}
