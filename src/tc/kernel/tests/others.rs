//! What others have made: it stays, it is in the way and named, or it comes to stand on what is ours.

use super::*;

#[test]
fn what_others_have_made_stays_as_it_is() {
    inside("others::what_others_have_made_stays_as_it_is", || {
        let _lab = Lab::new();
        run("tc qdisc add dev eth0 root handle 1: htb default 0");
        run("tc class add dev eth0 parent 1: classid 1:10 htb rate 1gbit");
        run("tc filter add dev eth0 parent 1: protocol ip pref 5 u32 match ip dst 10.5.0.0/16 flowid 1:10");
        run("tc qdisc add dev eth0 clsact");
        run(
            "tc filter add dev eth0 egress protocol ip pref 7 u32 match ip dst 10.88.0.1 action mirred egress redirect dev lo",
        );
        run("tc filter add dev eth0 ingress protocol all pref 9 u32 match u32 0 0 at 0 classid 1:1");
        let before = everything();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            assert_ne!(everything(), before);
            impair(tc, &row(&[("10.77.0.2/32", 10)]), backend, &two_steps()).unwrap();
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            clear(tc).unwrap();
            assert_eq!(everything(), before, "{backend}");
            // And the tables are free again for the next time.
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            clear(tc).unwrap();
        });
    });
}

#[test]
fn sweeping_takes_away_what_clearing_refuses() {
    inside_with_filters("others::sweeping_takes_away_what_clearing_refuses", || {
        let _lab = Lab::new();
        let before = everything();
        sweep("eth0").unwrap();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            run("tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.88.0.1 flowid 1:1");
            clear(tc).unwrap_err();
            sweep("eth0").unwrap();
            assert_eq!(everything(), before, "{backend}");

            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            sweep("eth0").unwrap();
            assert_eq!(everything(), before, "{backend}");
        });
        sweep("no-such-interface").unwrap();
        assert_eq!(everything(), before);
    });
}

#[test]
fn our_hook_goes_unless_others_have_come_to_use_it() {
    inside_with_filters("others::our_hook_goes_unless_others_have_come_to_use_it", || {
        let _lab = Lab::new();
        let before = everything();
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            // Another process takes over, as after a restart of the agent.
            restart(tc);
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            restart(tc);
            clear(tc).unwrap();
            assert_eq!(everything(), before, "{backend}");

            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            run("tc filter add dev eth0 ingress protocol ip pref 9 u32 match ip dst 10.88.0.1 classid 1:1");
            clear(tc).unwrap();
            assert!(run("tc filter show dev eth0 ingress").contains("pref 9"), "{backend}");
            assert_eq!(run("tc filter show dev eth0 egress"), "", "{backend}");
            run("tc qdisc delete dev eth0 clsact");
            assert_eq!(everything(), before, "{backend}");
        });
    });
}

#[test]
fn what_is_in_the_way_is_named() {
    inside_with_filters("others::what_is_in_the_way_is_named", || {
        let _lab = Lab::new();
        let mut tc = with_memory_line();
        let mut refusal = |set: &str, unset: &str| {
            run(set);
            let error = impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap_err().to_string();
            run(unset);
            error
        };
        assert_eq!(
            refusal("tc qdisc add dev eth0 ingress", "tc qdisc del dev eth0 ingress"),
            "the hook of eth0 holds an ingress qdisc, which keeps clsact out, which is not ours; remove it first; \
             everything is as it was before"
        );
        assert_eq!(
            refusal("ip link add lh0 type bridge", "ip link del lh0"),
            "cannot read the state of traffic control: `lh0` exists and is not ours (alias None); rename or delete it"
        );
        run("ip link add lh0 type ifb");
        assert_eq!(
            refusal("ip link set lh0 alias longhaul:eth7", "ip link del lh0"),
            "cannot read the state of traffic control: `lh0` serves interface `eth7` already; one interface of a network \
             namespace can be impaired at a time"
        );
        run("tc qdisc add dev eth0 clsact");
        assert_eq!(
            refusal(
                "tc filter add dev eth0 egress protocol ip pref 19528 u32 match ip dst 10.0.0.1 classid 1:1",
                "tc qdisc del dev eth0 clsact"
            ),
            "cannot read the state of traffic control: the egress hook of eth0 holds a u32 filter at preference 19528 with \
             handle 80000800, which is not ours; remove it first"
        );
    });
}
