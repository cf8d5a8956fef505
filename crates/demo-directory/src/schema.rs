//! What the directory knows of attribute types: names that mean the same, and how values are compared.
//!
//! A table, not a schema: an attribute that is not in it is a text, and nothing is refused for being unknown.

use bindery_ldap::Dn;
use bindery_ldap::dn::prepare_case_ignore;
use bindery_ldap::value::generalized_time;
use std::borrow::Cow;

/// How the values of an attribute are compared (RFC 4517, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Syntax {
    /// `caseIgnoreMatch`.
    Text,
    /// `caseExactMatch`.
    Exact,
    /// `distinguishedNameMatch`.
    Name,
    /// `integerMatch`.
    Integer,
    /// `generalizedTimeMatch`.
    Time,
    /// `booleanMatch`.
    Boolean,
    /// `telephoneNumberMatch`.
    Telephone,
    /// `octetStringMatch`.
    Octets,
}

/// Who may set an attribute, and when it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Usage {
    /// Returned for `*`.
    User,
    /// Returned for `+` or by name.
    Operational,
    /// The same, and nobody can set it.
    Maintained,
}

struct Type {
    name: &'static str,
    /// OIDs and other names, in lower case.
    aliases: &'static [&'static str],
    syntax: Syntax,
    usage: Usage,
}

const fn user(name: &'static str, aliases: &'static [&'static str], syntax: Syntax) -> Type {
    Type { name, aliases, syntax, usage: Usage::User }
}

const fn operational(name: &'static str, syntax: Syntax, usage: Usage) -> Type {
    Type { name, aliases: &[], syntax, usage }
}

/// In lower case.
const TYPES: &[Type] = &[
    user("objectclass", &["2.5.4.0"], Syntax::Text),
    user("cn", &["2.5.4.3", "commonname"], Syntax::Text),
    user("sn", &["2.5.4.4", "surname"], Syntax::Text),
    user("c", &["2.5.4.6", "countryname"], Syntax::Text),
    user("l", &["2.5.4.7", "localityname"], Syntax::Text),
    user("st", &["2.5.4.8", "stateorprovincename"], Syntax::Text),
    user("o", &["2.5.4.10", "organizationname"], Syntax::Text),
    user("ou", &["2.5.4.11", "organizationalunitname"], Syntax::Text),
    user("givenname", &["2.5.4.42", "gn"], Syntax::Text),
    user("uid", &["0.9.2342.19200300.100.1.1", "userid"], Syntax::Text),
    user("mail", &["0.9.2342.19200300.100.1.3", "rfc822mailbox"], Syntax::Text),
    user("dc", &["0.9.2342.19200300.100.1.25", "domaincomponent"], Syntax::Text),
    user("member", &["2.5.4.31"], Syntax::Name),
    user("uniquemember", &["2.5.4.50"], Syntax::Name),
    user("owner", &["2.5.4.32"], Syntax::Name),
    user("seealso", &["2.5.4.34"], Syntax::Name),
    user("roleoccupant", &["2.5.4.33"], Syntax::Name),
    user("manager", &["0.9.2342.19200300.100.1.10"], Syntax::Name),
    user("secretary", &[], Syntax::Name),
    user("userpassword", &["2.5.4.35"], Syntax::Octets),
    user("jpegphoto", &[], Syntax::Octets),
    user("usercertificate", &["2.5.4.36"], Syntax::Octets),
    user("telephonenumber", &["2.5.4.20"], Syntax::Telephone),
    user("mobile", &["0.9.2342.19200300.100.1.41"], Syntax::Telephone),
    user("facsimiletelephonenumber", &["2.5.4.23"], Syntax::Telephone),
    user("uidnumber", &["1.3.6.1.1.1.1.0"], Syntax::Integer),
    user("gidnumber", &["1.3.6.1.1.1.1.1"], Syntax::Integer),
    user("shadowexpire", &["1.3.6.1.1.1.1.10"], Syntax::Integer),
    user("shadowlastchange", &["1.3.6.1.1.1.1.5"], Syntax::Integer),
    user("useraccountcontrol", &[], Syntax::Integer),
    user("memberuid", &["1.3.6.1.1.1.1.12"], Syntax::Exact),
    user("homedirectory", &["1.3.6.1.1.1.1.3"], Syntax::Exact),
    user("loginshell", &["1.3.6.1.1.1.1.4"], Syntax::Exact),
    operational("nsaccountlock", Syntax::Boolean, Usage::Operational),
    operational("pwdaccountlockedtime", Syntax::Time, Usage::Operational),
    operational("pwdreset", Syntax::Boolean, Usage::Operational),
    operational("pwdchangedtime", Syntax::Time, Usage::Maintained),
    operational("memberof", Syntax::Name, Usage::Maintained),
    operational("entryuuid", Syntax::Text, Usage::Maintained),
    operational("entrycsn", Syntax::Exact, Usage::Maintained),
    operational("contextcsn", Syntax::Exact, Usage::Maintained),
    operational("entrydn", Syntax::Name, Usage::Maintained),
    operational("createtimestamp", Syntax::Time, Usage::Maintained),
    operational("modifytimestamp", Syntax::Time, Usage::Maintained),
    operational("creatorsname", Syntax::Name, Usage::Maintained),
    operational("modifiersname", Syntax::Name, Usage::Maintained),
    operational("hassubordinates", Syntax::Boolean, Usage::Maintained),
    operational("structuralobjectclass", Syntax::Text, Usage::Maintained),
    operational("subschemasubentry", Syntax::Name, Usage::Maintained),
];

fn find(base: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.name == base)
}

