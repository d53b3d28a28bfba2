//! Draws the live view into a frame of any size. Pure: state in, cells out.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::screen::Screen;
use crate::measure::{Comparison, PathResult, Verdict};
use crate::report::Rgb;
use crate::report::rounds::{Round, path_name, round_totals, worst_paths};
use crate::report::terminal::{Colour, nearest_256};
use crate::report::tiles::{Board, Tile, Window, board, legend, name_room};

/// The letters of the list of the worst paths where names have no room, and the least that the matrix keeps beside it.
const LIST: u16 = 38;
/// The letters of a path's name there.
const NAME: u16 = 13;
/// The letters of the widest matrix that names give way to.
const WIDE: u16 = 80;
const MATRIX: u16 = 24;
/// The keys, in words.
const KEYS: &str = "q quit  d delays  e errors  space pause  arrows/PgUp/PgDn scroll  z whole matrix";

/// What was drawn, for the keys that depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Rows of cells.
    pub(super) rows: usize,
    /// The first row and column.
    pub(super) corner: (usize, usize),
}

/// Draws everything. `age` is how long ago the last round was over.
pub(super) fn paint(screen: &Screen, age: Duration, colour: Colour, frame: &mut Frame<'_>) -> Drawn {
    let notes = screen.round.as_ref().map_or(0, |round| round.notes.len().min(2));
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(2 + u16::try_from(notes).unwrap_or(0)),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(vec![title(screen, age), totals(screen)]), head);
    let Some(round) = &screen.round else {
        frame.render_widget(Paragraph::new("\nthe first round is being measured …"), body);
        frame.render_widget(Paragraph::new(KEYS), foot);
        return Drawn::default();
    };
    let mut last: Vec<Line<'_>> =
        round.notes.iter().take(notes).map(|note| Line::styled(note.as_str(), bold())).collect();
    last.push(Line::from(round_totals(round)));
    last.push(Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)));
    frame.render_widget(Paragraph::new(last), foot);
    let name = name_letters(screen, round, body.width);
    let beside = if body.width >= LIST + MATRIX { LIST + name - NAME } else { 0 };
    let [matrix, side] = Layout::horizontal([Constraint::Min(1), Constraint::Length(beside)]).areas(body);
    frame.render_widget(Paragraph::new(worst(screen, round, side, usize::from(name))), side);
    paint_matrix(screen, round, colour, frame, matrix)
}

/// The letters of the longest name of a path, as far as there is room for them.
fn name_letters(screen: &Screen, round: &Round, width: u16) -> u16 {
    let letters = |path: &PathResult| path_name(&screen.names, path).chars().count();
    let longest = round.comparison.paths.iter().map(letters).max().unwrap_or(0);
    let room = width.saturating_sub(LIST + WIDE);
    NAME + u16::try_from(longest).unwrap_or(u16::MAX).saturating_sub(NAME).min(room)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn title(screen: &Screen, age: Duration) -> Line<'static> {
    let state = match (screen.measuring, screen.paused) {
        (true, true) => "measuring, then paused",
        (true, false) => "measuring",
        (false, true) => "PAUSED",
        (false, false) => "waiting",
    };
    let when = screen
        .round
        .as_ref()
        .map_or(String::new(), |round| format!("round {} of {}, {} s ago · ", round.number, round.at, age.as_secs()));
    Line::styled(format!("{} · {} nodes · {when}{state}", screen.testbed, screen.names.len()), bold())
}

fn totals(screen: &Screen) -> Line<'static> {
    let totals = screen.totals;
    let style = if totals.dropped > 0 || totals.failed > 0 { bold() } else { Style::new() };
    let text = format!(
        "in all: {} probes, {} lost, {} dropped by the back-ends, rounds outside: {}",
        totals.sent, totals.lost, totals.dropped, totals.failed
    );
    Line::styled(text, style)
}

