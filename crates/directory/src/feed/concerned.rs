//! Who a changed group concerns: the entries that a member list names, read one by one.

use super::GroupEntry;
use super::about::one_position_a_search;
use super::entries::{group, group_attributes};
use crate::groups::Cache;
use crate::people;
use crate::reach::{failed, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use crate::source::Inner;
use crate::{DirectoryError, Found, Person, Source, Wanted, unique_id};
use bindery_ldap::{Dn, Filter, Scope, SearchRequest};
use std::sync::Arc;

/// The entries that one value of a member list names.
#[derive(Debug, Default)]
pub struct Named {
    /// People of the source; more than one only where values are no DNs.
    pub people: Vec<Person>,
    /// A group in the group.
    pub groups: Vec<GroupEntry>,
}

impl Source {
    /// The same source, with nothing remembered of its groups: what is read through it is as the directory is now.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let inner = &self.inner;
        let (settings, servers) = (inner.settings.clone(), inner.servers.clone());
        Self { inner: Arc::new(Inner { settings, servers, cache: Cache::new() }) }
    }

    /// Whether who is in what is told by people's entries and not by groups' (`members = "memberOf"`).
    pub fn reads_groups_from_people(&self) -> bool {
        self.inner.settings.groups.members == Members::MemberOf
    }

    /// Whether the server changes the entries of those whom a changed group concerns, so that a feed tells of them: 389-DS
    /// does, by its `MemberOf` plug-in. OpenLDAP's overlay leaves no trace that a feed could follow.
    pub fn writes_member_of(&self) -> bool {
        self.reads_groups_from_people() && one_position_a_search(&self.inner.settings)
    }

    /// Whether groups are in groups by what their member lists name.
    pub fn nests_by_members(&self) -> bool {
        let groups = &self.inner.settings.groups;
        let by_dn = matches!((&groups.members, &groups.member_value), (Members::OfGroup(_), MemberValue::Dn));
        by_dn && groups.nested == Nested::Walk
    }

    /// The groups, by unique ID, that name a group in their member lists.
    ///
    /// # Errors
    /// As [`Source::find`], and where the answer is not all there is.
    pub async fn groups_naming(&self, group: &Dn) -> Result<Vec<String>, DirectoryError> {
        let settings = &self.inner.settings;
        let Members::OfGroup(attribute) = &settings.groups.members else { return Ok(Vec::new()) };
        let mut naming = Vec::new();
        for base in &settings.groups.base_dn {
            let lists = Filter::equal(attribute, group.as_str());
            let filter = Filter::all([settings.groups.filter.clone(), lists]);
            let request = SearchRequest::new(base, Scope::Subtree, filter).attributes([&settings.users.unique_id]);
            let outcome = self.inner.service().search(&request).await?;
            if let Some(why) = shortcoming(&outcome, base) {
                return Err(failed(&settings.slug, &request, why));
            }
            let found = inside(outcome, base, Scope::Subtree);
            let found = found.map_err(|error| failed(&settings.slug, &request, error.to_string()))?;
            naming.extend(found.iter().filter_map(|(_, entry)| unique_id::text(entry, &settings.users.unique_id)));
        }
        Ok(naming)
    }

    /// Whom a value of [`GroupEntry::members`] names. Nobody, where there is no such entry or it is none of this
    /// source's: that is for a listing to find out.
    ///
    /// # Errors
    /// As [`Source::find`]: a read that failed says nothing of anybody.
    pub async fn named_by(&self, member: &str, wanted: &Wanted) -> Result<Named, DirectoryError> {
        let settings = &self.inner.settings;
        match &settings.groups.member_value {
            MemberValue::Attribute(attribute) => {
                let filter = Filter::equal(attribute, member);
                let people = people::bearing(self.inner.service(), settings, filter, wanted).await?;
                Ok(Named { people, groups: Vec::new() })
            }
            // A key is a DN, too: the one that servers compare as equal.
            MemberValue::Dn => match Dn::parse(member) {
                Ok(dn) => self.named(&dn, wanted).await,
                Err(_) => Ok(Named::default()),
            },
        }
    }

    async fn named(&self, dn: &Dn, wanted: &Wanted) -> Result<Named, DirectoryError> {
        let settings = &self.inner.settings;
        let mut named = Named::default();
        match people::at(self.inner.service(), settings, dn, wanted).await {
            Ok(Found::One(person)) => {
                named.people.push(*person);
                return Ok(named);
            }
            // Nobody that anything could be tied to.
            Ok(_) | Err(DirectoryError::MissingUniqueId { .. }) => {}
            Err(error) => return Err(error),
        }
        let (filter, attributes) = (settings.groups.filter.clone(), group_attributes(settings));
        let entry = self.inner.service().entry(&settings.slug, dn, filter, &attributes).await?;
        named.groups.extend(entry.map(|entry| group(settings, dn.clone(), &entry).0));
        Ok(named)
    }
}
