//! What is put on a testbed to be measured: synthetic services, and open-loop load on them.

pub mod load;
pub mod service;

/// The header by which a service says which of its instances answered.
pub const INSTANCE_HEADER: &str = "x-longhaul-instance";

/// The header by which a service says how long it had a request, queue included, such as `5.5ms`: what is left of a client's
/// latency is the network's.
pub const PROCESSING_HEADER: &str = "x-longhaul-processing";
