//! Group expressions in three-valued logic: yes, no, unknown; unknown is never read as no.

use super::fold;
use bindery_directory::{Group, GroupSelector, Known, Memberships};
use serde::Serialize;

/// `any`, `all`, `not` over groups.
///
/// An empty `Any` is no and an empty `All` is yes, as logic has it; a configuration should not accept them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupExpression {
    /// One group, by name or DN.
    Group(GroupSelector),
    /// At least one of them.
    Any(Vec<GroupExpression>),
    /// Every one of them.
    All(Vec<GroupExpression>),
    /// Not this.
    Not(Box<GroupExpression>),
}

/// The three values of a membership test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A member.
    Yes,
    /// Not a member.
    No,
    /// Nobody can tell.
    Unknown(UnknownBecause),
}

/// Why nobody can tell. A failed read is the worse of the two: it may end at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownBecause {
    /// The group can't be found.
    NotFound,
    /// Reading failed or was cut short.
    ReadFailed,
}

/// The value of an expression with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Its value.
    pub value: Certainty,
    /// Sentences for `explain`: "member of cn=… by way of …", "no group named … can be found".
    pub because: Vec<String>,
}

impl Truth {
    fn new(value: Certainty, because: String) -> Self {
        Self { value, because: vec![because] }
    }

    /// What it rests on, in one sentence.
    pub fn reason(&self) -> String {
        self.because.join("; ")
    }
}

impl GroupExpression {
    /// Its value for a person.
    ///
    /// `any(yes, unknown)` is yes, `all(no, unknown)` is no, `not(unknown)` is unknown; otherwise unknown wins, and of two
    /// unknowns the one whose reading failed.
    pub fn test(&self, memberships: &Memberships) -> Truth {
        match self {
            Self::Group(selector) => test_group(selector, memberships),
            Self::Any(parts) => {
                combine(parts, memberships, Certainty::Yes, Certainty::No, "an empty list has no members")
            }
            Self::All(parts) => {
                combine(parts, memberships, Certainty::No, Certainty::Yes, "an empty list asks for nothing")
            }
            Self::Not(part) => negate(part.test(memberships)),
        }
    }

    /// Every group that it names.
    pub fn selectors(&self) -> Vec<&GroupSelector> {
        match self {
            Self::Group(selector) => vec![selector],
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::selectors).collect(),
            Self::Not(part) => part.selectors(),
        }
    }
}

/// Whether a group bears a name, by any value of its name attributes.
pub(super) fn bears(group: &Group, name: &str) -> bool {
    let name = fold(name);
    group.names.iter().any(|own| fold(own) == name)
}

/// What is known of a group that a rule names. A group of which nothing was reported counts as not read.
pub(super) fn known<'a>(selector: &GroupSelector, memberships: &'a Memberships) -> Option<&'a Known> {
    memberships.known.get(selector).or_else(|| match selector {
        GroupSelector::Dn(_) => None,
        GroupSelector::Name(name) => {
            let name = fold(name);
            let same = |other: &GroupSelector| matches!(other, GroupSelector::Name(other) if fold(other) == name);
            memberships.known.iter().find(|(other, _)| same(other)).map(|(_, known)| known)
        }
    })
}

/// A group as operators call it.
pub(super) fn label(selector: &GroupSelector) -> String {
    match selector {
        GroupSelector::Name(name) => format!("group named {name:?}"),
        GroupSelector::Dn(dn) => format!("group {dn}"),
    }
}

fn test_group(selector: &GroupSelector, memberships: &Memberships) -> Truth {
    let mut members = memberships.groups.iter().filter(|group| match selector {
        GroupSelector::Name(name) => bears(group, name),
        GroupSelector::Dn(dn) => group.dn == *dn,
    });
    // A membership that was seen is a yes, however much else could not be read.
    if let Some(group) = members.clone().find(|group| group.direct).or_else(|| members.next()) {
        return Truth::new(Certainty::Yes, member_of(group));
    }
    if let Some(why) = &memberships.incomplete {
        return unread(format!("{} may be among the groups that could not be read: {why}", label(selector)));
    }
    match known(selector, memberships) {
        Some(Known::Found) => Truth::new(Certainty::No, format!("not a member of {}", label(selector))),
        Some(Known::NotFound) => {
            let because = format!("no {} can be found", label(selector));
            Truth::new(Certainty::Unknown(UnknownBecause::NotFound), because)
        }
        Some(Known::Failed(why)) => unread(format!("{} could not be read: {why}", label(selector))),
        None => unread(format!("{} was not looked up", label(selector))),
    }
}

fn unread(because: String) -> Truth {
    Truth::new(Certainty::Unknown(UnknownBecause::ReadFailed), because)
}

fn member_of(group: &Group) -> String {
    let way: Vec<&str> = group.path.iter().filter(|dn| **dn != group.dn).map(bindery_directory::Dn::as_str).collect();
    if way.is_empty() {
        format!("member of {}", group.dn)
    } else {
        format!("member of {} by way of {}", group.dn, way.join(", "))
    }
}

fn negate(truth: Truth) -> Truth {
    let value = match truth.value {
        Certainty::Yes => Certainty::No,
        Certainty::No => Certainty::Yes,
        unknown @ Certainty::Unknown(_) => unknown,
    };
    Truth { value, ..truth }
}

/// `deciding` settles the whole as soon as one part has it; without one, unknown wins over `otherwise`.
fn combine(
    parts: &[GroupExpression],
    memberships: &Memberships,
    deciding: Certainty,
    otherwise: Certainty,
    empty: &str,
) -> Truth {
    let truths: Vec<Truth> = parts.iter().map(|part| part.test(memberships)).collect();
    if truths.is_empty() {
        return Truth::new(otherwise, empty.to_owned());
    }
    let worst = truths.iter().filter_map(|truth| match truth.value {
        Certainty::Unknown(because) => Some(because),
        _ => None,
    });
    let worst = worst.max().map(Certainty::Unknown);
    let value = if truths.iter().any(|truth| truth.value == deciding) { deciding } else { worst.unwrap_or(otherwise) };
    let mut because = Vec::new();
    for truth in truths.into_iter().filter(|truth| truth.value == value) {
        for sentence in truth.because {
            if !because.contains(&sentence) {
                because.push(sentence);
            }
        }
    }
    Truth { value, because }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
