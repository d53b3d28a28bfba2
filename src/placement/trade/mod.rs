//! `TraDE`'s other parts (paper 001): from byte counters to traffic ([`stress`]), when to place anew ([`trigger`]), which latency
//! is too much ([`knee`]) and which moves are carried out ([`filter`]). The mapper itself is the policy `pga`.

pub mod filter;
pub mod knee;
pub mod stress;
pub mod trigger;
