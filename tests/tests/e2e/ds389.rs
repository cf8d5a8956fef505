//! The preset `389ds` against 389 Directory Server itself.

use bindery_tests::Ds389;

use crate::support::{Corp, expect, group, names, person, refused, signed_in, user};
use crate::sync::{completed, sync};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

fn corp(server: &Ds389) -> Corp {
    Corp::on_389ds(server).table("users", PEOPLE)
}

/// Sign-in, a wrong password, and the link by `nsUniqueId`, which follows somebody who is renamed.
#[test]
fn sign_in() {
    let server = Ds389::start();
    let bindery = corp(&server).bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["email"], "ann@example.test");
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
    refused(&bindery.login("ann", "bob-secret"), "bad_credentials");
    refused(&bindery.login("nobody", "x"), "no_such_user");
    refused(&bindery.login("ann", ""), "empty_password");
    refused(&bindery.login("an*", "ann-secret"), "no_such_user");
    signed_in(&bindery.login("we*ird(name)", "we*ird(name)-secret"));

    let ann = user(&bindery, "ann");
    let id = ann["link"]["unique_id"].as_str().unwrap().to_owned();
    let entry = server.ldapsearch("(uid=ann)", &["nsUniqueId"]).to_lowercase();
    assert!(entry.contains(&format!("nsuniqueid: {}", id.to_lowercase())), "{id}: {entry}");
    server.ldapmodify(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\nnewsuperior: ou=people,dc=example,dc=test\n",
        person("ann")
    ));
    assert_eq!(signed_in(&bindery.login("anna", "ann-secret"))["id"], ann["id"], "the same person");
}

