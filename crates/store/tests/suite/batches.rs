//! Many plans at once: the same as one after the other, and faster.

use std::collections::BTreeSet;

use bindery_store::{
    Applied, Cause, Change, Deactivation, EntityKind, Expected, Field, Flags, GroupRef, Link, NewAudit, NewUser, Plan,
    SnapshotRequest, Store, StoreError, UserFilter,
};

use crate::place::{Place, apply, at, id, link, new_group, new_session, new_user, on_both};

on_both!(
    a_crowd_comes_as_it_would_one_by_one,
    of_a_crowd_only_the_conflicts_are_left_out,
    what_depends_on_an_earlier_plan_finds_it,
    ended_sessions_are_counted_for_each,
    snapshots_are_those_of_each_alone,
    a_hand_that_changes_a_user_takes_the_fingerprint_away,
    the_own_plan_of_a_source_keeps_its_fingerprint,
    a_read_that_was_overtaken_takes_no_sight_back,
    a_deleted_group_takes_the_fingerprints_of_its_members,
    nobody_joins_a_group_that_is_gone,
    no_membership_outlives_its_user_or_its_group,
    no_link_leads_to_a_group_that_is_gone,
    what_many_have_in_common_is_written_to_each,
);

fn member(user: u128, group: u128) -> Change {
    Change::AddMembership { user: id(user), group: GroupRef::Id(id(group)), owner: "corp".into() }
}

fn leaves(user: u128, group: u128) -> Change {
    Change::RemoveMembership { user: id(user), group: GroupRef::Id(id(group)), owner: "corp".into() }
}

fn arrives(n: u128) -> Plan {
    let entry = NewAudit { id: id(n + 50_000), user_id: Some(id(n)), ..NewAudit::default() };
    Plan::from(vec![
        Change::CreateUser(new_user(n, &format!("User{n}"))),
        Change::SetFlags { user: id(n), flags: Flags::from([("is_staff".to_owned(), n.is_multiple_of(2))]) },
        Change::Link(link(n, "corp", &format!("u{n}"))),
        member(n, 9001),
        member(n, 9002),
        leaves(n, 9002),
        Change::Record(entry),
    ])
}

fn changes(n: u128, version: i64, changes: Vec<Change>) -> Plan {
    Plan { changes, expected: vec![Expected { user: id(n), version }] }
}

fn display_name(n: u128, name: &str) -> Change {
    Change::UpdateUser { user: id(n), fields: vec![Field::DisplayName(name.to_owned())] }
}

async fn groups(store: &Store) {
    let groups = [(9001, "Crew"), (9002, "Guests")].map(|(n, name)| Change::CreateGroup(new_group(n, name)));
    apply(store, groups.into()).await;
}

