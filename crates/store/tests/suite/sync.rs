//! What a sync reads of a whole source, and what it keeps between runs.

use bindery_store::{
    Cause, Change, Deactivation, EntityKind, Flags, GroupRef, Link, LinkName, Owner, Plan, Roster, Store, StoreError,
    SyncRunRecord, SyncedLink,
};
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::place::{Place, apply, at, id, link, new_group, new_user, on_both};

on_both!(
    every_link_of_a_source_is_handed_out_once,
    a_link_says_how_its_user_stands,
    links_are_found_by_dn_however_long,
    whoever_was_seen_was_seen_then,
    whoever_is_missed_keeps_the_last_sight,
    groups_come_with_their_links_and_nestings,
    a_roster_comes_back_as_it_was_read,
    a_roster_that_could_not_come_back_is_refused,
    runs_are_kept_newest_first,
    old_runs_are_swept,
    positions_go_with_their_source,
);

async fn links(store: &Store, source: &str, kind: EntityKind) -> Vec<SyncedLink> {
    let mut links = Vec::new();
    store.synced_links(source, kind, &mut |link| links.push(link)).await.unwrap();
    links
}

fn tie(n: u128, source: &str, entry: &str) -> Change {
    Change::Link(Link { kind: EntityKind::Group, ..link(n, source, entry) })
}

async fn people(store: &Store, count: u128) {
    let plan = |n: u128| {
        let user = new_user(n, &format!("User{n}"));
        Plan::from(vec![Change::CreateUser(user), Change::Link(link(n, "corp", &format!("u{n:05}")))])
    };
    let plans: Vec<Plan> = (1..=count).map(plan).collect();
    for result in store.apply_batch(&plans, at(1)).await.unwrap() {
        result.unwrap();
    }
}

async fn every_link_of_a_source_is_handed_out_once(place: Place) {
    let store = place.open().await;
    people(&store, 5003).await;
    apply(&store, vec![Change::Link(link(1, "branch", "other"))]).await;
    let found: Vec<String> = links(&store, "corp", EntityKind::User).await.into_iter().map(|it| it.unique_id).collect();
    let wanted: Vec<String> = (1..=5003).map(|n| format!("u{n:05}")).collect();
    assert_eq!(found, wanted);
    assert_eq!(links(&store, "corp", EntityKind::Group).await, []);
    assert_eq!(links(&store, "a\0b", EntityKind::User).await, []);
}

async fn a_link_says_how_its_user_stands(place: Place) {
    let store = place.open().await;
    people(&store, 3).await;
    store.apply(&Plan::deactivate(id(1)), at(2)).await.unwrap();
    let left = Deactivation::new(Cause::Left, "corp");
    let flags = Flags::from([("is_active".to_owned(), false)]);
    apply(
        &store,
        vec![
            Change::SetFlags { user: id(2), flags },
            Change::SetDeactivatedBy { user: id(2), by: Some(left.clone()) },
            Change::UpdateLink(link(2, "corp", "u00002")),
            Change::CreateGroup(new_group(9, "Crew")),
            tie(9, "corp", "g1"),
        ],
    )
    .await;
    let found = links(&store, "corp", EntityKind::User).await;
    let standing: Vec<_> = found.iter().map(|it| (it.entity_id, it.active, it.deactivated_by.clone())).collect();
    assert_eq!(standing, [(id(1), false, None), (id(2), false, Some(left)), (id(3), true, None)]);
    let fingerprints: Vec<bool> = found.iter().map(|it| it.fingerprint.is_some()).collect();
    assert_eq!(fingerprints, [false, true, true], "who was changed by hand is in doubt");
    let groups = links(&store, "corp", EntityKind::Group).await;
    assert_eq!((groups.len(), groups[0].entity_id, groups[0].active), (1, id(9), true));

    let names = store.link_names("corp", EntityKind::User, &[id(3), id(77), id(1)]).await.unwrap();
    let name = |n: u128| LinkName { entity_id: id(n), name: format!("User{n}"), dn: format!("uid=u{n:05},dc=example") };
    assert_eq!(names, [name(1), name(3)]);
    assert_eq!(store.link_names("branch", EntityKind::User, &[id(3)]).await.unwrap(), []);
    assert_eq!(store.link_names("corp", EntityKind::Group, &[id(9)]).await.unwrap()[0].name, "Crew");
}

