//! A small assembler for BPF: typed instructions, labels, and their bytes. Pure.
//!
//! Only what the capture program needs is here; the kernel's verifier judges the rest.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

/// A register. `R0` holds results, `R1` to `R5` the arguments of calls, `R6` to `R9` survive calls, `R10` is the stack's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How many bytes are loaded or stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
}

/// What is compared before a jump; numbers are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// `==`
    Equal,
    /// `!=`
    Differs,
    /// `<=`
    AtMost,
    /// Any bit in common.
    Shares,
}

/// A function of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    /// The value of a key of a map, or null.
    MapLookup = 1,
    /// Sends the packet to a device.
    Redirect = 23,
    /// Copies bytes of the packet, counted from one of its headers.
    LoadBytesRelative = 68,
}

/// A place to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(pub(super) &'static str);

/// One instruction as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

/// Why a program could not be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AssemblyError {
    /// A jump to a place that is not there, or too far away.
    #[error("no way to the label `{0}`")]
    Unreachable(&'static str),
    /// Two places of one name.
    #[error("two labels `{0}`")]
    Twice(&'static str),
}

/// Instructions so far, and the jumps that are still open.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    labels: BTreeMap<Label, usize>,
    jumps: Vec<(usize, Label)>,
    twice: Option<Label>,
}

const CLASS_LOAD_WIDE: u8 = 0x18;
const CLASS_LOAD: u8 = 0x61;
const CLASS_STORE_NUMBER: u8 = 0x62;
const CLASS_STORE: u8 = 0x63;
const CLASS_JUMP: u8 = 0x05;
const CLASS_ARITHMETIC: u8 = 0x07;
/// The operand is a register instead of a number.
const BY_REGISTER: u8 = 0x08;
const MOVE: u8 = 0xb0;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// Marks a wide number as the descriptor of a map.
const PSEUDO_MAP: u8 = 1;

impl Width {
    const fn bits(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
        }
    }
}

impl Condition {
    const fn code(self) -> u8 {
        match self {
            Self::Equal => 0x10,
            Self::Shares => 0x40,
            Self::Differs => 0x50,
            Self::AtMost => 0xb0,
        }
    }
}

impl Instruction {
    fn new(code: u8, [to, from]: [u8; 2], offset: i16, number: i32) -> Self {
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        Self { code, registers, offset, number }
    }
}

