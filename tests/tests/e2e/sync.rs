//! `bindery sync`: its JSON and exit codes, and what it makes of outages, limits and being killed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use bindery_tests::{Bindery, FaultProxy, Output, Slapd, wait_until};
use serde_json::Value;

use crate::support::{Corp, group, names, person, user};

pub(crate) const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";
const GROUPS: &str = "base_dn = \"ou=groups,dc=example,dc=test\"\nmirror = true";
pub(crate) const QUICK: &str = "timeouts = { connect = \"1s\", operation = \"2s\" }";
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
pub(crate) fn crowd(people: usize) -> String {
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
    let all = lost.json(&["sync"]);
    assert_eq!((all.code, keys(&all.value())), (3, set(["runs"])));
    let run = ended(&lost.json(&["sync", "corp"]), 3, "failed store");
    assert_eq!((keys(&run), &run["source"]), (keys(&held), &"corp".into()));
    assert!(run["errors"][0].as_str().unwrap().contains("folder"), "{run}");
    assert_eq!(all.value()["runs"][0], run);
    let dry = ended(&lost.json(&["sync", "corp", "--dry-run"]), 3, "failed store");
    assert_eq!((&dry["dry_run"], &dry["changes"]), (&true.into(), &Value::Array(vec![])));

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

/// Each source has its own run, whatever becomes of the others, and the highest code counts.
#[test]
fn several_sources_end_with_the_highest_code() {
    let (slapd, limited) = (Slapd::builder().syncprov().start(), Slapd::builder().syncprov().size_limit(3).start());
    let mut down = Slapd::start();
    down.stop();
    let source = |name: &str, server: &Slapd, dn: &str, password: &str| {
        format!(
            "[sources.{name}]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"dc=example,dc=test\"\n{QUICK}\n\
             [sources.{name}.users]\n{PEOPLE}\n[sources.{name}.bind]\ndn = \"{dn}\"\npassword = \"{password}\"\n",
            server.url()
        )
    };
    let good = source("good", &slapd, Slapd::SYNC_DN, Slapd::SYNC_PASSWORD);
    let short = source("short", &limited, Slapd::LIMITED_DN, "limited-secret");
    let gone = source("gone", &down, Slapd::SYNC_DN, Slapd::SYNC_PASSWORD);
    for (sources, code, outcomes) in [
        (vec![&good], 0, vec!["completed"]),
        (vec![&short, &good], 1, vec!["held", "completed"]),
        (vec![&gone, &short, &good], 3, vec!["failed", "held", "completed"]),
    ] {
        let bindery = Bindery::new(&sources.into_iter().cloned().collect::<Vec<_>>().join("\n"));
        for arguments in [&["sync", "--dry-run"][..], &["sync"]] {
            let all = bindery.json(arguments);
            let runs = all.value()["runs"].as_array().unwrap().clone();
            let ended: Vec<&str> = runs.iter().map(|run| run["outcome"].as_str().unwrap()).collect();
            assert_eq!((all.code, &ended), (code, &outcomes), "{arguments:?}: {all:?}");
        }
        assert_eq!(bindery.json(&["sync", "good"]).code, 0);
        assert!(user(&bindery, "ann")["link"]["source"].is_string());
    }
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

/// Over `removal_limit` nobody goes, at this run and the next, until somebody has looked and allows it.
#[test]
fn removal_limit_holds_until_it_is_allowed() {
    let slapd = Slapd::builder().syncprov().start();
    let bindery = corp(&slapd).table("sync", "removal_limit = { count = 1, percent = 100 }").bindery();
    completed(&sync(&bindery, &[]));
    slapd.ldapdelete(&person("dave"));
    slapd.ldapdelete(&person("frank"));
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n", person("ann")));
    for arguments in [&["--dry-run"][..], &[], &[], &["--full"]] {
        let run = ended(&sync(&bindery, arguments), 1, "held removal_limit");
        assert_eq!(run["users"]["deactivated"], 0, "{run}");
        let removals = run["would_remove"].as_array().unwrap();
        let held: BTreeSet<&str> = removals.iter().map(|one| one["dn"].as_str().unwrap()).collect();
        assert_eq!(held, [person("dave"), person("frank")].iter().map(String::as_str).collect(), "{run}");
    }
    assert_eq!(user(&bindery, "ann")["email"], "new@example.test", "everything else is applied");
    let text = bindery.run(&["sync", "corp"]);
    for words in
        ["held: removal_limit", "HELD REMOVAL", "frank", "live has removed in the last hour", "--allow-removals"]
    {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
    let dry = completed(&sync(&bindery, &["--allow-removals", "--dry-run"]));
    assert_eq!(dry["users"]["deactivated"], 2, "{dry}");
    let active = |name| user(&bindery, name)["is_active"].clone();
    assert_eq!([active("dave"), active("frank")], [true, true]);
    let run = completed(&sync(&bindery, &["--allow-removals"]));
    assert_eq!(run["users"]["deactivated"], 2, "{run}");
    assert_eq!([active("dave"), active("frank")], [false, false]);
    assert_eq!(completed(&sync(&bindery, &[]))["mode"], "incremental", "nothing is pending any more");
}

fn renamed(from: &str, to: &str) -> String {
    format!("dn: {}\nchangetype: modrdn\nnewrdn: uid={to}\ndeleteoldrdn: 1\n\n", person(from))
}

/// Two who swap names, and one who gets the name that another gives up: each keeps their account.
#[test]
fn names_that_pass_on() {
    let slapd = Slapd::builder().syncprov().start();
    // Groups list by DN, and so their members pass on with the names.
    let bindery = corp(&slapd).table("sync", "removal_limit = { percent = 100 }").bindery();
    completed(&sync(&bindery, &[]));
    let id = |name: &str| user(&bindery, name)["id"].clone();
    let before = [id("ann"), id("bob"), id("carol"), id("dave")];
    let swap = [renamed("ann", "swap"), renamed("bob", "ann"), renamed("swap", "bob")].concat();
    slapd.ldapmodify(&format!("{swap}{}{}", renamed("carol", "caroline"), renamed("dave", "carol")));
    // Nobody comes into the other one's account meanwhile.
    assert_eq!(bindery.login("ann", "ann-secret").outcome(), "refused bad_credentials");
    let meanwhile = bindery.login("ann", "bob-secret");
    assert_eq!(meanwhile.outcome(), "refused account_conflict");
    let detail = meanwhile.value()["detail"].as_str().unwrap().to_owned();
    let first = "if that entry has another name by now, the next run of sync passes this one on; ";
    assert!(detail.find(first) < detail.find("delete") && detail.contains(first), "{detail}");
    for arguments in [&["--dry-run"][..], &[]] {
        let run = completed(&sync(&bindery, arguments));
        let users = &run["users"];
        let counts = [&run["mode"], &users["updated"], &users["failed"]];
        assert_eq!(counts, [&Value::from("incremental"), &4.into(), &0.into()], "{run}");
    }
    assert_eq!([id("bob"), id("ann"), id("caroline"), id("carol")], before);
    let ann = bindery.login("bob", "ann-secret");
    assert_eq!((ann.outcome().as_str(), &ann.value()["user"]["id"]), ("signed_in", &before[0]), "{ann:?}");
    assert_eq!(completed(&sync(&bindery, &["--full"]))["users"]["updated"], 0);
}

/// The words of a command, as a shell takes them.
fn words(command: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {command}");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Somebody new of an old name: what the error says can be done is done, word for word; also where usernames are made by a
/// template, look like an option and are no word to a shell.
#[test]
fn what_a_conflict_says_works() {
    let slapd = Slapd::builder().syncprov().start();
    for (username, frank) in [("uid", "frank"), ("-{{ uid }} o'{{ uid }}", "-frank o'frank")] {
        let attributes = format!("username = \"{username}\"");
        let bindery = corp(&slapd).table("users.attributes", &attributes).bindery();
        let id = || bindery.json(&["user", "show", "--", frank]).value()["id"].clone();
        completed(&sync(&bindery, &[]));
        for same_person in [true, false] {
            let before = id();
            slapd.ldapdelete(&person("frank"));
            assert_eq!(completed(&sync(&bindery, &[]))["users"]["deactivated"], 1);
            let entry = "objectClass: inetOrgPerson\nuid: frank\ncn: Frank\nsn: Frank\nuserPassword: new-secret\n";
            slapd.ldapadd(&format!("dn: {}\n{entry}", person("frank")));
            let run = completed(&sync(&bindery, &[]));
            let error = run["errors"][0].as_str().unwrap();
            assert!(run["users"]["failed"] == 1 && error.starts_with(&person("frank")), "{run}");
            let commands: Vec<&str> = error.split('`').filter(|part| part.starts_with("bindery ")).collect();
            let (same, other) = commands.split_at(3);
            for command in if same_person { same } else { other } {
                let words = words(command);
                let done = bindery.run(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>());
                assert_eq!(done.code, 0, "{command}: {done:?}");
            }
            let run = completed(&sync(&bindery, &[]));
            assert_eq!(run["users"]["failed"], 0, "{run}");
            let login = bindery.login("frank", "new-secret");
            assert_eq!(login.outcome(), "signed_in", "{error}: {login:?}");
            assert_eq!(id() == before, same_person, "{error}");
        }
    }
}

/// Ann has a new address, Eve comes to the writers, Late comes, and Frank goes.
fn day() -> String {
    format!(
        "dn: {}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n\
         dn: {}\nchangetype: modify\nadd: member\nmember: {}\n\n\
         dn: {}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: late\ncn: Late\nsn: Late\n\n\
         dn: {}\nchangetype: delete\n",
        person("ann"),
        group("writers"),
        person("eve"),
        person("late"),
        person("frank"),
    )
}

/// syncrepl with a session log, and after a restart without one: then the server names who is still there.
#[test]
fn incremental() {
    let mut slapd = Slapd::builder().syncprov().start();
    let bindery = corp(&slapd).table("sync", "removal_limit = { count = 1, percent = 100 }").bindery();
    let full = completed(&sync(&bindery, &[]));
    assert_eq!(full["mode"], "full");
    slapd.ldapmodify(&day());
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

/// Where the server keeps no account of its changes: what was changed is seen, and what was deleted by a full run only.
#[test]
fn incremental_by_modify_timestamp() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).table("sync", "removal_limit = { percent = 100 }").bindery();
    let check = bindery.run(&["check", "corp"]);
    assert!(check.stdout.contains("deletions"), "{check:?}");
    assert_eq!(completed(&sync(&bindery, &[]))["mode"], "full");
    slapd.ldapmodify(&day());
    let run = completed(&sync(&bindery, &[]));
    assert_eq!((&run["mode"], &run["users"]["created"]), (&"incremental".into(), &1.into()), "{run}");
    assert_eq!(user(&bindery, "ann")["email"], "new@example.test");
    let eve = names(&user(&bindery, "eve")["groups"]);
    assert!(["writers", "editors", "staff"].iter().all(|name| eve.contains(&(*name).to_owned())), "{eve:?}");
    assert_eq!(user(&bindery, "frank")["is_active"], true, "nobody told that frank is gone");
    let full = completed(&sync(&bindery, &["--full"]));
    assert_eq!((&full["users"]["deactivated"], &full["users"]["updated"]), (&1.into(), &0.into()), "{full}");
    assert_eq!(user(&bindery, "frank")["is_active"], false);
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
