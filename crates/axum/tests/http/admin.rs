//! The admin pages: who may look and who may act. What they see is in `people`.

use crate::office::{ACT, LOOK, Office, deed, id, link, page, person, posts};
use crate::scripted::Scripted;
use crate::site::client;
use bindery_axum::{
    Bindery,
    administration::{Administration, Unanswered},
    authority::BoxFuture,
    settings::WebSettings,
};
use bindery_core::engine::{Actor, Administered, Deed, People, PeopleQuery, PersonView};
use bindery_store::{Cause, Change, Deactivation, Flags, GroupRef, Owner, Plan};
use http::{StatusCode, header};
use serde_json::json;
use uuid::Uuid;

const DEEDS: [&str; 3] = ["deactivate", "activate", "end-sessions"];

/// Nothing was done to somebody who is active and has one session.
async fn untouched(office: &Office, n: u128) {
    assert!(office.user(n).await.is_active());
    assert_eq!(office.sessions(n).await, 1);
    assert!(office.audit().await.is_empty());
}

#[tokio::test]
async fn whoever_is_signed_out_goes_to_sign_in_and_does_nothing() {
    let office = Office::new().await;
    office.somebody(1, "ann", &[]).await;
    for (path, next) in [("/admin/users?q=a", "%2Fadmin%2Fusers%3Fq%3Da"), (&page(1), &page(1).replace('/', "%2F")[..])]
    {
        let answer = office.get(path, "").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, &*format!("/login?next={next}"))
        );
    }
    for word in DEEDS {
        assert_eq!(office.post(&deed(1, word), "").await.status, StatusCode::UNAUTHORIZED, "{word}");
    }
    untouched(&office, 1).await;
    let answer = office.get("/admin", "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/admin/users"));
}

#[tokio::test]
async fn without_the_permission_nobody_looks_and_nobody_acts() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &["bindery.view_users", "press.view_user", "Bindery.View_User"]).await;
    office.somebody(2, "bob", &[]).await;
    for path in ["/admin/users", &page(2), &page(77), "/admin/users/x"] {
        let answer = office.get(path, &ann).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.is_page() && !answer.text.contains("bob") && !answer.text.contains("/admin"), "{path}");
    }
    for word in DEEDS {
        assert_eq!(office.post(&deed(2, word), &ann).await.status, StatusCode::FORBIDDEN, "{word}");
    }
    untouched(&office, 2).await;
}

#[tokio::test]
async fn who_may_only_look_does_not_act() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &[LOOK]).await;
    office.somebody(2, "bob", &[]).await;
    let shown = office.get(&page(2), &ann).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(posts(&shown).is_empty() && !shown.text.contains("Deactivat"), "there is nothing to press");
    for word in DEEDS {
        assert_eq!(office.post(&deed(2, word), &ann).await.status, StatusCode::FORBIDDEN, "{word}");
    }
    untouched(&office, 2).await;
}

#[tokio::test]
async fn who_may_only_act_does_not_look() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &[ACT]).await;
    office.somebody(2, "bob", &[]).await;
    assert_eq!(office.get("/admin/users", &ann).await.status, StatusCode::FORBIDDEN);
    assert_eq!(office.get(&page(2), &ann).await.status, StatusCode::FORBIDDEN);
    assert_eq!(office.post(&deed(2, "deactivate"), &ann).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn posts_of_other_sites_and_without_a_token_do_nothing() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &[LOOK, ACT]).await;
    office.somebody(2, "bob", &[]).await;
    let shown = office.get(&page(2), &ann).await;
    let (token, nonce) = (shown.token().to_owned(), shown.cookie("bindery_csrf").unwrap());
    let both = format!("{ann}; bindery_csrf={nonce}");
    for word in DEEDS {
        let path = deed(2, word);
        for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let form = format!("csrf_token={token}");
            let request = crate::site::form_request(&path).header(header::COOKIE, &both).header(name, value);
            let answer = client::ask(&office.app, request, form).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{word} {name}: {value}");
        }
        for form in ["", "csrf_token=", "csrf_token=AAAA", "csrf_token"] {
            assert_eq!(office.post_unsaid(&path, &both, form).await.status, StatusCode::FORBIDDEN, "{word} {form}");
        }
        let form = format!("csrf_token={token}");
        assert_eq!(office.post_unsaid(&path, &ann, &form).await.status, StatusCode::FORBIDDEN, "without its cookie");
        assert_eq!(office.get(&path, &ann).await.status, StatusCode::METHOD_NOT_ALLOWED, "{word}");
    }
    untouched(&office, 2).await;
    let answer = office.post_unsaid(&deed(2, "deactivate"), &both, &format!("csrf_token={token}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_deactivates_themselves() {
    let office = Office::new().await;
    for (n, cookie) in [(1, office.somebody(1, "ann", &[LOOK, ACT]).await), (2, office.superuser(2, "root").await)] {
        let answer = office.post(&deed(n, "deactivate"), &cookie).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.is_page() && answer.text.contains("your own account"), "{}", answer.text);
        untouched(&office, n).await;
        let shown = office.get(&page(n), &cookie).await;
        assert_eq!(posts(&shown), [deed(n, "end-sessions")]);
        assert!(shown.text.contains("your own account"), "{}", shown.text);
    }
}

