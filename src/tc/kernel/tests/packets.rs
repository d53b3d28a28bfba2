//! What packets meet: rules, delays, neighbours, changes under way, and every impairment, seen by `ping` and `tc`.

use super::*;
use crate::shaping::{Distribution, FourState, OwnTable};

/// The rule that a packet meets is the one that the tables say, whatever the layout.
#[test]
fn packets_meet_the_rule_of_the_longest_prefix() {
    inside_with_filters("packets::packets_meet_the_rule_of_the_longest_prefix", || {
        let _lab = Lab::new();
        run("ip route add default via 10.77.0.2");
        run("ip -6 route add default via fd77::2");
        // The neighbours are known beforehand: a packet that waits for them is not counted yet when the test looks.
        fastest_ping("10.77.0.2");
        fastest_ping("fd77::2");
        let crowd: Vec<String> = (0..20).map(|n| format!("10.1.{n}.9/32")).collect();
        let mut paths: Vec<(&str, u64)> = crowd.iter().map(|text| (text.as_str(), 5)).collect();
        paths.extend([
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.3.0/24", 3),
            ("8.0.0.0/5", 4),
            ("fd01::/64", 6),
            ("fd01::7/128", 6),
        ]);
        let mut tc = with_memory_line();
        impair(&mut tc, &row(&paths), Backend::Userspace, &two_steps()).unwrap();
        for (to, rule) in [
            ("10.1.3.9", "0a010309/ffffffff at 16"),
            ("10.1.3.10", "0a010300/ffffff00 at 16"),
            ("10.1.30.9", "0a010000/ffff0000 at 16"),
            ("10.2.3.9", "0a000000/ff000000 at 16"),
            ("11.2.3.9", "08000000/f8000000 at 16"),
            ("fd01::8", "00000000/ffffffff at 28"),
            ("fd01::7", "00000007/ffffffff at 36"),
        ] {
            let hits = |listing: &str| -> Vec<(String, String)> {
                let blocks = listing.split("filter protocol").filter(|block| block.contains("mirred"));
                blocks
                    .map(|block| {
                        let sent = block.lines().find(|line| line.contains("Sent ")).unwrap();
                        let last_key = block.lines().rfind(|line| line.contains("match ")).unwrap();
                        (last_key.to_owned(), sent.to_owned())
                    })
                    .collect()
            };
            let before = hits(&run("tc -s filter show dev eth0 egress"));
            let _ = Command::new("ping").args(["-c", "1", "-W", "0.01", to]).output().unwrap();
            let after = hits(&run("tc -s filter show dev eth0 egress"));
            let met: Vec<&String> =
                before.iter().zip(&after).filter(|(one, two)| one != two).map(|(one, _)| &one.0).collect();
            assert!(met.len() == 1 && met[0].contains(rule), "{to} met {met:?}");
        }
    });
}

