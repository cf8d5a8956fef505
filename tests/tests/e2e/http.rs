//! The HTTP contract: JSON sign-in, sessions, cross-site requests, throttling, what strangers learn.

use std::time::Duration;

use bindery_tests::{Bindery, Serving, Slapd};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Corp, names, person};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd).table("users", PEOPLE)
}

async fn post(client: &Client, server: &Serving, name: &str, password: &str) -> Response {
    let body = json!({ "username": name, "password": password });
    client.post(server.url("/login")).json(&body).send().await.unwrap()
}

async fn sign_in(client: &Client, server: &Serving, name: &str) {
    let answer = post(client, server, name, &format!("{name}-secret")).await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

async fn me(client: &Client, server: &Serving) -> Response {
    client.get(server.url("/api/v1/me")).send().await.unwrap()
}

/// J2: JSON sign-in, `/api/v1/me`, sign-out.
#[tokio::test]
async fn sign_in_and_out() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).table("flags", "is_staff = \"staff\"").table("groups", "mirror = true").bindery();
    let server = bindery.serve();
    let client = server.client();
    assert_eq!(me(&client, &server).await.status(), 401);
    let answer = post(&client, &server, "ann", "ann-secret").await;
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("bindery_session="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["outcome"], "signed_in");
    assert_eq!(body["user"]["username"], "ann");
    let body: Value = me(&client, &server).await.json().await.unwrap();
    let shown = crate::support::user(&bindery, "ann");
    assert_eq!((&body["id"], &body["groups"], &body["is_staff"]), (&shown["id"], &shown["groups"], &shown["is_staff"]));
    assert!(names(&body["groups"]).contains(&"writers".to_owned()));

    let answer = client.post(server.url("/logout")).json(&json!({})).send().await.unwrap();
    assert!(answer.status().is_success() || answer.status().is_redirection(), "{answer:?}");
    assert_eq!(me(&client, &server).await.status(), 401);
    // The old cookie is dead, not just forgotten by the browser.
    let old = cookie.split(';').next().unwrap();
    let answer = Client::builder().no_proxy().build().unwrap().get(server.url("/api/v1/me")).header("cookie", old);
    assert_eq!(answer.send().await.unwrap().status(), 401);
}

/// Before a correct password one answer for everybody; after it, the reason.
#[tokio::test]
async fn what_a_stranger_learns() {
    let slapd = Slapd::builder().ppolicy(5).start();
    let bindery = corp(&slapd).table("access", "deny = [\"leavers\"]").bindery();
    assert_eq!(bindery.run_with(&["user", "create", "root", "--password-stdin"], "break glass 1").code, 0);
    let server = bindery.serve();
    let client = server.client();
    let mut bodies = Vec::new();
    for (name, password) in [
        ("ann", "wrong"),
        ("nobody", "wrong"),
        ("root", "wrong"),
        ("locked", "locked-secret"),
        ("OTHER\\ann", "x"),
        ("ann", ""),
    ] {
        let answer = post(&client, &server, name, password).await;
        assert_eq!(answer.status(), 401, "{name}");
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
    assert_eq!(serde_json::from_str::<Value>(&bodies[0]).unwrap()["reason"], "bad_credentials");

    for (name, reason) in
        [("dave", "in_denied_group"), ("expired", "password_expired"), ("mustchange", "password_must_change")]
    {
        let answer = post(&client, &server, name, &format!("{name}-secret")).await;
        assert_eq!(answer.status(), 403, "{name}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["outcome"], &body["reason"]), (&"refused".into(), &reason.into()), "{name}");
    }
    assert_eq!(me(&client, &server).await.status(), 401);
}

/// J6: a wrong password takes as long for nobody as for somebody, wherever they are.
#[tokio::test]
async fn one_duration() {
    let slapd = Slapd::start();
    let bindery =
        corp(&slapd).also("[sign_in]\nthrottle = { per_user = 1000, per_address = 1000, window = \"1m\" }").bindery();
    assert_eq!(bindery.run_with(&["user", "create", "root", "--password-stdin"], "break glass 1").code, 0);
    let server = bindery.serve();
    let client = server.client();
    let mut medians = Vec::new();
    for name in ["ann", "nobody", "root"] {
        let mut times = Vec::new();
        for _ in 0..9 {
            let begin = Instant::now();
            assert_eq!(post(&client, &server, name, "wrong").await.status(), 401);
            times.push(begin.elapsed());
        }
        times.sort();
        medians.push(times[4]);
    }
    let (low, high) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(*high < *low * 2 + Duration::from_millis(60), "{medians:?}");
}

/// Failures are throttled per person over all spellings, before the bind, with `Retry-After`.
#[tokio::test]
async fn throttle() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd)
        .keys("domain = \"EXAMPLE\"")
        .also("[sign_in]\nthrottle = { per_user = 3, per_address = 8, window = \"15m\" }")
        .bindery();
    let server = bindery.serve();
    let client = server.client();
    for name in ["ann", "ANN", "EXAMPLE\\ann"] {
        assert_eq!(post(&client, &server, name, "wrong").await.status(), 401, "{name}");
    }
    let answer = post(&client, &server, "Ann", "ann-secret").await;
    assert_eq!(answer.status(), 429);
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&after), "{after}");
    assert_eq!(answer.json::<Value>().await.unwrap()["reason"], "throttled");
    // Somebody else is not affected, until the address has had enough.
    sign_in(&client, &server, "bob").await;
    for number in 0..5 {
        post(&client, &server, &format!("nobody{number}"), "wrong").await;
    }
    assert_eq!(post(&client, &server, "carol", "carol-secret").await.status(), 429);
    assert_eq!(bindery.login("carol", "carol-secret").code, 0, "the command line does not count");
}

