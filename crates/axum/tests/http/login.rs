//! `/login` and `/logout`.

use crate::{
    scripted::PASSWORD,
    site::{Site, form_request},
};
use bindery_axum::settings::WebSettings;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

fn credentials(username: &str) -> Value {
    json!({ "username": username, "password": PASSWORD })
}

fn form(username: &str, password: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", username)
        .append_pair("password", password)
        .finish()
}

#[tokio::test]
async fn json_signs_in_and_says_who() {
    let site = Site::new();
    let answer = site.post_json("/login", "", &credentials("ann")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    assert_eq!(body["outcome"], "signed_in");
    assert_eq!(body["reason"], Value::Null);
    assert_eq!(body["user"]["username"], "ann");
    assert_eq!(body["user"]["is_staff"], true);
    let cookie = format!("bindery_session={}", answer.cookie("bindery_session").unwrap());
    let me = site.get("/api/v1/me", &cookie).await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.json(), body["user"]);
}

#[tokio::test]
async fn every_refusal_before_a_correct_password_is_the_same() {
    let site = Site::new();
    let wrong = site.post_json("/login", "", &json!({ "username": "ann", "password": "wrong" })).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.json(), json!({ "outcome": "refused", "reason": "bad_credentials", "user": null }));
    let page = site.post("/login", "", &form("ann", "wrong")).await;
    for username in ["nobody", "twice", "X\\y", "locked"] {
        let other = site.post_json("/login", "", &credentials(username)).await;
        assert_eq!((other.status, &other.text), (wrong.status, &wrong.text), "{username}");
        let other = site.post("/login", "", &form(username, PASSWORD)).await;
        assert_eq!(other.status, page.status, "{username}");
        assert!(other.text.contains("The username or password isn&#x27;t right."), "{}", other.text);
    }
    let empty = site.post_json("/login", "", &json!({ "username": "ann", "password": "" })).await;
    assert_eq!((empty.status, &empty.text), (wrong.status, &wrong.text));
}

#[tokio::test]
async fn after_a_correct_password_the_reason_is_told() {
    let site = Site::new();
    for (username, reason) in [("disabled", "account_disabled"), ("outsider", "not_in_required_group")] {
        let answer = site.post_json("/login", "", &credentials(username)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.json(), json!({ "outcome": "refused", "reason": reason, "user": null }));
        assert_eq!(answer.cookie("bindery_session"), None);
    }
    let page = site.post("/login", "", &form("outsider", PASSWORD)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("has no access to this site"));
    assert!(!page.text.contains("for operators"));
}

#[tokio::test]
async fn a_throttled_visitor_hears_how_long() {
    let site = Site::new();
    let answer = site.post_json("/login", "", &credentials("throttled")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "62");
    assert_eq!(answer.json()["reason"], "throttled");
    let page = site.post("/login", "", &form("throttled", PASSWORD)).await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "62"));
    assert!(page.text.contains("Wait 2 minutes"));
}

#[tokio::test]
async fn an_outage_is_no_refusal() {
    let site = Site::new();
    let answer = site.post_json("/login", "", &credentials("down")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json(), json!({ "outcome": "unavailable", "reason": null, "user": null }));
    let page = site.post("/login", "", &form("down", PASSWORD)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("at the moment"));
}

#[tokio::test]
async fn a_form_goes_on_to_where_it_was_going() {
    let site = Site::new();
    for (next, target) in [
        ("", "/"),
        ("/profile?a=b", "/profile?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/%2fevil.example", "/"),
        ("/login", "/"),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let answer = site.post("/login", "", &format!("{}&next={encoded}", form("ann", PASSWORD))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{next}");
        assert_eq!(answer.header("location"), target, "{next}");
        assert!(answer.cookie("bindery_session").is_some());
        let page = site.get(&format!("/login?next={encoded}"), "").await;
        assert_eq!(page.text.contains("name=\"next\""), next == "/profile?a=b", "{next}");
        assert!(!page.text.contains("evil"), "{next}");
    }
}

#[tokio::test]
async fn a_refused_form_keeps_the_name_but_not_the_password() {
    let site = Site::new();
    let page = site.post("/login", "", &format!("{}&next=/profile", form("a\"b", "wr0ng-secret"))).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.is_page());
    assert!(page.text.contains("value=\"a&quot;b\""));
    assert!(page.text.contains("name=\"next\""));
    assert!(page.text.contains("role=\"alert\""));
    assert!(!page.text.contains("wr0ng-secret"));
}

