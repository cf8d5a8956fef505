//! Rules: pure functions from an entry and its groups to a decision, each result with its provenance.
//!
//! No I/O, no clock, no randomness: what they need comes in as arguments.

mod decide;
mod decision;
mod expression;
mod fields;
mod fold;
mod groups;
mod set;
mod template;
#[cfg(test)]
pub(crate) mod testing;
mod text;

pub use decide::decide;
pub use decision::{AccessRuling, Decision, Facts, FieldValue, FlagRuling, GroupGrant, Refused, Step};
pub use expression::{Certainty, GroupExpression, Truth, UnknownBecause};
pub use fields::{FieldRule, FieldSource};
pub use fold::fold;
pub use groups::mirrored;
pub use set::{Access, LinkExisting, Mirror, Permissions, Provisioning, RefreshFailure, RuleSet, Update};
pub use template::{Template, TemplateError};
pub use text::value_text;