#[tokio::test]
async fn only_a_superuser_acts_on_a_superuser() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &[LOOK, ACT]).await;
    let root = office.superuser(2, "root").await;
    office.superuser(3, "other").await;
    let shown = office.get(&page(2), &ann).await;
    assert!(shown.text.contains("Only a superuser") && posts(&shown).is_empty(), "{}", shown.text);
    for word in DEEDS {
        let answer = office.post(&deed(2, word), &ann).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{word}");
        assert!(answer.text.contains("Only a superuser"), "{}", answer.text);
    }
    untouched(&office, 2).await;
    assert_eq!(office.post(&deed(3, "deactivate"), &root).await.status, StatusCode::SEE_OTHER);
    assert!(!office.user(3).await.is_active());
}

#[tokio::test]
async fn who_is_not_there_is_404() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let braces = format!("%7B{}%7D", id(1));
    let bare = id(1).simple().to_string();
    let upper = Uuid::from_u128(0xabc).to_string().to_uppercase();
    for name in [&Uuid::from_u128(99).to_string(), "x", "1", "%00", "%ff", "..%2f..", &braces, &bare, &upper] {
        let shown = office.get(&format!("/admin/users/{name}"), &root).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{name}");
        assert!(shown.is_page(), "{name}");
        for word in DEEDS {
            let answer = office.post(&format!("/admin/users/{name}/{word}"), &root).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name} {word}");
        }
    }
    assert_eq!(office.post(&deed(1, "delete"), &root).await.status, StatusCode::NOT_FOUND);
    assert!(office.audit().await.is_empty());
}

/// Rights that were taken away count no more for deeds at once, whatever the session remembers; and for looking within
/// the second that a session may lag.
#[tokio::test]
async fn rights_that_are_taken_away_are_gone() {
    let office = Office::new().await;
    office.somebody(9, "bob", &[]).await;
    let group = |n: u128| GroupRef::Id(id(n + 1000));
    let member = |n| Change::RemoveMembership { user: id(n), group: group(n), owner: Owner::Hand };
    let revoke = |n| Change::Revoke { group: group(n), permission: ACT.to_owned() };
    let look = |n| Change::Revoke { group: group(n), permission: LOOK.to_owned() };
    for (n, gone) in [(1, vec![member(1)]), (2, vec![revoke(2), look(2)])] {
        let ann = office.somebody(n, &format!("ann{n}"), &[LOOK, ACT]).await;
        assert_eq!(office.get(&page(9), &ann).await.status, StatusCode::OK);
        office.apply(gone).await;
        assert_eq!(office.post(&deed(9, "deactivate"), &ann).await.status, StatusCode::FORBIDDEN, "{n}");
        let start = tokio::time::Instant::now();
        while office.get(&page(9), &ann).await.status == StatusCode::OK {
            assert!(start.elapsed() < std::time::Duration::from_secs(1), "a second is all that a session may lag");
            tokio::task::yield_now().await;
        }
        assert_eq!(office.get(&page(9), &ann).await.status, StatusCode::FORBIDDEN, "{n}");
    }
    // Deactivated behind the engine's back, with the session still there.
    let ann = office.somebody(3, "ann3", &[LOOK, ACT]).await;
    assert_eq!(office.get(&page(9), &ann).await.status, StatusCode::OK);
    let flags = Flags::from([("is_active".to_owned(), false)]);
    office.apply(vec![Change::SetFlags { user: id(3), flags }]).await;
    let answer = office.post(&deed(9, "deactivate"), &ann).await;
    assert!([StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&answer.status), "{}", answer.status);
    untouched(&office, 9).await;
}

