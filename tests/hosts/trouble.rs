//! What goes wrong on hosts, and the words for it.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::bridged_nodes::{v4, v6};
use super::ground::{Ground, by_v4, in_own_namespaces};

fn addresses(host: usize) -> String {
    format!("addresses: [{}, \"{}\"]", v4(host), v6(host))
}

#[test]
fn what_ssh_refuses_is_said_and_nothing_is_changed() {
    in_own_namespaces("trouble::what_ssh_refuses_is_said_and_nothing_is_changed", || {
        let mut ground = Ground::new(3);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", "0,10,10\n10,0,10\n10,10,0\n");
        let apply = ["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"];
        let good = fs::read_to_string(ground.path("ssh_config")).unwrap();

        ground.write("ssh_config", &ground.ssh_config("other_key", "known_hosts"));
        let (_, error) = ground.ends(&apply, 2);
        let denied = "  n2: ssh: permission denied (publickey): check the user and the key that ssh uses for it\n";
        assert!(error.starts_with("error: 3 nodes failed:\n") && error.contains(denied), "{error}");

        ground.write("empty", "");
        ground.write("ssh_config", &ground.ssh_config("user_key", "empty"));
        let (_, error) = ground.ends(&apply, 2);
        let unknown = "ssh: its host key is not known here; connect to it once by hand, or add it to known_hosts\n";
        assert!(error.contains(unknown), "{error}");

        ground.write("ssh_config", &good);
        let agent = ground.path("h1/bin/longhaul-agent");
        fs::remove_file(&agent).unwrap();
        let (_, error) = ground.ends(&apply, 2);
        assert!(
            error.starts_with("error: node `n2`: ")
                && error.contains(
                    "longhaul-agent: not found: push the agent with --push, or say where it is with `agent`\n"
                ),
            "{error}"
        );

        fs::write(&agent, "#!/bin/sh\nread hello\necho 'welcome'\necho '{\"id\":1,\"response\":{\"hello\":{\"version\":\"0.0.1\"}}}'\necho '{\"id\":2,\"response\":{\"hello\":{\"version\":\"0.0.1\"}}}'\ncat > /dev/null\n").unwrap();
        fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (_, error) = ground.ends(&apply, 2);
        assert!(error.contains("node `n2`: its agent is of longhaul 0.0.1, this is longhaul 0.1.0"), "{error}");

        ground.end_server(2);
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 1);
        let refused = "ssh: connect to host 10.9.0.3 port 22: Connection refused";
        assert!(table.contains(refused) && table.contains("2 of 3 nodes differ"), "{table}");
        for host in 0..3 {
            assert!(ground.is_clear_within(host, Duration::from_secs(1)), "host {host} was changed");
        }
    });
}

#[test]
fn interfaces_are_found_by_the_routes() {
    in_own_namespaces("trouble::interfaces_are_found_by_the_routes", || {
        let ground = Ground::new(2);
        ground.on(0, "ip link add br9 type bridge");
        ground.on(0, "ip link set br9 up");
        ground.on(0, "ip route add 10.200.0.0/16 dev br9");
        ground.inventory("edge.yaml", by_v4, |host| {
            let further = if host == 1 { ", 10.200.0.1" } else { "" };
            format!("addresses: [{}{further}]", v4(host))
        });
        let (table, _) = ground.ends(&["status", "--hosts", "edge.yaml"], 1);
        let words = "the other nodes are behind different interfaces (10.9.0.2 by eth0, 10.200.0.1 by br9); name the one to impair";
        assert!(table.contains(words), "{table}");
        ground.inventory("swapped.yaml", by_v4, |host| format!("interface: eth0, addresses: [{}]", v4(1 - host)));
        let (_, error) = ground.ends(&["status", "--hosts", "swapped.yaml"], 2);
        assert_eq!(
            error,
            "error: `10.9.0.2` is the address of host `n1` by the inventory, but host `n2` has it: correct the inventory\n"
        );
    });
}

#[test]
fn an_agent_is_pushed_where_it_is_missing() {
    in_own_namespaces("trouble::an_agent_is_pushed_where_it_is_missing", || {
        let ground = Ground::new(2);
        ground.inventory("edge.yaml", by_v4, addresses);
        for host in 0..2 {
            fs::remove_file(ground.path(&format!("h{host}/bin/longhaul-agent"))).unwrap();
        }
        let status = ["status", "--hosts", "edge.yaml"];
        let pushing = ["status", "--hosts", "edge.yaml", "--push"];
        ground.ends(&status, 1);
        ground.ends(&pushing, 0);
        // The next call needs no --push, and another --push copies nothing.
        ground.ends(&status, 0);
        let pushed = || {
            let all = fs::read_dir(ground.path("h1/cache/longhaul")).unwrap();
            all.map(|one| std::os::unix::fs::MetadataExt::ino(&one.unwrap().metadata().unwrap())).collect::<Vec<_>>()
        };
        let before = pushed();
        ground.ends(&pushing, 0);
        assert_eq!((pushed(), before.len()), (before, 1));
        // One that is broken is replaced.
        let name = fs::read_dir(ground.path("h1/cache/longhaul")).unwrap().next().unwrap().unwrap().path();
        // A file that is still being run, as by a keeper that is just ending, cannot be written to; its name can be given away.
        fs::remove_file(&name).unwrap();
        fs::write(&name, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&name, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        ground.ends(&status, 1);
        ground.ends(&pushing, 0);
    });
}

#[test]
fn panic_rids_every_host_that_can_be_reached() {
    in_own_namespaces("trouble::panic_rids_every_host_that_can_be_reached", || {
        let mut ground = Ground::new(4);
        ground.inventory("edge.yaml", by_v4, addresses);
        ground.write("net.csv", "0,10,10,10\n10,0,10,10\n10,10,0,10\n10,10,10,0\n");
        let before: Vec<String> = (0..4).map(|host| ground.everything(host)).collect();
        ground.ends(&["apply", "--hosts", "edge.yaml", "net.csv", "--detach", "--for", "1h"], 0);
        // On one host nothing of ours answers any more, on another one nothing lives that could, and one is out of reach.
        for pid in ground.processes(1) {
            kill(pid, Signal::SIGSTOP).unwrap();
        }
        for pid in ground.processes(2) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        ground.end_server(3);
        let during = ground.everything(0);
        let (would, _) = ground.ends(&["panic", "--hosts", "edge.yaml", "--dry-run"], 2);
        assert!(would.contains("n1: would end: the keeper of eth0 (process "), "{would}");
        assert!(would.contains("n2: would kill: the keeper of eth0, which does not answer\n"), "{would}");
        assert_eq!(ground.everything(0), during, "a dry run changes nothing");
        let (did, _) = ground.ends(&["panic", "--hosts", "edge.yaml"], 2);
        assert!(did.contains("n1: ended: the keeper of eth0 (process "), "{did}");
        assert!(did.contains("n2: killed: the keeper of eth0, which did not answer (processes "), "{did}");
        for (host, before) in before.iter().take(3).enumerate() {
            assert!(did.contains(&format!("n{}: nothing of longhaul is left", host + 1)), "{did}");
            assert_eq!(&ground.everything(host), before, "host {host}");
            assert_eq!(ground.processes(host), [], "host {host}");
        }
        let refused = "n4: not known: ssh: connect to host 10.9.0.4 port 22: Connection refused\n";
        let summary = "3 of 4 hosts are rid of longhaul; 1 could not be reached or have no agent\n";
        assert!(did.contains(refused) && did.ends_with(summary), "{did}");
        assert_ne!(ground.everything(3), before[3], "what cannot be reached keeps its delays");
    });
}
