//! `bindery sync`: its JSON and exit codes, and what it makes of outages, limits and being killed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use bindery_tests::{Bindery, FaultProxy, Output, Postgres, Slapd, wait_until};
use serde_json::Value;

use crate::support::{Corp, group, names, person, user};

pub(crate) const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";
const GROUPS: &str = "base_dn = \"ou=groups,dc=example,dc=test\"\nmirror = true";
const QUICK: &str = "timeouts = { connect = \"1s\", operation = \"2s\" }";
/// A loaded machine gets this long before a test calls it a failure.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd).table("users", PEOPLE).table("groups", GROUPS)
}

/// `bindery sync corp --format json` with more arguments.
pub(crate) fn sync(bindery: &Bindery, arguments: &[&str]) -> Output {
    bindery.json(&[&["sync", "corp"], arguments].concat())
}

/// A run that completes.
#[track_caller]
pub(crate) fn completed(output: &Output) -> Value {
    ended(output, 0, "completed")
}

#[track_caller]
pub(crate) fn ended(output: &Output, code: i32, outcome: &str) -> Value {
    assert_eq!((output.code, output.outcome().as_str()), (code, outcome), "{output:?}");
    output.value()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

fn set<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    names.into_iter().collect()
}

/// So many people, `u001` and on, and groups of ten.
fn crowd(people: usize) -> String {
    let mut ldif = String::new();
    for number in 1..=people {
        let uid = format!("u{number:03}");
        let dn = person(&uid);
        let _ = writeln!(
            ldif,
            "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\nmail: {uid}@example.test\n"
        );
    }
    for number in 1..=people / 10 {
        let cn = format!("g{number:02}");
        let _ = writeln!(ldif, "dn: {}\nobjectClass: groupOfNames\ncn: {cn}", group(&cn));
        for member in number * 10 - 9..=number * 10 {
            let _ = writeln!(ldif, "member: {}", person(&format!("u{member:03}")));
        }
        ldif.push('\n');
    }
    ldif
}

/// The keys that scripts read, and the table that people read.
#[test]
fn what_a_run_says() {
    let slapd = Slapd::builder().syncprov().start();
    let bindery = corp(&slapd).bindery();
    let dry = completed(&sync(&bindery, &["--dry-run"]));
    assert_eq!((&dry["dry_run"], &dry["mode"]), (&true.into(), &"full".into()));
    assert!(dry["full_because"].is_string(), "{dry}");
    let change = &dry["changes"].as_array().unwrap()[0];
    assert_eq!(keys(change), set(["kind", "name", "action", "fields"]));
    let text = bindery.run(&["sync", "corp", "--dry-run"]);
    for words in ["dry run: nothing was written", "to be added", "create", "ann", "first_name", "users"] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }

    let run = completed(&sync(&bindery, &[]));
    let expected = set([
        "id",
        "source",
        "mode",
        "full_because",
        "dry_run",
        "outcome",
        "reason",
        "incomplete",
        "users",
        "groups",
        "memberships",
        "would_remove",
        "errors",
        "duration_ms",
    ]);
    assert_eq!(keys(&run), expected);
    let tally =
        ["seen", "created", "updated", "unchanged", "deactivated", "reactivated", "deleted", "skipped", "failed"];
    assert_eq!((keys(&run["users"]), keys(&run["groups"])), (set(tally), set(tally)));
    assert_eq!(keys(&run["memberships"]), set(["added", "removed"]));
    assert_eq!((&run["source"], &run["reason"], &run["users"]), (&"corp".into(), &Value::Null, &dry["users"]));
    assert!(names(&user(&bindery, "ann")["groups"]).contains(&"staff".to_owned()));

    let all = bindery.json(&["sync"]);
    assert_eq!((all.code, keys(&all.value())), (0, set(["runs"])));
    assert_eq!(all.value()["runs"][0]["mode"], "incremental");
    assert_eq!(completed(&sync(&bindery, &["--full"]))["full_because"], Value::Null);
    assert_eq!(bindery.run(&["sync", "nowhere"]).code, 2);
}

