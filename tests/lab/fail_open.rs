//! What traffic sees of a killed agent before any supervisor has moved: nothing where packets are captured by a BPF program,
//! losses where they are captured by filters.

use std::io::Write;
use std::path::PathBuf;
use std::process::Output;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::{eventually, processes_of};
use super::user::User;

/// From the first node to the second 200 ms.
const MATRIX: &str = "0,200\n0,0\n";

/// The lab of one user, with a process inside the first node to look from.
struct Scene<'a> {
    user: &'a User,
    inside: i32,
    sleeper: std::process::Child,
}

impl<'a> Scene<'a> {
    fn set(user: &'a User) -> Self {
        user.write("net.csv", MATRIX);
        user.succeed(&["lab", "up", "net.csv", "--detach", "--backend", "userspace"]);
        let sleeper = user.command(&["lab", "exec", "n1", "--", "sleep", "1000"]).spawn().unwrap();
        let mut inside = None;
        eventually("a process is in the node", || {
            inside = child_named(sleeper.id(), "sleep");
            inside.is_some()
        });
        Self { user, inside: inside.unwrap(), sleeper }
    }

    /// One ping of the second node, without any help of the lab's own processes.
    fn ping(&self) -> Output {
        let target = self.inside.to_string();
        let mut words = vec!["--target", &target, "--net"];
        // As root the lab has no user namespace of its own.
        if !same("user", self.inside) {
            words.extend(["--user", "--preserve-credentials"]);
        }
        words.extend(["ping", "-n", "-c", "1", "-W", "1", "10.77.0.2"]);
        self.user.tool("nsenter").args(words).output().unwrap()
    }

    /// The round trip in milliseconds; `None` when the packet was lost.
    fn round_trip(&self) -> Option<f64> {
        let report = String::from_utf8(self.ping().stdout).unwrap();
        report.split_once("time=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
    }

    /// All agents and all who watch them.
    fn processes(&self) -> Vec<i32> {
        processes_of(self.user.folder()).into_iter().filter(|pid| *pid != self.inside).collect()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
        let _ = self.user.run(&["lab", "down"]);
        let _ = self.sleeper.wait();
    }
}

/// Whether a process is in the same namespace as this one.
fn same(kind: &str, pid: i32) -> bool {
    let link = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/{kind}")).ok();
    link("self") == link(&pid.to_string())
}

/// The descendant of a process that runs that program.
fn child_named(pid: u32, name: &str) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let comm = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        if comm.trim() == name { child.parse().ok() } else { child_named(child.parse().ok()?, name) }
    })
}

/// The descriptors of a process whose details, as the kernel shows them, contain `text`.
fn holds(pid: i32, text: &str) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}/fdinfo"));
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    files.into_iter().any(|file| std::fs::read_to_string(file.path()).is_ok_and(|details| details.contains(text)))
}

/// Whether a thread of the process is a delay line.
fn has_line(pid: i32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(name).any(|name| name.trim() == "longhaul-line")
}

#[test]
fn packets_go_undelayed_at_once_when_an_agent_is_killed() {
    for user in User::all() {
        let doctor: serde_json::Value = serde_json::from_str(&user.succeed(&["doctor", "--json"])).unwrap();
        let by_program = doctor["capture"] == "program";
        if !by_program && user.name() == "the user of the tests" && std::env::var_os("LONGHAUL_UML").is_none() {
            let why = &doctor["abilities"]["tcx"]["missing"]["why"];
            let _ = writeln!(std::io::stderr(), "\nSKIP: fail-open capture of a lab by a BPF program: {why}");
        }
        let scene = Scene::set(&user);
        let delayed = scene.round_trip();
        assert!(delayed.is_some_and(|time| time >= 200.0), "as {}: {delayed:?}", user.name());
        let agents: Vec<i32> = scene.processes().into_iter().filter(|pid| has_line(*pid)).collect();
        let agent = agents.iter().copied().find(|pid| in_the_same_network(*pid, scene.inside)).unwrap();
        let with_program: Vec<i32> =
            scene.processes().into_iter().filter(|pid| holds(*pid, "link_type:\ttcx")).collect();
        assert_eq!(with_program, if by_program { agents } else { vec![] }, "as {}", user.name());
        // Nobody who could clean up after it moves any more.
        for pid in scene.processes().into_iter().filter(|pid| *pid != agent) {
            kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        }
        kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
        eventually("the agent is dead", || is_dead(agent));
        let after = scene.round_trip();
        if by_program {
            assert!(after.is_some_and(|time| time < 150.0), "as {}: {after:?}", user.name());
        } else {
            assert_eq!(after, None, "as {}: filters lead to a line that has gone", user.name());
        }
        for pid in scene.processes() {
            kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        }
        eventually("the supervisor has cleaned up", || scene.round_trip().is_some_and(|time| time < 150.0));
    }
}

fn in_the_same_network(one: i32, other: i32) -> bool {
    let link = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    link(one).is_some() && link(one) == link(other)
}

/// Gone, or a zombie whose parent does not move.
fn is_dead(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}
