//! [`Abilities`]: what a kernel lets this user do; and which of the two delay elements that leaves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether the kernel lets this user do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    /// It was tried and works.
    Present,
    /// It was tried and does not work.
    Missing {
        /// What was tried and what the kernel answered, with the option it was built without.
        why: String,
        /// What to do about it.
        remedy: String,
    },
}

impl Ability {
    /// Whether it works.
    pub const fn is_present(&self) -> bool {
        matches!(self, Self::Present)
    }

    /// This one if it is missing, else the next.
    #[must_use]
    pub fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        if self.is_present() { next() } else { self }
    }

    /// Missing, because of `why`, cured by `remedy`.
    pub fn missing(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing { why: why.into(), remedy: remedy.into() }
    }
}

/// What this kernel and this user can do, each found out by trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// The kernel's release.
    pub kernel: String,
    /// A network namespace of one's own, the ground for all the rest.
    pub namespace: Ability,
    /// An intermediate functional block (`CONFIG_IFB`).
    pub ifb: Ability,
    /// A pair of virtual Ethernet devices (`CONFIG_VETH`).
    pub veth: Ability,
    /// The hook on an interface (`CONFIG_NET_SCH_INGRESS`).
    pub clsact: Ability,
    /// The classifier (`CONFIG_NET_CLS_U32`) with the redirect action (`CONFIG_NET_ACT_MIRRED`).
    pub redirect: Ability,
    /// The classful qdisc (`CONFIG_NET_SCH_HTB`).
    pub htb: Ability,
    /// The kernel's delay element (`CONFIG_NET_SCH_NETEM`).
    pub netem: Ability,
    /// Two netems with duplication under one root; refused by kernels with a certain fix. Not needed for delays.
    pub netem_duplicate: Ability,
    /// Naming a packet's class where it is captured (`CONFIG_NET_ACT_SKBEDIT`). Saves one lookup per packet.
    pub skbedit: Ability,
    /// Packet sockets (`CONFIG_PACKET`, `CAP_NET_RAW`).
    pub packet_socket: Ability,
    /// Socket buffers beyond the system's limit (`CAP_NET_ADMIN` in the first user namespace).
    pub large_buffers: Ability,
    /// A priority above other programs' (`CAP_SYS_NICE`).
    pub priority: Ability,
    /// A TUN/TAP device (`CONFIG_TUN`, `/dev/net/tun`).
    pub tun: Ability,
    /// BPF programs on interfaces by link (kernel 6.6, `CAP_BPF`).
    pub tcx: Ability,
    /// The sysctls that govern user namespaces, where they exist.
    pub sysctls: Vec<(String, String)>,
}

impl Abilities {
    /// Everything missing, for the same reason.
    pub fn none(why: &str, remedy: &str) -> Self {
        let missing = || Ability::missing(why, remedy);
        Self {
            kernel: String::new(),
            namespace: missing(),
            ifb: missing(),
            veth: missing(),
            clsact: missing(),
            redirect: missing(),
            htb: missing(),
            netem: missing(),
            netem_duplicate: missing(),
            skbedit: missing(),
            packet_socket: missing(),
            large_buffers: missing(),
            priority: missing(),
            tun: missing(),
            tcx: missing(),
            sysctls: Vec::new(),
        }
    }

    /// Everything present.
    pub fn all() -> Self {
        Self {
            kernel: String::new(),
            namespace: Ability::Present,
            ifb: Ability::Present,
            veth: Ability::Present,
            clsact: Ability::Present,
            redirect: Ability::Present,
            htb: Ability::Present,
            netem: Ability::Present,
            netem_duplicate: Ability::Present,
            skbedit: Ability::Present,
            packet_socket: Ability::Present,
            large_buffers: Ability::Present,
            priority: Ability::Present,
            tun: Ability::Present,
            tcx: Ability::Present,
            sysctls: Vec::new(),
        }
    }

    /// The abilities by name, in the order in which they are probed.
    pub fn list(&self) -> [(&'static str, &Ability); 14] {
        [
            ("network namespace", &self.namespace),
            ("ifb", &self.ifb),
            ("veth", &self.veth),
            ("clsact", &self.clsact),
            ("u32 and mirred", &self.redirect),
            ("htb", &self.htb),
            ("netem", &self.netem),
            ("netem with duplication", &self.netem_duplicate),
            ("skbedit", &self.skbedit),
            ("packet sockets", &self.packet_socket),
            ("large buffers", &self.large_buffers),
            ("high priority", &self.priority),
            ("tun", &self.tun),
            ("tcx", &self.tcx),
        ]
    }

    /// How the user-space delay line gets its packets here.
    pub const fn capture(&self) -> CaptureKind {
        if self.tcx.is_present() { CaptureKind::Program } else { CaptureKind::Filters }
    }

    /// What `backend` needs and does not find: what it is, why it is missing, what to do.
    pub fn lacks(&self, backend: Backend) -> Vec<(&'static str, &str, &str)> {
        let needs: &[&str] = match backend {
            Backend::Netem => &["ifb", "clsact", "u32 and mirred", "htb", "netem"],
            Backend::Userspace if self.capture() == CaptureKind::Program => &["veth", "packet sockets"],
            Backend::Userspace => &["veth", "clsact", "u32 and mirred", "packet sockets"],
        };
        let all = self.list();
        let lacking = all.iter().filter(|(name, _)| needs.contains(name));
        lacking
            .filter_map(|(name, ability)| match ability {
                Ability::Present => None,
                Ability::Missing { why, remedy } => Some((*name, why.as_str(), remedy.as_str())),
            })
            .collect()
    }
}

/// How packets are taken to the user-space delay line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptureKind {
    /// By a BPF program, which vanishes with the process that put it there.
    Program,
    /// By filters, which stay until someone removes them.
    Filters,
}

