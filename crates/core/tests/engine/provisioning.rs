//! Who becomes whom, what follows the directory, and what stays as people set it.

use crate::world::{Setup, World, assert_refused, assert_signed_in, dn};
use bindery_core::{Outcome, Reason};
use bindery_demo_directory::company;
use bindery_store::{Change, Field, GroupRef, Owner};

const PASSWORD: &str = company::PASSWORD;

#[tokio::test]
async fn a_rename_and_a_move_keep_the_user() {
    let world = World::usual().await;
    world.enter("leo").await;
    let id = world.user("leo").await.unwrap().id;
    let there = "ou=contractors,ou=people,dc=larkspur,dc=example";
    let rename =
        format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=leonard\ndeleteoldrdn: 1\nnewsuperior: {there}\n", dn("leo"));
    world.edit(&rename).await;
    let end = world.login("leonard", PASSWORD).await;
    assert_signed_in(&end);
    let user = end.user.unwrap();
    assert_eq!((user.id, user.username.as_str()), (id, "leonard"));
    assert_eq!(user.link.unwrap().dn, format!("uid=leonard,{there}"));
    assert_refused(&world.login("leo", PASSWORD).await, Reason::NoSuchUser);
}

#[tokio::test]
async fn a_new_entry_of_an_old_name_is_another_person() {
    let world = World::usual().await;
    world.enter("leo").await;
    world.edit(&format!("dn: {}\nchangetype: delete\n", dn("leo"))).await;
    world
        .edit(&format!(
            "dn: {}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: leo\ncn: Leo Other\nsn: Other\n",
            dn("leo")
        ))
        .await;
    world.set_password("leo", "other").await;
    assert_refused(&world.login("leo", "other").await, Reason::AccountConflict);
    assert_eq!(world.user("leo").await.unwrap().display_name, "Leo Fontaine");
}

#[tokio::test]
async fn on_create_keeps_fields_and_groups_follow() {
    let source = "[sources.larkspur.provisioning]\nupdate = \"on-create\"\n[sources.larkspur.groups]\nmirror = true\n\
                  [sources.larkspur.flags]\nis_staff = \"sales\"\n";
    let world = World::with(source).await;
    world.enter("leo").await;
    world.set("leo", "mail", "new@larkspur.example").await;
    world.leave("leo", "author-relations").await;
    world.join("leo", "sales").await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap();
    assert_eq!(user.email, "leo@larkspur.example");
    assert!(user.in_group("sales") && !user.in_group("author-relations"), "{:?}", user.groups);
    assert!(user.flag("is_staff"));
}

#[tokio::test]
async fn what_the_source_gave_goes_and_what_people_gave_stays() {
    let world = World::with("[sources.larkspur.groups]\nmirror = true\n").await;
    let hand = world.group("by-hand", "app.use").await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap().id;
    let group = GroupRef::Id(hand);
    world.apply(vec![Change::AddMembership { user, group, owner: Owner::Hand }]).await;
    let kept = Field::Profile { name: "nickname".to_owned(), value: Some("Lion".into()) };
    world.apply(vec![Change::UpdateUser { user, fields: vec![kept] }]).await;
    world.leave("leo", "author-relations").await;
    world.unset("leo", "mail").await;
    world.enter("leo").await;
    let view = world.user("leo").await.unwrap();
    assert_eq!(view.groups, ["by-hand"]);
    assert_eq!((view.email.as_str(), &view.profile["nickname"]), ("", &"Lion".into()));
    assert!(view.may("app.use"));
}

#[tokio::test]
async fn link_existing_adopts_only_what_has_no_link() {
    let adopt = |by: &str| format!("[sources.larkspur.provisioning]\ncreate = false\nlink_existing = \"{by}\"\n");
    let world = World::with(&adopt("username")).await;
    let id = world.local("ann", None).await;
    assert_signed_in(&world.login("ann", PASSWORD).await);
    assert_eq!(world.user("ann").await.unwrap().id, id);
    assert_refused(&world.login("leo", PASSWORD).await, Reason::NewUsersNotAllowed);

    let world = World::with(&adopt("email")).await;
    let id = world.local("somebody", None).await;
    let (address, key) =
        ("Leo@Larkspur.example".to_owned(), bindery_core::reconcile::email_key("leo@larkspur.example"));
    world.apply(vec![Change::UpdateUser { user: id, fields: vec![Field::Email { address, key }] }]).await;
    assert_signed_in(&world.login("leo", PASSWORD).await);
    assert_eq!(world.user("leo").await.unwrap().id, id);
}

#[tokio::test]
async fn never_means_that_not_even_a_mail_address_takes_an_account_over() {
    let world = World::usual().await;
    let id = world.local("boss", Some("correct horse")).await;
    let (address, key) =
        ("ann@larkspur.example".to_owned(), bindery_core::reconcile::email_key("ann@larkspur.example"));
    world.apply(vec![Change::UpdateUser { user: id, fields: vec![Field::Email { address, key }] }]).await;
    let end = world.login("ann", PASSWORD).await;
    assert_signed_in(&end);
    assert_ne!(end.user.unwrap().id, id);
}

#[tokio::test]
async fn provision_is_a_sign_in_without_the_password() {
    let mut world = World::with("[sources.larkspur.access]\ndeny = \"sales\"\n").await;
    let made = world.engine.provision("leo").await;
    assert_eq!((made.outcome, made.user.unwrap().username.as_str()), (Outcome::SignedIn, "leo"));
    for (name, reason) in [
        ("nobody", Reason::NoSuchUser),
        ("beth", Reason::InDeniedGroup),
        ("nils", Reason::AccountDisabled),
        ("paul", Reason::AccountExpired),
    ] {
        let end = world.engine.provision(name).await;
        assert_eq!((end.outcome, end.reason), (Outcome::Refused, Some(reason)), "{name}: {}", end.detail);
        assert!(world.user(name).await.is_none());
    }
    // A lock that ends by itself keeps nobody from being made.
    assert_eq!(world.engine.provision("victor").await.outcome, Outcome::SignedIn);
    world.outage().await;
    let end = world.engine.provision("nobody").await;
    assert_eq!((end.outcome, end.reason), (Outcome::Unavailable, None));
}

#[tokio::test]
async fn local_people_may_get_permissions_of_directory_groups() {
    let on = || Setup { top: "[sign_in]\nauthorize_local_users = true\n".to_owned(), ..Setup::default() };
    let mut world = World::new(on()).await;
    world.group("Author-Relations", "books.sign").await;
    world.local("leo", Some("of leo here")).await;
    let token = world.sign_in("leo", "of leo here").await.token.unwrap();
    let user = world.current(&token).await;
    assert!(user.user.may("books.sign") && user.user.link.is_none());
    assert_eq!(user.user.groups, ["Author-Relations"], "live");
    assert_eq!(world.engine.store().memberships(user.user.id).await.unwrap(), [], "no row is written");
    // A directory that cannot answer takes nothing.
    world.outage().await;
    assert!(world.login("leo", "of leo here").await.user.unwrap().may("books.sign"));
    world.recover();
    world.leave("leo", "author-relations").await;
    assert!(!world.login("leo", "of leo here").await.user.unwrap().may("books.sign"));
    world.join("leo", "author-relations").await;
    assert!(world.login("leo", "of leo here").await.user.unwrap().may("books.sign"));
    // Off is off, for the session that is there as well.
    world.reload(&Setup::default());
    assert!(!world.current(&token).await.user.may("books.sign"));
}
