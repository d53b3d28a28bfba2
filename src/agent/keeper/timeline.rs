//! A timeline that a keeper keeps up: what a new worker needs to take it up where the clock says it is.

use serde_json::{Value, json};

use crate::agent::protocol::{ReplayOrder, Request};
use crate::timeline::ReplayGap;

/// How many gaps are remembered.
const REMEMBERED: usize = 32;

/// A replay that was begun.
#[derive(Debug)]
pub(super) struct Kept {
    /// The order as it came. It may be long, and is read only when it is needed.
    order: String,
    start_ns: u64,
    /// The request that put the row in place that was there before.
    before: Option<Value>,
    gaps: Vec<ReplayGap>,
}

impl Kept {
    /// A replay that begins at `start_ns`, over what `before` had put in place.
    pub(super) fn new(order: String, start_ns: u64, before: Option<Value>) -> Self {
        Self { order, start_ns, before, gaps: Vec::new() }
    }

    /// It begins anew, at `start_ns`.
    pub(super) fn begins(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
    }

    /// Its worker is lost, at `now_ns`. A new one that is lost before it has taken it up makes the gap no new one.
    pub(super) fn lost(&mut self, why: &str, now_ns: u64) {
        if self.gaps.last().is_none_or(|gap| gap.until_ns.is_some()) {
            self.gaps.push(ReplayGap { why: why.to_owned(), from_ns: now_ns, until_ns: None });
        }
        if self.gaps.len() > REMEMBERED {
            self.gaps.remove(0);
        }
    }

    /// A worker has taken it up, and says so.
    pub(super) fn taken_up(&mut self, response: &Value) {
        if let Some(gaps) =
            response.pointer("/switched/gaps").and_then(|gaps| serde_json::from_value(gaps.clone()).ok())
        {
            self.gaps = gaps;
        }
    }

    /// The request by which a worker takes it up.
    pub(super) fn request(&self) -> Value {
        let order: Value = serde_json::from_str(&self.order).unwrap_or_default();
        json!({ "take_up": {
            "order": order, "start_realtime_ns": self.start_ns, "before": self.before, "gaps": self.gaps,
        } })
    }

    /// The request that puts in place what it has come to at `now_ns`, without the timeline; `None` when that is nothing.
    pub(super) fn row(&self, now_ns: u64) -> Option<Value> {
        let order: ReplayOrder = serde_json::from_str(&self.order).ok()?;
        let number = order.latest(self.start_ns, now_ns);
        if number == 0 {
            return self.before.clone();
        }
        serde_json::to_value(Request::Apply { row: order.row(number), backend: order.backend }).ok()
    }
}

/// Until when a replay went on, by the answer that tells of its end: just after its last switch.
pub(super) fn last_switch_ns(response: &Value) -> Option<u64> {
    response.pointer("/switched/stamps")?.as_array()?.last()?.get("planned_ns")?.as_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn order() -> String {
        let row =
            |ms: u64| json!({ "whole": { "paths": [{ "prefixes": ["10.0.0.2/32"], "impairment": { "delay": ms } }] } });
        let steps = json!([{ "at": 0, "change": row(10) }, { "at": 100, "change": row(20) }]);
        json!({ "steps": steps, "pace": { "length": 200, "repeat": "forever", "until": null }, "backend": "auto" })
            .to_string()
    }

    #[test]
    fn what_it_has_come_to_is_a_row_of_its_own() {
        let before = json!({ "apply": { "row": { "paths": [] }, "backend": "netem" } });
        let kept = Kept::new(order(), 1_000, Some(before.clone()));
        let delay = |now: u64| kept.row(now).unwrap().pointer("/apply/row/paths/0/impairment/delay").cloned();
        assert_eq!(kept.row(999), Some(before));
        assert_eq!([1_000, 1_099, 1_100, 1_200, 9_999].map(delay), [10, 10, 20, 10, 20].map(|ms| Some(json!(ms))));
        assert_eq!(Kept::new(order(), 1_000, None).row(0), None);
    }

    #[test]
    fn a_gap_lasts_until_the_replay_is_taken_up() {
        let mut kept = Kept::new(order(), 1_000, None);
        kept.lost("killed", 1_050);
        kept.lost("killed again", 1_060);
        let request = kept.request();
        assert_eq!(request["take_up"]["gaps"], json!([{ "why": "killed", "from_ns": 1_050 }]));
        assert!(serde_json::from_value::<Request>(request).is_ok());
        let gap = json!({ "why": "killed", "from_ns": 1_050, "until_ns": 1_070 });
        kept.taken_up(&json!({ "switched": { "phase": "running", "stamps": [], "gaps": [gap] } }));
        kept.lost("killed", 1_080);
        assert_eq!(kept.request()["take_up"]["gaps"], json!([gap, { "why": "killed", "from_ns": 1_080 }]));
    }
}
