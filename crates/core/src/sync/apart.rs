//! Groups that rules name by DN and that no search for groups finds: outside `groups.base_dn`, past `groups.filter`, or
//! not there at all; and the groups in these that no search finds either. No feed tells of them, and so they are read again, by a run and by a follower alike.
//!
//! What they were is kept like the member lists of the others, and compared.

use super::broken::Broken;
use super::doubt;
use super::rosters::head;
use super::run::Run;
use crate::engine::{ActiveSource, Engine};
use bindery_directory::{Apart, Dn, Roster, Source};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const APART: &str = "apart";
/// Members that have come are looked at one by one, whether they are groups; no more of them than this.
const MOST_LOOKED_AT: usize = 2_000;

/// What was read of these groups, by the keys of their DNs; nothing for one that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside(BTreeMap<String, Option<Listed>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    head: String,
    changed: Option<String>,
    members: BTreeSet<String>,
}

/// What has become of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// These members came or left.
    Members(BTreeSet<String>),
    /// It concerns whoever is in them, or everybody: nobody can say whom.
    Doubt(String),
}

impl Aside {
    pub(super) fn of(roster: &Roster) -> Self {
        Self::from_read(roster.elsewhere())
    }

    fn from_read(read: &[Apart]) -> Self {
        let listed = |apart: &Apart| {
            apart.entry.as_ref().map(|entry| Listed {
                head: head(entry),
                changed: apart.changed.clone(),
                members: entry.members.iter().filter(|member| !member.is_empty()).cloned().collect(),
            })
        };
        Self(read.iter().map(|apart| (apart.dn.key(), listed(apart))).collect())
    }

    pub(super) async fn load(engine: &Engine, source: &ActiveSource) -> Result<Self, Broken> {
        Ok(doubt::kept(engine.store(), source, APART).await?)
    }

    pub(super) async fn keep(&self, engine: &Engine, source: &ActiveSource) -> Result<(), Broken> {
        Ok(engine.store().put_position(&source.slug, APART, json!(self), engine.now()).await?)
    }

    /// Whether a group is among them, by the key of its DN.
    pub(super) fn has(&self, dn_key: &str) -> bool {
        self.0.contains_key(dn_key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same groups as they are now.
    pub(super) async fn read_again(&self, directory: &Source) -> Result<Self, Broken> {
        // A key is a DN, too.
        let dns: Vec<Dn> = self.0.keys().filter_map(|key| Dn::parse(key).ok()).collect();
        let mut now = Self::from_read(&directory.groups_at(&dns).await?);
        let fresh = now.members_that_came(self);
        // With more of them everybody is read anyway.
        if !fresh.is_empty() && fresh.len() <= MOST_LOOKED_AT {
            let fresh: Vec<&str> = fresh.into_iter().collect();
            let more = Self::from_read(&directory.groups_among(&fresh).await?);
            let more: Vec<_> = more.0.into_iter().filter(|(dn, _)| !now.0.contains_key(dn)).collect();
            now.0.extend(more);
        }
        Ok(now)
    }

    /// The members that these groups had not before.
    fn members_that_came<'a>(&'a self, before: &Self) -> BTreeSet<&'a str> {
        let listed = self.0.iter().filter_map(|(dn, listed)| Some((dn, listed.as_ref()?)));
        let came = listed.flat_map(|(dn, listed)| {
            let before = before.0.get(dn).and_then(Option::as_ref);
            listed.members.iter().filter(move |member| before.is_none_or(|before| !before.members.contains(*member)))
        });
        came.map(String::as_str).collect()
    }

    pub(super) fn difference(&self, now: &Self) -> Difference {
        let mut members = BTreeSet::new();
        if let Some(dn) = now.0.keys().find(|dn| !self.0.contains_key(*dn)) {
            return Difference::Doubt(format!(
                "the group {dn}, which no feed tells of, is in one that a rule names now"
            ));
        }
        for (dn, before) in &self.0 {
            match (before, now.0.get(dn).and_then(Option::as_ref)) {
                (None, None) => {}
                (Some(before), Some(now)) if before.head == now.head && before.changed == now.changed => {
                    members.extend(before.members.symmetric_difference(&now.members).cloned());
                }
                (Some(_), Some(_)) => {
                    return Difference::Doubt(format!("the group {dn}, which no feed tells of, has changed"));
                }
                _ => return Difference::Doubt(format!("the group {dn}, which a rule names, came or left")),
            }
        }
        Difference::Members(members)
    }
}

impl Run<'_> {
    /// What has become of these groups since the last run.
    pub(super) async fn look_aside(&mut self) -> Result<Difference, Broken> {
        let before =
            if self.reads_groups() { Aside::load(&self.engine, &self.source).await? } else { Aside::default() };
        if before.is_empty() {
            return Ok(Difference::Members(BTreeSet::new()));
        }
        let now = before.read_again(&self.source.directory).await?;
        let difference = before.difference(&now);
        self.aside = Some(now).filter(|now| *now != before);
        Ok(difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(head: &str, members: &[&str]) -> Listed {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        Listed { head: head.to_owned(), changed: None, members }
    }

    fn aside(listed: impl Into<Option<Listed>>) -> Aside {
        Aside([("cn=app,dc=x".to_owned(), listed.into())].into())
    }

    #[test]
    fn whoever_came_or_left_is_concerned() {
        let before = aside(listed("app", &["ann", "bob"]));
        let members = |names: &[&str]| Difference::Members(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(before.difference(&before), members(&[]));
        assert_eq!(before.difference(&aside(listed("app", &["bob", "cy"]))), members(&["ann", "cy"]));
        assert_eq!(aside(None).difference(&aside(None)), members(&[]));
    }

    #[test]
    fn a_group_that_comes_leaves_or_is_another_one_is_doubt() {
        let before = aside(listed("app", &["ann"]));
        let stamped = |at: &str| aside(Listed { changed: Some(at.to_owned()), ..listed("app", &[]) });
        for (before, now) in [
            (&before, &aside(None)),
            (&aside(None), &before),
            (&before, &aside(listed("other", &["ann"]))),
            (&stamped("1"), &stamped("2")),
            (&before, &Aside::default()),
            (&Aside::default(), &before),
        ] {
            assert!(matches!(before.difference(now), Difference::Doubt(_)), "{before:?} {now:?}");
        }
    }
}
