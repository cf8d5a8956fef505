//! Plans from decisions, on a store in memory; `stored` does the same on a real one.

use super::*;
use crate::rules::testing::{ann, dn, template};
use crate::rules::{AccessRuling, FieldValue, FlagRuling, GroupGrant, Update};
use bindery_directory::{Filter, Scope};
use bindery_store::{Cause, Deactivation, Flags, GroupRef, GroupState, Membership, User};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

mod digest;
mod fields;
mod flags;
mod groups;
mod people;
mod properties;
mod stored;
mod unlink;
mod world;
use world::World;

const SOURCE: &str = "corp";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

static USERS: LazyLock<UserSettings> = LazyLock::new(|| UserSettings {
    base_dn: vec![dn("dc=example")],
    scope: Scope::Subtree,
    filter: Filter::present("objectClass"),
    login_attributes: vec!["uid".to_owned()],
    dn_template: None,
    unique_id: "entryUUID".to_owned(),
});

fn terms(provisioning: &Provisioning) -> Terms<'_> {
    Terms { source: SOURCE, provisioning, users: &USERS, parent: None, admit: true, fingerprint: None }
}

fn field(value: impl Into<Value>) -> FieldValue {
    FieldValue { value: value.into(), from: "attribute".into(), keep: false }
}

/// Ann, with nothing but a name.
fn decision() -> Decision {
    Decision {
        username: "ann".into(),
        fields: [("username".to_owned(), field("ann"))].into(),
        path: None,
        flags: BTreeMap::new(),
        groups: Vec::new(),
        live_permission_groups: Vec::new(),
        access: AccessRuling { allowed: true, require: None, deny: None },
        account_ends: None,
        password_changed: None,
        unresolved: Vec::new(),
    }
}

fn with_fields(fields: &[(&str, Value)]) -> Decision {
    let mut decision = decision();
    decision.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), field(value.clone()))));
    decision
}

fn with_flags(flags: &[(&str, bool)]) -> Decision {
    let ruling =
        |(name, value): &(&str, bool)| ((*name).to_owned(), FlagRuling { value: *value, because: "a rule".into() });
    Decision { flags: flags.iter().map(ruling).collect(), ..decision() }
}

fn mapped(name: &str) -> GroupGrant {
    GroupGrant { name: name.into(), mirrored_from: None, because: "a rule".into() }
}

fn mirrored(name: &str, entry: &str) -> GroupGrant {
    let from = (Some(entry.to_owned()), format!("cn={entry},dc=example"));
    GroupGrant { name: name.into(), mirrored_from: Some(from), because: "a rule".into() }
}

fn with_groups(groups: &[GroupGrant]) -> Decision {
    Decision { groups: groups.to_vec(), ..decision() }
}

fn groups_of(world: &World) -> Vec<(&str, &str)> {
    world.user("ann").memberships.iter().map(|m| (m.group_name.as_str(), m.owner.as_str())).collect()
}
