use super::*;
use proptest::prelude::*;

fn attribute(name: &str, values: &[&[u8]]) -> Attribute {
    Attribute { name: name.into(), values: values.iter().map(|value| value.to_vec()).collect() }
}

fn entry(dn: &str, attributes: Vec<Attribute>) -> Entry {
    Entry::new(dn, attributes)
}

#[test]
fn an_entry_for_people() {
    let entry = entry(
        "cn=Müller,dc=x",
        vec![
            attribute("cn", &["Müller".as_bytes()]),
            attribute(
                "description",
                &[b" led by a space", b"ended by one ", b": colon", b"<x", b"two\nlines", b"\x1b[31m", b""],
            ),
            attribute("jpegPhoto;binary", &[&[0xff, 0xd8, 0]]),
            attribute("long", &["x".repeat(150).as_bytes()]),
            attribute("empty", &[]),
            attribute("evil\ndn: cn=other", &[b"v"]),
        ],
    );
    let expected = "dn:: Y249TcO8bGxlcixkYz14\n\
        cn:: TcO8bGxlcg==\n\
        description:: IGxlZCBieSBhIHNwYWNl\n\
        description:: ZW5kZWQgYnkgb25lIA==\n\
        description:: OiBjb2xvbg==\n\
        description:: PHg=\n\
        description:: dHdvCmxpbmVz\n\
        description:: G1szMW0=\n\
        description:\n\
        jpegPhoto;binary:: /9gA\n";
    let written = write_entry(&entry);
    assert!(written.starts_with(expected), "{written}");
    assert!(
        written.contains(&format!("long: {}\n {}\n {}\n", "x".repeat(70), "x".repeat(75), "x".repeat(5))),
        "{written}"
    );
    assert!(written.ends_with("empty:\n# left out, its name is none: evil\\ndn: cn=other\n\n"), "{written}");
}

#[test]
fn entries_in_all_their_spellings() {
    let text = "\u{feff}version: 1\r\n# a comment\r\n  that goes on\r\ndn: cn=Ann\r\n ,dc=x\r\ncn: Ann\r\nCN:  Annie \r\nsn:: TGVl\r\n\r\n\r\n# between\r\ndn:: Y249Qm9i\r\nmail:bob@x\r\nnote:";
    let entries = parse_entries(text).expect("LDIF");
    assert_eq!(
        entries,
        [
            entry("cn=Ann,dc=x", vec![attribute("cn", &[b"Ann", b"Annie "]), attribute("sn", &[b"Lee"])]),
            entry("cn=Bob", vec![attribute("mail", &[b"bob@x"]), attribute("note", &[b""])]),
        ]
    );
    assert_eq!(parse_entries(""), Ok(vec![]));
    assert_eq!(parse_entries("# only\n\n"), Ok(vec![]));
}

#[test]
fn errors_name_the_line() {
    for (line, text) in [
        (1, "cn: Ann\n"),
        (1, " dn: cn=a\n"),
        (3, "dn: cn=a\n\n cn: b\n"),
        (2, "dn: cn=a\nno colon\n"),
        (2, "dn: cn=a\njpegPhoto:< file:///etc/passwd\n"),
        (2, "dn: cn=a\ncn:: %%%\n"),
        (2, "dn: cn=a\ndn: cn=b\n"),
        (2, "dn: cn=a\n-\n"),
        (2, "dn: cn=a\nchangetype: delete\n"),
        (2, "dn: cn=a\nchangetype: modify\n"),
        (1, "version: 2\n"),
        (4, "version: 1\n\n# c\nversion: 1\n"),
        (2, "dn: cn=a\nc n: x\n"),
    ] {
        assert_eq!(parse_entries(text).map_err(|error| error.line), Err(line), "{text:?}");
    }
}

#[test]
fn every_kind_of_change() {
    let text = "\
dn: cn=new,dc=x
changetype: add
objectClass: person
cn: new

dn: cn=plain,dc=x
cn: plain

dn: cn=a,dc=x
changetype: modify
add: mail
mail: a@x
mail: b@x
-
delete: title
-
replace: sn
sn:: TGVl
-
increment: uidNumber
uidNumber: 1

dn: cn=b,dc=x
changetype: delete

dn: cn=c,dc=x
changetype: modrdn
newrdn: cn=d
deleteoldrdn: 1

dn: cn=e,dc=x
changetype: ModDN
newrdn: cn=e
deleteoldrdn: 0
newsuperior: ou=y,dc=x
";
    let step = |kind, name: &str, values: &[&[u8]]| Modification { kind, attribute: attribute(name, values) };
    let record = |dn: &str, line, change| ChangeRecord { dn: dn.into(), change, line };
    let expected = vec![
        record("cn=new,dc=x", 1, Change::Add(vec![attribute("objectClass", &[b"person"]), attribute("cn", &[b"new"])])),
        record("cn=plain,dc=x", 6, Change::Add(vec![attribute("cn", &[b"plain"])])),
        record(
            "cn=a,dc=x",
            9,
            Change::Modify(vec![
                step(ModificationKind::Add, "mail", &[b"a@x", b"b@x"]),
                step(ModificationKind::Delete, "title", &[]),
                step(ModificationKind::Replace, "sn", &[b"Lee"]),
                step(ModificationKind::Increment, "uidNumber", &[b"1"]),
            ]),
        ),
        record("cn=b,dc=x", 23, Change::Delete),
        record("cn=c,dc=x", 26, Change::ModifyDn { new_rdn: "cn=d".into(), delete_old_rdn: true, new_superior: None }),
        record(
            "cn=e,dc=x",
            31,
            Change::ModifyDn { new_rdn: "cn=e".into(), delete_old_rdn: false, new_superior: Some("ou=y,dc=x".into()) },
        ),
    ];
    assert_eq!(parse_changes(text), Ok(expected));
}

