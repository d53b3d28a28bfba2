//! `longhaul matrix show`: a heat map in the terminal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::files::MatrixSource;
use crate::cli::terminal::columns;
use crate::intended::SideFiles;
use crate::report::HeatMap;
use crate::report::terminal::{Colour, heat_map};

/// Draw a delay matrix as a heat map in the terminal, with what paths do beyond delay.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  longhaul matrix show matrices/trade.csv
  longhaul matrix show matrices/europe-30.csv --width 160
  longhaul matrix show net.yaml
  longhaul matrix show matrices/trade.csv --colour none > map.txt")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    source: MatrixSource,
    /// Width of the picture in letters [default: the terminal's width, 100 elsewhere]
    #[arg(long, value_name = "LETTERS")]
    width: Option<usize>,
    /// Colours that the terminal can show
    #[arg(long, alias = "color", value_enum, default_value_t = ColourArg::Auto)]
    colour: ColourArg,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ColourArg {
    /// What the terminal says it can; none in a pipe, and none when NO_COLOR is set
    Auto,
    /// No colours: digits stand for shades
    None,
    /// 256 colours
    Ansi256,
    /// 24-bit colours
    True,
}

/// Runs `longhaul matrix show`.
pub(super) fn run(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let intended = args.source.intended(&SideFiles::default())?;
    let matrix = intended.matrix();
    let map = HeatMap::of_matrix(&format!("One-way delay: {}", args.source.stem()), "", matrix);
    let width = args.width.or_else(|| columns(std::io::stdout())).unwrap_or(100);
    write!(out, "{}", heat_map(&map, width, colour(args.colour)))?;
    if let Some(beyond) = intended.beyond_delay() {
        write!(out, "\nbeyond delay: {beyond}\n{}", super::resolved::paths(&intended))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn colour(asked: ColourArg) -> Colour {
    match asked {
        ColourArg::None => Colour::None,
        ColourArg::Ansi256 => Colour::Ansi256,
        ColourArg::True => Colour::TrueColour,
        ColourArg::Auto => terminal_colour(),
    }
}

/// What the terminal on standard output says that it can show.
pub(crate) fn terminal_colour() -> Colour {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if !std::io::stdout().is_terminal() || !variable("NO_COLOR").is_empty() || variable("TERM") == "dumb" {
        Colour::None
    } else if ["truecolor", "24bit"].contains(&variable("COLORTERM").as_str()) {
        Colour::TrueColour
    } else {
        Colour::Ansi256
    }
}