/// An attribute description, taken apart: the one name of the type in lower case, and the options.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Description {
    pub base: String,
    pub options: Vec<String>,
    syntax: Syntax,
    usage: Usage,
}

impl Description {
    pub(crate) fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let mut parts = lower.split(';');
        let base = canonical(parts.next().unwrap_or_default()).into_owned();
        let mut options: Vec<String> = parts.map(str::to_owned).collect();
        options.sort_unstable();
        let known = find(&base);
        let syntax = known.map_or(Syntax::Text, |known| known.syntax);
        let usage = known.map_or(Usage::User, |known| known.usage);
        Self { base, options, syntax, usage }
    }

    /// Whether `other` is this type with at least these options (RFC 4512, 2.5.2).
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.base == other.base && self.options.iter().all(|option| other.options.contains(option))
    }

    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether it is a password, which nobody may read or compare with.
    pub(crate) fn is_secret(&self) -> bool {
        self.base == "userpassword"
    }
}

/// The one name of a type that several names stand for; the argument is in lower case.
fn canonical(lower: &str) -> Cow<'_, str> {
    let lower = lower.strip_prefix("oid.").unwrap_or(lower);
    match TYPES.iter().find(|known| known.aliases.contains(&lower)) {
        Some(known) => Cow::Borrowed(known.name),
        None => Cow::Borrowed(lower),
    }
}

/// A value in the form in which equal values are equal bytes; none where it is not of the syntax.
pub(crate) fn normalize(syntax: Syntax, value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if syntax == Syntax::Octets {
        return Some(Cow::Borrowed(value));
    }
    let text = std::str::from_utf8(value).ok()?;
    match syntax {
        Syntax::Text => Some(match prepare_case_ignore(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }),
        Syntax::Exact | Syntax::Octets => Some(Cow::Borrowed(value)),
        Syntax::Name => Some(Cow::Owned(Dn::parse(text).ok()?.key().into_bytes())),
        Syntax::Integer => Some(Cow::Owned(integer(text)?.to_string().into_bytes())),
        Syntax::Time => Some(Cow::Owned(generalized_time(text)?.timestamp_micros().to_string().into_bytes())),
        Syntax::Boolean => Some(Cow::Owned(text.to_ascii_uppercase().into_bytes())),
        Syntax::Telephone => {
            let digits = text.chars().filter(|c| !matches!(c, ' ' | '-')).flat_map(char::to_lowercase);
            Some(Cow::Owned(digits.collect::<String>().into_bytes()))
        }
    }
}

