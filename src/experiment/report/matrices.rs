//! The delays of a run: heat maps of what was intended, and where a testbed measured, of what was measured and of the error.

use crate::matrix::DelayMatrix;
use crate::report::page::{Block, Cell, PageFigure, PageTable, Tone};
use crate::report::plot::heat_map;
use crate::report::{HeatMap, HeatMapKind, number};

/// A topology's delays.
#[derive(Debug, Clone)]
pub(super) struct Delays {
    /// Its name.
    pub(super) name: String,
    /// What was intended.
    pub(super) intended: DelayMatrix,
    /// What was measured, where somebody measured.
    pub(super) measured: Option<DelayMatrix>,
}

/// More topologies than this are folded away.
const SHOWN: usize = 1;

/// A table of all, and pictures; those of the first topology open, those of others folded.
pub(super) fn blocks(all: &[Delays]) -> Vec<Block> {
    let mut blocks = vec![Block::Table(table(all))];
    for (place, delays) in all.iter().enumerate() {
        let pictures = pictures(place, delays);
        if place < SHOWN {
            blocks.extend(pictures);
        } else {
            blocks.push(Block::Fold(format!("Delays of {}", delays.name), pictures));
        }
    }
    blocks
}

fn table(all: &[Delays]) -> PageTable {
    let rows = all.iter().map(|delays| {
        let nodes = delays.intended.len();
        let mut ms: Vec<f64> = off_diagonal(&delays.intended).collect();
        ms.sort_by(f64::total_cmp);
        let at = |share| {
            crate::report::statistics::quantile(&ms, share).map_or_else(|| "–".to_owned(), |ms| number(ms, 2, false))
        };
        let error = delays.measured.as_ref().map(|measured| {
            let errors =
                off_diagonal(measured).zip(off_diagonal(&delays.intended)).map(|(seen, meant)| (seen - meant).abs());
            let mut errors: Vec<f64> = errors.collect();
            errors.sort_by(f64::total_cmp);
            let median = crate::report::statistics::quantile(&errors, 0.5).unwrap_or(f64::NAN);
            let most = errors.last().copied().unwrap_or(f64::NAN);
            format!("{} / {}", number(median, 3, false), number(most, 3, false))
        });
        let error = error.unwrap_or_else(|| "not measured".to_owned());
        let mut row = vec![Cell::plain(&delays.name), Cell::new(nodes.to_string(), Tone::Number)];
        row.extend([at(0.0), at(0.5), at(1.0), error].map(|text| Cell::new(text, Tone::Number)));
        row
    });
    let rows = rows.collect();
    let head = ["topology", "nodes", "least (ms)", "median (ms)", "most (ms)", "error: median / most (ms)"];
    let caption = "One-way delays between different nodes".to_owned();
    PageTable { caption, head: head.map(str::to_owned).to_vec(), rows }
}

fn off_diagonal(matrix: &DelayMatrix) -> impl Iterator<Item = f64> {
    let nodes = matrix.len();
    let delays = matrix.delays().iter().enumerate().filter(move |(place, _)| place / nodes != place % nodes);
    delays.map(|(_, delay)| delay.as_millis_f64())
}

fn pictures(place: usize, delays: &Delays) -> Vec<Block> {
    let figure = |name: &str, caption: String, map: &HeatMap| {
        Block::Figure(PageFigure { name: format!("{name}-{}", place + 1), caption, svg: heat_map(map) })
    };
    let name = &delays.name;
    if delays.intended.len() < 2 {
        return Vec::new();
    }
    let intended = HeatMap::of_matrix("Intended one-way delay", name, &delays.intended);
    let caption = format!("Intended one-way delays of {name}: from the node at the left to the node below.");
    let Some(measured) = delays.measured.as_ref().filter(|other| other.names() == delays.intended.names()) else {
        return vec![figure("delays", caption, &intended)];
    };
    let (intended, seen) = intended.on_one_scale(HeatMap::of_matrix("Measured one-way delay", name, measured));
    let mut pictures = vec![figure("delays", caption, &intended)];
    pictures.push(figure("measured", format!("Measured one-way delays of {name}, on the same scale."), &seen));
    let difference = measured.delays().iter().zip(delays.intended.delays());
    let errors = difference.map(|(seen, meant)| Some(seen.as_millis_f64() - meant.as_millis_f64())).collect();
    let (title, names) = (("Error: measured − intended", name.as_str()), delays.intended.names());
    if let Ok(map) = HeatMap::new(title, names, errors, "ms", HeatMapKind::Diverging) {
        pictures.push(figure("error", format!("Measured minus intended one-way delays of {name}."), &map));
    }
    pictures
}
