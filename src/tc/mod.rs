//! The port `TrafficControl` and its adapters: the kernel, the user-space delay line, a fake.

pub mod line;
