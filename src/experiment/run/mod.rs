//! Runs: trials one after another or side by side, and the directory that keeps what they give.
