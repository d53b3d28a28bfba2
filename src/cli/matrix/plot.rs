//! `longhaul matrix plot`: a heat map as SVG or PNG.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::files::MatrixSource;
use crate::report::HeatMap;
use crate::report::plot::{heat_map, png};

/// Draw a delay matrix as a heat map into an SVG or PNG file.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix plot matrices/trade.csv --output trade.svg
  longhaul matrix plot matrices/trade.csv --output trade.png --title 'Table I'")]
pub(super) struct PlotArgs {
    #[command(flatten)]
    source: MatrixSource,
    /// File to write; its ending, .svg or .png, says the format
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Title of the picture
    #[arg(long, default_value = "One-way delay")]
    title: String,
    /// Pixels of a PNG per unit of the picture, which is about 820 wide
    #[arg(long, value_name = "FACTOR", default_value_t = 2.0)]
    scale: f32,
}

/// Runs `longhaul matrix plot`.
pub(super) fn run(args: &PlotArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let matrix = args.source.load()?;
    let svg = heat_map(&HeatMap::of_matrix(&args.title, &args.source.stem(), &matrix));
    let ending = args.output.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let bytes = match ending.as_deref() {
        Some("svg") => svg.into_bytes(),
        Some("png") => png(&svg, args.scale)?,
        _ => anyhow::bail!("--output {}: name a file that ends in .svg or .png", args.output.display()),
    };
    std::fs::write(&args.output, bytes).with_context(|| format!("write {}", args.output.display()))?;
    writeln!(out, "{}: {} nodes", args.output.display(), matrix.len())?;
    Ok(ExitCode::SUCCESS)
}
