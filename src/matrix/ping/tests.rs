//! Logs as the programs print them.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::matrix::{DelayUnit, RttSplit};

const IPUTILS: &str = "PING n2 (10.77.0.2) 56(84) bytes of data.
[1795304584.250619] 64 bytes from n2 (10.77.0.2): icmp_seq=1 ttl=64 time=10.0 ms
[1795304585.250619] 64 bytes from n2 (10.77.0.2): icmp_seq=2 ttl=64 time=30.0 ms
[1795304585.250620] 64 bytes from n2 (10.77.0.2): icmp_seq=2 ttl=64 time=99.0 ms (DUP!)
From 10.77.0.1 icmp_seq=3 Destination Host Unreachable
[1795304587.250619] 64 bytes from n2 (10.77.0.2): icmp_seq=4 ttl=64 time=12.0 ms

--- n2 ping statistics ---
4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, time 3004ms
rtt min/avg/max/mdev = 10.000/17.333/30.000/0.000 ms
";

const BUSYBOX: &str = "PING fd4c:48::1 (fd4c:48::1): 56 data bytes
64 bytes from fd4c:48::1: seq=0 ttl=64 time=14.000 ms
64 bytes from fd4c:48::1: seq=1 ttl=64 time=14.001 ms

--- fd4c:48::1 ping statistics ---
2 packets transmitted, 2 packets received, 0% packet loss
round-trip min/avg/max = 14.000/14.000/14.001 ms
";

fn addresses() -> AddressList {
    AddressList::parse("a.csv", b"a,10.77.0.1\na,fd4c:48::1\nb,10.77.0.2\nc,10.77.0.3\n").unwrap()
}

fn log(from: &str, to: Option<&str>, text: &str) -> PingLog {
    let to = to.map(|to| to.parse().unwrap());
    PingLog { from: from.parse().unwrap(), to, file: format!("{from}.log"), bytes: text.as_bytes().to_vec() }
}

const HALVES: ReadOptions =
    ReadOptions { split_rtt: Some(RttSplit::Halves), latency_unit: None, ignore_unsupported: false };

fn read(logs: &[PingLog]) -> Result<(Vec<f64>, Vec<String>), String> {
    let matrix = parse_pings(logs, &addresses(), HALVES).map_err(|error| error.to_string())?;
    Ok((matrix.delays().iter().map(|delay| delay.as_millis_f64()).collect(), matrix.metadata.comments))
}

fn refused(text: &str) -> String {
    read(&[log("a", None, text)]).unwrap_err()
}

#[test]
fn ping_gives_half_of_its_median_and_its_losses() {
    let (ms, comments) = read(&[log("a", None, IPUTILS), log("b", None, BUSYBOX)]).unwrap();
    // The even number of replies of busybox: the middle of 14.000 and 14.001.
    assert_eq!(ms, [0.0, 6.0, 7.000_25, 0.0]);
    assert_eq!(comments, ["median round trips of ping, half of each one way", "lost from a to b: 1 of 4"]);
}

#[test]
fn fping_gives_a_row_and_one_end_is_enough() {
    let per_probe = "10.77.0.2 : [0], 64 bytes, 4.00 ms (4.00 avg, 0% loss)\n\
                     [1795304582.24189] 10.77.0.3 : [0], 64 bytes, 8.00 ms (8.00 avg, 0% loss)\n\
                     10.77.0.2 : [1], timed out (4.00 avg, 50% loss)\n\n\
                     10.77.0.2 : xmt/rcv/%loss = 2/1/50%, min/avg/max = 4.00/4.00/4.00\n\
                     10.77.0.3 : 8.00\n";
    let (ms, comments) = read(&[log("a", None, per_probe), log("b", None, "10.77.0.3 : - 6.02 6.00\n")]).unwrap();
    assert_eq!(ms, [0.0, 2.0, 4.0, 2.0, 0.0, 3.005, 4.0, 3.005, 0.0]);
    assert!(comments.contains(&"lost from a to b: 1 of 2".to_owned()), "{comments:?}");
    assert!(comments.contains(&"lost from b to c: 1 of 3".to_owned()), "{comments:?}");
    assert!(comments.contains(&"not measured from c to a: taken from the way back".to_owned()), "{comments:?}");
}