fn all_ok(results: &[Result<Applied, StoreError>]) {
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

async fn a_crowd_comes_as_it_would_one_by_one(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let plans: Vec<Plan> = (1..=631).map(arrives).collect();
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    // The same plan alone says how it has to be.
    store.apply(&arrives(1000), at(1)).await.unwrap();
    let alone = store.user_state(id(1000)).await.unwrap().unwrap();
    let among = store.user_state(id(630)).await.unwrap().unwrap();
    assert_eq!((among.memberships, among.user.flags), (alone.memberships, alone.user.flags));
    assert_eq!((among.user.version, among.user.created_at), (alone.user.version, alone.user.created_at));
    assert_eq!(among.links, [link(630, "corp", "u630")]);
    assert_eq!(store.members(id(9001)).await.unwrap().len(), 632);
    assert_eq!(store.members(id(9002)).await.unwrap(), []);
    assert_eq!(store.count_memberships(&"corp".into()).await.unwrap(), 632);
    let off = Flags::from([("is_active".to_owned(), false)]);
    let idle = Change::CreateUser(new_user(2000, "Idle"));
    apply(&store, vec![idle, Change::SetFlags { user: id(2000), flags: off }, Change::Link(link(2000, "corp", "i"))])
        .await;
    assert_eq!((store.count_active("corp").await.unwrap(), store.count_active("other").await.unwrap()), (632, 0));
    apply(&store, vec![Change::DeleteUser { user: id(2000) }]).await;

    // And then everybody changes.
    let left = Deactivation::new(Cause::Left, "corp");
    let change = |n: u128| {
        let key = Field::Username { name: format!("Renamed{n}"), key: format!("renamed{n}") };
        let moved = Link { dn: "uid=moved".into(), dn_key: "uid=moved".into(), ..link(n, "corp", &format!("u{n}")) };
        let what = match n % 4 {
            0 => vec![Change::UpdateUser { user: id(n), fields: vec![key] }],
            1 => vec![display_name(n, "New"), Change::SetDeactivatedBy { user: id(n), by: Some(left.clone()) }],
            2 => vec![leaves(n, 9001), member(n, 9002)],
            _ => vec![],
        };
        changes(n, 1, [what, vec![Change::UpdateLink(moved)]].concat())
    };
    let plans: Vec<Plan> = (1..=631).map(change).chain([change(1000)]).collect();
    let (last, plans) = plans.split_last().unwrap();
    all_ok(&store.apply_batch(plans, at(2)).await.unwrap());
    store.apply(last, at(2)).await.unwrap();
    let state = async |n| store.user_state(id(n)).await.unwrap().unwrap();
    let (alone, among) = (state(1000).await, state(628).await);
    assert_eq!((among.user.username.as_str(), among.user.username_key.as_str()), ("Renamed628", "renamed628"));
    assert_eq!((among.user.version, among.user.updated_at), (alone.user.version, alone.user.updated_at));
    assert_eq!(among.links[0].dn_key, "uid=moved");
    let odd = state(1).await;
    assert_eq!((odd.user.display_name.as_str(), odd.user.deactivated_by, odd.user.version), ("New", Some(left), 2));
    let other = state(2).await;
    assert_eq!((other.memberships.len(), other.memberships[0].group_id, other.user.version), (1, id(9002), 2));
    let unmoved = state(3).await;
    assert_eq!((unmoved.user.version, unmoved.user.updated_at), (1, at(1)), "a link alone does not move the version");
}

async fn of_a_crowd_only_the_conflicts_are_left_out(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let old: Vec<Plan> = (1..=30).map(arrives).collect();
    all_ok(&store.apply_batch(&old, at(1)).await.unwrap());
    let before = store.user_state(id(4)).await.unwrap();

    let mut plans: Vec<Plan> = (101..=140).map(arrives).collect();
    plans.extend((1..=30).map(|n| changes(n, 1, vec![display_name(n, "New")])));
    let bad = [
        (3, Plan::from(vec![Change::CreateUser(new_user(201, "user7"))])),
        (9, changes(1, 7, vec![display_name(1, "Late")])),
        (17, changes(300, 1, vec![display_name(300, "Nobody")])),
        (21, changes(2, 1, vec![member(2, 7777)])),
        (22, Plan::from(vec![Change::CreateUser(new_user(202, "half")), Change::Link(link(202, "corp", "u5"))])),
        (40, changes(3, 1, vec![display_name(3, "No"), Change::UpdateLink(link(3, "corp", "other"))])),
        (55, changes(4, 1, vec![display_name(4, "a\0b")])),
    ];
    for (place, plan) in &bad {
        let own: BTreeSet<_> = plan.expected.iter().map(|expected| expected.user).collect();
        plans.retain(|plan| !plan.expected.iter().any(|expected| own.contains(&expected.user)));
        plans.insert(*place, plan.clone());
    }
    let results = store.apply_batch(&plans, at(2)).await.unwrap();
    for (plan, result) in plans.iter().zip(&results) {
        let is_bad = bad.iter().any(|(_, bad)| bad == plan);
        assert_eq!(result.is_err(), is_bad, "{plan:?}: {result:?}");
        assert!(result.as_ref().err().is_none_or(|error| error.is_conflict() || plan.expected[0].user == id(4)));
    }
    assert_eq!(store.user_count().await.unwrap(), 70, "nothing of a plan that was left out");
    assert_eq!(store.user_state(id(4)).await.unwrap(), before);
    assert_eq!(store.user(id(30)).await.unwrap().unwrap().display_name, "New");
}

async fn what_depends_on_an_earlier_plan_finds_it(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let mut plans: Vec<Plan> = (1..=20).map(arrives).collect();
    // The same people again, a group in between, and a name that becomes free.
    plans.extend((1..=20).map(|n| changes(n, 1, vec![display_name(n, "Once")])));
    plans.push(Plan::from(vec![Change::CreateGroup(new_group(9003, "Late"))]));
    plans.extend((1..=20).map(|n| changes(n, 2, vec![member(n, 9003)])));
    let free = Field::Username { name: "free".into(), key: "free".into() };
    plans.push(changes(5, 3, vec![Change::UpdateUser { user: id(5), fields: vec![free] }]));
    plans.push(Plan::from(vec![Change::CreateUser(new_user(500, "user5"))]));
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    assert_eq!(store.members(id(9003)).await.unwrap().len(), 20);
    assert_eq!(store.user_by_username("user5").await.unwrap().unwrap().id, id(500));
    let page = store.users(&UserFilter::default()).await.unwrap();
    assert!(page.iter().filter(|user| user.id != id(500)).all(|user| user.display_name == "Once"));
}

async fn ended_sessions_are_counted_for_each(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let plans: Vec<Plan> = (1..=8).map(arrives).collect();
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    let sessions = [(1, "a"), (1, "b"), (3, "c")].map(|(n, token)| Change::StartSession(new_session(n, token)));
    apply(&store, sessions.into()).await;
    let end = |n| Plan::from(vec![Change::EndSessions { user: id(n), except: None }]);
    let plans: Vec<Plan> = (1..=7).map(end).collect();
    let results = store.apply_batch(&plans, at(2)).await.unwrap();
    let ended: Vec<u64> = results.into_iter().map(|result| result.unwrap().sessions_ended).collect();
    assert_eq!(ended, [2, 0, 1, 0, 0, 0, 0]);
    assert_eq!(store.sessions_of(id(1), at(2)).await.unwrap(), []);
}

async fn snapshots_are_those_of_each_alone(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let plans: Vec<Plan> = (1..=130).map(arrives).collect();
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    let tie = |n, entry: &str| Change::Link(Link { kind: EntityKind::Group, ..link(n, "corp", entry) });
    apply(&store, vec![tie(9001, "g1"), tie(9001, "g1-too"), Change::Link(link(2, "branch", "u1"))]).await;
    let mails = [1, 2].map(|n| Change::UpdateUser {
        user: id(n),
        fields: vec![Field::Email { address: "Both@x".into(), key: "both@x".into() }],
    });
    apply(&store, mails.into()).await;
    let request = |n: u128| SnapshotRequest {
        source: if n.is_multiple_of(3) { "branch" } else { "corp" }.to_owned(),
        unique_id: format!("u{n}"),
        username_key: format!("user{}", n + 1),
        email_key: n.is_multiple_of(2).then(|| "both@x".to_owned()),
        group_keys: if n < 5 { vec!["crew".into(), "guests".into(), "no such".into()] } else { vec![] },
        group_entries: if n == 2 { vec!["g1".into(), "g1-too".into()] } else { vec![] },
    };
    let mut requests: Vec<SnapshotRequest> = (1..=140).map(request).collect();
    requests.push(SnapshotRequest { unique_id: "a\0b".into(), username_key: "x".repeat(2000), ..request(1) });
    let together = store.snapshots(&requests).await.unwrap();
    assert_eq!(together.len(), requests.len());
    for (request, snapshot) in requests.iter().zip(&together) {
        assert_eq!(snapshot, &store.snapshot(request).await.unwrap(), "{request:?}");
    }
    for n in [1, 2, 3, 4] {
        let known = store.user_state(id(n)).await.unwrap().unwrap();
        for (request, snapshot) in requests.iter().zip(&together) {
            assert_eq!(snapshot, &store.snapshot_of(request, &known).await.unwrap(), "{n} {request:?}");
        }
    }
    assert_eq!(together[0].linked.as_ref().unwrap().user.id, id(1));
    assert_eq!(together[0].by_username.as_ref().unwrap().user.id, id(2));
    assert_eq!(together[1].by_email.len(), 2);
    assert_eq!(together[1].groups.iter().map(|state| state.group.id).collect::<Vec<_>>(), [id(9001), id(9002)]);
    assert_eq!(together[1].groups[0].links.len(), 2);
    assert!(together[5].groups.is_empty());
    assert_eq!(together[2].linked, None, "of another source");
}

async fn fingerprints(store: &Store, n: u128) -> Vec<bool> {
    let links = store.user_state(id(n)).await.unwrap().unwrap().links;
    links.iter().map(|link| link.fingerprint.is_some()).collect()
}

async fn with_two_links(store: &Store) {
    groups(store).await;
    for n in 1..=6 {
        apply(store, arrives(n).changes).await;
        apply(store, vec![Change::Link(link(n, "branch", &format!("b{n}")))]).await;
        // Linked in the other source since, what the first knew of them is in doubt.
        assert_eq!(fingerprints(store, n).await, [true, false]);
        apply(store, vec![Change::UpdateLink(link(n, "corp", &format!("u{n}")))]).await;
        assert_eq!(fingerprints(store, n).await, [true, true]);
    }
}

async fn a_hand_that_changes_a_user_takes_the_fingerprint_away(place: Place) {
    let store = place.open().await;
    with_two_links(&store).await;
    apply(&store, vec![Change::SignedIn { user: id(1) }, Change::StartSession(new_session(1, "t"))]).await;
    assert_eq!(fingerprints(&store, 1).await, [true, true], "nothing of the user changed");
    apply(&store, vec![display_name(1, "By hand")]).await;
    store.apply(&Plan::deactivate(id(2)), at(3)).await.unwrap();
    apply(&store, vec![leaves(3, 9001)]).await;
    for n in 1..=3 {
        assert_eq!(fingerprints(&store, n).await, [false, false], "{n}");
    }
    assert_eq!(fingerprints(&store, 4).await, [true, true]);
    let plans: Vec<Plan> = (1..=6).map(|n| Plan::from(vec![display_name(n, "Many")])).collect();
    all_ok(&store.apply_batch(&plans, at(4)).await.unwrap());
    assert_eq!(fingerprints(&store, 4).await, [false, false]);
}

async fn the_own_plan_of_a_source_keeps_its_fingerprint(place: Place) {
    let store = place.open().await;
    with_two_links(&store).await;
    let own = |n: u128| vec![display_name(n, "New"), Change::UpdateLink(link(n, "corp", &format!("u{n}")))];
    apply(&store, own(1)).await;
    assert_eq!(fingerprints(&store, 1).await, [false, true], "the other source's is in doubt");
    let plans: Vec<Plan> = (1..=6).map(|n| Plan::from(own(n))).collect();
    all_ok(&store.apply_batch(&plans, at(4)).await.unwrap());
    assert_eq!(fingerprints(&store, 6).await, [false, true]);
}

async fn a_read_that_was_overtaken_takes_no_sight_back(place: Place) {
    let store = place.open().await;
    with_two_links(&store).await;
    let seen =
        |n: u128, time: i64| Change::UpdateLink(Link { last_seen: at(time), ..link(n, "corp", &format!("u{n}")) });
    let last_seen = async |n: u128| store.user_state(id(n)).await.unwrap().unwrap().link("corp").unwrap().last_seen;
    apply(&store, vec![seen(1, 100)]).await;
    apply(&store, vec![seen(1, 50)]).await;
    assert_eq!(last_seen(1).await, at(100));
    let plans: Vec<Plan> = (1..=6).map(|n| Plan::from(vec![seen(n, 70)])).collect();
    all_ok(&store.apply_batch(&plans, at(4)).await.unwrap());
    assert_eq!((last_seen(1).await, last_seen(2).await), (at(100), at(70)));
}

async fn a_deleted_group_takes_the_fingerprints_of_its_members(place: Place) {
    let store = place.open().await;
    with_two_links(&store).await;
    apply(&store, vec![Change::CreateUser(new_user(50, "bystander")), Change::Link(link(50, "corp", "u50"))]).await;
    apply(&store, vec![Change::DeleteGroup { group: GroupRef::Id(id(9001)) }]).await;
    assert_eq!(fingerprints(&store, 1).await, [false, false]);
    assert_eq!(fingerprints(&store, 50).await, [true]);
}

async fn nobody_joins_a_group_that_is_gone(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let plan = |n: u128| {
        let group = if n == 7 { 9999 } else { 9001 };
        Plan::from(vec![Change::CreateUser(new_user(n, &format!("User{n}"))), member(n, group)])
    };
    let plans: Vec<Plan> = (1..=20).map(plan).collect();
    let results = store.apply_batch(&plans, at(1)).await.unwrap();
    let refused: Vec<usize> = (0..20).filter(|at| results[*at].is_err()).collect();
    assert_eq!(refused, [6]);
    assert!(results[6].as_ref().unwrap_err().is_conflict());
    assert_eq!(store.count_memberships(&"corp".into()).await.unwrap(), 19);
    assert!(store.user(id(7)).await.unwrap().is_none());
}

async fn no_membership_outlives_its_user_or_its_group(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let plans: Vec<Plan> = (1..=10)
        .map(|n| Plan::from(vec![Change::CreateUser(new_user(n, &format!("User{n}"))), member(n, 9001)]))
        .collect();
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    apply(&store, vec![Change::DeleteUser { user: id(1) }]).await;
    assert_eq!(store.count_memberships(&"corp".into()).await.unwrap(), 9);
    apply(&store, vec![Change::DeleteGroup { group: GroupRef::Id(id(9001)) }]).await;
    assert_eq!(store.count_memberships(&"corp".into()).await.unwrap(), 0);
}

async fn no_link_leads_to_a_group_that_is_gone(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    let tied = |n: u128, group: u128, parent: Option<u128>| {
        let entry = link(group, "corp", &format!("g{n}"));
        Change::Link(Link { kind: EntityKind::Group, parent: parent.map(id), ..entry })
    };
    for gone in [tied(0, 9999, None), tied(0, 9001, Some(9999))] {
        assert!(store.apply(&Plan::from(vec![gone.clone()]), at(1)).await.unwrap_err().is_conflict());
        let mut plans: Vec<Plan> = (1..=10).map(|n| Plan::from(vec![tied(n, 9001, Some(9002))])).collect();
        plans.push(Plan::from(vec![gone]));
        let results = store.apply_batch(&plans, at(1)).await.unwrap();
        assert!(results.last().unwrap().as_ref().unwrap_err().is_conflict());
        store
            .apply(&Plan::from(vec![Change::Unlink { entity: id(9001), source: "corp".into() }]), at(1))
            .await
            .unwrap();
    }
    apply(&store, vec![tied(1, 9001, Some(9002))]).await;
    apply(&store, vec![Change::DeleteGroup { group: GroupRef::Id(id(9002)) }]).await;
    let left = store.groups_by_entry("corp", &["g1".to_owned()]).await.unwrap();
    assert_eq!(left[0].links[0].parent, None, "it hangs under nothing now");
    apply(&store, vec![Change::DeleteGroup { group: GroupRef::Id(id(9001)) }]).await;
    assert!(store.groups_by_entry("corp", &["g1".to_owned()]).await.unwrap().is_empty());
    apply(&store, vec![Change::CreateGroup(new_group(9003, "Crew")), tied(1, 9003, None)]).await;
}

async fn what_many_have_in_common_is_written_to_each(place: Place) {
    let store = place.open().await;
    groups(&store).await;
    // 500, 100 and a few, with fields that all, or all but one, have in common.
    let plan = |n: u128| {
        let last_name = if n == 555 { "Other" } else { "Same" }.to_owned();
        let user = NewUser { first_name: "All".to_owned(), last_name, ..new_user(n, &format!("user{n}")) };
        Plan::from(vec![Change::CreateUser(user), Change::Link(link(n, "corp", &format!("u{n}"))), member(n, 9001)])
    };
    let plans: Vec<Plan> = (1..=625).map(plan).collect();
    all_ok(&store.apply_batch(&plans, at(1)).await.unwrap());
    for n in [1, 2, 499, 500, 501, 555, 600, 601, 621, 625] {
        let state = store.user_state(id(n)).await.unwrap().unwrap();
        let last = if n == 555 { "Other" } else { "Same" };
        assert_eq!((state.user.username.as_str(), state.user.last_name.as_str()), (&*format!("user{n}"), last));
        assert_eq!((state.user.first_name.as_str(), state.memberships.len()), ("All", 1));
        assert_eq!(state.link("corp").unwrap(), &link(n, "corp", &format!("u{n}")));
    }
}
