//! Changing one's own password, and how little it tells strangers.

use crate::world::{Setup, World, assert_refused, assert_signed_in};
use bindery_core::Reason;
use bindery_core::engine::{PasswordChange, Via};
use bindery_demo_directory::company;

async fn change(world: &World, name: &str, old: &str, new: &str) -> PasswordChange {
    world.engine.change_password(name, &old.into(), &new.into(), None, Via::Http).await
}

#[tokio::test]
async fn strangers_learn_no_names() {
    let world = World::usual().await;
    for name in ["ann", "nobody", "nils", "victor", "OTHER\\ann", ""] {
        assert_eq!(change(&world, name, "wrong", "long enough").await, PasswordChange::WrongOld, "{name}");
    }
    for old in ["", "a\0b"] {
        assert_eq!(change(&world, "ann", old, "long enough").await, PasswordChange::WrongOld);
    }
    let told = change(&world, "ann", company::PASSWORD, "long enough").await;
    assert!(matches!(told, PasswordChange::Refused(_)), "{told:?}");
}

#[tokio::test]
async fn guesses_here_count_as_guesses_there() {
    let top = "[sign_in]\nthrottle = { per_user = 3, per_address = 50, window = \"15m\" }\n".to_owned();
    let source = "[sources.larkspur.users]\nlogin_attributes = [\"uid\", \"mail\"]\n".to_owned();
    let world = World::new(Setup { top, source, ..Setup::default() }).await;
    for name in ["ann", "ANN@larkspur.example", "LARKSPUR\\ann"] {
        assert_eq!(change(&world, name, "wrong", "long enough").await, PasswordChange::WrongOld);
    }
    let throttled = change(&world, "Ann@larkspur.example", company::PASSWORD, "long enough").await;
    assert!(matches!(throttled, PasswordChange::Throttled(_)), "{throttled:?}");
    assert_refused(&world.sign_in("ann", company::PASSWORD).await, Reason::Throttled);
}

#[tokio::test]
async fn an_unprotected_connection_never_carries_a_new_password() {
    let world = World::with("[sources.larkspur.passwords]\nwrite_back = true\n").await;
    let answer = change(&world, "ann", company::PASSWORD, "long enough").await;
    assert!(matches!(answer, PasswordChange::Unavailable(_)), "{answer:?}");
    assert_signed_in(&world.sign_in("ann", company::PASSWORD).await);
}

#[tokio::test]
async fn a_local_password_changes_and_ends_every_session() {
    let world = World::usual().await;
    world.local("root", Some("correct horse")).await;
    let token = world.sign_in("root", "correct horse").await.token.unwrap();
    assert_eq!(change(&world, "root", "wrong", "battery staple").await, PasswordChange::WrongOld);
    assert!(matches!(change(&world, "root", "correct horse", "short").await, PasswordChange::Refused(_)));
    assert_eq!(change(&world, "root", "correct horse", "battery staple").await, PasswordChange::Changed);
    world.ended(&token).await;
    assert_refused(&world.sign_in("root", "correct horse").await, Reason::BadCredentials);
    assert_signed_in(&world.sign_in("root", "battery staple").await);
}

#[tokio::test]
async fn an_outage_is_no_wrong_password() {
    let mut world = World::usual().await;
    world.outage().await;
    let answer = change(&world, "ann", company::PASSWORD, "long enough").await;
    assert!(matches!(answer, PasswordChange::Unavailable(_)), "{answer:?}");
}
