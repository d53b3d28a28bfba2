//! Capture by a BPF program: others' programs and filters beside it, interfaces that come again, owners that do not answer.

use super::*;
use crate::tc::bpf;

/// A test for which only the capture by program matters; it needs the first user namespace.
fn inside_by_program(test: &str, body: impl FnOnce()) {
    inside(&format!("program::{test}"), || {
        if by_program() {
            body();
        }
    });
}

fn index_of(interface: &str) -> u32 {
    let shown = run(&format!("ip -o link show dev {interface}"));
    shown.split(':').next().unwrap().parse().unwrap()
}

fn names_on(interface: &str) -> Vec<String> {
    bpf::names_on(index_of(interface))
}

#[test]
fn others_programs_and_filters_stay_as_they_are_all_the_time() {
    inside_by_program("others_programs_and_filters_stay_as_they_are_all_the_time", || {
        let _lab = Lab::new();
        run("tc qdisc add dev eth0 clsact");
        run(
            "tc filter add dev eth0 egress protocol ip pref 7 u32 match ip dst 10.88.0.1 action mirred egress redirect dev lo",
        );
        run("tc qdisc add dev eth0 root handle 1: htb default 0");
        let filters = || uncounted(&run("tc -j qdisc show dev eth0")) + &run("tc -j filter show dev eth0 egress");
        let before = filters();
        let _first = bpf::other_program("first", index_of("eth0"));
        let _second = bpf::other_program("second", index_of("eth0"));
        let mut tc = KernelTc::open("eth0").unwrap();
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        assert_eq!(names_on("eth0"), ["first", "second", "longhaul"]);
        assert_eq!(filters(), before);
        assert!(fastest_ping("10.77.0.2") > 20.0);
        let _third = bpf::other_program("third", index_of("eth0"));
        impair(&mut tc, &row(&[("10.77.0.2/32", 30)]), Backend::Userspace, &two_steps()).unwrap();
        assert_eq!(names_on("eth0"), ["first", "second", "longhaul", "third"]);
        assert_eq!(filters(), before);
        clear(&mut tc).unwrap();
        assert_eq!(names_on("eth0"), ["first", "second", "third"]);
        assert_eq!(filters(), before);
    });
}

#[test]
fn filters_of_others_see_packets_before_ours() {
    inside_by_program("filters_of_others_see_packets_before_ours", || {
        let _lab = Lab::new();
        let tcx = || beside_others("eth0", two_steps()).tcx;
        assert_eq!(tcx(), Ability::Present);
        run("tc qdisc add dev eth0 clsact");
        run("tc filter add dev eth0 ingress protocol ip pref 7 u32 match ip dst 10.88.0.1 classid 1:1");
        assert_eq!(tcx(), Ability::Present, "on the ingress they are in nobody's way");
        run("tc filter add dev eth0 egress protocol ip pref 7 u32 match ip dst 10.88.0.1 classid 1:1");
        assert_eq!(
            tcx(),
            Ability::missing(
                "`eth0` has filters of others on its egress, which must see packets first",
                "not needed for delays: filters of ours stand behind theirs"
            )
        );
    });
}

/// What an agent keeps is enough for everything, reading back included.
#[test]
fn two_capabilities_are_enough() {
    let test = "program::two_capabilities_are_enough";
    if std::env::var_os(INSIDE).is_none() {
        return match abilities::probe().tcx {
            Ability::Present => {
                let few = ["--net", "setpriv", "--bounding-set", "-all,+net_admin,+net_raw,+bpf"];
                run_inside(test, BY_PROGRAM, &few);
            }
            Ability::Missing { .. } => inside(test, || {}),
        };
    }
    if !by_program() {
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("CapEff:\t0000008000003000"), "{status}");
    run("ip link add eth0 type veth peer name far");
    run("ip link set eth0 up");
    let mut tc = with_memory_line();
    let abilities = Abilities { tcx: Ability::Present, ..Abilities::all() };
    impair(&mut tc, &some_row(), Backend::Userspace, &abilities).unwrap();
    assert!(tc.current().unwrap().contains(&Key::Program));
    impair(&mut tc, &row(&[("10.77.0.2/32", 30)]), Backend::Userspace, &abilities).unwrap();
    clear(&mut tc).unwrap();
    sweep("eth0").unwrap();
}

#[test]
fn an_interface_that_is_made_anew_is_captured_again() {
    inside_by_program("an_interface_that_is_made_anew_is_captured_again", || {
        let lab = Lab::new();
        let mut tc = KernelTc::open("eth0").unwrap();
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        let wanted = tc.current().unwrap();
        run("ip link delete eth0");
        let gone = tc.current().unwrap();
        assert!(!gone.contains(&Key::Program), "the kernel took the program off");
        lab.connect();
        let again = tc.current().unwrap();
        assert!(!again.contains(&Key::Program) && !again.iter().any(|(key, _)| matches!(key, Key::Line(_))));
        assert!(fastest_ping("10.77.0.2") < 20.0);
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        assert_eq!(tc.current().unwrap(), wanted);
        assert!(fastest_ping("10.77.0.2") > 20.0);
        // The pair may go too.
        run("ip link delete lh0");
        assert!(!tc.current().unwrap().contains(&Key::Device(DeviceKind::Veth)));
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        assert_eq!(tc.current().unwrap(), wanted);
        assert!(fastest_ping("10.77.0.2") > 20.0);
        clear(&mut tc).unwrap();
    });
}