impl Assembler {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, number: i32) {
        self.instructions.push(Instruction::new(code, [to as u8, from as u8], offset, number));
    }

    /// Sets a register to a number.
    pub(super) fn set(&mut self, to: Register, number: i32) {
        self.push(CLASS_ARITHMETIC | MOVE, to, Register::R0, 0, number);
    }

    /// Copies a register.
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(CLASS_ARITHMETIC | BY_REGISTER | MOVE, to, from, 0, 0);
    }

    /// Adds a number to a register.
    pub(super) fn add(&mut self, to: Register, number: i32) {
        self.push(CLASS_ARITHMETIC, to, Register::R0, 0, number);
    }

    /// Sets a register to the place so many bytes before the stack's end.
    pub(super) fn point_to(&mut self, to: Register, place: i16) {
        self.copy(to, Register::R10);
        self.add(to, i32::from(place));
    }

    /// Loads what a register points to.
    pub(super) fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(CLASS_LOAD | width.bits(), to, from, offset, 0);
    }

    /// Stores a register where another points to.
    pub(super) fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.push(CLASS_STORE | width.bits(), to, from, offset, 0);
    }

    /// Stores a number where a register points to.
    pub(super) fn store_number(&mut self, width: Width, to: Register, offset: i16, number: i32) {
        self.push(CLASS_STORE_NUMBER | width.bits(), to, Register::R0, offset, number);
    }

    /// Sets a register to a map.
    pub(super) fn map(&mut self, to: Register, descriptor: RawFd) {
        self.instructions.push(Instruction::new(CLASS_LOAD_WIDE, [to as u8, PSEUDO_MAP], 0, descriptor));
        self.instructions.push(Instruction::default());
    }

    /// Calls the kernel.
    pub(super) fn call(&mut self, helper: Helper) {
        self.push(CLASS_JUMP | CALL, Register::R0, Register::R0, 0, helper as i32);
    }

    /// Jumps.
    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(CLASS_JUMP, Register::R0, Register::R0, 0, 0);
    }

    /// Jumps if a register and a number compare so.
    pub(super) fn jump_if(&mut self, register: Register, condition: Condition, number: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(CLASS_JUMP | condition.code(), register, Register::R0, 0, number);
    }

    /// Jumps if two registers compare so.
    pub(super) fn jump_if_both(&mut self, one: Register, condition: Condition, other: Register, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(CLASS_JUMP | BY_REGISTER | condition.code(), one, other, 0, 0);
    }

    /// Names the place of the next instruction.
    pub(super) fn label(&mut self, label: Label) {
        if self.labels.insert(label, self.instructions.len()).is_some() {
            self.twice = Some(label);
        }
    }

    /// Ends the program with the verdict in `R0`.
    pub(super) fn exit(&mut self) {
        self.push(CLASS_JUMP | EXIT, Register::R0, Register::R0, 0, 0);
    }

    /// The instructions, every jump with its distance.
    pub(super) fn finish(mut self) -> Result<Vec<Instruction>, AssemblyError> {
        if let Some(Label(name)) = self.twice {
            return Err(AssemblyError::Twice(name));
        }
        for (from, label) in self.jumps {
            let distance = self.labels.get(&label).and_then(|to| i16::try_from(to.checked_sub(from + 1)?).ok());
            self.instructions[from].offset = distance.ok_or(AssemblyError::Unreachable(label.0))?;
        }
        Ok(self.instructions)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The bytes of instructions, eight each, as a dump shows them.
    pub(in super::super) fn hex(instructions: &[Instruction]) -> Vec<String> {
        let shown = |one: &Instruction| {
            let [offset, number] =
                [u32::from(one.offset.swap_bytes().cast_unsigned()), one.number.swap_bytes().cast_unsigned()];
            format!("{:02x}{:02x}{offset:04x}{number:08x}", one.code, one.registers)
        };
        instructions.iter().map(shown).collect()
    }

    /// Against the encodings that RFC 9669 gives.
    #[test]
    fn instructions_have_the_codes_of_the_standard() {
        use Register::{R0, R1, R2, R6, R10};
        let mut code = Assembler::default();
        let end = Label("end");
        code.set(R0, -1);
        code.copy(R6, R1);
        code.point_to(R2, -24);
        code.load(Width::Byte, R1, R10, -64);
        code.load(Width::Half, R1, R10, -64);
        code.load(Width::Word, R1, R6, 16);
        code.store(Width::Word, R10, -20, R1);
        code.store_number(Width::Word, R10, -24, 32);
        code.map(R1, 7);
        code.call(Helper::Redirect);
        code.jump_if(R0, Condition::Equal, 0, end);
        code.jump_if(R0, Condition::AtMost, 4, end);
        code.jump_if(R0, Condition::Shares, 8, end);
        code.jump_if_both(R0, Condition::Differs, R6, end);
        code.jump(end);
        code.label(end);
        code.exit();
        assert_eq!(
            hex(&code.finish().unwrap()),
            [
                "b7000000ffffffff",
                "bf16000000000000",
                "bfa2000000000000",
                "07020000e8ffffff",
                "71a1c0ff00000000",
                "69a1c0ff00000000",
                "6161100000000000",
                "631aecff00000000",
                "620ae8ff20000000",
                "1811000007000000",
                "0000000000000000",
                "8500000017000000",
                "1500040000000000",
                "b500030004000000",
                "4500020008000000",
                "5d60010000000000",
                "0500000000000000",
                "9500000000000000",
            ]
        );
    }

    #[test]
    fn jumps_that_lead_nowhere_or_back_are_refused() {
        let mut nowhere = Assembler::default();
        nowhere.jump(Label("gone"));
        assert_eq!(nowhere.finish().unwrap_err().to_string(), "no way to the label `gone`");
        let mut back = Assembler::default();
        back.label(Label("start"));
        back.jump(Label("start"));
        assert_eq!(back.finish().unwrap_err().to_string(), "no way to the label `start`");
        let mut twice = Assembler::default();
        twice.label(Label("here"));
        twice.label(Label("here"));
        assert_eq!(twice.finish().unwrap_err().to_string(), "two labels `here`");
    }
}