/// A path that swallows everything must not swallow Neighbour Discovery.
#[test]
fn neighbours_are_found_on_an_impaired_path() {
    inside("packets::neighbours_are_found_on_an_impaired_path", || {
        let lab = Lab::new();
        let mut tc = with_memory_line();
        // The line in memory does not emit: what is captured is lost.
        impair(&mut tc, &row(&[("fd77::/16", 10), ("fe80::/10", 10)]), Backend::Userspace, &two_steps()).unwrap();
        lab.there("ip -6 neigh flush dev eth0");
        // The far side asks who fd77::1 is; the answer is unicast from here, to a captured prefix.
        let ping = ["--net=/proc/".to_owned() + &lab.far.id().to_string() + "/ns/net"];
        let output = Command::new("nsenter")
            .args(ping)
            .args(["ping", "-6", "-c", "2", "-i", "0.2", "-W", "1", "fd77::1"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("100% packet loss"));
        let neighbours = lab.there("ip -6 neigh show to fd77::1");
        assert!(neighbours.contains("lladdr") && !neighbours.contains("FAILED"), "{neighbours}");
    });
}

/// The chosen back-end of this kernel delays what it should, and nothing else.
#[test]
fn pings_take_as_long_as_asked() {
    inside("packets::pings_take_as_long_as_asked", || {
        let _lab = Lab::new();
        let abilities = abilities::probe();
        for backend in backends().iter().copied() {
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            for abilities in ways() {
                let mut tc = KernelTc::open("eth0").unwrap();
                impair(&mut tc, &some_row(), backend, &abilities).unwrap();
                let ranges = [("10.77.0.2", 20.0..60.0), ("fd77::2", 20.0..60.0), ("10.77.0.3", 60.0..200.0)];
                for (to, range) in ranges.into_iter().chain([("10.77.0.4", 0.0..20.0), ("fd77::3", 0.0..20.0)]) {
                    let found = fastest_ping(to);
                    assert!(range.contains(&found), "{to} by {backend}: {found} ms is not in {range:?}");
                }
                impair(&mut tc, &row(&[("10.77.0.2/32", 80)]), backend, &abilities).unwrap();
                let found = fastest_ping("10.77.0.2");
                assert!((80.0..300.0).contains(&found), "{found}");
                assert!(fastest_ping("10.77.0.3") < 60.0);
                clear(&mut tc).unwrap();
                assert!(fastest_ping("10.77.0.2") < 20.0);
            }
        }
    });
}

/// Frames beyond the usual length, in one piece, and pings beyond even that, in fragments.
#[test]
fn long_packets_pass() {
    inside("packets::long_packets_pass", || {
        let lab = Lab::new();
        run("ip link set eth0 mtu 9000");
        lab.there("ip link set eth0 mtu 9000");
        for backend in backends().iter().copied() {
            let abilities = abilities::probe();
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            impair(&mut tc, &some_row(), backend, &abilities).unwrap();
            for size in [1_472, 8_900, 20_000, 60_000] {
                let report = run(&format!("ping -n -c 3 -i 0.05 -W 5 -s {size} 10.77.0.2"));
                assert!(report.contains(" 0% packet loss"), "{size} bytes by {backend}: {report}");
            }
            clear(&mut tc).unwrap();
        }
    });
}

/// Delays change, destinations come and go, classes split and merge: no packet to one that stays is lost.
#[test]
fn changes_lose_no_packet() {
    inside("packets::changes_lose_no_packet", || {
        let _lab = Lab::new();
        let abilities = abilities::probe();
        for backend in backends().iter().copied() {
            if backend == Backend::Netem && !abilities.netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            for abilities in ways() {
                let mut tc = KernelTc::open("eth0").unwrap();
                let rows = [
                    row(&[("10.77.0.2/32", 20), ("10.77.0.3/32", 20)]),
                    row(&[("10.77.0.2/32", 30), ("10.77.0.3/32", 20), ("fd77::2/128", 5)]),
                    row(&[("10.77.0.2/32", 10)]),
                    row(&[("10.77.0.0/24", 40), ("10.77.0.2/32", 10)]),
                    wide_row(300, 300, 1),
                ];
                let with_target = |row: &Row| {
                    let mut row = row.clone();
                    if row.paths.len() > 100 {
                        row.paths.extend(rows[0].paths.iter().cloned());
                    }
                    row
                };
                impair(&mut tc, &rows[0], backend, &abilities).unwrap();
                let ping = Command::new("ping")
                    .args("-q -n -c 600 -i 0.002 -W 5 10.77.0.2".split(' '))
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                for row in rows.iter().cycle().take(25) {
                    impair(&mut tc, &with_target(row), backend, &abilities).unwrap();
                }
                let report = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
                assert!(report.contains(" 0% packet loss"), "{backend}: {report}");
                clear(&mut tc).unwrap();
            }
        }
    });
}

/// What a series of pings saw: answers, duplicates, and the smallest, mean and greatest round trip in milliseconds.
#[derive(Debug)]
struct Pings {
    received: f64,
    duplicates: f64,
    times: Vec<f64>,
}

fn pings(words: &str) -> Pings {
    let report = run(&format!("ping -q -n -i 0.002 -W 1 {words} 10.77.0.2"));
    let before = |mark: &str| {
        let number = report.split(mark).next().filter(|head| head.len() < report.len());
        number.map_or(0.0, |head| head.rsplit([' ', '+']).next().unwrap().parse().unwrap())
    };
    let times = report.split("min/avg/max/mdev = ").nth(1).unwrap();
    let times = times.split(['/', ' ']).take(3).map(|time| time.parse().unwrap()).collect();
    Pings { received: before(" received"), duplicates: before(" duplicates"), times }
}

/// How long each ping of several took, milliseconds.
fn each_ping(words: &str) -> Vec<f64> {
    let report = run(&format!("ping -n -i 0.002 -W 1 {words} 10.77.0.2"));
    report.split("time=").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

fn percent(text: &str) -> Probability {
    text.parse().unwrap()
}

/// The same impairments mean the same to pings on both back-ends. Shares lie within five standard deviations.
#[test]
fn every_impairment_shows_in_pings() {
    inside("packets::every_impairment_shows_in_pings", || {
        let _lab = Lab::new();
        let base = Impairment::delay(Delay::from_millis(5));
        let [to_bad, to_good, bad_loss, good_loss] = ["10%", "30%", "100%", "0%"].map(percent);
        let chain = GilbertElliott { to_bad, to_good, bad_loss, good_loss };
        for backend in backends().iter().copied() {
            let abilities = ways().pop().unwrap();
            if backend == Backend::Netem && !abilities::probe().netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            let mut see = |impairment: Impairment, words: &str| {
                let path = RowPath::to(&["10.77.0.2/32".parse().unwrap()], impairment);
                impair(&mut tc, &Row::from_iter([path]), backend, &abilities).unwrap();
                pings(words)
            };
            let random = see(Impairment { loss: Loss::Random(Share::of(percent("30%"))), ..base }, "-c 500");
            assert!((299.0..401.0).contains(&random.received), "{backend}: {random:?}");
            let lossy = Impairment { loss: Loss::Random(Share::of(percent("30%"))), ..Impairment::default() };
            let alone = see(lossy, "-c 500");
            assert!((299.0..401.0).contains(&alone.received), "{backend}, without a delay: {alone:?}");
            let bursts = see(Impairment { loss: Loss::Gilbert(chain), ..base }, "-c 500");
            assert!((290.0..460.0).contains(&bursts.received), "{backend}: {bursts:?}");
            let double = see(Impairment { duplicate: Share::of(percent("50%")), ..base }, "-c 500");
            assert!((194.0..306.0).contains(&double.duplicates), "{backend}: {double:?}");
            let corrupt = see(Impairment { corrupt: Share::of(percent("50%")), ..base }, "-c 500");
            assert!((190.0..380.0).contains(&corrupt.received), "{backend}: {corrupt:?}");
            let jitter = Jitter { span: Span::from_millis(20), ..Jitter::default() };
            let strayed = see(Impairment { jitter, ..Impairment::delay(Delay::from_millis(40)) }, "-c 200");
            assert!(strayed.times[0] >= 20.0 && strayed.times[2] - strayed.times[0] > 20.0, "{backend}: {strayed:?}");
            let reorder = Some(Reorder { share: Share::of(percent("100%")), gap: 5 });
            let ahead = see(Impairment { reorder, ..Impairment::delay(Delay::from_millis(50)) }, "-c 100");
            assert!(ahead.times[0] < 30.0 && ahead.times[1] > 30.0, "{backend}: {ahead:?}");
            // 1,000 bytes take 8 ms; of twenty sent in one go the last waits for the others, less what sending them takes.
            let slow = see(Impairment { rate: Some("1mbit".parse().unwrap()), ..base }, "-c 20 -l 20 -s 958");
            assert!(slow.received > 19.5 && slow.times[0] > 13.0 && slow.times[2] > 100.0, "{backend}: {slow:?}");
            clear(&mut tc).unwrap();
        }
    });
}

/// Chains of states, tables of one's own and draws that resemble each other; bounds are some five standard deviations wide.
#[test]
fn chains_tables_and_resemblance_show_in_pings() {
    inside("packets::chains_tables_and_resemblance_show_in_pings", || {
        let _lab = Lab::new();
        let base = Impairment::delay(Delay::from_millis(5));
        for backend in [Backend::Netem, Backend::Userspace] {
            let abilities = ways().pop().unwrap();
            if backend == Backend::Netem && !abilities::probe().netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            let mut see = |impairment: Impairment, words: &str| {
                let path = RowPath::to(&["10.77.0.2/32".parse().unwrap()], impairment);
                impair(&mut tc, &Row::from_iter([path]), backend, &abilities).unwrap();
                pings(words)
            };
            // In balance, with state 1 as one: state 3 half, state 2 a quarter, state 4 a twentieth; 11 of 36 are lost.
            let [p13, p31, p32, p23, p14] = ["10%", "20%", "20%", "40%", "5%"].map(percent);
            let states =
                see(Impairment { loss: Loss::States(FourState { p13, p31, p32, p23, p14 }), ..base }, "-c 500");
            assert!((230.0..440.0).contains(&states.received), "{backend}: {states:?}");
            let alone = FourState { p14: percent("100%"), p13: percent("0%"), p31, p32, p23 };
            let every_other = see(Impairment { loss: Loss::States(alone), ..base }, "-c 100");
            assert!((49.0..51.0).contains(&every_other.received), "{backend}: {every_other:?}");
            // 30 % of draws that are half the last one: 12.6 % by the same recursion.
            let resembling = Share { probability: percent("30%"), correlation: percent("50%") };
            let together = see(Impairment { loss: Loss::Random(resembling), ..base }, "-c 500");
            assert!((385.0..490.0).contains(&together.received), "{backend}: {together:?}");
            let resembling = Share { probability: percent("90%"), correlation: percent("50%") };
            let double = see(Impairment { duplicate: resembling, ..base }, "-c 200");
            assert!(double.duplicates > 185.0, "{backend}: {double:?}");
            // A third comes after 10 ms, two thirds after 40 ms.
            let table = OwnTable::new("pings", [vec![-8192; 32], vec![4096; 64]].concat()).unwrap();
            let jitter =
                Jitter { span: Span::from_millis(20), distribution: Distribution::Own(table), ..Jitter::default() };
            see(Impairment { jitter, ..Impairment::delay(Delay::from_millis(30)) }, "-c 1");
            // One by one, as a machine that stops for a moment makes a mean of anything, but nothing earlier.
            let strayed = each_ping("-c 300");
            let least = strayed.iter().copied().fold(f64::INFINITY, f64::min);
            let early = strayed.iter().filter(|time| **time < 39.0).count() as f64 / strayed.len() as f64;
            let all = strayed.len();
            assert!(all == 300 && (10.0..18.0).contains(&least), "{backend}: {all}, {least}");
            assert!((0.1..0.47).contains(&early), "{backend}: {early} of {strayed:?}");
            clear(&mut tc).unwrap();
        }
    });
}

/// Prints what destinations cost a packet to somewhere else; the bound is loose.
#[test]
fn a_thousand_destinations_cost_a_packet_little() {
    inside("packets::a_thousand_destinations_cost_a_packet_little", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        let mut best = [f64::INFINITY; 3];
        for _ in 0..3 {
            for (best, count) in best.iter_mut().zip([0, 1, 1_000]) {
                impair(&mut tc, &wide_row(count, 1, 10), Backend::Userspace, &two_steps()).unwrap();
                let report = run("ping -f -q -n -c 3000 -W 5 10.77.0.4");
                let average = report.split("min/avg/max/mdev = ").nth(1).unwrap().split('/').nth(1).unwrap();
                *best = best.min(average.parse::<f64>().unwrap() * 1_000.0);
            }
        }
        println!("round trip with 0, 1 and 1,000 destinations: {best:.1?} us");
        assert!(best[2] < best[0] + 100.0, "{best:?}");
    });
}
