//! Processor and memory of each proxy at the rate of paper 004's experiment: as rows, and over time as CSV and as pictures.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

use super::course::{Look, Slices};
use super::peers::Peer;
use crate::cli::bench::figures::{Relation, Row, Series, Target, Unit};
use crate::report::plot::{Axis, Bound, Line, LinePoint, Lines, lines, png};

/// The rate of the paper's footprint: four clients with ten requests per second each.
pub(super) const RATE: u32 = 40;

/// Its clients.
pub(super) const CLIENTS: u32 = 4;

/// The instances of its setting.
pub(super) const INSTANCES: usize = 10;

/// What the paper says of its own proxy: of a core, and megabytes (section VII-E).
const PAPER: (f64, f64) = (0.13, 60.0);

/// The name of this measurement.
pub(super) const NAME: &str = "footprint";

/// Memory and processor beside nginx, and whether all requests came where they were to go.
pub(super) fn rows(slices: &Slices) -> Vec<Row> {
    let what = |what: &str| format!("{what} at {RATE} requests/s");
    let series = |peer, unit, of: fn(&super::course::Slice) -> f64| Series::new(unit, slices.of(peer).iter().map(of));
    let resident = |peer| series(peer, Unit::Megabytes, |one| one.resident_mb);
    let share = |peer| series(peer, Unit::CpuPercent, |one| one.core_share * 100.0);
    let beside = |what: &str, peer: Peer| format!("{what} at {RATE} requests/s, beside {}", peer.name());
    let mut rows = vec![
        Row::new(NAME, beside("resident", Peer::Nginx), resident(Peer::Longhaul))
            .beside(Relation::Ratio, resident(Peer::Nginx))
            .reaching(Target::at_most(15.0)),
        Row::new(NAME, beside("of a core", Peer::Nginx), share(Peer::Longhaul))
            .beside(Relation::Ratio, share(Peer::Nginx))
            .reaching(Target::at_most(2.0)),
    ];
    if !slices.of(Peer::Haproxy).is_empty() {
        let row = Row::new(NAME, beside("resident", Peer::Haproxy), resident(Peer::Longhaul));
        rows.push(row.beside(Relation::Ratio, resident(Peer::Haproxy)));
        let row = Row::new(NAME, beside("of a core", Peer::Haproxy), share(Peer::Longhaul));
        rows.push(row.beside(Relation::Ratio, share(Peer::Haproxy)));
    }
    let sent = series(Peer::Longhaul, Unit::Requests, |one| one.requests as f64);
    let counted = series(Peer::Longhaul, Unit::Requests, |one| one.counted as f64);
    rows.push(Row::new(NAME, what("sent, beside counted by services,"), sent).beside(Relation::Ratio, counted));
    rows
}

/// The proxies, in the order of their colours.
fn proxies(slices: &Slices) -> impl Iterator<Item = (usize, Peer)> {
    let proxies = [Peer::Longhaul, Peer::Nginx, Peer::Haproxy].into_iter().enumerate();
    proxies.filter(|(_, peer)| !slices.of(*peer).is_empty())
}

/// Writes `footprint.csv`, and processor and memory over time as SVG and PNG, into a folder.
pub(super) fn write(folder: &Path, slices: &Slices, policy: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
    };
    put("footprint.csv", csv(slices).as_bytes())?;
    let core =
        picture(slices, policy, ("Processor time of a proxy", "of a core (logarithmic)"), PAPER.0, |look| look.core);
    let memory =
        picture(slices, policy, ("Memory of a proxy", "resident (MB, logarithmic)"), PAPER.1, |look| look.resident_mb);
    for (name, picture) in [("footprint-core", core), ("footprint-memory", memory)] {
        let svg = lines(&picture);
        put(&format!("{name}.svg"), svg.as_bytes())?;
        put(&format!("{name}.png"), &png(&svg, 2.0)?)?;
    }
    Ok(())
}