/// Cross-site requests and forms without a token are refused; `next` stays on the site.
#[tokio::test]
async fn cross_site() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let client = server.client();
    let body = json!({ "username": "ann", "password": "ann-secret" });
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let answer = client.post(server.url("/login")).header(name, value).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}: {value}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    let form = [("username", "ann"), ("password", "ann-secret")];
    let answer = client.post(server.url("/login")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 403, "no token");
    assert_eq!(me(&client, &server).await.status(), 401);
    let answer = client.post(server.url("/login")).header("content-type", "text/plain").body(body.to_string());
    assert!(!answer.send().await.unwrap().status().is_success());

    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/profile"] {
        let client = server.client();
        let url = reqwest::Url::parse_with_params(&server.url("/login"), [("next", next)]).unwrap();
        let page = client.get(url.clone()).send().await.unwrap().text().await.unwrap();
        let mut form = hidden_fields(&page);
        form.push(("username".to_owned(), "ann".to_owned()));
        form.push(("password".to_owned(), "ann-secret".to_owned()));
        let answer = client.post(url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{next}");
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(location, if next == "/profile" { "/profile" } else { "/" }, "{next}");
    }
}

/// The names and values of a page's hidden fields.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    page.split("<input")
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or_default())
        .filter(|tag| tag.contains("type=\"hidden\""))
        .filter_map(|tag| {
            Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default().replace("&#x2f;", "/")))
        })
        .collect()
}

/// A session begins anew at sign-in, whatever cookie came along.
#[tokio::test]
async fn fixed_sessions_are_refused() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let planted = "bindery_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let client = Client::builder().no_proxy().build().unwrap();
    let body = json!({ "username": "ann", "password": "ann-secret" });
    let answer = client.post(server.url("/login")).header("cookie", planted).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(!cookie.starts_with(planted), "{cookie}");
    for cookie in [planted, "bindery_session=", "bindery_session=%00", "bindery_session=a; bindery_session=b"] {
        let answer = client.get(server.url("/api/v1/me")).header("cookie", cookie).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{cookie}");
    }
    let first = cookie.split(';').next().unwrap().to_owned();
    let answer = client.post(server.url("/login")).header("cookie", &first).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = client.get(server.url("/api/v1/me")).header("cookie", &first).send().await.unwrap();
    assert_eq!(answer.status(), 401, "the session of before ended");
}

