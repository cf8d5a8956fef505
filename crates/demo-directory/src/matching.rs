//! Deciding whether an entry matches a filter (RFC 4511, 4.5.1.7): true, false or undefined.
//!
//! A filter is compiled once for a search: assertions are normalised, in-chain rules are followed, and what
//! the indexes can answer is found. No filter ever sees a password.

use crate::node::Node;
use crate::schema::{self, Description, Syntax};
use crate::tree::Tree;
use bindery_ldap::dn::prepare_case_ignore;
use bindery_ldap::value::generalized_time;
use bindery_ldap::{Dn, Filter};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

/// Matching rules by OID and name, in lower case.
const RULES: &[(&str, &str, Rule)] = &[
    ("2.5.13.0", "objectidentifiermatch", Rule::Equality(Syntax::Text)),
    ("2.5.13.1", "distinguishednamematch", Rule::Equality(Syntax::Name)),
    ("2.5.13.2", "caseignorematch", Rule::Equality(Syntax::Text)),
    ("2.5.13.5", "caseexactmatch", Rule::Equality(Syntax::Exact)),
    ("2.5.13.13", "booleanmatch", Rule::Equality(Syntax::Boolean)),
    ("2.5.13.14", "integermatch", Rule::Equality(Syntax::Integer)),
    ("2.5.13.17", "octetstringmatch", Rule::Equality(Syntax::Octets)),
    ("2.5.13.20", "telephonenumbermatch", Rule::Equality(Syntax::Telephone)),
    ("2.5.13.27", "generalizedtimematch", Rule::Equality(Syntax::Time)),
    ("1.3.6.1.4.1.1466.109.114.1", "caseexactia5match", Rule::Equality(Syntax::Exact)),
    ("1.3.6.1.4.1.1466.109.114.2", "caseignoreia5match", Rule::Equality(Syntax::Text)),
    ("1.3.6.1.1.16.2", "uuidmatch", Rule::Equality(Syntax::Text)),
    ("1.2.840.113556.1.4.803", "bitand", Rule::BitAnd),
    ("1.2.840.113556.1.4.804", "bitor", Rule::BitOr),
    ("1.2.840.113556.1.4.1941", "inchain", Rule::InChain),
];

#[derive(Debug, Clone, Copy)]
enum Rule {
    Equality(Syntax),
    BitAnd,
    BitOr,
    InChain,
}

/// A filter made ready for comparing.
pub(crate) enum Compiled {
    And(Vec<Compiled>),
    Or(Vec<Compiled>),
    Not(Box<Compiled>),
    /// A value test on one attribute, or on all whose values the rule fits.
    Values {
        description: Option<Description>,
        test: Test,
        dn_attributes: bool,
    },
    Present(Description),
    /// The entry is one of these, by key.
    OneOf(HashSet<String>),
    Undefined,
}

/// What one value is asked.
pub(crate) enum Test {
    Equal { syntax: Syntax, normalized: Vec<u8> },
    Approx(String),
    AtLeast { syntax: Syntax, bound: Vec<u8> },
    AtMost { syntax: Syntax, bound: Vec<u8> },
    Substrings { syntax: Syntax, initial: Option<Vec<u8>>, any: Vec<Vec<u8>>, last: Option<Vec<u8>> },
    Bits { mask: i128, all: bool },
}

