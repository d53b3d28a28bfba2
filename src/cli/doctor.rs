//! `longhaul doctor`: what this kernel and this user can do, which back-end results, and what to do about the rest.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use nix::unistd::Uid;

use crate::shaping::{Abilities, Ability, Backend, BackendChoice, choose};
use crate::tc::abilities;

/// Say what this kernel and this user can do, which back-end results, and what to do about the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul doctor
  longhaul doctor --json | jq .netem

Everything is found out by trying it in a scratch network namespace; nothing is changed.
Exit code: 0 labs work here, 1 they do not.")]
pub(super) struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs `longhaul doctor`.
pub(super) fn run(args: &DoctorArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let abilities = abilities::probe();
    let choice = choose(BackendChoice::Auto, &abilities);
    if args.json {
        let document = serde_json::json!({
            "backend": choice.as_ref().ok().map(|(backend, _)| backend),
            "reason": choice.as_ref().map_or_else(ToString::to_string, |(_, reason)| reason.clone()),
            "root": Uid::effective().is_root(),
            "abilities": abilities,
        });
        writeln!(out, "{document:#}")?;
    } else {
        out.write_all(describe(&abilities, Uid::effective()).as_bytes())?;
    }
    Ok(if choice.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn describe(abilities: &Abilities, user: Uid) -> String {
    let who = if user.is_root() { "root".to_owned() } else { format!("an ordinary user (uid {user})") };
    let mut text = format!("kernel {}, as {who}\n\n{}\n\n", abilities.kernel, table(abilities));
    for backend in [Backend::Netem, Backend::Userspace] {
        let asked = if backend == Backend::Netem { BackendChoice::Netem } else { BackendChoice::Userspace };
        let verdict = match choose(asked, abilities) {
            Ok(_) => format!("back-end {backend}: works"),
            Err(error) => error.to_string(),
        };
        text.push_str(&verdict);
        text.push('\n');
    }
    let conclusion = match choose(BackendChoice::Auto, abilities) {
        Ok((backend, reason)) => format!("longhaul uses {backend}: {reason}\n"),
        Err(_) => "longhaul cannot delay packets here\n".to_owned(),
    };
    text.push_str(&conclusion);
    if !user.is_root() {
        text.push_str(&what_root_adds(abilities));
    }
    text
}

fn table(abilities: &Abilities) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["", "", "what was found", "what to do"]);
    for (name, ability) in abilities.list() {
        match ability {
            Ability::Present => table.add_row([name, "yes", "", ""]),
            Ability::Missing { why, remedy } => table.add_row([name, "no", why, remedy]),
        };
    }
    table.trim_fmt()
}

/// What the first user namespace alone grants, and what it is good for.
fn what_root_adds(abilities: &Abilities) -> String {
    let gains = [
        (&abilities.large_buffers, "large receive buffers: the user-space line takes larger bursts without loss"),
        (
            &abilities.priority,
            "a high priority: the user-space line keeps its time while other programs use the processors",
        ),
    ];
    let missing: Vec<&str> = gains.iter().filter(|(ability, _)| !ability.is_present()).map(|(_, gain)| *gain).collect();
    if missing.is_empty() {
        return "as root nothing would be added\n".to_owned();
    }
    format!("as root there would also be:\n  {}\ndelays are as correct without\n", missing.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_netem_is_described() {
        let mut abilities = Abilities::all();
        abilities.kernel = "6.18.0".to_owned();
        abilities.netem = Ability::missing("CONFIG_NET_SCH_NETEM is not set", "modprobe sch_netem");
        abilities.large_buffers = Ability::missing("refused", "run as root");
        let text = describe(&abilities, Uid::from_raw(1000));
        for expected in [
            "kernel 6.18.0, as an ordinary user (uid 1000)",
            "the netem back-end does not work here: no netem: CONFIG_NET_SCH_NETEM is not set (modprobe sch_netem)",
            "back-end userspace: works",
            "longhaul uses userspace: this kernel or user has no netem",
            "as root there would also be:\n  large receive buffers",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_kernel_without_anything_is_told_so() {
        let text = describe(&Abilities::none("everything is forbidden", "run as root"), Uid::from_raw(0));
        assert!(text.contains("longhaul cannot delay packets here"), "{text}");
        assert!(!text.contains("as root there would"), "{text}");
    }
}
