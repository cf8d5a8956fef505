//! The commands: exit codes, JSON keys, and what they change.

use bindery_tests::{Bindery, Slapd};
use serde_json::json;

use crate::support::{Corp, expect, group, names, person, refused, signed_in, user};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

/// A14, J8: `check` validates file, connection, bind, samples and groups in rules.
#[test]
fn check() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).table("access", "require = \"app-users\"").bindery();
    let output = bindery.json(&["check"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.value().is_object() || output.value().is_array());
    assert!(output.stdout.contains("OpenLDAP"), "the vendor: {output:?}");
    assert_eq!(bindery.run(&["check", "corp"]).code, 0);
    assert_eq!(bindery.run(&["check", "nowhere"]).code, 2);
    assert!(!bindery.path().join("x").exists());
}

/// A18, J8: `explain` tells all that sign-in would decide, without a password, and writes nothing.
#[test]
fn explain() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd)
        .table("users", PEOPLE)
        .table("groups", "mirror = [\"writers\"]")
        .table("access", "deny = [\"leavers\"]")
        .table("flags", "is_staff = \"staff\"")
        .table("group_map", "Editors = \"editors\"")
        .bindery();
    let output = bindery.explain("ann");
    expect(&output, 0, "signed_in");
    let ann = output.value();
    assert_eq!((&ann["source"], &ann["dn"]), (&"corp".into(), &person("ann").into()));
    assert!(ann["unique_id"].as_str().is_some_and(|id| id.len() == 36), "{ann}");
    assert_eq!(ann["fields"]["email"]["value"], "ann@example.test");
    assert!(ann["fields"]["email"]["from"].as_str().is_some_and(|from| from.contains("mail")), "{ann}");
    assert_eq!(ann["flags"]["is_staff"]["value"], true);
    assert!(ann["flags"]["is_staff"]["because"].as_str().is_some_and(|because| because.contains("staff")), "{ann}");
    assert_eq!(names(&ann["local_groups"]), ["Editors", "writers"]);
    assert!(ann["permissions"].is_array());
    assert!(!ann["access"].is_null());
    assert_eq!(bindery.json(&["user", "list"]).stdout.matches("\"username\"").count(), 0, "nothing is written");

    // Whole also when refused.
    let dave = bindery.explain("dave");
    refused(&dave, "in_denied_group");
    assert_eq!(dave.value()["fields"]["email"]["value"], "dave@example.test");
    assert!(dave.value()["groups"].as_array().is_some_and(|groups| !groups.is_empty()), "{dave:?}");
    refused(&bindery.explain("nobody"), "no_such_user");
    refused(&bindery.explain("EXAMPLE\\ann"), "unknown_domain");
    assert_eq!(bindery.run(&["explain", "ann"]).code, 0);
}

/// `login` writes the user, and answers `outcome`, `reason`, `source`, `dn` and `user`.
#[test]
fn login() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    let output = bindery.login("ann", "ann-secret\n");
    signed_in(&output);
    assert!(output.value()["reason"].is_null());
    assert_eq!(user(&bindery, "ann")["username"], "ann");
    let wrong = bindery.login("ann", "wrong");
    assert!(wrong.value()["user"].is_null(), "{wrong:?}");
    // The command line does not count towards the throttle.
    for _ in 0..8 {
        refused(&bindery.login("ann", "wrong"), "bad_credentials");
    }
    signed_in(&bindery.login("ann", "ann-secret"));
    let text = bindery.run_with(&["login", "ann", "--password-stdin"], "ann-secret");
    assert_eq!(text.code, 0, "{text:?}");
    let silent = bindery.run_with(&["login", "ann", "--password-stdin"], "not-the-secret");
    assert!(!format!("{silent:?}").contains("not-the-secret"));
}

/// `user`: everything about local accounts.
#[test]
fn users() {
    let bindery = Bindery::new("");
    let create = ["user", "create", "Ben", "--email", "ben@example.test", "--password-stdin"];
    assert_eq!(bindery.run_with(&create, "correct horse").code, 0);
    assert_eq!(bindery.run_with(&create, "correct horse").code, 1, "twice");
    let ben = user(&bindery, "ben");
    assert_eq!(ben["username"], "ben");
    for key in ["id", "first_name", "last_name", "display_name", "is_active", "is_staff", "is_superuser", "profile"] {
        assert!(ben.get(key).is_some(), "{key}: {ben}");
    }
    assert_eq!((&ben["email"], &ben["link"]), (&"ben@example.test".into(), &json!(null)));
    assert_eq!((names(&ben["groups"]).len(), names(&ben["permissions"]).len()), (0, 0));
    signed_in(&bindery.login("ben", "correct horse"));
    assert_eq!(bindery.run(&["user", "deactivate", "ben"]).code, 0);
    refused(&bindery.login("ben", "correct horse"), "account_disabled");
    assert_eq!(bindery.run(&["user", "activate", "ben"]).code, 0);
    signed_in(&bindery.login("ben", "correct horse"));
    assert_eq!(bindery.run(&["user", "delete", "ben"]).code, 0);
    assert_eq!(bindery.run(&["user", "show", "ben"]).code, 1);
    refused(&bindery.login("ben", "correct horse"), "no_such_user");
}

