//! A mistake in the file is an error with file, line, key and the nearest known key; nothing starts.

use bindery_tests::{Bindery, Slapd};

use crate::support::{Corp, signed_in};

/// W3, product "Configuration": each kind of mistake, exit code 2, and words that lead to it.
#[test]
fn mistakes_are_named() {
    let slapd = Slapd::start();
    let good = Corp::new(&slapd).toml();
    let first = good.clone();
    for (mistake, words) in [
        ("[sources.corp.usrs]\nfilter = \"(uid=*)\"", vec!["usrs", "users"]),
        ("[server]\nlisten_on = \"127.0.0.1:1\"", vec!["listen_on", "listen"]),
        ("[sources.corp.users]\nfilter = \"(uid=\"", vec!["filter"]),
        ("[sources.corp.users]\nbase_dn = \"ou people\"", vec!["base_dn"]),
        ("[sources.corp.access]\ndeny = [\"cn=a,,dc=b\"]", vec!["deny"]),
        ("[sources.corp.users.attributes]\ndisplay_name = \"{{ cn\"", vec!["display_name"]),
        ("[sources.corp.users.attributes]\nhash = \"userPassword\"", vec!["hash", "password"]),
        ("[sessions]\nlifetime = \"eight\"", vec!["lifetime"]),
        ("[sign_in]\nlocal_users = \"yes\"", vec!["local_users"]),
        ("[sources.corp.groups]\nnested = \"deep\"", vec!["nested"]),
    ] {
        let bindery = Bindery::new(&format!("{first}\n{mistake}\n"));
        let output = bindery.run(&["check"]);
        assert_eq!(output.code, 2, "{mistake}: {output:?}");
        let line = first.lines().count() + 2 + mistake.lines().count() - 2;
        assert!(output.stderr.contains("bindery.toml"), "{mistake}: {output:?}");
        assert!(
            (line - 1..=line + 1).any(|line| output.stderr.contains(&line.to_string())),
            "{mistake}: no line {line}: {output:?}"
        );
        for word in words {
            assert!(output.stderr.contains(word), "{mistake}: {word}: {output:?}");
        }
        assert_eq!(bindery.login("ann", "ann-secret").code, 2, "{mistake}");
        assert!(!bindery.path().join("bindery.db").exists(), "{mistake}: something started");
    }
}

/// Errors show no values, and so no secret that was put in the wrong place.
#[test]
fn errors_show_no_values() {
    let bindery = Bindery::new(
        "[sources.corp]\npreset = \"openldap\"\nservers = [\"ldap://127.0.0.1:1\"]\nbase_dn = \"dc=x\"\n\
         [sources.corp.bind]\ndn = \"cn=x\"\npassword = [\"hunter2-hunter2\"]\n",
    );
    let output = bindery.run(&["check"]);
    assert_eq!(output.code, 2);
    assert!(!format!("{output:?}").contains("hunter2"), "{output:?}");
}

/// Secrets from the environment, a file and a command; a variable overrides a key of the file.
#[test]
fn values_from_elsewhere() {
    let slapd = Slapd::start();
    let with = |password: &str| {
        let bind = format!("dn = \"{}\"\npassword = {password}", Slapd::SYNC_DN);
        Corp::new(&slapd).bind(&bind).table("users", "base_dn = \"ou=people,dc=example,dc=test\"").bindery()
    };
    let file = with("{ file = \"secret\" }");
    file.write("secret", "sync-secret\n");
    signed_in(&file.login("ann", "ann-secret"));
    signed_in(&with("{ command = [\"echo\", \"sync-secret\"] }").login("ann", "ann-secret"));

    let bindery = with("{ env = \"LDAP_SECRET\" }");
    assert_eq!(bindery.run(&["check"]).code, 2, "the variable is not set");
    let output = bindery.command().args(["check"]).env("LDAP_SECRET", "sync-secret").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let wrong = with("\"wrong\"");
    let overridden = ["check"];
    let output = wrong.command().args(overridden).env("BINDERY__SOURCES__CORP__BIND__PASSWORD", "sync-secret").output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

/// What this build lacks is refused by name.
#[test]
fn absent_features_are_named() {
    let slapd = Slapd::start();
    let version = Bindery::new("").run(&["--version"]);
    assert_eq!(version.code, 0, "{version:?}");
    if !version.stdout.contains("kerberos") {
        let output = Corp::new(&slapd).bind("method = \"gssapi\"").bindery().run(&["check"]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("kerberos"), "{output:?}");
    }
}

/// `--config` names another file, before or after the command; a missing one is an error.
#[test]
fn config_option() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).bindery();
    let toml = std::fs::read_to_string(bindery.path().join("bindery.toml")).unwrap();
    std::fs::remove_file(bindery.path().join("bindery.toml")).unwrap();
    bindery.write("other.toml", &toml);
    assert_eq!(bindery.run(&["--config", "other.toml", "check"]).code, 0);
    assert_eq!(bindery.run(&["check", "--config", "other.toml"]).code, 0);
    let missing = bindery.run(&["check"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("bindery.toml"), "{missing:?}");
}
