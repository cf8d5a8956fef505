//! A digest of what an entry comes to, so that a sync can pass over an entry that comes to the same as before.

use crate::rules::Decision;
use bindery_directory::Person;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Changes whenever the way a digest is made changes.
const VERSION: u32 = 1;

/// SHA-256 over everything of a decision that is stored, and the entry's place. Why it is so does not count.
pub fn fingerprint(person: &Person, decision: &Decision) -> Vec<u8> {
    let fields: BTreeMap<&str, Value> =
        decision.fields.iter().map(|(name, field)| (name.as_str(), json!([field.value, field.keep]))).collect();
    let flags: BTreeMap<&str, bool> =
        decision.flags.iter().map(|(name, ruling)| (name.as_str(), ruling.value)).collect();
    let mut groups: Vec<Value> = decision
        .groups
        .iter()
        .map(|grant| json!([grant.name, grant.mirrored_from.as_ref().map(|(unique_id, _)| unique_id)]))
        .collect();
    groups.sort_by_key(Value::to_string);
    let content = json!([
        VERSION,
        person.unique_id,
        person.dn.as_str(),
        decision.username,
        fields,
        decision.path,
        flags,
        groups,
        decision.live_permission_groups,
        decision.access.allowed,
    ]);
    Sha256::digest(content.to_string().as_bytes()).to_vec()
}
