//! The directory against real servers.

mod failover;
mod groups;
mod member_of;
mod people;
mod sign_in;
mod source;
mod support;