impl Compiled {
    pub(crate) fn new(filter: &Filter, tree: &Tree) -> Self {
        match filter {
            Filter::And(filters) => Self::And(filters.iter().map(|filter| Self::new(filter, tree)).collect()),
            Filter::Or(filters) => Self::Or(filters.iter().map(|filter| Self::new(filter, tree)).collect()),
            Filter::Not(filter) => Self::Not(Box::new(Self::new(filter, tree))),
            Filter::Present(attribute) => {
                let description = Description::new(attribute);
                if description.is_secret() { Self::Undefined } else { Self::Present(description) }
            }
            Filter::Equal { attribute, value } => Self::values(attribute, |syntax| equality(syntax, value)),
            Filter::Approx { attribute, value } => Self::values(attribute, |_| Some(Test::Approx(rough(value)?))),
            Filter::GreaterOrEqual { attribute, value } => {
                Self::values(attribute, |syntax| Some(Test::AtLeast { syntax, bound: normal(syntax, value)? }))
            }
            Filter::LessOrEqual { attribute, value } => {
                Self::values(attribute, |syntax| Some(Test::AtMost { syntax, bound: normal(syntax, value)? }))
            }
            Filter::Substrings { attribute, initial, any, last } => Self::values(attribute, |syntax| {
                Some(Test::Substrings {
                    syntax,
                    initial: initial.as_deref().map(|part| part_of(syntax, part, true, false)),
                    any: any.iter().map(|part| part_of(syntax, part, false, false)).collect(),
                    last: last.as_deref().map(|part| part_of(syntax, part, false, true)),
                })
            }),
            Filter::Extensible { rule, attribute, value, dn_attributes } => {
                extensible(rule.as_deref(), attribute.as_deref(), value, *dn_attributes, tree)
            }
            _ => Self::Undefined,
        }
    }

    fn values(attribute: &str, test: impl FnOnce(Syntax) -> Option<Test>) -> Self {
        let description = Description::new(attribute);
        if description.is_secret() {
            return Self::Undefined;
        }
        match test(description.syntax()) {
            Some(test) => Self::Values { description: Some(description), test, dn_attributes: false },
            None => Self::Undefined,
        }
    }

    /// True, false, or undefined.
    pub(crate) fn matches(&self, node: &Node, tree: &Tree) -> Option<bool> {
        match self {
            // Empty lists are absolute (RFC 4526).
            Self::And(filters) => filters.iter().try_fold_kleene(true, |filter| filter.matches(node, tree)),
            Self::Or(filters) => filters.iter().try_fold_kleene(false, |filter| filter.matches(node, tree)),
            Self::Not(filter) => filter.matches(node, tree).map(|matched| !matched),
            Self::Present(description) => Some(any_value(description, node, tree, |_| true)),
            Self::OneOf(keys) => Some(keys.contains(node.dn.key_str())),
            Self::Undefined => None,
            Self::Values { description: Some(description), test, dn_attributes } => Some(
                any_value(description, node, tree, |value| test.holds(value))
                    || (*dn_attributes && in_dn(Some(description), test, node)),
            ),
            Self::Values { description: None, test, dn_attributes } => {
                let own =
                    node.attributes.iter().any(|stored| stored.attribute.values.iter().any(|value| test.holds(value)));
                Some(own || (*dn_attributes && in_dn(None, test, node)))
            }
        }
    }

    /// The entries that an index says can match; none where it cannot say.
    pub(crate) fn candidates(&self, tree: &Tree) -> Option<Vec<Arc<Node>>> {
        match self {
            // The index is by the attribute's own syntax; a matching rule may ask for another.
            Self::Values {
                description: Some(description),
                test: Test::Equal { syntax, normalized },
                dn_attributes: false,
            } if *syntax == description.syntax() => tree.lookup(&description.base, normalized),
            Self::And(filters) => filters.iter().filter_map(|filter| filter.candidates(tree)).min_by_key(Vec::len),
            Self::Or(filters) => {
                let each = filters.iter().map(|filter| filter.candidates(tree)).collect::<Option<Vec<_>>>()?;
                let mut all: Vec<Arc<Node>> = each.into_iter().flatten().collect();
                all.sort_by(|one, other| one.dn.cmp(&other.dn));
                all.dedup_by(|one, other| one.dn == other.dn);
                Some(all)
            }
            _ => None,
        }
    }
}

