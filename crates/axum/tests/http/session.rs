//! Whose request it is: the cookie, `/api/v1/me`, extractors and guards.

use crate::site::Site;
use axum::{Router, routing::get};
use bindery_axum::{Bindery, CurrentUser, Require, Requirement, Rule, settings::WebSettings};
use http::{Request, StatusCode, header};
use std::borrow::Cow;

struct Publisher;

impl Requirement for Publisher {
    const RULE: Rule = Rule::Permission(Cow::Borrowed("press.publish_article"));
}

struct Editor;

impl Requirement for Editor {
    const RULE: Rule =
        Rule::Any(Cow::Borrowed(&[Rule::Flag(Cow::Borrowed("is_superuser")), Rule::Group(Cow::Borrowed("editors"))]));
}

struct Ghost;

impl Requirement for Ghost {
    const RULE: Rule = Rule::Permission(Cow::Borrowed("press.haunt"));
}

/// An app with routes of its own beside ours.
fn app(bindery: &Bindery) -> Router {
    let name = |user: CurrentUser| async move { user.username.clone() };
    Router::new()
        .route("/own", get(name))
        .route(
            "/perhaps",
            get(|user: Option<CurrentUser>| async move { user.map_or("nobody".to_owned(), |user| user.username.clone()) }),
        )
        .route("/publish", get(|user: Require<Publisher>| async move { user.username.clone() }))
        .route("/edit", get(|user: Require<Editor>| async move { user.username.clone() }))
        .route("/haunt", get(|_: Require<Ghost>| async {}))
        .route("/staff", get(name).layer(bindery.require_flag("is_staff")))
        .route("/root", get(name).layer(bindery.require_flag("is_superuser")))
        .route("/group", get(name).layer(bindery.require_group("Press Office")))
        .route("/other", get(name).layer(bindery.require_group("Press")))
        .route("/perm", get(name).layer(bindery.require_permission("press.add_article")))
        .route("/both", get(name).layer(bindery.require_signed_in()))
        .layer(bindery.layer())
        .merge(bindery.routes())
        .route("/guarded", get(|| async { "in" }).layer(bindery.require_signed_in()))
        .route("/bare", get(name))
}

#[tokio::test]
async fn me_is_the_user_or_401() {
    let site = Site::new();
    let me = site.get("/api/v1/me", &site.session("ann")).await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.header("content-type"), "application/json");
    assert_eq!(me.header("cache-control"), "no-store");
    let body = me.json();
    for key in ["id", "username", "first_name", "last_name", "email", "display_name", "is_active", "is_staff"] {
        assert!(!body[key].is_null(), "{key}");
    }
    assert_eq!(body["path"], "Leeds/Publishing");
    assert_eq!(body["profile"]["employee_id"], "10023");
    assert_eq!(body["groups"][0], "Editors");
    assert_eq!(body["link"]["source"], "corp");
    let nobody = site.get("/api/v1/me", "").await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(nobody.is_problem());
}

#[tokio::test]
async fn doubtful_cookies_open_nothing() {
    let site = Site::new();
    let good = site.session("ann");
    let value = good.strip_prefix("bindery_session=").unwrap();
    let doubled = format!("{good}; {good}");
    let quoted = format!("bindery_session=\"{value}\"");
    let other_name = format!("__Host-bindery_session={value}");
    let upper = format!("BINDERY_SESSION={value}");
    let longer = format!("{good}A");
    let second_bad = format!("{good}; bindery_session=x");
    for bad in [&doubled, &quoted, &other_name, &upper, &longer, &second_bad, "bindery_session="] {
        let answer = site.get("/api/v1/me", bad).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
    }
    let two = Request::get("/api/v1/me").header(header::COOKIE, &good).header(header::COOKIE, &good);
    assert_eq!(site.ask(two, "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.get("/api/v1/me", &format!("a=b; {good}; c")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn on_https_only_the_host_cookie_counts() {
    let https = WebSettings { public_url: Some("https://site.example".parse().unwrap()), ..WebSettings::default() };
    let site = Site::with(https);
    let token = site.scripted.session_for("ann");
    let plain = site.get("/api/v1/me", &format!("bindery_session={token}")).await;
    assert_eq!(plain.status, StatusCode::UNAUTHORIZED);
    let host = site.get("/api/v1/me", &format!("__Host-bindery_session={token}")).await;
    assert_eq!(host.status, StatusCode::OK);
}

#[tokio::test]
async fn while_nobody_can_tell_it_is_503_and_the_cookie_stays() {
    let site = Site::new().serving(app);
    let cookie = site.session("ann");
    site.scripted.set_down();
    for path in ["/api/v1/me", "/own", "/perhaps", "/staff", "/both", "/publish", "/profile", "/password", "/"] {
        let answer = site.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.set_cookie("bindery_session"), None, "{path}");
    }
}

#[tokio::test]
async fn extractors_and_guards_let_the_right_people_through() {
    let site = Site::new().serving(app);
    let cookie = site.session("ann");
    for path in ["/own", "/perhaps", "/publish", "/edit", "/staff", "/group", "/perm", "/both"] {
        let answer = site.get(path, &cookie).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "ann"), "{path}");
    }
    for path in ["/root", "/other", "/haunt"] {
        let answer = site.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.is_page(), "{path}");
        let request = Request::get(path).header(header::COOKIE, &cookie);
        assert!(site.ask(request, "").await.is_problem(), "{path}");
    }
}

