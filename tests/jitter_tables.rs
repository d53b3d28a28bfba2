//! Tables of jitter come and go in a process that lasts: in one of its own, as they are kept for the whole of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use longhaul::shaping::{Distribution, Impairment, Jitter, OwnTable, Row, RowPath};
use longhaul::units::{Delay, Span};

/// More than a process keeps at once.
const MANY: i16 = 5_000;

fn table(number: i16) -> OwnTable {
    OwnTable::new("ever new", (0..64).map(|entry| entry * 100 + number).collect()).unwrap()
}

fn row(table: OwnTable) -> Row {
    let jitter = Jitter { span: Span::from_millis(1), distribution: Distribution::Own(table), ..Jitter::default() };
    let impairment = Impairment { jitter, ..Impairment::delay(Delay::from_millis(10)) };
    [RowPath { selectors: vec!["10.0.0.2".parse().unwrap()], impairment }].into_iter().collect()
}

#[test]
fn tables_that_nobody_uses_are_forgotten_and_may_come_again() {
    let used = table(-1);
    let text = serde_json::to_string(&row(used)).unwrap();
    for number in 0..MANY {
        let fresh = table(number);
        OwnTable::keep_only(&BTreeSet::from([used, fresh]));
    }
    assert_eq!(used.entries()[..3], [-1, 99, 199], "one that is used is as it was");
    let gone = table(MANY);
    let refers = serde_json::to_value(row(gone)).unwrap()["paths"].clone();
    OwnTable::keep_only(&BTreeSet::from([used]));
    assert_eq!((gone.entries().len(), gone.name().as_ref()), (1, ""));
    let refused = serde_json::from_value::<Vec<RowPath>>(refers).unwrap_err().to_string();
    assert!(refused.contains("is used before it is given"), "{refused}");
    assert_eq!(table(MANY), gone, "the same table is the same, then as now");
    assert_eq!(gone.entries().len(), 64);
    // A row brings its tables along, whatever was forgotten.
    OwnTable::keep_only(&BTreeSet::new());
    let read: Row = serde_json::from_str(&text).unwrap();
    assert_eq!((read, used.entries().len()), (row(used), 64));
}