#[test]
fn a_pair_names_its_target_itself() {
    let (ms, _) = read(&[log("x", Some("y"), "192.0.2.1 : 5.000001\n")]).unwrap();
    assert_eq!(ms, [0.0, 2.500_001, 2.5, 0.0]);
}

#[test]
fn wrong_logs_are_refused_where_they_are_wrong() {
    for (text, message) in [
        ("", ": has no output of ping or fping; give the log of a finished run"),
        (
            "PING b (10.77.0.2) 56(84) bytes of data.\nhello\n",
            ":2: `hello` is no line of ping, fping or hping in English; give the output of `ping`, `fping -c N` or `fping -C N` as it is",
        ),
        (
            "64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=1 ms\n",
            ":1: a reply stands before any `PING …` line; keep the whole output of ping",
        ),
        (
            "PING b (10.77.0.2) 8(36) bytes of data.\n16 bytes from 10.77.0.2: icmp_seq=1 ttl=64\n",
            ":2: the reply has no `time=`; ping with at least 16 bytes of data",
        ),
        (
            "\n10.77.0.2 : xmt/rcv/%loss = 2/2/0%, min/avg/max = 1.00/1.00/1.00\n",
            ":2: no single round trip to `10.77.0.2` is in the log; if all probes were lost leave the file out, if only min/avg/max are there run ping without -q, or fping with -C N",
        ),
        (
            "192.0.2.9 : 1.0\n",
            ":1: target `192.0.2.9` is no node; add a line `NAME,192.0.2.9` to the list of addresses (`--addresses FILE`)",
        ),
        ("10.77.0.2 : 1.0 -3\n", ":1: `-3` is negative; a round-trip time is 0 or more milliseconds"),
        ("10.77.0.2 : 1\n10.77.0.3 : 2\n", ": no log measures between `b` and `c`; add one as `b,c=FILE`"),
    ] {
        assert_eq!(refused(text), format!("a.log{message}"));
    }
    let twice = read(&[log("a", None, "10.77.0.2 : 1\n"), log("a", Some("b"), "x : 1\n")]).unwrap_err();
    assert_eq!(twice, "a.log:1: `a` to `b` was measured already; keep one of the two logs");
    let two = read(&[log("a", Some("b"), "x : 1\ny : 2\n")]).unwrap_err();
    assert_eq!(two, "a.log:2: `y` is a second target in the log of one pair; give the file as NAME=FILE");
    let unsplit = parse_pings(&[log("a", None, IPUTILS)], &addresses(), ReadOptions::default()).unwrap_err();
    assert!(unsplit.to_string().ends_with("add `--split-rtt halves` to give each way half of them"), "{unsplit}");
}

#[test]
fn more_targets_than_a_matrix_has_nodes_are_refused_before_there_is_a_matrix() {
    let many = MAX_NODES + 1;
    let address = |number: usize| std::net::Ipv4Addr::from(u32::try_from(number).unwrap());
    let list = (0..many).map(|number| (NodeName::numbered(number), address(number).into())).collect();
    let text = (0..many).fold(String::new(), |text, number| text + &format!("n{number} : 1\n"));
    let error = parse_pings(&[log("a", None, &text)], &AddressList::new(list), HALVES).unwrap_err();
    assert_eq!(error.to_string(), "a.log: has more than 8192 nodes, the most that a delay matrix may have");
}