fn worst(screen: &Screen, round: &Round, area: Rect, letters: usize) -> Vec<Line<'static>> {
    let mut lines =
        vec![Line::styled(format!("{:letters$}{:>8}{:>8}{:>9}", "worst, in ms", "expected", "p50", "error"), bold())];
    let most = usize::from(area.height).saturating_sub(1);
    for path in worst_paths(&round.comparison, most) {
        let style = if path.verdict == Verdict::Fail { bold() } else { Style::new() };
        lines.push(Line::styled(list_line(screen, &round.comparison, path, letters), style));
    }
    lines
}

fn list_line(screen: &Screen, comparison: &Comparison, path: &PathResult, letters: usize) -> String {
    let mut name = path_name(&screen.names, path);
    if name.chars().count() > letters {
        name = name.chars().take(letters - 1).chain(['…']).collect();
    }
    if comparison.lacks(path) {
        return format!("!{name:13} a node is missing");
    }
    let lost = if path.lost > 0 { format!(" {}/{} lost", path.lost, path.sent) } else { String::new() };
    let (expected, (_, measured)) = (comparison.expected_ms(path), comparison.judged_ms(path));
    let mark = if path.verdict == Verdict::Fail { "!" } else { " " };
    match (measured, path.error) {
        (Some(p50), Some(error)) if lost.is_empty() => {
            let error = error.as_millis_f64();
            format!("{mark}{name:letters$}{expected:7.1}{p50:8.2}{error:+9.2}")
        }
        (Some(p50), Some(error)) => {
            let error = error.as_millis_f64();
            format!("{mark}{name:letters$}{expected:7.1}{p50:6.0}{error:+5.0}{lost}")
        }
        _ => format!("{mark}{name:letters$}{expected:7.1}{lost}"),
    }
}

fn paint_matrix(screen: &Screen, round: &Round, colour: Colour, frame: &mut Frame<'_>, area: Rect) -> Drawn {
    let window = Window {
        columns: usize::from(area.width.saturating_sub(1)),
        lines: usize::from(area.height.saturating_sub(2)),
        corner: screen.corner,
    };
    let shown = board(&screen.names, &round.comparison, screen.quantity, window);
    let letters = name_room(&screen.names);
    let mut lines = vec![Line::from(format!("{:letters$}{}", "", head(&shown)))];
    for (name, tiles) in &shown.rows {
        let mut spans = vec![Span::raw(format!("{name:>width$} ", width = letters - 1))];
        spans.extend(tiles.iter().map(|tile| Span::styled(tile.text.clone(), style(tile, colour))));
        lines.push(Line::from(spans));
    }
    lines.push(legend_line(screen, round, colour));
    frame.render_widget(Paragraph::new(lines), area);
    Drawn { rows: shown.rows.len(), corner: shown.corner }
}

fn head(shown: &Board) -> String {
    match shown.block {
        _ if !shown.header.is_empty() => shown.header.concat(),
        1 => "to →".to_owned(),
        block => format!("to → ({block}×{block} paths a cell)"),
    }
}

fn style(tile: &Tile, colour: Colour) -> Style {
    let mut style = Style::new();
    if let (Some(background), Some(foreground), true) = (tile.background, tile.foreground, colour != Colour::None) {
        style = style.bg(shade(background, colour)).fg(shade(foreground, colour));
    }
    match (tile.outside, colour) {
        (true, Colour::None) => style.add_modifier(Modifier::REVERSED),
        (true, _) => style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        _ => style,
    }
}

fn shade(rgb: Rgb, colour: Colour) -> Color {
    match colour {
        Colour::None => Color::Reset,
        Colour::Ansi256 => Color::Indexed(nearest_256(rgb)),
        Colour::TrueColour => Color::Rgb(rgb.0, rgb.1, rgb.2),
    }
}

