//! The user-space delay line between two network namespaces, as root and as an ordinary user.
//!
//! The line is driven through its public interface; what it does is seen from outside: by ping, iperf3 and sockets on
//! the other side.
#![allow(clippy::unwrap_used)]

mod lab;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, User, line, run, table, until};
use longhaul::tc::line::{Line, LineConfig, LineCounters, LineError, THREAD_NAME};

/// The counters when nothing is held any more. A packet may arrive before it is counted as emitted.
fn settled(line: &Line) -> LineCounters {
    until("emitting everything", || line.counters().held == 0);
    line.counters()
}

/// Makes of each body two tests, one per kind of user.
macro_rules! for_both_users {
    ($($body:ident),* $(,)?) => {
        mod root {
            $(#[test] fn $body() { super::inside_as(super::User::Root, module_path!(), stringify!($body), super::$body); })*
        }
        mod ordinary_user {
            $(#[test] fn $body() { super::inside_as(super::User::Ordinary, module_path!(), stringify!($body), super::$body); })*
        }
    };
}

for_both_users!(
    pings_are_delayed,
    what_no_path_matches_is_not_delayed,
    order_is_kept_and_nothing_is_lost,
    bulk_transfers_keep_their_large_segments,
    tables_change_under_traffic,
    a_thousand_updates_at_ten_thousand_packets_a_second_lose_nothing,
    stopping_emits_what_is_held,
    a_line_at_rest_uses_no_processor,
    small_receive_buffers_are_added_up,
    memory_is_capped,
    an_interface_that_is_down_costs_packets_but_not_the_line,
    a_vanished_interface_ends_the_line,
    a_vanished_capture_ends_the_line,
);

fn inside_as(user: User, module: &str, name: &str, body: fn()) {
    let module = module.split_once("::").unwrap().1;
    lab::inside(user, &format!("{module}::{name}"), body);
}

/// The smallest round trip of some pings in milliseconds; none may be lost.
fn fastest_ping(to: &str) -> f64 {
    let report = run(&format!("ping -q -n -c 20 -i 0.01 -W 5 {to}"));
    assert!(report.contains(" 0% packet loss"), "{report}");
    let times = report.split("min/avg/max/mdev = ").nth(1).unwrap();
    times.split('/').next().unwrap().parse().unwrap()
}

fn pings_are_delayed() {
    let _lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 20), ("10.77.0.0/24", 60), ("fd77::2/128", 20), ("fd77::/64", 60)]);
    for (to, least, most) in [
        ("10.77.0.2", 20.0, 60.0),
        ("fd77::2", 20.0, 60.0),
        ("10.77.0.3", 60.0, 180.0),
        ("fd77::3", 60.0, 180.0),
        ("10.77.0.4", 0.0, 20.0),
        ("fd77::4", 0.0, 20.0),
    ] {
        let ms = fastest_ping(to);
        assert!((least..most).contains(&ms), "{to}: {ms} ms");
    }
    let counters = settled(&line);
    assert_eq!((counters.captured, counters.emitted, counters.held), (80, 80, 0), "{counters:?}");
    assert_eq!((counters.unmatched, counters.dropped()), (0, 0), "{counters:?}");
}

fn what_no_path_matches_is_not_delayed() {
    let _lab = Lab::new();
    let line = line(&[("10.77.0.3/32", 500)]);
    let ms = fastest_ping("10.77.0.2");
    assert!(ms < 100.0, "{ms} ms");
    let counters = settled(&line);
    assert_eq!((counters.unmatched, counters.emitted), (20, 20), "{counters:?}");
}

fn order_is_kept_and_nothing_is_lost() {
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 30), ("fd77::2/128", 10)]);
    for address in ["10.77.0.2:0", "[fd77::2]:0"] {
        let far = lab.far_socket(address);
        let near = Lab::sender(&far);
        let sent = Instant::now();
        exchange(&near, &far, 3_000, || {});
        assert!(sent.elapsed() >= Duration::from_millis(10));
    }
    let counters = settled(&line);
    assert_eq!((counters.captured, counters.emitted, counters.dropped()), (6_000, 6_000, 0), "{counters:?}");
}

/// Sends numbered packets, few enough at a time for the receiver's buffer, and calls `between` after each group.
/// All of them must arrive, in order.
fn exchange(near: &std::net::UdpSocket, far: &std::net::UdpSocket, count: u32, mut between: impl FnMut()) {
    const GROUP: u32 = 100;
    let mut buffer = [0; 64];
    for group in 0..count / GROUP {
        for number in 0..GROUP {
            near.send(&(group * GROUP + number).to_be_bytes()).unwrap();
        }
        between();
        for number in 0..GROUP {
            let length = far.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], (group * GROUP + number).to_be_bytes());
        }
    }
}

