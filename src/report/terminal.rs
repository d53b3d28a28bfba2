//! The heat map for a terminal: numbers in coloured cells where they fit, coloured or graded cells where not.

use super::heat::{Cell, HeatMap, HeatMapKind, Scale, number, thousands};
use super::palette::Rgb;

/// What colours the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// None: digits stand for shades.
    None,
    /// The 256 colours of xterm.
    Ansi256,
    /// 24-bit colours.
    TrueColour,
}

/// The most letters of a node's name at the left.
const NAME_LETTERS: usize = 18;
/// The most cells on a side, however wide the terminal is.
const MAX_CELLS: usize = 160;
/// The narrowest terminal that is respected.
const MIN_COLUMNS: usize = 24;
/// The grey of the diagonal, and the red of what was not measured.
const DIAGONAL: Rgb = Rgb(110, 110, 110);
const MISSING: Rgb = Rgb(194, 24, 91);

/// How the cells are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    /// Numbers, this many letters wide, with names above them.
    Numbers(usize),
    /// Two letters a cell, one line a row: colour, or a digit and a sign.
    Pairs,
    /// Half a letter a cell: two rows share a line, the upper one in the foreground colour.
    Halves,
}

/// Draws `map` in at most `columns` letters a line, 24 at least, with a title and a legend; ends with a line break.
///
/// Numbers stand in the cells when they fit. Otherwise a cell is a colour, or without colour a digit for its tenth
/// of the range (with a sign for errors). What does not fit then is averaged in blocks, and the legend says so.
pub fn heat_map(map: &HeatMap, columns: usize, colour: Colour) -> String {
    let columns = columns.max(MIN_COLUMNS);
    let letters = name_letters(map, columns);
    let room = columns - letters - 1;
    let n = map.names.len();
    let (cells, per_line) = choose(map, room, colour);
    let block = n.div_ceil(per_line.min(MAX_CELLS).min(n));
    let count = n.div_ceil(block);
    let scale = map.scale();
    let mut lines = vec![map.title.clone()];
    if !map.subtitle.is_empty() {
        lines.push(map.subtitle.clone());
    }
    lines.push(String::new());
    if let Cells::Numbers(width) = cells {
        lines.push(header(map, letters, width));
    } else {
        lines.push(format!("{:>letters$} to →", "from"));
    }
    let painter = Painter { map, scale, colour, block, count };
    let step = if cells == Cells::Halves { 2 } else { 1 };
    for row in (0..count).step_by(step) {
        let body = match cells {
            Cells::Numbers(width) => painter.numbers(row, width),
            Cells::Pairs => painter.pairs(row),
            Cells::Halves => painter.halves(row),
        };
        let name = shortened(map.names[row * block].as_str(), letters);
        lines.push(format!("{name:>letters$} {body}"));
    }
    lines.push(String::new());
    lines.extend(legend(map, &painter, cells));
    let trimmed: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    trimmed.join("\n") + "\n"
}

/// The letters for names: the longest name, but never more than a quarter of the line.
fn name_letters(map: &HeatMap, columns: usize) -> usize {
    let longest = map.names.iter().map(|name| name.as_str().chars().count()).max().unwrap_or(0);
    longest.clamp(4, NAME_LETTERS.min(columns / 4).max(4))
}

fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let kept: String = name.chars().take(letters - 1).collect();
    format!("{kept}…")
}

/// How cells are drawn in `room` letters, and how many fit.
fn choose(map: &HeatMap, room: usize, colour: Colour) -> (Cells, usize) {
    let n = map.names.len();
    let least = if n * 4 <= room { (map.widest() + 1).max(4) } else { room };
    let longest = map.names.iter().map(|name| name.as_str().chars().count()).max().unwrap_or(0);
    match (n, colour) {
        (n, _) if n * least <= room => (Cells::Numbers((room / n).min(longest + 1).max(least)), n),
        (n, _) if n * 2 <= room => (Cells::Pairs, n),
        (_, Colour::None) => (Cells::Pairs, room / 2),
        _ => (Cells::Halves, room),
    }
}

