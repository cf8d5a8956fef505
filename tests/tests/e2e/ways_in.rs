//! How an entry is found and who binds: search, template, as the person; several bases; names as typed.

use bindery_tests::Slapd;

use crate::support::{Corp, person, refused, signed_in, unavailable, user};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";

/// D1, A4, A16: search with the service account, then bind as what was found.
#[test]
fn search_and_bind() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    let output = bindery.login("ann", "ann-secret");
    let ann = signed_in(&output);
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["email"], "ann@example.test");
    assert_eq!(ann["first_name"], "Ann");
    assert_eq!(ann["last_name"], "Archer");
    assert_eq!(ann["display_name"], "Ann Archer");
    assert_eq!(output.value()["source"], "corp");
    assert_eq!(output.value()["dn"], person("ann"));
    refused(&bindery.login("ann", "bob-secret"), "bad_credentials");
}

/// D1: the DN is built from the name; one with special characters stays one value of it.
#[test]
fn dn_template() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\ndn_template = \"uid={{user}},ou=people,dc=example,dc=test\"");
    let bindery = Corp::new(&slapd).table("users", &users).bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["username"], "ann");
    slapd.ldapadd("dn: uid=comma\\, plus\\+,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: comma, plus+\ncn: C\nsn: C\nuserPassword: comma-secret\n");
    assert_eq!(signed_in(&bindery.login("comma, plus+", "comma-secret"))["username"], "comma, plus+");
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
    let output = bindery.login("ann,ou=people,dc=example,dc=test", "ann-secret");
    assert_eq!(output.code, 1, "{output:?}");
}

/// D1: without a service account the person's own bind reads their entry and groups.
#[test]
fn bind_as_the_person() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\ndn_template = \"uid={{user}},ou=people,dc=example,dc=test\"");
    let bindery = Corp::new(&slapd)
        .keys("dns_domain = \"corp.test\"")
        .bind("method = \"as-user\"")
        .table("users", &users)
        .table("flags", "is_staff = \"staff\"")
        .bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_staff"], true);
    signed_in(&bindery.login("Ann@Corp.test", "ann-secret"));
    refused(&bindery.login("ann", "wrong"), "bad_credentials");
}

/// A4: anonymous searches, where the server allows them.
#[test]
fn anonymous_service() {
    let slapd = Slapd::builder().allow_anonymous().start();
    let bindery = Corp::new(&slapd).bind("method = \"anonymous\"").table("users", PEOPLE).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let strict = Slapd::start();
    let bindery = Corp::new(&strict).bind("method = \"anonymous\"").table("users", PEOPLE).bindery();
    unavailable(&bindery.login("ann", "ann-secret"));
}

/// A4, D19: over a Unix socket the kernel says who the service is.
#[test]
fn external_over_ldapi() {
    let slapd = Slapd::start();
    let bindery =
        Corp::new(&slapd).servers(&[slapd.ldapi_url()]).bind("method = \"external\"").table("users", PEOPLE).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
}

/// D2, A5: several bases are the union of their searches; what lies outside them does not exist.
#[test]
fn several_bases() {
    let slapd = Slapd::start();
    let both = "base_dn = [\"ou=people,dc=example,dc=test\", \"ou=branch,dc=example,dc=test\"]";
    let bindery = Corp::new(&slapd).table("users", both).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    signed_in(&bindery.login("grace", "grace-secret"));
    refused(&bindery.login("outsider", "outsider-secret"), "no_such_user");
    refused(&bindery.login("twin", "twin-secret"), "ambiguous_user");
}

/// A5: the object filter and the scope decide who is a person.
#[test]
fn filter_and_scope() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\nfilter = \"(employeeType=full-time)\"");
    let bindery = Corp::new(&slapd).table("users", &users).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    refused(&bindery.login("bob", "bob-secret"), "no_such_user");
    let one = Corp::new(&slapd).table("users", "scope = \"one\"").bindery();
    refused(&one.login("ann", "ann-secret"), "no_such_user");
}

/// D5: a typed name is compared with each login attribute; the local name comes from the entry.
#[test]
fn login_attributes_and_the_name_from_the_entry() {
    let slapd = Slapd::start();
    let users = format!("{PEOPLE}\nlogin_attributes = [\"uid\", \"mail\"]");
    let bindery = Corp::new(&slapd).table("users", &users).bindery();
    for typed in ["ann", "ANN", "ann@example.test", "Ann@Example.TEST"] {
        assert_eq!(signed_in(&bindery.login(typed, "ann-secret"))["username"], "ann", "{typed}");
    }
    let all = bindery.json(&["user", "list"]);
    assert_eq!(all.stdout.matches("\"username\"").count(), 1, "{all:?}");
}