fn bulk_transfers_keep_their_large_segments() {
    let lab = Lab::new();
    let memory = resident();
    let line = line(&[("10.77.0.2/32", 10)]);
    let words = lab.far_words("iperf3 --server --one-off --forceflush");
    let mut server = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Server listening")));
    let report = run("iperf3 --json --time 2 --client 10.77.0.2");
    drop(lines);
    server.wait().unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let received = &report["end"]["sum_received"];
    let bits = received["bits_per_second"].as_f64().unwrap();
    let counters = settled(&line);
    assert!(bits > 200e6, "{bits} bit/s, {counters:?}");
    assert_eq!((counters.dropped(), counters.failure.clone()), (0, None), "{counters:?}");
    let bytes = received["bytes"].as_f64().unwrap();
    assert!(bytes / counters.captured as f64 > 5_000.0, "segments were split: {bytes} bytes, {counters:?}");
    until("returning memory", || resident() < memory + (2 << 20));
}

/// The memory of this process in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn tables_change_under_traffic() {
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 20)]);
    let far = lab.far_socket("10.77.0.2:0");
    let near = Lab::sender(&far);
    let tables = [
        table(&[("10.77.0.2/32", 1)]),
        table(&[("10.77.0.0/24", 5)]),
        table(&[("10.77.0.2/32", 20), ("fd77::/64", 3)]),
    ];
    let mut changes = tables.iter().cycle();
    exchange(&near, &far, 3_000, || {
        let next = changes.next().unwrap();
        line.set_paths(next).unwrap();
        assert_eq!(&line.paths(), next);
    });
    let counters = settled(&line);
    assert_eq!((counters.emitted, counters.unmatched, counters.dropped()), (3_000, 0, 0), "{counters:?}");
}

/// Packets go out 10,000 a second, as far as the receiver's buffer has room for those under way, while the delay is changed a
/// thousand times.
fn a_thousand_updates_at_ten_thousand_packets_a_second_lose_nothing() {
    const PACKETS: u32 = 20_000;
    /// Small packets that a receive buffer of the usual size holds for sure.
    const UNDER_WAY: u32 = 200;
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 20)]);
    let far = lab.far_socket("10.77.0.2:0");
    let near = Lab::sender(&far);
    let begun = Instant::now();
    let arrived = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&arrived);
    let full = move |number: u32| number - arrived.load(std::sync::atomic::Ordering::Relaxed) >= UNDER_WAY;
    let sending = std::thread::spawn(move || {
        for number in 0..PACKETS {
            // Overdue packets follow at once; a machine that is too slow sends for longer.
            while begun.elapsed() < Duration::from_micros(100) * number || full(number) {
                std::thread::sleep(Duration::from_micros(50));
            }
            near.send(&number.to_be_bytes()).unwrap();
        }
    });
    let receiving = std::thread::spawn(move || {
        let mut seen = vec![false; PACKETS as usize];
        let mut buffer = [0; 64];
        for _ in 0..PACKETS {
            let length = far.recv(&mut buffer).unwrap();
            seen[u32::from_be_bytes(buffer[..length].try_into().unwrap()) as usize] = true;
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        seen.iter().filter(|seen| **seen).count()
    });
    for update in 0..1_000u64 {
        line.set_paths(&table(&[("10.77.0.2/32", 1 + update * 7 % 18)])).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    sending.join().unwrap();
    assert_eq!(receiving.join().unwrap(), PACKETS as usize);
    let counters = settled(&line);
    assert_eq!((counters.emitted, counters.unmatched, counters.dropped()), (u64::from(PACKETS), 0, 0), "{counters:?}");
}

fn stopping_emits_what_is_held() {
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 50_000)]);
    let far = lab.far_socket("10.77.0.2:0");
    let near = Lab::sender(&far);
    exchange_on_stop(&near, &far, line);
}

fn exchange_on_stop(near: &std::net::UdpSocket, far: &std::net::UdpSocket, line: Line) {
    for number in 0..100u32 {
        near.send(&number.to_be_bytes()).unwrap();
    }
    until("holding 50 packets", || line.counters().held >= 50);
    drop(line);
    let mut buffer = [0; 64];
    for number in 0..100u32 {
        let length = far.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], number.to_be_bytes());
    }
}

