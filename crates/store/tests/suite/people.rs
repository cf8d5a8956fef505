//! Users, links, and plans that meet each other.

use bindery_store::{
    Cause, Change, Deactivation, EntityKind, Expected, Field, Flags, Plan, SnapshotRequest, Store, StoreError,
    UserFilter,
};
use serde_json::json;

use crate::place::{Place, apply, at, id, link, new_group, new_session, new_user, on_both};

on_both!(
    a_user_comes_back_as_created,
    a_new_user_is_active_and_no_more,
    fields_and_flags_change_alone,
    a_taken_name_is_a_conflict_and_leaves_nothing,
    names_pass_from_one_to_another,
    the_loser_of_a_race_is_told,
    two_sign_ins_of_a_new_person_make_one_user,
    two_sign_ins_of_a_known_person_both_pass,
    deactivation_wins_over_a_session_being_made,
    a_snapshot_finds_by_entry_name_and_mail,
    an_entry_has_one_link,
    a_link_moves_with_its_entry,
    a_link_that_is_seen_stays_as_it_is,
    unlinking_moves_the_version,
    a_batch_leaves_out_only_the_conflict,
    a_deleted_user_leaves_only_the_audit,
    users_are_listed_in_pages,
    a_verifier_is_replaced,
);

async fn a_user_comes_back_as_created(place: Place) {
    let store = place.open().await;
    let mut new = new_user(1, "Ann");
    new.first_name = "Ann-Zoë".into();
    new.email = "Ann@Example.com".into();
    new.email_key = "ann@example.com".into();
    new.profile.insert("phones".into(), json!(["1", "2", {"a": null, "b": 1.5}]));
    new.password_hash = Some(bindery_store::PasswordHash::new("$argon2id$x"));
    // Finer than what PostgreSQL keeps: both must answer alike.
    let now = at(0) + chrono::TimeDelta::nanoseconds(123_456_789);
    store.apply(&Plan::from(vec![Change::CreateUser(new.clone())]), now).await.unwrap();

    let user = store.user(id(1)).await.unwrap().unwrap();
    assert_eq!(
        (user.username, user.first_name, user.email, user.profile, user.flags, user.password_hash),
        (new.username, new.first_name, new.email, new.profile, new.flags, new.password_hash)
    );
    assert_eq!(user.created_at, at(0) + chrono::TimeDelta::microseconds(123_456));
    assert_eq!((user.version, user.last_sign_in, user.deactivated_by), (1, None, None));
}

async fn a_new_user_is_active_and_no_more(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let ann = store.user_by_username("ann").await.unwrap().unwrap();
    assert!(ann.is_active() && !ann.is_staff() && !ann.is_superuser() && !ann.flag("is_pilot"));
}

async fn fields_and_flags_change_alone(place: Place) {
    let store = place.open().await;
    let mut new = new_user(1, "ann");
    new.last_name = "Moss".into();
    new.profile.insert("room".into(), json!("12"));
    new.profile.insert("desk".into(), json!("3"));
    apply(&store, vec![Change::CreateUser(new)]).await;

    let fields = vec![
        Field::FirstName("Ann".into()),
        Field::Email { address: "A@x".into(), key: "a@x".into() },
        Field::Profile { name: "room".into(), value: None },
        Field::Profile { name: "floor".into(), value: Some(json!(4)) },
    ];
    let live = ["editors".to_owned(), "a\0b".to_owned(), "x".repeat(2000)].into();
    let fields = [fields, vec![Field::LiveGroups(live)]].concat();
    let flags = Flags::from([("is_staff".into(), true)]);
    let plan = Plan::from(vec![
        Change::UpdateUser { user: id(1), fields },
        Change::SetFlags { user: id(1), flags },
        Change::SetDeactivatedBy { user: id(1), by: Some(Deactivation::new(Cause::Left, "corp")) },
    ]);
    store.apply(&plan, at(9)).await.unwrap();

    let ann = store.user(id(1)).await.unwrap().unwrap();
    assert_eq!((ann.first_name.as_str(), ann.last_name.as_str(), ann.email_key.as_str()), ("Ann", "Moss", "a@x"));
    assert_eq!(serde_json::Value::Object(ann.profile.clone()), json!({"desk": "3", "floor": 4}));
    assert!(ann.is_active() && ann.is_staff() && !ann.is_superuser());
    assert_eq!(ann.live_groups, ["editors".to_owned()].into(), "a name that no group can have is left out");
    assert_eq!((ann.version, ann.updated_at), (2, at(9)));
    assert_eq!(ann.deactivated_by, Some(Deactivation::new(Cause::Left, "corp")));

    store.apply(&Plan::deactivate(id(1)), at(10)).await.unwrap();
    let ann = store.user(id(1)).await.unwrap().unwrap();
    assert!(!ann.is_active() && ann.is_staff());
    assert_eq!(ann.deactivated_by, None, "by hand is no source's");

    for cause in [Cause::Rule, Cause::Account] {
        let by = Some(Deactivation::new(cause, "a:b"));
        apply(&store, vec![Change::SetDeactivatedBy { user: id(1), by: by.clone() }]).await;
        assert_eq!(store.user(id(1)).await.unwrap().unwrap().deactivated_by, by);
    }
}

