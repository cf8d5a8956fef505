//! What the store holds, as plain data. Nothing here touches a database.

mod identity;
mod records;
mod secret;

pub use identity::{
    Cause, Deactivation, EntityKind, Flags, Group, GroupState, Link, Membership, NewUser, Owner, Profile, User,
    UserFilter, UserState,
};
pub use records::{
    ApiToken, AuditEntry, AuditFilter, Lease, NewAudit, NewSession, Session, SessionWithUser, SyncRunRecord,
};
pub use secret::{PasswordHash, TokenHash};