#[test]
fn malformed_changes_are_refused_with_their_line() {
    for (line, rest) in [
        (1, ""),
        (2, "changetype: frob"),
        (2, "changetype: add"),
        (2, "changetype: modify"),
        (3, "changetype: modify\nmail: a"),
        (3, "changetype: modify\nadd: mail\n-"),
        (3, "changetype: modify\nadd: c n\nmail: a"),
        (4, "changetype: modify\nadd: mail\nsn: a"),
        (3, "changetype: modify\n-"),
        (5, "changetype: modify\ndelete: mail\n-\n-"),
        (3, "changetype: modify\nincrement: n\n-"),
        (3, "changetype: delete\ncn: a"),
        (2, "changetype: modrdn"),
        (3, "changetype: modrdn\ndeleteoldrdn: 1\nnewrdn: cn=b"),
        (3, "changetype: modrdn\nnewrdn: cn=b,dc=x\ndeleteoldrdn: 1"),
        (4, "changetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: yes"),
        (5, "changetype: modrdn\nnewrdn: cn=b\ndeleteoldrdn: 1\nnewsuperior: nonsense"),
        (2, "control: 1.2.3 true\nchangetype: delete"),
        (3, "cn: a\nchangetype: delete"),
        (3, "cn: a\n-"),
    ] {
        let text = format!("dn: cn=a,dc=x\n{rest}\n");
        assert_eq!(parse_changes(&text).map_err(|error| error.line), Err(line), "{text:?}");
    }
    assert_eq!(parse_changes("dn: nonsense\nchangetype: delete\n").map_err(|error| error.line), Err(1));
    assert_eq!(parse_changes("dn:: /w==\nchangetype: delete\n").map_err(|error| error.line), Err(1));
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..120), "[ -~]{0,120}".prop_map(String::into_bytes)]
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    proptest::collection::btree_map("[a-z]{1,9}(;[a-z]{1,5})?", proptest::collection::vec(value(), 1..4), 1..5)
        .prop_filter_map("names of lines", |map| {
            let reserved = |name: &String| matches!(name.as_str(), "dn" | "version" | "control" | "changetype");
            (!map.keys().any(reserved))
                .then(|| map.into_iter().map(|(name, values)| Attribute { name, values }).collect())
        })
}

fn change() -> impl Strategy<Value = Change> {
    use ModificationKind::{Add, Delete, Replace};
    let step = (attributes(), prop_oneof![Just(Add), Just(Delete), Just(Replace)]).prop_map(|(attributes, kind)| {
        attributes.into_iter().map(|attribute| Modification { kind, attribute }).collect::<Vec<_>>()
    });
    prop_oneof![
        attributes().prop_map(Change::Add),
        step.prop_map(Change::Modify),
        Just(Change::Delete),
        (any::<String>(), any::<bool>(), proptest::option::of(any::<String>())).prop_map(
            |(name, delete_old_rdn, above)| Change::ModifyDn {
                new_rdn: format!("cn={}", crate::dn::escape_value(&name)),
                delete_old_rdn,
                new_superior: above.map(|name| format!("ou={}", crate::dn::escape_value(&name))),
            }
        ),
    ]
}

proptest! {
    #[test]
    fn entries_round_trip(dns in proptest::collection::vec(any::<String>(), 1..4), attributes in attributes()) {
        let entries: Vec<Entry> = dns.into_iter().map(|dn| Entry::new(dn, attributes.clone())).collect();
        let text: String = entries.iter().map(write_entry).collect();
        prop_assert!(text.is_ascii());
        prop_assert!(text.lines().all(|line| line.len() <= 76));
        prop_assert_eq!(parse_entries(&text), Ok(entries.clone()));
        prop_assert_eq!(parse_entries(&text.replace('\n', "\r\n")), Ok(entries));
    }

    #[test]
    fn changes_round_trip(name in any::<String>(), change in change()) {
        let record = ChangeRecord { dn: format!("cn={}", crate::dn::escape_value(&name)), change, line: 1 };
        prop_assert_eq!(parse_changes(&write_change(&record)), Ok(vec![record]));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,80}|((dn|cn|changetype|add|version|newrdn|-)?(:|::|:<)? ?[a-z=]{0,6}\r?\n){0,12}") {
        let _ = (parse_entries(&text), parse_changes(&text));
    }

    #[test]
    fn names_from_a_server_are_never_syntax(name in any::<String>(), value in value()) {
        let text = write_entry(&Entry::new("cn=a", vec![Attribute { name: name.clone(), values: vec![value] }]));
        if let Ok(entries) = parse_entries(&text) {
            prop_assert_eq!(entries.len(), 1);
            prop_assert!(entries[0].attributes().all(|(own, _)| own == name));
        }
    }
}
