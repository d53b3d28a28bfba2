//! What an inventory may say, and the exact complaint about everything else.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const HEAD: &str = "apiVersion: longhaul/v1\ntestbed: edge\n";
const TWO: &str = "hosts:\n  - {name: a, addresses: [10.0.0.1]}\n  - {name: b, addresses: [10.0.0.2]}\n";

fn complaint(text: &str) -> String {
    parse("hosts.yaml", text).unwrap_err().to_string()
}

#[test]
fn defaults_hold_where_a_host_says_nothing() {
    let text = "\
apiVersion: longhaul/v1
testbed: edge
sshCommand: [ssh, -F, edge.conf]
defaults:
  user: root
  port: 2222
  sshOptions: [IdentityFile=~/.ssh/edge]
  agent: /opt/longhaul-agent
  interface: eth1
hosts:
  - name: paris
    ssh: 192.0.2.11
    addresses: [10.0.0.1, \"fd00::1\", 10.0.0.9]
    networks: [10.42.1.0/24]
  - name: tokyo
    ssh: \"me@[2001:db8::7]:22\"
    sshOptions: [\"ProxyJump gate\"]
    agent: longhaul-agent
    sudo: true
    interface: auto
    addresses: [10.0.0.2]
";
    let inventory = parse("hosts.yaml", text).unwrap();
    assert_eq!(inventory.ssh_command.as_deref(), Some(["ssh", "-F", "edge.conf"].map(str::to_owned).as_slice()));
    let [paris, tokyo] = inventory.hosts.as_slice() else { panic!("{inventory:?}") };
    assert_eq!(
        (paris.ssh.to_string(), tokyo.ssh.to_string()),
        ("root@192.0.2.11:2222".into(), "me@[2001:db8::7]:22".into())
    );
    assert_eq!(tokyo.ssh.destination(), "me@2001:db8::7");
    assert_eq!((paris.agent.as_deref(), tokyo.agent.as_deref()), (Some("/opt/longhaul-agent"), Some("longhaul-agent")));
    assert_eq!(tokyo.ssh_options, ["IdentityFile=~/.ssh/edge", "ProxyJump gate"]);
    assert_eq!((&paris.interface, &tokyo.interface), (&Interface::Named("eth1".into()), &Interface::Auto));
    assert_eq!((paris.sudo, tokyo.sudo), (false, true));
    assert_eq!((paris.addresses.len(), paris.networks.len()), (3, 1));
}

#[test]
fn a_name_is_an_alias_of_ssh() {
    let inventory = parse("hosts.yaml", &format!("{HEAD}{TWO}")).unwrap();
    assert_eq!(inventory.hosts[1].ssh, SshTarget { user: None, host: "b".into(), port: None });
}

#[test]
fn every_mistake_has_its_place_and_its_remedy() {
    let two = |first: &str| format!("{HEAD}hosts:\n  - {{{first}}}\n  - {{name: b, addresses: [10.0.0.2]}}\n");
    let cases = [
        (
            "apiVersion: longhaul/v2\ntestbed: edge\nhosts: []\n".to_owned(),
            "1:13: apiVersion is `longhaul/v2`; this longhaul reads longhaul/v1",
        ),
        (
            "apiVersion: longhaul/v1\ntestbed: a b\nhosts: []\n".to_owned(),
            "2:10: `a b` cannot name a testbed: use up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
        ),
        (format!("{HEAD}hosts: []\n"), "3:8: a testbed has 2 to 1000 hosts, here are 0"),
        (
            format!("{HEAD}sshCommand: []\n{TWO}"),
            "3:13: sshCommand names no program; write for example [ssh, -F, edge.conf]",
        ),
        (
            two("name: a, ssh: root@, addresses: [10.0.0.1]"),
            "4:20: `root@` names no host; write user@host:port or an alias of your ssh config",
        ),
        (
            two("name: a, ssh: -oProxyCommand=x, addresses: [10.0.0.1]"),
            "4:20: `-oProxyCommand=x` names no host; write user@host:port or an alias of your ssh config",
        ),
        (two("name: a, ssh: \"h:0\", addresses: [10.0.0.1]"), "4:20: `0` is no port; use 1 to 65535"),
        (
            two("name: New York, addresses: [10.0.0.1]"),
            "4:12: host `New York` has no ssh target: `New York` names no host; write user@host:port or an alias of your ssh config",
        ),
        (
            two("name: a, sshOptions: [-v], addresses: [10.0.0.1]"),
            "4:28: `-v` is no option of ssh; write for example IdentityFile=~/.ssh/edge",
        ),
        (
            two("name: a, agent: ~/agent, addresses: [10.0.0.1]"),
            "4:22: `~/agent` cannot be the agent's program; write a path such as /usr/local/bin/longhaul-agent; one without `/` at its start is below the home folder",
        ),
        (
            two("name: a, interface: eth 1, addresses: [10.0.0.1]"),
            "4:26: `eth 1` cannot be an interface; write its name, such as eth1, or auto",
        ),
        (
            two("name: a, addresses: [10.0.0.1/24]"),
            "4:27: `10.0.0.1/24` is no IP address; networks have a field of their own",
        ),
        (
            two("name: a, addresses: [fe80::1]"),
            "4:27: `fe80::1` does not reach one host from all others; write a routable address",
        ),
        (two("name: a, addresses: [10.0.0.2]"), "5:27: `10.0.0.2` belongs to host `a` already"),
        (
            two("name: a, addresses: [10.0.0.1], networks: [10.0.0.2/32]"),
            "5:27: `10.0.0.2` belongs to host `a` already",
        ),
        (
            two("name: a, addresses: [10.0.0.1], networks: [10.42.1.1/24]"),
            "4:49: `10.42.1.1/24` has bits behind its prefix; the network is 10.42.1.0/24",
        ),
        (
            two("name: a, addresses: [10.0.0.1], networks: [0.0.0.0/0]"),
            "4:49: `0.0.0.0/0` is everything, not what is behind one host",
        ),
        (two("name: b, addresses: [10.0.0.1]"), "5:12: the name `b` was given in line 4 already"),
        (
            two("name: a, ssh: b, addresses: [10.0.0.1]"),
            "5:12: `b` is the ssh target of `a` already; a host is one node",
        ),
        (two("name: a"), "4:12: host `a` has neither addresses nor the name of an interface; write one of them"),
        (
            two("name: a, interface: eth0"),
            "5:12: the interface of host `b` is to be found by the routes to the others, but none has addresses; name it",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(&text), format!("hosts.yaml:{expected}"), "in\n{text}");
    }
}

#[test]
fn what_is_no_inventory_is_refused_with_its_place() {
    for (text, place, part) in [
        (format!("{HEAD}{TWO}user: root\n"), "6:1", "user"),
        (format!("{HEAD}hosts:\n  - {{nam: a}}\n"), "4:6", "nam"),
        (format!("{HEAD}defaults: {{port: 70000}}\n{TWO}"), "3:18", "70000"),
        (format!("{HEAD}hosts: 5\n"), "3:8", ""),
        (String::new(), "1:1", ""),
        ("a: [".to_owned(), "1:", ""),
    ] {
        let said = complaint(&text);
        assert!(said.starts_with(&format!("hosts.yaml:{place}")) && said.contains(part), "{said}\nof\n{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9:{}\\[\\],\"&*|>@./ \n-]{0,200}") {
        let _ = parse("x", &text);
        let _ = parse("x", &format!("{HEAD}{text}"));
    }

    #[test]
    fn targets_are_printed_as_they_are_read(user in prop::option::of("[a-z]{1,8}"), host in "[a-z0-9]{1,9}|[a-f0-9]{1,4}(:[a-f0-9]{1,4}){2,7}", port in prop::option::of(1u16..)) {
        let target = SshTarget { user, host, port };
        prop_assert_eq!(SshTarget::read(&target.to_string()), Ok(target));
    }
}
