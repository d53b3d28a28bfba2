//! Failures: undone, told in the kernel's own words, and what vanishes is named.

use super::*;
use crate::shaping::ClassShape;
use crate::tc::codec::htb;

#[test]
fn dropping_the_adapter_of_a_line_removes_its_rules() {
    inside("failures::dropping_the_adapter_of_a_line_removes_its_rules", || {
        let _lab = Lab::new();
        let before = everything();
        let mut tc = KernelTc::open("eth0").unwrap();
        impair(&mut tc, &some_row(), Backend::Userspace, &two_steps()).unwrap();
        drop(tc);
        assert_eq!(everything(), before);
    });
}

#[test]
fn a_failure_in_the_middle_restores_the_former_state() {
    inside("failures::a_failure_in_the_middle_restores_the_former_state", || {
        let _lab = Lab::new();
        let after = row(&[("10.77.0.2/32", 12), ("10.77.0.9/32", 30), ("10.1.0.0/16", 5)]);
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            let state = tc.current().unwrap();
            for count in 0.. {
                tc.fail_after = Some(count);
                match impair(tc, &after, backend, &two_steps()) {
                    Ok(_) => break,
                    Err(ApplyError::Undone(cause)) => assert!(cause.to_string().contains("as the test demands")),
                    Err(other) => panic!("{backend}, after {count}: {other}"),
                }
                assert_eq!(tc.current().unwrap(), state, "{backend}, after {count}");
            }
            clear(tc).unwrap();
        });
    });
}

#[test]
fn the_kernels_own_words_are_in_the_error() {
    inside_with_filters("failures::the_kernels_own_words_are_in_the_error", || {
        let _lab = Lab::new();
        let before = everything();
        let wrong = [Operation::Add(Key::Device(DeviceKind::Ifb), Setting::Present), Operation::Delete(Key::Root)];
        let mut tc = with_memory_line();
        let error = tc.execute(&wrong).unwrap_err().to_string();
        assert_eq!(error, "delete the HTB root on lh0: Invalid argument (Invalid handle)");
        clear(&mut tc).unwrap();
        assert_eq!(everything(), before);
    });
}

/// Renames an interface, which older kernels allow only while it is down.
fn rename(from: &str, to: &str) {
    run(&format!("ip link set {from} down"));
    run(&format!("ip link set {from} name {to} up"));
}

#[test]
fn an_interface_that_vanishes_is_named() {
    inside("failures::an_interface_that_vanishes_is_named", || {
        let lab = Lab::new();
        let message = "there is no interface `eth0` in this network namespace (it may have been removed or renamed)";
        both(|tc, backend| {
            impair(tc, &some_row(), backend, &two_steps()).unwrap();
            rename("eth0", "wan0");
            let error = impair(tc, &row(&[("10.9.9.9/32", 3)]), backend, &two_steps()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            clear(tc).unwrap();
            assert!(!run("ip -o link").contains("lh0"));
            // Its rules went with our device where nobody could find them: they are gone when it is back.
            rename("wan0", "eth0");
            clear(tc).unwrap();
            assert_eq!(run("tc filter show dev eth0 egress"), "");
        });
        rename("eth0", "wan0");
        let error = KernelTc::open("eth0").err().unwrap().to_string();
        assert_eq!(error, message);
        drop(lab);
    });
}

#[test]
fn every_refusal_of_many_requests_is_named() {
    inside_with_filters("failures::every_refusal_of_many_requests_is_named", || {
        let _lab = Lab::new();
        run("tc qdisc add dev eth0 root handle 10: htb");
        run("tc class add dev eth0 parent 10: classid 10:1 htb rate 1gbit");
        let mut connection = Connection::open().unwrap();
        let interface = link::find(&mut connection, "eth0").unwrap().unwrap().index;
        // The first and the last of a batch, one in between, and the very last: all want a class that is there.
        let refused = [0, 127, 128, 200, 299];
        let requests: Vec<Request> = (0..300)
            .map(|place| {
                let minor = if refused.contains(&usize::from(place)) { 1 } else { place + 2 };
                let class = Object {
                    interface,
                    handle: Handle::new(htb::ROOT.major(), minor),
                    parent: htb::ROOT,
                    kind: htb::KIND.to_owned(),
                    options: Some(htb::class_options(&ClassShape::UNLIMITED)),
                    ..Object::default()
                };
                Request::create(RouteNetlinkMessage::NewTrafficClass(class.to_message()), format!("add {place}"))
            })
            .collect();
        let Err(NetlinkError::Refused(batch)) = connection.execute(&requests) else { panic!("nothing was refused") };
        let found: Vec<_> = batch.refusals.iter().map(|one| (one.index, one.what.clone(), one.errno)).collect();
        assert_eq!(found, refused.map(|place| (place, format!("add {place}"), libc::EEXIST)));
        assert_eq!(run("tc class show dev eth0").lines().count(), 1 + 300 - refused.len(), "all others are there");
        connection.execute(&[]).unwrap();
    });
}
