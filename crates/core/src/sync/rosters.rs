//! What each directory group listed when it was last read, so that an incremental run can tell whom a changed group
//! concerns. Only what is not stored already is kept in memory and written.

use crate::engine::chain;
use bindery_directory::GroupEntry;
use bindery_store::{Roster, Store, StoreError};
use std::collections::HashMap;

/// Member lists that have changed.
#[derive(Debug)]
pub(super) struct Rosters {
    stored: HashMap<String, [u8; 16]>,
    changed: Vec<Roster>,
}

impl Rosters {
    pub(super) fn new(stored: Vec<(String, [u8; 16])>) -> Self {
        Self { stored: stored.into_iter().collect(), changed: Vec::new() }
    }

    /// Notes a group as it was read.
    pub(super) fn compare(&mut self, entry: &GroupEntry) {
        let Some(roster) = of(entry) else { return };
        if self.stored.remove(&roster.unique_id) != Some(roster.digest()) {
            self.changed.push(roster);
        }
    }

    /// Writes what has changed, and forgets the groups that were not there where all of them were read.
    pub(super) async fn keep(self, store: &Store, source: &str, whole: bool) -> Result<(), StoreError> {
        store.put_rosters(source, &self.changed).await?;
        let gone: Vec<String> = self.stored.into_keys().filter(|_| whole).collect();
        if !gone.is_empty() {
            store.drop_rosters(source, &gone).await?;
        }
        Ok(())
    }
}

/// A group as it is remembered; `None` for one that could not be recognised again, or cannot be kept.
pub(super) fn of(entry: &GroupEntry) -> Option<Roster> {
    // The empty DN, which fills lists that must not be empty, and blanks name nobody.
    let members = entry.members.iter().filter(|member| !member.is_empty()).cloned().collect();
    let roster = Roster { unique_id: entry.unique_id.clone()?, dn_key: entry.dn.key(), head: head(entry), members };
    if let Err(error) = roster.check() {
        let error = chain(&error);
        tracing::warn!(target: "bindery_core::sync", dn = %entry.dn, error, "what the group lists cannot be remembered; whenever it changes everything is read");
        return None;
    }
    Some(roster)
}

/// Everything but the members that a rule can look at: when it changes, it changes for every member.
pub(super) fn head(entry: &GroupEntry) -> String {
    let mut head = vec![entry.dn.to_string(), entry.gid.clone().unwrap_or_default()];
    head.extend(entry.names.iter().cloned());
    if !entry.member_of.is_empty() {
        let mut above = entry.member_of.clone();
        above.sort_unstable();
        head.push(format!("memberOf {}", serde_json::Value::from(above)));
    }
    serde_json::Value::from(head).to_string()
}

/// Whether a group as it was remembered had a `gidNumber`: those whose primary group it was are in no list.
pub(super) fn had_gid(head: &str) -> bool {
    let head: Vec<String> = serde_json::from_str(head).unwrap_or_default();
    head.get(1).is_none_or(|gid| !gid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_directory::Dn;

    fn group(unique_id: &str, gid: Option<&str>, members: &[&str]) -> GroupEntry {
        GroupEntry {
            dn: Dn::parse("cn=staff,dc=x").unwrap(),
            unique_id: Some(unique_id.to_owned()),
            names: vec!["staff".to_owned()],
            gid: gid.map(str::to_owned),
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            member_of: vec![],
            broken: None,
        }
    }

    #[test]
    fn a_list_with_a_filler_is_kept_without_it() {
        assert_eq!(of(&group("1", None, &["", "cn=ann,dc=x"])).unwrap().members, ["cn=ann,dc=x"]);
        let long = "x".repeat(2000);
        for unusable in ["", "a\0b", long.as_str()] {
            assert_eq!(of(&group(unusable, None, &[])), None, "{unusable:?}");
        }
    }

    #[test]
    fn a_gid_is_remembered() {
        assert!(had_gid(&head(&group("1", Some("100"), &[]))) && !had_gid(&head(&group("1", None, &[]))));
        assert!(had_gid("nonsense"), "who knows");
    }
}
