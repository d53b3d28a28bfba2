//! Sudden ends: whatever is killed, and whenever, nothing is left.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::{Host, eventually, processes_of};
use super::user::User;

const MATRIX: &str = "0,100,40\n50,0,30\n50,60,0\n";

fn end(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Instants spread over the life of a verification of about two seconds, each hit once: set-up, measuring, tear-down. On
/// virtual time the first and the last take none: this runs in real time, too.
fn instants() -> impl Iterator<Item = Duration> {
    [0, 5, 20, 50, 120, 300, 700, 1_300].into_iter().map(Duration::from_millis)
}

fn start_verification(user: &User) -> Child {
    user.write("net.csv", MATRIX);
    user.command(&["verify", "net.csv", "--out", "out"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killing_the_command_line_leaves_nothing() {
    for user in User::all() {
        let before = Host::look();
        for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
            for instant in instants() {
                let mut child = start_verification(&user);
                std::thread::sleep(instant);
                end(i32::try_from(child.id()).unwrap(), signal);
                child.wait().unwrap();
                let what = format!("as {}: no process after {signal} at {instant:?}", user.name());
                eventually(&what, || processes_of(user.folder()).is_empty());
            }
        }
        assert_eq!(Host::look(), before, "as {}", user.name());
        eventually("no lab folder", || !user.folder().join("run").exists());
    }
}

#[test]
fn killing_the_holder_ends_the_lab() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let before = Host::look();
        for _ in 0..3 {
            user.succeed(&["lab", "up", "net.csv", "--detach"]);
            let sleeper = user.command(&["lab", "exec", "n1", "--", "sleep", "1000"]).spawn().unwrap();
            for holder in holders(&user) {
                end(holder, Signal::SIGKILL);
            }
            // Everything in the lab's process namespace goes, the sleeper included; its waiting parent then ends by itself.
            let mut sleeper = sleeper;
            sleeper.wait().unwrap();
            eventually("no process", || processes_of(user.folder()).is_empty());
            assert_eq!(user.succeed(&["lab", "list"]), "no lab is running\n");
        }
        assert_eq!(Host::look(), before);
    }
}

/// The outer processes of this user's labs: parents of other holder processes.
fn holders(user: &User) -> Vec<i32> {
    let listed = user.succeed(&["lab", "list"]);
    listed.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3)?.parse().ok()).collect()
}

#[test]
fn a_killed_agent_means_undelayed_traffic_and_is_told() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        let agents: Vec<i32> = processes_of(user.folder()).into_iter().filter(|pid| is_agent(*pid)).collect();
        assert_eq!(agents.len(), 3);
        for agent in agents {
            end(agent, Signal::SIGKILL);
        }
        eventually("the delays are gone", || {
            let printed = user.run(&["lab", "exec", "n1", "--", "ping", "-c", "1", "-W", "1", "n2"]);
            let text = String::from_utf8_lossy(&printed.stdout).into_owned();
            let time = text.split_once("time=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
            time.is_some_and(|time| time < 45.0)
        });
        let status = user.run(&["status"]);
        let told = String::from_utf8_lossy(&status.stdout).into_owned();
        assert_eq!(status.status.code(), Some(1), "{told}");
        assert!(told.contains("the agent of node `n1` has ended"), "{told}");
        let told = user.fail(&["measure"], 2);
        assert!(told.contains("the agent of node `n1` has ended"), "{told}");
        user.succeed(&["lab", "down"]);
        assert!(processes_of(user.folder()).is_empty());
    }
}

/// An agent that hangs looks like one that is stopped. Nobody waits for it for longer than the lease.
#[test]
fn a_stopped_agent_is_ended_and_told() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let mut up = user.command(&["lab", "up", "net.csv", "--detach"]);
        assert!(up.env("LONGHAUL_LAB_LEASE", "2s").stdout(Stdio::null()).status().unwrap().success());
        let stopped = processes_of(user.folder()).into_iter().find(|pid| is_agent(*pid)).unwrap();
        end(stopped, Signal::SIGSTOP);
        let told = user.fail(&["apply", "net.csv"], 2);
        let expected = "did not answer for 2s and was ended; its delays are removed";
        assert!(told.contains(expected), "as {}: {told}", user.name());
        assert!(!processes_of(user.folder()).contains(&stopped));
        let status = user.run(&["status"]);
        assert_eq!(status.status.code(), Some(1));
        let told = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(told.contains("has ended; take the lab down and up again"), "{told}");
        user.succeed(&["lab", "down"]);
    }
}

/// The answer is one matrix or the other, whole.
#[test]
fn two_commands_that_change_a_lab_take_turns() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.write("one.csv", "0,11,11\n11,0,11\n11,11,0\n");
        user.write("two.csv", "0,22,22\n22,0,22\n22,22,0\n");
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        for _ in 0..5 {
            let mut commands = ["one.csv", "two.csv", "one.csv", "two.csv"]
                .map(|file| user.command(&["apply", file]).stdout(Stdio::null()).spawn().unwrap());
            for command in &mut commands {
                assert!(command.wait().unwrap().success(), "as {}", user.name());
            }
            let printed = user.succeed(&["status", "--json"]);
            let (one, two) =
                (printed.matches("\"delay_ms\": 11.0").count(), printed.matches("\"delay_ms\": 22.0").count());
            assert!(matches!((one, two), (6, 0) | (0, 6)), "as {}: {one} and {two} in {printed}", user.name());
        }
        user.succeed(&["lab", "down"]);
    }
}

fn is_agent(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|words| String::from_utf8_lossy(&words).contains("agent-session"))
}

#[test]
fn an_interface_that_vanishes_is_told() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach"]);
        user.succeed(&["lab", "exec", "n2", "--", "ip", "link", "delete", "eth0"]);
        let told = user.fail(&["apply", "net.csv"], 2);
        assert!(told.contains("n2") && told.contains("eth0"), "as {}: {told}", user.name());
        user.succeed(&["lab", "down"]);
    }
}

#[test]
fn a_lab_in_the_foreground_ends_with_ctrl_c() {
    for user in User::all() {
        user.write("net.csv", MATRIX);
        let mut child = user.command(&["lab", "up", "net.csv"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut chunk = [0u8; 256];
        while !printed.contains("Ctrl-C ends it") {
            let length = stdout.read(&mut chunk).unwrap();
            assert_ne!(length, 0, "it ended early: {printed}");
            printed.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
        end(i32::try_from(child.id()).unwrap(), Signal::SIGINT);
        child.wait().unwrap();
        eventually("no process", || processes_of(user.folder()).is_empty());
    }
}
