use super::*;
use proptest::prelude::*;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The examples of RFC 4515, section 4, and some of every kind.
#[test]
fn texts_round_trip() {
    for text in [
        "(cn=Babs Jensen)",
        "(!(cn=Tim Howes))",
        "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))",
        "(o=univ*of*mich*)",
        "(seeAlso=)",
        "(cn:caseExactMatch:=Fred Flintstone)",
        "(cn:=Betty Rubble)",
        "(sn:dn:2.4.6.8.10:=Barney Rubble)",
        "(o:dn:=Ace Industry)",
        "(:1.2.3:=Wilma Flintstone)",
        "(:dn:2.4.6.8.10:=Dino)",
        "(cn=*)",
        "(cn=*a)",
        "(cn=*a*)",
        "(age>=21)",
        "(age<=21)",
        "(cn~=ann)",
        "(&)",
        "(|)",
        "(cn;lang-de=Ann)",
        "(2.5.4.3=Ann)",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(cn=Müller)",
        "(cn=a=b>c~d:=e)",
        "(cn= a )",
    ] {
        assert_eq!(filter(text).to_string(), text);
    }
}

#[test]
fn values_are_bytes() {
    assert_eq!(
        filter(r"(o=Parens R Us \28for all your parenthetical needs\29)"),
        Filter::equal("o", "Parens R Us (for all your parenthetical needs)")
    );
    assert_eq!(
        filter(r"(cn=*\2A*)"),
        Filter::Substrings { attribute: "cn".into(), initial: None, any: vec![b"*".to_vec()], last: None }
    );
    assert_eq!(filter(r"(bin=\00\00\00\04)"), Filter::equal("bin", [0, 0, 0, 4]));
    assert_eq!(filter(r"(sn=Lu\c4\8di\c4\87)"), Filter::equal("sn", "Lučić"));
    assert_eq!(Filter::equal("bin", [0xff, b'*', 0]).to_string(), r"(bin=\ff\2a\00)");
}

#[test]
fn white_space_around_filters_is_accepted() {
    let text = " (&\n  (objectClass=person)\n  (! (cn=a) )\n) ";
    assert_eq!(filter(text).to_string(), "(&(objectClass=person)(!(cn=a)))");
}

#[test]
fn what_is_no_filter_is_refused() {
    for text in [
        "",
        "cn=a",
        "(",
        ")",
        "()",
        "(cn)",
        "(cn=a",
        "cn=a)",
        "(cn=a))",
        "(cn=a)(cn=b)",
        "(=a)",
        "(cn=a(b)",
        r"(cn=\)",
        r"(cn=\4)",
        r"(cn=\zz)",
        "(cn=a**b)",
        "(cn=**)",
        "(cn>=a*)",
        "(cn~=*)",
        "(cn:=a*)",
        "(cn>a)",
        "(cn~a)",
        "(!)",
        "(!(a=b)(c=d))",
        "(&(a=b)c)",
        "(:=a)",
        "(:dn:=a)",
        "(cn:dn:1.2:x:=a)",
        "(cn:rule=a)",
        "(cn::=a)",
        "(c n=a)",
        "(cn =a)",
        "(-cn=a)",
        "(é=a)",
        "(cn=\0)",
        "(&",
        "(&)x",
    ] {
        assert!(Filter::parse(text).is_err(), "{text} was taken");
    }
    assert_eq!(Filter::parse("(uid=a"), Err(FilterError { reason: "')' was expected", at: 6 }));
}

#[test]
fn nesting_is_capped() {
    let nested = |depth: usize| format!("{}(a=b){}", "(!".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(MAX_DEPTH - 1)).is_ok());
    assert!(Filter::parse(&nested(MAX_DEPTH)).is_err());
    assert!(Filter::parse(&nested(1_000_000)).is_err());
}

#[test]
fn nesting_is_capped_on_the_wire() {
    let nested = |depth| (0..depth).fold(Filter::present("a"), |inner, _| Filter::Not(Box::new(inner)));
    assert!(crate::convert::filter(&nested(MAX_DEPTH - 1)).is_ok());
    assert!(crate::convert::filter(&nested(MAX_DEPTH)).is_err());
}

