//! Fresh databases, and the people that tests put into them.

use bindery_store::{Change, EntityKind, Link, NewGroup, NewSession, NewUser, Owner, Plan, Store, StoreUrl, TokenHash};
use bindery_tests::Postgres;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A database of the test's own.
pub(crate) struct Place {
    pub(crate) url: StoreUrl,
    pub(crate) text: String,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sqlite:{}", folder.path().join("bindery.db").display());
        Self { url: StoreUrl::parse(&text).unwrap(), text, _folder: Some(folder) }
    }

    pub(crate) fn postgres() -> Self {
        let text = Postgres::start().database();
        Self { url: StoreUrl::parse(&text).unwrap(), text, _folder: None }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }
}

/// Makes two tests of each function that takes a [`Place`].
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::place::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::place::Place::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// The tests' clock: seconds after some moment.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn new_user(n: u128, name: &str) -> NewUser {
    NewUser { id: id(n), username: name.to_owned(), username_key: name.to_lowercase(), ..NewUser::default() }
}

pub(crate) fn new_group(n: u128, name: &str) -> NewGroup {
    NewGroup { id: id(n), name: name.to_owned(), name_key: name.to_lowercase(), owner: Owner::Hand }
}

pub(crate) fn link(user: u128, source: &str, unique_id: &str) -> Link {
    Link {
        kind: EntityKind::User,
        source: source.to_owned(),
        unique_id: unique_id.to_owned(),
        entity_id: id(user),
        dn: format!("uid={unique_id},dc=example"),
        dn_key: format!("uid={unique_id},dc=example"),
        last_seen: at(0),
        fingerprint: Some(vec![0, 1, 255]),
        given_fields: ["email".to_owned()].into(),
        given_flags: ["is_staff".to_owned()].into(),
        live_groups: ["editors".to_owned()].into(),
        account_ends: Some(at(86_400)),
        password_changed: Some(at(-86_400)),
        parent: None,
    }
}

pub(crate) fn new_session(user: u128, token: &str) -> NewSession {
    NewSession {
        token: TokenHash::of(token.as_bytes()),
        validator: TokenHash::of(format!("{token} whole").as_bytes()),
        user_id: id(user),
        source: Some("corp".to_owned()),
        expires_at: at(1000),
        idle_expires_at: at(100),
        remember: false,
        user_agent: "Firefox".to_owned(),
        address: "192.0.2.7".to_owned(),
    }
}

/// Carries out changes that must succeed.
pub(crate) async fn apply(store: &Store, changes: Vec<Change>) {
    store.apply(&Plan::from(changes), at(0)).await.unwrap();
}
