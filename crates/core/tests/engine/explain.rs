//! Explaining: what sign-in would decide, and nothing written.

use crate::world::{Setup, World, source_toml};
use bindery_core::{Outcome, Reason};
use bindery_demo_directory::company;
use bindery_store::{Change, Link};

const RULES: &str = "[sources.larkspur.access]\nrequire = { any = [\"engineering\", \"operations\", \"sales\"] }\n\
     deny = \"it-admins\"\n\
     [sources.larkspur.groups]\nmirror = true\n\
     [sources.larkspur.group_map]\nBuilders = \"engineering\"\n\
     [sources.larkspur.flags]\nis_staff = \"engineering\"\nis_superuser = \"typo\"\n";

#[tokio::test]
async fn explaining_and_signing_in_agree() {
    let world = World::with(RULES).await;
    world.set("owen", "userAccountControl", "514").await;
    for name in ["sofia", "kwame", "ann", "paul", "owen", "greta", "nobody", "OTHER\\ann", "carlos"] {
        let told = world.explain(name).await;
        assert!(world.user(name).await.is_none(), "explaining {name} wrote them");
        let end = world.login(name, company::PASSWORD).await;
        assert_eq!((told.outcome, told.reason), (end.outcome, end.reason), "{name}: {} / {}", told.detail, end.detail);
        assert_eq!((told.source, told.dn), (end.source, end.dn), "{name}");
        let Some(user) = end.user else { continue };
        assert_eq!(told.local_groups, user.groups, "{name}");
        for (flag, view) in told.flags {
            assert_eq!(view.value, user.flag(&flag), "{name} {flag}");
        }
        // And the same again, now that they exist.
        assert_eq!(world.explain(name).await.local_groups, user.groups, "{name}");
    }
}

#[tokio::test]
async fn everything_is_there_also_when_refused() {
    let world = World::with(RULES).await;
    let told = world.explain("june").await;
    assert_eq!((told.outcome, told.reason), (Outcome::Refused, Some(Reason::InDeniedGroup)));
    assert_eq!(told.fields["email"].value, "june@larkspur.example");
    assert_eq!(told.fields["email"].from, "mail");
    assert!(told.unique_id.is_some() && !told.access.allowed);
    let engineering = told.groups.iter().find(|group| group.name == "engineering").unwrap();
    assert!(!engineering.direct);
    assert_eq!(engineering.path.first().unwrap(), &format!("cn=it-admins,{}", company::GROUPS_DN));
    assert_eq!(engineering.path.last().unwrap(), &engineering.dn);
    assert!(told.local_groups.iter().any(|name| name == "Builders"));
    assert!(told.flags["is_staff"].value && !told.flags["is_superuser"].value);
    assert!(told.unresolved.iter().any(|sentence| sentence.contains("typo")), "{:?}", told.unresolved);
}

#[tokio::test]
async fn permissions_are_those_of_the_groups_they_would_have() {
    let world = World::with(RULES).await;
    world.group("Builders", "app.build").await;
    assert_eq!(world.explain("sofia").await.permissions, ["app.build"]);
}

#[tokio::test]
async fn permissions_of_local_people_are_those_that_a_sign_in_would_read() {
    let top = "[sign_in]\nauthorize_local_users = true\n".to_owned();
    let mut world = World::new(Setup { top, ..Setup::default() }).await;
    world.group("Author-Relations", "books.sign").await;
    world.local("leo", Some("correct horse")).await;
    assert_eq!(world.explain("leo").await.permissions, ["books.sign"]);
    assert!(world.user("leo").await.unwrap().permissions.is_empty(), "explaining writes nothing");
    assert!(world.sign_in("leo", "correct horse").await.user.unwrap().may("books.sign"));
    world.leave("leo", "author-relations").await;
    assert!(world.explain("leo").await.permissions.is_empty());
    world.outage().await;
    let told = world.explain("leo").await;
    assert_eq!(told.permissions, ["books.sign"], "as at a sign-in: what cannot be read stays");
    assert!(told.groups_incomplete.is_some());
}

#[tokio::test]
async fn fields_that_are_not_updated_are_told_as_they_stay() {
    let world = World::with("[sources.larkspur.provisioning]\nupdate = \"on-create\"\n").await;
    assert_eq!(world.explain("leo").await.fields["email"].value, "leo@larkspur.example");
    world.enter("leo").await;
    world.set("leo", "mail", "new@larkspur.example").await;
    let told = world.explain("leo").await;
    assert_eq!(told.fields["email"].value, "leo@larkspur.example");
    assert!(told.fields["email"].from.contains("on-create"), "{}", told.fields["email"].from);
    assert_eq!(told.fields["username"].value, "leo");
}

#[tokio::test]
async fn permissions_of_every_source_count() {
    let live = "[sources.larkspur.groups]\npermissions = \"live\"\n";
    let world =
        World::with(&format!("{live}{}", source_toml("other", "ldap://127.0.0.1:1", "groups.permissions = \"live\"")))
            .await;
    world.group("Author-Relations", "books.sign").await;
    world.group("Crew", "ship.sail").await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap().id;
    let live_groups = ["crew".to_owned()].into();
    let link = Link { source: "other".into(), unique_id: "x".into(), entity_id: user, live_groups, ..Link::default() };
    world.apply(vec![Change::Link(link)]).await;
    let both = ["books.sign", "ship.sail"];
    assert_eq!(world.explain("leo").await.permissions, both);
    world.enter("leo").await;
    assert_eq!(world.user("leo").await.unwrap().permissions, both, "the last read wins nothing of the other's");
}

#[tokio::test]
async fn an_outage_is_told_as_one() {
    let mut world = World::usual().await;
    world.outage().await;
    let told = world.explain("ann").await;
    assert_eq!((told.outcome, told.reason), (Outcome::Unavailable, None));
}

#[tokio::test]
async fn conflicts_are_foretold() {
    let world = World::usual().await;
    world.local("ann", None).await;
    assert_eq!(world.explain("ann").await.reason, Some(Reason::AccountConflict));
    let world = World::with("[sources.larkspur.provisioning]\ncreate = false\n").await;
    assert_eq!(world.explain("ann").await.reason, Some(Reason::NewUsersNotAllowed));
}