#[tokio::test]
async fn whoever_is_deactivated_is_out_at_once_and_it_is_known_who_did_it() {
    let office = Office::new().await;
    let ann = office.somebody(1, "ann", &[LOOK, ACT]).await;
    let bob = office.somebody(2, "bob", &[]).await;
    office.session(2).await;
    assert_eq!(office.get("/profile", &bob).await.status, StatusCode::OK);

    let answer = office.post(&deed(2, "deactivate"), &ann).await;
    let back = format!("{}?done=deactivated", page(2));
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, &*back));
    assert_eq!(office.get("/profile", &bob).await.status, StatusCode::SEE_OTHER, "the very next request");
    let stored = office.user(2).await;
    assert_eq!((stored.is_active(), stored.deactivated_by, office.sessions(2).await), (false, None, 0));
    let shown = office.get(&back, &ann).await;
    for text in ["The account is deactivated", "Deactivated by hand"] {
        assert!(shown.text.contains(text), "{text}");
    }
    assert_eq!(posts(&shown), [deed(2, "activate")]);

    let answer = office.post(&deed(2, "activate"), &ann).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(office.user(2).await.is_active());
    assert!(office.get(answer.header("location"), &ann).await.text.contains("is active again"));
    assert!(
        !office.get(&back, &ann).await.text.contains("The account is deactivated"),
        "an address alone says nothing"
    );

    let bob = office.session(2).await;
    let answer = office.post(&deed(2, "end-sessions"), &ann).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(office.get(answer.header("location"), &ann).await.text.contains("Every session has ended"));
    assert!(office.user(2).await.is_active());
    assert_eq!(office.get("/profile", &bob).await.status, StatusCode::SEE_OTHER);

    let audit = office.audit().await;
    let events: Vec<&str> = audit.iter().rev().map(|line| line.event.as_str()).collect();
    assert_eq!(events, ["user_deactivated", "user_activated", "sessions_ended"]);
    for line in audit {
        assert_eq!((line.user_id, line.username.as_str(), line.outcome.as_str()), (Some(id(2)), "bob", "done"));
        assert_eq!((line.address.as_str(), line.via.as_str()), ("192.0.2.7", "http"));
        assert_eq!((&line.detail["by"], &line.detail["by_id"]), (&json!("ann"), &json!(id(1).to_string())));
    }
}

/// As on the command line: whom a person lets in, a source no longer keeps out, and whom a person shuts out, no source lets in.
#[tokio::test]
async fn by_hand_is_no_sources() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let flags = || Flags::from([("is_active".to_owned(), false)]);
    for (n, cause, words) in [
        (2, Cause::Left, "No longer in corp"),
        (3, Cause::Account, "Disabled, expired or locked in corp"),
        (4, Cause::Rule, "Deactivated by the rules of corp"),
    ] {
        let by = Some(Deactivation::new(cause, "corp"));
        let shut = vec![
            Change::CreateUser(person(n, &format!("u{n}"))),
            Change::SetFlags { user: id(n), flags: flags() },
            Change::SetDeactivatedBy { user: id(n), by },
        ];
        office.apply(shut).await;
        assert!(office.get(&page(n), &root).await.text.contains(words), "{words}");
        assert!(office.get("/admin/users", &root).await.text.contains(words), "{words}");
        let (active, word) = if n == 4 { (false, "deactivate") } else { (true, "activate") };
        assert_eq!(office.post(&deed(n, word), &root).await.status, StatusCode::SEE_OTHER);
        let stored = office.user(n).await;
        assert_eq!((stored.is_active(), stored.deactivated_by), (active, None), "{words}");
    }
}

