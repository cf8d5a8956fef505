//! Groups of a person, and what is known of the groups that rules name.

use bindery_ldap::Dn;
use std::collections::HashMap;

/// How a rule names a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupSelector {
    /// By name: stands for every readable group that bears it. Compared folded.
    Name(String),
    /// By DN; read where it lies, even outside `groups.base_dn`.
    Dn(Dn),
}

/// A group that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its DN.
    pub dn: Dn,
    /// Every value of the `groups.name` attributes; the first is its name when mirrored.
    pub names: Vec<String>,
    /// Its unique ID, where readable.
    pub unique_id: Option<String>,
    /// Whether the person is a member without a group in between.
    pub direct: bool,
    /// From the person's own group to this one, both included.
    pub path: Vec<Dn>,
}

/// What is known of a group that a rule names but that the person is not seen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is there: not a member means no.
    Found,
    /// Nobody can find it: unknown.
    NotFound,
    /// It could not be read: unknown, and why.
    Failed(String),
}

/// The groups of a person as far as they could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships {
    /// Those that were read.
    pub groups: Vec<Group>,
    /// Why the list may be short: every group not in it is unknown.
    pub incomplete: Option<String>,
    /// The groups that rules name, for telling no from unknown.
    pub known: HashMap<GroupSelector, Known>,
}