#[tokio::test]
async fn signing_in_ends_the_session_that_was_there() {
    let site = Site::new();
    let planted = site.session("mallory");
    let answer = site.post_json("/login", &planted, &credentials("ann")).await;
    let fresh = format!("bindery_session={}", answer.cookie("bindery_session").unwrap());
    assert_ne!(fresh, planted);
    assert_eq!(site.get("/api/v1/me", &planted).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.get("/api/v1/me", &fresh).await.json()["username"], "ann");
}

#[tokio::test]
async fn an_attempt_carries_who_and_where() {
    let site = Site::with(WebSettings {
        trusted_proxies: vec!["192.0.2.7/32".parse().unwrap()],
        remember_me: Some(Duration::from_mins(1)),
        ..WebSettings::default()
    });
    let request = Request::post("/login")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "Browser/1")
        .header("x-forwarded-for", "6.6.6.6, 198.51.100.9");
    let body = json!({ "username": "Ann", "password": PASSWORD, "remember": true });
    let answer = site.ask(request, body.to_string()).await;
    assert!(answer.set_cookie("bindery_session").unwrap().contains("Max-Age=60"));
    let attempt = site.scripted.attempts().pop().unwrap();
    assert_eq!(attempt.username, "Ann");
    assert_eq!(attempt.password.expose_secret(), PASSWORD);
    assert_eq!(attempt.address.unwrap().to_string(), "198.51.100.9");
    assert_eq!(attempt.user_agent.as_deref(), Some("Browser/1"));
    assert!(attempt.remember);
}

#[tokio::test]
async fn remember_me_is_off_unless_configured() {
    let site = Site::new();
    assert!(!site.get("/login", "").await.text.contains("remember"));
    let answer = site.post("/login", "", &format!("{}&remember=on", form("ann", PASSWORD))).await;
    assert!(!answer.set_cookie("bindery_session").unwrap().contains("Max-Age"));
    assert!(!site.scripted.attempts().pop().unwrap().remember);
}

