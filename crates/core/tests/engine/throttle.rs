//! Failures are counted per user over all spellings, and per address; honest people are never refused for being many.

use crate::world::{Setup, World, assert_refused, assert_signed_in, attempt, company_directory, engine};
use bindery_core::Reason;
use bindery_demo_directory::company;
use std::time::Duration;

const PASSWORD: &str = company::PASSWORD;

async fn limits(user: u32, address: u32) -> World {
    let top = format!("[sign_in]\nthrottle = {{ per_user = {user}, per_address = {address}, window = \"15m\" }}\n");
    let source = "[sources.larkspur.users]\nlogin_attributes = [\"uid\", \"mail\"]\n".to_owned();
    World::new(Setup { top, source, ..Setup::default() }).await
}

#[tokio::test]
async fn every_spelling_counts_for_one_user() {
    let world = limits(5, 50).await;
    for typed in ["ann", "ANN", "LARKSPUR\\ann", "ann@larkspur.example", "ann@larkspur.local"] {
        assert_refused(&world.sign_in(typed, "wrong").await, Reason::BadCredentials);
    }
    for typed in ["ann", "Ann@Larkspur.example", "larkspur\\ANN", " ann", "ａｎｎ"] {
        let end = world.sign_in(typed, PASSWORD).await;
        assert_refused(&end, Reason::Throttled);
        assert_eq!(end.public_reason(), Some(Reason::Throttled));
        assert!(end.retry_after.is_some_and(|wait| wait <= Duration::from_mins(15)));
    }
    assert_signed_in(&world.sign_in("leo", PASSWORD).await);
    world.clock.advance(Duration::from_mins(15));
    assert_signed_in(&world.sign_in("ann", PASSWORD).await);
}

#[tokio::test]
async fn every_spelling_of_a_dn_counts_for_one_user() {
    let people = "ou=people,dc=larkspur,dc=example";
    let directory = company_directory();
    let source = |slug: &str, users: &str| {
        format!(
            "[sources.{slug}]\npreset = \"openldap\"\nservers = [\"ldap://{}\"]\nbase_dn = \"dc=larkspur,dc=example\"\n\
             bind = {{ method = \"as-user\" }}\nusers = {{ {users} }}\n",
            directory.address()
        )
    };
    let template = format!("base_dn = \"{people}\", dn_template = \"cn={{user}},{people}\"");
    let throttle = "[sign_in]\nthrottle = { per_user = 4, per_address = 50, window = \"15m\" }\n";
    // One source, whose template alone says who is meant; two, where that is known only at each.
    for sources in [source("one", &template), format!("{}{}", source("one", &template), source("two", &template))] {
        let (engine, _) = engine(&format!("{throttle}{sources}"), Vec::new()).await;
        // RFC 4518 folds inner spaces.
        for typed in ["a b", "A  B", "a   b", " a \u{3000}B"] {
            assert_refused(&engine.sign_in(attempt(typed, "wrong")).await, Reason::BadCredentials);
        }
        for typed in ["a    b", "a b", "A B"] {
            assert_refused(&engine.sign_in(attempt(typed, "wrong")).await, Reason::Throttled);
        }
        assert_refused(&engine.sign_in(attempt("ab", "wrong")).await, Reason::BadCredentials);
    }
}

#[tokio::test]
async fn names_that_nobody_has_are_counted_alike() {
    let world = limits(2, 50).await;
    for _ in 0..2 {
        assert_refused(&world.sign_in("nobody", "x").await, Reason::NoSuchUser);
    }
    assert_refused(&world.sign_in("nobody", "x").await, Reason::Throttled);
}

#[tokio::test]
async fn the_right_password_clears_the_count() {
    let world = limits(3, 50).await;
    for _ in 0..3 {
        for _ in 0..2 {
            assert_refused(&world.sign_in("ann", "wrong").await, Reason::BadCredentials);
        }
        assert_signed_in(&world.sign_in("ann", PASSWORD).await);
    }
}

#[tokio::test]
async fn an_address_is_counted_over_all_names_and_its_own_success_clears_nothing() {
    let world = limits(5, 3).await;
    for name in ["ann", "leo", "nobody"] {
        world.sign_in_from("192.0.2.7", name, "wrong").await;
        assert_signed_in(&world.sign_in_from("192.0.2.9", "june", PASSWORD).await);
        if name != "nobody" {
            assert_signed_in(&world.sign_in_from("192.0.2.7", "june", PASSWORD).await);
        }
    }
    assert_refused(&world.sign_in_from("192.0.2.7", "june", PASSWORD).await, Reason::Throttled);
    assert_signed_in(&world.sign_in_from("192.0.2.8", "june", PASSWORD).await);
}

#[tokio::test]
async fn addresses_of_one_household_are_one() {
    let world = limits(5, 2).await;
    world.sign_in_from("2001:db8::1", "ann", "wrong").await;
    world.sign_in_from("2001:db8::2", "leo", "wrong").await;
    assert_refused(&world.sign_in_from("2001:db8::3", "june", PASSWORD).await, Reason::Throttled);
}

#[tokio::test]
async fn the_command_line_neither_counts_nor_is_held_up() {
    let world = limits(2, 50).await;
    for _ in 0..4 {
        assert_refused(&world.login("ann", "wrong").await, Reason::BadCredentials);
    }
    assert_signed_in(&world.sign_in("ann", PASSWORD).await);
    world.sign_in("ann", "wrong").await;
    world.sign_in("ann", "wrong").await;
    assert_signed_in(&world.login("ann", PASSWORD).await);
}

#[tokio::test]
async fn an_outage_and_an_empty_password_count_for_nothing() {
    let mut world = limits(1, 1).await;
    assert_refused(&world.sign_in_from("192.0.2.7", "ann", "").await, Reason::EmptyPassword);
    world.outage().await;
    world.sign_in_from("192.0.2.7", "ann", "wrong").await;
    world.recover();
    assert_signed_in(&world.sign_in_from("192.0.2.7", "ann", PASSWORD).await);
}

#[tokio::test]
async fn parallel_guesses_do_not_pass_the_limit() {
    let world = limits(5, 50).await;
    let ends = futures::future::join_all((0..30).map(|_| world.sign_in("ann", "wrong"))).await;
    let tried = ends.iter().filter(|end| end.reason == Some(Reason::BadCredentials)).count();
    assert_eq!(tried, 5);
    assert!(ends.iter().all(|end| matches!(end.reason, Some(Reason::BadCredentials | Reason::Throttled))));
}

#[tokio::test]
async fn many_honest_people_at_once_all_come_in() {
    let world = limits(5, 3).await;
    let same = futures::future::join_all((0..20).map(|_| world.sign_in("ann", PASSWORD))).await;
    same.iter().for_each(assert_signed_in);
    let names = ["ann", "leo", "june", "kwame", "sofia", "beth", "hana", "owen"];
    let one_roof = names.iter().cycle().take(24).map(|name| world.sign_in_from("192.0.2.7", name, PASSWORD));
    futures::future::join_all(one_roof).await.iter().for_each(assert_signed_in);
}
