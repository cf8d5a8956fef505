//! The directory as a foreign client sees it: everything here goes through `ldap3` and a real socket.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests, helpers included")]

mod changes;
mod hostile;
mod search;
mod sign_in;
mod support;
mod sync;
mod tls;