async fn links_are_found_by_dn_however_long(place: Place) {
    let store = place.open().await;
    people(&store, 3).await;
    let long = format!("cn={},dc=example", "é".repeat(4000));
    let moved = |n: u128| Change::UpdateLink(Link { dn_key: long.clone(), ..link(n, "corp", &format!("u{n:05}")) });
    apply(&store, vec![moved(1), moved(2), Change::Link(link(1, "branch", "u00003"))]).await;
    let keys =
        [long.clone(), "uid=u00003,dc=example".to_owned(), "uid=u00001,dc=example".to_owned(), "a\0b".to_owned()];
    let mut found = store.links_by_dn_key("corp", EntityKind::User, &keys).await.unwrap();
    found.sort_by_key(|link| link.entity_id);
    assert_eq!(found.iter().map(|link| link.entity_id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert_eq!(found[0].dn_key, long);
    assert_eq!(store.links_by_dn_key("corp", EntityKind::Group, &keys).await.unwrap(), []);
    assert_eq!(store.links_by_dn_key("corp", EntityKind::User, &[]).await.unwrap(), []);
}

async fn last_seen(store: &Store, n: u128) -> DateTime<Utc> {
    store.user_state(id(n)).await.unwrap().unwrap().link("corp").unwrap().last_seen
}

async fn whoever_was_seen_was_seen_then(place: Place) {
    let store = place.open().await;
    people(&store, 2).await;
    apply(&store, vec![Change::Link(link(1, "branch", "b1"))]).await;
    store.mark_seen("corp", EntityKind::User, at(100), &[]).await.unwrap();
    assert_eq!((last_seen(&store, 1).await, last_seen(&store, 2).await), (at(100), at(100)));
    let state = store.user_state(id(1)).await.unwrap().unwrap();
    assert_eq!(state.link("branch").unwrap().last_seen, at(0), "of another source");
    let later = Link { last_seen: at(150), ..link(1, "corp", "u00001") };
    apply(&store, vec![Change::UpdateLink(later)]).await;
    assert_eq!(last_seen(&store, 1).await, at(150));
    let read = async |since: i64| store.read_since("corp", &[id(1), id(2), id(77)], at(since)).await.unwrap();
    assert_eq!(read(50).await, [(id(1), "u00001".to_owned())], "by somebody, not by a whole run");
    assert_eq!((read(150).await, store.read_since("branch", &[id(1)], at(50)).await.unwrap()), (vec![], vec![]));
    // A run that ended late says nothing new.
    store.mark_seen("corp", EntityKind::User, at(50), &[]).await.unwrap();
    assert_eq!((last_seen(&store, 1).await, last_seen(&store, 2).await), (at(150), at(100)));
    store.mark_seen("corp", EntityKind::Group, at(900), &[]).await.unwrap();
    assert_eq!(last_seen(&store, 2).await, at(100));
}

async fn whoever_is_missed_keeps_the_last_sight(place: Place) {
    let store = place.open().await;
    people(&store, 3).await;
    store.mark_seen("corp", EntityKind::User, at(100), &[]).await.unwrap();
    store.mark_seen("corp", EntityKind::User, at(200), &[id(2), id(3), id(77)]).await.unwrap();
    let seen = async || [last_seen(&store, 1).await, last_seen(&store, 2).await, last_seen(&store, 3).await];
    assert_eq!(seen().await, [at(200), at(100), at(100)]);
    store.mark_seen("corp", EntityKind::User, at(300), &[id(2), id(3)]).await.unwrap();
    assert_eq!(seen().await, [at(300), at(100), at(100)], "missed twice");
    let back = Link { last_seen: at(310), ..link(3, "corp", "u00003") };
    apply(&store, vec![Change::UpdateLink(back)]).await;
    store.mark_seen("corp", EntityKind::User, at(400), &[id(2)]).await.unwrap();
    assert_eq!(seen().await, [at(400), at(100), at(400)]);
    store.mark_seen("corp", EntityKind::User, at(500), &[]).await.unwrap();
    assert_eq!(seen().await, [at(500); 3], "back again");
    store.mark_seen("corp", EntityKind::User, at(600), &[id(1)]).await.unwrap();
    apply(&store, vec![Change::Seen { user: id(1), source: "corp".into(), at: at(610) }]).await;
    store.mark_seen("corp", EntityKind::User, at(700), &[]).await.unwrap();
    assert_eq!(seen().await, [at(700); 3], "seen by a sign-in");
}

async fn groups_come_with_their_links_and_nestings(place: Place) {
    let store = place.open().await;
    let nest = |child, parent, owner: Owner| Change::AddSubgroup {
        child: GroupRef::Id(id(child)),
        parent: GroupRef::Id(id(parent)),
        owner,
    };
    apply(
        &store,
        vec![
            Change::CreateGroup(new_group(8, "Staff")),
            Change::CreateGroup(new_group(9, "Crew")),
            tie(9, "corp", "g2"),
            tie(9, "corp", "g1"),
            nest(9, 8, "corp".into()),
            nest(8, 9, Owner::Hand),
        ],
    )
    .await;
    let groups = store.all_groups().await.unwrap();
    assert_eq!(groups.iter().map(|state| state.group.id).collect::<Vec<_>>(), [id(9), id(8)]);
    assert_eq!(groups[0].links.iter().map(|link| link.unique_id.as_str()).collect::<Vec<_>>(), ["g1", "g2"]);
    assert_eq!(store.subgroups(&"corp".into()).await.unwrap(), [(id(9), id(8))]);
    assert_eq!(store.subgroups(&Owner::Hand).await.unwrap(), [(id(8), id(9))]);
}

fn roster(entry: &str, members: &[&str]) -> Roster {
    Roster {
        unique_id: entry.to_owned(),
        dn_key: format!("cn={entry}"),
        head: "{}".to_owned(),
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    }
}

async fn a_roster_comes_back_as_it_was_read(place: Place) {
    let store = place.open().await;
    let rosters = [roster("g1", &["uid=b", "uid=a\r", " "]), roster("g2", &[])];
    store.put_rosters("corp", &rosters).await.unwrap();
    store.put_rosters("branch", &[roster("g1", &["other"])]).await.unwrap();
    let ids = ["g2", "g1", "no such"].map(str::to_owned);
    let mut found = store.rosters("corp", &ids).await.unwrap();
    found.sort_by(|a, b| a.unique_id.cmp(&b.unique_id));
    assert_eq!(found, rosters);
    let digests = store.roster_ids("corp").await.unwrap();
    assert_eq!(digests, [("g1".to_owned(), rosters[0].digest()), ("g2".to_owned(), rosters[1].digest())]);

    let changed = [roster("g1", &["first"]), roster("g3", &[]), roster("g1", &["uid=b"])];
    store.put_rosters("corp", &changed).await.unwrap();
    assert_eq!(store.rosters("corp", &["g1".to_owned()]).await.unwrap(), [roster("g1", &["uid=b"])]);
    assert_ne!(store.roster_ids("corp").await.unwrap()[0].1, digests[0].1);
    assert_eq!(store.drop_rosters("corp", &ids).await.unwrap(), 2);
    assert_eq!(store.roster_ids("corp").await.unwrap().len(), 1);
    assert_eq!(store.roster_ids("branch").await.unwrap().len(), 1);
}

async fn a_roster_that_could_not_come_back_is_refused(place: Place) {
    let store = place.open().await;
    for member in ["a\nb", "a\0b", ""] {
        let error = store.put_rosters("corp", &[roster("g1", &["fine"]), roster("g2", &[member])]).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error:?}");
    }
    assert_eq!(store.roster_ids("corp").await.unwrap(), []);
    let digest = |members: &[&str]| roster("g", members).digest();
    assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
    assert_ne!(digest(&["ab"]), digest(&["a", "b"]));
}

fn run(n: u128, source: &str, outcome: &str) -> SyncRunRecord {
    SyncRunRecord {
        id: id(n),
        source: source.to_owned(),
        mode: "full".to_owned(),
        outcome: outcome.to_owned(),
        started_at: at(i64::try_from(n).unwrap()),
        ended_at: None,
        dry_run: false,
        report: json!({"users": {"seen": n}}),
    }
}

async fn runs_are_kept_newest_first(place: Place) {
    let store = place.open().await;
    let dry = SyncRunRecord { dry_run: true, ..run(4, "corp", "completed") };
    for run in [run(1, "corp", "completed"), run(2, "branch", "running"), run(3, "corp", "running"), dry.clone()] {
        store.put_sync_run(&run).await.unwrap();
    }
    let mut ended = run(3, "corp", "failed");
    ended.ended_at = Some(at(99));
    ended.report = json!({"errors": ["a\0b"]});
    store.put_sync_run(&ended).await.unwrap();
    ended.report = json!({"errors": ["a\u{fffd}b"]});

    assert_eq!(store.sync_runs(Some("corp"), 2).await.unwrap(), [dry, ended.clone()]);
    assert_eq!(store.sync_runs(None, 100).await.unwrap().len(), 4);
    assert_eq!(store.last_sync_run("corp", &[]).await.unwrap(), Some(ended), "a dry run is none");
    let good = store.last_sync_run("corp", &["completed", "held"]).await.unwrap();
    assert_eq!(good, Some(run(1, "corp", "completed")));
    assert_eq!(store.last_sync_run("lab", &[]).await.unwrap(), None);
}

async fn old_runs_are_swept(place: Place) {
    let store = place.open().await;
    for n in 1..=203 {
        store.put_sync_run(&run(n, "corp", "completed")).await.unwrap();
    }
    store.put_sync_run(&run(500, "branch", "completed")).await.unwrap();
    assert_eq!(store.sweep_sync_runs().await.unwrap(), 3);
    let left = store.sync_runs(Some("corp"), 1000).await.unwrap();
    assert_eq!((left.len(), left[199].id), (200, id(4)));
    assert_eq!(store.sync_runs(Some("branch"), 10).await.unwrap().len(), 1);
}

async fn positions_go_with_their_source(place: Place) {
    let store = place.open().await;
    for (source, feed) in [("corp", "syncrepl"), ("corp", "timestamp"), ("branch", "syncrepl")] {
        store.put_position(source, feed, json!("cookie"), at(1)).await.unwrap();
    }
    store.drop_positions("corp").await.unwrap();
    assert_eq!(store.position("corp", "syncrepl").await.unwrap(), None);
    assert_eq!(store.position("corp", "timestamp").await.unwrap(), None);
    assert!(store.position("branch", "syncrepl").await.unwrap().is_some());
}