fn header(map: &HeatMap, letters: usize, width: usize) -> String {
    let names = map.names.iter().map(|name| format!("{:>width$}", shortened(name.as_str(), width - 1)));
    let corner = if letters < 7 { "from" } else { "from\\to" };
    format!("{corner:letters$} {}", names.collect::<String>())
}

/// Draws the cells of a row.
struct Painter<'a> {
    map: &'a HeatMap,
    scale: Scale,
    colour: Colour,
    block: usize,
    count: usize,
}

impl Painter<'_> {
    fn row(&self, row: usize) -> impl Iterator<Item = Cell> + '_ {
        (0..self.count).map(move |column| self.map.cell(row, column, self.block))
    }

    fn numbers(&self, row: usize, width: usize) -> String {
        let print = self.map.printer();
        let text = |cell| match cell {
            Cell::Diagonal => format!("{:>width$}", "·"),
            Cell::Missing => format!("{:>width$}", "?"),
            Cell::Value(value) => format!("{:>width$}", print(value)),
        };
        self.line(self.row(row).map(|cell| (self.background(cell), text(cell))))
    }

    fn pairs(&self, row: usize) -> String {
        if self.colour == Colour::None {
            return self.row(row).map(|cell| self.grade(cell)).collect();
        }
        let text = |cell| match cell {
            Cell::Diagonal => " ·".to_owned(),
            Cell::Missing => " ?".to_owned(),
            Cell::Value(_) => "  ".to_owned(),
        };
        self.line(self.row(row).map(|cell| (self.background(cell), text(cell))))
    }

    fn halves(&self, row: usize) -> String {
        let lower = |column| {
            let below = (row + 1 < self.count).then(|| self.map.cell(row + 1, column, self.block));
            below.and_then(|cell| self.background(cell))
        };
        let cells = self.row(row).enumerate().map(|(column, cell)| {
            let upper = self.background(cell).map_or(String::new(), |colour| self.code(38, colour));
            let lower = lower(column).map_or("\x1b[49m".to_owned(), |colour| self.code(48, colour));
            format!("{upper}{lower}▀")
        });
        format!("{}\x1b[0m", cells.collect::<String>())
    }

    /// Texts on their backgrounds; a code is written only where the background changes.
    fn line(&self, cells: impl Iterator<Item = (Option<Rgb>, String)>) -> String {
        if self.colour == Colour::None {
            return cells.map(|(_, text)| text).collect();
        }
        let mut line = String::new();
        let mut last = None;
        for (background, text) in cells {
            if let Some(colour) = background.filter(|colour| last != Some(*colour)) {
                line += &self.code(48, colour);
                line += &self.code(38, colour.text_colour());
            }
            line += &text;
            last = background;
        }
        line + "\x1b[0m"
    }

    fn background(&self, cell: Cell) -> Option<Rgb> {
        match (self.colour, cell) {
            (Colour::None, _) => None,
            (_, Cell::Diagonal) => Some(DIAGONAL),
            (_, Cell::Missing) => Some(MISSING),
            (_, Cell::Value(value)) => Some(self.scale.colour(value)),
        }
    }

    /// The escape code of a colour; `layer` is 38 for the foreground, 48 for the background.
    fn code(&self, layer: u8, Rgb(red, green, blue): Rgb) -> String {
        match self.colour {
            Colour::None => String::new(),
            Colour::Ansi256 => format!("\x1b[{layer};5;{}m", nearest_256(Rgb(red, green, blue))),
            Colour::TrueColour => format!("\x1b[{layer};2;{red};{green};{blue}m"),
        }
    }

    /// A cell without colour: the digit of its tenth of the range, or of its distance from zero with a sign.
    fn grade(&self, cell: Cell) -> String {
        let value = match cell {
            Cell::Diagonal => return " ·".to_owned(),
            Cell::Missing => return " ?".to_owned(),
            Cell::Value(value) => value,
        };
        let tenth = |share: f64| (share * 10.0).floor().clamp(0.0, 9.0);
        match self.map.kind {
            HeatMapKind::Sequential => format!(" {}", tenth(self.scale.share(value))),
            HeatMapKind::Diverging => {
                let from_zero = (self.scale.share(value) - 0.5) * 2.0;
                let digit = tenth(from_zero.abs());
                let sign = if digit == 0.0 {
                    " "
                } else if from_zero < 0.0 {
                    "-"
                } else {
                    "+"
                };
                format!("{sign}{digit}")
            }
        }
    }
}

