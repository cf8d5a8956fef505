//! What keeps people true between two sign-ins, against slapd: refresh, passwords changed elsewhere, and what a
//! sync makes of groups, templates and entries that will not do.

use bindery_tests::{Postgres, Serving, Slapd};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{Corp, names, person, user};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";
/// A loaded machine gets this long before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(30);

fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd).keys("timeouts = { connect = \"1s\", operation = \"2s\" }").table("users", PEOPLE)
}

async fn sign_in(server: &Serving, name: &str, password: &str) -> Client {
    let client = server.client();
    let body = json!({ "username": name, "password": password });
    let answer = client.post(server.url("/login")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    client
}

async fn status(client: &Client, server: &Serving) -> u16 {
    client.get(server.url("/api/v1/me")).send().await.unwrap().status().as_u16()
}

/// W5: "never" asks nobody again; an age asks once it is over, and not before. Whatever the others inherit would say otherwise.
#[tokio::test]
async fn people_are_read_again_by_their_age() {
    for (age, inherited, read) in [("never", "1ms", false), ("1h", "1ms", false), ("1ms", "never", true)] {
        let slapd = Slapd::start();
        let bindery = corp(&slapd)
            .table("provisioning", &format!("refresh_after = \"{age}\""))
            .also(&format!("[defaults.provisioning]\nrefresh_after = \"{inherited}\""))
            .bindery();
        let server = bindery.serve();
        let ann = sign_in(&server, "ann", "ann-secret").await;
        slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: sn\nsn: Bowyer\n", person("ann")));
        let told: Value = ann.get(server.url("/api/v1/me")).send().await.unwrap().json().await.unwrap();
        assert_eq!(told["last_name"] == "Bowyer", read, "{age}: {told}");
    }
}

/// A place made of attributes is where they say, at `/api/v1/me` too, and follows them.
#[tokio::test]
async fn a_path_follows_the_entry() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd)
        .table("users", &format!("{PEOPLE}\npath = \"{{{{ l }}}}/people\""))
        .table("provisioning", "refresh_after = \"1ms\"")
        .bindery();
    let server = bindery.serve();
    let ann = sign_in(&server, "ann", "ann-secret").await;
    for place in ["Bath", "Leeds"] {
        slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: l\nl: {place}\n", person("ann")));
        let told: Value = ann.get(server.url("/api/v1/me")).send().await.unwrap().json().await.unwrap();
        assert_eq!(told["path"], format!("{place}/people"), "{told}");
    }
}

