//! Each reason for a refusal, told truly on the command line, and by `explain` as the right password would get it.

use bindery_tests::Slapd;

use crate::support::{Corp, expect, person, refused, signed_in};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

/// Reasons that come before a correct password.
#[test]
fn before_a_correct_password() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).bindery();
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
    refused(&bindery.login("nobody", "wrong"), "no_such_user");
    refused(&bindery.login("twin", "twin-secret"), "ambiguous_user");
    refused(&bindery.login("ann", ""), "empty_password");
    refused(&bindery.login("ann", "ann-secret\0"), "empty_password");
    refused(&bindery.login("EXAMPLE\\ann", "ann-secret"), "unknown_domain");
    assert_eq!(bindery.json(&["user", "list"]).stdout.matches("\"username\"").count(), 0);
}

/// D16: an empty password never reaches the directory, even one that would take it for an anonymous bind.
#[test]
fn empty_passwords_are_never_sent() {
    let slapd = Slapd::builder().allow_anonymous().global("allow bind_anon_dn").start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    refused(&bindery.login("ann", ""), "empty_password");
    // One trailing newline is dropped, and what is left is empty.
    refused(&bindery.login("ann", "\n"), "empty_password");
}

/// D12: access by groups, both ways; and what unknown does.
#[test]
fn access() {
    let slapd = Slapd::start();
    let with = |access: &str| Corp::new(&slapd).table("users", PEOPLE).table("access", access).bindery();
    let bindery = with("require = [\"app-users\"]\ndeny = [\"leavers\"]");
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("eve", "eve-secret"), "not_in_required_group");
    refused(&bindery.login("dave", "dave-secret"), "in_denied_group");
    // The password decides first: a stranger learns nothing about groups.
    refused(&bindery.login("dave", "wrong"), "bad_credentials");
    refused(&bindery.explain("dave"), "in_denied_group");
    refused(&bindery.explain("eve"), "not_in_required_group");
    expect(&bindery.explain("ann"), 0, "signed_in");

    let mistyped = with("deny = [\"cn=leaver,ou=groups,dc=example,dc=test\"]");
    refused(&mistyped.login("ann", "ann-secret"), "membership_unknown");
    let mistyped = with("deny = [\"leaver\"]");
    refused(&mistyped.login("ann", "ann-secret"), "membership_unknown");
    // any(yes, unknown) is yes.
    let either = with("require = [\"app-users\", \"no such group\"]");
    signed_in(&either.login("ann", "ann-secret"));
    refused(&either.login("eve", "eve-secret"), "membership_unknown");
    assert_eq!(either.json(&["user", "list"]).stdout.matches("\"username\"").count(), 1);
}

/// What ppolicy's response control says after the bind.
#[test]
fn password_policies() {
    let slapd = Slapd::builder().ppolicy(3).start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    refused(&bindery.login("locked", "locked-secret"), "account_locked");
    refused(&bindery.login("expired", "expired-secret"), "password_expired");
    refused(&bindery.login("mustchange", "mustchange-secret"), "password_must_change");
    signed_in(&bindery.login("ann", "ann-secret"));
    for _ in 0..3 {
        refused(&bindery.login("ann", "wrong"), "bad_credentials");
    }
    refused(&bindery.login("ann", "ann-secret"), "account_locked");
}

/// Account state from the attributes that are there, whatever the preset.
#[test]
fn account_states() {
    let slapd = Slapd::start();
    let states = [
        ("ann", "nsAccountLock: TRUE", "account_disabled"),
        ("bob", "krbPrincipalExpiration: 20200101000000Z", "account_expired"),
        ("carol", "userAccountControl: 514", "account_disabled"),
        ("dave", "accountExpires: 132223104000000000", "account_expired"),
        ("eve", "pwdLastSet: 0", "password_must_change"),
    ];
    for (uid, state, _) in states {
        slapd.ldapmodify(&format!(
            "dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: testAccount\n-\nadd: {}\n{state}\n",
            person(uid),
            state.split(':').next().unwrap()
        ));
    }
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nadd: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: 10000\n",
        person("frank")
    ));
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    for (uid, _, reason) in states {
        refused(&bindery.login(uid, &format!("{uid}-secret")), reason);
        refused(&bindery.explain(uid), reason);
    }
    refused(&bindery.login("frank", "frank-secret"), "account_expired");
    signed_in(&bindery.login("zoe", "zoe-secret"));
}

/// D16: only people who are known already.
#[test]
fn new_users_not_allowed() {
    let slapd = Slapd::start();
    let open = Corp::new(&slapd).table("users", PEOPLE);
    let bindery = open.bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    bindery.configure(&Corp::new(&slapd).table("users", PEOPLE).table("provisioning", "create = false").toml());
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("bob", "bob-secret"), "new_users_not_allowed");
    refused(&bindery.explain("bob"), "new_users_not_allowed");
}

/// A false `is_active`, and a person deactivated by hand.
#[test]
fn inactive_people() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).table("flags", "is_active = \"app-users\"").bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("eve", "eve-secret"), "account_disabled");
    assert_eq!(bindery.run(&["user", "deactivate", "ann"]).code, 0);
    refused(&bindery.login("ann", "ann-secret"), "account_disabled");
    assert_eq!(bindery.run(&["user", "activate", "ann"]).code, 0);
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// A8: an entry whose unique ID or username cannot be read is nobody.
#[test]
fn missing_attributes() {
    let slapd = Slapd::builder().access("access to attrs=entryUUID by * none").start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    refused(&bindery.login("ann", "ann-secret"), "missing_attribute");
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).table("users.attributes", "username = \"pager\"").bindery();
    refused(&bindery.login("ann", "ann-secret"), "missing_attribute");
}
