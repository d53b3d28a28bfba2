//! Seeded mutations: the same seed makes the same inputs, on every machine.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Target;

/// The longest input that is made.
const LONGEST: usize = 4_096;

/// What numbers and texts go wrong at.
const NASTY: [&[u8]; 33] = [
    b"0",
    b"-1",
    b"-0",
    b"1e308",
    b"1e-400",
    b"NaN",
    b"inf",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"4294967295",
    b"4294967296",
    b"99999999999999999999999999999999999999999",
    b"60000.000001",
    b"0.0000000000000000000000001",
    b"1,5",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\x1b[31m",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{85}".as_bytes(),
    b"\"",
    b"'",
    b"&",
    b"*",
    b"\\u0000",
];

/// Makes inputs of a target's seeds.
pub(crate) struct Mutator<'a> {
    random: ChaCha8Rng,
    seeds: &'a [Vec<u8>],
    words: &'a [&'a str],
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(seed: u64, target: &'a Target, seeds: &'a [Vec<u8>]) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), seeds, words: target.words }
    }

    /// The next input: a seed with one to eight changes.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..self.random.random_range(1..=8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() { Vec::new() } else { self.seeds[self.below(self.seeds.len())].clone() }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end.max(1))
    }

    /// A part of the input, often a short one.
    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let from = self.below(input.len() + 1);
        let longest = if self.random.random_bool(0.7) { 8 } else { input.len() };
        from..(from + self.below(longest + 1)).min(input.len())
    }

    /// A run of digits, if there is one behind a random place.
    fn digits(&mut self, input: &[u8]) -> Option<std::ops::Range<usize>> {
        let from = self.below(input.len());
        let first = from + input.get(from..)?.iter().position(u8::is_ascii_digit)?;
        let length = input[first..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        Some(first..first + length)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        match self.random.random_range(0..10) {
            0 => drop(input.drain(part)),
            1 => {
                let copy = input[part].to_vec();
                let place = self.below(input.len() + 1);
                input.splice(place..place, copy);
            }
            2 if !input.is_empty() => {
                let place = self.below(input.len());
                input[place] ^= 1 << self.random.random_range(0..8);
            }
            3 if !input.is_empty() => {
                let place = self.below(input.len());
                input[place] =
                    *[0, 0xff, 0x7f, 0x80, 1, b' ', b'\n'].get(self.below(14)).unwrap_or(&self.random.random());
            }
            4 | 5 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                input.splice(part, word.bytes());
            }
            6 => {
                let nasty = NASTY[self.below(NASTY.len())];
                input.splice(part, nasty.iter().copied());
            }
            7 => {
                let nasty = NASTY[self.below(15)];
                let part = self.digits(input).unwrap_or(part);
                input.splice(part, nasty.iter().copied());
            }
            8 => {
                let other = self.seed();
                let from = self.part(&other);
                input.splice(part, other[from].iter().copied());
            }
            _ => {
                let mut bytes = [0; 4];
                self.random.fill_bytes(&mut bytes);
                let length = self.below(5);
                input.splice(part, bytes[..length].iter().copied());
            }
        }
    }
}
