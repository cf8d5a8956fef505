//! Names that look like syntax are names; entries that lie outside are nobody.

use bindery_tests::Slapd;

use crate::support::{Corp, refused, signed_in};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

/// W16, D5: special characters of filters, DNs and templates are one literal comparison.
#[test]
fn names_are_never_syntax() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    assert_eq!(signed_in(&bindery.login("we*ird(name)", "we*ird(name)-secret"))["username"], "we*ird(name)");
    for name in [
        "*",
        "a*",
        "ann)(uid=*",
        "*)(objectClass=*",
        "ann)(|(uid=*",
        "\\61nn",
        "ann\\00",
        "{{ user }}",
        "{user}",
        "%61nn",
        "ann;uid=bob",
        "ann+uid=bob",
        "<ann>",
        "\"ann\"",
        "#ann",
        "ann=ann",
    ] {
        let output = bindery.login(name, "ann-secret");
        assert_eq!(output.code, 1, "{name}: {output:?}");
        let reason = output.value()["reason"].as_str().unwrap().to_owned();
        assert!(reason == "no_such_user" || reason == "unknown_domain", "{name}: {reason}");
    }
}

/// The same through a DN template.
#[test]
fn names_are_never_syntax_in_a_template() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\ndn_template = \"uid={{user}},ou=people,dc=example,dc=test\"");
    let bindery = Corp::new(&slapd).table("users", &users).bindery();
    signed_in(&bindery.login("we*ird(name)", "we*ird(name)-secret"));
    for name in
        ["ann,ou=people,dc=example,dc=test", "bob+uid=ann", "outsider,ou=outside,dc=example,dc=test", "*", "{{ user }}"]
    {
        let output = bindery.login(name, "ann-secret");
        assert_eq!(output.code, 1, "{name}: {output:?}");
    }
}

/// Long and strange input is refused in words, and nothing breaks.
#[test]
fn long_and_strange_names() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    for name in
        [" ".to_owned(), "x".repeat(20_000), "\u{202e}nna".to_owned(), "a\u{0301}nn".to_owned(), "\t\n".to_owned()]
    {
        let output = bindery.login(&name, "ann-secret");
        assert_eq!(output.code, 1, "{output:?}");
    }
    let output = bindery.login("ann", &"x".repeat(1_000_000));
    assert_eq!(output.code, 1, "{output:?}");
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// An entry outside the base is no user, even where a template leads to it.
#[test]
fn entries_outside_the_base() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\ndn_template = \"uid={{user}},ou=outside,dc=example,dc=test\"");
    let output = Corp::new(&slapd).table("users", &users).bindery().login("outsider", "outsider-secret");
    assert!(output.code == 1 || output.code == 2, "{output:?}");
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    refused(&bindery.login("outsider", "outsider-secret"), "no_such_user");
}
