//! From a decision and what is stored to a plan: only what has to change, and nothing that people set by hand.
//!
//! Pure, like the rules: identifiers and the time come in as arguments, and nothing is read or written here.

mod fields;
mod fingerprint;
mod flags;
mod groups;
mod refusal;
mod taken;
mod target;
mod unlink;

pub(crate) use fingerprint::digest;
pub use fingerprint::{Fingerprint, Fingerprints, Standpoint, group_digest};
pub use flags::deactivate;
pub use groups::{mirror, rehang};
pub(crate) use refusal::ends_sessions;
pub use refusal::{refusal_request, shut_out};
pub use unlink::unlink;

use crate::Reason;
use crate::rules::{Decision, LinkExisting, Provisioning, Refused, Step, fold};
use bindery_directory::Person;
use bindery_directory::settings::UserSettings;
use bindery_store::{
    Change, EntityKind, Expected, Field, Link, NewUser, Owner, Plan, Snapshot, SnapshotRequest, UserState,
};
use chrono::{DateTime, SubsecRound, Utc};
use std::collections::BTreeSet;
use target::Target;
use uuid::Uuid;

/// On whose behalf, and under which rules of provisioning.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Slug of the source.
    pub source: &'a str,
    /// `[sources.NAME.provisioning]`.
    pub provisioning: &'a Provisioning,
    /// `[sources.NAME.users]`: what people sign in as.
    pub users: &'a UserSettings,
    /// `groups.parent`.
    pub parent: Option<&'a str>,
    /// Whether this lets somebody in: then a user who stays inactive is refused. A sync keeps their data true all the same.
    pub admit: bool,
    /// What the decision was made from, where somebody has worked it out; see [`Fingerprint`].
    pub fingerprint: Option<Fingerprint>,
}

/// A plan and whom it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciled {
    /// The user, new or stored.
    pub user: Uuid,
    /// How they came by their link.
    pub standing: Standing,
    /// Only what has to change; empty when everything is as it should be.
    pub plan: Plan,
    /// Their link as it is after the plan, seen when the entry was read.
    pub link: Link,
    /// Whom the decision was held against, if anybody: they may not have changed since.
    pub against: Option<Expected>,
}

/// How a user comes by their link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They are made by this plan.
    Created,
    /// A local account without a link is tied to the entry by this plan.
    Adopted,
    /// They were linked before.
    Linked,
}

impl Reconciled {
    /// The plan, with the time of this read written down even if nothing else changed: what a sign-in and a refresh apply.
    pub fn seen(mut self) -> Plan {
        let written = |change: &Change| match change {
            Change::Link(link) | Change::UpdateLink(link) => link.kind == EntityKind::User,
            _ => false,
        };
        if !self.plan.changes.iter().any(written) {
            let Link { source, last_seen, .. } = self.link;
            self.plan.changes.push(Change::Seen { user: self.user, source, at: last_seen });
        }
        // Nothing to change is a finding, too: whoever was shut out since may not come in by it.
        self.plan.expected = self.against.into_iter().collect();
        self.plan
    }
}

/// The key under which a username is stored: wider than case, so that nobody gets a look-alike of a name that is taken.
pub fn username_key(name: &str) -> String {
    crate::name::fold(name)
}

/// The key under which a mail address is stored.
pub fn email_key(address: &str) -> String {
    crate::name::fold(address)
}

/// The key under which a local group is stored: the comparison of the rules, since a membership grants.
pub fn group_key(name: &str) -> String {
    fold(name)
}

/// What has to be read from the store before [`reconcile`].
pub fn request(terms: Terms<'_>, person: &Person, decision: &Decision) -> SnapshotRequest {
    let by_email = terms.provisioning.link_existing == LinkExisting::Email;
    let mirrored = decision.groups.iter().filter_map(|grant| grant.mirrored_from.as_ref());
    SnapshotRequest {
        source: terms.source.to_owned(),
        unique_id: person.unique_id.clone(),
        username_key: username_key(&decision.username),
        email_key: fields::email(decision).filter(|_| by_email).map(|address| email_key(&address)),
        group_keys: decision
            .groups
            .iter()
            .map(|grant| group_key(&grant.name))
            .chain(terms.parent.map(group_key))
            .collect(),
        group_entries: mirrored.filter_map(|(unique_id, _)| unique_id.clone()).collect(),
    }
}

