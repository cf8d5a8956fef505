//! The same plans on a real store.

use super::*;
use bindery_store::{Store, StoreUrl};

async fn run(store: &Store, terms: Terms<'_>, decision: &Decision, next: &mut u128) -> Reconciled {
    let person = ann(&[]);
    let snapshot = store.snapshot(&request(terms, &person, decision)).await.unwrap();
    let mut ids = || {
        *next += 1;
        Uuid::from_u128(*next)
    };
    let done = reconcile(terms, &person, decision, &snapshot, now(), &mut ids).unwrap();
    store.apply(&done.plan, now()).await.unwrap();
    done
}

#[tokio::test]
async fn every_kind_of_change_is_one_that_the_store_takes() {
    let store = Store::open(&StoreUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
    let provisioning = Provisioning::default();
    let sync = Terms { parent: Some("Directory"), admit: false, ..terms(&provisioning) };
    let full = Decision {
        flags: with_flags(&[("is_staff", true), ("is_active", true)]).flags,
        groups: vec![mirrored("Crew", "s"), mapped("Editors"), mirrored("directory", "d")],
        live_permission_groups: vec!["Press".into()],
        path: Some("p".into()),
        ..with_fields(&[("email", json!("a@x")), ("phones", json!(["1", "2"])), ("first_name", json!("Ann"))])
    };
    let inactive = Decision { username: "anna".into(), ..with_flags(&[("is_active", false)]) };
    let renamed = with_groups(&[mirrored("Staff", "s")]);
    let mut next = 0;
    let mut user = None;
    for decision in [&full, &inactive, &full, &renamed, &decision()] {
        let done = run(&store, sync, decision, &mut next).await;
        assert_eq!(*user.get_or_insert(done.user), done.user);
        let again = run(&store, sync, decision, &mut next).await;
        assert_eq!(again.plan, Plan::default(), "{decision:?}");
        store.apply(&again.seen(), now()).await.unwrap();
        let stored = store.user_by_username(&username_key(&decision.username)).await.unwrap().unwrap();
        assert_eq!(stored.id, done.user);
        assert_eq!(stored.is_active(), decision.flags.get("is_active").is_none_or(|flag| flag.value));
    }
    let groups = store.groups_by_key(&["crew", "staff", "editors", "directory"].map(str::to_owned)).await.unwrap();
    let names: Vec<&str> = groups.iter().map(|state| state.group.name.as_str()).collect();
    assert_eq!(names, ["Directory", "Editors", "Staff"]);
}