/// Every end has its code, and its JSON all the same.
#[test]
fn exit_codes() {
    let mut slapd = Slapd::builder().syncprov().size_limit(3).start();
    let limited = format!("dn = \"{}\"\npassword = \"limited-secret\"", Slapd::LIMITED_DN);
    let bindery = corp(&slapd).bind(&limited).keys(QUICK).bindery();
    let held = ended(&sync(&bindery, &[]), 1, "held incomplete");
    assert_eq!(keys(&held["incomplete"][0]), set(["reason", "base"]));
    assert_eq!(held["incomplete"][0]["reason"], "size_limit");
    let text = bindery.run(&["sync", "corp", "--allow-removals"]);
    assert!(text.code == 1 && text.stdout.contains("size_limit"), "{text:?}");

    let lost = Corp::new(&slapd).also("[store]\nurl = \"sqlite:no/such/folder/bindery.db\"").bindery();
    assert_eq!(lost.json(&["sync"]).code, 3);

    let proxy = FaultProxy::new(slapd.port());
    let bindery = corp(&slapd).servers(&[format!("ldap://127.0.0.1:{}", proxy.port())]).bindery();
    proxy.stall();
    let first = bindery.command().args(["sync", "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(PATIENCE, || proxy.accepted() > 0), "the first run holds the lease now");
    let second = sync(&bindery, &[]);
    assert_eq!((second.code, second.value()["outcome"].as_str()), (4, Some("already_running")), "{second:?}");
    assert_eq!(second.value()["users"]["seen"], 0);
    proxy.pass();
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{first:?}");

    slapd.stop();
    let failed = ended(&sync(&bindery, &[]), 3, "failed directory");
    assert!(failed["errors"][0].is_string() && failed["would_remove"] == Value::Array(vec![]), "{failed}");
    let all = bindery.json(&["sync"]);
    assert_eq!((all.code, &all.value()["runs"][0]["outcome"]), (3, &"failed".into()));
}

/// Everybody was there; then the account reads under a limit, and nobody is missing for that.
#[test]
fn a_size_limit_removes_nobody() {
    let slapd = Slapd::builder().syncprov().size_limit(3).start();
    let bindery = corp(&slapd).table("sync", "removed = \"delete\"").bindery();
    completed(&sync(&bindery, &[]));
    let before = bindery.json(&["user", "list"]).stdout;
    let limited = format!("dn = \"{}\"\npassword = \"limited-secret\"", Slapd::LIMITED_DN);
    bindery.configure(&corp(&slapd).bind(&limited).table("sync", "removed = \"delete\"").toml());
    ended(&sync(&bindery, &["--full", "--allow-removals"]), 1, "held incomplete");
    assert_eq!(bindery.json(&["user", "list"]).stdout, before);
}

/// syncrepl with a session log, and after a restart without one: then the server names who is still there.
#[test]
fn incremental() {
    let mut slapd = Slapd::builder().syncprov().start();
    let bindery = corp(&slapd).table("sync", "removal_limit = { count = 1, percent = 100 }").bindery();
    let full = completed(&sync(&bindery, &[]));
    assert_eq!(full["mode"], "full");
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n\
         dn: {}\nchangetype: modify\nadd: member\nmember: {}\n\n\
         dn: uid=late,ou=people,dc=example,dc=test\nchangetype: add\nobjectClass: inetOrgPerson\nuid: late\ncn: Late\nsn: Late\n\n\
         dn: {}\nchangetype: delete\n",
        person("ann"),
        group("writers"),
        person("eve"),
        person("frank"),
    ));
    let run = completed(&sync(&bindery, &[]));
    assert_eq!(run["mode"], "incremental", "{run}");
    assert_eq!((&run["users"]["created"], &run["users"]["deactivated"]), (&1.into(), &1.into()), "{run}");
    assert_eq!(user(&bindery, "ann")["email"], "new@example.test");
    assert_eq!(user(&bindery, "frank")["is_active"], false);
    let eve = names(&user(&bindery, "eve")["groups"]);
    assert!(["writers", "editors", "staff"].iter().all(|name| eve.contains(&(*name).to_owned())), "{eve:?}");
    assert_eq!(completed(&sync(&bindery, &[]))["users"]["seen"], 0, "nothing has changed");

    slapd.ldapdelete(&person("late"));
    slapd.restart();
    let run = completed(&sync(&bindery, &[]));
    assert_eq!(run["users"]["deactivated"], 1, "frank is out already and does not count: {run}");
    assert_eq!(user(&bindery, "late")["is_active"], false);
    let full = completed(&sync(&bindery, &["--full"]));
    assert_eq!((&full["users"]["updated"], &full["users"]["deactivated"]), (&0.into(), &0.into()), "{full}");
}

/// The directory lost or half-open midway: failed, nobody removed, and the next run makes up for it.
#[test]
fn cut_and_stalled_midway() {
    let slapd = Slapd::builder().syncprov().ldif(&crowd(200)).start();
    let proxy = FaultProxy::new(slapd.port());
    let servers = [format!("ldap://127.0.0.1:{}", proxy.port())];
    let corp = corp(&slapd).servers(&servers).keys(QUICK).keys("page_size = 20");
    let bindery = corp.table("sync", "removed = \"delete\"").bindery();
    for bytes in [2_000, 12_000, 30_000] {
        proxy.cut_answers_after(bytes);
        ended(&sync(&bindery, &[]), 3, "failed directory");
        proxy.pass();
    }
    completed(&sync(&bindery, &[]));
    slapd.ldapdelete(&person("u200"));
    for full in [true, false] {
        let arguments: &[&str] = if full { &["--full"] } else { &[] };
        proxy.cut_answers_after(if full { 25_000 } else { 700 });
        let run = ended(&sync(&bindery, arguments), 3, "failed directory");
        assert_eq!(run["users"]["deleted"], 0, "{run}");
        proxy.pass();
        proxy.stall();
        ended(&sync(&bindery, arguments), 3, "failed directory");
        proxy.pass();
    }
    let run = completed(&sync(&bindery, &[]));
    assert_eq!((&run["users"]["deleted"], &run["users"]["created"]), (&1.into(), &0.into()), "{run}");
    assert_eq!(bindery.run(&["user", "show", "u200"]).code, 1);
}

