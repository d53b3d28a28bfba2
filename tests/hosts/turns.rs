//! Several commands at once on the same hosts: what stays is what one of them wanted, never a mixture.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::bridged_nodes::{v4, v6};
use super::ground::{Ground, by_v4, errors_of, in_own_namespaces};

fn addresses(host: usize) -> String {
    format!("addresses: [{}, \"{}\"]", v4(host), v6(host))
}

const SHORT: &str = "0,20,20\n20,0,20\n20,20,0\n";
const LONG: &str = "0,60,60\n60,0,60\n60,60,0\n";

/// The round trips between all pairs of three hosts, in milliseconds, by ping.
fn pings(ground: &Ground) -> [f64; 3] {
    [(0, 1), (1, 2), (0, 2)].map(|(from, to)| ground.ping_ms(from, to))
}

/// An ssh to one of whose hosts an `apply` takes long: of two commands that are slow at different ends the rows would mix.
const SLOW: &str = "\
slow=$1 config=$2
shift 2
case \"$*\" in *\"-- $slow \"*) ;; *) exec ssh -F \"$config\" \"$@\" ;; esac
while read -r line; do
  case $line in *'{\"apply\"'*) sleep 0.7 ;; esac
  printf '%s\\n' \"$line\"
done | ssh -F \"$config\" \"$@\"
";

#[test]
fn two_applies_at_once_leave_the_matrix_of_one() {
    in_own_namespaces("turns::two_applies_at_once_leave_the_matrix_of_one", || {
        let ground = Ground::new(3);
        ground.write("slow.sh", SLOW);
        ground.inventory("edge.yaml", by_v4, addresses);
        let slow_to = |of: &str, host: usize, name: &str| {
            let text = std::fs::read_to_string(ground.path(of)).unwrap();
            let slow = format!("[sh, {}, {}, ", ground.path("slow.sh").display(), v4(host));
            ground.write(name, &text.replace("[ssh, -F, ", &slow));
        };
        slow_to("edge.yaml", 0, "one.yaml");
        // Another order of the same hosts: turns are taken by the names, not by the places.
        ground.reversed("edge.yaml", "egde.yaml");
        slow_to("egde.yaml", 2, "two.yaml");
        ground.write("short.csv", SHORT);
        ground.write("long.csv", LONG);
        for round in 0..3 {
            let files = [ground.path("one.txt"), ground.path("two.txt")];
            let keep = ["--detach", "--for", "1h"];
            let one = ground.start(&[&["apply", "--hosts", "one.yaml", "short.csv"], &keep[..]].concat(), &files[0]);
            let two = ground.start(&[&["apply", "--hosts", "two.yaml", "long.csv"], &keep[..]].concat(), &files[1]);
            for (running, file) in [one, two].into_iter().zip(&files) {
                let said = || std::fs::read_to_string(errors_of(file)).unwrap();
                assert_eq!(running.end(), Some(0), "round {round}: {}", said());
            }
            let found = pings(&ground);
            let short = found.iter().all(|ms| (40.0..80.0).contains(ms));
            let long = found.iter().all(|ms| (120.0..300.0).contains(ms));
            assert!(short || long, "round {round}: a mixture of 40 and 120: {found:?}");
        }
    });
}

#[test]
fn a_verification_has_the_hosts_for_itself_and_a_silent_one_loses_them() {
    in_own_namespaces("turns::a_verification_has_the_hosts_for_itself_and_a_silent_one_loses_them", || {
        let ground = Ground::new(3);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("short.csv", SHORT);
        ground.write("long.csv", LONG);
        let said = ground.path("verify.txt");
        // Some 40 s long: longer than others wait.
        let verify =
            ["verify", "--hosts", "edge.yaml", "short.csv", "--out", "v", "--probes", "200", "--interval", "200ms"];
        let verifying = ground.start(&verify, &said);
        let deadline = Instant::now() + Duration::from_secs(60);
        while ground.ping_ms(0, 1) < 40.0 {
            assert!(Instant::now() < deadline, "nothing is applied");
        }
        let began = Instant::now();
        let (_, error) = ground.ends(&["apply", "--hosts", "edge.yaml", "long.csv", "--detach", "--for", "1h"], 2);
        assert!(error.starts_with("error: host `n1` is being changed by user "), "{error}");
        assert!(error.contains(" since 2") && error.contains("; waited 30s for the end of that: "), "{error}");
        assert!(began.elapsed() >= Duration::from_secs(30));
        assert!(pings(&ground).iter().all(|ms| *ms < 80.0), "what waited in vain has changed nothing");
        // Whoever is silent loses its turn with its lease, and the next one gets it.
        verifying.signal(Signal::SIGSTOP);
        ground.ends(&["apply", "--hosts", "edge.yaml", "long.csv", "--detach", "--for", "1h"], 0);
        assert!(pings(&ground).iter().all(|ms| *ms >= 120.0));
        verifying.signal(Signal::SIGKILL);
        assert_eq!(verifying.end(), None);
        assert!(pings(&ground).iter().all(|ms| *ms >= 120.0));
    });
}
