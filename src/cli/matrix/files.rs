//! Where matrices come from and go to: files, standard input and output, and their formats.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::foreign;
use crate::intended::{Intended, SideFiles, is_impairment_file};
use crate::matrix::csv::{CsvOptions, Delimiter, to_csv};
use crate::matrix::{self, DelayMatrix, DelayUnit, ReadError, ReadOptions, RttSplit};

/// A delay matrix on a command line.
#[derive(Debug, Clone, Args)]
pub struct MatrixSource {
    /// Delay matrix: a CSV, JSON, GML or GraphML file, - for standard input, or an impairment file (.yaml)
    #[arg(value_name = "MATRIX")]
    pub matrix: PathBuf,
    #[command(flatten)]
    split: SplitRtt,
}

impl MatrixSource {
    /// Reads the matrix; of an impairment file the delays.
    pub fn load(&self) -> anyhow::Result<DelayMatrix> {
        if is_impairment_file(&self.matrix) {
            return Ok(self.intended(&SideFiles::default())?.matrix().clone());
        }
        self.split.load(&self.matrix)
    }

    /// Reads a matrix or an impairment file, with tables beside it.
    pub fn intended(&self, beside: &SideFiles) -> anyhow::Result<Intended> {
        Ok(Intended::load_beside(&self.matrix, beside, self.split.options(), bytes_of)?)
    }

    /// What a lab or a run made of this matrix is called: the file's name without its ending, as far as names may have it.
    pub fn stem(&self) -> String {
        let stem = self.matrix.file_stem().unwrap_or_default().to_string_lossy();
        let fitting = stem.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' });
        let name: String = fitting.take(48).collect();
        let trimmed = name.trim_start_matches(['.', '-']);
        if trimmed.is_empty() { "lab".to_owned() } else { trimmed.to_owned() }
    }

    /// Where the matrix comes from, for records.
    pub fn place(&self) -> String {
        self.matrix.display().to_string()
    }
}

/// How a command reads tables of round-trip times.
#[derive(Debug, Clone, Args)]
pub struct SplitRtt {
    /// How to split a table of round-trip times (`# kind: rtt`) into one-way delays
    #[arg(long, value_name = "HOW")]
    split_rtt: Option<SplitArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SplitArg {
    /// Each direction gets half of its own cell
    Halves,
}

impl SplitRtt {
    /// Reads a matrix from a file, or from standard input for `-`.
    pub fn load(&self, path: &Path) -> anyhow::Result<DelayMatrix> {
        read(path, self.options())
    }

    /// Reads a matrix or an impairment file.
    pub fn intended(&self, path: &Path) -> anyhow::Result<Intended> {
        Ok(Intended::load(path, self.options(), bytes_of)?)
    }

    /// What the reader is told.
    pub(super) fn options(&self) -> ReadOptions {
        let split_rtt = self.split_rtt.map(|SplitArg::Halves| RttSplit::Halves);
        ReadOptions { split_rtt, ..ReadOptions::default() }
    }

    /// The flag as it was given, with a blank before it, for the command line that a made matrix carries.
    pub(super) fn as_flag(&self) -> &'static str {
        if self.split_rtt.is_some() { " --split-rtt halves" } else { "" }
    }
}

/// Reads a matrix from a file, or from standard input for `-`.
pub(super) fn read(path: &Path, options: ReadOptions) -> anyhow::Result<DelayMatrix> {
    if path == Path::new("-") {
        return Ok(matrix::read_from("<stdin>", std::io::stdin().lock(), options)?);
    }
    Ok(matrix::read(path, options)?)
}

/// The bytes of a file, or of standard input for `-`.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, ReadError> {
    if path == Path::new("-") {
        matrix::read_bytes_from("<stdin>", std::io::stdin().lock())
    } else {
        matrix::read_bytes(path)
    }
}

/// Where a matrix is written, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// File to write, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Format of the file [default: json for FILE.json, gml for FILE.gml, graphml for
    /// FILE.graphml, otherwise csv]
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,
    /// Node whose row is written, for --to tcconfig
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// List of `name,address` lines [default: the addresses of a lab]
    #[arg(long, value_name = "FILE")]
    pub(super) addresses: Option<PathBuf>,
    /// Network interface of the row, for --to tcconfig
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    device: String,
    /// Unit of the numbers in CSV: ms, us, s or ns
    #[arg(long, default_value = "ms")]
    unit: DelayUnit,
    /// Leave the names out of CSV
    #[arg(long)]
    no_names: bool,
    /// What separates the fields in CSV
    #[arg(long, value_name = "WHAT", default_value = "comma")]
    delimiter: DelimiterArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated values with `#` lines
    Csv,
    /// One object: `{"names": …, "unit": "ns", "delays_ns": …}`
    Json,
    /// A complete directed graph with `latency` on its edges
    Gml,
    /// The same as XML
    Graphml,
    /// JSON of tcconfig: the row of the node that --node names
    Tcconfig,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DelimiterArg {
    Comma,
    Semicolon,
    Tab,
}

impl Target {
    /// Writes the matrix; `out` is standard output.
    pub(super) fn write(&self, matrix: &DelayMatrix, out: &mut dyn Write) -> anyhow::Result<()> {
        let text = match self.format() {
            Format::Csv => to_csv(matrix, self.csv_options()),
            Format::Json => matrix::to_json(matrix),
            Format::Gml => matrix::to_gml(matrix),
            Format::Graphml => matrix::to_graphml(matrix),
            Format::Tcconfig => foreign::row(matrix, self.node.as_deref(), self.addresses.as_deref(), &self.device)?,
        };
        if self.output == Path::new("-") {
            return Ok(out.write_all(text.as_bytes())?);
        }
        std::fs::write(&self.output, text).with_context(|| format!("{} cannot be written", self.output.display()))
    }

    fn format(&self) -> Format {
        let by_name = match self.output.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("gml") => Format::Gml,
            Some("graphml") => Format::Graphml,
            _ => Format::Csv,
        };
        self.to.unwrap_or(by_name)
    }

    fn csv_options(&self) -> CsvOptions {
        let delimiter = match self.delimiter {
            DelimiterArg::Comma => Delimiter::Comma,
            DelimiterArg::Semicolon => Delimiter::Semicolon,
            DelimiterArg::Tab => Delimiter::Tab,
        };
        CsvOptions { unit: self.unit, names: !self.no_names, delimiter }
    }
}
