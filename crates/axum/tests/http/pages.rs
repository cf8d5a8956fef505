//! Home, profile and password pages, and what all pages have in common.

use crate::{scripted::PASSWORD, site::Site};
use http::{Request, StatusCode, header};
use serde_json::json;

#[tokio::test]
async fn pages_run_nothing_and_are_kept_by_nobody() {
    let site = Site::new();
    let cookie = site.session("ann");
    for path in ["/", "/login", "/profile", "/password", "/logout"] {
        let page = site.get(path, if path == "/login" { "" } else { &cookie }).await;
        assert!(page.is_page(), "{path}");
        assert!(!page.text.contains("<script") && !page.text.contains(" style="), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("href=\"#content\""), "{path}");
        assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
        assert_eq!(page.text.matches("<main").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn every_input_has_a_label() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    for path in ["/login", "/password"] {
        let page = site.get(path, "").await;
        let visible = page.text.split("<input ").skip(1).filter(|input| !input.contains("hidden"));
        for input in visible {
            let id = input.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(page.text.contains(&format!("<label for=\"{id}\">")), "{path}: {id}");
        }
    }
}

#[tokio::test]
async fn home_says_who_you_are_and_what_you_may_do() {
    let site = Site::new();
    let page = site.get("/", &site.session("ann")).await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["Hello, Ann", "Press Office", "press.publish_article", "Staff", "Sign out"] {
        assert!(page.text.contains(text), "{text}");
    }
    let page = site.get("/", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Sign in") && !page.text.contains("Sign out"));
}

#[tokio::test]
async fn the_profile_shows_every_field_and_where_it_is_from() {
    let site = Site::new();
    let page = site.get("/profile", &site.session("ann")).await;
    for text in [
        "Ann Carter",
        "ann.carter@binder.example",
        "Employee ID",
        "10023",
        "Cost center",
        "Binder &amp; Sons",
        "+44 7700 900123",
        "Editors",
        "press.add_article",
        "uid=ann,ou=People,dc=binder,dc=example",
        "22 November 2026, 02:06 UTC",
        "corp",
    ] {
        assert!(page.text.contains(text), "{text}");
    }
}

fn change(old: &str, new: &str, again: &str) -> serde_json::Value {
    json!({ "old_password": old, "new_password": new, "new_password_again": again })
}

#[tokio::test]
async fn a_password_is_changed_and_every_session_ends() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    let cookie = site.session("ann");
    let answer = site.post_json("/password", &cookie, &change(PASSWORD, "a new one", "a new one")).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "outcome": "changed" })));
    assert!(answer.set_cookie("bindery_session").unwrap().contains("Max-Age=0"));
    let form = "old_password=right+horse&new_password=n&new_password_again=n";
    let page = site.post("/password", &cookie, form).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Password changed"));
}

#[tokio::test]
async fn a_password_is_not_changed_for_a_reason_that_is_told() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    let cookie = site.session("ann");
    for (body, status, says) in [
        (change("wrong", "new", "new"), StatusCode::UNAUTHORIZED, "current password"),
        (change(PASSWORD, "new", "other"), StatusCode::UNPROCESSABLE_ENTITY, "aren't the same"),
        (change(PASSWORD, "", ""), StatusCode::UNPROCESSABLE_ENTITY, "empty"),
        (change(PASSWORD, "a\0b", "a\0b"), StatusCode::UNPROCESSABLE_ENTITY, "character"),
        (change(PASSWORD, "short", "short"), StatusCode::UNPROCESSABLE_ENTITY, "too short"),
    ] {
        let answer = site.post_json("/password", &cookie, &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.is_problem(), "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{}", answer.text);
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(body.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())))
            .finish();
        let page = site.post("/password", &cookie, &form).await;
        assert_eq!(page.status, status, "{body}");
        assert!(page.text.contains("role=\"alert\""), "{body}");
        assert!(!page.text.contains("value=\"right horse\""));
    }
}

#[tokio::test]
async fn without_a_session_changing_a_password_is_401() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    let answer = site.post_json("/password", "", &change(PASSWORD, "new", "new")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.is_problem());
    let page = site.get("/password", "").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("name=\"username\""));
    let api = site.ask(Request::get("/password"), "").await;
    assert!(api.status == StatusCode::UNAUTHORIZED && api.is_problem());
}

#[tokio::test]
async fn without_a_session_nothing_else_is_looked_at() {
    let site = Site::new();
    let answer = site.post_json("/password", "", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = site.post_json("/password", &site.session("ann"), &json!({ "old_password": PASSWORD })).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_is_not_there_is_404_with_the_visitors_own_navigation() {
    let site = Site::new().serving(|bindery| {
        let own = bindery.clone();
        bindery.routes().fallback(move |request| async move { own.not_found(request).await })
    });
    let page = site.get("/nowhere", &site.session("ann")).await;
    assert!(page.status == StatusCode::NOT_FOUND && page.is_page() && page.text.contains("Sign out"));
    let page = site.get("/nowhere", "").await;
    assert!(page.status == StatusCode::NOT_FOUND && !page.text.contains("Sign out"));
    let api = site.get("/api/v1/nowhere", "").await;
    assert!(api.status == StatusCode::NOT_FOUND && api.is_problem());
}

#[tokio::test]
async fn an_expired_password_can_be_changed_without_a_session() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    let form = |old: &str| format!("username=expired&old_password={old}&new_password=n1&new_password_again=n1");
    let page = site.post("/password", "", &form("wrong")).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("value=\"expired\""));
    let page = site.post("/password", "", &form("right+horse")).await;
    assert_eq!(page.status, StatusCode::OK);
    let throttled = site.post("/password", "", &form("x").replace("expired", "throttled")).await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "9"));
}

#[tokio::test]
async fn a_name_in_the_form_does_not_replace_the_sessions() {
    let site = Site::new();
    site.scripted.set_changing_passwords();
    let cookie = site.session("ann");
    let form = "username=throttled&old_password=right+horse&new_password=n&new_password_again=n";
    assert_eq!(site.post("/password", &cookie, form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_passwords_are_not_changed_the_page_says_whom_to_ask() {
    let site = Site::new();
    let page = site.get("/password", &site.session("ann")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("ask your administrator") && !page.text.contains("new_password"));
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_nothing_else_is_served() {
    let site = Site::new();
    let page = site.get("/login", "").await;
    let css = page.text.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let style = site.get(css, "").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("immutable"));
    for path in ["/assets/x/..%2fCargo.toml", "/assets/x/none.css", "/assets/x/%00"] {
        let request = Request::get(path).header(header::ACCEPT, "*/*");
        assert_eq!(site.ask(request, "").await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