/// Processor ticks and voluntary context switches of the line's thread.
fn activity() -> (u64, u64) {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_line = |task: &std::path::PathBuf| std::fs::read_to_string(task.join("comm")).unwrap().trim() == THREAD_NAME;
    let task = tasks.into_iter().find(is_line).unwrap();
    let stat = std::fs::read_to_string(task.join("stat")).unwrap();
    let ticks = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    (ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum(), switches.trim().parse().unwrap())
}

fn a_line_at_rest_uses_no_processor() {
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 5)]);
    let far = lab.far_socket("10.77.0.2:0");
    exchange(&Lab::sender(&far), &far, 1_000, || {});
    until("the line coming to rest", || {
        let before = activity();
        std::thread::sleep(Duration::from_millis(300));
        activity() == before
    });
    assert_eq!(line.counters().held, 0);
}

fn small_receive_buffers_are_added_up() {
    let lab = Lab::new();
    let config = LineConfig { receive_buffer: Some(212_992), ..LineConfig::default() };
    let line = Line::start(&config).unwrap();
    line.set_paths(&table(&[("10.77.0.2/32", 100)])).unwrap();
    let counters = line.counters();
    assert!(counters.receive_sockets > 8 && counters.receive_buffer > 16 << 20, "{counters:?}");
    let far = lab.far_socket("10.77.0.2:0");
    exchange(&Lab::sender(&far), &far, 1_000, || {});
    let counters = settled(&line);
    assert_eq!((counters.captured, counters.dropped()), (1_000, 0), "{counters:?}");
}

fn memory_is_capped() {
    let lab = Lab::new();
    let config = LineConfig { memory: 10_000, ..LineConfig::default() };
    let line = Line::start(&config).unwrap();
    line.set_paths(&table(&[("10.77.0.2/32", 50_000)])).unwrap();
    let far = lab.far_socket("10.77.0.2:0");
    let near = Lab::sender(&far);
    for _ in 0..100 {
        near.send(&[0; 500]).unwrap();
    }
    until("taking in 100 packets", || line.counters().captured == 100);
    let counters = line.counters();
    assert!((10..20).contains(&counters.held), "{counters:?}");
    assert_eq!(counters.held + counters.dropped_memory, 100, "{counters:?}");
}

fn an_interface_that_is_down_costs_packets_but_not_the_line() {
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 200)]);
    let far = lab.far_socket("10.77.0.2:0");
    let near = Lab::sender(&far);
    near.send(&[1]).unwrap();
    until("holding the packet", || line.counters().held == 1);
    run("ip link set eth0 down");
    until("dropping the packet and saying why", || {
        let counters = line.counters();
        counters.dropped_emit == 1 && counters.failure.is_some()
    });
    let failure = line.counters().failure.unwrap();
    assert!(failure.starts_with("cannot emit on `eth0`: "), "{failure}");
    run("ip link set eth0 up");
    run("ip neighbour replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev eth0");
    exchange(&near, &far, 100, || {});
    assert_eq!(settled(&line).emitted, 100);
}

fn a_vanished_interface_ends_the_line() {
    let missing = Line::start(&LineConfig { capture: "lh9".to_owned(), ..LineConfig::default() });
    assert!(matches!(missing, Err(LineError::NoInterface { interface }) if interface == "lh9"));
    let lab = Lab::new();
    let line = line(&[("10.77.0.2/32", 500)]);
    let far = lab.far_socket("10.77.0.2:0");
    Lab::sender(&far).send(&[1]).unwrap();
    until("holding the packet", || line.counters().held == 1);
    run("ip link delete eth0");
    until("the end of the line", || line.counters().failure.is_some());
    until("refusing tables", || matches!(line.set_paths(&table(&[])), Err(LineError::Stopped { .. })));
    let failure = line.counters().failure.unwrap();
    assert!(failure.starts_with("cannot emit on `eth0`: "), "{failure}");
}

fn a_vanished_capture_ends_the_line() {
    let _lab = Lab::new();
    for receive_buffer in [None, Some(212_992)] {
        let line = Line::start(&LineConfig { receive_buffer, ..LineConfig::default() }).unwrap();
        run("ip link delete lh0");
        until("the end of the line", || line.counters().failure.is_some());
        let failure = line.counters().failure.unwrap();
        assert!(failure.starts_with("cannot capture on `lh1`: "), "{failure}");
        run("ip link add lh0 type veth peer name lh1");
        run("ip link set lh0 addrgenmode none up");
        run("ip link set lh1 addrgenmode none up");
    }
}
