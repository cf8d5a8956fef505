//! Directory and database down, slow, half-open: the next server at once, `unavailable`, and back again.

use std::time::Duration;

use bindery_tests::{FaultProxy, Postgres, Slapd};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Corp, refused, signed_in, unavailable};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";
const QUICK: &str = "timeouts = { connect = \"1s\", operation = \"2s\" }";

fn at(port: u16) -> String {
    format!("ldap://127.0.0.1:{port}")
}

/// D2, A1: a server that is down is passed over at once.
#[test]
fn the_next_server_answers() {
    let slapd = Slapd::start();
    let first = FaultProxy::new(slapd.port());
    let servers = [at(first.port()), slapd.url()];
    let bindery = Corp::new(&slapd).servers(&servers).table("users", PEOPLE).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    assert!(first.accepted() > 0, "the first one is asked first");
    first.refuse();
    let begin = Instant::now();
    for _ in 0..3 {
        signed_in(&bindery.login("ann", "ann-secret"));
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// A1: a server that accepts and never answers costs one deadline, not a sign-in.
#[test]
fn a_server_that_hangs() {
    let slapd = Slapd::start();
    let first = FaultProxy::new(slapd.port());
    let servers = [at(first.port()), slapd.url()];
    let bindery = Corp::new(&slapd).servers(&servers).keys(QUICK).table("users", PEOPLE).bindery();
    first.stall();
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
    first.pass();
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// While nothing answers it is `unavailable`, in bounded time; `check` ends with 3; nothing is remembered.
#[test]
fn every_server_down() {
    let mut slapd = Slapd::start();
    let bindery = Corp::new(&slapd).keys(QUICK).table("users", PEOPLE).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    slapd.stop();
    unavailable(&bindery.login("ann", "ann-secret"));
    unavailable(&bindery.explain("ann"));
    assert_eq!(bindery.run(&["check"]).code, 3);
    slapd.restart();
    signed_in(&bindery.login("ann", "ann-secret"));
    slapd.pause();
    let begin = Instant::now();
    unavailable(&bindery.login("ann", "ann-secret"));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    slapd.resume();
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// A refused service bind is the operator's problem, and no visitor's: `unavailable`.
#[test]
fn a_refused_service_bind() {
    let slapd = Slapd::start();
    let bind = format!("dn = \"{}\"\npassword = \"wrong\"", Slapd::SYNC_DN);
    let bindery = Corp::new(&slapd).bind(&bind).table("users", PEOPLE).bindery();
    unavailable(&bindery.login("ann", "ann-secret"));
    let check = bindery.run(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(!format!("{check:?}").contains("wrong\""), "{check:?}");
}

/// A running server notices cut, stalled and refused connections, and recovers as soon as the directory is back.
#[tokio::test]
async fn a_running_server_recovers() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let bindery = Corp::new(&slapd).servers(&[at(proxy.port())]).keys(QUICK).table("users", PEOPLE).bindery();
    let server = bindery.serve();
    let client = server.client();
    let sign_in = async || {
        let body = json!({ "username": "ann", "password": "ann-secret" });
        client.post(server.url("/login")).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(sign_in().await, 200);
    proxy.cut();
    assert_eq!(sign_in().await, 200, "idle connections that died are replaced");
    proxy.refuse();
    assert_eq!(sign_in().await, 503);
    assert_eq!(client.get(server.url("/readyz")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(server.url("/api/v1/me")).send().await.unwrap().status(), 200, "sessions stand");
    proxy.pass();
    assert_eq!(sign_in().await, 200);
    proxy.stall();
    let begin = Instant::now();
    assert_eq!(sign_in().await, 503);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    proxy.pass();
    assert_eq!(sign_in().await, 200);
    proxy.cut_answers_after(7);
    assert_eq!(sign_in().await, 503, "half an answer is no answer");
    proxy.pass();
    assert_eq!(sign_in().await, 200);
}

/// PostgreSQL as the store: sessions outlive the server, and are shared by replicas.
#[tokio::test]
async fn replicas_share_sessions_on_postgres() {
    let slapd = Slapd::start();
    let url = Postgres::start().database();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).also(&format!("[store]\nurl = \"{url}\"")).bindery();
    let (one, two) = (bindery.serve(), bindery.serve());
    let client = one.client();
    let body = json!({ "username": "ann", "password": "ann-secret" });
    let answer = client.post(one.url("/login")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // Cookies know no ports.
    assert_eq!(client.get(two.url("/api/v1/me")).send().await.unwrap().status(), 200);
    one.kill();
    assert_eq!(client.get(two.url("/api/v1/me")).send().await.unwrap().status(), 200);
    assert_eq!(bindery.run(&["user", "deactivate", "ann"]).code, 0);
    let begin = Instant::now();
    while client.get(two.url("/api/v1/me")).send().await.unwrap().status() != 401 {
        assert!(begin.elapsed() < Duration::from_secs(1), "honest within a second, on every replica");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A database that is gone: an error that says so, 503, and back again.
#[tokio::test]
async fn postgres_gone_and_back() {
    let slapd = Slapd::start();
    let postgres = Postgres::own();
    let url = postgres.database();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).also(&format!("[store]\nurl = \"{url}\"")).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let server = bindery.serve();
    let client = server.client();
    let body = json!({ "username": "ann", "password": "ann-secret" });
    assert_eq!(client.post(server.url("/login")).json(&body).send().await.unwrap().status(), 200);
    postgres.kill();
    assert_eq!(client.get(server.url("/readyz")).send().await.unwrap().status(), 503);
    assert_eq!(client.get(server.url("/healthz")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(server.url("/api/v1/me")).send().await.unwrap().status(), 503);
    assert_eq!(client.post(server.url("/login")).json(&body).send().await.unwrap().status(), 503);
    assert_eq!(bindery.login("ann", "ann-secret").code, 3);
    postgres.restart();
    assert_eq!(client.get(server.url("/api/v1/me")).send().await.unwrap().status(), 200, "the session was kept");
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// A store that cannot be opened is exit code 3, with the path in words.
#[test]
fn sqlite_that_cannot_be_opened() {
    let slapd = Slapd::start();
    let bindery =
        Corp::new(&slapd).table("users", PEOPLE).also("[store]\nurl = \"sqlite:no/such/folder/bindery.db\"").bindery();
    let output = bindery.login("ann", "ann-secret");
    assert_eq!(output.code, 3, "{output:?}");
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(text.contains("no/such/folder"), "{text}");
}
