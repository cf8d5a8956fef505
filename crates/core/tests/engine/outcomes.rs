//! How a sign-in ends, reason by reason, and what a visitor is told.

use crate::world::{Setup, World, assert_refused, assert_signed_in, assert_unavailable};
use bindery_core::events::{EventHandler, Populate, Veto};
use bindery_core::reconcile::username_key;
use bindery_core::{Outcome, Reason};
use bindery_demo_directory::company;
use bindery_store::{AuditFilter, Plan};
use futures::future::BoxFuture;
use std::sync::Arc;

const PASSWORD: &str = company::PASSWORD;

#[tokio::test]
async fn somebody_of_the_directory_becomes_a_user() {
    let world = World::with("[sources.larkspur.groups]\nmirror = true\n").await;
    let end = world.sign_in("ANN", PASSWORD).await;
    assert_signed_in(&end);
    let user = end.user.unwrap();
    assert_eq!((user.username.as_str(), user.email.as_str()), ("ann", "ann@larkspur.example"));
    assert_eq!(user.display_name, "Ann Whitfield");
    assert_eq!(end.dn.as_deref(), Some(crate::world::dn("ann").as_str()));
    assert_eq!(end.source.as_deref(), Some("larkspur"));
    assert!(user.flag("is_active") && !user.flag("is_staff") && !user.flag("is_superuser"));
    assert!(user.groups.iter().any(|group| group == "managers"), "{:?}", user.groups);
    assert!(end.password_verified && end.token.is_some());
    let stored = world.engine.store().user(user.id).await.unwrap().unwrap();
    assert!(stored.password_hash.is_none(), "no usable local password");
}

