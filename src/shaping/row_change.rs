//! [`RowChange`]: from one row to the next, with only what differs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Impairment, Row, RowPath, Selector};

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowChange {
    /// It is replaced.
    Whole(Row),
    /// The paths of this row are set; one that leaves packets alone is taken out. The others stay, and so do exclusions.
    Paths(Row),
}

/// Which packets a path is about.
fn matched(path: &RowPath) -> &[Selector] {
    &path.selectors
}

impl RowChange {
    /// The change that turns `before` into `after`.
    pub fn between(before: &Row, after: &Row) -> Self {
        if before.exclusions != after.exclusions {
            return Self::Whole(after.clone());
        }
        let old: BTreeMap<_, &RowPath> = before.paths.iter().map(|path| (matched(path), path)).collect();
        let new: BTreeMap<_, &RowPath> = after.paths.iter().map(|path| (matched(path), path)).collect();
        let set = after.paths.iter().filter(|path| old.get(matched(path)) != Some(path)).cloned();
        let gone = before.paths.iter().filter(|path| !new.contains_key(matched(path)));
        let gone = gone.map(|path| RowPath { impairment: Impairment::default(), ..path.clone() });
        Self::Paths(set.chain(gone).collect())
    }

    /// The row that it brings, whole or in part.
    pub const fn row(&self) -> &Row {
        match self {
            Self::Whole(row) | Self::Paths(row) => row,
        }
    }

    /// The row that it makes of `row`.
    pub fn on(&self, row: &Row) -> Row {
        let paths = match self {
            Self::Whole(row) => return row.clone(),
            Self::Paths(set) if set.paths.is_empty() => return row.clone(),
            Self::Paths(set) => &set.paths,
        };
        let mut set: BTreeMap<_, &RowPath> = paths.iter().map(|path| (matched(path), path)).collect();
        let mut changed: Vec<RowPath> =
            row.paths.iter().map(|path| set.remove(matched(path)).unwrap_or(path).clone()).collect();
        changed.extend(set.into_values().cloned());
        changed.retain(|path| !path.impairment.is_nothing());
        Row { paths: changed, exclusions: row.exclusions.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::units::Delay;

    fn row(delays: &[(u8, u64)]) -> Row {
        let path = |(host, ms): &(u8, u64)| RowPath {
            selectors: vec![format!("10.0.0.{host}/32").parse().unwrap()],
            impairment: Impairment::delay(Delay::from_millis(*ms)),
        };
        delays.iter().map(path).collect()
    }

    #[test]
    fn only_what_differs_is_said() {
        let (before, after) = (row(&[(1, 10), (2, 20), (3, 30)]), row(&[(1, 10), (3, 31), (4, 40)]));
        let change = RowChange::between(&before, &after);
        let RowChange::Paths(set) = &change else { panic!("{change:?}") };
        assert_eq!(set.paths.len(), 3);
        assert_eq!(change.on(&before), after);
        assert_eq!(RowChange::between(&after, &after), RowChange::Paths(Row::default()));
        assert_eq!(RowChange::Whole(after.clone()).on(&before), after);
        let excluding = Row { exclusions: vec!["10.0.0.9".parse().unwrap()], ..before.clone() };
        assert_eq!(RowChange::between(&before, &excluding).on(&before), excluding);
    }
}