fn csv(slices: &Slices) -> String {
    let mut text = String::from("program,repetition,at_s,core,resident_mb\n");
    for (_, peer) in proxies(slices) {
        for (repetition, slice) in slices.of(peer).iter().enumerate() {
            for Look { at_s, core, resident_mb } in &slice.looks {
                // Writing to a string cannot fail.
                let name = peer.name();
                let _ = writeln!(text, "{name},{},{at_s:.3},{core:.6},{resident_mb:.3}", repetition + 1);
            }
        }
    }
    text
}

fn picture(slices: &Slices, policy: &str, (title, unit): (&str, &str), paper: f64, of: impl Fn(&Look) -> f64) -> Lines {
    let line = |(category, peer): (usize, Peer)| {
        let runs = slices.of(peer);
        let looks = runs.iter().map(|run| run.looks.len()).min().unwrap_or(0);
        let point = |look: usize| {
            let mut values: Vec<f64> = runs.iter().map(|run| of(&run.looks[look])).collect();
            values.sort_by(f64::total_cmp);
            let middle = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
            LinePoint::upright(runs[0].looks[look].at_s, middle, (values[0], values[values.len() - 1]))
        };
        Line { name: peer.name().to_owned(), category, points: (0..looks).map(point).collect() }
    };
    let drawn: Vec<Line> = proxies(slices).map(line).collect();
    let all = || drawn.iter().flat_map(|line| &line.points);
    let runs = slices.of(Peer::Longhaul).len();
    let over = match runs {
        1 => "one run".to_owned(),
        _ => format!("line: median of {runs} runs, band: least to most"),
    };
    Lines {
        title: format!("{title} at {RATE} requests/s"),
        subtitle: vec![
            format!("{CLIENTS} clients, Poisson arrivals, {INSTANCES} instances; longhaul with {policy}"),
            over,
        ],
        x: Axis::over("time since the first request (s)", std::iter::once(0.0).chain(all().map(|point| point.at.0))),
        y: Axis::log(unit, all().flat_map(|point| [point.edges.0.1, point.edges.1.1]).chain([paper])),
        bounds: vec![Bound::Level(paper, format!("paper 004, its own proxy: {paper}"))],
        lines: drawn,
        events: Vec::new(),
        signs: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::proxy::course::Slice;

    fn slices() -> Slices {
        let look = |at_s: f64, core: f64| Look { at_s, core, resident_mb: 6.0 };
        let slice = |core: f64| Slice {
            core_share: core,
            resident_mb: 6.0,
            requests: 80,
            counted: 80,
            looks: vec![look(1.0, core), look(2.0, 2.0 * core)],
            ..Slice::default()
        };
        let mut slices = Slices::default();
        for (peer, core) in [(Peer::Longhaul, 0.005), (Peer::Longhaul, 0.007), (Peer::Nginx, 0.004)] {
            slices.push(peer, slice(core));
        }
        slices
    }

    #[test]
    fn the_csv_has_every_look() {
        let expected = "program,repetition,at_s,core,resident_mb\n\
            longhaul,1,1.000,0.005000,6.000\nlonghaul,1,2.000,0.010000,6.000\n\
            longhaul,2,1.000,0.007000,6.000\nlonghaul,2,2.000,0.014000,6.000\n\
            nginx,1,1.000,0.004000,6.000\nnginx,1,2.000,0.008000,6.000\n";
        assert_eq!(csv(&slices()), expected);
    }

    #[test]
    fn lines_are_medians_with_the_ends_of_all_runs() {
        let picture =
            picture(&slices(), "qedgeproxy", ("Processor time of a proxy", "of a core"), 0.13, |look| look.core);
        let names: Vec<&str> = picture.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["longhaul", "nginx"]);
        let point = picture.lines[0].points[1];
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(point.at.1, 0.012) && near(point.edges.0.1, 0.010) && near(point.edges.1.1, 0.014), "{point:?}");
        assert!(picture.y.ends.1 > 0.13, "the paper's number is within the picture");
    }

    #[test]
    fn rows_stand_beside_each_proxy_that_is_there() {
        let rows = rows(&slices());
        let whats: Vec<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        let expected = [
            "resident at 40 requests/s, beside nginx",
            "of a core at 40 requests/s, beside nginx",
            "sent, beside counted by services, at 40 requests/s",
        ];
        assert_eq!(whats, expected);
    }
}
