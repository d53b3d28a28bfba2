//! Which testbed a command works on: one that is running already, by its name.

use std::fmt;

use clap::Args;

use crate::testbed::Testbed;
use crate::testbed::lab::{Lab, find_running};
use crate::topology::Node;

/// Names the testbed of a command.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Name of the lab [default: the only one running]
    #[arg(long)]
    name: Option<String>,
}

impl TargetArgs {
    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Target> {
        let lab = find_running(self.name.as_deref())?;
        Ok(Target { kind: Kind::Lab, name: lab.info().name.clone(), testbed: Box::new(lab) })
    }
}

/// What sort of testbed it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Namespaces of this machine.
    Lab,
}

impl Kind {
    /// As messages and JSON name it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lab => "lab",
        }
    }
}

/// A testbed that a command is connected to. In messages: "lab `trade`".
pub(super) struct Target {
    /// What sort it is.
    pub(super) kind: Kind,
    /// What it is called.
    pub(super) name: String,
    testbed: Box<dyn Testbed>,
}

impl Target {
    /// To be operated on.
    pub(super) fn testbed(&mut self) -> &mut dyn Testbed {
        &mut *self.testbed
    }

    /// Only the connection.
    pub(super) fn into_testbed(self) -> Box<dyn Testbed> {
        self.testbed
    }

    /// Its nodes, in order.
    pub(super) fn nodes(&self) -> &[Node] {
        self.testbed.nodes()
    }

    /// Something that returns when the testbed has ended; `None` for one whose nodes tell of their ends themselves.
    pub(super) fn sentinel(&self) -> anyhow::Result<Option<Box<dyn FnOnce() + Send>>> {
        match self.kind {
            Kind::Lab => {
                // A connection of its own: nothing is asked on it, so it only ever tells of the end.
                let mut lab = Lab::connect(&self.name)?;
                Ok(Some(Box::new(move || lab.wait_for_end())))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.word(), self.name)
    }
}
