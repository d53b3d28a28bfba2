//! How long other programs take, measured right beside them: entering a node takes time that is not theirs.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

/// What to time.
#[derive(Debug, Args)]
pub(super) struct StopwatchArgs {
    /// Call the program once for each line of standard input, with the line's words, instead of once with all of it as its input.
    #[arg(long)]
    each: bool,
    /// Begin no call later than this many seconds after the first.
    #[arg(long, default_value_t = 3_600)]
    limit: u64,
    /// The program and its first arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timed {
    /// Calls that were made.
    pub(super) calls: usize,
    /// From before the first to after the last.
    pub(super) nanos: u64,
}

/// Runs the program and says how long that took.
pub(super) fn run(args: &StopwatchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).context("read what the program is to be told")?;
    let timed = if args.each {
        each(&args.command, &input, Duration::from_secs(args.limit))?
    } else {
        let start = Instant::now();
        call(&args.command, &[], &input)?;
        Timed { calls: 1, nanos: nanos(start) }
    };
    writeln!(out, "{}", serde_json::to_string(&timed)?)?;
    Ok(())
}

fn each(command: &[String], lines: &str, limit: Duration) -> anyhow::Result<Timed> {
    let start = Instant::now();
    let mut timed = Timed { calls: 0, nanos: 0 };
    for line in lines.lines() {
        if start.elapsed() > limit {
            break;
        }
        call(command, &line.split_whitespace().collect::<Vec<_>>(), "")?;
        timed = Timed { calls: timed.calls + 1, nanos: nanos(start) };
    }
    Ok(timed)
}

fn call(command: &[String], more: &[&str], input: &str) -> anyhow::Result<()> {
    let [program, first @ ..] = command else { bail!("no program") };
    let mut child = Command::new(program)
        .args(first)
        .args(more)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that ends before it has read everything says why by its exit code.
        let _ = pipe.write_all(input.as_bytes());
    }
    let ended = child.wait_with_output().with_context(|| format!("wait for {program}"))?;
    if !ended.status.success() {
        let errors = String::from_utf8_lossy(&ended.stderr);
        bail!("{program} {}: {}: {}", more.join(" "), ended.status, errors.trim());
    }
    Ok(())
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(command: &str) -> Vec<String> {
        command.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn programs_get_their_input_or_a_line_of_it_at_a_time() {
        call(&words("grep -q b"), &[], "a\nb\n").unwrap();
        assert_eq!(call(&words("grep -q c"), &[], "a\nb\n").unwrap_err().to_string(), "grep : exit status: 1: ");
        let timed = each(&words("test 1 -lt"), "2\n3\n4\n", Duration::from_secs(60)).unwrap();
        assert_eq!(timed.calls, 3);
        let error = each(&words("test 3 -lt"), "4\n2\n", Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "test 2: exit status: 1: ");
    }

    #[test]
    fn no_call_begins_after_the_limit() {
        let timed = each(&words("sleep"), "0.02\n0.02\n0.02\n", Duration::from_millis(1)).unwrap();
        assert_eq!(timed.calls, 1);
        assert!(timed.nanos >= 20_000_000, "{timed:?}");
    }

    #[test]
    fn a_long_input_does_not_block() {
        let long = "x\n".repeat(200_000);
        call(&words("wc -l"), &[], &long).unwrap();
    }
}
