//! Every route over HTTP, each ending and each refusal, without a socket.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]

mod login;
mod pages;
mod scripted;
mod session;
mod site;