#[tokio::test]
async fn whoever_is_signed_out_is_sent_to_sign_in_or_told() {
    let site = Site::new().serving(app);
    for path in ["/own", "/staff", "/publish", "/both", "/guarded", "/profile"] {
        let answer = site.get(&format!("{path}?a=1&b=/2"), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        let next: String = url::form_urlencoded::byte_serialize(format!("{path}?a=1&b=/2").as_bytes()).collect();
        assert_eq!(answer.header("location"), format!("/login?next={next}"));
        let answer = site.ask(Request::get(path), "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.is_problem(), "{path}");
    }
    assert_eq!(site.get("/perhaps", "").await.text, "nobody");
    assert_eq!(site.get("/perhaps", "bindery_session=x").await.text, "nobody");
}

#[tokio::test]
async fn a_post_is_not_sent_round_by_way_of_signing_in() {
    let site = Site::new().serving(|bindery| {
        Router::new().route("/do", axum::routing::post(|_: CurrentUser| async {})).layer(bindery.layer())
    });
    let answer = site.post("/do", "", "a=b").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.is_page());
}

#[tokio::test]
async fn a_request_is_looked_up_once_and_only_if_somebody_asks() {
    let site = Site::new().serving(|bindery| app(bindery).layer(bindery.layer()));
    let cookie = site.session("ann");
    site.get("/assets/x/bindery.css", &cookie).await;
    assert_eq!(site.scripted.lookups(), 0);
    site.get("/staff", &cookie).await;
    assert_eq!(site.scripted.lookups(), 1);
}

#[tokio::test]
async fn a_route_without_the_layer_fails_closed() {
    let site = Site::new().serving(app);
    let answer = site.get("/bare", &site.session("ann")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn routes_can_be_mounted_below_a_path() {
    let site = Site::new().serving(|_| {
        let bindery =
            Bindery::builder(crate::scripted::Scripted::default(), WebSettings::default()).mount("/auth/").build();
        let bindery = bindery.unwrap();
        Router::new()
            .nest("/app", Router::new().route("/own", get(|_: CurrentUser| async {})))
            .layer(bindery.layer())
            .merge(bindery.routes())
    });
    let answer = site.get("/app/own", "").await;
    assert_eq!(answer.header("location"), "/auth/login?next=%2Fapp%2Fown");
    let page = site.get("/auth/login?next=/auth/login", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("/login\"") && !page.text.contains("name=\"next\""));
    let css = page.text.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(css.starts_with("/auth/assets/"), "{css}");
    assert_eq!(site.get(css, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reload_counts_from_the_next_request() {
    let site = Site::new();
    let token = site.scripted.session_for("ann");
    let cookie = format!("__Host-bindery_session={token}");
    assert_eq!(site.get("/api/v1/me", &cookie).await.status, StatusCode::UNAUTHORIZED);
    site.bindery
        .reload(WebSettings { public_url: Some("https://a.example".parse().unwrap()), ..WebSettings::default() });
    assert_eq!(site.get("/api/v1/me", &cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_token_reaches_the_browser_and_no_cache() {
    let site = Site::new();
    let cookie = site.session("ann");
    site.scripted.set_renewing();
    let old = cookie.split_once('=').unwrap().1;
    let me = site.get("/api/v1/me", &cookie).await;
    let set = me.header("set-cookie");
    let new = set.strip_prefix("bindery_session=").unwrap().split(';').next().unwrap();
    assert!(new != old && new[..21] == old[..21], "{set}");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    assert_eq!(me.header("cache-control"), "no-store");
    assert_eq!(me.headers.get_all("set-cookie").iter().count(), 1, "once, though layers nest");
    // Where nobody asks who it is, nothing is looked up and nothing is changed.
    let style = site.get("/assets/x/bindery.css", &cookie).await;
    assert!(!style.headers.contains_key("set-cookie"));
}