/// The difference between what is stored and what the rules say. `read_at` is when the directory was asked for the entry, and
/// becomes the time that its link was last seen.
///
/// # Errors
///
/// `account_conflict` where the name belongs to somebody else, `new_users_not_allowed` where nobody is linked and nobody may
/// be made, `account_disabled` where somebody who is to be let in was shut out by hand.
pub fn reconcile(
    terms: Terms<'_>,
    person: &Person,
    decision: &Decision,
    snapshot: &Snapshot,
    read_at: DateTime<Utc>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Result<Reconciled, Refused> {
    let refused = |(reason, detail): (Reason, String)| Refused {
        decision: Some(Box::new(decision.clone())),
        ..Refused::new(reason, Step::Reconcile, detail)
    };
    let target = target::find(terms, person, decision, snapshot).map_err(refused)?;
    let (state, standing) = match target {
        Target::New => (None, Standing::Created),
        Target::Adopted(state) => (Some(state), Standing::Adopted),
        Target::Linked(state) => (Some(state), Standing::Linked),
    };
    let user = state.map_or_else(&mut *ids, |state| state.user.id);
    let linked = state.and_then(|state| state.link(terms.source));
    let before = linked.map(|link| &link.given_fields);
    let mapped = fields::map(terms, decision, state, before.unwrap_or(&BTreeSet::new()));
    let activity = flags::rule(terms, decision, state).map_err(refused)?;

    let fields::Mapped { mut changed, given } = mapped;
    // What their namesake in a directory gave them counts no more: they have an entry of their own.
    if state.is_some_and(|state| !state.user.live_groups.is_empty()) {
        changed.push(Field::LiveGroups(BTreeSet::new()));
    }
    let mut changes = Vec::new();
    match state {
        None => changes.push(Change::CreateUser(new_user(user, changed, &activity))),
        Some(_) if changed.is_empty() => {}
        Some(_) => changes.push(Change::UpdateUser { user, fields: changed }),
    }
    let changed_at = decision.password_changed.map(|at| at.trunc_subsecs(6));
    if linked.is_some_and(|link| outlived(link, changed_at)) {
        changes.extend([Change::EndSessions { user, except: None }, Change::DropVerifiers { user }]);
    }
    let mut link = Link {
        kind: EntityKind::User,
        source: terms.source.to_owned(),
        unique_id: person.unique_id.clone(),
        entity_id: user,
        dn: person.dn.as_str().to_owned(),
        dn_key: person.dn.key(),
        last_seen: read_at,
        fingerprint: terms.fingerprint.map(Fingerprint::to_bytes),
        given_fields: given,
        given_flags: flags::given(decision, linked),
        live_groups: decision.live_permission_groups.iter().map(|name| group_key(name)).collect(),
        // As finely as stores keep it.
        account_ends: decision.account_ends.map(|at| at.trunc_subsecs(6)),
        password_changed: changed_at.or(linked.and_then(|link| link.password_changed)),
        parent: None,
    };
    changes.extend(activity.changes(user, state.is_none()));
    changes.extend(groups::plan(terms, decision, snapshot, groups::Subject { user, state, read_at }, ids));
    if let Some(stored) = linked {
        if (&stored.live_groups, stored.account_ends) != (&link.live_groups, link.account_ends) {
            // What they may do is written in the link alone. Their version moves with it: what was read before that is
            // not written over it.
            changes.push(Change::UpdateUser { user, fields: Vec::new() });
        }
        // Nothing has to change: what was vouched for before still is. Not so a refusal: they are let in now.
        let vouches = |bytes: &&Vec<u8>| {
            Fingerprint::from_bytes(bytes).is_some_and(|print| print.standpoint() == Standpoint::Written)
        };
        let same = || Link { last_seen: link.last_seen, fingerprint: None, ..stored.clone() } == link;
        if terms.fingerprint.is_none() && changes.is_empty() && same() {
            link.fingerprint = stored.fingerprint.as_ref().filter(vouches).cloned();
        }
    }
    // Right after the user: memberships may come before it in no plan, but a link needs its user.
    let at = usize::from(matches!(changes.first(), Some(Change::CreateUser(_) | Change::UpdateUser { .. })));
    if let Some(change) = link_change(&link, state) {
        changes.insert(at, change);
    }

    let against = state.map(UserState::expected);
    let expected = if changes.is_empty() { Vec::new() } else { against.into_iter().collect() };
    Ok(Reconciled { user, standing, plan: Plan { changes, expected }, link, against })
}

/// Whether the password was changed since the entry was last read: whoever came in with the old one is out, once.
fn outlived(link: &Link, changed_at: Option<DateTime<Utc>>) -> bool {
    // What was not to be read before may be an old story.
    let known = link.password_changed.unwrap_or(link.last_seen);
    changed_at.is_some_and(|at| at > known)
}

fn new_user(id: Uuid, given: Vec<Field>, activity: &flags::Activity) -> NewUser {
    let mut user = NewUser { id, ..NewUser::default() };
    for field in given {
        fields::put(&mut user, field);
    }
    user.flags.extend(activity.flags.clone());
    user
}

/// Writes the link where there is none, or where what it says of the entry is no longer so.
fn link_change(link: &Link, state: Option<&UserState>) -> Option<Change> {
    match state.and_then(|state| state.link(&link.source)) {
        None => Some(Change::Link(link.clone())),
        Some(stored) => {
            let same = Link { last_seen: stored.last_seen, ..link.clone() } == *stored;
            (!same).then(|| Change::UpdateLink(link.clone()))
        }
    }
}

/// The source as an owner of memberships and groups.
fn owner(terms: Terms<'_>) -> Owner {
    Owner::Source(terms.source.to_owned())
}

#[cfg(test)]
mod tests;