/// On https the cookie is `Secure` and of this host alone; with a domain it has another name.
#[tokio::test]
async fn cookies_on_https() {
    let slapd = Slapd::start();
    for (sessions, start, domain) in
        [("", "__Host-bindery_session=", false), ("cookie_domain = \"example.com\"", "bindery_session=", true)]
    {
        let bindery = corp(&slapd)
            .also(&format!("[server]\npublic_url = \"https://login.example.com\"\n[sessions]\n{sessions}"))
            .bindery();
        let server = bindery.serve();
        let answer = post(&server.client(), &server, "ann", "ann-secret").await;
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with(start) && cookie.contains("Secure"), "{cookie}");
        assert_eq!(cookie.contains("Domain=example.com"), domain, "{cookie}");
    }
}

/// Deactivated by hand or in the directory: the next request is refused.
#[tokio::test]
async fn sessions_are_honest() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd)
        .table("provisioning", "refresh_after = \"0s\"")
        .table("access", "deny = [\"leavers\"]")
        .table("flags", "is_staff = \"staff\"")
        .bindery();
    let server = bindery.serve();
    let (ann, bob) = (server.client(), server.client());
    sign_in(&ann, &server, "ann").await;
    sign_in(&bob, &server, "bob").await;
    assert_eq!(bindery.run(&["user", "deactivate", "ann"]).code, 0);
    let begin = Instant::now();
    while me(&ann, &server).await.status() != StatusCode::UNAUTHORIZED {
        assert!(begin.elapsed() < Duration::from_secs(1), "honest within a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let body: Value = me(&bob, &server).await.json().await.unwrap();
    assert_eq!(body["is_staff"], true);
    slapd.ldapmodify(&format!(
        "dn: cn=editors,ou=groups,dc=example,dc=test\nchangetype: modify\ndelete: member\nmember: {}\n",
        person("bob")
    ));
    let body: Value = me(&bob, &server).await.json().await.unwrap();
    assert_eq!(body["is_staff"], false, "a refresh keeps flags true");
    slapd.ldapmodify(&format!(
        "dn: cn=leavers,ou=groups,dc=example,dc=test\nchangetype: modify\nadd: member\nmember: {}\n",
        person("bob")
    ));
    assert_eq!(me(&bob, &server).await.status(), 401);
}

/// W7: a refresh that fails keeps the session, or refuses the request, as configured.
#[tokio::test]
async fn refresh_during_an_outage() {
    for (setting, status) in [("keep", 200), ("refuse", 503)] {
        let mut slapd = Slapd::start();
        let bindery = corp(&slapd)
            .keys("timeouts = { connect = \"1s\", operation = \"2s\" }")
            .table("provisioning", &format!("refresh_after = \"0s\"\non_refresh_failure = \"{setting}\""))
            .bindery();
        let server = bindery.serve();
        let client = server.client();
        sign_in(&client, &server, "ann").await;
        slapd.stop();
        assert_eq!(me(&client, &server).await.status().as_u16(), status, "{setting}");
        slapd.restart();
        let end = Instant::now() + Duration::from_secs(40);
        while me(&client, &server).await.status() != StatusCode::OK {
            assert!(Instant::now() < end, "{setting}: not back");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Problem documents, and the paths that machines look at.
#[tokio::test]
async fn machines() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let client = server.client();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(client.get(server.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    let answer = me(&client, &server).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/problem+json"), "{answer:?}");
    assert_eq!(client.get(server.url("/nothing/here")).send().await.unwrap().status(), 404);
    let body = client.post(server.url("/login")).header("content-type", "application/json").body("{");
    let status = body.send().await.unwrap().status();
    assert!(status.is_client_error() && status != StatusCode::UNAUTHORIZED, "{status}");
    let metrics = client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("# TYPE"), "{metrics}");
}

/// Write-back: `/password` as JSON, with the directory's own refusals in words.
#[tokio::test]
async fn change_password() {
    let slapd = Slapd::builder().ppolicy(9).start();
    let tls = format!("ca_file = \"{}\"", slapd.ca_pem().display());
    let bindery =
        corp(&slapd).servers(&[slapd.ldaps_url()]).table("tls", &tls).table("passwords", "write_back = true").bindery();
    let server = bindery.serve();
    let client = server.client();
    let change = async |old: &str, new: &str, again: &str| {
        let body = json!({ "old_password": old, "new_password": new, "new_password_again": again });
        client.post(server.url("/password")).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(change("ann-secret", "brand new 1", "brand new 1").await, 401, "no session");
    sign_in(&client, &server, "ann").await;
    assert_eq!(change("ann-secret", "brand new 1", "brand new 2").await, 422);
    assert_eq!(change("wrong", "brand new 1", "brand new 1").await, 401);
    assert_eq!(change("ann-secret", "short", "short").await, 422);
    assert_eq!(change("ann-secret", "brand new 1", "brand new 1").await, 200);
    assert_eq!(post(&server.client(), &server, "ann", "ann-secret").await.status(), 401);
    assert_eq!(post(&server.client(), &server, "ann", "brand new 1").await.status(), 200);
}

/// Why a password could not be changed is for whoever keeps the server: the visitor learns that it could not.
#[tokio::test]
async fn a_password_that_could_not_be_changed_leaves_the_reason_in_the_log() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).table("passwords", "write_back = true").bindery();
    let server = bindery.serve();
    let client = server.client();
    sign_in(&client, &server, "ann").await;
    let body =
        json!({ "old_password": "ann-secret", "new_password": "brand new 1", "new_password_again": "brand new 1" });
    let answer = client.post(server.url("/password")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let answer = answer.text().await.unwrap();
    assert!(!answer.contains(&slapd.url()), "{answer}");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("a password could not be changed")).unwrap_or_default();
    assert!(line.contains("without protection") && line.contains("corp"), "{log}");
    assert!(!log.contains("ann-secret") && !log.contains("brand new"), "{log}");
}

/// SIGTERM ends gracefully; a bad file at SIGHUP keeps the old configuration.
#[tokio::test]
async fn reload_and_stop() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let client = server.client();
    sign_in(&client, &server, "ann").await;
    bindery.configure("nonsense = [");
    server.reload();
    sign_in(&client, &server, "bob").await;
    bindery.configure(&corp(&slapd).table("access", "require = \"admins\"").toml());
    server.reload();
    let end = Instant::now() + Duration::from_secs(10);
    while post(&client, &server, "carol", "carol-secret").await.status() != StatusCode::FORBIDDEN {
        assert!(Instant::now() < end, "the new rules do not count: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

/// Secrets are in no log, however loud.
#[tokio::test]
async fn secrets_are_not_logged() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve_with(&[("RUST_LOG", "trace")]);
    let client = server.client();
    sign_in(&client, &server, "ann").await;
    post(&client, &server, "ann", "mistyped-secret").await;
    let log = server.log();
    for secret in ["ann-secret", "mistyped-secret", Slapd::SYNC_PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// Forged forwarding headers are ignored unless the peer is a trusted proxy.
#[tokio::test]
async fn forwarded_headers() {
    let slapd = Slapd::start();
    let throttle = "[sign_in]\nthrottle = { per_user = 100, per_address = 2, window = \"15m\" }";
    let attempt = async |bindery: &Bindery| {
        let server = bindery.serve();
        let client = server.client();
        let mut last = 0;
        for number in 0..4 {
            let body = json!({ "username": format!("nobody{number}"), "password": "wrong" });
            let request = client.post(server.url("/login")).header("x-forwarded-for", format!("192.0.2.{number}"));
            last = request.json(&body).send().await.unwrap().status().as_u16();
        }
        last
    };
    assert_eq!(attempt(&corp(&slapd).also(throttle).bindery()).await, 429, "the header is not believed");
    let trusted = format!("{throttle}\n[server]\ntrusted_proxies = [\"127.0.0.1/32\"]");
    assert_eq!(attempt(&corp(&slapd).also(&trusted).bindery()).await, 401, "four visitors behind a proxy");
}
