//! Scripts beside simulations of the same trials.
