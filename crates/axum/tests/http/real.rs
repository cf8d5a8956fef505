//! The pages over the real engine: the embedded directory, and SQLite in memory.

use crate::site::{Answer, client};
use axum::Router;
use bindery_axum::Bindery;
use bindery_core::{
    Engine, SystemClock, SystemEntropy,
    config::{Config, Environment},
};
use bindery_demo_directory::{
    DemoDirectory, Options,
    company::{self, Standing},
};
use bindery_store::{Change, Plan, Store};
use http::StatusCode;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

struct House {
    engine: Engine,
    app: Router,
    /// Stops when dropped.
    directory: DemoDirectory,
}

impl House {
    async fn new(more: &str) -> Self {
        let directory = DemoDirectory::start(Options::company()).unwrap();
        let text = format!(
            "{more}\n[store]\nurl = \"sqlite::memory:\"\n\
             [sources.larkspur]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\n\
             [sources.larkspur.bind]\nmethod = \"simple\"\ndn = \"{}\"\npassword = \"{}\"\n\
             [sources.larkspur.users]\nbase_dn = [\"{}\"]\n\
             [sources.larkspur.users.attributes]\ntitle = \"title\"\nemployee_number = \"employeeNumber\"\n\
             [sources.larkspur.groups]\nbase_dn = [\"{}\"]\nmirror = true\n",
            directory.url(),
            company::BASE_DN,
            company::SERVICE_DN,
            company::SERVICE_PASSWORD,
            company::PEOPLE_DN,
            company::GROUPS_DN,
        );
        let config = Config::parse(&text, Path::new("bindery.toml"), &Environment::default()).unwrap();
        let store = Store::open(&config.store).await.unwrap();
        let engine = Engine::new(store, &config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new());
        let bindery = Bindery::builder(engine.clone(), &config).home_page(true).build().unwrap();
        Self { engine, app: bindery.routes(), directory }
    }

    async fn sign_in(&self, cookie: &str, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        client::post_json(&self.app, "/login", cookie, &body).await
    }

    async fn me(&self, cookie: &str) -> Answer {
        client::get(&self.app, "/api/v1/me", cookie).await
    }
}

fn cookie(answer: &Answer) -> String {
    format!("bindery_session={}", answer.cookie("bindery_session").expect("a session"))
}

fn somebody(standing: Standing) -> company::Person {
    company::people().into_iter().find(|person| person.standing == standing).unwrap()
}

#[tokio::test]
async fn somebody_signs_in_sees_their_profile_and_leaves() {
    let house = House::new("").await;
    let ann = somebody(Standing::Good);
    let answer = house.sign_in("", &ann.username, ann.password).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let cookie = cookie(&answer);
    let me = house.me(&cookie).await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.json(), answer.json()["user"]);
    assert_eq!(me.json()["link"]["dn"], ann.dn.as_str());
    let page = client::get(&house.app, "/profile", &cookie).await;
    for text in [&ann.name, &ann.title, &ann.dn] {
        assert!(page.text.contains(text.as_str()), "{text}");
    }
    for group in me.json()["groups"].as_array().unwrap() {
        assert!(page.text.contains(group.as_str().unwrap()));
    }
    let out = client::post(&house.app, "/logout", &cookie, "").await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert_eq!(house.me(&cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn refusals_tell_only_who_knows_the_password() {
    let house = House::new("").await;
    let disabled = somebody(Standing::Disabled);
    let bad = json!({ "outcome": "refused", "reason": "bad_credentials", "user": null });
    for (username, password) in [
        (somebody(Standing::Good).username.as_str(), "wrong"),
        (&disabled.username, "wrong"),
        ("nobody-of-that-name", "demo"),
        ("*", "demo"),
        ("ann)(uid=*", "demo"),
        ("", "demo"),
        (&disabled.username, ""),
    ] {
        let answer = house.sign_in("", username, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{username}");
        assert_eq!(answer.json(), bad, "{username}");
    }
    // Result 53 of 389-DS may come whatever the password, so it proves none.
    let unproven = house.sign_in("", &disabled.username, disabled.password).await;
    assert_eq!((unproven.status, unproven.json()), (StatusCode::UNAUTHORIZED, bad));
    let ended = somebody(Standing::Expired);
    let told = house.sign_in("", &ended.username, ended.password).await;
    assert_eq!((told.status, &told.json()["reason"]), (StatusCode::FORBIDDEN, &Value::from("account_expired")));
}

#[tokio::test]
async fn a_session_from_before_ends_at_sign_in() {
    let house = House::new("").await;
    let ann = somebody(Standing::Good);
    let first = cookie(&house.sign_in("", &ann.username, ann.password).await);
    let second = cookie(&house.sign_in(&first, &ann.username, ann.password).await);
    assert_ne!(first, second);
    assert_eq!(house.me(&first).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.me(&second).await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_failures_are_429_with_a_time() {
    let house = House::new("[sign_in]\nthrottle = { per_user = 2, per_address = 50, window = \"15m\" }").await;
    let ann = somebody(Standing::Good);
    for _ in 0..2 {
        assert_eq!(house.sign_in("", &ann.username, "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let upper = ann.username.to_uppercase();
    let answer = house.sign_in("", &upper, ann.password).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.json()["reason"], "throttled");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_directory_that_is_gone_is_503() {
    let house = House::new("").await;
    let ann = somebody(Standing::Good);
    house.directory.shutdown().await;
    let body = json!({ "username": ann.username, "password": ann.password });
    let answer = client::post_json(&house.app, "/login", "", &body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json(), json!({ "outcome": "unavailable", "reason": null, "user": null }));
}

#[tokio::test]
async fn a_password_of_the_directory_is_not_changed_here() {
    let house = House::new("").await;
    let ann = somebody(Standing::Good);
    let cookie = cookie(&house.sign_in("", &ann.username, ann.password).await);
    let page = client::get(&house.app, "/password", &cookie).await;
    assert!(!page.text.contains("new_password"), "{}", page.text);
    let body = json!({ "old_password": ann.password, "new_password": "a-new-one", "new_password_again": "a-new-one" });
    let answer = client::post_json(&house.app, "/password", &cookie, &body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.json()["detail"].as_str().unwrap().contains("administrator"));
    assert_eq!(house.me(&cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_is_deactivated_is_out_at_the_next_request() {
    let house = House::new("").await;
    let ann = somebody(Standing::Good);
    let answer = house.sign_in("", &ann.username, ann.password).await;
    let cookie = cookie(&answer);
    let id = answer.json()["user"]["id"].as_str().unwrap().parse().unwrap();
    let ended = Change::EndSessions { user: id, except: None };
    house.engine.store().apply(&Plan::from(vec![ended]), house.engine.now()).await.unwrap();
    let start = tokio::time::Instant::now();
    while house.me(&cookie).await.status == StatusCode::OK {
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "a second is all that a session may lag");
        tokio::task::yield_now().await;
    }
    assert_eq!(house.me(&cookie).await.status, StatusCode::UNAUTHORIZED);
}
