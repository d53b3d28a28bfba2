//! Arguments that several subcommands share: the matrix to read, the back-end to use.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::matrix::DelayMatrix;
use crate::shaping::BackendChoice;

/// Which matrix, and how to read it.
#[derive(Debug, Clone, Args)]
pub(super) struct MatrixInput {
    /// Delay matrix: a CSV or JSON file, or `-` for standard input
    #[arg(value_name = "MATRIX")]
    pub(super) path: PathBuf,
}

/// Which delay element the agents use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendName {
    /// Each node picks: netem where its kernel has it, the user-space line elsewhere
    Auto,
    /// The kernel's netem
    Netem,
    /// longhaul's own delay line, for kernels without netem
    Userspace,
}

/// The back-end option.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct BackendArgs {
    /// Which delay element to use
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    backend: BackendName,
}

impl BackendArgs {
    /// As the shaping room names it.
    pub(super) fn choice(self) -> BackendChoice {
        match self.backend {
            BackendName::Auto => BackendChoice::Auto,
            BackendName::Netem => BackendChoice::Netem,
            BackendName::Userspace => BackendChoice::Userspace,
        }
    }
}

impl MatrixInput {
    pub(super) fn read(&self) -> anyhow::Result<DelayMatrix> {
        Ok(crate::matrix::read(&self.path, crate::matrix::ReadOptions::default())?)
    }
    pub(super) fn stem(&self) -> String {
        super::lab::name_after(&self.path)
    }
    pub(super) fn source(&self) -> String {
        self.path.display().to_string()
    }
}
