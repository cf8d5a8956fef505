use super::super::testing::entry;
use super::*;

fn rendered(text: &str, attributes: &[(&str, &str)]) -> Result<String, TemplateError> {
    Template::parse(text).unwrap().render(&entry(attributes))
}

#[test]
fn a_template_reads_the_entry() {
    let attributes = [("cn", "Ann B"), ("mail", "a@x"), ("memberOf", "one"), ("memberOf", "two"), ("x-y", "hyphen")];
    let table = [
        ("{{ displayName or cn }}", "Ann B"),
        ("{{ DISPLAYNAME or CN }}", "Ann B"),
        ("corp/{{ department }}", "corp/"),
        ("{{ department }}", ""),
        ("{{ department.building }}", ""),
        ("{{ memberOf }}", "one"),
        ("{{ values('memberOf') | join(',') }}", "one,two"),
        ("{{ entry.all.memberOf | length }}", "2"),
        ("{{ values('nothing') | length }}", "0"),
        (r#"{{ entry["x-y"] }}"#, "hyphen"),
        ("{{ entry.mail }}", "a@x"),
        ("{{ mail.split('@')[0] if false else (mail | split('@') | first) }}", "a"),
        ("{{ dn }}", "uid=ann,ou=people,dc=example"),
        ("{% for value in values('memberOf') %}[{{ value }}]{% endfor %}", "[one][two]"),
        ("{% if mail %}yes{% else %}no{% endif %}", "yes"),
        ("{{ givenName }} {{ sn }}", ""),
        ("{{ cn | upper }}", "ANN B"),
        ("{{ cn | replace(' ', '.') }}", "Ann.B"),
        ("no template at all", "no template at all"),
    ];
    for (text, expected) in table {
        assert_eq!(rendered(text, &attributes).unwrap(), expected, "{text}");
    }
}

#[test]
fn values_are_values_and_never_syntax() {
    let value = "{{ 7*7 }}<b>&\"'</b>{% include 'x' %}";
    assert_eq!(rendered("{{ cn }}", &[("cn", value)]).unwrap(), value);
}

#[test]
fn bytes_are_base64() {
    let entry = Entry::new(
        "cn=x",
        vec![bindery_directory::Attribute { name: "photo".to_owned(), values: vec![vec![0xff, 0xd8]] }],
    );
    assert_eq!(Template::parse("{{ photo }}").unwrap().render(&entry).unwrap(), "/9g=");
}

#[test]
fn what_no_entry_can_mend_shows_when_it_is_parsed() {
    for text in [
        "{{ cn",
        "{{ cn | nosuchfilter }}",
        "{{ nosuchfunction(cn) }}",
        "{% if cn is nosuchtest %}{% endif %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'base' %}",
        "{% import 'other' as other %}",
        "{% for x in range(100000) %}{{ x }}{% endfor %}",
        "{{ namespace(x=1) }}",
        "{{ debug() }}",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    assert!(Template::parse(&"x".repeat(SOURCE_LIMIT + 1)).is_err());
}

#[test]
fn steps_are_bounded() {
    let error = rendered("{% if cn %}{% for x in range(99999) %}.{% endfor %}{% endif %}", &[("cn", "x")]).unwrap_err();
    assert!(error.reason.contains("fuel"), "{error}");
}

#[test]
fn output_is_bounded_while_it_is_written() {
    let long = "x".repeat(LIMIT);
    assert_eq!(rendered("{{ cn }}", &[("cn", &long)]).unwrap().len(), LIMIT);
    assert!(rendered("{{ cn }}.", &[("cn", &long)]).is_err());
    assert!(rendered("{% if cn %}{{ cn * 1000 }}{% endif %}", &[("cn", &long)]).is_err());
    assert!(rendered("{{ cn | replace('x', cn) }}", &[("cn", &long)]).is_err());
}

#[test]
fn what_is_read_is_bounded_too() {
    let long = "x".repeat(LIMIT + 1);
    let error = rendered("{{ cn | length }}", &[("cn", &long)]).unwrap_err();
    assert!(error.reason.contains("cn"), "{error}");
    assert_eq!(rendered("{{ sn }}", &[("cn", &long), ("sn", "short")]).unwrap(), "short");
}

#[test]
fn a_nul_never_gets_out() {
    assert!(rendered("a\0b", &[]).is_err());
}

#[test]
fn only_what_is_read_is_asked_for() {
    let table: &[(&str, &[&str])] = &[
        ("{{ displayName or cn }}", &["cn", "displayName"]),
        ("{{ CN }}{{ cn }}", &["CN"]),
        ("{{ dn }}", &[]),
        ("{{ values('memberOf') | join(',') }}", &["memberOf"]),
        (r#"{{ entry["x-y"] }}"#, &["x-y"]),
        ("{{ entry.mail }}{{ entry.all.memberOf }}", &["mail", "memberOf"]),
        ("{% if a %}{{ b }}{% elif c %}{{ d }}{% else %}{{ e }}{% endif %}", &["a", "b", "c", "d", "e"]),
        ("{% if a %}{{ entry['x-y'] }}{% endif %}", &["a", "x-y"]),
        ("{% set cn = cn | upper %}{{ cn }}", &["cn"]),
        ("{% for v in values('memberOf') %}{{ v }}{{ loop.index }}{% endfor %}", &["memberOf"]),
        ("{% for x in range(3) %}{{ sn }}{% endfor %}", &["sn"]),
        ("{{ mail.domain }}", &["mail"]),
        ("plain", &[]),
    ];
    for (text, expected) in table {
        assert_eq!(Template::parse(text).unwrap().attributes(), *expected, "{text}");
    }
}
