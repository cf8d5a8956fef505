//! Starts the real servers that the tests run against: slapd, 389-DS, PostgreSQL, Chromium and Bindery itself.
//!
//! Every fixture lives in a temporary folder on loopback ports that were free a moment ago, is ready when
//! its constructor returns, and is gone when it is dropped, or when the test process dies in whatever way.
//! Fixtures panic when something is missing: a server that is not there fails the test, it never skips it.
//!
//! Never depends on a Bindery crate, so that every one of them can use it in its own tests.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a fixture that cannot start fails its test by panicking with the reason"
)]

mod bindery;
mod browser;
mod ca;
mod clients;
mod ds389;
mod fault_proxy;
mod net;
mod postgres;
mod process;
mod slapd;

pub use bindery::{Bindery, Output, Serving, binary};
pub use browser::{Browser, Look};
pub use ca::{Ca, Issued};
pub use clients::Clients;
pub use ds389::{Ds389, Ds389Builder};
pub use fault_proxy::FaultProxy;
pub use net::{free_port, wait_for_port, wait_until};
pub use postgres::Postgres;
pub use slapd::{PEOPLE, Slapd, SlapdBuilder};