async fn a_taken_name_is_a_conflict_and_leaves_nothing(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let plan = Plan::from(vec![
        Change::CreateGroup(new_group(9, "Editors")),
        Change::CreateUser(new_user(3, "bob")),
        Change::CreateUser(new_user(2, "ANN")),
    ]);
    let error = store.apply(&plan, at(1)).await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(store.user_by_username("bob").await.unwrap(), None);
    assert_eq!(store.groups().await.unwrap(), []);
}

fn rename(version: i64, name: &str) -> Plan {
    Plan {
        changes: vec![Change::UpdateUser { user: id(1), fields: vec![Field::DisplayName(name.into())] }],
        expected: vec![Expected { user: id(1), version }],
    }
}

async fn names_pass_from_one_to_another(place: Place) {
    let store = place.open().await;
    for (n, name) in [(1, "ann"), (2, "bob"), (3, "cy"), (4, "dee")] {
        apply(&store, vec![Change::CreateUser(new_user(n, name))]).await;
    }
    let named = async |name: &str| store.user_by_username(name).await.unwrap().map(|user| user.id);
    let to = |n, name: &str| {
        let fields = vec![Field::Username { name: name.to_owned(), key: name.to_owned() }];
        Change::UpdateUser { user: id(n), fields }
    };
    // Round, in a row from either end, and onto a name that somebody else has and keeps.
    apply(&store, vec![to(1, "bob"), to(2, "cy"), to(3, "ann")]).await;
    assert_eq!([named("bob").await, named("cy").await, named("ann").await], [id(1), id(2), id(3)].map(Some));
    apply(&store, vec![to(1, "cy"), to(2, "eve")]).await;
    apply(&store, vec![to(2, "fay"), to(1, "eve")]).await;
    assert_eq!([named("eve").await, named("fay").await, named("cy").await], [Some(id(1)), Some(id(2)), None]);
    let taken = store.apply(&Plan::from(vec![to(1, "fay"), to(2, "dee")]), at(1)).await.unwrap_err();
    assert!(taken.is_conflict(), "{taken}");
    assert_eq!([named("eve").await, named("fay").await, named("dee").await], [id(1), id(2), id(4)].map(Some));
}

async fn the_loser_of_a_race_is_told(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let plans: Vec<Plan> = (0..8).map(|n| rename(1, &format!("Ann {n}"))).collect();
    let results = together(&store, plans).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|result| result.as_ref().err().is_none_or(StoreError::is_conflict)), "{results:?}");
    assert_eq!(store.user(id(1)).await.unwrap().unwrap().version, 2);

    let gone = Plan { expected: vec![Expected { user: id(77), version: 1 }], ..rename(2, "Ann") };
    assert!(store.apply(&gone, at(1)).await.unwrap_err().is_conflict());
}

async fn together(store: &Store, plans: Vec<Plan>) -> Vec<Result<bindery_store::Applied, StoreError>> {
    let mut tasks = tokio::task::JoinSet::new();
    for plan in plans {
        let store = store.clone();
        tasks.spawn(async move { store.apply(&plan, at(1)).await });
    }
    tasks.join_all().await
}

