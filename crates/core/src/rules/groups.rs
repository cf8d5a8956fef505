//! The local groups that a person belongs to: mapped by a rule, or mirrored from the directory.

use super::decide::{Objections, fault};
use super::expression::{Certainty, UnknownBecause, bears, known, label};
use super::{GroupGrant, Mirror, Permissions, RuleSet, Step, fold};
use crate::Reason;
use bindery_directory::{Group, GroupSelector, Known, Memberships};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What the groups of a person come to.
pub(super) struct Granted {
    pub(super) grants: Vec<GroupGrant>,
    pub(super) live: Vec<String>,
    /// Groups that cannot be mirrored, in words.
    pub(super) unusable: Vec<String>,
}

/// Mapped and mirrored groups, each local name once, in the order of their folded names.
pub(super) fn granted(rules: &RuleSet, memberships: &Memberships, objections: &mut Objections) -> Granted {
    let mut grants = BTreeMap::new();
    map(rules, memberships, &mut grants, objections);
    check_readable(rules, memberships, objections);
    // The order in which a server names groups decides nothing.
    let mut groups: Vec<&Group> = memberships.groups.iter().collect();
    groups.sort_by(|one, other| one.dn.cmp(&other.dn));
    let unusable = mirror(&rules.mirror, &groups, &mut grants);
    let live = if rules.permissions == Permissions::Live { names(&groups) } else { Vec::new() };
    Granted { grants: grants.into_values().collect(), live, unusable }
}

fn map(
    rules: &RuleSet,
    memberships: &Memberships,
    grants: &mut BTreeMap<String, GroupGrant>,
    objections: &mut Objections,
) {
    for (name, expression) in &rules.group_map {
        let truth = expression.test(memberships);
        let because = truth.reason();
        match truth.value {
            Certainty::Yes => {
                let grant = GroupGrant { name: name.clone(), mirrored_from: None, because };
                grants.entry(fold(name)).or_insert(grant);
            }
            Certainty::Unknown(UnknownBecause::ReadFailed) => {
                let detail = format!("whether they belong to {name} is unknown: {because}");
                objections.raise(Step::Groups, Reason::MembershipUnknown, detail);
            }
            Certainty::No | Certainty::Unknown(UnknownBecause::NotFound) => {}
        }
    }
}

/// A list of groups cut short would take away what it does not show.
fn check_readable(rules: &RuleSet, memberships: &Memberships, objections: &mut Objections) {
    if rules.mirror == Mirror::Off && rules.permissions == Permissions::Mirrored {
        return;
    }
    if let Some(why) = &memberships.incomplete {
        objections.raise(Step::Groups, Reason::MembershipUnknown, format!("the groups could not all be read: {why}"));
        return;
    }
    let Mirror::Only(names) = &rules.mirror else { return };
    for name in names {
        let selector = GroupSelector::Name(name.clone());
        let seen = memberships.groups.iter().any(|group| bears(group, name));
        if let (false, Some(Known::Failed(why))) = (seen, known(&selector, memberships)) {
            let detail = format!("{} could not be read: {why}", label(&selector));
            objections.raise(Step::Groups, Reason::MembershipUnknown, detail);
        }
    }
}

fn mirror(mirror: &Mirror, groups: &[&Group], grants: &mut BTreeMap<String, GroupGrant>) -> Vec<String> {
    let mut unusable = Vec::new();
    for group in groups.iter().filter(|group| is_mirrored(mirror, group)) {
        let Some(name) = name(group) else {
            unusable.push(format!("group {} has no name that a local group could bear", group.dn));
            continue;
        };
        let because = format!("mirrors {}", group.dn);
        let from = Some((group.unique_id.clone(), group.dn.as_str().to_owned()));
        match grants.entry(fold(&name)) {
            Entry::Vacant(place) => {
                place.insert(GroupGrant { name, mirrored_from: from, because });
            }
            Entry::Occupied(grant) => {
                let grant = grant.into_mut();
                grant.because = format!("{}; {because}", grant.because);
                grant.mirrored_from = grant.mirrored_from.take().or(from);
            }
        }
    }
    unusable
}

/// The local group that a directory group is mirrored as, whoever is in it; `None` where it is not, or bears no name.
pub fn mirrored(rules: &RuleSet, group: &Group) -> Option<GroupGrant> {
    let mut grants = BTreeMap::new();
    mirror(&rules.mirror, &[group], &mut grants);
    grants.into_values().next()
}

fn is_mirrored(mirror: &Mirror, group: &Group) -> bool {
    match mirror {
        Mirror::Off => false,
        Mirror::All => true,
        Mirror::Only(names) => names.iter().any(|name| bears(group, name)),
        Mirror::Except(names) => !names.iter().any(|name| bears(group, name)),
    }
}

/// The name that a local group takes over.
fn name(group: &Group) -> Option<String> {
    let name = group.names.first()?.trim();
    fault(name).is_none().then(|| name.to_owned())
}

/// Each name once, without regard to case.
fn names(groups: &[&Group]) -> Vec<String> {
    let named = groups.iter().filter_map(|group| name(group));
    let names: BTreeMap<String, String> = named.rev().map(|name| (fold(&name), name)).collect();
    names.into_values().collect()
}
