//! Distributions from files: tables of quantiles as `tc` has them, and measured delays.

use std::collections::BTreeMap;

use super::document::{Shape, ShapeFile};
use super::error::{FileProblem, IntendedError};
use crate::matrix::DelayUnit;
use crate::shaping::{Distribution, OwnTable};
use crate::units::{Delay, Span, scaled_decimal};
use crate::yaml::Spot;

/// The files that distributions are made of.
#[derive(Debug, Default)]
pub(super) struct Shapes(BTreeMap<ShapeFile, Numbers>);

/// What a file has, and what errors call it.
#[derive(Debug)]
struct Numbers {
    file: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Table(OwnTable),
    /// In nanoseconds.
    Samples(Vec<f64>),
}

/// A distribution, and the jitter that it brings along.
pub(super) type Prepared = (Distribution, Option<Span>);

impl Shapes {
    /// Takes in the bytes of a file, which errors call `file`.
    pub(super) fn add(&mut self, shape: &ShapeFile, file: &str, bytes: &[u8]) -> Result<(), IntendedError> {
        let at = |spot, problem| IntendedError::new(file, spot, problem);
        let text = std::str::from_utf8(bytes).map_err(|_| at(Spot::File, FileProblem::NoText))?;
        let content = match shape {
            ShapeFile::Table(path) => {
                let entries = entries(text).map_err(|(line, problem)| at(Spot::Line(line), problem))?;
                let table = OwnTable::new(&path.display().to_string(), entries);
                Content::Table(table.map_err(|error| at(Spot::File, error.into()))?)
            }
            ShapeFile::Samples(_) => {
                Content::Samples(samples(text).map_err(|(line, problem)| at(Spot::Line(line), problem))?)
            }
        };
        self.0.insert(shape.clone(), Numbers { file: file.to_owned(), content });
        Ok(())
    }

    /// Whether a file has been taken in.
    pub(super) fn has(&self, shape: &ShapeFile) -> bool {
        self.0.contains_key(shape)
    }

    /// The distribution of a rule that has this jitter or none.
    pub(super) fn prepared(&self, shape: &Shape, jitter: Option<Span>) -> Result<Option<Prepared>, IntendedError> {
        let file = match shape {
            Shape::Named(distribution) => return Ok(Some((*distribution, None))),
            Shape::File(file) => file,
        };
        let (ShapeFile::Table(path) | ShapeFile::Samples(path)) = file;
        let Some(numbers) = self.0.get(file) else { return Ok(None) };
        match &numbers.content {
            Content::Table(table) => Ok(Some((Distribution::Own(*table), None))),
            Content::Samples(samples) => {
                let made = OwnTable::of_samples(&path.display().to_string(), samples, jitter);
                let (table, span) =
                    made.map_err(|error| IntendedError::new(&numbers.file, Spot::File, error.into()))?;
                Ok(Some((Distribution::Own(table), Some(span))))
            }
        }
    }
}

/// Lines of a text with their numbers, without comments.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).map(|(number, line)| (number, line.split('#').next().unwrap_or_default().trim()))
}

/// Whole numbers between blanks.
fn entries(text: &str) -> Result<Vec<i16>, (u64, FileProblem)> {
    let words = lines(text).flat_map(|(number, line)| line.split_whitespace().map(move |word| (number, word)));
    let entry = |(number, word): (u64, &str)| word.parse().map_err(|_| (number, FileProblem::Entry(shortened(word))));
    words.map(entry).collect()
}

/// One delay a line, in nanoseconds; `# unit: us` says what plain numbers mean.
fn samples(text: &str) -> Result<Vec<f64>, (u64, FileProblem)> {
    let unit = |line: &str| -> Option<DelayUnit> {
        let (key, value) = line.strip_prefix('#')?.split_once(':')?;
        (key.trim() == "unit").then(|| value.parse().ok()).flatten()
    };
    let unit = text.lines().find_map(unit).unwrap_or_default();
    let sample = |(number, line): (u64, &str)| {
        let plain = scaled_decimal(line, unit.nanos()).map(|ns| ns as f64);
        let delay = || line.parse::<Delay>().ok().map(|delay| delay.as_nanos() as f64);
        plain.or_else(delay).ok_or_else(|| (number, FileProblem::Sample(shortened(line))))
    };
    lines(text).filter(|(_, line)| !line.is_empty()).map(sample).collect()
}

/// As errors repeat it.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn samples_have_units() {
        assert_eq!(samples("1.5\n20us # fast\n\n").unwrap(), [1.5e6, 20e3]);
        assert_eq!(samples("# unit: us\n1.5\n20ms\n").unwrap(), [1.5e3, 20e6]);
        assert_eq!(samples("1\n# x\n2 3\n").unwrap_err(), (3, FileProblem::Sample("2 3".to_owned())));
    }

    #[test]
    fn tables_are_whole_numbers() {
        assert_eq!(entries("# a table\n-32768 5\n7").unwrap(), [-32768, 5, 7]);
        assert_eq!(entries("1\n2 40000").unwrap_err(), (2, FileProblem::Entry("40000".to_owned())));
    }
}