/// The legend: the colours or digits with their values, the marks, and what was averaged.
fn legend(map: &HeatMap, painter: &Painter, cells: Cells) -> Vec<String> {
    let (low, high) = (painter.scale.low, painter.scale.high);
    let signed = map.kind == HeatMapKind::Diverging;
    let decimals = [2, 1, 0][[9.995, 99.95].iter().filter(|bound| high.abs().max(low.abs()) >= **bound).count()];
    let (first, last) = (number(low, decimals, signed), number(high, decimals, signed));
    let mut lines = Vec::new();
    match (painter.colour, cells) {
        (Colour::None, Cells::Numbers(_)) => lines.push(format!("numbers in {}", map.unit)),
        (Colour::None, _) => {
            let width = if signed { high / 10.0 } else { (high - low) / 10.0 };
            let tenth = number(width, decimals.max(1), false);
            let meaning = if signed { "tenths of the reach, with the sign" } else { "tenths of the range" };
            lines.push(format!("digits: {meaning}, {tenth} {} each; {first} to {last} {}", map.unit, map.unit));
        }
        _ => {
            let steps = (0..20).map(|step| (Some(painter.scale.at(f64::from(step) / 19.0)), " ".to_owned()));
            lines.push(format!("{first} {} {last} {}", painter.line(steps), map.unit));
        }
    }
    let mut marks = Vec::new();
    if painter.map.shows_diagonal(painter.block) {
        marks.push(if cells == Cells::Halves { "grey: same node" } else { "· same node" }.to_owned());
    }
    if map.missing() > 0 {
        let mark = if cells == Cells::Halves { "red:" } else { "?" };
        marks.push(format!("{mark} not measured ({})", thousands(map.missing())));
    }
    if painter.block > 1 {
        let (block, n) = (painter.block, thousands(map.names.len()));
        marks.push(format!("{n} nodes: each cell is the mean of {block}×{block} paths"));
    }
    lines.push(marks.join(", "));
    lines
}

