//! `user`, `group` and `token` as somebody types them, over a SQLite store of their own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot begin fails by panicking")]

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// A folder with a configuration and, after the first command, a store.
struct Install(tempfile::TempDir);

impl Install {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bindery.toml"), "").unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command.current_dir(self.path()).args(line);
        command
    }

    /// The JSON of a command that goes well.
    fn json(&self, line: &[&str]) -> Value {
        let output = self.command(line).args(["--format", "json"]).assert().success().get_output().stdout.clone();
        serde_json::from_slice(&output).unwrap()
    }

    fn done(&self, line: &[&str]) {
        self.command(line).assert().success();
    }

    /// What a command that is refused says.
    fn refused(&self, line: &[&str]) -> String {
        let output = self.command(line).assert().code(1).stdout("").get_output().stderr.clone();
        String::from_utf8(output).unwrap()
    }
}

#[test]
fn a_user_is_created_shown_and_deleted() {
    let install = Install::new();
    let made = install.json(&["user", "create", "Ann", "--email", "ann@example.com", "--superuser"]);
    let shown = install.json(&["user", "show", "ANN"]);
    assert_eq!(made, shown);
    assert_eq!(shown["username"], "ann");
    assert_eq!(shown["email"], "ann@example.com");
    for flag in ["is_active", "is_staff", "is_superuser"] {
        assert_eq!(shown[flag], true, "{flag}");
    }
    assert_eq!(shown["link"], Value::Null);
    assert_eq!(shown["groups"], serde_json::json!([]));
    let listed = install.json(&["user", "list"]);
    assert_eq!(listed[0]["username"], "ann");

    assert!(install.refused(&["user", "create", "ann"]).contains("already"));
    install.done(&["user", "delete", "ann"]);
    assert!(install.refused(&["user", "show", "ann"]).contains("no user"));
    assert_eq!(install.json(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn look_alikes_are_one_name() {
    let install = Install::new();
    install.done(&["user", "create", "ann1"]);
    install.refused(&["user", "create", "ＡＮＮ１"]);
}

#[test]
fn usernames_keep_their_case_where_that_is_asked_for() {
    let install = Install::new();
    std::fs::write(install.path().join("bindery.toml"), "[sign_in]\nlowercase_usernames = false\n").unwrap();
    assert_eq!(install.json(&["user", "create", "Ann"])["username"], "Ann");
    assert_eq!(install.json(&["user", "show", "ann"])["username"], "Ann");
}

#[test]
fn a_password_is_read_to_the_end_and_never_shown() {
    let install = Install::new();
    let output = install
        .command(&["user", "create", "ann", "--password-stdin", "--format", "json"])
        .write_stdin("correct horse\n")
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let shown = String::from_utf8(output).unwrap();
    assert!(!shown.contains("horse") && !shown.contains("argon2"), "{shown}");

    let login = |password: &'static str, code: i32, reason: Value| {
        let line = ["login", "ann", "--password-stdin", "--format", "json"];
        let output = install.command(&line).write_stdin(password).assert().code(code).get_output().stdout.clone();
        let report: Value = serde_json::from_slice(&output).unwrap();
        assert_eq!(report["reason"], reason, "{report}");
    };
    login("correct horse", 0, Value::Null);
    login("correct horse\n\n", 1, "bad_credentials".into());
    install
        .command(&["user", "set-password", "ann", "--password-stdin"])
        .write_stdin("battery staple")
        .assert()
        .success();
    login("correct horse", 1, "bad_credentials".into());
    login("battery staple", 0, Value::Null);
    for empty in ["", "\n", "a\0b"] {
        install.command(&["user", "set-password", "ann", "--password-stdin"]).write_stdin(empty).assert().code(1);
    }
    install.command(&["user", "set-password", "nobody", "--password-stdin"]).write_stdin("x").assert().code(1);
    install.command(&["user", "set-password", "ann"]).assert().code(2);

    install.done(&["user", "deactivate", "ann"]);
    login("battery staple", 1, "account_disabled".into());
    install.done(&["user", "activate", "ann"]);
    login("battery staple", 0, Value::Null);
}

/// `make_password("correct horse", salt="seasalt")` of Django, at 1,000 rounds.
const DJANGO: &str = "pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=";

#[test]
fn a_dump_of_django_becomes_users_who_sign_in_as_before() {
    let install = Install::new();
    install.done(&["user", "create", "root"]);
    let user = |pk: u32, name: &str, password: &str, groups: &[u32]| {
        serde_json::json!({"model": "auth.user", "pk": pk, "fields": {
            "username": name, "password": password, "email": format!("{name}@example.com"), "first_name": "A",
            "last_name": "B", "is_active": name != "gone", "is_staff": true, "is_superuser": false,
            "last_login": null, "date_joined": "2020-01-01T00:00:00Z", "groups": groups, "user_permissions": [],
            "phone": "17",
        }})
    };
    let dump = serde_json::json!([
        {"model": "auth.group", "pk": 3, "fields": {"name": "Editors", "permissions": [1]}},
        {"model": "auth.permission", "pk": 1, "fields": {"codename": "x"}},
        user(1, "root", DJANGO, &[]),
        user(2, "Ann", DJANGO, &[3]),
        user(3, "bob", "!unusable", &[]),
        user(4, "gone", DJANGO, &[]),
        user(5, "carla", "md5$salt$secret-hash", &[]),
        user(6, "dora", "argon2$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$c2VjcmV0LWhhc2gtc2VjcmV0LWhhc2g", &[]),
        user(7, "ANN", DJANGO, &[]),
        user(8, "eve", DJANGO, &[99]),
    ]);
    std::fs::write(install.path().join("dump.json"), dump.to_string()).unwrap();
    let run = |more: &[&str]| {
        let line = [&["user", "import", "dump.json", "--format", "json"], more].concat();
        let output = install.command(&line).assert().code(1).get_output().clone();
        let said = String::from_utf8([output.stdout.clone(), output.stderr].concat()).unwrap();
        assert!(!said.contains("secret-hash") && !said.contains("c2Vj") && !said.contains("mQnu"), "{said}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let actions = |report: &Value| -> Vec<String> {
        let rows = report["users"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["username"].as_str().unwrap(), row["action"].as_str().unwrap())).collect()
    };
    let expected = [
        "root exists",
        "Ann created",
        "bob created",
        "gone created",
        "carla failed",
        "dora failed",
        "ANN failed",
        "eve failed",
    ];
    let foretold = run(&["--dry-run"]);
    assert_eq!(actions(&foretold), expected);
    assert!(install.refused(&["user", "show", "ann"]).contains("no user"), "a dry run writes nothing");
    let report = run(&[]);
    assert_eq!(actions(&report), expected);
    assert_eq!((&report["created"], &report["existing"], &report["failed"]), (&3.into(), &1.into(), &4.into()));
    assert!(report["users"][5]["detail"].as_str().unwrap().contains("m = 4194304"), "{report}");

    let ann = install.json(&["user", "show", "ann"]);
    assert_eq!((&ann["email"], &ann["groups"]), (&"Ann@example.com".into(), &serde_json::json!(["Editors"])));
    assert_eq!((&ann["is_staff"], &ann["profile"]), (&true.into(), &serde_json::json!({"phone": "17"})));
    assert_eq!(install.json(&["user", "show", "root"])["email"], "", "who exists is left alone");
    let login = |name: &str, code: i32| {
        install.command(&["login", name, "--password-stdin"]).write_stdin("correct horse").assert().code(code);
    };
    login("ann", 0);
    login("ann", 0);
    login("bob", 1);
    login("gone", 1);
    assert_eq!(run(&[])["existing"], 4, "run again, it leaves who is there");
}

#[test]
fn a_table_is_imported_too() {
    let install = Install::new();
    let table = format!(
        "username,email,password,is_staff,groups,room\nann,ann@example.com,{DJANGO},t,Editors; Press,12\nbob,,,,,\n,x,,,,\n"
    );
    let import = |line: &[&str], input: &str| {
        install.command(&[&["user", "import"], line].concat()).write_stdin(input.to_owned()).assert()
    };
    import(&["-"], &table).code(2);
    import(&["-", "--input", "json"], &table).code(2);
    import(&["-", "--input", "csv"], "name\nann\n").code(2);
    let said = import(&["-", "--input", "csv"], &table).code(1).get_output().stdout.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("2 created, 0 exist already, 1 failed"), "{said}");
    let ann = install.json(&["user", "show", "ann"]);
    assert_eq!((&ann["is_staff"], &ann["groups"]), (&true.into(), &serde_json::json!(["Editors", "Press"])));
    assert_eq!(ann["profile"]["room"], "12");
    assert_eq!(install.json(&["user", "show", "bob"])["is_active"], true);
}

/// What a directory gave is the directory's to take: as a membership or a flag by hand it would stay for good.
#[test]
fn what_a_directory_may_have_given_is_not_imported() {
    let shown = |name: &str, link: Value| {
        serde_json::json!({
            "id": "0190a0a0-0000-7000-8000-000000000000", "username": name, "first_name": "A", "last_name": "B",
            "email": "", "display_name": "", "path": "Lyon/people", "profile": {"room": "12"}, "is_active": name != "gone",
            "is_staff": true, "is_superuser": false, "groups": ["Editors"], "permissions": ["blog.change_post"],
            "link": link,
        })
    };
    let link =
        serde_json::json!({"source": "corp", "unique_id": "1", "dn": "uid=x", "last_seen": "2026-01-01T00:00:00Z"});
    let file = serde_json::json!([
        shown("ann", link.clone()),
        shown("gone", link),
        shown("local", Value::Null),
        {"username": "other", "groups": ["Editors"]},
    ]);
    for (authorizes, local) in [(false, serde_json::json!(["Editors"])), (true, serde_json::json!([]))] {
        let install = Install::new();
        let text = format!("[sign_in]\nauthorize_local_users = {authorizes}\n");
        std::fs::write(install.path().join("bindery.toml"), text).unwrap();
        std::fs::write(install.path().join("users.json"), file.to_string()).unwrap();
        let report = install.json(&["user", "import", "users.json"]);
        let details: Vec<&str> =
            report["users"].as_array().unwrap().iter().map(|row| row["detail"].as_str().unwrap()).collect();
        assert_eq!((&report["created"], &report["failed"]), (&4.into(), &0.into()), "{report}");
        assert!(details[0].starts_with("without groups and flags") && details[1] == details[0], "{details:?}");
        assert_eq!((details[2].is_empty(), details[3]), (!authorizes, ""), "{details:?}");

        let ann = install.json(&["user", "show", "ann"]);
        assert_eq!((&ann["groups"], &ann["is_staff"]), (&serde_json::json!([]), &false.into()), "{ann}");
        assert_eq!((&ann["path"], &ann["profile"]["room"]), (&"Lyon/people".into(), &"12".into()), "{ann}");
        let active = |name| install.json(&["user", "show", name])["is_active"].clone();
        assert_eq!([active("ann"), active("gone")], [true, false], "who was shut out stays out");
        let own = install.json(&["user", "show", "local"]);
        assert_eq!((&own["groups"], &own["is_staff"]), (&local, &true.into()), "{own}");
        assert_eq!(install.json(&["user", "show", "other"])["groups"], serde_json::json!(["Editors"]));
    }
}

#[test]
fn groups_hold_people_and_permissions() {
    let install = Install::new();
    install.done(&["user", "create", "ann"]);
    install.done(&["group", "create", "Editors"]);
    assert!(install.refused(&["group", "create", "editors"]).contains("already"));
    install.done(&["group", "add", "Editors", "ann"]);
    install.done(&["group", "add", "editors", "ANN"]);
    install.done(&["group", "grant", "Editors", "blog.change_post"]);
    let ann = install.json(&["user", "show", "ann"]);
    assert_eq!(ann["groups"], serde_json::json!(["Editors"]));
    assert_eq!(ann["permissions"], serde_json::json!(["blog.change_post"]));
    let group = install.json(&["group", "show", "Editors"]);
    assert_eq!(group["members"], serde_json::json!(["ann"]));
    assert_eq!(group["permissions"], serde_json::json!(["blog.change_post"]));

    install.done(&["group", "revoke", "Editors", "blog.change_post"]);
    assert!(install.refused(&["group", "revoke", "Editors", "blog.change_post"]).contains("no permission"));
    install.done(&["group", "remove", "Editors", "ann"]);
    assert!(install.refused(&["group", "remove", "Editors", "ann"]).contains("not in"));
    assert!(install.refused(&["group", "add", "Nobody", "ann"]).contains("no group"));
    assert!(install.refused(&["group", "add", "Editors", "nobody"]).contains("no user"));
    install.command(&["group", "grant", "Editors", "two words"]).assert().code(2);
    install.done(&["group", "delete", "Editors"]);
    assert_eq!(install.json(&["group", "list"]), serde_json::json!([]));
}

#[test]
fn a_token_is_shown_once() {
    let install = Install::new();
    let made = install.json(&["token", "create", "ci", "--expires", "90d"]);
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(secret.len() >= 43);
    assert!(made["expires_at"].is_string());
    let listed = install.json(&["token", "list"]);
    assert_eq!(listed[0]["name"], "ci");
    assert!(!listed.to_string().contains(&secret));
    assert!(!format!("{:?}", std::fs::read(install.path().join("bindery.db")).unwrap()).contains(&secret));
    install.done(&["token", "revoke", "ci"]);
    assert!(install.refused(&["token", "revoke", "ci"]).contains("no token"));
    assert!(install.json(&["token", "list"])[0]["revoked_at"].is_string());
    install.command(&["token", "create", "x", "--expires", "soon"]).assert().code(2);
}

#[test]
fn people_get_a_table_and_no_escape_sequences() {
    let install = Install::new();
    install.done(&["user", "create", "ann", "--email", "a\u{1b}[2Jb"]);
    let output = install.command(&["user", "list"]).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(text.starts_with("USERNAME"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn options_stand_before_or_after_the_command() {
    let install = Install::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = install.path().join("bindery.toml");
    for line in [["--config", "FILE", "user", "list"], ["user", "list", "--config", "FILE"]] {
        let line = line.map(|word| if word == "FILE" { file.to_str().unwrap() } else { word });
        install.command(&line).current_dir(elsewhere.path()).assert().success();
    }
}

#[test]
fn a_bad_configuration_stops_every_command() {
    let install = Install::new();
    std::fs::write(install.path().join("bindery.toml"), "[server]\nlisen = '[::1]:80'\n").unwrap();
    for line in [&["user", "list"][..], &["check"], &["explain", "ann"], &["token", "list"]] {
        let output = install.command(line).assert().code(2).stdout("").get_output().stderr.clone();
        let said = String::from_utf8(output).unwrap();
        assert!(said.contains("bindery.toml:2: server.lisen: unknown key; did you mean \"listen\"?"), "{said}");
        assert!(!install.path().join("bindery.db").exists());
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_unavailable() {
    let install = Install::new();
    std::fs::create_dir(install.path().join("bindery.db")).unwrap();
    install.command(&["user", "list"]).assert().code(3).stdout("");
}

#[test]
fn a_sync_without_a_store_says_what_was_asked_for_and_that_nothing_was_done() {
    let install = Install::new();
    let text = "[sources.corp]\nservers = ['ldaps://127.0.0.1:1']\nbase_dn = 'dc=x'\n";
    std::fs::write(install.path().join("bindery.toml"), text).unwrap();
    std::fs::create_dir(install.path().join("bindery.db")).unwrap();
    let said = |more: &[&str]| {
        let line = [&["sync", "corp"], more].concat();
        String::from_utf8(install.command(&line).assert().code(3).get_output().stdout.clone()).unwrap()
    };
    for (more, mode) in [(&[][..], "incremental"), (&["--full"], "full"), (&["--allow-removals"], "full")] {
        let run: Value = serde_json::from_str(&said(&[more, &["--format", "json"]].concat())).unwrap();
        assert_eq!((&run["mode"], &run["reason"]), (&mode.into(), &"store".into()), "{run}");
        assert_eq!(run["id"], "00000000-0000-0000-0000-000000000000");
    }
    let text = said(&[]);
    assert!(text.contains("Nothing was read or written.") && !text.contains("Run it again"), "{text}");
}

#[test]
fn an_unknown_source_is_a_usage_error_that_names_those_there_are() {
    let install = Install::new();
    let text = "[sources.corp]\nservers = ['ldaps://127.0.0.1:1']\nbase_dn = 'dc=x'\n";
    std::fs::write(install.path().join("bindery.toml"), text).unwrap();
    let output =
        install.command(&["directory", "search", "crop", "(uid=*)"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("corp"));
    install.command(&["directory", "search", "corp", "(uid=*"]).assert().code(2);
    install.command(&["directory", "search", "corp", "(uid=*)", "--base", "nowhere"]).assert().code(2);
}

#[test]
fn modify_is_refused_before_anything_is_read_where_the_source_is_read_only() {
    let install = Install::new();
    let text = "[sources.corp]\nservers = ['ldaps://127.0.0.1:1']\nbase_dn = 'dc=x'\n";
    std::fs::write(install.path().join("bindery.toml"), text).unwrap();
    let output = install
        .command(&["directory", "modify", "corp"])
        .write_stdin("no LDIF")
        .assert()
        .code(1)
        .get_output()
        .stderr
        .clone();
    assert!(String::from_utf8(output).unwrap().contains("read_only"));
    std::fs::write(install.path().join("bindery.toml"), format!("{text}read_only = false\n")).unwrap();
    install.command(&["directory", "modify", "corp"]).write_stdin("no LDIF").assert().code(2);
}

#[test]
fn every_shell_has_completions() {
    let install = Install::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = install.command(&["completions", shell]).assert().success().get_output().stdout.clone();
        assert!(String::from_utf8(output).unwrap().contains("set-password"), "{shell}");
    }
}

/// What people do to an account goes the way of the admin pages: it is in the audit.
#[tokio::test]
async fn shutting_somebody_out_is_in_the_audit() {
    let install = Install::new();
    install.done(&["user", "create", "ann"]);
    install.done(&["user", "deactivate", "Ann"]);
    assert_eq!(install.json(&["user", "show", "ann"])["is_active"], false);
    install.done(&["user", "activate", "ANN"]);
    assert_eq!(install.json(&["user", "show", "ann"])["is_active"], true);
    assert!(install.refused(&["user", "deactivate", "nobody"]).contains("no user"));
    let url = format!("sqlite:{}", install.path().join("bindery.db").display());
    let store = bindery_store::Store::open(&bindery_store::StoreUrl::parse(&url).unwrap()).await.unwrap();
    let audit = store.audit(&bindery_store::AuditFilter::default()).await.unwrap();
    let lines: Vec<[&str; 3]> = audit.iter().rev().map(|line| [&*line.event, &*line.username, &*line.via]).collect();
    assert_eq!(lines, [["user_deactivated", "ann", "command_line"], ["user_activated", "ann", "command_line"]]);
}