/// Whether two values are equal. Values that are not of their syntax are equal as bytes.
pub(crate) fn equal(syntax: Syntax, one: &[u8], other: &[u8]) -> bool {
    match (normalize(syntax, one), normalize(syntax, other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other,
        _ => false,
    }
}

pub(crate) fn integer(text: &str) -> Option<i128> {
    if text.starts_with('+') { None } else { text.trim().parse().ok() }
}

/// An object class: its name in lower case, its OID, the class above it.
struct Class {
    name: &'static str,
    oid: &'static str,
    superior: &'static str,
    auxiliary: bool,
}

const fn class(name: &'static str, oid: &'static str, superior: &'static str) -> Class {
    Class { name, oid, superior, auxiliary: false }
}

const fn auxiliary(name: &'static str, oid: &'static str) -> Class {
    Class { name, oid, superior: "top", auxiliary: true }
}

/// The classes that people look for by the class above them, and those that say nothing of what an entry is.
const CLASSES: &[Class] = &[
    class("top", "2.5.6.0", ""),
    class("organization", "2.5.6.4", "top"),
    class("organizationalunit", "2.5.6.5", "top"),
    class("person", "2.5.6.6", "top"),
    class("organizationalperson", "2.5.6.7", "person"),
    class("inetorgperson", "2.16.840.1.113730.3.2.2", "organizationalperson"),
    class("organizationalrole", "2.5.6.8", "top"),
    class("groupofnames", "2.5.6.9", "top"),
    class("groupofuniquenames", "2.5.6.17", "top"),
    class("posixgroup", "1.3.6.1.1.1.2.2", "top"),
    auxiliary("posixaccount", "1.3.6.1.1.1.2.0"),
    auxiliary("shadowaccount", "1.3.6.1.1.1.2.1"),
    auxiliary("simplesecurityobject", "0.9.2342.19200300.100.4.19"),
    auxiliary("dcobject", "1.3.6.1.4.1.1466.344"),
];

fn find_class(name: &[u8]) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name.as_bytes().eq_ignore_ascii_case(name))
}

/// What else an entry of a class is (RFC 4512, 2.4): the class's OID, and those of the classes above it with
/// their names. Every class is below `top`.
pub(crate) fn implied_classes(class: &[u8]) -> impl Iterator<Item = &'static str> {
    let mut next = find_class(class).or_else(|| find_class(b"top"));
    std::iter::from_fn(move || {
        let class = next?;
        next = find_class(class.superior.as_bytes());
        Some([class.name, class.oid])
    })
    .flatten()
}

/// Whether a class says what an entry is, and not only what it may have besides.
pub(crate) fn is_structural(class: &[u8]) -> bool {
    find_class(class).is_none_or(|class| !class.auxiliary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_type_are_one() {
        for (one, other) in
            [("commonName", "CN"), ("2.5.4.3", "cn"), ("OID.2.5.4.3", "cn"), ("cn;lang-de", "CN;LANG-DE")]
        {
            assert_eq!(Description::new(one), Description::new(other));
        }
        assert!(Description::new("cn").covers(&Description::new("cn;lang-de")));
        assert!(!Description::new("cn;lang-de").covers(&Description::new("cn")));
        assert!(!Description::new("cn").covers(&Description::new("sn")));
    }

    #[test]
    fn classes_imply_those_above_them() {
        let implied: Vec<_> = implied_classes(b"inetOrgPerson").collect();
        for class in ["inetorgperson", "person", "2.5.6.6", "top"] {
            assert!(implied.contains(&class), "{class}");
        }
        assert_eq!(implied_classes(b"unheardOf").collect::<Vec<_>>(), ["top", "2.5.6.0"]);
        assert!(is_structural(b"inetOrgPerson") && is_structural(b"unheardOf") && !is_structural(b"posixAccount"));
    }

    #[test]
    fn values_compare_by_their_syntax() {
        for (syntax, one, other) in [
            (Syntax::Text, "Ann  Lee", "ann lee "),
            (Syntax::Name, "CN=Ann, DC=x", "cn=ann,dc=X"),
            (Syntax::Integer, "007", "7"),
            (Syntax::Time, "202402291234Z", "20240229123400.0Z"),
            (Syntax::Boolean, "true", "TRUE"),
            (Syntax::Telephone, "+44 20 7946-0000", "+442079460000"),
        ] {
            assert!(equal(syntax, one.as_bytes(), other.as_bytes()), "{one} and {other}");
        }
        assert!(!equal(Syntax::Exact, b"Ann", b"ann"));
        assert!(!equal(Syntax::Name, b"nonsense", b"cn=a"));
        assert!(normalize(Syntax::Name, b"nonsense").is_none());
        assert!(normalize(Syntax::Text, b"\xff").is_none());
    }
}
