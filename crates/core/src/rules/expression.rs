//! Group expressions in three-valued logic: yes, no, unknown; unknown is never read as no.

use bindery_directory::{GroupSelector, Memberships};

/// `any`, `all`, `not` over groups.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// A member.
    Yes,
    /// Not a member.
    No,
    /// Nobody can tell.
    Unknown(UnknownBecause),
}

/// Why nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnknownBecause {
    /// The group can't be found.
    NotFound,
    /// Reading failed or was cut short.
    ReadFailed,
}

/// The value of an expression with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Its value.
    pub value: Certainty,
    /// Sentences for `explain`: "member of cn=… by way of …", "no group named … can be found".
    pub because: Vec<String>,
}

impl GroupExpression {
    /// Its value for a person.
    pub fn test(&self, memberships: &Memberships) -> Truth {
        let _ = memberships;
        todo!()
    }

    /// Every group that it names.
    pub fn selectors(&self) -> Vec<&GroupSelector> {
        todo!()
    }
}
