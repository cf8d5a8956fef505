//! Users, groups, links, sessions and audit on SQLite and PostgreSQL.
//!
//! One SQL text serves both databases; only the migrations differ. Everything that changes what a person is or may do
//! goes through one door, [`Store::apply`], as a [`Plan`]: one transaction, refused whole when somebody else wrote first.
//!
//! This crate never reads a clock and never makes an identifier or a secret: they come in as arguments. It decides
//! nothing about people, and it never speaks LDAP or HTTP.
//!
//! ```
//! # use bindery_store::{Change, NewUser, Plan, Store, StoreUrl};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bindery_store::StoreError> {
//! let store = Store::open(&StoreUrl::parse("sqlite::memory:")?).await?;
//! # let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
//! # let id = uuid::Uuid::from_u128(7);
//! let ann = NewUser { id, username: "Ann".into(), username_key: "ann".into(), ..NewUser::default() };
//! store.apply(&Plan::from(vec![Change::CreateUser(ann)]), now).await?;
//!
//! let found = store.user_by_username("ann").await?;
//! assert_eq!(found.map(|user| user.username), Some("Ann".to_owned()));
//! # Ok(())
//! # }
//! ```

mod apply;
mod arg;
mod audit;
mod db;
mod error;
mod groups;
mod guard;
mod how_many;
mod json;
mod leases;
mod lists;
mod many;
mod model;
mod open;
mod people;
mod plan;
mod rosters;
mod sessions;
mod settings;
mod snapshot;
mod sqlite;
mod statement;
mod sync;
mod sync_runs;
mod throttle;
mod tokens;
mod url;
mod users;
mod watch;

pub use apply::Prepared;
pub use error::{StoreError, Trouble};
pub use model::{
    ApiToken, AuditEntry, AuditFilter, Cause, Deactivation, EntityKind, Flags, Group, GroupState, Lease, Link,
    Membership, NewAudit, NewSession, NewUser, Owner, PasswordHash, Profile, Session, SessionWithUser, SyncRunRecord,
    TokenHash, User, UserFilter, UserState,
};
pub use open::{Store, Tuning};
pub use people::ListedUser;
pub use plan::{Applied, Change, Expected, Field, GroupRef, NewGroup, Plan};
pub use rosters::Roster;
pub use snapshot::{Snapshot, SnapshotRequest};
pub use sync::{LinkName, SyncedLink};

pub use throttle::{Limit, Throttle, ThrottleKind};
pub use url::StoreUrl;
pub use watch::{Revoked, Watch};
