//! Following a directory while serving: who is shut out there is refused here, on every replica.

use std::time::Duration;

use bindery_tests::{Bindery, Ds389, FaultProxy, Postgres, Serving, Slapd};
use reqwest::Client;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Corp, group, names, person, user};
use crate::sync::{PATIENCE, PEOPLE, completed, corp, ended, sync};

const LIVE: &str = "live = true";
/// A second is promised; a loaded machine gets a little more.
const PROMISED: Duration = Duration::from_secs(4);

async fn sign_in(server: &Serving, name: &str) -> Client {
    let client = server.client();
    let body = json!({ "username": name, "password": format!("{name}-secret") });
    assert_eq!(client.post(server.url("/login")).json(&body).send().await.unwrap().status(), 200, "{name}");
    client
}

async fn status(client: &Client, server: &Serving) -> u16 {
    client.get(server.url("/api/v1/me")).send().await.unwrap().status().as_u16()
}

async fn signed_in<const N: usize>(server: &Serving, names: [&str; N]) -> [Client; N] {
    let mut clients = Vec::new();
    for name in names {
        clients.push(sign_in(server, name).await);
    }
    clients.try_into().unwrap()
}

/// Waits until a session is refused, and says how long that took.
async fn refused(client: &Client, server: &Serving, patience: Duration) -> Duration {
    let began = Instant::now();
    while status(client, server).await != 401 {
        assert!(began.elapsed() < patience, "the session never ended:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// Waits until the feed is followed. That a change arrives is not enough: whatever is read before that sees it, too.
async fn changes_arrive(slapd: &Slapd, bindery: &Bindery, servers: &[&Serving]) {
    slapd.ldapmodify(&mail(&person("ann"), "new@example.test"));
    arrives(bindery, "ann", "new@example.test").await;
    let began = Instant::now();
    loop {
        for server in servers {
            let metrics = server.client().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
            if metrics.contains("bindery_live_following{source=\"corp\"} 1") {
                return;
            }
        }
        assert!(began.elapsed() < PATIENCE, "nobody follows:\n{}", servers[0].log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a change of the directory has arrived.
async fn arrives(bindery: &Bindery, name: &str, mail: &str) {
    let began = Instant::now();
    while user(bindery, name)["email"] != mail {
        assert!(began.elapsed() < PATIENCE, "{name} never had the address {mail}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mail(dn: &str, mail: &str) -> String {
    format!("dn: {dn}\nchangetype: modify\nreplace: mail\nmail: {mail}\n")
}

/// Disables an account of slapd, whose own schema knows no such thing.
fn disabled(uid: &str) -> String {
    let dn = person(uid);
    format!(
        "dn: {dn}\nchangetype: modify\nadd: objectClass\nobjectClass: testAccount\n-\nadd: nsAccountLock\nnsAccountLock: TRUE\n"
    )
}

/// Disabled, deleted, out of a required group, in a denied one by a group in it: refused, and after an outage again.
#[tokio::test]
async fn slapd_pushes() {
    let slapd = Slapd::builder().syncprov().start();
    let proxy = FaultProxy::new(slapd.port());
    let access = "require = \"app-users\"\ndeny = \"leavers\"";
    let servers = [format!("ldap://127.0.0.1:{}", proxy.port())];
    let bindery = corp(&slapd).servers(&servers).table("access", access).table("sync", LIVE).bindery();
    let server = bindery.serve();
    let [ann, bob, carol] = signed_in(&server, ["ann", "bob", "carol"]).await;
    changes_arrive(&slapd, &bindery, &[&server]).await;

    slapd.ldapmodify(&disabled("bob"));
    refused(&bob, &server, PROMISED).await;
    assert_eq!(status(&ann, &server).await, 200);
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
        group("leavers"),
        group("contractors")
    ));
    refused(&carol, &server, PROMISED).await;

    proxy.refuse();
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\ndelete: member\nmember: {}\n",
        group("app-users"),
        person("ann")
    ));
    assert_eq!(status(&ann, &server).await, 200, "nothing is known of it yet");
    proxy.pass();
    refused(&ann, &server, Duration::from_secs(10)).await;
    assert_eq!(user(&bindery, "ann")["is_active"], true, "kept");
    assert_eq!(user(&bindery, "bob")["is_active"], false);
    assert!(server.stop().unwrap().success());
}

/// What live holds no run carries out, unless somebody has looked. Then live counts anew.
#[tokio::test]
async fn what_live_holds_waits_for_somebody_to_look() {
    let slapd = Slapd::builder().syncprov().start();
    let limit = format!("{LIVE}\nremoval_limit = {{ count = 1, percent = 100 }}");
    let bindery = corp(&slapd).table("sync", &limit).bindery();
    let server = bindery.serve();
    let [bob, carol, eve] = signed_in(&server, ["bob", "carol", "eve"]).await;
    changes_arrive(&slapd, &bindery, &[&server]).await;
    slapd.ldapdelete(&person("bob"));
    refused(&bob, &server, PROMISED).await;
    slapd.ldapdelete(&person("carol"));
    slapd.ldapmodify(&mail(&person("ann"), "second@example.test"));
    arrives(&bindery, "ann", "second@example.test").await;
    for arguments in [&[][..], &["--full"]] {
        let run = ended(&sync(&bindery, arguments), 1, "held removal_limit");
        assert_eq!(run["would_remove"][0]["name"], "carol", "{run}");
        assert_eq!(status(&carol, &server).await, 200);
    }
    let run = completed(&sync(&bindery, &["--allow-removals"]));
    assert_eq!(run["users"]["deactivated"], 1, "{run}");
    refused(&carol, &server, PROMISED).await;
    slapd.ldapdelete(&person("eve"));
    refused(&eve, &server, Duration::from_secs(10)).await;
    assert!(server.stop().unwrap().success());
}

/// Nobody tells that an account has come to its end, and nobody needs to be asked: the directory is down by then.
#[tokio::test]
async fn an_account_ends_by_itself() {
    let mut slapd = Slapd::builder().syncprov().start();
    let bindery = corp(&slapd).table("sync", LIVE).bindery();
    let server = bindery.serve();
    let [ann, bob] = signed_in(&server, ["ann", "bob"]).await;
    changes_arrive(&slapd, &bindery, &[&server]).await;
    let date = std::process::Command::new("date").args(["-u", "-d", "+6 seconds", "+%Y%m%d%H%M%SZ"]).output().unwrap();
    let end = String::from_utf8(date.stdout).unwrap();
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: testAccount\n-\nadd: krbPrincipalExpiration\n\
         krbPrincipalExpiration: {}\n-\nreplace: mail\nmail: last@example.test\n",
        person("ann"),
        end.trim(),
    ));
    arrives(&bindery, "ann", "last@example.test").await;
    slapd.stop();
    assert_eq!(status(&ann, &server).await, 200, "not yet");
    refused(&ann, &server, Duration::from_secs(10)).await;
    assert_eq!(status(&bob, &server).await, 200);
    assert!(server.stop().unwrap().success());
}

/// A server that cannot push is asked again and again: whoever is disabled is refused as soon.
#[tokio::test]
async fn slapd_is_polled() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).table("sync", &format!("{LIVE}\npoll = \"200ms\"")).bindery();
    let server = bindery.serve();
    let [ann, bob] = signed_in(&server, ["ann", "bob"]).await;
    changes_arrive(&slapd, &bindery, &[&server]).await;
    slapd.ldapmodify(&disabled("bob"));
    refused(&bob, &server, PROMISED).await;
    assert_eq!(status(&ann, &server).await, 200);
    assert!(server.stop().unwrap().success());
}