#[tokio::test]
async fn an_app_that_does_not_ask_for_the_pages_has_none() {
    let office = Office::built(|builder, _| builder).await;
    let root = office.superuser(1, "root").await;
    for path in ["/admin", "/admin/users", &page(1)] {
        assert_eq!(office.get(path, &root).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(office.post(&deed(1, "end-sessions"), &root).await.status, StatusCode::NOT_FOUND);
    assert!(!office.get("/", &root).await.text.contains("/admin"));
}

#[tokio::test]
async fn the_pages_are_below_the_mount_point() {
    let office = Office::built(|builder, engine| builder.mount("/auth").admin_pages(engine)).await;
    let root = office.superuser(1, "root").await;
    assert_eq!(office.get("/auth/admin", &root).await.header("location"), "/auth/admin/users");
    let listed = office.get("/auth/admin/users", &root).await;
    let own = link(&listed, "root").unwrap();
    assert_eq!(own, format!("/auth{}", page(1)));
    assert_eq!(link(&listed, "People").as_deref(), Some("/auth/admin/users"));
    let shown = office.get(&own, &root).await;
    assert_eq!(posts(&shown), [format!("{own}/end-sessions")]);
    let answer = office.post(&format!("{own}/end-sessions"), &root).await;
    assert_eq!(answer.header("location"), format!("{own}?done=sessions-ended"));
}

/// A store that is gone.
struct Gone;

impl Administration for Gone {
    fn people(&self, _: PeopleQuery) -> BoxFuture<'_, Result<People, Unanswered>> {
        Box::pin(async { Err(Unanswered("secret address of the database".into())) })
    }

    fn person(&self, _: Uuid) -> BoxFuture<'_, Result<Option<PersonView>, Unanswered>> {
        Box::pin(async { Err(Unanswered("secret address of the database".into())) })
    }

    fn administer(&self, _: Deed, _: Uuid, _: Actor) -> BoxFuture<'_, Administered> {
        Box::pin(async { Administered::Unavailable("secret address of the database".to_owned()) })
    }
}

#[tokio::test]
async fn while_nobody_can_tell_it_is_503() {
    let scripted = Scripted::default();
    let app = Bindery::builder(scripted.clone(), WebSettings::default()).admin_pages(Gone).build().unwrap().routes();
    let cookie = format!("bindery_session={}", scripted.session_for("root"));
    for down in [false, true] {
        for path in ["/admin/users", &page(1)] {
            let answer = client::get(&app, path, &cookie).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(answer.is_page() && !answer.text.contains("secret"), "{path}");
        }
        for word in DEEDS {
            let answer = client::post(&app, &deed(1, word), &cookie, "").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{word}");
            assert!(!answer.text.contains("secret") && !answer.text.contains("ended"), "{word}");
        }
        if !down {
            scripted.set_down();
        }
    }
}

#[tokio::test]
async fn what_is_done_and_its_line_in_the_audit_are_one() {
    let office = Office::new().await;
    office.somebody(1, "ann", &[LOOK, ACT]).await;
    office.somebody(2, "bob", &[]).await;
    let actor = Actor::Person { id: id(1), address: None };
    assert_eq!(office.engine.administer(Deed::Deactivate, id(2), actor).await, Administered::Done);
    assert_eq!(office.audit().await.len(), 1);
    // Whoever is shut out meanwhile shuts out nobody.
    office.engine.store().apply(&Plan::deactivate(id(1)), office.engine.now()).await.unwrap();
    assert_eq!(office.engine.administer(Deed::Activate, id(2), actor).await, Administered::Forbidden);
    let nobody = Actor::Person { id: id(66), address: None };
    assert_eq!(office.engine.administer(Deed::Activate, id(2), nobody).await, Administered::Forbidden);
    assert_eq!(office.audit().await.len(), 1);
    assert_eq!(office.engine.administer(Deed::Activate, id(2), Actor::CommandLine).await, Administered::Done);
    let line = office.audit().await.remove(0);
    assert_eq!((line.event.as_str(), line.via.as_str(), line.detail.len()), ("user_activated", "command_line", 0));
    assert_eq!(office.engine.administer(Deed::Activate, id(99), Actor::CommandLine).await, Administered::NoSuchUser);
}