fn legend_line(screen: &Screen, round: &Round, colour: Colour) -> Line<'static> {
    let (low, steps, high) = legend(&round.comparison, screen.quantity);
    let mut spans = vec![Span::raw(format!("{low} "))];
    match colour {
        Colour::None => spans.push(Span::raw("to")),
        _ => spans.extend(steps.into_iter().map(|step| Span::styled(" ", Style::new().bg(shade(step, colour))))),
    }
    spans.push(Span::raw(format!(" {high}")));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::screen::{Effect, Key};
    use super::*;
    use crate::matrix::DelayMatrix;
    use crate::measure::{Sample, Tolerance, compare};
    use crate::topology::NodeName;
    use crate::units::{Delay, Span as Time};

    /// Every path of `n` nodes is to take 10 ms and takes 10.05 ms, but the first takes 45 ms and the last loses all probes.
    fn screen(n: usize) -> Screen {
        let names: Vec<NodeName> = (1..=n).map(NodeName::numbered).collect();
        let delays = (0..n * n).map(|place| Delay::from_millis(if place / n == place % n { 0 } else { 10 })).collect();
        let matrix = DelayMatrix::new(names.clone(), delays).unwrap();
        let last = (n - 1, n - 2);
        let samples: Vec<Sample> = matrix
            .paths()
            .map(|(from, to)| {
                let taken = Delay::from_micros(if (from, to) == (0, 1) { 45_000 } else { 10_050 });
                let one_way = ((from, to) != last).then_some(taken);
                Sample { from, to, seq: 0, sent_ns: 0, one_way, rtt: None }
            })
            .collect();
        let tolerance = Tolerance { relative: 0.05, absolute: Time::from_millis(1) };
        let comparison = compare(&matrix, &samples, tolerance);
        let notes = vec!["note: 2 packets were dropped".to_owned()];
        let round = Round { number: 3, at: "2026-11-21T23:00:00Z".to_owned(), comparison, dropped: 2, notes };
        let mut screen = Screen::new("lab trade", names);
        screen.begin();
        screen.take(round);
        screen
    }

    fn drawn(screen: &Screen, (width, height): (u16, u16), colour: Colour) -> (String, Drawn, Terminal<TestBackend>) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut shown = Drawn::default();
        terminal.draw(|frame| shown = paint(screen, Duration::from_secs(4), colour, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        ((0..height).map(line).collect::<Vec<_>>().join("\n"), shown, terminal)
    }

    #[test]
    fn a_small_lab_is_shown_with_numbers() {
        insta::assert_snapshot!(drawn(&screen(4), (80, 14), Colour::None).0, @r#"
        lab trade · 4 nodes · round 3 of 2026-11-21T23:00:00Z, 4 s ago · waiting
        in all: 12 probes, 1 lost, 2 dropped by the back-ends, rounds outside: 1
                  n1       n2       n3       n4   worst, in ms expected     p50    error
        n1         ·     +999       +5       +5   !n4→n3           10.0 1/1 lost
        n2        +5        ·       +5       +5   !n1→n2           10.0   45.00   +35.00
        n3        +5       +5        ·       +5    n1→n3           10.0   10.05    +0.05
        n4        +5       +5        ?        ·    n1→n4           10.0   10.05    +0.05
        −100 to +100 % of allowed                  n2→n1           10.0   10.05    +0.05
                                                   n2→n3           10.0   10.05    +0.05
                                                   n2→n4           10.0   10.05    +0.05
                                                   n3→n1           10.0   10.05    +0.05
        note: 2 packets were dropped
        12 paths, |error| p50 0.05 ms, max 35 ms, 1 of 12 lost, 2 outside
        q quit  d delays  e errors  space pause  arrows/PgUp/PgDn scroll  z whole matrix
        "#);
    }

    #[test]
    fn names_take_the_room_that_there_is() {
        let mut screen = screen(3);
        screen.names[0] = "Frankfurt-am-Main".parse().unwrap();
        assert!(drawn(&screen, (80, 12), Colour::None).0.contains("!Frankfurt-am…"));
        assert!(drawn(&screen, (200, 12), Colour::None).0.contains("!Frankfurt-am-Main→n2   10.0   45.00   +35.00"));
    }

    #[test]
    fn delays_are_a_key_away() {
        let mut screen = screen(3);
        assert_eq!(screen.press(Key::Delays, 9), Effect::None);
        insta::assert_snapshot!(drawn(&screen, (80, 12), Colour::None).0, @r#"
        lab trade · 3 nodes · round 3 of 2026-11-21T23:00:00Z, 4 s ago · waiting
        in all: 6 probes, 1 lost, 2 dropped by the back-ends, rounds outside: 1
                   n1        n2        n3         worst, in ms expected     p50    error
        n1          ·        45        10         !n3→n2           10.0 1/1 lost
        n2         10         ·        10         !n1→n2           10.0   45.00   +35.00
        n3         10         ?         ·          n1→n3           10.0   10.05    +0.05
        0 to 45 ms                                 n2→n1           10.0   10.05    +0.05
                                                   n2→n3           10.0   10.05    +0.05
                                                   n3→n1           10.0   10.05    +0.05
        note: 2 packets were dropped
        6 paths, |error| p50 0.05 ms, max 35 ms, 1 of 6 lost, 2 outside
        q quit  d delays  e errors  space pause  arrows/PgUp/PgDn scroll  z whole matrix
        "#);
    }

    #[test]
    fn before_the_first_round_there_is_a_word_about_it() {
        let screen = Screen::new("lab trade", (1..=2).map(NodeName::numbered).collect());
        insta::assert_snapshot!(drawn(&screen, (80, 8), Colour::None).0, @r#"
        lab trade · 2 nodes · waiting
        in all: 0 probes, 0 lost, 0 dropped by the back-ends, rounds outside: 0

        the first round is being measured …


        q quit  d delays  e errors  space pause  arrows/PgUp/PgDn scroll  z whole matrix
        "#);
    }

    #[test]
    fn colours_are_those_of_the_terminal_and_outliers_stand_out() {
        for (colour, first) in [(Colour::TrueColour, Color::Rgb(172, 70, 6)), (Colour::Ansi256, Color::Indexed(130))] {
            let (text, _, terminal) = drawn(&screen(4), (80, 14), colour);
            let row = text.lines().position(|line| line.contains("n1 ") && line.contains("+999")).unwrap();
            let column = text.lines().nth(row).unwrap().chars().position(|letter| letter == '9').unwrap();
            let cell = &terminal.backend().buffer()[(u16::try_from(column).unwrap(), u16::try_from(row).unwrap())];
            assert_eq!(cell.bg, first);
            assert!(cell.modifier.contains(Modifier::BOLD));
        }
    }

    #[test]
    fn large_labs_are_averaged_and_scroll() {
        let mut screen = screen(100);
        let (text, shown, _) = drawn(&screen, (80, 24), Colour::None);
        assert!(text.contains("to → (6×6 paths a cell)") && text.contains("n1→n2"), "{text}");
        screen.press(Key::Scroll(1, 0), shown.rows);
        let (text, shown, _) = drawn(&screen, (80, 24), Colour::None);
        assert!(shown.corner == (0, 0) && !text.contains("a cell"), "{text}");
        for _ in 0..20 {
            screen.press(Key::Page(1), shown.rows);
        }
        let (text, shown, _) = drawn(&screen, (80, 24), Colour::None);
        assert!(shown.corner.0 + shown.rows == 100 && text.contains("n100"), "{text}");
        screen.settle(shown.corner);
        screen.press(Key::Scroll(-1, 1), shown.rows);
        assert_eq!(screen.corner, Some((shown.corner.0 - 1, 1)));
        screen.press(Key::Whole, shown.rows);
        assert_eq!(screen.corner, None);
    }

    #[test]
    fn pausing_and_quitting_are_told_outside() {
        let mut screen = screen(2);
        assert_eq!(
            [Key::Pause, Key::Pause, Key::Quit].map(|key| screen.press(key, 5)),
            [Effect::Pause(true), Effect::Pause(false), Effect::Quit]
        );
    }

    #[test]
    fn no_size_is_too_small_or_too_large() {
        for n in [2, 9, 30, 300] {
            for size in [(1, 1), (3, 40), (20, 5), (40, 10), (80, 24), (160, 50), (300, 100)] {
                for corner in [None, Some((n, n))] {
                    let mut screen = screen(n);
                    screen.corner = corner;
                    drawn(&screen, size, Colour::TrueColour);
                }
            }
        }
    }
}
