//! The presets against trees shaped like those they are for.

use bindery_tests::{Bindery, Slapd};

use crate::support::{Corp, names, refused, signed_in, user};

/// J1, J4: JumpCloud's tree; the organization is all it needs besides the bind.
#[tokio::test]
async fn jumpcloud() {
    let slapd = Slapd::builder()
        .suffix("dc=jumpcloud,dc=com")
        .ldif(
            "dn: dc=jumpcloud,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: JumpCloud\ndc: jumpcloud\n\n\
             dn: o=ORG,dc=jumpcloud,dc=com\nobjectClass: organization\no: ORG\n\n\
             dn: ou=users,o=ORG,dc=jumpcloud,dc=com\nobjectClass: organizationalUnit\nou: users\n\n\
             dn: uid=svc,ou=users,o=ORG,dc=jumpcloud,dc=com\nobjectClass: inetOrgPerson\nuid: svc\ncn: svc\nsn: svc\nuserPassword: svc-secret\n\n\
             dn: uid=jane,ou=users,o=ORG,dc=jumpcloud,dc=com\nobjectClass: inetOrgPerson\nuid: jane\ncn: Jane Doe\nsn: Doe\n\
             givenName: Jane\nmail: jane@example.test\ndisplayName: Jane D.\ninitials: Q\ntitle: Engineer\ndepartmentNumber: 7\n\
             businessCategory: R&D\nphysicalDeliveryOfficeName: Leeds\nemployeeNumber: 10023\nemployeeType: Full time\n\
             o: Binder & Sons\ndescription: Builds things\nmobile: +44 7700 900123\ntelephoneNumber: +44 113 496 0001\n\
             userPassword: jane-secret\n\n\
             dn: uid=joe,ou=users,o=ORG,dc=jumpcloud,dc=com\nobjectClass: inetOrgPerson\nuid: joe\ncn: Joe\nsn: Joe\nuserPassword: joe-secret\n\n\
             dn: cn=app,ou=users,o=ORG,dc=jumpcloud,dc=com\nobjectClass: groupOfNames\ncn: app\n\
             member: uid=jane,ou=users,o=ORG,dc=jumpcloud,dc=com\n",
        )
        .start();
    let bindery = Bindery::new(&format!(
        "[sources.jc]\npreset = \"jumpcloud\"\norganization = \"ORG\"\nservers = [\"{}\"]\n\
         [sources.jc.bind]\ndn = \"uid=svc,ou=users,o=ORG,dc=jumpcloud,dc=com\"\npassword = \"svc-secret\"\n\
         [sources.jc.access]\nrequire = \"cn=app,ou=users,o=ORG,dc=jumpcloud,dc=com\"\n\
         [sources.jc.groups]\nmirror = true\n[sources.jc.flags]\nis_staff = \"app\"\n\
         [sources.jc.users.attributes]\nmiddle_name = \"initials\"\ntitle = \"title\"\ndepartment = \"departmentNumber\"\n\
         cost_center = \"businessCategory\"\nlocation = \"physicalDeliveryOfficeName\"\nemployee_id = \"employeeNumber\"\n\
         employee_type = \"employeeType\"\ncompany = \"o\"\ndescription = \"description\"\nphone_no = \"mobile\"\n",
        slapd.url()
    ));
    let jane = signed_in(&bindery.login("jane", "jane-secret"));
    assert_eq!((&jane["is_staff"], &jane["is_active"]), (&true.into(), &true.into()));
    let jane = user(&bindery, "jane");
    let names_of = ["username", "first_name", "last_name", "email", "display_name"];
    assert_eq!(
        names_of.map(|key| jane[key].as_str().unwrap()),
        ["jane", "Jane", "Doe", "jane@example.test", "Jane D."]
    );
    let profile = serde_json::json!({
        "middle_name": "Q", "title": "Engineer", "department": "7", "cost_center": "R&D", "location": "Leeds",
        "employee_id": "10023", "employee_type": "Full time", "company": "Binder & Sons",
        "description": "Builds things", "phone_no": "+44 7700 900123",
    });
    assert_eq!(jane["profile"], profile);
    assert_eq!(names(&jane["groups"]), ["app"]);
    refused(&bindery.login("joe", "joe-secret"), "not_in_required_group");

    // She sees them herself.
    let server = bindery.serve();
    let client = server.client();
    let body = serde_json::json!({ "username": "jane", "password": "jane-secret" });
    assert_eq!(client.post(server.url("/login")).json(&body).send().await.unwrap().status(), 200);
    let page = client.get(server.url("/profile")).header("Accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    for value in ["Jane D.", "Engineer", "Leeds", "10023", "Full time", "Binder &amp; Sons", "+44 7700 900123"] {
        assert!(page.contains(&format!(">{value}<")), "{value}: {page}");
    }
}

/// The unique IDs of 389-DS and FreeIPA, and LLDAP's groups.
#[test]
fn unique_ids_of_other_servers() {
    for (preset, attribute) in [("389ds", "nsUniqueId"), ("freeipa", "ipaUniqueID")] {
        let slapd = Slapd::start();
        slapd.ldapmodify(&format!(
            "dn: uid=ann,ou=people,dc=example,dc=test\nchangetype: modify\nadd: objectClass\nobjectClass: testAccount\n-\n\
             add: {attribute}\n{attribute}: 66446001-1dd211b2-66225011-2ee211db\n"
        ));
        let bindery = Corp::new(&slapd).preset(preset).table("flags", "is_staff = \"staff\"").bindery();
        assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_staff"], true, "{preset}");
        assert_eq!(user(&bindery, "ann")["link"]["unique_id"], "66446001-1dd211b2-66225011-2ee211db", "{preset}");
        refused(&bindery.login("bob", "bob-secret"), "missing_attribute");
    }
}

/// LLDAP: people by name or mail, groups of unique names.
#[test]
fn lldap_and_google() {
    let slapd = Slapd::start();
    let people = "base_dn = \"ou=people,dc=example,dc=test\"";
    let lldap =
        Corp::new(&slapd).preset("lldap").table("users", people).table("flags", "is_press = \"press\"").bindery();
    assert_eq!(signed_in(&lldap.login("bob@example.test", "bob-secret"))["is_press"], true);
    let google =
        Corp::new(&slapd).preset("google").table("users", people).table("flags", "is_staff = \"staff\"").bindery();
    assert_eq!(signed_in(&google.login("ann@example.test", "ann-secret"))["is_staff"], true);
}
