use super::*;
use proptest::prelude::*;

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn spellings_of_one_name_are_equal() {
    for (one, other) in [
        ("CN=Ann,DC=x", "cn=ann,dc=X"),
        ("cn=Ann,dc=x", "  cn = Ann , dc = x  "),
        ("cn=Ann;dc=x", "cn=Ann,dc=x"),
        ("cn=Ann  Lee,dc=x", "cn=ann lee,dc=x"),
        ("cn=Lee\\, Ann", "cn=\"Lee, Ann\""),
        ("cn=Lee\\, Ann", "cn=Lee\\2C\\20Ann"),
        ("cn=Ann\\20", "cn=Ann"),
        ("cn=\\ Ann", "cn=Ann"),
        ("cn=a+sn=b,dc=x", "SN=B+CN=A,dc=x"),
        ("2.5.4.3=Ann", "cn=Ann"),
        ("OID.2.5.4.3=Ann", "commonName=Ann"),
        ("0.9.2342.19200300.100.1.25=x", "DC=x"),
        ("userid=ann", "uid=ann"),
        ("cn=#0c03416e6e", "cn=Ann"),
        ("cn=#0403416E6E", "cn=Ann"),
        ("cn=M\\c3\\bcller", "cn=MÜLLER"),
        ("cn=Mu\u{308}ller", "cn=müller"),
        ("cn=\u{ff21}nn", "cn=Ann"),
        ("cn=Straße", "cn=STRASSE"),
        ("cn=ΣΑΣ", "cn=σας"),
        ("cn=a=b", "cn=a\\=b"),
        ("cn=a\u{a0}b", "cn=a b"),
    ] {
        assert_eq!(dn(one), dn(other), "{one} and {other}");
        assert_eq!(dn(one).key(), dn(other).key());
    }
}

#[test]
fn different_names_stay_different() {
    for (one, other) in [
        ("cn=Ann,dc=x", "cn=Ann\\,dc=x"),
        ("cn=a+sn=b", "cn=a\\+sn\\=b"),
        ("cn=a,dc=x", "dc=x,cn=a"),
        ("cn=a", "sn=a"),
        ("cn=ad\\00min", "cn=admin"),
        ("cn=ad\u{200b}min", "cn=admin"),
        ("cn=ann", "cn=аnn"),
        ("cn=\\#0401", "cn=#020101"),
        ("cn=\\ff", "cn=\\\\ff"),
        ("cn=\\ff", "cn=#ff"),
        ("cn=", ""),
        ("1.2.3=a", "1.2.4=a"),
        ("cn=ab", "cn=a b"),
    ] {
        assert_ne!(dn(one), dn(other), "{one} and {other}");
        assert_ne!(dn(one).key(), dn(other).key());
    }
}

#[test]
fn what_is_no_name_is_refused() {
    let long = format!("cn={}", "a".repeat(MAX_LENGTH));
    let many = vec!["dc=x"; MAX_RDNS + 1].join(",");
    let wide = vec!["cn=x"; MAX_VALUES_PER_RDN + 1].join("+");
    for text in [
        "Ann",
        "cn",
        "=Ann",
        "cn=Ann,",
        ",cn=Ann",
        "cn=Ann,,dc=x",
        "cn=Ann+",
        "cn=a\\",
        "cn=a\\g",
        "cn=a\\4",
        "cn=\"a",
        "cn=\"a\"b",
        "cn=#",
        "cn=#4",
        "cn=#zz",
        "cn=#04zz",
        "cn=a<b",
        "cn=a>b",
        "cn=a\"b",
        "cn=a\0b",
        "1=a",
        "1..2=a",
        "01.2=a",
        "1.02=a",
        "c_n=a",
        "-cn=a",
        "c\u{e9}=a",
        "OID.=a",
        "cn;lang=a",
        &long,
        &many,
        &wide,
    ] {
        assert!(Dn::parse(text).is_err(), "{text:.40} was taken");
    }
    assert_eq!(Dn::parse("cn=a,b"), Err(DnError { reason: "'=' was expected", at: 6 }));
    assert_eq!(Dn::from_bytes(b"cn=\xff"), Err(DnError { reason: "not UTF-8", at: 3 }));
}

#[test]
fn caps_are_reached_but_not_crossed() {
    assert_eq!(dn(&vec!["dc=x"; MAX_RDNS].join(",")).depth(), MAX_RDNS);
    assert!(Dn::parse(&format!("cn={}", "a".repeat(MAX_LENGTH - 3))).is_ok());
}

#[test]
fn the_empty_name_is_the_root() {
    for text in ["", "  "] {
        let root = dn(text);
        assert!(root.is_root());
        assert_eq!((root.depth(), root.parent(), root.leaf()), (0, None, None));
        assert_eq!(root, Dn::root());
    }
    assert!(dn("cn=a").is_within(&Dn::root()));
    assert!(!Dn::root().is_within(&dn("cn=a")));
    assert_eq!(dn("cn=a").parent(), Some(Dn::root()));
}

