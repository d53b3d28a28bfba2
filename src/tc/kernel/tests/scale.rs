//! Thousands of destinations: nothing runs out, nothing is written twice, and how long it takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::*;

/// Hosts and networks of several lengths, with `distinct` delays; some are awkward: gateways that all end alike, networks that
/// differ in their first bytes only.
fn mixed_row(count: u32, distinct: u32) -> Row {
    let prefix = |n: u32| -> IpNet {
        let (high, low) = (n >> 8, n & 255);
        let four = |bits: u32, length| IpNet::new(IpAddr::V4(Ipv4Addr::from(bits)), length).unwrap().trunc();
        let six =
            |bits: u128, length| IpNet::new(IpAddr::V6(Ipv6Addr::from(0xfd << 120 | bits)), length).unwrap().trunc();
        match n % 8 {
            0..=2 => four(0x0a00_0000 | n, 32),
            3 => four(0x1400_0001 | n << 8, 32),
            4 => four(0x1e00_0000 | n << 8, 24),
            5 => four((0x28 + high) << 24 | low << 16 | 0x0700, 24),
            6 => six(u128::from(n) << 64 | 1, 128),
            _ => six(u128::from(n) << 64, 64),
        }
    };
    let delay = |n: u32| Delay::from_micros(10_000 + u64::from(n % distinct));
    (0..count).map(|n| RowPath::to(&[prefix(n)], Impairment::delay(delay(n)))).collect()
}

fn timed(what: &str, mut body: impl FnMut() -> usize) -> usize {
    let start = Instant::now();
    let operations = body();
    println!("{what}: {operations} operations, {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    assert!(start.elapsed() < Duration::from_secs(60), "{what}");
    operations
}

/// Applies, applies again, changes everything, and clears; prints the times.
fn goes_through(tc: &mut dyn TrafficControl, backend: Backend, abilities: &Abilities, what: &str, rows: [&Row; 2]) {
    let way = if abilities.skbedit.is_present() { "one step" } else { "two steps" };
    let what = format!("{what} by {backend}, {way}");
    let mut apply = |what: &str, row: &Row| timed(what, || impair(tc, row, backend, abilities).unwrap().operations);
    assert!(apply(&format!("{what}: apply"), rows[0]) > 0);
    assert_eq!(apply(&format!("{what}: again"), rows[0]), 0);
    assert!(apply(&format!("{what}: change all"), rows[1]) > 0);
    assert!(timed(&format!("{what}: clear"), || clear(tc).unwrap().operations) > 0);
}

#[test]
fn a_thousand_delays_are_applied_in_no_time() {
    inside("scale::a_thousand_delays_are_applied_in_no_time", || {
        let _lab = Lab::new();
        let before = everything();
        let rows = [wide_row(1_000, 1_000, 10), wide_row(1_000, 1_000, 40)];
        let one_family = rows.clone().map(|row| -> Row {
            row.paths.into_iter().map(|path| RowPath { selectors: path.selectors[..1].to_vec(), ..path }).collect()
        });
        both(|tc, backend| {
            for abilities in ways() {
                for (what, rows) in [("1,000 hosts", &one_family), ("1,000 hosts, both families", &rows)] {
                    goes_through(tc, backend, &abilities, what, [&rows[0], &rows[1]]);
                }
            }
        });
        assert_eq!(everything(), before);
    });
}

#[test]
fn ten_thousand_destinations_find_room() {
    inside_with_filters("scale::ten_thousand_destinations_find_room", || {
        let _lab = Lab::new();
        let before = everything();
        let rows = [mixed_row(10_000, 50), mixed_row(10_000, 49)];
        both(|tc, backend| {
            // Two steps are two such lists: one way shows enough.
            let abilities = ways().pop().unwrap();
            goes_through(tc, backend, &abilities, "10,000 destinations", [&rows[0], &rows[1]]);
        });
        assert_eq!(everything(), before);
    });
}

/// Numbered datagrams to a path that stays, one every 200 µs, while a thousand others get new delays, come and go, and are excluded:
/// every one arrives, by both back-ends.
#[test]
fn a_thousand_changes_around_a_flow_lose_nothing() {
    inside("scale::a_thousand_changes_around_a_flow_lose_nothing", || {
        let lab = Lab::new();
        for backend in backends().iter().copied() {
            if backend == Backend::Netem && !abilities::probe().netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let abilities = ways().pop().unwrap();
            let mut tc = KernelTc::open("eth0").unwrap();
            let stays = row(&[("10.77.0.2/32", 5)]).paths.remove(0);
            let around = |count, first, exclusion: &str| {
                let mut row = wide_row(count, count, first);
                row.paths.push(stays.clone());
                row.exclusions.push(exclusion.parse().unwrap());
                row
            };
            let rows = [
                around(1_000, 10, "10.77.0.0/24 tcp"),
                around(1_000, 40, "10.0.0.0/24 tcp:22"),
                around(500, 40, "10.77.0.2/32 tcp:22"),
            ];
            impair(&mut tc, &rows[0], backend, &abilities).unwrap();
            let far = services::there(&lab, || std::net::UdpSocket::bind("10.77.0.2:0").unwrap());
            far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let near = std::net::UdpSocket::bind("10.77.0.1:0").unwrap();
            near.connect(far.local_addr().unwrap()).unwrap();
            let over = std::sync::atomic::AtomicBool::new(false);
            let numbers = std::thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let mut number = 0u64;
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        near.send(&number.to_be_bytes()).unwrap();
                        number += 1;
                        sleep(Duration::from_micros(200));
                    }
                    near.send(&u64::MAX.to_be_bytes()).unwrap();
                    number
                });
                let receiver = scope.spawn(|| {
                    let mut seen = Vec::new();
                    loop {
                        let mut bytes = [0; 8];
                        assert_eq!(far.recv(&mut bytes).unwrap(), 8);
                        match u64::from_be_bytes(bytes) {
                            u64::MAX => break seen,
                            number => seen.push(number),
                        }
                    }
                });
                for row in rows.iter().cycle().skip(1).take(5) {
                    assert!(impair(&mut tc, row, backend, &abilities).unwrap().operations > 0);
                }
                over.store(true, std::sync::atomic::Ordering::Relaxed);
                (sender.join().unwrap(), receiver.join().unwrap())
            });
            println!("{backend}: {} datagrams sent, {} received", numbers.0, numbers.1.len());
            assert_eq!(numbers.1, (0..numbers.0).collect::<Vec<_>>(), "{backend}: all of them, in their order");
            clear(&mut tc).unwrap();
        }
    });
}
