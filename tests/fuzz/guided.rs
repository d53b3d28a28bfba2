//! The search by coverage: libFuzzer drives one target, as `tests/fuzz/run` builds it.
// libFuzzer is a C++ library that calls back.
#![allow(unsafe_code)]

// Linked for its library alone.
use libfuzzer_sys as _;

use std::ffi::{CString, c_char, c_int};
use std::sync::OnceLock;

use crate::{Target, bounds, named};

static TARGET: OnceLock<&Target> = OnceLock::new();

// SAFETY: the signature of `LLVMFuzzerRunDriver` in LLVM's `FuzzerInterface.h`; linking libfuzzer-sys provides it.
unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        count: *mut c_int,
        arguments: *mut *mut *mut c_char,
        callback: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

extern "C" fn one_input(start: *const u8, length: usize) -> c_int {
    let input = if length == 0 {
        &[][..]
    } else {
        // SAFETY: libFuzzer gives the address of that many bytes, which it keeps until this returns.
        unsafe { std::slice::from_raw_parts(start, length) }
    };
    let target = TARGET.get().unwrap();
    bounds::within(input.len(), || (target.run)(input));
    0
}

/// Named as libfuzzer-sys expects its entry, which is not used here.
#[unsafe(no_mangle)]
pub extern "C" fn rust_fuzzer_test_input(_: *const u8, _: usize) -> c_int {
    0
}

/// Runs libFuzzer with the words of `LONGHAUL_FUZZ_ARGUMENTS` on the target that `LONGHAUL_FUZZ_TARGET` names.
#[test]
fn guided() {
    let Ok(name) = std::env::var("LONGHAUL_FUZZ_TARGET") else { return };
    let _ = TARGET.set(named(&name));
    std::panic::set_hook(Box::new(|cause| {
        eprintln!("{cause}");
        // libFuzzer keeps the input of a process that aborts.
        std::process::abort();
    }));
    let words = std::env::var("LONGHAUL_FUZZ_ARGUMENTS").unwrap_or_default();
    let words: Vec<CString> =
        std::iter::once("fuzz").chain(words.split_whitespace()).map(|word| CString::new(word).unwrap()).collect();
    let mut pointers: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let mut count = c_int::try_from(words.len()).unwrap();
    let mut arguments = pointers.as_mut_ptr();
    // SAFETY: `arguments` points to `count` texts and a null, which live until the call returns.
    let code = unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut arguments, one_input) };
    assert_eq!(code, 0, "libFuzzer ends with {code}");
}
