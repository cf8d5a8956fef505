//! Who a changed group concerns: the entries that a member list names, read one by one.

use super::GroupEntry;
use super::entries::{group, group_attributes};
use crate::groups::Cache;
use crate::people;
use crate::settings::{MemberValue, Members};
use crate::source::Inner;
use crate::{DirectoryError, Found, Person, Source, Wanted};
use bindery_ldap::{Dn, Filter};
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
