//! Explaining: what sign-in would decide, and nothing written.

use crate::world::World;
use bindery_core::{Outcome, Reason};
use bindery_demo_directory::company;

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
