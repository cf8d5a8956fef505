//! Rules: pure functions from an entry and its groups to a decision, each result with its provenance.
//!
//! No I/O, no clock, no randomness: what they need comes in as arguments.

mod decision;
mod expression;
mod fields;
mod set;

pub use decision::{AccessRuling, Decision, Facts, FieldValue, FlagRuling, GroupGrant, Refused, decide};
pub use expression::{Certainty, GroupExpression, Truth, UnknownBecause};
pub use fields::{FieldRule, FieldSource, Template, TemplateError};
pub use set::{Access, LinkExisting, Mirror, Permissions, Provisioning, RefreshFailure, RuleSet, Update};
