//! The capture program's part of the kernel adapter: operations on its tables and its place, and what the kernel says of both.

use super::KernelTc;
use super::read::Snapshot;
use crate::shaping::{Abilities, Ability, Caught, Key, Operation, Setting, State, Target};
use crate::tc::TcError;
use crate::tc::bpf::{Capture, Place};

/// `abilities` as they serve beside what others have put on `interface`.
///
/// The capture program would take packets before filters of others see them, which may translate addresses or keep accounts;
/// filters of ours come behind theirs.
pub fn beside_others(interface: &str, mut abilities: Abilities) -> Abilities {
    let others = KernelTc::open(interface).and_then(|mut tc| Ok(tc.snapshot()?.capture.others)).unwrap_or(0);
    if abilities.tcx.is_present() && others > 0 {
        let why = format!("`{interface}` has filters of others on its egress, which must see packets first");
        abilities.tcx = Ability::missing(why, "not needed for delays: filters of ours stand behind theirs");
    }
    abilities
}

impl KernelTc {
    /// Carries out one operation on the capture program.
    pub(super) fn program(&mut self, operation: &Operation, snapshot: &Snapshot) -> Result<(), TcError> {
        if self.capture.is_none() {
            if matches!(operation, Operation::Delete(_)) {
                return Ok(());
            }
            self.capture = Some(Capture::new()?);
        }
        let Some(capture) = &mut self.capture else { return Ok(()) };
        match (operation.key(), operation.setting()) {
            (Key::Caught(caught), Some(Setting::Caught(catch))) => capture.set_prefix(caught.prefix(), Some(*catch))?,
            (Key::Caught(caught), None) => capture.set_prefix(caught.prefix(), None)?,
            (Key::Service(profile, block), Some(Setting::Service(verdicts))) => {
                capture.set_service(*profile, *block, Some(*verdicts))?;
            }
            (Key::Service(profile, block), None) => capture.set_service(*profile, *block, None)?,
            (Key::Program, Some(Setting::Rule(Target::Detour(None)))) => {
                let interface = snapshot.interface;
                let interface = interface.ok_or_else(|| TcError::NoInterface { interface: self.interface.clone() })?;
                let missing =
                    || TcError::Missing { operation: operation.to_string(), missing: Key::Program.parents()[0] };
                let device = snapshot.device.as_ref().ok_or_else(missing)?;
                capture.attach(interface, device.link.index)?;
            }
            (Key::Program, None) => capture.detach(),
            _ => {
                let why = "the capture program cannot do that".to_owned();
                return Err(TcError::Conflict { operation: operation.to_string(), why });
            }
        }
        Ok(())
    }

    /// Adds what the kernel holds of the capture program to `state`.
    pub(super) fn add_program(&self, snapshot: &Snapshot, state: &mut State) -> Result<(), TcError> {
        let Some(capture) = &self.capture else { return Ok(()) };
        let prefixes = capture.prefixes()?.into_iter();
        state.extend(prefixes.map(|(prefix, catch)| (Key::Caught(Caught::of(&prefix)), Setting::Caught(catch))));
        let services = capture.services()?.into_iter();
        state.extend(
            services.map(|(profile, block, verdicts)| (Key::Service(profile, block), Setting::Service(verdicts))),
        );
        let target =
            match capture.place(snapshot.interface, snapshot.device.as_ref().map(|device| device.link.index))? {
                Place::Nowhere => return Ok(()),
                Place::Here => Target::Detour(None),
                Place::Elsewhere => Target::Elsewhere,
            };
        state.insert(Key::Program, Setting::Rule(target));
        Ok(())
    }
}