#[test]
fn what_a_terminal_obeys_is_not_repeated() {
    assert!(refused("hello\u{1b}[31m\n").starts_with("a.log:1: `hello\\u{1b}[31m` is no line of ping"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(PING |64 bytes from |time=| : |\\[0\\], |[0-9.]|ms|\n|xmt/rcv/%loss = | packets transmitted, |\\(|\\)|\\PC){0,30}") {
        let _ = read(&[log("a", Some("b"), &text)]);
    }

    #[test]
    fn medians_lie_in_the_middle(mut us in prop::collection::vec(0u64..1_000_000, 1..20)) {
        let list: Vec<String> = us.iter().map(|us| DelayUnit::Ms.format(us * 1_000)).collect();
        let targets = log::read(&format!("x : {}\n", list.join(" "))).unwrap();
        us.sort_unstable();
        let (lower, upper) = (us[(us.len() - 1) / 2], us[us.len() / 2]);
        prop_assert_eq!(targets[0].median(), Some(Rtt::from_nanos((lower + upper) * 500)));
    }
}

#[test]
fn other_systems_print_otherwise() {
    let mac = "PING n2 (10.77.0.2): 56 data bytes
64 bytes from 10.77.0.2: icmp_seq=0 ttl=64 time=10.000 ms
Request timeout for icmp_seq 1
64 bytes from 10.77.0.2: icmp_seq=2 ttl=64 time=12.000 ms (DUP!)
92 bytes from 10.0.0.1: Time to live exceeded
Vr HL TOS  Len   ID Flg  off TTL Pro  cks      Src      Dst
 4  5  00 5400 7a1c   0 0000  01  01 1a2b 10.0.0.9  10.77.0.2

--- n2 ping statistics ---
4 packets transmitted, 1 packets received, +1 duplicates, 75.0% packet loss
round-trip min/avg/max/stddev = 10.000/10.000/10.000/0.000 ms
";
    let mac6 = "PING6(56=40+8+8 bytes) fd4c:48::9 --> fd4c:48::2
16 bytes from fd4c:48::2, icmp_seq=0 hlim=64 time=10.000 ms

--- n2 ping6 statistics ---
4 packets transmitted, 1 packets received, 75.0% packet loss
round-trip min/avg/max/std-dev = 10.000/10.000/10.000/0.000 ms
";
    let windows = "\r
Pinging n2 [10.77.0.2] with 32 bytes of data:\r
Reply from 10.77.0.2: bytes=32 time=10ms TTL=64\r
Request timed out.\r
Reply from 10.77.0.1: Destination host unreachable.\r
Request timed out.\r
\r
Ping statistics for 10.77.0.2:\r
    Packets: Sent = 4, Received = 2, Lost = 2 (50% loss),\r
Approximate round trip times in milli-seconds:\r
    Minimum = 10ms, Maximum = 10ms, Average = 10ms\r
Control-C\r
";
    let hping = "HPING 10.77.0.2 (eth0 10.77.0.2): S set, 40 headers + 0 data bytes
len=44 ip=10.77.0.2 ttl=64 DF id=0 sport=80 flags=SA seq=0 win=64240 rtt=10.0 ms
DUP! len=44 ip=10.77.0.2 ttl=64 DF id=0 sport=80 flags=SA seq=0 win=64240 rtt=99.0 ms

--- 10.77.0.2 hping statistic ---
4 packets transmitted, 1 packets received, 75% packet loss
round-trip min/avg/max = 10.0/10.0/10.0 ms
";
    for text in [mac, mac6, windows, hping] {
        let (ms, comments) = read(&[log("a", Some("b"), text)]).unwrap();
        assert_eq!(ms, [0.0, 5.0, 5.0, 0.0], "{text}");
        assert!(comments.contains(&"lost from a to b: 3 of 4".to_owned()), "{comments:?} {text}");
    }
    let quick = "Pinging b [10.77.0.2] with 32 bytes of data:\nReply from 10.77.0.2: bytes=32 time<1ms TTL=64\n";
    assert_eq!(read(&[log("a", None, quick)]).unwrap().0, [0.0, 0.25, 0.25, 0.0]);
    let alive = "b is alive (10.0 ms)\nc is unreachable\n";
    assert!(read(&[log("a", None, alive)]).unwrap_err().contains("no single round trip to `c`"));
    let german = "Ping wird ausgeführt für 10.0.0.2 mit 32 Bytes Daten:\n";
    assert!(refused(german).contains("in English"), "{}", refused(german));
}
