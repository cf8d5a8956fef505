//! The decisions of Bindery: rules, reconcile, sign-in, refresh, configuration.
//!
//! Every way a person reaches Bindery runs through the same four steps, once each in this crate:
//!
//! ```text
//! entry --rules--> decision --reconcile--> plan --apply--> store --> events
//! ```
//!
//! Nothing in here touches a socket or HTTP: the directory crate speaks LDAP, the store SQL.

pub mod ambient;
pub mod config;
pub mod engine;
pub mod events;
pub mod name;
pub mod outcome;
pub mod password;
pub mod reconcile;
pub mod rules;
pub mod sync;
pub mod token;

pub use ambient::{Clock, Entropy, SystemClock, SystemEntropy};
pub use engine::Engine;
pub use outcome::{Outcome, Reason};
