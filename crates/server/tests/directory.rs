//! `check`, `directory` and `user link` against a real slapd.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot begin fails by panicking")]

use assert_cmd::Command;
use bindery_tests::Slapd;
use serde_json::Value;

/// A folder with a configuration for one source.
struct Install(tempfile::TempDir);

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr))
    }
}

impl Install {
    /// A source over ldaps with the test's own CA; `more` stands below it.
    fn new(slapd: &Slapd, more: &str) -> Self {
        Self::with_servers(slapd, &[slapd.ldaps_url()], "sync-secret", more)
    }

    fn with_servers(slapd: &Slapd, servers: &[String], password: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[sources.corp]\npreset = 'openldap'\nservers = {servers:?}\nbase_dn = '{}'\n\
             tls.ca_file = '{}'\nbind = {{ dn = 'cn=sync,ou=services,{}', password = '{password}' }}\n{more}",
            slapd.suffix(),
            slapd.ca_pem().display(),
            slapd.suffix(),
        );
        std::fs::write(folder.path().join("bindery.toml"), text).unwrap();
        Self(folder)
    }

    fn run(&self, line: &[&str]) -> Ended {
        self.run_with(line, "")
    }

    fn run_with(&self, line: &[&str], input: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        let output = command.current_dir(self.0.path()).args(line).write_stdin(input).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn json(&self, line: &[&str]) -> Ended {
        self.run(&[&["--format", "json"], line].concat())
    }
}

/// A URL where nobody listens.
fn silent() -> String {
    format!("ldaps://127.0.0.1:{}", bindery_tests::free_port())
}