#[test]
fn malformed_filters_of_the_wire_are_refused() {
    use rasn_ldap::{SubstringChoice as Part, SubstringFilter};
    let part = |bytes: &'static [u8]| rasn::types::OctetString::from_static(bytes);
    for parts in [
        vec![],
        vec![Part::Any(part(b"a")), Part::Initial(part(b"b"))],
        vec![Part::Final(part(b"a")), Part::Any(part(b"b"))],
        vec![Part::Initial(part(b"a")), Part::Initial(part(b"b"))],
    ] {
        let wire = rasn_ldap::Filter::Substrings(SubstringFilter::new("cn".into(), parts));
        assert!(Filter::try_from(wire).is_err());
    }
}

#[test]
fn one_of_a_list_stands_for_itself() {
    let one = Filter::present("cn");
    assert_eq!(Filter::all([one.clone()]), one);
    assert_eq!(Filter::any([one.clone()]), one);
    assert_eq!(Filter::all([one.clone(), one.clone()]), Filter::And(vec![one.clone(), one]));
    assert_eq!(Filter::any([]), Filter::Or(vec![]));
}

fn attribute() -> impl Strategy<Value = String> {
    "[a-z][a-zA-Z0-9-]{0,8}(;[a-z]{1,4})?|[0-2](\\.[1-9][0-9]{0,3}){1,4}"
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 1..12), "[*()\\\\\0 a-zé]{1,12}".prop_map(String::into_bytes)]
}

/// `and` and `or` are sets, and the encoder sorts sets.
fn sorted(filter: Filter) -> Filter {
    let all = |filters: Vec<Filter>| {
        let mut filters: Vec<Filter> = filters.into_iter().map(sorted).collect();
        filters.sort_by_key(Filter::to_string);
        filters
    };
    match filter {
        Filter::And(filters) => Filter::And(all(filters)),
        Filter::Or(filters) => Filter::Or(all(filters)),
        Filter::Not(filter) => Filter::Not(Box::new(sorted(*filter))),
        other => other,
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let item = prop_oneof![
        (attribute(), value()).prop_map(|(attribute, value)| Filter::Equal { attribute, value }),
        (attribute(), value()).prop_map(|(attribute, value)| Filter::GreaterOrEqual { attribute, value }),
        (attribute(), value()).prop_map(|(attribute, value)| Filter::LessOrEqual { attribute, value }),
        (attribute(), value()).prop_map(|(attribute, value)| Filter::Approx { attribute, value }),
        attribute().prop_map(Filter::Present),
        (
            attribute(),
            proptest::option::of(value()),
            proptest::collection::vec(value(), 0..3),
            proptest::option::of(value())
        )
            .prop_filter("has a part", |(_, initial, any, last)| initial.is_some() || !any.is_empty() || last.is_some())
            .prop_map(|(attribute, initial, any, last)| Filter::Substrings { attribute, initial, any, last }),
        (
            proptest::option::of("[a-c][a-zA-Z]{1,8}|1\\.[1-9]{1,4}"),
            proptest::option::of(attribute()),
            value(),
            any::<bool>()
        )
            .prop_filter("names something", |(rule, attribute, _, _)| rule.is_some() || attribute.is_some())
            .prop_map(|(rule, attribute, value, dn_attributes)| Filter::Extensible {
                rule,
                attribute,
                value,
                dn_attributes
            }),
    ];
    item.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn every_filter_round_trips_as_text(filter in any_filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn every_filter_round_trips_on_the_wire(filter in any_filter()) {
        let bytes = rasn::ber::encode(&crate::convert::filter(&filter).expect("converts")).expect("encodes");
        let wire: rasn_ldap::Filter = rasn::ber::decode(&bytes).expect("decodes");
        prop_assert_eq!(sorted(Filter::try_from(wire).expect("a filter")), sorted(filter));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,60}|[()&|!=*:<>~a-z\\\\0-9 ]{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
        }
    }

    #[test]
    fn input_is_never_syntax(typed in any::<String>()) {
        let filter = Filter::all([Filter::present("objectClass"), Filter::equal("uid", typed.clone())]);
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }
}