/// Groups by walking `member`, and by `memberOf`, in which 389-DS lists nested groups too.
#[test]
fn groups() {
    let server = Ds389::builder().memberof().start();
    for members in ["member", "memberOf"] {
        let bindery = corp(&server)
            .table("groups", &format!("members = \"{members}\"\nmirror = true"))
            .table("access", "require = \"app-users\"\ndeny = \"leavers\"")
            .table("flags", "is_staff = \"staff\"\nis_superuser = \"admins\"")
            .bindery();
        let ann = signed_in(&bindery.login("ann", "ann-secret"));
        assert_eq!((&ann["is_staff"], &ann["is_superuser"]), (&true.into(), &false.into()), "{members}");
        assert_eq!(names(&user(&bindery, "ann")["groups"]), ["app-users", "editors", "staff", "writers"], "{members}");
        assert_eq!(signed_in(&bindery.login("bob", "bob-secret"))["is_superuser"], true, "{members}");
        refused(&bindery.login("dave", "dave-secret"), "in_denied_group");
        refused(&bindery.login("frank", "frank-secret"), "not_in_required_group");
        let loops = bindery.explain("frank").value();
        let found = loops["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap());
        let mut found = found.collect::<Vec<_>>();
        found.sort_unstable();
        assert_eq!(found, ["loop-a", "loop-b"], "{members}: a loop ends");
    }
}

/// `nsAccountLock` refuses, whatever the password, and is never called anything else.
#[test]
fn disabled_accounts() {
    let server = Ds389::builder().policy(3).start();
    let bindery = corp(&server).bindery();
    refused(&bindery.login("disabled", "disabled-secret"), "account_disabled");
    refused(&bindery.login("disabled", "wrong"), "account_disabled");
    refused(&bindery.explain("disabled"), "account_disabled");
    signed_in(&bindery.login("ann", "ann-secret"));
    let lock = |value: &str| {
        let dn = person("ann");
        server.ldapmodify(&format!("dn: {dn}\nchangetype: modify\nreplace: nsAccountLock\nnsAccountLock: {value}\n"));
    };
    lock("true");
    refused(&bindery.login("ann", "ann-secret"), "account_disabled");
    lock("false");
    signed_in(&bindery.login("ann", "ann-secret"));
    // Without a service account nobody reads the attribute first: the server's words tell.
    let template = format!("{PEOPLE}\ndn_template = \"uid={{user}},ou=people,{}\"", Ds389::SUFFIX);
    let as_user = Corp::on_389ds(&server).bind("method = \"as-user\"").table("users", &template).bindery();
    refused(&as_user.login("disabled", "disabled-secret"), "account_disabled");
    signed_in(&as_user.login("ann", "ann-secret"));
}

/// Passwords as 389-DS's own policy sees them: locked, expired, to be changed; told only after the right one.
#[test]
fn password_policy() {
    let server = Ds389::builder().policy(3).start();
    let bindery = corp(&server).bindery();
    refused(&bindery.login("locked", "locked-secret"), "account_locked");
    refused(&bindery.login("expired", "expired-secret"), "password_expired");
    // Nobody but a bind tells a service account whether an end that was noted still counts, unless it has the right to ask.
    let unknown = bindery.explain("expired");
    assert_eq!((unknown.code, &unknown.value()["outcome"]), (0, &"signed_in".into()), "{unknown:?}");
    assert!(unknown.value()["notes"][0].as_str().unwrap().contains("passwordExpirationTime"), "{unknown:?}");
    let text = bindery.run(&["explain", "expired"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("note ") && line.contains("passwordExpirationTime")), "{text}");
    assert_eq!(bindery.explain("ann").value()["notes"], serde_json::json!([]));
    server.ldapmodify(&format!(
        "dn: oid=1.3.6.1.4.1.42.2.27.9.5.8,cn=features,cn=config\nchangetype: modify\nadd: aci\n\
         aci: (targetattr=\"*\")(version 3.0; acl \"ask\"; allow (read) userdn=\"ldap:///{}\";)\n",
        Ds389::SYNC_DN
    ));
    refused(&bindery.explain("expired"), "password_expired");
    // The account is none the worse for it.
    let run = completed(&sync(&bindery, &["--dry-run"]));
    let created =
        run["changes"].as_array().unwrap().iter().any(|one| one["name"] == "expired" && one["action"] == "create");
    assert!(created, "{run}");
    refused(&bindery.login("mustchange", "mustchange-secret"), "password_must_change");
    for uid in ["expired", "mustchange"] {
        refused(&bindery.login(uid, "wrong"), "bad_credentials");
    }
    signed_in(&bindery.login("ann", "ann-secret"));
    for _ in 0..3 {
        refused(&bindery.login("ann", "wrong"), "bad_credentials");
    }
    refused(&bindery.login("ann", "ann-secret"), "account_locked");
    signed_in(&bindery.login("bob", "bob-secret"));
    // Where the policy does not mind any more, the server's word counts, and not what it once noted.
    server.ldapmodify("dn: cn=config\nchangetype: modify\nreplace: passwordExp\npasswordExp: off\n");
    signed_in(&bindery.login("expired", "expired-secret"));
    let explained = bindery.explain("expired");
    assert_eq!((explained.code, &explained.value()["notes"]), (0, &serde_json::json!([])), "{explained:?}");
}

/// A group that cannot be read is unknown, never "not a member".
#[test]
fn unreadable_groups() {
    let server = Ds389::builder()
        .memberof()
        .access(&format!(
            "(target=\"ldap:///{}\")(targetattr=\"*\")(version 3.0; acl \"hidden\"; deny (all) userdn=\"ldap:///{}\";)",
            group("leavers"),
            Ds389::SYNC_DN
        ))
        .start();
    let deny = "deny = \"leavers\"";
    refused(&corp(&server).table("access", deny).bindery().login("ann", "ann-secret"), "membership_unknown");
    let by_dn = format!("deny = \"{}\"", group("leavers"));
    refused(&corp(&server).table("access", &by_dn).bindery().login("ann", "ann-secret"), "membership_unknown");

    let blind = format!("dn = \"{}\"\npassword = \"blind-secret\"", Ds389::BLIND_DN);
    let bindery = corp(&server).bind(&blind).table("access", "require = \"app-users\"").bindery();
    refused(&bindery.login("ann", "ann-secret"), "membership_unknown");
    let bindery = corp(&server).bind(&blind).table("flags", "is_staff = \"staff\"").bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_staff"], false, "not granted");
    let check = bindery.json(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.stdout.contains("staff"), "{check:?}");
}

/// `check` names the server; and what it does when nobody answers.
#[test]
fn check() {
    let mut server = Ds389::start();
    let bindery = corp(&server).table("access", "require = \"app-users\"").bindery();
    let output = bindery.json(&["check"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("389 Project") && output.stdout.contains("389-Directory/"), "{output:?}");
    server.stop();
    assert_eq!(bindery.run(&["check"]).code, 3);
    let login = bindery.login("ann", "ann-secret");
    expect(&login, 3, "unavailable");
    server.restart();
    signed_in(&bindery.login("ann", "ann-secret"));
}