/// D3: names are folded, and look-alikes never make a second person.
#[test]
fn case_and_look_alikes() {
    let slapd = Slapd::start();
    slapd.ldapadd(
        "dn: uid=Heidi2,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: Heidi2\ncn: Heidi\nsn: H\nuserPassword: heidi-secret\n",
    );
    let bindery = Corp::new(&slapd).table("users", PEOPLE).bindery();
    assert_eq!(signed_in(&bindery.login("HEIDI2", "heidi-secret"))["username"], "heidi2");
    // Full-width letters and digits. The directory may take them for the same name, or not know them.
    let output = bindery.login("ｈｅｉｄｉ２", "heidi-secret");
    if output.code == 0 {
        assert_eq!(output.value()["user"]["username"], "heidi2");
    }
    let all = bindery.json(&["user", "list"]);
    assert_eq!(all.stdout.matches("\"username\"").count(), 1, "{all:?}");
    let kept = Corp::new(&slapd).table("users", PEOPLE).also("[sign_in]\nlowercase_usernames = false").bindery();
    assert_eq!(signed_in(&kept.login("heidi2", "heidi-secret"))["username"], "Heidi2");
}

/// D7, J3, J5, D9: attributes become fields; what left the entry leaves the fields; many values stay many.
#[test]
fn attributes() {
    let slapd = Slapd::start();
    let attributes = "title = \"title\"\nemployee_id = { attribute = \"employeeNumber\", keep_when_absent = true }\n\
         phones = { attribute = \"telephoneNumber\", many = true }\nplace = \"{{ l }}/{{ physicalDeliveryOfficeName }}\"";
    let people = format!("{PEOPLE}\npath = \"{{{{ l }}}}/people\"");
    let bindery = Corp::new(&slapd).table("users", &people).table("users.attributes", attributes).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let ann = user(&bindery, "ann");
    assert_eq!(
        (&ann["path"], &bindery.json(&["user", "list"]).value()[0]["path"]),
        (&"Lyon/people".into(), &ann["path"])
    );
    assert_eq!(ann["profile"]["title"], "Writer");
    assert_eq!(ann["profile"]["employee_id"], "E-1");
    assert_eq!(ann["profile"]["phones"], serde_json::json!(["+1 555 0100", "+1 555 0101"]));
    assert_eq!(ann["profile"]["place"], "Lyon/B2");

    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\ndelete: title\n-\ndelete: employeeNumber\n-\ndelete: mail\n-\nreplace: sn\nsn: Bowyer\n",
        person("ann")
    ));
    signed_in(&bindery.login("ann", "ann-secret"));
    let ann = user(&bindery, "ann");
    assert!(ann["profile"]["title"].as_str().unwrap_or_default().is_empty(), "{ann}");
    assert!(ann["email"].as_str().unwrap_or_default().is_empty(), "{ann}");
    assert_eq!(ann["profile"]["employee_id"], "E-1");
    assert_eq!(ann["last_name"], "Bowyer");
}

/// D9: `update = "on-create"` keeps fields as they were, and flags true.
#[test]
fn update_on_create_only() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd)
        .table("users", PEOPLE)
        .table("provisioning", "update = \"on-create\"")
        .table("flags", "is_staff = \"staff\"")
        .bindery();
    assert_eq!(signed_in(&bindery.login("bob", "bob-secret"))["is_staff"], true);
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nreplace: sn\nsn: Changed\n", person("bob")));
    slapd.ldapmodify(&format!(
        "dn: cn=editors,ou=groups,dc=example,dc=test\nchangetype: modify\ndelete: member\nmember: {}\n",
        person("bob")
    ));
    let bob = signed_in(&bindery.login("bob", "bob-secret"));
    assert_eq!(bob["last_name"], "Baker");
    assert_eq!(bob["is_staff"], false);
}

/// D7: non-ASCII values arrive whole, and binary ones as base64.
#[test]
fn values_beyond_ascii() {
    let slapd = Slapd::start();
    slapd.ldapmodify(&format!("dn: {}\nchangetype: modify\nadd: jpegPhoto\njpegPhoto:: /9j/4AAQ\n", person("zoe")));
    let attributes = "photo = \"jpegPhoto\"";
    let bindery = Corp::new(&slapd).table("users", PEOPLE).table("users.attributes", attributes).bindery();
    let zoe = signed_in(&bindery.login("zoe", "zoe-secret"));
    assert_eq!(zoe["display_name"], "Zoë Ångström");
    assert_eq!(zoe["profile"]["photo"], "/9j/4AAQ");
}