/// Kleene's "and" and "or": one deciding value decides, otherwise one undefined makes all undefined.
trait Kleene: Iterator + Sized {
    fn try_fold_kleene(self, neutral: bool, value: impl Fn(Self::Item) -> Option<bool>) -> Option<bool> {
        let mut result = Some(neutral);
        for item in self {
            match value(item) {
                Some(decided) if decided != neutral => return Some(decided),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }
}

impl<I: Iterator> Kleene for I {}

fn any_value(description: &Description, node: &Node, tree: &Tree, test: impl Fn(&[u8]) -> bool) -> bool {
    if node.values(description).any(&test) {
        return true;
    }
    if description.base == "objectclass" {
        return node.values(description).any(|class| schema::implied_classes(class).any(|name| test(name.as_bytes())));
    }
    if description.usage() != schema::Usage::Maintained || !description.options.is_empty() {
        return false;
    }
    let wants = |name: &str| name.eq_ignore_ascii_case(&description.base);
    maintained(node, tree, &wants).iter().any(|attribute| attribute.values.iter().any(|value| test(value)))
}

/// What the directory maintains for an entry, with what only the tree knows, of the attributes that are
/// wanted.
pub(crate) fn maintained(node: &Node, tree: &Tree, wants: &dyn Fn(&str) -> bool) -> Vec<bindery_ldap::Attribute> {
    let mut attributes = node.maintained(wants);
    if wants("memberOf") {
        let groups = tree.groups_of(&node.dn);
        let groups: Vec<Vec<u8>> = groups.iter().map(|group| group.dn.as_str().as_bytes().to_vec()).collect();
        if !groups.is_empty() {
            attributes.push(bindery_ldap::Attribute { name: "memberOf".into(), values: groups });
        }
    }
    if wants("hasSubordinates") {
        let subordinates = if tree.has_children(&node.dn) { "TRUE" } else { "FALSE" };
        attributes.push(crate::node::text("hasSubordinates", subordinates.to_owned()));
    }
    attributes
}

fn in_dn(description: Option<&Description>, test: &Test, node: &Node) -> bool {
    node.dn
        .rdns()
        .into_iter()
        .flatten()
        .filter(|part| description.is_none_or(|wanted| wanted.covers(&Description::new(&part.attribute))))
        .any(|part| test.holds(&part.value))
}

fn normal(syntax: Syntax, value: &[u8]) -> Option<Vec<u8>> {
    schema::normalize(syntax, value).map(std::borrow::Cow::into_owned)
}

fn equality(syntax: Syntax, value: &[u8]) -> Option<Test> {
    Some(Test::Equal { syntax, normalized: normal(syntax, value)? })
}

fn extensible(rule: Option<&str>, attribute: Option<&str>, value: &[u8], dn_attributes: bool, tree: &Tree) -> Compiled {
    let description = attribute.map(Description::new);
    if description.as_ref().is_some_and(Description::is_secret) {
        return Compiled::Undefined;
    }
    let rule = match (rule, &description) {
        (Some(rule), _) => RULES
            .iter()
            .find(|(oid, name, _)| *oid == rule || name.eq_ignore_ascii_case(rule))
            .map(|(_, _, rule)| *rule),
        (None, Some(description)) => Some(Rule::Equality(description.syntax())),
        (None, None) => None,
    };
    let text = std::str::from_utf8(value).ok();
    let bits = |all| Some(Test::Bits { mask: schema::integer(text?)?, all });
    let test = match rule {
        Some(Rule::Equality(syntax)) => equality(syntax, value),
        Some(Rule::BitAnd) => bits(true),
        Some(Rule::BitOr) => bits(false),
        Some(Rule::InChain) => return in_chain(description.as_ref(), value, tree),
        None => None,
    };
    test.map_or(Compiled::Undefined, |test| Compiled::Values { description, test, dn_attributes })
}

/// Active Directory's transitive rule, both ways.
fn in_chain(description: Option<&Description>, value: &[u8], tree: &Tree) -> Compiled {
    let (Some(description), Ok(dn)) = (description, Dn::from_bytes(value)) else { return Compiled::Undefined };
    match description.base.as_str() {
        "member" | "uniquemember" => Compiled::OneOf(tree.all_groups_of(&dn)),
        "memberof" => Compiled::OneOf(tree.all_members_of(&dn)),
        _ => Compiled::Undefined,
    }
}

/// A part of a substrings assertion, normalised with its outer spaces kept where they are inner ones.
fn part_of(syntax: Syntax, part: &[u8], first: bool, last: bool) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(part) else { return part.to_vec() };
    match syntax {
        Syntax::Text | Syntax::Name | Syntax::Integer | Syntax::Time => {
            // A letter beyond each inner end keeps the preparation from trimming there.
            let guarded = format!("{}{text}{}", if first { "" } else { "x" }, if last { "" } else { "x" });
            let prepared = prepare_case_ignore(&guarded);
            let prepared = if first { &*prepared } else { prepared.strip_prefix('x').unwrap_or(&prepared) };
            let prepared = if last { prepared } else { prepared.strip_suffix('x').unwrap_or(prepared) };
            prepared.as_bytes().to_vec()
        }
        _ => normal(syntax, part).unwrap_or_else(|| part.to_vec()),
    }
}

/// What approximate matching compares: letters and digits alone.
fn rough(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    Some(prepare_case_ignore(text).chars().filter(|c| c.is_alphanumeric()).collect())
}

impl Test {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Equal { syntax, normalized } => {
                schema::normalize(*syntax, value).is_some_and(|own| *own == **normalized)
            }
            Self::Approx(wanted) => rough(value).is_some_and(|own| own == *wanted),
            Self::AtLeast { syntax, bound } => order(*syntax, value, bound).is_some_and(Ordering::is_ge),
            Self::AtMost { syntax, bound } => order(*syntax, value, bound).is_some_and(Ordering::is_le),
            Self::Substrings { syntax, initial, any, last } => {
                // The parts of names and numbers are none: their whole text is searched.
                let own = match syntax {
                    Syntax::Name | Syntax::Integer | Syntax::Time => normal(Syntax::Text, value),
                    other => normal(*other, value),
                };
                own.is_some_and(|own| has_parts(&own, initial.as_deref(), any, last.as_deref()))
            }
            Self::Bits { mask, all } => {
                let own = std::str::from_utf8(value).ok().and_then(schema::integer);
                own.is_some_and(|own| if *all { own & mask == *mask } else { own & mask != 0 })
            }
        }
    }
}