#[tokio::test]
async fn the_command_line_makes_no_session() {
    let world = World::usual().await;
    let end = world.login("ann", PASSWORD).await;
    assert_signed_in(&end);
    assert!(end.token.is_none());
    let user = end.user.unwrap().id;
    assert!(world.engine.store().sessions_of(user, world.engine.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn before_a_correct_password_a_visitor_hears_one_thing() {
    let world = World::with("[sources.larkspur.users]\nlogin_attributes = [\"uid\", \"employeeType\"]\n").await;
    for (username, password, reason) in [
        ("ann", "wrong", Reason::BadCredentials),
        ("nobody", PASSWORD, Reason::NoSuchUser),
        ("", PASSWORD, Reason::NoSuchUser),
        ("an\0n", PASSWORD, Reason::NoSuchUser),
        ("*", PASSWORD, Reason::NoSuchUser),
        ("ann)(uid=*", PASSWORD, Reason::NoSuchUser),
        ("staff", PASSWORD, Reason::AmbiguousUser),
        ("ann", "", Reason::EmptyPassword),
        ("ann", "de\0mo", Reason::EmptyPassword),
        ("OTHER\\ann", PASSWORD, Reason::UnknownDomain),
        ("nils", "wrong", Reason::BadCredentials),
        ("paul", "wrong", Reason::BadCredentials),
        ("victor", "wrong", Reason::AccountLocked),
        ("victor", PASSWORD, Reason::AccountLocked),
    ] {
        let end = world.sign_in(username, password).await;
        assert_refused(&end, reason);
        assert!(!end.password_verified, "{username:?}");
        assert_eq!(end.public_reason(), Some(Reason::BadCredentials), "{username:?}");
    }
    assert_eq!(world.engine.store().user_count().await.unwrap(), 0, "nobody was made");
}

#[tokio::test]
async fn the_account_state_is_told_after_the_password() {
    let world = World::usual().await;
    world.set("ann", "pwdReset", "TRUE").await;
    world.set("leo", "userAccountControl", "8388608").await;
    world.set("owen", "userAccountControl", "514").await;
    for (username, reason) in [
        ("paul", Reason::AccountExpired),
        ("ann", Reason::PasswordMustChange),
        ("leo", Reason::PasswordExpired),
        ("owen", Reason::AccountDisabled),
    ] {
        let end = world.sign_in(username, PASSWORD).await;
        assert_refused(&end, reason);
        assert_eq!(end.public_reason(), Some(reason), "{username}");
        assert!(world.user(username).await.is_none(), "nothing is written of {username}");
    }
    // Result 53 comes whatever the password with some servers, and so proves none.
    let end = world.sign_in("nils", PASSWORD).await;
    assert_refused(&end, Reason::AccountDisabled);
    assert_eq!(end.public_reason(), Some(Reason::BadCredentials));
}

#[tokio::test]
async fn access_is_told_after_the_password() {
    let world = World::with("[sources.larkspur.access]\nrequire = \"engineering\"\ndeny = [\"it-admins\"]\n").await;
    assert_signed_in(&world.sign_in("sofia", PASSWORD).await);
    for (username, reason) in [("ann", Reason::NotInRequiredGroup), ("kwame", Reason::InDeniedGroup)] {
        let end = world.sign_in(username, PASSWORD).await;
        assert_refused(&end, reason);
        assert_eq!(end.public_reason(), Some(reason));
        assert!(world.user(username).await.is_none());
    }
    assert_refused(&world.sign_in("ann", "wrong").await, Reason::BadCredentials);
}

#[tokio::test]
async fn a_deny_group_that_nobody_finds_lets_nobody_in() {
    let world = World::with("[sources.larkspur.access]\ndeny = [\"leavrs\"]\n").await;
    assert_refused(&world.sign_in("ann", PASSWORD).await, Reason::MembershipUnknown);
    assert!(world.user("ann").await.is_none());
}

#[tokio::test]
async fn a_certain_no_comes_before_doubt() {
    let world = World::with("[sources.larkspur.access]\nrequire = \"typo\"\ndeny = \"managers\"\n").await;
    assert_refused(&world.sign_in("ann", PASSWORD).await, Reason::InDeniedGroup);
    assert_refused(&world.sign_in("leo", PASSWORD).await, Reason::MembershipUnknown);
}

#[tokio::test]
async fn groups_that_cannot_be_read_are_not_no_groups() {
    let rules = "[sources.larkspur.groups]\nbase_dn = [\"ou=gone,dc=larkspur,dc=example\"]\nmirror = true\n";
    let world = World::with(rules).await;
    assert_refused(&world.sign_in("ann", PASSWORD).await, Reason::MembershipUnknown);
    assert!(world.user("ann").await.is_none());
}

#[tokio::test]
async fn a_group_that_cannot_be_found_grants_no_flag() {
    let world = World::with("[sources.larkspur.flags]\nis_staff = \"typo\"\n").await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_signed_in(&end);
    assert!(!end.user.unwrap().flag("is_staff"));
}

#[tokio::test]
async fn is_active_by_rule() {
    let world = World::with("[sources.larkspur.flags]\nis_active = \"editors\"\n").await;
    assert_refused(&world.sign_in("ann", PASSWORD).await, Reason::AccountDisabled);
    assert!(world.user("ann").await.is_none());
    world.join("ann", "editors").await;
    assert_signed_in(&world.sign_in("ann", PASSWORD).await);
}

#[tokio::test]
async fn deactivated_by_hand_stays_out() {
    let world = World::usual().await;
    world.enter("ann").await;
    let id = world.user("ann").await.unwrap().id;
    world.engine.store().apply(&Plan::deactivate(id), world.engine.now()).await.unwrap();
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::AccountDisabled);
    assert_eq!(end.public_reason(), Some(Reason::AccountDisabled));
    assert!(!world.user("ann").await.unwrap().flag("is_active"));
}

#[tokio::test]
async fn nobody_new_where_nobody_new_is_wanted() {
    let world = World::with("[sources.larkspur.provisioning]\ncreate = false\n").await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::NewUsersNotAllowed);
    assert!(end.password_verified);
    assert!(world.user("ann").await.is_none());
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_inherited() {
    let world = World::usual().await;
    let id = world.local("Ann", None).await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::AccountConflict);
    let stored = world.engine.store().user_state(id).await.unwrap().unwrap();
    assert!(stored.links.is_empty());
}

#[tokio::test]
async fn what_is_needed_must_be_there() {
    let world = World::with("[sources.larkspur.users.attributes]\nusername = \"roomNumber\"\n").await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::MissingAttribute);
    assert!(end.password_verified);

    let world = World::with("[sources.larkspur.users]\nunique_id = \"nsUniqueId\"\n").await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::MissingAttribute);
    assert_eq!(end.public_reason(), Some(Reason::BadCredentials));
}

struct NoAnns;

impl EventHandler for NoAnns {
    fn populate<'a>(&'a self, event: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        let veto = event.decision.username == "ann";
        event.decision.groups.clear();
        Box::pin(async move { if veto { Err(Veto("no anns today".to_owned())) } else { Ok(()) } })
    }
}

