//! Every route over HTTP, each ending and each refusal, without a socket.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody uses a test from outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::new_without_default,
    reason = "a test that cannot begin fails by panicking"
)]

mod admin;
mod login;
mod office;
mod pages;
mod people;
mod real;
mod scripted;
mod session;
mod site;
