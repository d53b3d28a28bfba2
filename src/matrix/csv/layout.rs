//! Where the names are: guessed from the first two rows, because CSV files do not say.

use csv::StringRecord;

/// Where a file has its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::matrix) enum Layout {
    /// Nowhere.
    Unnamed,
    /// In the first row.
    Header,
    /// In the first row and the first column; the corner is empty or free text.
    HeaderAndColumn,
}

impl Layout {
    /// The layout of a file that starts with these rows; `is_cell` tells whether a text is meant as a value, not as a name.
    pub(in crate::matrix) fn of(
        first: &StringRecord,
        second: Option<&StringRecord>,
        is_cell: impl Fn(&str) -> bool,
    ) -> Self {
        let (corner, others) = (first.get(0).unwrap_or_default().trim(), first.iter().skip(1));
        if corner.is_empty() && first.len() > 1 {
            return Self::HeaderAndColumn;
        }
        let numbers = first.iter().filter(|text| is_cell(text)).count();
        let starts_second = second.and_then(|row| row.get(0)).map(str::trim);
        if is_cell(corner) && 2 * numbers >= first.len() {
            return Self::Unnamed;
        }
        if others.clone().all(&is_cell) {
            // Either names that are numbers, which then stand in the first column too, or one bad cell.
            let repeated = starts_second.is_some() && starts_second == first.get(1).map(str::trim);
            return if repeated { Self::HeaderAndColumn } else { Self::Unnamed };
        }
        match starts_second {
            Some(text) if !is_cell(text) => Self::HeaderAndColumn,
            _ => Self::Header,
        }
    }

    /// How many fields of each row come before the delays.
    pub(in crate::matrix) fn skipped_columns(self) -> usize {
        usize::from(self == Self::HeaderAndColumn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::csv::cell::looks_like_number;

    #[test]
    fn names_are_found_where_they_stand() {
        let row = |text: &str| text.split(',').collect::<StringRecord>();
        for (first, second, expected) in [
            ("0,3", "4,0", Layout::Unnamed),
            ("0,nan", "4,0", Layout::Unnamed),
            ("0,oops,3", "4,0,1", Layout::Unnamed),
            ("oops,3", "4,0", Layout::Unnamed),
            ("a,b", "0,3", Layout::Header),
            ("10.0.0.1,10.0.0.2", "0,3", Layout::Header),
            (",a,b", "a,0,3", Layout::HeaderAndColumn),
            ("from,a,b", "a,0,3", Layout::HeaderAndColumn),
            (",1,2", "1,0,3", Layout::HeaderAndColumn),
            ("node,1,2", "1,0,3", Layout::HeaderAndColumn),
        ] {
            assert_eq!(Layout::of(&row(first), Some(&row(second)), looks_like_number), expected, "{first} / {second}");
        }
    }
}