async fn two_sign_ins_of_a_new_person_make_one_user(place: Place) {
    // Two replicas: each has connections of its own.
    let (one, two) = (place.open().await, place.open().await);
    let plan = |n: u128| {
        Plan::from(vec![
            Change::CreateUser(new_user(n, "ann")),
            Change::CreateGroup(new_group(n + 100, "Editors")),
            Change::Link(link(n, "corp", "uuid-ann")),
            Change::StartSession(new_session(n, &n.to_string())),
        ])
    };
    let (mut results, others) =
        tokio::join!(together(&one, (1..5).map(plan).collect()), together(&two, (5..9).map(plan).collect()));
    results.extend(others);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|result| result.as_ref().err().is_none_or(StoreError::is_conflict)), "{results:?}");
    assert_eq!(one.user_count().await.unwrap(), 1);
    let request = SnapshotRequest { source: "corp".into(), unique_id: "uuid-ann".into(), ..SnapshotRequest::default() };
    assert!(two.snapshot(&request).await.unwrap().linked.is_some());
}

async fn two_sign_ins_of_a_known_person_both_pass(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::Link(link(1, "corp", "u"))]).await;
    let version = store.user(id(1)).await.unwrap().unwrap().version;
    let plan = |n: usize| Plan {
        changes: vec![
            Change::UpdateLink(link(1, "corp", "u")),
            Change::SignedIn { user: id(1) },
            Change::StartSession(new_session(1, &n.to_string())),
        ],
        expected: vec![Expected { user: id(1), version }],
    };
    for result in together(&store, (0..6).map(plan).collect()).await {
        result.unwrap();
    }
    let ann = store.user(id(1)).await.unwrap().unwrap();
    assert_eq!((ann.version, ann.last_sign_in), (version, Some(at(1))));
    assert_eq!(store.sessions_of(id(1), at(2)).await.unwrap().len(), 6);
}

async fn deactivation_wins_over_a_session_being_made(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let read = store.user(id(1)).await.unwrap().unwrap();
    store.apply(&Plan::deactivate(id(1)), at(1)).await.unwrap();
    let late = Plan {
        changes: vec![Change::StartSession(new_session(1, "late"))],
        expected: vec![Expected { user: id(1), version: read.version }],
    };
    assert!(store.apply(&late, at(1)).await.unwrap_err().is_conflict());
    assert_eq!(store.sessions_of(id(1), at(1)).await.unwrap(), []);
}

