//! The timeline of a command line: a schedule, a trace, or matrices at a fixed pace.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::matrix::SplitRtt;
use crate::cli::operate::in_order;
use crate::intended::is_impairment_file;
use crate::timeline::{Pace, Repeat, Schedule, Timeline, Trace, parse_moment, parse_schedule, parse_trace};
use crate::topology::NodeName;
use crate::units::Span;

/// What to replay.
#[derive(Debug, Clone, Args)]
pub(super) struct TimelineArgs {
    /// Schedule (YAML) or trace (CSV: time,from,to,delay…); with --every, matrices or impairment files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Switch to the next of the matrices every so long, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    every: Option<Span>,
    /// How often all is passed through: a number, or `forever`
    #[arg(long, value_name = "N")]
    repeat: Option<Repeat>,
    /// When a pass of a trace or of a schedule with single instants ends, for --repeat
    #[arg(long, value_name = "TIME", value_parser = parse_moment, conflicts_with = "every")]
    length: Option<Span>,
    /// When the replay ends [default: after the last pass]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Span>,
    #[command(flatten)]
    split: SplitRtt,
}

/// A timeline whose matrices are read, for nodes that may still be said.
pub(super) struct Loaded {
    source: Source,
    pace: Pace,
}

enum Source {
    /// Instants, what the steps are called, and their networks.
    Matrices(Vec<(Span, String, crate::intended::Intended)>),
    Trace(Trace),
}

impl TimelineArgs {
    /// Reads everything.
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        let (source, pace) = match (self.every, self.files.as_slice()) {
            (Some(every), files) => {
                let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                let schedule = Schedule::every(every, &names, Repeat::default(), None).context("--every")?;
                (self.matrices(&schedule, Path::new(""))?, schedule.pace)
            }
            (None, [file]) => self.file(file)?,
            (None, _) => bail!("say how long each matrix lasts: --every, such as --every 10m"),
        };
        let pace = Pace {
            length: self.length.or(pace.length),
            repeat: self.repeat.unwrap_or(pace.repeat),
            until: self.until.or(pace.until),
        };
        Ok(Loaded { source, pace })
    }

    fn file(&self, file: &Path) -> anyhow::Result<(Source, Pace)> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
        if is_impairment_file(file) {
            let schedule = parse_schedule(&name, &text)?;
            let folder = file.parent().unwrap_or(Path::new(""));
            return Ok((self.matrices(&schedule, folder)?, schedule.pace));
        }
        let trace = parse_trace(&name, &text);
        let trace = if names_a_time(&text) {
            trace?
        } else {
            trace.context("it is no trace; for matrices say how long each lasts: --every, such as --every 10m")?
        };
        Ok((Source::Trace(trace), Pace::default()))
    }

    fn matrices(&self, schedule: &Schedule, folder: &Path) -> anyhow::Result<Source> {
        let read = |step: &crate::timeline::ScheduleStep| {
            let intended = self.split.intended(&folder.join(&step.matrix))?;
            Ok((step.at, short(&step.matrix), intended))
        };
        Ok(Source::Matrices(schedule.steps.iter().map(read).collect::<anyhow::Result<_>>()?))
    }

    /// What a lab or a run made of it is called.
    pub(super) fn stem(&self) -> String {
        let stem = self.files.first().and_then(|file| file.file_stem()).unwrap_or_default().to_string_lossy();
        let fitting = stem.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' });
        let name: String = fitting.take(48).collect();
        let trimmed = name.trim_start_matches(['.', '-']);
        if trimmed.is_empty() { "replay".to_owned() } else { trimmed.to_owned() }
    }

    /// Where it comes from, for records.
    pub(super) fn place(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

/// A file without its folders.
fn short(file: &str) -> String {
    Path::new(file).file_name().map_or_else(|| file.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Whether the first line that is no comment names a column of times, as a trace's does.
fn names_a_time(text: &str) -> bool {
    let first = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty()).unwrap_or_default();
    first.to_ascii_lowercase().split([',', ';', '\t']).any(|field| field.trim().trim_matches('"').starts_with("time"))
}

impl Loaded {
    /// The nodes that it speaks of.
    pub(super) fn names(&self) -> Vec<NodeName> {
        match &self.source {
            Source::Trace(trace) => trace.names(),
            Source::Matrices(steps) => {
                steps.first().map_or(vec![], |(.., intended)| intended.matrix().names().to_vec())
            }
        }
    }

    /// For these nodes; `whose` they are, in words.
    pub(super) fn timeline(self, names: &[NodeName], whose: &str) -> anyhow::Result<Timeline> {
        let timeline = match self.source {
            Source::Trace(trace) => Timeline::of_trace(names.to_vec(), &trace)?,
            Source::Matrices(steps) => {
                let networks = steps.into_iter().map(|(at, place, intended)| {
                    let intended = in_order(names, whose, intended, &place)?;
                    Ok((at, place, intended.network()))
                });
                Timeline::of_intents(names.to_vec(), networks.collect::<anyhow::Result<Vec<_>>>()?)?
            }
        };
        Ok(timeline.paced(self.pace)?)
    }
}