#[test]
fn within_is_by_part_not_by_text() {
    let base = dn("ou=press,dc=x");
    for inside in ["OU=Press, DC=X", "cn=a,ou=press,dc=x", "cn=a,cn=b,ou=press,dc=x"] {
        assert!(dn(inside).is_within(&base), "{inside}");
    }
    for outside in ["dc=x", "cn=a,dc=x", "cn=a\\,ou=press,dc=x", "xou=press,dc=x", "cn=a,ou=press,dc=xx"] {
        assert!(!dn(outside).is_within(&base), "{outside}");
    }
}

#[test]
fn parents() {
    let name = dn("cn=Lee\\, A\\,nn , OU=\"a,b\" ; dc=x");
    let parent = name.parent().expect("has one");
    assert_eq!(parent.as_str(), "OU=\"a,b\" ; dc=x");
    assert_eq!(parent, dn(parent.as_str()));
    assert_eq!(parent.parent().map(|dn| dn.to_string()), Some("dc=x".into()));
    assert_eq!(dn("cn=a+sn=b,dc=x").parent(), Some(dn("dc=x")));
}

#[test]
fn leaves() {
    assert_eq!(dn("CN=Lee\\, Ann\\20,dc=x").leaf(), Some(("CN".into(), "Lee, Ann ".into())));
    assert_eq!(dn("cn=a \\  b,dc=x").leaf(), Some(("cn".into(), "a   b".into())));
    assert_eq!(dn("OID.2.5.4.3=a").leaf(), Some(("2.5.4.3".into(), "a".into())));
    assert_eq!(dn("cn=\\ff,dc=x").leaf(), None);
    assert_eq!(dn("cn=a+sn=b,dc=x").leaf_values().len(), 2);
    assert_eq!(dn("cn=a+sn=b,dc=x").rdns()[1][0].value, b"x");
}

#[test]
fn moves() {
    assert_eq!(dn("cn=a\\,b,ou=x,dc=x").moved_to(&dn("ou=y,dc=x")), dn("cn=a\\,b,ou=y,dc=x"));
    assert_eq!(dn("cn=a,ou=x").moved_to(&Dn::root()), dn("cn=a"));
}

#[test]
fn children_hold_any_value() {
    let base = dn("ou=people,dc=x");
    for value in
        ["ann", "a,dc=evil", "a+cn=b", " a ", "#0401", "\0", "a\nb", "\\", "\"", "é", "", "*)(uid=*", "=", ";<>"]
    {
        let child = base.child("uid", value);
        assert_eq!(child, dn(child.as_str()), "{value:?}");
        assert_eq!(child.leaf(), Some(("uid".into(), value.into())), "{value:?}");
        assert_eq!(child.parent(), Some(base.clone()));
        assert_eq!(child.depth(), 3);
    }
    assert_eq!(Dn::root().child("dc", "x"), dn("dc=x"));
}

#[test]
fn parents_sort_before_children() {
    let mut names = vec![dn("cn=a,dc=x"), dn("dc=y"), dn("cn=b,cn=a,dc=x"), dn("dc=x"), Dn::root()];
    names.sort();
    assert_eq!(names, [Dn::root(), dn("dc=x"), dn("cn=a,dc=x"), dn("cn=b,cn=a,dc=x"), dn("dc=y")]);
}

/// `type=value` as bytes, and a spelling of it.
fn rdn() -> impl Strategy<Value = (String, String)> {
    ("[a-z]{1,5}|1\\.[1-9]{1,3}", "\\PC{0,12}|[ ,+=\\\\\"#;<>A-Za-z\0]{0,12}")
}

/// Another spelling of a value: random characters as hex pairs, ASCII letters in another case, more space.
fn carries(value: &str, at: usize) -> bool {
    value.chars().nth(at + 1).is_some_and(unicode_normalization::char::is_combining_mark)
}

fn respell(value: &str, choices: &[u8]) -> String {
    let last = value.chars().count().saturating_sub(1);
    value
        .chars()
        .enumerate()
        .map(|(at, c)| {
            let choice = choices.get(at % choices.len().max(1)).copied().unwrap_or_default();
            let mut buffer = [0; 4];
            let mut hex = String::new();
            for byte in c.encode_utf8(&mut buffer).bytes() {
                escape::push_hex(&mut hex, byte);
            }
            match (choice % 4, c) {
                (0, _) => hex,
                (1, 'a'..='z') => c.to_ascii_uppercase().to_string(),
                (1, 'A'..='Z') => c.to_ascii_lowercase().to_string(),
                // A space that carries a combining mark is a character: two of them are a gap and that character.
                (2, ' ') if at > 0 && at < last && !carries(value, at) => "  ".into(),
                _ if c.is_alphanumeric() => c.into(),
                (_, ' ') if at > 0 && at < last => " ".into(),
                _ => hex,
            }
        })
        .collect()
}

