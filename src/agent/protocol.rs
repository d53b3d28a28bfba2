//! The session protocol: what the command line asks of a node's agent, one JSON object a line over its standard input and output.
//!
//! There is no listening port: the session is spawned by whoever asks, and its end clears the node.

use serde::{Deserialize, Serialize};

/// A request with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct RequestLine<T> {
    /// Chosen by the asker; the answer carries it.
    pub id: u64,
    /// What is asked.
    pub request: T,
}

/// An answer with the number of its request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResponseLine<T> {
    /// The request's.
    pub id: u64,
    /// The answer.
    pub response: T,
}