/// The nearest of xterm's 216 cube colours and 24 greys.
pub fn nearest_256(Rgb(red, green, blue): Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let level = |channel: u8| (0u8..6).min_by_key(|step| LEVELS[usize::from(*step)].abs_diff(channel)).unwrap_or(0);
    let distance =
        |a: [u8; 3]| -> u32 { a.iter().zip([red, green, blue]).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let cube = [level(red), level(green), level(blue)];
    let cube_colour = cube.map(|step| LEVELS[usize::from(step)]);
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let grey = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    if distance([8 + 10 * grey; 3]) < distance(cube_colour) {
        232 + grey
    } else {
        16 + 36 * cube[0] + 6 * cube[1] + cube[2]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::small_run::{numbered, three_nodes};
    use proptest::prelude::*;

    /// The text without escape codes.
    fn plain(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap().to_owned();
        first + &parts.map(|part| part.split_once('m').unwrap().1).collect::<String>()
    }

    fn line_map(n: usize, kind: HeatMapKind) -> HeatMap {
        let value = |place: usize| (place / n) as f64 - (place % n) as f64;
        let values = (0..n * n).map(|place| Some(value(place))).collect();
        HeatMap::new(("Title", "source"), &numbered(n), values, "ms", kind).unwrap()
    }

    #[test]
    fn numbers_stand_in_the_cells_when_they_fit() {
        let (names, _, comparison) = three_nodes();
        let map = HeatMap::of_measured("Measured one-way delay", "median of 2 probes", &names, &comparison);
        insta::assert_snapshot!(heat_map(&map, 80, Colour::None), @r#"
        Measured one-way delay
        median of 2 probes

        from\to          Paris       Oslo Rome, "IT"
             Paris           ·       10.0       20.0
              Oslo        12.0          ·        5.0
        Rome, "IT"        23.5          ?          ·

        numbers in ms
        · same node, ? not measured (1)
        "#);
        assert_eq!(plain(&heat_map(&map, 80, Colour::TrueColour)).lines().count(), 10);
    }

    #[test]
    fn digits_stand_for_shades_without_colour() {
        insta::assert_snapshot!(heat_map(&line_map(9, HeatMapKind::Diverging), 30, Colour::None), @r#"
        Title
        source

        from to →
          n1  ·-1-2-3-5-6-7-8-9
          n2 +1 ·-1-2-3-5-6-7-8
          n3 +2+1 ·-1-2-3-5-6-7
          n4 +3+2+1 ·-1-2-3-5-6
          n5 +5+3+2+1 ·-1-2-3-5
          n6 +6+5+3+2+1 ·-1-2-3
          n7 +7+6+5+3+2+1 ·-1-2
          n8 +8+7+6+5+3+2+1 ·-1
          n9 +9+8+7+6+5+3+2+1 ·

        digits: tenths of the reach, with the sign, 0.80 ms each; −8.00 to +8.00 ms
        · same node
        "#);
    }

    #[test]
    fn large_matrices_are_averaged_and_say_so() {
        insta::assert_snapshot!(heat_map(&line_map(100, HeatMapKind::Diverging), 30, Colour::None), @r#"
        Title
        source

        from to →
          n1  0 0-1-2-3-4-5-6-7-8-9-9
         n10  0 0 0-1-2-3-4-5-6-7-8-8
         n19 +1 0 0 0-1-2-3-4-5-6-7-7
         n28 +2+1 0 0 0-1-2-3-4-5-6-6
         n37 +3+2+1 0 0 0-1-2-3-4-5-5
         n46 +4+3+2+1 0 0 0-1-2-3-4-5
         n55 +5+4+3+2+1 0 0 0-1-2-3-4
         n64 +6+5+4+3+2+1 0 0 0-1-2-3
         n73 +7+6+5+4+3+2+1 0 0 0-1-2
         n82 +8+7+6+5+4+3+2+1 0 0 0-1
         n91 +9+8+7+6+5+4+3+2+1 0 0 0
        n100 +9+8+7+6+5+5+4+3+2+1 0 ·

        digits: tenths of the reach, with the sign, 9.9 ms each; −99.0 to +99.0 ms
        · same node, 100 nodes: each cell is the mean of 9×9 paths
        "#);
    }

    #[test]
    fn colours_are_found_among_the_256() {
        let found =
            [Rgb(0, 0, 0), Rgb(255, 255, 255), Rgb(255, 0, 0), Rgb(95, 135, 175), Rgb(8, 8, 8), Rgb(128, 128, 128)];
        assert_eq!(found.map(nearest_256), [16, 231, 196, 67, 232, 244]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_line_of_cells_is_wider_than_the_terminal(n in 2usize..150, columns in 24usize..200, which in 0usize..3) {
            let colour = [Colour::None, Colour::Ansi256, Colour::TrueColour][which];
            let text = heat_map(&line_map(n, HeatMapKind::Sequential), columns, colour);
            let plain = plain(&text);
            // Title, source, blank; then header and rows until the blank before the legend.
            for line in plain.lines().skip(3).take_while(|line| !line.is_empty()) {
                prop_assert!(line.chars().count() <= columns, "{line:?}");
            }
        }
    }
}