async fn a_snapshot_finds_by_entry_name_and_mail(place: Place) {
    let store = place.open().await;
    let mail = |n, name: &str| bindery_store::NewUser { email_key: "ann@x".into(), ..new_user(n, name) };
    apply(
        &store,
        vec![
            Change::CreateUser(new_user(1, "ann")),
            Change::CreateUser(mail(2, "old.ann")),
            Change::CreateUser(mail(3, "other")),
            Change::CreateUser(new_user(4, "bystander")),
            Change::Link(link(2, "corp", "u-ann")),
            Change::Link(link(4, "branch", "u-ann")),
            Change::CreateGroup(new_group(9, "Editors")),
            Change::CreateGroup(new_group(8, "Old name")),
            Change::Link(bindery_store::Link { kind: EntityKind::Group, ..link(8, "corp", "g-press") }),
            Change::Link(bindery_store::Link { kind: EntityKind::Group, ..link(9, "corp", "g-editors") }),
            Change::AddMembership {
                user: id(2),
                group: bindery_store::GroupRef::Key("editors".into()),
                owner: "corp".into(),
            },
        ],
    )
    .await;
    let request = SnapshotRequest {
        source: "corp".into(),
        unique_id: "u-ann".into(),
        username_key: "ann".into(),
        email_key: Some("ann@x".into()),
        group_keys: vec!["editors".into(), "no such".into()],
        group_entries: vec!["g-press".into(), "g-editors".into(), "no such".into()],
    };
    let snapshot = store.snapshot(&request).await.unwrap();
    let linked = snapshot.linked.unwrap();
    assert_eq!(linked.user.id, id(2), "the link of another source with the same unique ID is another's");
    assert_eq!(linked.link("corp"), Some(&link(2, "corp", "u-ann")));
    assert_eq!(linked.memberships[0].group_key, "editors");
    assert!(linked.memberships[0].owner.is_source("corp"));
    assert_eq!(snapshot.by_username.unwrap().user.id, id(1));
    assert_eq!(snapshot.by_email.iter().map(|state| state.user.id).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(snapshot.groups.iter().map(|state| state.group.id).collect::<Vec<_>>(), [id(9), id(8)]);
    assert_eq!(snapshot.groups[0].links.len(), 1);

    let by_link = async |source| store.user_by_link(source, "u-ann").await.unwrap().map(|user| user.id);
    assert_eq!(
        (by_link("corp").await, by_link("branch").await, by_link("lab").await),
        (Some(id(2)), Some(id(4)), None)
    );

    // Who is known is not read again where nobody else can be concerned.
    let mut known = store.user_state(id(2)).await.unwrap().unwrap();
    known.user.display_name = "as it was read".into();
    let own = SnapshotRequest { username_key: "old.ann".into(), email_key: None, ..request.clone() };
    let taken = store.snapshot_of(&own, &known).await.unwrap();
    assert_eq!((taken.linked, taken.by_username), (Some(known.clone()), Some(known.clone())));
    assert_eq!(taken.groups, snapshot.groups);
    let others = [
        request.clone(),
        SnapshotRequest { email_key: request.email_key.clone(), ..own.clone() },
        SnapshotRequest { unique_id: "u-other".into(), ..own.clone() },
        SnapshotRequest { source: "branch".into(), ..own },
    ];
    for other in others {
        assert_eq!(
            store.snapshot_of(&other, &known).await.unwrap(),
            store.snapshot(&other).await.unwrap(),
            "{other:?}"
        );
    }

    // Nobody has no mail address.
    let empty = SnapshotRequest { email_key: Some(String::new()), ..SnapshotRequest::default() };
    assert_eq!(store.snapshot(&empty).await.unwrap(), bindery_store::Snapshot::default());
}

async fn an_entry_has_one_link(place: Place) {
    let store = place.open().await;
    let users = [(1, "ann"), (2, "bob")].map(|(n, name)| Change::CreateUser(new_user(n, name)));
    apply(&store, users.into()).await;
    apply(&store, vec![Change::Link(link(1, "corp", "u1"))]).await;
    for bad in [link(2, "corp", "u1"), link(1, "corp", "u2"), link(77, "corp", "u3")] {
        let error = store.apply(&Plan::from(vec![Change::Link(bad.clone())]), at(1)).await.unwrap_err();
        assert!(error.is_conflict(), "{bad:?}: {error:?}");
    }
    apply(&store, vec![Change::Link(link(2, "branch", "u1"))]).await;
}

async fn a_link_moves_with_its_entry(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::Link(link(1, "corp", "u1"))]).await;
    let moved = bindery_store::Link {
        dn: "uid=ann,ou=new".into(),
        last_seen: at(50),
        fingerprint: None,
        given_fields: ["a".to_owned(), "b".to_owned()].into(),
        ..link(1, "corp", "u1")
    };
    apply(&store, vec![Change::UpdateLink(moved.clone())]).await;
    assert_eq!(store.user_state(id(1)).await.unwrap().unwrap().links, [moved]);

    let foreign = bindery_store::Link { entity_id: id(2), ..link(1, "corp", "u1") };
    assert!(store.apply(&Plan::from(vec![Change::UpdateLink(foreign)]), at(1)).await.unwrap_err().is_conflict());
}

async fn a_link_that_is_seen_stays_as_it_is(place: Place) {
    let store = place.open().await;
    let links = [link(1, "corp", "u1"), link(1, "branch", "u1")];
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    apply(&store, links.clone().map(Change::Link).into()).await;
    let before = store.user(id(1)).await.unwrap().unwrap().version;
    let seen = |source: &str, time| Change::Seen { user: id(1), source: source.into(), at: at(time) };
    // Somebody may have read the entry since.
    for time in [50, 40] {
        apply(&store, vec![seen("corp", time)]).await;
        let state = store.user_state(id(1)).await.unwrap().unwrap();
        let now = bindery_store::Link { last_seen: at(50), ..links[0].clone() };
        assert_eq!((state.link("corp"), state.link("branch")), (Some(&now), Some(&links[1])));
        assert_eq!(state.user.version, before);
    }
    let lost = store.apply(&Plan::from(vec![seen("lab", 60)]), at(60)).await.unwrap_err();
    assert!(lost.is_conflict(), "{lost:?}");
}