#[test]
fn a_program_whose_owner_does_not_answer_is_swept() {
    inside_by_program("a_program_whose_owner_does_not_answer_is_swept", || {
        let _lab = Lab::new();
        let before = everything();
        let mut silent = KernelTc::open("eth0").unwrap();
        impair(&mut silent, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        let mut other = with_memory_line();
        let error = impair(&mut other, &some_row(), Backend::Userspace, &two_steps()).unwrap_err().to_string();
        assert!(error.starts_with("another longhaul has its capture program (number "), "{error}");
        sweep("eth0").unwrap();
        assert_eq!(names_on("eth0"), Vec::<String>::new());
        assert_eq!(everything(), before);
        assert!(fastest_ping("10.77.0.2") < 20.0);
        assert_eq!(silent.current().unwrap().iter().filter(|(key, _)| matches!(key, Key::Program)).count(), 0);
        impair(&mut silent, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        for dry in [true, false] {
            let removal = remove_all(None, dry).unwrap();
            assert_eq!(removal.removed, ["the capture program of eth0", "lh0"]);
            assert_eq!(names_on("eth0").is_empty(), !dry);
        }
        assert_eq!(everything(), before);
    });
}

#[test]
fn the_capture_can_change_under_way() {
    inside_by_program("the_capture_can_change_under_way", || {
        let _lab = Lab::new();
        let before = everything();
        let mut tc = KernelTc::open("eth0").unwrap();
        let filters = Abilities { tcx: Ability::missing("test", "none"), ..two_steps() };
        impair(&mut tc, &some_row(), Backend::Userspace, &filters).unwrap();
        let ping = Command::new("ping")
            .args("-q -n -c 300 -i 0.002 -W 5 10.77.0.2".split(' '))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for abilities in [&two_steps(), &filters].into_iter().cycle().take(10) {
            impair(&mut tc, &some_row(), Backend::Userspace, abilities).unwrap();
            assert_eq!(names_on("eth0").is_empty(), !abilities.tcx.is_present());
            assert_eq!(run("tc filter show dev eth0 egress").is_empty(), abilities.tcx.is_present());
        }
        let report = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
        assert!(report.contains(" 0% packet loss"), "{report}");
        let least = report.split("min/avg/max/mdev = ").nth(1).unwrap().split('/').next().unwrap();
        assert!(least.parse::<f64>().unwrap() > 19.9, "none went undelayed: {report}");
        clear(&mut tc).unwrap();
        assert_eq!(everything(), before);
    });
}

/// Prints how long the tables take; the bounds are loose.
#[test]
fn ten_thousand_destinations_are_quick() {
    inside_by_program("ten_thousand_destinations_are_quick", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        for (count, abilities) in [1_000, 10_000].into_iter().flat_map(|count| {
            [(count, two_steps()), (count, Abilities { tcx: Ability::missing("test", "none"), ..two_steps() })]
        }) {
            let capture = if abilities.tcx.is_present() { "program" } else { "filters" };
            for (what, row) in [("apply", wide_row(count / 2, 50, 10)), ("clear", Row::default())] {
                let start = Instant::now();
                let applied = impair(&mut tc, &row, Backend::Userspace, &abilities).unwrap();
                println!(
                    "{capture}: {what} {count}: {} operations, {:.1} ms",
                    applied.operations,
                    start.elapsed().as_secs_f64() * 1e3
                );
                assert!(start.elapsed() < Duration::from_secs(60));
            }
        }
    });
}

/// Nanoseconds that sending a datagram to `to` takes at best.
fn cost_of_sending(to: &str) -> f64 {
    const COUNT: u32 = 1_000;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let address: std::net::SocketAddr = format!("{to}:9").parse().unwrap();
    let batch = || {
        let start = Instant::now();
        for _ in 0..COUNT {
            socket.send_to(&[0; 64], address).unwrap();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
    };
    (0..40).map(|_| batch()).fold(f64::INFINITY, f64::min)
}

/// Prints what either capture costs a packet, captured and not; the bounds are loose.
#[test]
fn either_capture_costs_a_packet_little() {
    inside_by_program("either_capture_costs_a_packet_little", || {
        let _lab = Lab::new();
        // The far side drops what is not for its own hardware address, and nobody takes up what comes out of the pair.
        for host in [88, 99] {
            run(&format!("ip neighbour add 10.77.0.{host} lladdr 02:00:00:00:00:07 dev eth0 nud permanent"));
        }
        let mut tc = with_memory_line();
        let filters = Abilities { tcx: Ability::missing("test", "none"), ..two_steps() };
        let bare = cost_of_sending("10.77.0.99");
        println!("without a capture: {bare:.0} ns");
        for (capture, abilities) in [("filters", &filters), ("program", &two_steps())] {
            for count in [1, 1_000] {
                let mut wanted = wide_row(count / 2, 50, 10);
                wanted.paths.extend(row(&[("10.77.0.88/32", 10)]).paths);
                impair(&mut tc, &wanted, Backend::Userspace, abilities).unwrap();
                let [captured, other] = ["10.77.0.88", "10.77.0.99"].map(cost_of_sending);
                println!("{capture}, {count} destinations: captured {captured:.0} ns, others {other:.0} ns");
                assert!(other < bare + 20_000.0 && captured < bare + 50_000.0, "{capture}");
                clear(&mut tc).unwrap();
            }
        }
    });
}