/// Full, incremental and live on 389-DS.
#[tokio::test]
async fn ds389_tells_of_changes() {
    let server = Ds389::builder().content_sync().start();
    let groups = "base_dn = \"ou=groups,dc=example,dc=test\"\nmirror = true";
    let limit = "removal_limit = { percent = 100 }";
    let corp = || Corp::on_389ds(&server).table("users", PEOPLE).table("groups", groups);
    let bindery = corp().table("sync", limit).bindery();
    let full = completed(&sync(&bindery, &[]));
    assert_eq!(full["mode"], "full");
    server.ldapmodify(&mail(&person("ann"), "new@example.test"));
    server.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
        group("writers"),
        person("eve")
    ));
    server.ldapdelete(&person("frank"));
    let run = completed(&sync(&bindery, &[]));
    assert_eq!((&run["mode"], &run["users"]["deactivated"]), (&"incremental".into(), &1.into()), "{run}");
    assert_eq!(user(&bindery, "ann")["email"], "new@example.test");
    let eve = names(&user(&bindery, "eve")["groups"]);
    assert!(["writers", "editors", "staff"].iter().all(|name| eve.contains(&(*name).to_owned())), "{eve:?}");
    let full = completed(&sync(&bindery, &["--full"]));
    assert_eq!((&full["users"]["updated"], &full["users"]["deactivated"]), (&0.into(), &0.into()), "{full}");

    bindery.configure(&corp().table("sync", &format!("{limit}\n{LIVE}")).toml());
    let serving = bindery.serve();
    let [dave, zoe] = signed_in(&serving, ["dave", "zoe"]).await;
    server.ldapmodify(&mail(&person("bob"), "bob2@example.test"));
    arrives(&bindery, "bob", "bob2@example.test").await;
    server.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nreplace: nsAccountLock\nnsAccountLock: true\n",
        person("dave")
    ));
    refused(&dave, &serving, PROMISED).await;
    server.ldapdelete(&person("zoe"));
    refused(&zoe, &serving, PROMISED).await;
    serving.stop();
}

