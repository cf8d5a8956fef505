//! One suite, run on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that is surprised fails")]

mod batches;
mod groups;
mod hostile;
mod listing;
mod opening;
mod people;
mod place;
mod records;
mod sessions;
mod sync;
mod throttle;
mod watch;
