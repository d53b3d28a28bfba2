//! Services and exclusions with real packets: what the kernel takes, what it leaves to others, and connections both ways.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::tc::oracle::{Probe, any_probe, any_row};

/// What went in and out of an interface, as the kernel counts: packets received and sent.
fn counts(interface: &str) -> [u64; 2] {
    let all = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = all.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:"))).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    [numbers[1], numbers[9]]
}

/// Sends IP packets as they are.
struct RawSockets([std::os::fd::OwnedFd; 2]);

impl RawSockets {
    fn open() -> Self {
        let open = |family| socket(family, SockType::Raw, SockFlag::empty(), SockProtocol::Raw).unwrap();
        Self([AddressFamily::Inet, AddressFamily::Inet6].map(open))
    }

    fn send(&self, probe: &Probe) {
        let packet = probe.packet();
        let sent = match probe.destination {
            IpAddr::V4(to) => {
                let to = SockaddrIn::from(std::net::SocketAddrV4::new(to, 0));
                sendto(self.0[0].as_raw_fd(), &packet, &to, MsgFlags::empty())
            }
            IpAddr::V6(to) => {
                let to = SockaddrIn6::from(std::net::SocketAddrV6::new(to, 0, 0, 0));
                sendto(self.0[1].as_raw_fd(), &packet, &to, MsgFlags::empty())
            }
        };
        assert_eq!(sent, Ok(packet.len()), "{probe:?}");
    }
}

/// Packets of other protocols' own accord go to multicast groups; a path to those would be disturbed by them.
fn takes_multicast(row: &Row) -> bool {
    let selectors = row.paths.iter().flat_map(|path| &path.selectors);
    selectors.clone().any(|selector| selector.prefix.addr().is_ipv6() && selector.prefix.prefix_len() < 8)
}

/// How many packets each delay should have had, against what the classes of the device say.
fn assert_classes(state: &State, expected: &BTreeMap<Delay, u64>, row: &Row) {
    let shown = run("tc -s class show dev lh0");
    let mut found: BTreeMap<Delay, u64> = BTreeMap::new();
    for class in shown.split("class htb ").skip(1) {
        let minor = class.split([':', ' ']).nth(1).unwrap();
        let id = crate::shaping::ClassId::from_minor(u16::from_str_radix(minor, 16).unwrap()).unwrap();
        let Some(Setting::Leaf(netem)) = state.get(&Key::Leaf(id)) else { panic!("no leaf for {minor}") };
        let packets = class.split(" bytes ").nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
        if packets > 0 {
            *found.entry(netem.delay).or_default() += packets;
        }
    }
    assert_eq!(found, *expected, "{row:?}");
}

/// Random rows and packets: the kernel takes exactly those packets that the oracle says, into the class of their delay, and a list
/// of somebody else's behind ours sees all the others, excluded ones among them.
#[test]
fn packets_meet_what_the_oracle_says() {
    inside_with_filters("services::packets_meet_what_the_oracle_says", || {
        let _lab = Lab::new();
        let far = fastest_neighbour();
        for family in ["", "-6 "] {
            let gateway = if family.is_empty() { "10.77.0.2" } else { "fd77::2" };
            run(&format!("ip {family}route add default via {gateway}"));
            run(&format!("ip {family}neighbour replace {gateway} lladdr {far} nud permanent dev eth0"));
        }
        run("ip link add sink0 type veth peer name sink1");
        for device in ["sink0", "sink1"] {
            run(&format!("ip link set {device} addrgenmode none arp off up"));
        }
        run("tc qdisc add dev eth0 clsact");
        // Only what the test sends: the kernel has something to say of its own accord now and then.
        for list in ["ip pref 30000 u32 match ip dst 10.0.0.0/14", "ipv6 pref 30001 u32 match ip6 dst fd00::/16"] {
            let away = "action mirred egress redirect dev sink0";
            run(&format!("tc filter add dev eth0 egress protocol {list} {away}"));
        }
        let sockets = RawSockets::open();
        let mut runner = TestRunner::deterministic();
        let row = any_row().prop_filter("multicast", |row| !takes_multicast(row));
        both(|tc, backend| {
            for abilities in ways() {
                for _ in 0..8 {
                    let row = row.new_tree(&mut runner).unwrap().current();
                    impair(tc, &row, backend, &abilities).unwrap();
                    if !row.paths.is_empty() {
                        try_packets(&row, backend, &sockets, &mut runner, &tc.current().unwrap());
                    }
                    clear(tc).unwrap();
                }
            }
        });
    });
}