/// Two replicas, of which one follows; the other refuses as soon, and takes over when the first one dies.
#[tokio::test]
async fn another_replica_refuses_and_takes_over() {
    let slapd = Slapd::builder().syncprov().start();
    let store = format!("[store]\nurl = \"{}\"", Postgres::start().database());
    let bindery = corp(&slapd).table("sync", LIVE).also(&store).bindery();
    let replicas = [bindery.serve(), bindery.serve()];
    let [ann, bob] = signed_in(&replicas[0], ["ann", "bob"]).await;
    changes_arrive(&slapd, &bindery, &[&replicas[0], &replicas[1]]).await;
    for replica in &replicas {
        assert_eq!(status(&ann, replica).await, 200);
        assert_eq!(status(&bob, replica).await, 200);
    }
    slapd.ldapmodify(&disabled("ann"));
    let began = Instant::now();
    for replica in &replicas {
        refused(&ann, replica, PROMISED).await;
    }
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());

    let follows = |replica: &Serving| replica.log().contains("following the directory's changes");
    let [one, two] = replicas;
    assert!(follows(&one) != follows(&two), "one follows:\n{}\n\n{}", one.log(), two.log());
    let (dead, alive) = if follows(&one) { (one, two) } else { (two, one) };
    dead.kill();
    slapd.ldapdelete(&person("bob"));
    refused(&bob, &alive, Duration::from_secs(45)).await;
    assert!(follows(&alive));
    assert!(alive.stop().unwrap().success());
}

/// OpenLDAP tells a search for groups that everybody who has changed is gone from it. That concerns nobody.
#[test]
fn somebody_who_has_changed_is_no_group_that_is_gone() {
    let slapd = Slapd::builder().syncprov().memberof().start();
    let groups = "base_dn = \"ou=groups,dc=example,dc=test\"\nmembers = \"memberOf\"\nmirror = true";
    let bindery = Corp::new(&slapd).table("users", PEOPLE).table("groups", groups).bindery();
    completed(&sync(&bindery, &[]));
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: sn\nsn: Other\n", person("eve")));
    let run = completed(&sync(&bindery, &[]));
    assert_eq!((&run["mode"], &run["users"]["updated"]), (&"incremental".into(), &1.into()), "{run}");
}

/// 389-DS writes into people what they are in, and its feed tells of that: a changed group needs no full run.
#[test]
fn ds389_tells_who_is_in_what() {
    let server = Ds389::builder().content_sync().memberof().start();
    let groups = "base_dn = \"ou=groups,dc=example,dc=test\"\nmembers = \"memberOf\"\nmirror = true";
    let corp = Corp::on_389ds(&server).table("users", PEOPLE).table("groups", groups);
    let bindery = corp.table("sync", "removal_limit = { percent = 100 }").bindery();
    completed(&sync(&bindery, &[]));
    for (verb, is_in) in [("add", true), ("delete", false)] {
        let eve = person("eve");
        server.ldapmodify(&format!("dn: {}\nchangetype: modify\n{verb}: member\nmember: {eve}\n", group("writers")));
        let run = completed(&sync(&bindery, &[]));
        assert_eq!(run["mode"], "incremental", "{run}");
        let eve = names(&user(&bindery, "eve")["groups"]);
        assert!(
            ["writers", "editors", "staff"].iter().all(|name| eve.contains(&(*name).to_owned()) == is_in),
            "{eve:?}"
        );
    }
    // What a group is in changes what everybody in it is in.
    let contractors = group("contractors");
    server.ldapmodify(&format!("dn: {}\nchangetype: modify\nadd: member\nmember: {contractors}\n", group("writers")));
    let run = completed(&sync(&bindery, &[]));
    assert!(run["mode"] == "full" && run["full_because"].as_str().unwrap().contains("memberOf"), "{run}");
    let full = completed(&sync(&bindery, &["--full"]));
    assert_eq!((&full["users"]["updated"], &full["memberships"]["added"]), (&0.into(), &0.into()), "{full}");
}
