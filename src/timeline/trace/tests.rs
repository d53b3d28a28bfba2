//! Traces: what is read, what is refused, and the replay against brute force.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::timeline::Timeline;

fn told(text: &str) -> Result<Vec<String>, String> {
    let trace = parse_trace("t.csv", text).map_err(|error| error.to_string())?;
    let names = trace.names();
    Timeline::of_trace(names, &trace).map_err(|error| error.to_string())?;
    let line = |entry: &TraceEntry| format!("{} {}>{} {}", write_moment(entry.at), entry.from, entry.to, entry.does);
    Ok(trace.entries().iter().map(line).collect())
}

#[test]
fn units_come_from_the_header_a_comment_or_the_cell() {
    for text in [
        "time,from,to,delay\n0,a,b,20\n1.5,a,b,30\n",
        "# unit: us\ntime;from;to;delay\n0;a;b;20000\n1500ms;a;b;30ms\n",
        "time_ms,from,to,delay_s\n\n# later\n1500,a,b,0.03\n0,a,b,0.02\n",
        "\u{feff}TIME (ms),FROM,TO,DELAY (us)\r\n0,\"a\",b,20000\r\n1500,a,b,30000\r\n",
        "# start: 1700000000\nto,from,time,delay\nb,a,1700000000,20\nb,a,1700000001.5,30\n",
    ] {
        assert_eq!(told(text), Ok(vec!["0s a>b 20ms".to_owned(), "1.5s a>b 30ms".to_owned()]), "{text}");
    }
    assert_eq!(
        told("time,from,to,delay,jitter,loss,rate\n0,a,b,20,1,0.5%,10mbit\n1,a,b,20,,,\n"),
        Ok(vec!["0s a>b 20ms jitter 1ms uniform loss 0.5% rate 10mbit".to_owned(), "1s a>b 20ms".to_owned()])
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, message) in [
        ("", "t.csv: there is no line after the header; write lines of time,from,to,delay"),
        (
            "0,a,b,20\n",
            "t.csv:1: column 1 (header): unknown column `0`; known are time, from, to, delay, jitter, loss and rate, \
             with a unit such as delay_ms",
        ),
        (
            "time,from,to\n0,a,b\n",
            "t.csv:1: the first line must name the columns: time,from,to,delay and, where needed, jitter,loss,rate; it \
             lacks `delay`",
        ),
        ("time,time,to,delay\n", "t.csv:1: column 2 (header): the column `time` is there twice"),
        ("time,from,to,delay\n0,a,b\n", "t.csv:2: 3 fields, but the header has 4"),
        (
            "time,from,to,delay\n# x\nsoon,a,b,20\n",
            "t.csv:3: column 1 (time): `soon` is not a time; write seconds, or a number and a unit such as 300ms, 90s, \
             10m or 2h",
        ),
        (
            "time,from,to,delay\n0,a,b,twenty\n",
            "t.csv:2: column 4 (delay): `twenty` is not a duration; write a number in the unit of the column, or a \
             number and a unit such as 20ms",
        ),
        (
            "time,from,to,delay\n0,a,b,-2\n",
            "t.csv:2: column 4 (delay): `-2` is negative; a packet cannot arrive before it is sent",
        ),
        (
            "time,from,to,delay\n0,a,b,60001\n",
            "t.csv:2: column 4 (delay): `60001` is more than 60s, the longest delay of a path",
        ),
        ("time,from,to,delay\n0,,b,1\n", "t.csv:2: column 2 (from): a node name is empty"),
        ("time,from,to,delay\n0,a,a,1\n", "t.csv:2: column 3 (to): the path from `a` to itself cannot be impaired"),
        (
            "time,from,to,delay,loss\n0,a,b,1,5\n",
            "t.csv:2: column 5 (loss): `5` is not a probability; write a number and a unit, such as 0.5% or 10%",
        ),
        (
            "time,from,to,delay,jitter\n0,a,b,1,2\n",
            "t.csv:2: a jitter of 2ms is more than the delay of 1ms; a packet cannot arrive before it is sent",
        ),
        (
            "time,from,to,delay\n0,a,b,1\n0,b,a,1\n0s,a,b,2\n",
            "t.csv:4: the path from `a` to `b` has another value for this instant in line 2",
        ),
        ("# start: 10\ntime,from,to,delay\n9,a,b,1\n", "t.csv:3: column 1 (time): `9` is before the start at `10`"),
        ("# unit: min\ntime,from,to,delay\n", "t.csv:1: unknown unit `min`; write ms, us, s or ns"),
    ] {
        assert_eq!(told(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn nodes_must_be_there() {
    let trace = parse_trace("t.csv", "time,from,to,delay\n0,a,b,1\n1,a,c,1\n").unwrap();
    let names = ["a", "b"].map(|name| name.parse().unwrap()).to_vec();
    let error = Timeline::of_trace(names, &trace).unwrap_err();
    assert_eq!(error.to_string(), "t.csv:3: there is no node `c`; there are a, b");
}

proptest! {
    /// Lines of any order; at any instant each path does what its latest line says.
    #[test]
    fn the_replay_is_what_brute_force_says(
        lines in prop::collection::vec((0u64..20, 0usize..3, 1usize..3, 0u64..50), 1..40),
        shuffle in any::<u64>(),
        instants in prop::collection::vec(0u64..25_000, 1..20),
    ) {
        let mut wanted: BTreeMap<(u64, usize, usize), u64> = BTreeMap::new();
        for (second, from, further, delay) in &lines {
            wanted.entry((*second, *from, (from + further) % 3)).or_insert(*delay);
        }
        let mut rows: Vec<_> = wanted.iter().collect();
        let pivot = usize::try_from(shuffle % rows.len() as u64).unwrap();
        rows.rotate_left(pivot);
        let line = |((second, from, to), delay): (&(u64, usize, usize), &u64)| {
            format!("{second},n{},n{},{delay}\n", from + 1, to + 1)
        };
        let text = format!("time,from,to,delay\n{}", rows.into_iter().map(line).collect::<String>());
        let names: Vec<NodeName> = (1..=3).map(NodeName::numbered).collect();
        let timeline = Timeline::of_trace(names, &parse_trace("t.csv", &text).unwrap()).unwrap();
        for instant in instants {
            let in_force = timeline.switches().take_while(|one| one.at <= Span::from_millis(instant)).last();
            for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to) {
                let latest = wanted.range(..=(instant / 1_000, usize::MAX, usize::MAX)).rev();
                let latest = latest.filter(|((_, f, t), _)| (*f, *t) == (from, to)).map(|(_, delay)| *delay).next();
                let found = in_force.map(|one| timeline.path(one.step, from, to)).unwrap_or_default();
                prop_assert_eq!(found, Impairment::delay(Delay::from_millis(latest.unwrap_or(0))));
                if let Some(one) = in_force {
                    prop_assert_eq!(found, timeline.network(one.step)[from * 3 + to]);
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-d0-9,;\t\n#:. \"-]{0,80}") {
        let _ = parse_trace("t.csv", &text);
        let _ = parse_trace("t.csv", &format!("time,from,to,delay\n{text}"));
    }
}