#[tokio::test]
async fn posts_from_other_sites_are_refused_unread() {
    let site = Site::new();
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let request = form_request("/login").header(name, value);
        let answer = site.ask(request, form("ann", PASSWORD)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(answer.is_page());
        let request = Request::post("/login").header(header::CONTENT_TYPE, "application/json").header(name, value);
        let answer = site.ask(request, credentials("ann").to_string()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(answer.is_problem());
    }
    assert!(site.scripted.attempts().is_empty());
}

#[tokio::test]
async fn a_form_that_says_nothing_of_itself_needs_its_token() {
    let site = Site::new();
    let page = site.get("/login", "").await;
    let token = page.token();
    let cookie = format!("bindery_csrf={}", page.cookie("bindery_csrf").unwrap());
    let body = |token: &str| format!("{}&csrf_token={token}", form("ann", PASSWORD));
    let without = site.ask(form_request("/login"), form("ann", PASSWORD)).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    let without_cookie = site.ask(form_request("/login"), body(token)).await;
    assert_eq!(without_cookie.status, StatusCode::FORBIDDEN);
    let wrong = site.ask(form_request("/login").header(header::COOKIE, &cookie), body("AAAA")).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(site.scripted.attempts().is_empty());
    let good = site.ask(form_request("/login").header(header::COOKIE, &cookie), body(token)).await;
    assert_eq!(good.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_not_quoted() {
    let site = Site::new();
    let json = |body: &'static str| {
        let request = Request::post("/login").header(header::CONTENT_TYPE, "application/json");
        site.ask(request, body)
    };
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"username\":\"ann\"}",
        "{\"username\":\"ann\",\"password\":90210411}",
        "{\"username\":{},\"password\":\"90210411\"}",
        "{\"username\":\"ann\",\"password\":\"90210411\",\"password\":\"x\"}",
        "{\"username\":\"ann\",\"password\":\"90210411\"}x",
    ] {
        let answer = json(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.is_problem(), "{body}");
        assert!(!answer.text.contains("90210411"), "{body}");
    }
    for media in ["text/plain", "multipart/form-data; boundary=x", "application/xml"] {
        let request = Request::post("/login").header(header::CONTENT_TYPE, media);
        let answer = site.ask(request, credentials("ann").to_string()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}");
        assert!(answer.is_problem());
    }
    let answer = site.ask(Request::post("/login"), credentials("ann").to_string()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let doubled = site.post("/login", "", "username=ann&password=a&password=b").await;
    assert_eq!(doubled.status, StatusCode::BAD_REQUEST);
    let long = "x".repeat(20_000);
    let large = site.post_json("/login", "", &json!({ "username": "ann", "password": long })).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(site.scripted.attempts().is_empty());
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let site = Site::new();
    let answer = site.ask(Request::delete("/login"), "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.is_problem());
    assert!(answer.header("allow").contains("POST"), "{:?}", answer.headers);
    let answer = site.get("/logout", "").await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    assert!(answer.is_page());
}

#[tokio::test]
async fn somebody_signed_in_goes_straight_on() {
    let site = Site::new();
    let cookie = site.session("ann");
    let answer = site.get("/login?next=/profile", &cookie).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/profile"));
}

#[tokio::test]
async fn an_expired_password_leads_to_the_page_that_changes_it() {
    let site = Site::new();
    let page = site.post("/login", "", &form("expired", PASSWORD)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("Your password has expired."));
    assert!(page.text.contains("ask your administrator") && !page.text.contains("new_password"));
    site.scripted.set_changing_passwords();
    let page = site.post("/login", "", &form("must-change", PASSWORD)).await;
    assert!(page.text.contains("name=\"new_password_again\"") && page.text.contains("value=\"must-change\""));
}

#[tokio::test]
async fn signing_out_ends_the_session_and_takes_the_cookie() {
    let site = Site::new();
    let cookie = site.session("ann");
    let answer = site.post("/logout", &cookie, "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/login?signed_out"));
    assert!(answer.set_cookie("bindery_session").unwrap().contains("Max-Age=0"));
    assert_eq!(site.scripted.sessions(), 0);
    let page = site.get("/login?signed_out", "").await;
    assert!(page.text.contains("You are signed out."));
}

#[tokio::test]
async fn nobody_is_signed_out_from_another_site() {
    let site = Site::new();
    let cookie = site.session("ann");
    let foreign =
        form_request("/logout").header(header::COOKIE, &cookie).header(header::ORIGIN, "https://evil.example");
    assert_eq!(site.ask(foreign, "").await.status, StatusCode::FORBIDDEN);
    let silent = form_request("/logout").header(header::COOKIE, &cookie);
    assert_eq!(site.ask(silent, "").await.status, StatusCode::FORBIDDEN);
    let plain = Request::post("/logout").header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(site.ask(plain, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.scripted.sessions(), 1);

    let page = site.get("/profile", &cookie).await;
    let both = format!("{cookie}; bindery_csrf={}", page.cookie("bindery_csrf").unwrap());
    let own = form_request("/logout").header(header::COOKIE, both);
    let answer = site.ask(own, format!("csrf_token={}", page.token())).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(site.scripted.sessions(), 0);
}

#[tokio::test]
async fn json_signs_out_without_a_page() {
    let site = Site::new();
    let cookie = site.session("ann");
    let answer = site.post_json("/logout", &cookie, &json!({})).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(site.scripted.sessions(), 0);
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_is_said_to_go_on() {
    let site = Site::new();
    let cookie = site.session("ann");
    site.scripted.set_down();
    let answer = site.post("/logout", &cookie, "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.set_cookie("bindery_session").unwrap().contains("Max-Age=0"));
}
