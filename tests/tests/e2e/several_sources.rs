//! D20: several directories side by side. A name goes to one of them, and a password too.

use bindery_tests::{Bindery, Slapd};

use crate::support::{person, refused, signed_in, unavailable, user};

fn source(name: &str, slapd: &Slapd, keys: &str) -> String {
    format!(
        "[sources.{name}]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"dc=example,dc=test\"\n{keys}\n\
         timeouts = {{ connect = \"1s\", operation = \"2s\" }}\n\
         [sources.{name}.users]\nbase_dn = \"ou=people,dc=example,dc=test\"\n\
         [sources.{name}.bind]\ndn = \"{}\"\npassword = \"{}\"\n",
        slapd.url(),
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD
    )
}

/// Two directories; `ann` is in both, `late` in the second only.
fn two() -> (Slapd, Slapd, Bindery) {
    let (first, second) = (Slapd::start(), Slapd::start());
    second.set_password(&person("ann"), "second-secret");
    second.ldapadd(&format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: late\ncn: Late\nsn: Late\nuserPassword: late-secret\n",
        person("late")
    ));
    let config = format!(
        "{}\n{}",
        source("first", &first, "domain = \"ONE\"\ndns_domain = \"one.test\""),
        source("second", &second, "domain = \"TWO\"\ndns_domain = \"two.test\"")
    );
    let bindery = Bindery::new(&config);
    (first, second, bindery)
}

/// Unqualified names go to the first source that has them; a wrong password is never offered to a second.
#[test]
fn unqualified_names_go_in_order() {
    let (_first, second, bindery) = two();
    let output = bindery.login("ann", "ann-secret");
    signed_in(&output);
    assert_eq!(output.value()["source"], "first");
    // It is the right password of the other ann.
    refused(&bindery.login("ann", "second-secret"), "bad_credentials");
    let output = bindery.login("late", "late-secret");
    signed_in(&output);
    assert_eq!(output.value()["source"], "second");
    drop(second);
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// Qualified names go to their source only, in every spelling.
#[test]
fn qualified_names() {
    let (_first, _second, bindery) = two();
    for name in ["TWO\\late", "two\\late", "late@two.test", "late@TWO.test"] {
        let output = bindery.login(name, "late-secret");
        signed_in(&output);
        assert_eq!(output.value()["source"], "second", "{name}");
    }
    refused(&bindery.login("ONE\\late", "late-secret"), "no_such_user");
    refused(&bindery.login("late@one.test", "late-secret"), "no_such_user");
    refused(&bindery.login("THREE\\ann", "ann-secret"), "unknown_domain");
    // The slug is no domain.
    refused(&bindery.login("first\\ann", "ann-secret"), "unknown_domain");
    // Not a configured domain: compared as it stands.
    refused(&bindery.login("ann@three.test", "ann-secret"), "no_such_user");
}

/// Two people, one name: nobody inherits the other's account.
#[test]
fn one_name_in_two_directories() {
    let (_first, _second, bindery) = two();
    signed_in(&bindery.login("ONE\\ann", "ann-secret"));
    refused(&bindery.login("TWO\\ann", "second-secret"), "account_conflict");
    assert_eq!(user(&bindery, "ann")["link"]["source"], "first");
}

/// While an earlier source cannot be asked, nobody becomes "the" ann; who is known already signs in.
#[test]
fn an_earlier_source_that_is_down() {
    let (mut first, _second, bindery) = two();
    signed_in(&bindery.login("late", "late-secret"));
    first.stop();
    unavailable(&bindery.login("ann", "second-secret"));
    unavailable(&bindery.login("ann", "wrong"));
    signed_in(&bindery.login("late", "late-secret"));
    signed_in(&bindery.login("TWO\\bob", "bob-secret"));
}

/// `[defaults]` is inherited key by key, and overridden by the source.
#[test]
fn defaults() {
    let (first, second) = (Slapd::start(), Slapd::start());
    let config = format!(
        "[defaults.flags]\nis_staff = \"staff\"\n[defaults.provisioning]\ncreate = false\n{}\n\
         [sources.first.provisioning]\ncreate = true\n{}",
        source("first", &first, ""),
        source("second", &second, "domain = \"TWO\"")
    );
    let bindery = Bindery::new(&config);
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_staff"], true);
    refused(&bindery.login("TWO\\bob", "bob-secret"), "new_users_not_allowed");
}