fn spell(rdns: &[(String, String)], separator: &str) -> String {
    rdns.iter().map(|(kind, value)| format!("{kind}={}", escape_value(value))).collect::<Vec<_>>().join(separator)
}

/// Each by itself, so that none is left to chance. No letter beyond these has a case.
#[test]
fn every_letter_is_prepared_once_and_for_all() {
    for letter in (char::MIN..='\u{1ffff}').map(String::from) {
        let once = prepare_case_ignore(&letter).into_owned();
        assert_eq!(prepare_case_ignore(&once), once.as_str(), "{letter:?}");
    }
    assert_eq!(prepare_case_ignore("STRA\u{1e9e}E"), prepare_case_ignore("stra\u{df}e"));
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,60}|[a-z=,+\\\\\"# ;0-9\0]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for parsed in [Dn::parse(&text), Dn::from_bytes(&bytes)].into_iter().flatten() {
            let _ = (parsed.parent(), parsed.leaf(), parsed.rdns(), parsed.depth(), parsed.key());
            prop_assert_eq!(Dn::parse(parsed.as_str()), Ok(parsed.clone()));
            prop_assert!(parsed.is_within(&parsed));
            prop_assert_eq!(parsed.rdns().len(), parsed.depth());
        }
    }

    #[test]
    fn escapes_round_trip(value in any::<String>()) {
        let escaped = escape_value(&value);
        let parsed = dn(&format!("cn={escaped},dc=x"));
        prop_assert_eq!(parsed.depth(), 2);
        prop_assert_eq!(parsed.leaf(), Some(("cn".into(), value.clone())));
        prop_assert_eq!(&parsed, &dn("dc=x").child("cn", &value));
    }

    #[test]
    fn bytes_round_trip(value in proptest::collection::vec(any::<u8>(), 0..20)) {
        let parsed = dn(&format!("cn={}", escape_bytes(&value)));
        prop_assert_eq!(&parsed.leaf_values()[0].value, &value);
    }

    #[test]
    fn spelling_does_not_matter(rdns in proptest::collection::vec(rdn(), 1..5), choices in proptest::collection::vec(any::<u8>(), 1..9)) {
        let one = dn(&spell(&rdns, ","));
        let respelled: Vec<_> = rdns.iter().map(|(kind, value)| format!(" {}  = {} ", kind.to_uppercase(), respell(value, &choices))).collect();
        let other = dn(&respelled.join(";"));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.key(), other.key());
        prop_assert_eq!(one.cmp(&other), Ordering::Equal);
    }

    #[test]
    fn keys_hold_names_apart(one in proptest::collection::vec(rdn(), 1..4), other in proptest::collection::vec(rdn(), 1..4)) {
        let prepared = |rdns: &[(String, String)]| rdns.iter().map(|(kind, value)| (kind.clone(), prepare_case_ignore(value).into_owned())).collect::<Vec<_>>();
        let same = prepared(&one) == prepared(&other);
        prop_assert_eq!(dn(&spell(&one, ",")) == dn(&spell(&other, ",")), same);
    }

    #[test]
    fn order_of_values_does_not_matter(rdns in proptest::collection::vec(rdn(), 1..5)) {
        let reversed: Vec<_> = rdns.iter().rev().cloned().collect();
        prop_assert_eq!(dn(&spell(&rdns, "+")), dn(&spell(&reversed, " + ")));
    }

    #[test]
    fn within_agrees_with_parents(rdns in proptest::collection::vec(rdn(), 1..5)) {
        let name = dn(&spell(&rdns, ","));
        let mut above = name.parent();
        while let Some(parent) = above {
            prop_assert!(name.is_within(&parent));
            prop_assert!(!parent.is_within(&name));
            prop_assert!(parent < name);
            prop_assert_eq!(&Dn::parse(parent.as_str()), &Ok(parent.clone()));
            above = parent.parent();
        }
    }

    #[test]
    fn preparing_is_idempotent(text in "\\PC{0,30}") {
        let once = prepare_case_ignore(&text).into_owned();
        prop_assert_eq!(prepare_case_ignore(&once), once.as_str());
    }

    #[test]
    fn the_fast_way_agrees_with_the_slow_one(text in "[ -~\t\n]{0,30}") {
        let fast = prepare_case_ignore(&text).into_owned();
        // A letter outside ASCII forces the other path.
        let slow = prepare_case_ignore(&format!("é{text}")).into_owned();
        let expected = if text.starts_with([' ', '\t', '\n']) && !fast.is_empty() { format!("é {fast}") } else { format!("é{fast}") };
        prop_assert_eq!(slow, expected);
    }
}