/// Everything that a sync writes, in words that two stores have in common.
const CONTENT: &str = "\
    SELECT u.username, u.email, u.display_name, u.flags, u.deactivated_by, u.profile FROM users u ORDER BY username_key; \
    SELECT l.kind, l.source, l.unique_id, COALESCE(u.username, g.name), l.dn FROM links l \
    LEFT JOIN users u ON u.id = l.user_id LEFT JOIN groups g ON g.id = l.group_id ORDER BY l.unique_id; \
    SELECT g.name, g.owner, u.username, m.owner FROM groups g LEFT JOIN memberships m ON m.group_id = g.id \
    LEFT JOIN users u ON u.id = m.user_id ORDER BY 1, 3, 4; \
    SELECT c.name, p.name, m.owner FROM group_memberships m JOIN groups c ON c.id = m.child_id \
    JOIN groups p ON p.id = m.parent_id ORDER BY 1, 2; \
    SELECT unique_id, head, members FROM rosters ORDER BY 1";

/// Kills a run after a while; true if it was still at it.
fn killed(mut run: Child, after: Duration) -> bool {
    // No test waits for anything here: it is the moment of the kill that is to differ.
    std::thread::sleep(after);
    let running = run.try_wait().unwrap().is_none();
    run.kill().unwrap();
    run.wait().unwrap();
    running
}

/// Pulling the plug at any point loses and removes nothing, and the next run comes to what an undisturbed one comes to.
#[test]
fn killed_at_any_point() {
    let slapd = Slapd::builder().syncprov().ldif(&crowd(400)).start();
    let proxy = FaultProxy::new(slapd.port());
    proxy.delay(Duration::from_millis(5));
    let postgres = Postgres::start();
    let (disturbed, undisturbed) = (postgres.database(), postgres.database());
    let toml = |server: String, store: &str| {
        let corp = corp(&slapd).servers(&[server]).keys("page_size = 25").table("sync", "removed = \"delete\"");
        corp.also(&format!("[store]\nurl = \"{store}\"")).toml()
    };
    let one = Bindery::new(&toml(format!("ldap://127.0.0.1:{}", proxy.port()), &disturbed));
    let other = Bindery::new(&toml(slapd.url(), &undisturbed));
    // The first one makes the tables.
    for bindery in [&one, &other] {
        assert_eq!(bindery.run(&["user", "list"]).code, 0);
    }
    let mut hits = 0;
    for changes in [false, true] {
        if changes {
            slapd.ldapmodify(&format!(
                "dn: {}\nchangetype: delete\n\ndn: {}\nchangetype: delete\n\n\
                 dn: {}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n\
                 dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
                person("u001"),
                group("g02"),
                person("u300"),
                group("g03"),
                person("u300"),
            ));
        }
        let mut after = Duration::from_millis(40);
        for _ in 0..40 {
            postgres.sql_in(&disturbed, "DELETE FROM leases");
            let mut command = one.command();
            command.args(["sync", "--full"]).stdout(Stdio::null()).stderr(Stdio::null());
            if !killed(command.spawn().unwrap(), after) {
                break;
            }
            hits += 1;
            after = after.mul_f64(1.3);
        }
        postgres.sql_in(&disturbed, "DELETE FROM leases");
        for bindery in [&one, &other] {
            let run = completed(&sync(bindery, &["--full"]));
            assert_eq!(run["users"]["failed"], 0, "{run}");
            let run = completed(&sync(bindery, &["--full"]));
            assert_eq!((&run["users"]["updated"], &run["memberships"]["added"]), (&0.into(), &0.into()), "{run}");
        }
        let (one, other) = (postgres.sql_in(&disturbed, CONTENT), postgres.sql_in(&undisturbed, CONTENT));
        assert!(one == other, "{one}\n\nundisturbed:\n{other}");
        assert!(one.contains("\nu400|") && one.contains("\nu001|") != changes);
    }
    assert!(hits >= 8, "too few runs were killed midway: {hits}");
}

/// The lease of a killed run is over within thirty seconds.
#[test]
fn a_killed_run_is_not_waited_for_longer_than_its_lease() {
    let slapd = Slapd::builder().syncprov().start();
    let proxy = FaultProxy::new(slapd.port());
    let bindery = corp(&slapd).servers(&[format!("ldap://127.0.0.1:{}", proxy.port())]).bindery();
    proxy.stall();
    let mut run = bindery.command().arg("sync").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait_until(PATIENCE, || proxy.accepted() > 0));
    run.kill().unwrap();
    run.wait().unwrap();
    proxy.pass();
    assert_eq!(sync(&bindery, &[]).code, 4, "nobody knows yet that it is dead");
    assert!(wait_until(Duration::from_secs(32), || sync(&bindery, &[]).code != 4));
    completed(&sync(&bindery, &["--full"]));
}