/// What holds the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The kernel's netem qdisc.
    Netem,
    /// The user-space delay line.
    Userspace,
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// Netem where the kernel has it, user space elsewhere.
    #[default]
    Auto,
    /// Netem or nothing.
    Netem,
    /// User space or nothing.
    Userspace,
}

/// Why no back-end, or not the one asked for, can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The text names no back-end.
    #[error("`{0}` is not a back-end; write auto, netem or userspace")]
    Unknown(String),
    /// The back-end that was asked for lacks something.
    #[error("the {backend} back-end does not work here: {lacks}")]
    Unavailable {
        /// The one that was asked for.
        backend: Backend,
        /// Everything it lacks, each with its remedy.
        lacks: String,
    },
    /// Neither works.
    #[error("no back-end works here; netem: {netem}; userspace: {userspace}")]
    Nothing {
        /// Everything that netem lacks.
        netem: String,
        /// Everything that the user-space line lacks.
        userspace: String,
    },
}

/// The back-end to use, with the reason in words.
pub fn choose(choice: BackendChoice, abilities: &Abilities) -> Result<(Backend, String), ChoiceError> {
    let lacks = |backend| describe(&abilities.lacks(backend));
    let asked = |backend: Backend| match lacks(backend) {
        None => Ok((backend, "asked for".to_owned())),
        Some(lacks) => Err(ChoiceError::Unavailable { backend, lacks }),
    };
    match choice {
        BackendChoice::Netem => asked(Backend::Netem),
        BackendChoice::Userspace => asked(Backend::Userspace),
        BackendChoice::Auto => match (lacks(Backend::Netem), lacks(Backend::Userspace)) {
            (None, _) => Ok((Backend::Netem, "this kernel has netem".to_owned())),
            (Some(_), None) => Ok((Backend::Userspace, brief(&abilities.lacks(Backend::Netem)))),
            (Some(netem), Some(userspace)) => Err(ChoiceError::Nothing { netem, userspace }),
        },
    }
}

/// One short line; `doctor` gives the reasons and the remedies.
fn brief(lacks: &[(&str, &str, &str)]) -> String {
    let names: Vec<&str> = lacks.iter().map(|(name, ..)| *name).collect();
    format!("this kernel or user has no {}; `longhaul doctor` says more", names.join(", "))
}

fn describe(lacks: &[(&str, &str, &str)]) -> Option<String> {
    let parts: Vec<String> = lacks.iter().map(|(name, why, remedy)| format!("no {name}: {why} ({remedy})")).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Netem => "netem",
            Self::Userspace => "userspace",
        })
    }
}

impl FromStr for BackendChoice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "netem" => Ok(Self::Netem),
            "userspace" => Ok(Self::Userspace),
            _ => Err(ChoiceError::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_netem() -> Abilities {
        let netem = Ability::missing("the kernel was built without CONFIG_NET_SCH_NETEM", "modprobe sch_netem");
        Abilities { netem, ..Abilities::all() }
    }

    #[test]
    fn auto_prefers_netem_and_says_why_not() {
        assert_eq!(
            choose(BackendChoice::Auto, &Abilities::all()),
            Ok((Backend::Netem, "this kernel has netem".to_owned()))
        );
        assert_eq!(
            choose(BackendChoice::Auto, &without_netem()),
            Ok((Backend::Userspace, "this kernel or user has no netem; `longhaul doctor` says more".to_owned()))
        );
    }

    #[test]
    fn what_is_asked_for_is_given_or_refused() {
        assert_eq!(
            choose(BackendChoice::Userspace, &without_netem()),
            Ok((Backend::Userspace, "asked for".to_owned()))
        );
        assert_eq!(
            choose(BackendChoice::Netem, &without_netem()).map_err(|error| error.to_string()),
            Err("the netem back-end does not work here: no netem: the kernel was built without CONFIG_NET_SCH_NETEM \
                 (modprobe sch_netem)"
                .to_owned())
        );
    }

    #[test]
    fn nothing_works_without_the_hook() {
        let clsact = Ability::missing("refused", "ask");
        let with_program = Abilities { clsact: clsact.clone(), ..without_netem() };
        assert!(choose(BackendChoice::Auto, &with_program).is_ok(), "the capture program needs no hook");
        let abilities = Abilities { tcx: Ability::missing("old", "none"), ..with_program };
        let error = choose(BackendChoice::Auto, &abilities).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("no back-end works here; netem: no clsact: refused (ask); no netem: the kernel was built without \
                 CONFIG_NET_SCH_NETEM (modprobe sch_netem); userspace: no clsact: refused (ask)"
                .to_owned())
        );
    }

    #[test]
    fn choices_are_words() {
        assert_eq!("auto".parse(), Ok(BackendChoice::Auto));
        let error = "kernel".parse::<BackendChoice>().map_err(|error| error.to_string());
        assert_eq!(error, Err("`kernel` is not a back-end; write auto, netem or userspace".to_owned()));
    }
}
