//! `longhaul doctor`: what this kernel and this user can do, which back-end results, and what to do about the rest.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use nix::unistd::Uid;

use super::terminal::{self, hanging};
use crate::shaping::{Abilities, Ability, Backend, BackendChoice, choose};
use crate::tc::abilities;

/// Say what works on this machine, and what to do about the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul doctor
  longhaul doctor --json | jq .abilities.netem

Everything is found out by trying it in a scratch network namespace; nothing is changed.
Exit code: 0 labs work here, 1 they do not.")]
pub(super) struct DoctorArgs {
    /// Print JSON
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
            "capture": abilities.capture(),
            "reason": choice.as_ref().map_or_else(ToString::to_string, |(_, reason)| reason.clone()),
            "root": Uid::effective().is_root(),
            "abilities": abilities,
        });
        writeln!(out, "{document:#}")?;
    } else {
        let columns = terminal::columns(io::stdout()).unwrap_or(100);
        out.write_all(describe(&abilities, Uid::effective(), columns).as_bytes())?;
    }
    Ok(if choice.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn describe(abilities: &Abilities, user: Uid, columns: usize) -> String {
    let who = if user.is_root() { "root".to_owned() } else { format!("an ordinary user (uid {user})") };
    let mut text = format!("kernel {}, as {who}\n\n{}\n", abilities.kernel, list(abilities, columns));
    for backend in [Backend::Netem, Backend::Userspace] {
        let lacks: Vec<&str> = abilities.lacks(backend).iter().map(|(name, ..)| *name).collect();
        let verdict = match lacks.as_slice() {
            [] => "works".to_owned(),
            _ => format!("does not work here, for want of {}", lacks.join(", ")),
        };
        text.extend(["back-end ", &backend.to_string(), ": ", &verdict, "\n"]);
    }
    text.push_str(&hanging("capture for userspace: ", &capture(abilities), 4, columns));
    text.push('\n');
    let conclusion = match choose(BackendChoice::Auto, abilities) {
        Ok((backend, _)) => format!("longhaul uses {backend}\n"),
        Err(_) => "longhaul cannot delay packets here\n".to_owned(),
    };
    text.push_str(&conclusion);
    if !user.is_root() {
        text.push_str(&what_root_adds(abilities));
    }
    text
}

/// How the user-space line gets its packets, and what that means for traffic when its agent dies.
fn capture(abilities: &Abilities) -> String {
    match &abilities.tcx {
        Ability::Present => {
            "a BPF program, which ends with its agent: when that is killed, packets go undelayed at once. In an ordinary user's \
             lab there are u32 filters instead"
                .to_owned()
        }
        Ability::Missing { .. } => {
            "u32 filters, for want of tcx: when an agent is killed, packets to impaired destinations are lost until its \
             supervisor has removed them"
                .to_owned()
        }
    }
}

/// One line per ability; what was found and what to do are beside those that are missing.
fn list(abilities: &Abilities, columns: usize) -> String {
    let all = abilities.list();
    let letters = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let indent = letters + 8;
    let mut lines = Vec::new();
    for (name, ability) in all {
        match ability {
            Ability::Present => lines.push(format!("  {name:letters$}  yes\n")),
            Ability::Missing { why, remedy } => {
                lines.push(hanging(&format!("  {name:letters$}  no"), why, indent, columns) + "\n");
                lines.push(hanging("", &format!("→ {remedy}"), indent, columns) + "\n");
            }
        }
    }
    lines.concat()
}

/// What the first user namespace alone grants, and what it is good for.
fn what_root_adds(abilities: &Abilities) -> String {
    let gains = [
        (&abilities.tcx, "capture by a BPF program: when an agent is killed, packets go undelayed at once"),
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
        abilities.tcx = Ability::missing("not permitted", "run as root");
        let text = describe(&abilities, Uid::from_raw(1000), 60);
        for expected in [
            "kernel 6.18.0, as an ordinary user (uid 1000)",
            "  netem                   no  CONFIG_NET_SCH_NETEM is not\n                              set\n",
            "\n                              → modprobe sch_netem\n",
            "back-end netem: does not work here, for want of netem\n",
            "back-end userspace: works",
            "longhaul uses userspace\n",
            "capture for userspace: u32 filters, for want of tcx: when an\n    agent is killed",
            "as root there would also be:\n  capture by a BPF program",
            "\n  large receive buffers",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_kernel_without_anything_is_told_so() {
        let text = describe(&Abilities::none("everything is forbidden", "run as root"), Uid::from_raw(0), 100);
        assert!(text.contains("longhaul cannot delay packets here"), "{text}");
        assert!(!text.contains("as root there would"), "{text}");
    }
}