/// `bound` is normalised already.
fn order(syntax: Syntax, value: &[u8], bound: &[u8]) -> Option<Ordering> {
    match syntax {
        Syntax::Integer => number(value)?.partial_cmp(&number(bound)?),
        Syntax::Time => {
            let own = generalized_time(std::str::from_utf8(value).ok()?)?.timestamp_micros();
            i128::from(own).partial_cmp(&number(bound)?)
        }
        _ => Some((*schema::normalize(syntax, value)?).cmp(bound)),
    }
}

fn number(value: &[u8]) -> Option<i128> {
    schema::integer(std::str::from_utf8(value).ok()?)
}

fn has_parts(value: &[u8], initial: Option<&[u8]>, any: &[Vec<u8>], last: Option<&[u8]>) -> bool {
    let Some(mut rest) = value.strip_prefix(initial.unwrap_or_default()) else { return false };
    for part in any {
        let Some(at) = find(rest, part) else { return false };
        rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    rest.ends_with(last.unwrap_or_default())
}

fn find(value: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { value.windows(part.len()).position(|window| window == part) }
}

/// Whether an entry that is in no tree matches: the filters that clients use on the root DSE.
pub(crate) fn matches_attributes(filter: &Filter, entry: &bindery_ldap::codec::protocol::SearchResultEntry) -> bool {
    match filter {
        // These entries have their class whatever was asked for.
        Filter::Present(attribute) if Description::new(attribute).base == "objectclass" => true,
        Filter::Present(attribute) => entry.attributes.iter().any(|own| own.r#type.eq_ignore_ascii_case(attribute)),
        Filter::And(filters) => filters.iter().all(|filter| matches_attributes(filter, entry)),
        Filter::Or(filters) => filters.iter().any(|filter| matches_attributes(filter, entry)),
        Filter::Equal { attribute, value } => {
            let classes: [&[u8]; 2] = [b"top", b"subschema"];
            Description::new(attribute).base == "objectclass"
                && classes.iter().any(|class| value.eq_ignore_ascii_case(class))
        }
        _ => false,
    }
}