#[test]
fn a_base_that_is_not_there_is_an_answer_and_no_outage() {
    let slapd = Slapd::start();
    let install = Install::new(&slapd, "");
    let ended = install.run(&["directory", "search", "corp", "(uid=ann)", "--base", "ou=nowhere,dc=example,dc=test"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("the base is not there, or may not be read"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("noSuchObject").count(), 1, "said once: {}", ended.stderr);
}

#[test]
fn a_good_source_has_nothing_to_mend() {
    let slapd = Slapd::start();
    let install =
        Install::new(&slapd, "[sources.corp.access]\nrequire = ['staff', 'cn=writers,ou=groups,dc=example,dc=test']");
    let ended = install.json(&["check"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let report = ended.json();
    let server = &report["sources"][0]["servers"][0];
    assert_eq!(server["vendor"], "OpenLDAP");
    for step in ["connect", "tls", "bind", "users", "groups"] {
        assert_eq!(server[step]["state"], "ok", "{step}: {server}");
    }
    assert!(!server["users"]["sample"].as_array().unwrap().is_empty());
    assert_eq!(report["sources"][0]["findings"], serde_json::json!([]));
    assert!(!install.0.path().join("bindery.db").exists(), "a check makes no store");
    let people = install.run(&["check", "corp"]);
    assert_eq!(people.code, 0);
    assert!(people.stdout.contains("OpenLDAP") && people.stdout.contains("Nothing to mend."), "{}", people.stdout);
}

#[test]
fn a_group_that_cannot_be_found_is_a_finding() {
    let slapd = Slapd::start();
    let install = Install::new(&slapd, "[sources.corp.access]\ndeny = ['leavrs']");
    let ended = install.json(&["check"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let missing = &ended.json()["sources"][0]["servers"][0]["missing_groups"];
    assert_eq!(missing[0]["group"], "leavrs");
}

#[test]
fn a_refused_service_bind_and_a_foreign_certificate_are_findings() {
    let slapd = Slapd::start();
    let install = Install::with_servers(&slapd, &[slapd.ldaps_url()], "wrong-secret", "");
    let ended = install.json(&["check"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert_eq!(ended.json()["sources"][0]["servers"][0]["bind"]["state"], "failed");
    assert!(!ended.stdout.contains("wrong-secret"));

    let stranger = Slapd::start();
    let install = Install::with_servers(&slapd, &[stranger.ldaps_url()], "sync-secret", "");
    let ended = install.json(&["check"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert_eq!(ended.json()["sources"][0]["servers"][0]["tls"]["state"], "failed");
}

/// A new password crosses nothing that could be read along, and so nobody can change theirs.
#[test]
fn password_changes_over_a_plain_connection_are_a_finding() {
    let slapd = Slapd::start();
    let write_back = "[sources.corp.passwords]\nwrite_back = true\n";
    let plain = [slapd.ldaps_url(), slapd.url()];
    let ended = Install::with_servers(&slapd, &plain, "sync-secret", write_back).json(&["check"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let report = ended.json();
    let findings = report["sources"][0]["findings"].as_array().unwrap();
    let told = findings[0].as_str().unwrap();
    assert!(findings.len() == 1 && told.contains("write_back") && told.contains(&slapd.url()), "{report}");
    for (servers, more) in [
        (vec![slapd.ldaps_url()], write_back.to_owned()),
        (vec![slapd.url()], format!("tls.starttls = true\n{write_back}")),
        (vec![slapd.url()], String::new()),
    ] {
        let ended = Install::with_servers(&slapd, &servers, "sync-secret", &more).json(&["check"]);
        assert_eq!(ended.code, 0, "{more}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn silence_is_unavailable_only_when_nobody_answers() {
    let slapd = Slapd::start();
    let one_of_two = Install::with_servers(&slapd, &[silent(), slapd.ldaps_url()], "sync-secret", "");
    assert_eq!(one_of_two.run(&["check"]).code, 1);
    let nobody = Install::with_servers(&slapd, &[silent()], "sync-secret", "");
    let ended = nobody.json(&["check"]);
    assert_eq!(ended.code, 3, "{}", ended.stdout);
    assert_eq!(ended.json()["sources"][0]["servers"][0]["answered"], false);
    assert_eq!(nobody.run(&["check", "crop"]).code, 2);
    assert_eq!(nobody.run(&["directory", "search", "corp", "(uid=ann)"]).code, 3);
}

#[test]
fn deploy_adds_the_checklist_and_the_store() {
    let slapd = Slapd::start();
    let install = Install::new(&slapd, "");
    let ended = install.json(&["check", "--deploy"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let report = ended.json();
    let items = report["deploy"].as_array().unwrap();
    assert!(items.iter().any(|item| item["item"] == "people come over https" && item["ok"] == false));
    assert_eq!(report["store"]["error"], Value::Null);
    assert_eq!(install.json(&["check"]).code, 0);
}

#[test]
fn a_search_prints_ldif_or_json() {
    let slapd = Slapd::start();
    let install = Install::new(&slapd, "");
    let ended = install.run(&["directory", "search", "corp", "(uid=ann)", "uid", "sn"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("dn: uid=ann,ou=people,dc=example,dc=test\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("uid: ann\n") && !ended.stdout.contains("mail:"), "{}", ended.stdout);
    let found = install.json(&["directory", "search", "corp", "(uid=ann)", "uid"]).json();
    assert_eq!(found[0]["attributes"]["uid"], serde_json::json!(["ann"]));

    let base = "ou=people,dc=example,dc=test";
    let one =
        install.json(&["directory", "search", "corp", "(objectClass=*)", "1.1", "--base", base, "--scope", "base"]);
    assert_eq!(one.json().as_array().map(Vec::len), Some(1));
    assert_eq!(install.json(&["directory", "search", "corp", "(uid=nobody)"]).json(), serde_json::json!([]));
    let nowhere = install.run(&["directory", "search", "corp", "(uid=ann)", "--base", "ou=nowhere,dc=example,dc=test"]);
    assert_ne!(nowhere.code, 0, "a base that is not there is no empty result");
    assert!(nowhere.stdout.is_empty() && nowhere.stderr.contains("nowhere"), "{}", nowhere.stderr);
}

#[test]
fn a_change_is_carried_out_where_the_source_allows_it() {
    let slapd = Slapd::start();
    let change = "dn: uid=ann,ou=people,dc=example,dc=test\nchangetype: modify\nreplace: title\ntitle: Chief\n-\n";
    let read_only = Install::new(&slapd, "");
    let ended = read_only.run_with(&["directory", "modify", "corp"], change);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(!slapd.ldapsearch("(uid=ann)", &["title"]).contains("Chief"));

    let forbidden = Install::new(&slapd, "read_only = false");
    let ended = forbidden.run_with(&["directory", "modify", "corp"], change);
    assert_eq!(ended.code, 1, "the service account may not write: {}", ended.stderr);
    assert!(ended.stderr.contains("0 of 1"), "{}", ended.stderr);

    let text = std::fs::read_to_string(forbidden.0.path().join("bindery.toml")).unwrap();
    let text = text.replace(&format!("cn=sync,ou=services,{}", slapd.suffix()), &slapd.root_dn());
    let text = text.replace("sync-secret", Slapd::ROOT_PASSWORD);
    std::fs::write(forbidden.0.path().join("bindery.toml"), text).unwrap();
    let ended = forbidden.run_with(&["directory", "modify", "corp"], change);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(slapd.ldapsearch("(uid=ann)", &["title"]).contains("Chief"));
}

#[test]
fn a_user_is_tied_to_an_entry_by_its_unique_id() {
    let slapd = Slapd::start();
    let install = Install::new(&slapd, "");
    assert_eq!(install.run(&["user", "create", "chief"]).code, 0);
    let linked = install.json(&["user", "link", "chief", "corp", "ann"]).json();
    assert_eq!(linked["link"]["dn"], "uid=ann,ou=people,dc=example,dc=test");
    assert!(slapd.ldapsearch("(uid=ann)", &["entryUUID"]).contains(linked["link"]["unique_id"].as_str().unwrap()));

    assert_eq!(install.run(&["user", "link", "chief", "corp", "bob"]).code, 1, "one link in a source");
    assert_eq!(install.run(&["user", "create", "other"]).code, 0);
    assert_eq!(install.run(&["user", "link", "other", "corp", "ann"]).code, 1, "one user to an entry");
    assert_eq!(install.run(&["user", "link", "other", "corp", "twin"]).code, 1, "several have that name");
    assert_eq!(install.run(&["user", "link", "other", "corp"]).code, 1, "nobody has that name");

    let untied = install.json(&["user", "unlink", "chief"]).json();
    assert_eq!(untied["link"], Value::Null);
    assert_eq!(install.run(&["user", "unlink", "chief"]).code, 1);
}

#[test]
fn a_denied_dn_that_is_no_group_stops_sign_in_and_sync_and_is_a_finding() {
    let slapd = Slapd::start();
    for rule in ["deny = 'cn=press,ou=groups,dc=example,dc=test'", "require = { not = 'ou=people,dc=example,dc=test' }"]
    {
        let install = Install::new(&slapd, &format!("[sources.corp.access]\n{rule}\n"));
        let login = install.run_with(&["--format", "json", "login", "ann", "--password-stdin"], "ann-secret").json();
        assert_eq!((&login["outcome"], &login["reason"]), (&"refused".into(), &"membership_unknown".into()), "{rule}");
        let sync = install.json(&["sync", "corp"]).json();
        assert!(sync["users"]["created"] == 0 && sync["users"]["skipped"].as_u64() > Some(0), "{rule}: {sync}");
        let check = install.json(&["check"]);
        assert_eq!(check.code, 1, "{rule}: {}", check.stdout);
    }
}

#[test]
fn a_server_that_never_answers_did_not_answer() {
    let slapd = Slapd::start();
    let quick = "timeouts = { connect = '500ms', operation = '500ms' }\n";
    let install = Install::with_servers(&slapd, &[slapd.url()], "sync-secret", quick);
    assert_eq!(install.run(&["check"]).code, 0);
    slapd.pause();
    let ended = install.json(&["check"]);
    slapd.resume();
    assert_eq!((ended.code, &ended.json()["sources"][0]["answered"]), (3, &Value::Bool(false)), "{}", ended.stdout);
}
