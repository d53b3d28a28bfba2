//! `longhaul completions` and `longhaul man`: the command line, described to shells and to `man`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longhaul completions bash > longhaul.bash && source longhaul.bash
  longhaul completions zsh > ~/.zfunc/_longhaul
  longhaul completions fish > ~/.config/fish/completions/longhaul.fish

For every new bash, put the first into ~/.local/share/bash-completion/completions/longhaul.
For zsh, ~/.zfunc must be in $fpath.")]
pub(super) struct CompletionArgs {
    /// Shell to print them for
    shell: Shell,
}

/// Write man pages, one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longhaul man ~/.local/share/man/man1 && man longhaul-verify")]
pub(super) struct ManArgs {
    /// Folder to write them to; made when it is not there
    folder: PathBuf,
}

/// Runs `longhaul completions`.
pub(super) fn run_completions(args: &CompletionArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "longhaul", &mut text);
    out.write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `longhaul man`.
pub(super) fn run_man(args: &ManArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.folder).with_context(|| format!("make the folder {}", args.folder.display()))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .with_context(|| format!("write man pages to {}", args.folder.display()))?;
    writeln!(out, "man pages are in {}", args.folder.display())?;
    Ok(ExitCode::SUCCESS)
}
