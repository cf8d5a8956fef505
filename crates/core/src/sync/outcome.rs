//! What a plan comes to, in the words of a report.

use crate::reconcile::Standing;
use bindery_store::{Change, EntityKind, Field, Link, Plan};

/// What becomes of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Update,
    Nothing,
    Deactivate,
    Reactivate,
    Skip,
}

impl Action {
    /// How a list of changes calls it.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("create"),
            Self::Update => Some("update"),
            Self::Deactivate => Some("deactivate"),
            Self::Reactivate => Some("reactivate"),
            Self::Nothing | Self::Skip => None,
        }
    }
}

/// What carrying out a plan makes of its user; `regroups` as [`regroups`] says.
pub(super) fn action(standing: Standing, plan: &Plan, regroups: bool) -> Action {
    let active = |value: bool| {
        plan.changes
            .iter()
            .any(|change| matches!(change, Change::SetFlags { flags, .. } if flags.get("is_active") == Some(&value)))
    };
    let only_vouches = || !regroups && plan.changes.iter().all(only_of_link);
    match standing {
        Standing::Created => Action::Create,
        Standing::Linked if active(false) => Action::Deactivate,
        Standing::Linked if active(true) => Action::Reactivate,
        Standing::Linked if only_vouches() => Action::Nothing,
        Standing::Adopted | Standing::Linked => Action::Update,
    }
}

/// Whether a change leaves the user themselves as they are.
fn only_of_link(change: &Change) -> bool {
    match change {
        Change::UpdateLink(_) => true,
        // Moves the version, and no more.
        Change::UpdateUser { fields, .. } => fields.is_empty(),
        _ => false,
    }
}

/// Whether a plan gives its user other groups to have permissions by, which are kept with the link.
pub(super) fn regroups(plan: &Plan, stored: Option<&Link>) -> bool {
    let before = stored.map(|link| &link.live_groups);
    plan.changes.iter().any(|change| match change {
        Change::Link(link) | Change::UpdateLink(link) if link.kind == EntityKind::User => {
            before.map_or(!link.live_groups.is_empty(), |before| *before != link.live_groups)
        }
        _ => false,
    })
}

/// Whether a plan deactivates its user.
pub(super) fn shuts_out(plan: &Plan) -> bool {
    action(Standing::Linked, plan, false) == Action::Deactivate
}

/// Whether a plan takes a username that was free.
pub(super) fn takes_name(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| match change {
        Change::CreateUser(_) => true,
        Change::UpdateUser { fields, .. } => fields.iter().any(|field| matches!(field, Field::Username { .. })),
        _ => false,
    })
}

/// The fields that a plan writes, as the configuration names them; `groups` are those of `permissions = "live"`.
pub(super) fn field_names(plan: &Plan, regroups: bool) -> Vec<String> {
    let mut names = Vec::new();
    for change in &plan.changes {
        match change {
            Change::CreateUser(user) => {
                let built_in = [
                    ("first_name", &user.first_name),
                    ("last_name", &user.last_name),
                    ("email", &user.email),
                    ("display_name", &user.display_name),
                    ("path", &user.path),
                ];
                let set = built_in.into_iter().filter(|(_, value)| !value.is_empty());
                names.push("username".to_owned());
                names.extend(set.map(|(name, _)| name.to_owned()));
                names.extend(user.profile.keys().cloned());
            }
            Change::UpdateUser { fields, .. } => names.extend(fields.iter().map(field_name)),
            Change::SetFlags { flags, .. } => names.extend(flags.keys().cloned()),
            _ => {}
        }
    }
    let groups = GROUPS.to_owned();
    if regroups && !names.contains(&groups) {
        names.push(groups);
    }
    names
}

const GROUPS: &str = "groups";

fn field_name(field: &Field) -> String {
    match field {
        Field::Username { .. } => "username".to_owned(),
        Field::FirstName(_) => "first_name".to_owned(),
        Field::LastName(_) => "last_name".to_owned(),
        Field::Email { .. } => "email".to_owned(),
        Field::DisplayName(_) => "display_name".to_owned(),
        Field::Path(_) => "path".to_owned(),
        Field::LiveGroups(_) => GROUPS.to_owned(),
        Field::Profile { name, .. } => name.clone(),
    }
}
