//! `longhaul matrix`.