#[tokio::test]
async fn an_app_may_say_no_and_may_change_what_is_written() {
    let source = "[sources.larkspur.groups]\nmirror = true\n".to_owned();
    let world = World::new(Setup { source, handlers: vec![Arc::new(NoAnns)], ..Setup::default() }).await;
    let end = world.sign_in("ann", PASSWORD).await;
    assert_refused(&end, Reason::Vetoed);
    assert!(end.detail.contains("no anns today"));
    assert!(world.user("ann").await.is_none());
    let end = world.sign_in("leo", PASSWORD).await;
    assert_signed_in(&end);
    assert!(end.user.unwrap().groups.is_empty());
}

#[tokio::test]
async fn an_outage_is_never_a_no() {
    let mut world = World::usual().await;
    world.outage().await;
    for (username, password) in [("ann", PASSWORD), ("ann", "wrong"), ("nobody", "x"), ("LARKSPUR\\ann", PASSWORD)] {
        assert_unavailable(&world.sign_in(username, password).await);
    }
    world.recover();
    assert_signed_in(&world.sign_in("ann", PASSWORD).await);
    assert_refused(&world.sign_in("nobody", "x").await, Reason::NoSuchUser);
}

#[tokio::test]
async fn a_refused_service_account_is_no_wrong_password() {
    let directory = crate::world::company_directory();
    let text = crate::world::source_toml("larkspur", &directory.url(), "");
    let text = text.replace(company::SERVICE_PASSWORD, "not-the-password");
    let (engine, _) = crate::world::engine(&text, Vec::new()).await;
    assert_unavailable(&engine.sign_in(crate::world::attempt("ann", PASSWORD)).await);
}

#[tokio::test]
async fn the_audit_has_the_true_reason() {
    let world = World::usual().await;
    world.sign_in("nobody", "x").await;
    world.enter("ann").await;
    let lines = world.engine.store().audit(&AuditFilter::default()).await.unwrap();
    let mut told: Vec<_> =
        lines.iter().map(|line| (line.username.as_str(), line.outcome.as_str(), line.reason.as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, [("ann", Outcome::SignedIn.as_str(), ""), ("nobody", "refused", "no_such_user")]);
}

#[tokio::test]
async fn local_passwords() {
    let world = World::usual().await;
    let id = world.local("root", Some("correct horse")).await;
    assert_refused(&world.sign_in("root", "wrong").await, Reason::BadCredentials);
    let end = world.sign_in("ROOT", "correct horse").await;
    assert_signed_in(&end);
    assert_eq!((end.source, end.dn), (None, None));
    world.engine.store().apply(&Plan::deactivate(id), world.engine.now()).await.unwrap();
    assert_refused(&world.sign_in("root", "wrong").await, Reason::BadCredentials);
    let end = world.sign_in("root", "correct horse").await;
    assert_refused(&end, Reason::AccountDisabled);
    assert_eq!(end.public_reason(), Some(Reason::AccountDisabled));
}

#[tokio::test]
async fn hashes_of_django_are_upgraded() {
    let world = World::usual().await;
    let id = world.local("root", None).await;
    let django = "pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=";
    let hash = Some(bindery_store::PasswordHash::new(django.to_owned()));
    world.apply(vec![bindery_store::Change::SetPassword { user: id, hash }]).await;
    assert_refused(&world.sign_in("root", "wrong").await, Reason::BadCredentials);
    assert_signed_in(&world.sign_in("root", "correct horse").await);
    let stored = world.engine.store().user_by_username(&username_key("root")).await.unwrap().unwrap();
    assert!(stored.password_hash.unwrap().expose().starts_with("$argon2id$"));
    assert_signed_in(&world.sign_in("root", "correct horse").await);
}

#[tokio::test]
async fn a_hash_that_cannot_be_checked_is_no_verdict() {
    let world = World::usual().await;
    let id = world.local("root", None).await;
    for damaged in
        ["md5$of old", "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"]
    {
        let hash = Some(bindery_store::PasswordHash::new(damaged.to_owned()));
        world.apply(vec![bindery_store::Change::SetPassword { user: id, hash }]).await;
        let end = world.sign_in("root", "correct horse").await;
        assert_unavailable(&end);
        assert!(end.detail.contains("set the password again") && !end.detail.contains("c2Fs"), "{}", end.detail);
    }
}

#[tokio::test]
async fn two_first_sign_ins_at_once_make_one_user() {
    let world = World::usual().await;
    let ends = futures::future::join_all((0..6).map(|_| world.sign_in("ann", PASSWORD))).await;
    ends.iter().for_each(assert_signed_in);
    assert_eq!(world.engine.store().user_count().await.unwrap(), 1);
}
