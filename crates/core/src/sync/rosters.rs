//! What each directory group listed when it was last read, so that an incremental run can tell whom a changed group
//! concerns. Only what is not stored already is kept in memory and written.

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

    /// Writes what has changed, and forgets the groups that were not there.
    pub(super) async fn keep(self, store: &Store, source: &str) -> Result<(), StoreError> {
        store.put_rosters(source, &self.changed).await?;
        let gone: Vec<String> = self.stored.into_keys().collect();
        if !gone.is_empty() {
            store.drop_rosters(source, &gone).await?;
        }
        Ok(())
    }
}

/// A group as it is remembered; `None` for one that could not be recognised again.
pub(super) fn of(entry: &GroupEntry) -> Option<Roster> {
    Some(Roster {
        unique_id: entry.unique_id.clone()?,
        dn_key: entry.dn.key(),
        head: head(entry),
        members: entry.members.clone(),
    })
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