/// `group`: members and permissions.
#[test]
fn groups() {
    let bindery = Bindery::new("");
    assert_eq!(bindery.run_with(&["user", "create", "ben", "--password-stdin"], "correct horse").code, 0);
    for arguments in [
        ["group", "create", "Editors", ""],
        ["group", "add", "Editors", "ben"],
        ["group", "grant", "Editors", "blog.change_post"],
    ] {
        let arguments = arguments.iter().filter(|argument| !argument.is_empty()).copied().collect::<Vec<_>>();
        let output = bindery.run(&arguments);
        assert_eq!(output.code, 0, "{output:?}");
    }
    let ben = user(&bindery, "ben");
    assert_eq!(names(&ben["groups"]), ["Editors"]);
    assert_eq!(names(&ben["permissions"]), ["blog.change_post"]);
    assert!(bindery.json(&["group", "list"]).stdout.contains("Editors"));
    assert_eq!(bindery.run(&["group", "revoke", "Editors", "blog.change_post"]).code, 0);
    assert_eq!(bindery.run(&["group", "remove", "Editors", "ben"]).code, 0);
    let ben = user(&bindery, "ben");
    assert_eq!((names(&ben["groups"]).len(), names(&ben["permissions"]).len()), (0, 0));
    assert_eq!(bindery.run(&["group", "delete", "Editors"]).code, 0);
    assert_eq!(bindery.run(&["group", "show", "Editors"]).code, 1);
}

/// W21, D11: `directory search` prints LDIF, `modify` is refused while the source is read-only.
#[test]
fn directory() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    let found = bindery.run(&["directory", "search", "corp", "(uid=ann)", "mail", "cn"]);
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stdout.contains(&format!("dn: {}", person("ann"))), "{found:?}");
    assert!(found.stdout.contains("mail: ann@example.test"), "{found:?}");
    assert!(!found.stdout.contains("givenName"), "{found:?}");
    let base = ["directory", "search", "corp", "(objectClass=*)", "cn", "--scope", "base", "--base"];
    let found = bindery.run(&[base.as_slice(), &[&group("staff")]].concat());
    assert_eq!(found.stdout.matches("dn: ").count(), 1, "{found:?}");
    assert!(bindery.json(&["directory", "search", "corp", "(uid=ann)"]).value().is_array() || found.code == 0);
    assert_eq!(bindery.run(&["directory", "search", "corp", "(uid="]).code, 2);

    let change = format!("dn: {}\nchangetype: modify\nreplace: title\ntitle: Editor\n", person("ann"));
    let refused = bindery.run_with(&["directory", "modify", "corp"], &change);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(slapd.ldapsearch("(uid=ann)", &["title"]).contains("title: Writer"));

    let bind = format!("dn = \"{}\"\npassword = \"{}\"", slapd.root_dn(), Slapd::ROOT_PASSWORD);
    bindery.configure(&Corp::new(&slapd).keys("read_only = false").bind(&bind).table("users", PEOPLE).toml());
    let changed = bindery.run_with(&["directory", "modify", "corp"], &change);
    assert_eq!(changed.code, 0, "{changed:?}");
    assert!(slapd.ldapsearch("(uid=ann)", &["title"]).contains("title: Editor"));

    // The directory is asked, whatever the store is at.
    let nowhere = "[store]\nurl = \"sqlite:no/such/folder/bindery.db\"";
    let storeless = Corp::new(&slapd).table("users", PEOPLE).also(nowhere).bindery();
    assert_eq!(storeless.run(&["directory", "search", "corp", "(uid=ann)"]).code, 0);
    assert_eq!(storeless.run_with(&["directory", "modify", "corp"], &change).code, 1, "read_only");
    for command in [&["directory", "search", "corq", "(uid=ann)"][..], &["sync", "corq"]] {
        let mistyped = storeless.run(command);
        assert_eq!((mistyped.code, mistyped.stdout.as_str()), (3, ""), "it may be one of the store's: {mistyped:?}");
        let first = "bindery: no source of the file is called \"corq\" (there is corp); the store could not be asked: ";
        assert!(mistyped.stderr.contains(first) && mistyped.stderr.contains("no/such/folder"), "{mistyped:?}");
    }
}

/// Tokens are shown once, and listed without their secret.
#[test]
fn tokens() {
    let bindery = Bindery::new("");
    let created = bindery.run(&["token", "create", "ci"]);
    assert_eq!(created.code, 0, "{created:?}");
    let token = created.stdout.split_whitespace().last().unwrap().to_owned();
    let list = bindery.json(&["token", "list"]);
    assert!(list.stdout.contains("ci") && !list.stdout.contains(&token), "{list:?}");
    let database = std::fs::read(bindery.path().join("bindery.db")).unwrap();
    assert!(!database.windows(token.len()).any(|window| window == token.as_bytes()), "stored in clear");
    assert_eq!(bindery.run(&["token", "revoke", "ci"]).code, 0);
}

/// Mistakes on the command line are exit code 2, help and completions 0.
#[test]
fn usage() {
    let bindery = Bindery::new("");
    assert_eq!(bindery.run(&["frobnicate"]).code, 2);
    assert_eq!(bindery.run(&["login"]).code, 2);
    assert_eq!(bindery.run(&["--help"]).code, 0);
    for shell in ["bash", "zsh", "fish"] {
        let output = bindery.run(&["completions", shell]);
        assert!(output.code == 0 && output.stdout.contains("bindery"), "{shell}: {output:?}");
    }
}

/// Logs go to standard error, so that standard output is the document alone.
#[test]
fn json_alone_on_stdout() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    let output = bindery.command().args(["check", "--format", "json"]).env("RUST_LOG", "debug").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
}
