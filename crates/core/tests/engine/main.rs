//! The engine over the embedded directory and SQLite in memory: every outcome, and every reason that this
//! directory can give. Those that only Active Directory gives are tested where its answers are read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds something else than it expects fails by panicking"
)]

mod database;
mod explain;
mod offline;
mod outcomes;
mod overtaken;
mod password_change;
mod provisioning;
mod real_directory;
mod refresh;
mod replicas;
mod routing;
mod sessions;
mod sync_changes;
mod sync_faults;
mod sync_full;
mod sync_groups;
mod sync_hidden;
mod sync_incomplete;
mod sync_live;
mod sync_people;
mod sync_remembered;
mod sync_removals;
mod sync_renames;
mod sync_runs;
mod throttle;
mod twist;
mod world;
