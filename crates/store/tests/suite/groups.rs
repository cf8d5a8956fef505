//! Groups, memberships by owner, nesting, permissions.

use bindery_store::{Change, GroupRef, Owner, Plan, Store};

use crate::place::{Place, apply, at, id, new_group, new_user, on_both};

on_both!(
    a_membership_lasts_until_its_last_owner_takes_it_back,
    a_missing_group_is_a_conflict_to_join_and_nothing_to_leave,
    permissions_come_through_nested_groups_even_in_a_circle,
    a_renamed_group_keeps_its_members,
    a_deleted_group_takes_everything_along,
    replicas_that_read_before_they_write_wait_for_each_other,
);

fn group(name: &str) -> GroupRef {
    GroupRef::Key(name.to_owned())
}

fn add(user: u128, name: &str, owner: &str) -> Change {
    Change::AddMembership { user: id(user), group: group(name), owner: owner.into() }
}

fn remove(user: u128, name: &str, owner: &str) -> Change {
    Change::RemoveMembership { user: id(user), group: group(name), owner: owner.into() }
}

fn grant(name: &str, permission: &str) -> Change {
    Change::Grant { group: group(name), permission: permission.to_owned() }
}

async fn owners(store: &Store) -> Vec<Owner> {
    store.memberships(id(1)).await.unwrap().into_iter().map(|membership| membership.owner).collect()
}

async fn a_membership_lasts_until_its_last_owner_takes_it_back(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::CreateGroup(new_group(9, "Editors"))]).await;
    apply(&store, vec![add(1, "editors", ""), add(1, "editors", "corp"), add(1, "editors", "corp")]).await;
    assert_eq!(owners(&store).await, [Owner::Hand, Owner::from("corp")]);
    let version = store.user(id(1)).await.unwrap().unwrap().version;

    apply(&store, vec![remove(1, "editors", "corp"), remove(1, "editors", "branch")]).await;
    assert_eq!(owners(&store).await, [Owner::Hand], "what people gave stays");
    assert!(store.user(id(1)).await.unwrap().unwrap().version > version);
    assert_eq!(store.members(id(9)).await.unwrap().len(), 1);
}

async fn a_missing_group_is_a_conflict_to_join_and_nothing_to_leave(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    apply(&store, vec![remove(1, "no such", "")]).await;
    for group in [group("no such"), GroupRef::Id(id(77))] {
        let join = Change::AddMembership { user: id(1), group, owner: Owner::Hand };
        assert!(store.apply(&Plan::from(vec![join]), at(1)).await.unwrap_err().is_conflict());
    }
    let nobody = Plan::from(vec![add(77, "no such", "")]);
    assert!(store.apply(&nobody, at(1)).await.unwrap_err().is_conflict());
}

async fn permissions_come_through_nested_groups_even_in_a_circle(place: Place) {
    let store = place.open().await;
    let names = [(11, "Interns"), (12, "Staff"), (13, "Everybody"), (14, "Board")];
    let mut changes: Vec<Change> = names.map(|(n, name)| Change::CreateGroup(new_group(n, name))).into();
    let nest = |child: &str, parent: &str| Change::AddSubgroup {
        child: group(child),
        parent: group(parent),
        owner: Owner::from("corp"),
    };
    changes.extend([
        nest("interns", "staff"),
        nest("staff", "everybody"),
        nest("everybody", "interns"),
        grant("interns", "app.make_coffee"),
        grant("everybody", "app.enter"),
        grant("everybody", "app.enter"),
        grant("board", "app.decide"),
        Change::CreateUser(new_user(1, "ann")),
        add(1, "staff", ""),
    ]);
    apply(&store, changes).await;
    assert_eq!(store.permissions_of_user(id(1)).await.unwrap(), ["app.enter", "app.make_coffee"]);
    assert_eq!(store.permissions_of_groups(&["staff".into()]).await.unwrap(), ["app.enter", "app.make_coffee"]);
    assert_eq!(store.permissions_of_groups(&["board".into(), "no such".into()]).await.unwrap(), ["app.decide"]);
    assert!(store.permissions_of_groups(&[]).await.unwrap().is_empty());
    assert_eq!(store.subgroups_of(id(12)).await.unwrap()[0].name, "Interns");

    let apart = Change::RemoveSubgroup { child: group("staff"), parent: group("everybody"), owner: "corp".into() };
    let revoke = Change::Revoke { group: group("board"), permission: "app.decide".into() };
    apply(&store, vec![apart, revoke]).await;
    assert!(store.permissions_of_user(id(1)).await.unwrap().is_empty());
    assert!(store.permissions_of_group(id(14)).await.unwrap().is_empty());
}

async fn a_renamed_group_keeps_its_members(place: Place) {
    let store = place.open().await;
    let two = [(9, "Editors"), (8, "Press")].map(|(n, name)| Change::CreateGroup(new_group(n, name)));
    apply(&store, two.into()).await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), add(1, "editors", "")]).await;
    let rename = |name: &str| Change::RenameGroup {
        group: GroupRef::Id(id(9)),
        name: name.to_owned(),
        name_key: name.to_lowercase(),
    };
    apply(&store, vec![rename("Writers")]).await;
    assert_eq!(store.memberships(id(1)).await.unwrap()[0].group_name, "Writers");
    assert!(store.group_by_name("editors").await.unwrap().is_none());
    assert!(store.apply(&Plan::from(vec![rename("PRESS")]), at(1)).await.unwrap_err().is_conflict());
}

async fn a_deleted_group_takes_everything_along(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::CreateGroup(new_group(9, "Editors"))]).await;
    apply(&store, vec![add(1, "editors", "corp"), grant("editors", "app.write")]).await;
    let version = store.user(id(1)).await.unwrap().unwrap().version;
    apply(&store, vec![Change::DeleteGroup { group: group("editors") }]).await;
    assert!(store.memberships(id(1)).await.unwrap().is_empty());
    assert!(store.permissions_of_user(id(1)).await.unwrap().is_empty());
    assert!(store.user(id(1)).await.unwrap().unwrap().version > version, "a plan computed before must not pass");
}

async fn replicas_that_read_before_they_write_wait_for_each_other(place: Place) {
    let replicas = [place.open().await, place.open().await];
    apply(&replicas[0], vec![Change::CreateGroup(new_group(9, "Editors"))]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..60 {
        let store = replicas[n % 2].clone();
        let plan = Plan::from(vec![grant("editors", &format!("app.p{n:02}")), grant("editors", "app.all")]);
        tasks.spawn(async move { store.apply(&plan, at(1)).await });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert_eq!(replicas[1].permissions_of_group(id(9)).await.unwrap().len(), 61);
}