async fn unlinking_moves_the_version(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::Link(link(1, "corp", "u1"))]).await;
    let before = store.user(id(1)).await.unwrap().unwrap().version;
    let unlink = Change::Unlink { entity: id(1), source: "corp".into() };
    apply(&store, vec![unlink.clone()]).await;
    assert!(store.apply(&rename(before, "late"), at(1)).await.unwrap_err().is_conflict());
    assert_eq!(store.user_state_by_username("ann").await.unwrap().unwrap().links, []);
    // Taking away what is not there is no error.
    apply(&store, vec![unlink]).await;
}

async fn a_batch_leaves_out_only_the_conflict(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    let create = |n, name: &str| Plan::from(vec![Change::CreateUser(new_user(n, name))]);
    let twice = Plan::from(vec![Change::CreateUser(new_user(5, "half")), Change::CreateUser(new_user(6, "ann"))]);
    let plans = [create(2, "bob"), twice, rename(1, "Ann"), create(3, "a\0b"), rename(1, "Late"), create(4, "cat")];
    let results = store.apply_batch(&plans, at(1)).await.unwrap();
    let ok: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, true, false, false, true], "{results:?}");
    let names: Vec<String> =
        store.users(&UserFilter::default()).await.unwrap().into_iter().map(|user| user.username).collect();
    assert_eq!(names, ["ann", "bob", "cat"]);
}

async fn a_deleted_user_leaves_only_the_audit(place: Place) {
    let store = place.open().await;
    let entry = bindery_store::NewAudit { id: id(50), user_id: Some(id(1)), ..Default::default() };
    apply(
        &store,
        vec![
            Change::CreateUser(new_user(1, "ann")),
            Change::Link(link(1, "corp", "u1")),
            Change::StartSession(new_session(1, "t")),
            Change::PutVerifier { user: id(1), source: "corp".into(), hash: bindery_store::PasswordHash::new("h") },
            Change::Record(entry),
        ],
    )
    .await;
    let applied = store.apply(&Plan::from(vec![Change::DeleteUser { user: id(1) }]), at(1)).await.unwrap();
    assert_eq!(applied.sessions_ended, 1);
    assert_eq!(store.user(id(1)).await.unwrap(), None);
    assert!(store.verifier(id(1), "corp").await.unwrap().is_none());
    assert_eq!(store.audit(&bindery_store::AuditFilter::default()).await.unwrap().len(), 1);
    // The entry is free for whoever comes next.
    apply(&store, vec![Change::CreateUser(new_user(2, "ann")), Change::Link(link(2, "corp", "u1"))]).await;
}

async fn users_are_listed_in_pages(place: Place) {
    let store = place.open().await;
    let names = ["ann", "ann.b", "anna", "bob", "änn", "zoë"];
    let users = names.iter().zip(1..).map(|(name, n)| Change::CreateUser(new_user(n, name))).collect();
    apply(&store, users).await;
    apply(&store, vec![Change::Link(link(4, "corp", "bob"))]).await;
    let list = async |filter: UserFilter| -> Vec<String> {
        store.users(&filter).await.unwrap().into_iter().map(|user| user.username).collect()
    };
    assert_eq!(list(UserFilter::default()).await, ["ann", "ann.b", "anna", "bob", "zoë", "änn"]);
    let page = UserFilter { prefix: "ann".into(), limit: 2, ..UserFilter::default() };
    assert_eq!(list(page.clone()).await, ["ann", "ann.b"]);
    assert_eq!(list(UserFilter { after: "ann.b".into(), ..page }).await, ["anna"]);
    assert_eq!(list(UserFilter { source: Some("corp".into()), ..UserFilter::default() }).await, ["bob"]);
    // A prefix is text, not a pattern.
    assert!(list(UserFilter { prefix: "%".into(), ..UserFilter::default() }).await.is_empty());
}

async fn a_verifier_is_replaced(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    for (hash, seconds) in [("old", 1), ("new", 2)] {
        let hash = bindery_store::PasswordHash::new(hash);
        let plan = Plan::from(vec![Change::PutVerifier { user: id(1), source: "corp".into(), hash }]);
        store.apply(&plan, at(seconds)).await.unwrap();
    }
    let (hash, made) = store.verifier(id(1), "corp").await.unwrap().unwrap();
    assert_eq!((hash.expose(), made), ("new", at(2)));
    assert!(store.verifier(id(1), "branch").await.unwrap().is_none());
    apply(&store, vec![Change::DropVerifiers { user: id(1) }]).await;
    assert!(store.verifier(id(1), "corp").await.unwrap().is_none());
}