/// The far side's hardware address.
fn fastest_neighbour() -> String {
    fastest_ping("10.77.0.2");
    let neighbours = run("ip neighbour show to 10.77.0.2");
    neighbours.split("lladdr ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn try_packets(row: &Row, backend: Backend, sockets: &RawSockets, runner: &mut TestRunner, state: &State) {
    // An intermediate functional block counts what it is given as received, a pair as sent.
    let side = usize::from(backend == Backend::Userspace);
    let start = counts("lh0")[side];
    let (mut taken, mut expected) = (0, BTreeMap::new());
    for _ in 0..60 {
        let probe = any_probe().new_tree(runner).unwrap().current();
        let meets = probe.meets(row).map(|impairment| impairment.delay);
        let before = counts("sink0")[1];
        sockets.send(&probe);
        let left = counts("sink0")[1] - before;
        assert_eq!(left, u64::from(meets.is_none()), "{backend}: {probe:?} should meet {meets:?} of {row:?}");
        taken += u64::from(meets.is_some());
        if let Some(delay) = meets {
            *expected.entry(delay).or_default() += 1;
        }
    }
    let patience = Instant::now();
    while counts("lh0")[side] - start < taken {
        assert!(patience.elapsed() < Duration::from_secs(20), "{backend}: {:?} of {taken}", counts("lh0"));
        std::thread::yield_now();
    }
    assert_eq!(counts("lh0")[side] - start, taken, "{backend}");
    if backend == Backend::Netem {
        assert_classes(state, &expected, row);
    }
}

/// Opens something on the far side.
pub(super) fn there<T: Send + 'static>(lab: &Lab, open: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = format!("/proc/{}/ns/net", lab.far.id());
    let body = move || {
        setns(std::fs::File::open(namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        open()
    };
    std::thread::spawn(body).join().unwrap()
}

/// Answers every connection with one byte, until nobody holds the listener any more.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"!"));
        }
    });
}

