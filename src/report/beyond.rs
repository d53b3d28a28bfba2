//! Losses, copies and jitter as text: path by path in a table, and all together in lines.

use std::fmt::Write;

use super::heat::thousands;
use super::table::{align, empty_table, shortest, width};
use crate::measure::{Beyond, BeyondPath, JitterFound, Judgement, ShareFound};
use crate::topology::NodeName;

/// The header of the table.
const HEADER: [&str; 8] = ["from", "to", "what", "intended", "measured", "95 % interval", "n", "verdict"];

/// One line for each thing that a path is to do beyond delay, with what was measured of it; `None` when there is none.
///
/// With more than `most` lines only the worst are shown: outside before not judged before inside. Where a line has fewer than
/// `columns` letters, the interval is left out.
pub fn beyond_table(names: &[NodeName], beyond: &Beyond, most: usize, columns: usize) -> Option<String> {
    let mut rows: Vec<(u8, [String; 8])> = beyond.paths.iter().flat_map(|path| path_rows(names, path)).collect();
    if rows.is_empty() {
        return None;
    }
    if rows.len() > most {
        rows.sort_by_key(|(rank, _)| *rank);
    }
    let (shown, rest) = rows.split_at(rows.len().min(most));
    let table = |dropped: &[usize]| {
        let kept: Vec<usize> = (0..HEADER.len()).filter(|column| !dropped.contains(column)).collect();
        let mut table = empty_table();
        table.set_header(kept.iter().map(|column| HEADER[*column]));
        for (_, row) in shown {
            table.add_row(kept.iter().map(|column| row[*column].as_str()));
        }
        align(&mut table, |place| (3..=6).contains(&kept[place]));
        table.trim_fmt()
    };
    let whole = table(&[]);
    let mut text = if width(&whole) <= columns { whole } else { table(&[5]) } + "\n";
    if !rest.is_empty() {
        let outside = rest.iter().filter(|(rank, _)| *rank == 0).count();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "… {} more, {} of them outside", thousands(rest.len()), thousands(outside));
    }
    Some(text)
}

