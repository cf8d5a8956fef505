//! Every value of a plan is looked at before a transaction begins.

use serde_json::Value;

use crate::guard::{json, key, name, text};
use crate::{Change, Field, Flags, GroupRef, Link, NewUser, Owner, Plan, Profile, StoreError};

pub(super) fn check(plan: &Plan) -> Result<(), StoreError> {
    plan.changes.iter().try_for_each(change)
}

fn change(change: &Change) -> Result<(), StoreError> {
    match change {
        Change::CreateUser(user) => new_user(user),
        Change::UpdateUser { fields, .. } => fields.iter().try_for_each(field),
        Change::SetFlags { flags, .. } => flag_names(flags),
        Change::SetDeactivatedBy { by, .. } => by.iter().try_for_each(|by| name("source", &by.source)),
        Change::SetPassword { hash, .. } => hash.iter().try_for_each(|hash| text("password hash", hash.expose())),
        Change::CreateGroup(new) => {
            group_name(&new.name, &new.name_key)?;
            owner(&new.owner)
        }
        Change::RenameGroup { group, name, name_key } => {
            group_ref(group)?;
            group_name(name, name_key)
        }
        Change::DeleteGroup { group } => group_ref(group),
        Change::Link(new) | Change::UpdateLink(new) => link(new),
        Change::Seen { source, .. } | Change::Unlink { source, .. } => key("source", source),
        Change::AddMembership { group, owner: own, .. } | Change::RemoveMembership { group, owner: own, .. } => {
            group_ref(group)?;
            owner(own)
        }
        Change::AddSubgroup { child, parent, owner: own } | Change::RemoveSubgroup { child, parent, owner: own } => {
            group_ref(child)?;
            group_ref(parent)?;
            owner(own)
        }
        Change::Grant { group, permission } | Change::Revoke { group, permission } => {
            group_ref(group)?;
            name("permission", permission)
        }
        Change::StartSession(session) => session.source.iter().try_for_each(|source| name("source", source)),
        Change::PutVerifier { source, hash, .. } => {
            name("source", source)?;
            text("verifier", hash.expose())
        }
        Change::SignedIn { .. }
        | Change::DeleteUser { .. }
        | Change::EndSession { .. }
        | Change::EndSessions { .. }
        | Change::DropVerifiers { .. }
        | Change::Record(_) => Ok(()),
    }
}

fn new_user(user: &NewUser) -> Result<(), StoreError> {
    username(&user.username, &user.username_key)?;
    text("first_name", &user.first_name)?;
    text("last_name", &user.last_name)?;
    email(&user.email, &user.email_key)?;
    text("display_name", &user.display_name)?;
    text("path", &user.path)?;
    profile(&user.profile)?;
    flag_names(&user.flags)?;
    user.password_hash.iter().try_for_each(|hash| text("password hash", hash.expose()))
}

fn field(field: &Field) -> Result<(), StoreError> {
    match field {
        Field::Username { name, key } => username(name, key),
        Field::FirstName(value) => text("first_name", value),
        Field::LastName(value) => text("last_name", value),
        Field::Email { address, key } => email(address, key),
        Field::DisplayName(value) => text("display_name", value),
        Field::Path(value) => text("path", value),
        // Names that no local group can have are left out when they are written.
        Field::LiveGroups(_) => Ok(()),
        Field::Profile { name: field, value } => {
            text("profile field name", field)?;
            value.iter().try_for_each(|value| json(field, value))
        }
    }
}

fn username(username: &str, username_key: &str) -> Result<(), StoreError> {
    name("username", username)?;
    name("username", username_key)
}

fn email(address: &str, address_key: &str) -> Result<(), StoreError> {
    text("email", address)?;
    key("email", address_key)
}

fn profile(profile: &Profile) -> Result<(), StoreError> {
    profile.iter().try_for_each(|(name, value): (&String, &Value)| {
        text("profile field name", name)?;
        json(name, value)
    })
}

fn flag_names(flags: &Flags) -> Result<(), StoreError> {
    flags.keys().try_for_each(|flag| name("flag", flag))
}

fn group_name(group: &str, group_key: &str) -> Result<(), StoreError> {
    name("group name", group)?;
    name("group name", group_key)
}

fn group_ref(group: &GroupRef) -> Result<(), StoreError> {
    match group {
        GroupRef::Id(_) => Ok(()),
        GroupRef::Key(group) => name("group name", group),
    }
}

fn owner(owner: &Owner) -> Result<(), StoreError> {
    key("source", owner.as_str())
}

fn link(link: &Link) -> Result<(), StoreError> {
    name("source", &link.source)?;
    name("unique ID", &link.unique_id)?;
    text("DN", &link.dn)?;
    text("DN", &link.dn_key)?;
    link.given_fields.iter().try_for_each(|field| text("field name", field))?;
    link.given_flags.iter().try_for_each(|flag| name("flag", flag))
}