/// W7: a page and a status of the app's own while nobody can be read, and nobody is thrown out.
#[tokio::test]
async fn an_outage_may_have_a_page_of_its_own() {
    let mut slapd = Slapd::start();
    let failure = "on_refresh_failure = { status = 418, page = \"later.html\" }";
    let tables = corp(&slapd).table("provisioning", &format!("refresh_after = \"0s\"\n{failure}"));
    let bindery = bindery_tests::Bindery::new("");
    bindery.write("later.html", "<!doctype html><title>Later</title><p>Come back at tea time.");
    bindery.configure(&tables.toml());
    let server = bindery.serve();
    let ann = sign_in(&server, "ann", "ann-secret").await;
    slapd.stop();
    let answer = ann.get(server.url("/profile")).header("Accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 418);
    assert!(answer.text().await.unwrap().contains("tea time"));
    slapd.restart();
    let end = tokio::time::Instant::now() + PATIENCE;
    while status(&ann, &server).await != 200 {
        assert!(tokio::time::Instant::now() < end, "the session was kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A15: whoever came in with the old password is out once it was changed elsewhere, and once only.
#[tokio::test]
async fn a_changed_password_ends_sessions_once() {
    let slapd = Slapd::builder().ppolicy(5).syncprov().start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let ann = sign_in(&server, "ann", "ann-secret").await;
    let bob = sign_in(&server, "bob", "bob-secret").await;
    let newer =
        format!("dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: ann-newer-secret\n", person("ann"));
    // Set by somebody else, it would have to be changed at the next sign-in.
    let for_good = format!("dn: {}\nchangetype: modify\nreplace: pwdReset\npwdReset: FALSE\n", person("ann"));
    let end = tokio::time::Instant::now() + PATIENCE;
    // slapd counts in whole seconds: a change is later than the sign-in once the second of that is over.
    while status(&ann, &server).await != 401 {
        assert!(tokio::time::Instant::now() < end, "the session outlived the password");
        slapd.ldapmodify(&newer);
        slapd.ldapmodify(&for_good);
        assert_eq!(bindery.run(&["sync", "corp"]).code, 0);
    }
    assert_eq!(status(&bob, &server).await, 200);
    let ann = sign_in(&server, "ann", "ann-newer-secret").await;
    for (arguments, mail) in [(["corp"].as_slice(), "one"), (&["corp", "--full"], "two")] {
        // Something else has changed, so that the run decides about her.
        let change = format!("replace: mail\nmail: {mail}@example.test\n");
        slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\n{change}", person("ann")));
        let run = bindery.json(&[&["sync"], arguments].concat()).value();
        assert_eq!((&run["outcome"], &run["users"]["updated"]), (&"completed".into(), &1.into()), "{run}");
        assert_eq!(status(&ann, &server).await, 200, "once per change: {arguments:?}");
    }
}

/// A9, A10: mirrored groups hang below their parent, and one entry that will not do fails by name, and alone.
#[test]
fn one_bad_entry_fails_alone_and_groups_have_a_parent() {
    let slapd = Slapd::builder().syncprov().start();
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: l\nl: nowhere\n", person("bob")));
    let attributes = "place = \"{{ 1 // (0 if l == 'nowhere' else 1) }}\"";
    let groups = "mirror = [\"writers\", \"staff\"]\nparent = \"directory\"";
    let bindery = corp(&slapd).table("users.attributes", attributes).table("groups", groups).bindery();
    let run = bindery.json(&["sync", "corp"]);
    let run = run.value();
    assert_eq!((&run["users"]["failed"], &run["outcome"]), (&1.into(), &"completed".into()), "{run}");
    let errors = run["errors"].as_array().unwrap();
    assert!(errors.len() == 1 && errors[0].as_str().unwrap().contains("uid=bob"), "{run}");
    assert_eq!(bindery.json(&["user", "show", "bob"]).code, 1);
    assert!(names(&user(&bindery, "ann")["groups"]).contains(&"writers".to_owned()));
    assert_eq!(bindery.run(&["group", "grant", "directory", "site.enter"]).code, 0);
    assert_eq!(
        names(&user(&bindery, "ann")["permissions"]),
        ["site.enter"],
        "through the group that writers hang below"
    );
}

/// A13: whatever was missed while nobody served is made up for by one run, however many replicas begin at once.
#[tokio::test]
async fn a_missed_time_is_made_up_for_once_over_all_replicas() {
    let slapd = Slapd::builder().syncprov().start();
    let postgres = Postgres::start();
    let database = postgres.database();
    let store = format!("[store]\nurl = \"{database}\"");
    let bindery = corp(&slapd).table("sync", "schedule = \"0 */2 * * *\"").also(&store).bindery();
    assert_eq!(bindery.run(&["sync", "corp"]).code, 0);
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: mail\nmail: due@example.test\n", person("ann")));
    let runs = || {
        let kept =
            postgres.sql_in(&database, "SELECT outcome FROM sync_runs WHERE started_at > now() - interval '1 hour'");
        kept.lines().filter(|line| *line != "running").count()
    };
    // The clock of nobody can be set: the run of before is made older instead.
    postgres.sql_in(&database, "UPDATE sync_runs SET started_at = started_at - interval '5 hours'");
    let replicas = [bindery.serve(), bindery.serve()];
    let end = tokio::time::Instant::now() + PATIENCE;
    while runs() == 0 {
        assert!(tokio::time::Instant::now() < end, "nobody ran it:\n{}", replicas[0].log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(user(&bindery, "ann")["email"], "due@example.test");
    for replica in replicas {
        assert!(replica.stop().unwrap().success());
    }
    assert_eq!(runs(), 1);
}