/// How long it takes to connect and to be answered, at best of three.
fn connected(to: SocketAddr, from: impl Fn(SocketAddr) -> TcpStream) -> Duration {
    let once = || {
        let start = Instant::now();
        let mut byte = [0];
        from(to).read_exact(&mut byte).unwrap();
        start.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

/// How long a datagram and its answer take, at best of three.
fn echoed(near: &UdpSocket, far: &UdpSocket) -> Duration {
    let once = || {
        let start = Instant::now();
        near.send_to(b"?", far.local_addr().unwrap()).unwrap();
        let (_, from) = far.recv_from(&mut [0; 8]).unwrap();
        far.send_to(b"!", from).unwrap();
        near.recv_from(&mut [0; 8]).unwrap();
        start.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

/// "Everything to this site except one service": connections of that service are quick whichever side began them, all others
/// are slow; TCP and UDP, both families.
#[test]
fn both_directions_of_an_excluded_service_are_quick() {
    inside("services::both_directions_of_an_excluded_service_are_quick", || {
        let lab = Lab::new();
        let (slow, quick) = (Duration::from_millis(150), Duration::from_millis(100));
        for backend in [Backend::Netem, Backend::Userspace] {
            let abilities = ways().pop().unwrap();
            if backend == Backend::Netem && !abilities::probe().netem.is_present() {
                println!("no netem here: that back-end is tested under User-Mode Linux");
                continue;
            }
            let mut tc = KernelTc::open("eth0").unwrap();
            for (here, far) in [("10.77.0.1", "10.77.0.2"), ("fd77::1", "fd77::2")] {
                let any = |address: &str| SocketAddr::new(address.parse().unwrap(), 0);
                let (here, far) = (any(here), any(far));
                let listeners = [here, here].map(|address| TcpListener::bind(address).unwrap());
                let far_listeners = there(&lab, move || [far, far].map(|address| TcpListener::bind(address).unwrap()));
                let far_sockets = there(&lab, move || [far, far].map(|address| UdpSocket::bind(address).unwrap()));
                let near = UdpSocket::bind(here).unwrap();
                for socket in far_sockets.iter().chain([&near]) {
                    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                }
                let port = |address: std::io::Result<SocketAddr>| address.unwrap().port();
                let prefix = if here.is_ipv4() { "10.77.0.0/24" } else { "fd77::/64" };
                let mut row = row(&[(prefix, 150)]);
                row.exclusions = [
                    format!("{prefix} tcp:{}", port(listeners[0].local_addr())),
                    format!("{prefix} tcp:{}", port(far_listeners[0].local_addr())),
                    format!("{prefix} udp:{}", port(far_sockets[0].local_addr())),
                ]
                .map(|text| text.parse().unwrap())
                .to_vec();
                impair(&mut tc, &row, backend, &abilities).unwrap();

                assert!(echoed(&near, &far_sockets[0]) < quick, "{backend} {prefix}: UDP, excluded");
                assert!(echoed(&near, &far_sockets[1]) >= slow, "{backend} {prefix}: UDP");
                let to_far = far_listeners.each_ref().map(|listener| listener.local_addr().unwrap());
                let to_here = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
                far_listeners.into_iter().chain(listeners).for_each(serve);
                let outward = |to| TcpStream::connect(to).unwrap();
                let inward = |to| there(&lab, move || TcpStream::connect(to).unwrap());
                assert!(connected(to_far[0], outward) < quick, "{backend} {prefix}: TCP outward, excluded");
                assert!(connected(to_far[1], outward) >= slow, "{backend} {prefix}: TCP outward");
                assert!(connected(to_here[0], inward) < quick, "{backend} {prefix}: TCP inward, excluded");
                assert!(connected(to_here[1], inward) >= slow, "{backend} {prefix}: TCP inward");
            }
            clear(&mut tc).unwrap();
        }
    });
}

/// What tc says that our list compares, in the order of trial within each bucket.
#[test]
fn tc_shows_what_was_asked_for() {
    inside_with_filters("services::tc_shows_what_was_asked_for", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        let mut row = row(&[("10.5.0.0/16", 10), ("10.5.0.0/16 udp:4096-4111", 20), ("fd05::/64 tcp", 30)]);
        row.exclusions = vec!["10.5.0.0/16 tcp:22".parse().unwrap(), "fd05::/64 udp:53".parse().unwrap()];
        impair(&mut tc, &row, Backend::Userspace, &two_steps()).unwrap();
        let listing = run("tc filter show dev eth0 egress");
        let mut shown = Vec::new();
        for filter in listing.split("filter protocol ").filter(|filter| filter.contains("terminal")) {
            let keys = filter.lines().filter_map(|line| line.trim().strip_prefix("match "));
            let taken = if filter.contains("(Egress Redirect to device lh0) stolen") { "taken" } else { "left" };
            shown.push(format!("{taken}: {}", keys.collect::<Vec<_>>().join(", ")));
        }
        let whole = "05000000/0f000000 at 0, 00000000/00001fff at 4";
        let site = |rest: &str| format!("0a050000/ffff0000 at 16{rest}");
        let six = |rest: &str| format!("fd050000/ffffffff at 24, 00000000/ffffffff at 28, {rest}");
        let beyond = "00000000/00000000 at 16777212";
        let expected = [
            format!("left: {}, {beyond}", site(&format!(", {whole}, 00060000/00ff0000 at 8, 00000016/0000ffff at 20"))),
            format!("left: {}, {beyond}", site(&format!(", {whole}, 00060000/00ff0000 at 8, 00160000/ffff0000 at 20"))),
            format!("taken: {}", site(&format!(", {whole}, 00110000/00ff0000 at 8, 00001000/0000fff0 at 20"))),
            format!("taken: {}", site(&format!(", {whole}, 00110000/00ff0000 at 8, 10000000/fff00000 at 20"))),
            format!("taken: {}", site("")),
            format!("left: {}, {beyond}", six("00001100/0000ff00 at 4, 00000035/0000ffff at 40")),
            format!("left: {}, {beyond}", six("00001100/0000ff00 at 4, 00350000/ffff0000 at 40")),
            format!("taken: {}", six("00000600/0000ff00 at 4")),
            format!("left: 00003aff/0000ffff at 4, 85000000/ff000000 at 40, {beyond}"),
            format!("left: 00003aff/0000ffff at 4, 86000000/fe000000 at 40, {beyond}"),
            format!("left: 00003aff/0000ffff at 4, 88000000/fe000000 at 40, {beyond}"),
        ];
        assert_eq!(shown, expected, "{listing}");
        clear(&mut tc).unwrap();
    });
}