/// One line for all losses together, one for all copies, one for jitter; none where nothing is asked for.
pub fn beyond_lines(beyond: &Beyond) -> Vec<String> {
    let share = |what: &str, found: Option<ShareFound>| {
        let found = found?;
        let (low, high) = (percent(found.low), percent(found.high));
        Some(format!(
            "{what}: {} % of {} probes, 95 % interval {low}–{high} %, intended {}: {}",
            percent(found.count as f64 / found.of as f64),
            count(found.of),
            intended(&found),
            in_words(found.judgement)
        ))
    };
    let jitters: Vec<&JitterFound> = beyond.paths.iter().filter_map(|path| path.jitter.as_ref()).collect();
    let how_many = |wanted: fn(&Judgement) -> bool| jitters.iter().filter(|one| wanted(&one.judgement)).count();
    let jitter = (!jitters.is_empty()).then(|| {
        let parts = [
            (how_many(|one| *one == Judgement::Inside), "as wide as intended or wider"),
            (how_many(|one| *one == Judgement::Outside), "narrower than intended"),
            (how_many(|one| matches!(one, Judgement::NotJudged { .. })), "not judged: n too small"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        format!("jitter: of {} paths {}", jitters.len(), parts.collect::<Vec<_>>().join(", "))
    });
    [share("loss", beyond.lost), share("duplicates", beyond.doubled), jitter].into_iter().flatten().collect()
}

fn path_rows(names: &[NodeName], path: &BeyondPath) -> Vec<(u8, [String; 8])> {
    let name = |node: usize| names.get(node).map_or_else(|| format!("#{node}"), ToString::to_string);
    let row = |what: &str, judgement, cells: [String; 4]| {
        let [intended, measured, interval, n] = cells;
        let cells = [name(path.from), name(path.to), what.to_owned(), intended, measured, interval, n];
        let mut row: [String; 8] = std::array::from_fn(|place| cells.get(place).cloned().unwrap_or_default());
        row[7] = in_words(judgement);
        (rank(judgement), row)
    };
    let share = |what, found: ShareFound| {
        let interval = format!("{}–{} %", percent(found.low), percent(found.high));
        let measured = format!("{} %", percent(found.count as f64 / found.of as f64));
        row(what, found.judgement, [intended(&found), measured, interval, count(found.of)])
    };
    let jitter = |found: JitterFound| {
        let ms = |span: crate::units::Span| shortest(span.as_millis_f64());
        let interval = format!("{}–{} ms", ms(found.low), ms(found.high));
        let (intended, measured) = (format!("{} ms", ms(found.intended)), format!("{} ms", ms(found.measured)));
        row("jitter σ", found.judgement, [intended, measured, interval, count(found.of)])
    };
    let shares = [("loss", path.lost), ("duplicates", path.doubled)];
    let shares = shares.into_iter().filter_map(|(what, found)| Some(share(what, found?)));
    shares.chain(path.jitter.map(jitter)).collect()
}

fn rank(judgement: Judgement) -> u8 {
    match judgement {
        Judgement::Outside => 0,
        Judgement::NotJudged { .. } => 1,
        Judgement::Inside => 2,
    }
}

fn in_words(judgement: Judgement) -> String {
    match judgement {
        Judgement::Inside => "inside".to_owned(),
        Judgement::Outside => "OUTSIDE".to_owned(),
        Judgement::NotJudged { needed } => format!("not judged: n below {}", count(needed)),
    }
}

/// `5 %`, or `5–5.1 %` where packets with a flipped bit may or may not count.
fn intended(found: &ShareFound) -> String {
    let (least, most) = (percent(found.intended), percent(found.intended_most));
    if least == most { format!("{least} %") } else { format!("{least}–{most} %") }
}

/// In per cent, with at most three decimals.
fn percent(share: f64) -> String {
    shortest(share * 100.0)
}

fn count(count: u64) -> String {
    thousands(usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::small_run::numbered;
    use crate::units::Span;

    fn found(count: u64, of: u64, judgement: Judgement) -> ShareFound {
        ShareFound { count, of, intended: 0.05, intended_most: 0.05, low: 0.0391, high: 0.0584, judgement }
    }

    fn three() -> Beyond {
        let (few, bad) = (Judgement::NotJudged { needed: 1_216 }, Judgement::Outside);
        let jitter = JitterFound {
            of: 1_900,
            intended: Span::from_micros(5_774),
            measured: Span::from_micros(5_801),
            low: Span::from_micros(5_600),
            high: Span::from_micros(6_000),
            judgement: Judgement::Inside,
        };
        let nothing = BeyondPath { from: 0, to: 1, lost: None, doubled: None, jitter: None };
        let damaged = ShareFound { intended_most: 0.06, ..found(10, 50, few) };
        Beyond {
            paths: vec![
                BeyondPath { lost: Some(found(97, 2_000, Judgement::Inside)), jitter: Some(jitter), ..nothing },
                BeyondPath { from: 1, to: 2, lost: Some(damaged), ..nothing },
                BeyondPath { from: 2, to: 0, doubled: Some(found(0, 2_000, bad)), ..nothing },
            ],
            lost: Some(found(107, 2_050, Judgement::Inside)),
            doubled: Some(found(0, 2_000, bad)),
        }
    }

    #[test]
    fn every_finding_has_its_line() {
        insta::assert_snapshot!(beyond_table(&numbered(3), &three(), 10, 100).unwrap(), @r#"
        from  to  what        intended  measured  95 % interval      n  verdict
        ──────────────────────────────────────────────────────────────────────────────────────────
        n1    n2  loss             5 %    4.85 %    3.91–5.84 %  2,000  inside
        n1    n2  jitter σ    5.774 ms  5.801 ms       5.6–6 ms  1,900  inside
        n2    n3  loss           5–6 %      20 %    3.91–5.84 %     50  not judged: n below 1,216
        n3    n1  duplicates       5 %       0 %    3.91–5.84 %  2,000  OUTSIDE
        "#);
        let few = beyond_table(&numbered(3), &three(), 2, 70).unwrap();
        let lines: Vec<&str> = few.lines().collect();
        assert!(lines[2].ends_with("OUTSIDE") && !few.contains("interval"), "{few}");
        assert_eq!(lines[4], "… 2 more, 0 of them outside");
        assert_eq!(beyond_table(&numbered(3), &Beyond::default(), 10, 100), None);
    }

    #[test]
    fn sums_are_told_in_words() {
        insta::assert_snapshot!(beyond_lines(&three()).join("\n"), @r#"
        loss: 5.22 % of 2,050 probes, 95 % interval 3.91–5.84 %, intended 5 %: inside
        duplicates: 0 % of 2,000 probes, 95 % interval 3.91–5.84 %, intended 5 %: OUTSIDE
        jitter: of 1 paths 1 as wide as intended or wider
        "#);
        assert!(beyond_lines(&Beyond::default()).is_empty());
    }
}
