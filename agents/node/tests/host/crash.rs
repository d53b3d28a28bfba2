//! A hundred sudden ends at random instants of a sequence of applies: of the front, the keeper, the worker, the guardian, and
//! of two of them together. Nothing of ours outlives the lease, and what is still wanted is there again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::node::{Node, eventually};
use super::session::{Session, lease, row, send, slow};

/// How many ends there are; shared by the hosts that are tried side by side.
const ROUNDS: u64 = 100;
const HOSTS: u64 = 4;

/// Decides the instants; another one is given by `LONGHAUL_CRASH_SEED`.
const SEED: u64 = 20_261_122;

/// Who ends: every one alone, and every pair.
const ENDS: [&[usize]; 10] = [&[0], &[1], &[2], &[3], &[0, 1], &[0, 2], &[0, 3], &[1, 2], &[1, 3], &[2, 3]];
const FRONT: usize = 0;
const KEEPER: usize = 1;

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ number >> 31) % limit
    }
}

#[test]
fn a_hundred_sudden_ends_leave_nothing_and_lose_nothing() {
    let seed = std::env::var("LONGHAUL_CRASH_SEED").map_or(SEED, |text| text.parse().unwrap());
    println!("seed {seed}");
    let longest = std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..HOSTS).map(|host| scope.spawn(move || try_host(host, seed))).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).max().unwrap()
    });
    println!("the longest time until nothing was left: {longest:?}");
}

/// Every fourth of the ends, on a host of its own: as root or in a user namespace, with others on the interface or without.
fn try_host(host: u64, seed: u64) -> Duration {
    let ordinary = host.is_multiple_of(2);
    let node = if host < HOSTS / 2 { Node::with_others(ordinary) } else { Node::new(ordinary) };
    let mut dice = Dice(seed.wrapping_add(host));
    let before = node.everything();
    let mut longest = Duration::ZERO;
    let rounds = if slow() { ROUNDS / 5 } else { ROUNDS };
    for round in (0..rounds).filter(|round| round % HOSTS == host) {
        let ends = ENDS[usize::try_from(round / HOSTS).unwrap() % ENDS.len()];
        let what = format!("seed {seed}, round {round}, ends {ends:?}");
        longest = longest.max(one(&node, ends, &mut dice, &what));
        assert_eq!(node.everything(), before, "{what}");
    }
    longest
}

/// One round; the time from the end of whoever was ended to the last trace.
fn one(node: &Node, ends: &[usize], dice: &mut Dice, what: &str) -> Duration {
    let mut session = Session::start(node, lease(2000));
    assert!(session.ask(&json!("ready")).get("ready").is_some(), "{what}");
    let process = |role: usize, session: &Session| match role {
        FRONT => session.pid(),
        role => node.process(["lh-keeper", "lh-worker", "lh-guardian"][role - 1]),
    };
    let targets: Vec<i32> = ends.iter().map(|role| process(*role, &session)).collect();
    let mut asked: BTreeMap<u64, Value> = BTreeMap::new();
    let applies = dice.below(5) + 1;
    for _ in 0..applies {
        let request = row(dice.below(50) + 1, dice.below(60) + 1);
        asked.insert(session.send(&request), request);
    }
    let instant = Instant::now() + Duration::from_micros(dice.below(40_000));
    let gap = Duration::from_micros(dice.below(4_000));
    for (place, target) in targets.iter().enumerate() {
        let due = instant + gap * u32::try_from(place).unwrap();
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        send(*target, Signal::SIGKILL);
    }
    let ended = Instant::now();
    if !ends.contains(&FRONT) {
        let last = answers(&session, asked, what);
        if !ends.contains(&KEEPER) {
            assert_in_place(&mut session, last.as_ref(), what);
        }
    }
    let (code, told) = session.end();
    let expected = if ends.contains(&FRONT) { None } else { Some(if ends.contains(&KEEPER) { 2 } else { 0 }) };
    assert_eq!(code, expected, "{what}: {told}");
    eventually(what, || ["lh-keeper", "lh-worker", "lh-guardian"].iter().all(|name| node.processes(name).is_empty()));
    ended.elapsed()
}

/// Takes in all answers, which must come; the row that was applied last.
fn answers(session: &Session, mut asked: BTreeMap<u64, Value>, what: &str) -> Option<Value> {
    let mut last = None;
    while !asked.is_empty() {
        let answer = session.next().unwrap_or_else(|| panic!("{what}: the end came before the answers to {asked:?}"));
        let request = asked.remove(&answer["id"].as_u64().unwrap()).unwrap();
        let response = &answer["response"];
        if response.get("applied").is_some() {
            last = Some(request);
        } else {
            assert!(response["failed"]["message"].is_string(), "{what}: {answer}");
        }
    }
    last
}

/// The row that was applied last is there again, whoever was lost.
fn assert_in_place(session: &mut Session, last: Option<&Value>, what: &str) {
    let wanted = last.map_or(json!([]), |request| request["apply"]["row"]["paths"].clone());
    eventually(what, || {
        let answer = session.ask(&json!("status"));
        let status = &answer["status"];
        let delays = |paths: &Value| -> Vec<Value> {
            paths.as_array().unwrap().iter().map(|path| path["impairment"]["delay"].clone()).collect()
        };
        status["differences"] == json!([]) && delays(&status["row"]["paths"]) == delays(&wanted)
    });
}
