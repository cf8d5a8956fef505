//! Directory sign-in, current user and guards for axum apps.
//!
//! The crate holds pages, cookies and HTTP, and no decision about anybody: those are `bindery-core`'s.

mod assets;
pub mod authority;
mod bindery;
mod cookie;
mod csrf;
mod forwarded;
mod guard;
mod layer;
mod next;
mod pages;
mod posted;
mod problem;
mod routes;
pub mod sentences;
pub mod settings;
mod shared;
mod visitor;

pub use bindery::{Bindery, BinderyBuilder};
pub use forwarded::Client;
pub use guard::{Guard, Guarded, Require, Requirement, Rule};
pub use layer::{BinderyLayer, BinderyService};
pub use pages::{Demo, DemoPerson, PagesError};
pub use problem::Problem;
pub use visitor::{CurrentUser, NoCurrentUser, Standing, Visitor};
