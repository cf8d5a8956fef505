//! The directory against real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that finds something else than it expects fails by panicking"
)]

mod changes;
mod changes_389ds;
mod changes_scripted;
mod compares;
mod failover;
mod follow;
mod groups;
mod hidden;
mod listing;
mod listing_scripted;
mod member_of;
mod people;
mod referrals;
mod roster;
mod scripted;
mod sign_in;
mod source;
mod support;
mod unknown;
mod wire;
