//! Who is who here: links by unique ID, conflicts, local accounts, offline passwords.

use bindery_tests::Slapd;

use crate::support::{Corp, person, refused, signed_in, unavailable, user};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd).table("users", PEOPLE)
}

/// D4, A8: a link is made by unique ID, so that renames and moves keep the user.
#[test]
fn renames_and_moves_keep_the_user() {
    let slapd = Slapd::start();
    let bases = "base_dn = [\"ou=people,dc=example,dc=test\", \"ou=branch,dc=example,dc=test\"]";
    let bindery = Corp::new(&slapd).table("users", bases).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let before = user(&bindery, "ann");
    assert_eq!(before["link"]["source"], "corp");
    assert_eq!(before["link"]["dn"], person("ann"));
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\nnewsuperior: ou=branch,dc=example,dc=test\n",
        person("ann")
    ));
    signed_in(&bindery.login("anna", "ann-secret"));
    let after = user(&bindery, "anna");
    assert_eq!(before["id"], after["id"]);
    assert_eq!(before["link"]["unique_id"], after["link"]["unique_id"]);
    assert_eq!(after["link"]["dn"], "uid=anna,ou=branch,dc=example,dc=test");
    refused(&bindery.login("ann", "ann-secret"), "no_such_user");
}

/// D4: a directory entry never takes over a local account of its name.
#[test]
fn a_local_account_is_never_inherited() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let created = bindery.run_with(&["user", "create", "ann", "--superuser", "--password-stdin"], "local secret 1");
    assert_eq!(created.code, 0, "{created:?}");
    // The name is held locally: its password is the local one, and the directory's is not asked for.
    refused(&bindery.login("ann", "ann-secret"), "bad_credentials");
    assert_eq!(signed_in(&bindery.login("ann", "local secret 1"))["is_superuser"], true);
    // An account without a password holds no name; the entry is somebody else.
    assert_eq!(bindery.run(&["user", "create", "bob", "--superuser"]).code, 0);
    refused(&bindery.login("bob", "bob-secret"), "account_conflict");
    refused(&bindery.explain("bob"), "account_conflict");
    assert!(user(&bindery, "bob")["link"].is_null());
}

/// A11, D4: adopting by name or mail is an explicit choice, and is saved as a link.
#[test]
fn link_existing() {
    let slapd = Slapd::start();
    for (mode, create) in [
        ("username", vec!["user", "create", "bob"]),
        ("email", vec!["user", "create", "robert", "--email", "bob@example.test"]),
    ] {
        let bindery = corp(&slapd).table("provisioning", &format!("link_existing = \"{mode}\"")).bindery();
        assert_eq!(bindery.run(&create).code, 0);
        let before = user(&bindery, create[2]);
        signed_in(&bindery.login("bob", "bob-secret"));
        let after = user(&bindery, "bob");
        assert_eq!(before["id"], after["id"], "{mode}");
        assert_eq!(after["link"]["source"], "corp", "{mode}");
    }
}

/// A8: somebody new with an old name is not the old person.
#[test]
fn a_reused_name_is_somebody_else() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).table("flags", "is_staff = \"staff\"").bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let before = user(&bindery, "ann");
    slapd.ldapdelete(&person("ann"));
    slapd.ldapadd(&format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Another Ann\nsn: Ann\nuserPassword: another-secret\n",
        person("ann")
    ));
    refused(&bindery.login("ann", "another-secret"), "account_conflict");
    assert_eq!(user(&bindery, "ann")["link"], before["link"]);
}

/// `user link` and `unlink` tie and untie by hand.
#[test]
fn linking_by_hand() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let before = user(&bindery, "ann");
    assert_ne!(before["last_name"], "");
    let id = before["id"].clone();
    let unlinked = bindery.run(&["user", "unlink", "ann"]);
    assert_eq!(unlinked.code, 0, "{unlinked:?}");
    let alone = user(&bindery, "ann");
    assert_eq!((&alone["link"], &alone["last_name"]), (&serde_json::Value::Null, &"".into()));
    refused(&bindery.login("ann", "ann-secret"), "account_conflict");
    let linked = bindery.run(&["user", "link", "ann", "corp"]);
    assert_eq!(linked.code, 0, "{linked:?}");
    signed_in(&bindery.login("ann", "ann-secret"));
    assert_eq!(user(&bindery, "ann")["id"], id);
}

/// D6, J6: local accounts beside the directory, and turned off.
#[test]
fn local_accounts() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let created = bindery.run_with(&["user", "create", "root", "--superuser", "--password-stdin"], "break glass 1\n");
    assert_eq!(created.code, 0, "{created:?}");
    let root = signed_in(&bindery.login("root", "break glass 1"));
    assert_eq!((&root["is_superuser"], &root["is_active"]), (&true.into(), &true.into()));
    refused(&bindery.login("root", "wrong"), "bad_credentials");
    assert_eq!(bindery.run_with(&["user", "set-password", "root", "--password-stdin"], "another glass 2").code, 0);
    refused(&bindery.login("root", "break glass 1"), "bad_credentials");
    signed_in(&bindery.login("root", "another glass 2"));
    bindery.configure(&corp(&slapd).also("[sign_in]\nlocal_users = false").toml());
    assert_eq!(bindery.login("root", "another glass 2").code, 1);
}

/// D6: directory people have no usable local password; one that is set works only while every server is down.
#[test]
fn a_local_password_of_a_linked_person() {
    let mut slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    assert_eq!(bindery.run_with(&["user", "set-password", "ann", "--password-stdin"], "for a bad day").code, 0);
    refused(&bindery.login("ann", "for a bad day"), "bad_credentials");
    slapd.stop();
    signed_in(&bindery.login("ann", "for a bad day"));
    assert_ne!(bindery.login("ann", "ann-secret").code, 0);
    slapd.restart();
    refused(&bindery.login("ann", "for a bad day"), "bad_credentials");
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// A16: a verifier kept after a sign-in serves while every server is down, and only then.
#[test]
fn offline_passwords() {
    let mut slapd = Slapd::start();
    let bindery = corp(&slapd).table("passwords", "offline = \"7d\"").bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    slapd.stop();
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
    unavailable(&bindery.login("bob", "bob-secret"));
    slapd.restart();
    slapd.set_password(&person("ann"), "changed-secret");
    refused(&bindery.login("ann", "ann-secret"), "bad_credentials");
    signed_in(&bindery.login("ann", "changed-secret"));
}

/// Without `offline` an outage is `unavailable`, never a refusal, and never a way in.
#[test]
fn no_offline_passwords_unless_asked_for() {
    let mut slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    slapd.stop();
    unavailable(&bindery.login("ann", "ann-secret"));
    unavailable(&bindery.login("ann", "wrong"));
    unavailable(&bindery.login("nobody", "wrong"));
}
