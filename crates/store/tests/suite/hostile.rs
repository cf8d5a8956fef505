//! Names that are meant to break something.

use bindery_store::{
    AuditFilter, Cause, Change, Deactivation, Field, NewAudit, Plan, SnapshotRequest, StoreError, UserFilter,
};
use serde_json::json;

use crate::place::{Place, apply, at, id, link, new_group, new_user, on_both};

on_both!(
    a_name_is_text_whatever_it_looks_like,
    what_cannot_be_stored_is_refused_before,
    what_cannot_be_stored_cannot_be_found,
    a_hostile_name_still_leaves_a_trace,
    a_plan_names_what_is_wrong,
);

const NAMES: [&str; 10] = [
    "'; DROP TABLE users; --",
    "$1",
    "%",
    "_",
    "*)(uid=*",
    "{{ 7 * 7 }}",
    "\u{202e}nna",
    "ａｎｎ",
    "a\u{10ffff}",
    "\\\"`\n\t\r\u{1}",
];

async fn a_name_is_text_whatever_it_looks_like(place: Place) {
    let store = place.open().await;
    for (name, n) in NAMES.iter().zip(1..) {
        let mut user = new_user(n, name);
        user.profile.insert((*name).to_owned(), json!(name));
        user.flags.insert((*name).to_owned(), true);
        let group = new_group(100 + n, name);
        let permission = Change::Grant { group: bindery_store::GroupRef::Id(group.id), permission: (*name).into() };
        apply(
            &store,
            vec![
                Change::CreateUser(user),
                Change::CreateGroup(group),
                permission,
                Change::Link(link(n, name, name)),
                Change::AddMembership {
                    user: id(n),
                    group: bindery_store::GroupRef::Key(name.to_lowercase()),
                    owner: (*name).into(),
                },
            ],
        )
        .await;
        let state = store.user_state_by_username(&name.to_lowercase()).await.unwrap().unwrap();
        assert_eq!((state.user.id, state.user.username.as_str()), (id(n), *name));
        assert_eq!(state.user.profile[*name], json!(name));
        assert!(state.user.flag(name) && state.link(name).is_some());
        assert_eq!(state.memberships.len(), 1);
        assert_eq!(store.permissions_of_user(id(n)).await.unwrap(), [*name]);
    }
    assert_eq!(store.user_count().await.unwrap(), NAMES.len() as u64);
}

async fn what_cannot_be_stored_is_refused_before(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let nul = "a\0b".to_owned();
    let update = |field| Change::UpdateUser { user: id(1), fields: vec![field] };
    let group = || bindery_store::GroupRef::Key("a\0b".to_owned());
    let bad = vec![
        Change::CreateUser(new_user(2, &nul)),
        Change::CreateUser(new_user(2, "")),
        Change::CreateUser(new_user(2, &"x".repeat(3000))),
        Change::CreateGroup(new_group(9, &nul)),
        update(Field::FirstName(nul.clone())),
        update(Field::Email { address: "a@x".into(), key: nul.clone() }),
        update(Field::Profile { name: "a".into(), value: Some(json!({"b": [nul]})) }),
        update(Field::Profile { name: nul.clone(), value: None }),
        Change::SetFlags { user: id(1), flags: [(nul.clone(), true)].into() },
        Change::Link(link(1, "corp", &nul)),
        Change::Link(link(1, "corp", "")),
        Change::Link(link(1, "corp", &"x".repeat(3000))),
        Change::Grant { group: group(), permission: "x".into() },
        Change::AddMembership { user: id(1), group: group(), owner: bindery_store::Owner::Hand },
        Change::SetDeactivatedBy { user: id(1), by: Some(Deactivation::new(Cause::Left, nul.clone())) },
    ];
    for change in bad {
        let shown = format!("{change:?}");
        let error = store.apply(&Plan::from(vec![change]), at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{shown}: {error:?}");
    }
    assert_eq!(store.user(id(1)).await.unwrap().unwrap().version, 1);
}

async fn what_cannot_be_stored_cannot_be_found(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    for key in ["ann\0", "\0", &"x".repeat(100_000)] {
        assert_eq!(store.user_by_username(key).await.unwrap(), None);
        assert_eq!(store.user_by_link(key, key).await.unwrap(), None);
        assert!(store.users_by_email(key).await.unwrap().is_empty());
        assert!(store.group_by_name(key).await.unwrap().is_none());
        let filter = UserFilter { prefix: key.to_owned(), ..UserFilter::default() };
        assert!(store.users(&filter).await.unwrap().is_empty());
        let request = SnapshotRequest {
            source: key.to_owned(),
            unique_id: key.to_owned(),
            username_key: key.to_owned(),
            email_key: Some(key.to_owned()),
            group_keys: vec![key.to_owned()],
            group_entries: vec![key.to_owned()],
        };
        assert_eq!(store.snapshot(&request).await.unwrap(), bindery_store::Snapshot::default());
    }
}

async fn a_hostile_name_still_leaves_a_trace(place: Place) {
    let store = place.open().await;
    let entry = NewAudit {
        id: id(1),
        event: "sign_in".into(),
        username: format!("a\0{}", "é".repeat(100_000)),
        address: "\0".into(),
        detail: json!({"user\0": ["a\0b"]}).as_object().cloned().unwrap(),
        ..NewAudit::default()
    };
    store.record(&entry, at(0)).await.unwrap();
    let read = &store.audit(&AuditFilter::default()).await.unwrap()[0];
    assert!(read.username.starts_with("a\u{fffd}é") && read.username.chars().count() == 256);
    assert_eq!(read.detail["user\u{fffd}"], json!(["a\u{fffd}b"]));
    let session = bindery_store::NewSession { user_agent: "\0".repeat(9000), ..crate::place::new_session(1, "t") };
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(session)]).await;
}

async fn a_plan_names_what_is_wrong(place: Place) {
    let store = place.open().await;
    let plan = Plan::from(vec![Change::CreateUser(new_user(2, "a\0b"))]);
    let error = store.apply(&plan, at(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "username cannot be stored: it contains NUL");
}
