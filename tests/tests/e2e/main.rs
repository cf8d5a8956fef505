//! The built binary against real servers, end to end, by subject.
//!
//! Each test names what it covers in its documentation. They know Bindery by its documented contract alone:
//! configuration keys, commands, exit codes, JSON keys, paths and headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod accounts;
mod admin;
mod bad_input;
mod commands;
mod configuration;
mod ds389;
mod groups;
mod http;
mod kept_true;
mod outages;
mod pages;
mod presets;
mod reasons;
mod several_sources;
mod support;
mod sync;
mod sync_interrupted;
mod sync_live;
mod tls;
mod ways_in;
