//! What each directory group listed when it was last read, so that an incremental run can tell whom a changed group
//! concerns. Only what is not stored already is kept in memory and written.

use crate::engine::chain;
use bindery_directory::GroupEntry;
use bindery_store::{Roster, Store, StoreError};
use std::collections::HashMap;
use std::fmt::Write;

/// Member lists that have changed.
#[derive(Debug)]
pub(super) struct Rosters {
    stored: HashMap<String, [u8; 16]>,
    changed: Vec<Changed>,
    ends: Ends,
}

/// A list that waits for the end of the run. In the first there are as many members as memberships, and so each is kept
/// short: its beginning, and which of the few ends it has.
#[derive(Debug)]
struct Changed {
    unique_id: String,
    dn_key: String,
    head: String,
    /// `NUMBER BEGINNING` of each member, one a line.
    members: Box<str>,
}

/// What members' DNs have in common: everything from their first comma on.
#[derive(Debug, Default)]
struct Ends {
    ends: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Ends {
    fn pack(&mut self, members: &[String]) -> Box<str> {
        let mut packed = String::new();
        for member in members {
            let (beginning, end) = member.split_at(member.find(',').unwrap_or(member.len()));
            let number = self.numbers.get(end).copied().unwrap_or_else(|| {
                self.ends.push(end.to_owned());
                self.numbers.insert(end.to_owned(), self.ends.len() - 1);
                self.ends.len() - 1
            });
            let _ = writeln!(packed, "{number} {beginning}");
        }
        packed.into()
    }

    fn unpack(&self, packed: &str) -> Vec<String> {
        let member = |line: &str| {
            let (number, beginning) = line.split_once(' ')?;
            Some(format!("{beginning}{}", self.ends.get(number.parse::<usize>().ok()?)?))
        };
        packed.split('\n').filter_map(member).collect()
    }
}

impl Rosters {
    pub(super) fn new(stored: Vec<(String, [u8; 16])>) -> Self {
        Self { stored: stored.into_iter().collect(), changed: Vec::new(), ends: Ends::default() }
    }

    /// Notes a group as it was read.
    pub(super) fn compare(&mut self, entry: &GroupEntry) {
        let digest = Roster::digest_of(entry.dn.key_str(), &head(entry), members(entry));
        let stored = entry.unique_id.as_ref().and_then(|unique_id| self.stored.remove(unique_id));
        if stored == Some(digest) {
            return;
        }
        if let Some(Roster { unique_id, dn_key, head, members }) = of(entry) {
            let members = self.ends.pack(&members);
            self.changed.push(Changed { unique_id, dn_key, head, members });
        } else if let (Some(unique_id), Some(digest)) = (&entry.unique_id, stored) {
            // What it listed before is no longer so.
            self.stored.insert(unique_id.clone(), digest);
        }
    }

    /// Writes what has changed, and forgets the groups that were not there where all of them were read.
    pub(super) async fn keep(self, store: &Store, source: &str, whole: bool) -> Result<(), StoreError> {
        for part in self.changed.chunks(PART) {
            let unpacked = part.iter().map(|one| Roster {
                unique_id: one.unique_id.clone(),
                dn_key: one.dn_key.clone(),
                head: one.head.clone(),
                members: self.ends.unpack(&one.members),
            });
            store.put_rosters(source, &unpacked.collect::<Vec<_>>()).await?;
        }
        let gone: Vec<String> = self.stored.into_keys().filter(|_| whole).collect();
        if !gone.is_empty() {
            store.drop_rosters(source, &gone).await?;
        }
        Ok(())
    }
}

/// Lists that are unpacked at once.
const PART: usize = 100;

/// The empty DN, which fills lists that must not be empty, and blanks name nobody.
fn members(entry: &GroupEntry) -> impl Iterator<Item = &str> {
    entry.members.iter().map(String::as_str).filter(|member| !member.is_empty())
}

/// A group as it is remembered; `None` for one that could not be recognised again, or cannot be kept.
pub(super) fn of(entry: &GroupEntry) -> Option<Roster> {
    let members = members(entry).map(str::to_owned).collect();
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
    fn a_list_that_waits_is_what_it_was() {
        let lists = [
            ["uid=ann,ou=people,dc=x", "uid=b b,ou=people,dc=x", "uid=ann,dc=elsewhere", "ann", ",", "1 2,3 4"]
                .as_slice(),
            &["uid=ann,ou=people,dc=x"],
            &[],
        ];
        let mut ends = Ends::default();
        let lists = lists.map(|list| list.iter().map(|member| (*member).to_owned()).collect::<Vec<_>>());
        let packed = lists.each_ref().map(|list| ends.pack(list));
        assert_eq!(packed.map(|packed| ends.unpack(&packed)), lists);
        assert_eq!(ends.ends.len(), 5, "each once");
    }

    #[test]
    fn only_what_has_changed_waits() {
        let (old, new) = (group("1", None, &["", "cn=ann,dc=x"]), group("1", None, &["cn=bob,dc=x"]));
        let mut rosters = Rosters::new(vec![("1".to_owned(), of(&old).unwrap().digest())]);
        rosters.compare(&old);
        assert!(rosters.changed.is_empty() && rosters.stored.is_empty());
        let mut rosters = Rosters::new(vec![("1".to_owned(), of(&old).unwrap().digest())]);
        rosters.compare(&new);
        assert_eq!((rosters.changed.len(), rosters.stored.len()), (1, 0));
    }

    #[test]
    fn a_gid_is_remembered() {
        assert!(had_gid(&head(&group("1", Some("100"), &[]))) && !had_gid(&head(&group("1", None, &[]))));
        assert!(had_gid("nonsense"), "who knows");
    }
}
