//! Who a changed group concerns: the entries that a member list names, read one by one.

use super::GroupEntry;
use super::about::one_position_a_search;
use super::entries::{Listed, Search, Taken, group, group_attributes, unfolded};
use super::listing::{self, Incomplete, Listing};
use crate::groups::{Cache, NO_ATTRIBUTES, kind, nowhere, steps};
use crate::people;
use crate::reach::{failed, in_scope, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use crate::source::Inner;
use crate::{DirectoryError, Found, Person, Source, SourceSettings, Wanted, unique_id};
use bindery_ldap::{Dn, Entry, Filter, Scope, SearchRequest};
use futures::future::try_join_all;
use std::sync::Arc;

/// The entries that one value of a member list names.
#[derive(Debug, Default)]
pub struct Named {
    /// People of the source; more than one only where values are no DNs.
    pub people: Vec<Person>,
    /// A group in the group.
    pub groups: Vec<GroupEntry>,
}

/// A group that rules name by DN and that no search for groups finds, as it is where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Its DN, as the rules have it.
    pub dn: Dn,
    /// `None`: there is no such group.
    pub entry: Option<GroupEntry>,
    /// Under `members = "memberOf"`, where the entry lists nobody: what changes with it.
    pub changed: Option<String>,
}

/// Reads one, wherever it lies, if it is a group of the source's kind at all. Also whether the server gave only a part of
/// its members.
pub(super) async fn apart(inner: &Inner, dn: &Dn) -> Result<(Apart, bool), DirectoryError> {
    let settings = &inner.settings;
    let attributes = attributes(settings);
    let found = inner.service().entry(&settings.slug, dn, kind(settings), &attributes).await?;
    Ok(match found {
        Some(found) => as_apart(settings, dn.clone(), &found),
        None => (Apart { dn: dn.clone(), entry: None, changed: None }, false),
    })
}

fn by_stamp(settings: &SourceSettings) -> bool {
    settings.groups.members == Members::MemberOf && !one_position_a_search(settings)
}

fn attributes(settings: &SourceSettings) -> Vec<String> {
    let mut attributes = group_attributes(settings);
    if by_stamp(settings) {
        attributes.extend(STAMPS.iter().map(|name| (*name).to_owned()));
    }
    attributes
}

fn as_apart(settings: &SourceSettings, dn: Dn, found: &Entry) -> (Apart, bool) {
    let changed = STAMPS.iter().filter_map(|name| found.text(name)).collect::<Vec<_>>().join(" ");
    let (entry, ranged) = group(settings, dn.clone(), found);
    (Apart { dn, entry: Some(entry), changed: by_stamp(settings).then_some(changed) }, ranged)
}

/// Everything below a base that may be a step to a group that a rule names.
pub(super) fn steps_below(inner: &Arc<Inner>, base: &Dn) -> Listing<Apart> {
    let search = Apart::search(&inner.settings, &Wanted::default());
    listing::start(Arc::clone(inner), Search { bases: vec![base.clone()], ..search })
}

impl Listed for Apart {
    fn search(settings: &SourceSettings, wanted: &Wanted) -> Search {
        Search { filter: steps(settings), attributes: attributes(settings), ..GroupEntry::search(settings, wanted) }
    }

    fn take(settings: &SourceSettings, dn: Dn, entry: Entry) -> Taken<Self> {
        let (apart, ranged) = as_apart(settings, dn, &entry);
        Taken { entry: Some(apart), unreadable: None, short: ranged.then_some(Incomplete::SizeLimit) }
    }
}

/// Entries read side by side.
const SIDE_BY_SIDE: usize = 8;

/// What changes with an entry, whatever it is that changes.
const STAMPS: [&str; 3] = ["modifyTimestamp", "entryCSN", "uSNChanged"];

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
        let naming = self.groups_with(Filter::equal(attribute, group.as_str())).await?;
        Ok(naming.iter().filter_map(|entry| unique_id::text(entry, &settings.users.unique_id)).collect())
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
                let filter = Filter::equal(attribute, unfolded(member));
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
        // Through a group that is none of the source's people may be in one that a rule names.
        let (filter, attributes) = (steps(settings), group_attributes(settings));
        let entry = self.inner.service().entry(&settings.slug, dn, filter, &attributes).await?;
        let found = entry.map(|entry| group(settings, dn.clone(), &entry).0);
        if let Some(gid) = found.as_ref().and_then(|group| group.gid.as_deref()) {
            // Those whose primary group it is are in no list.
            let filter = Filter::equal(people::GID_NUMBER, gid);
            named.people = people::bearing(self.inner.service(), settings, filter, wanted).await?;
        }
        named.groups.extend(found);
        Ok(named)
    }

    /// Groups as they are where they lie, in that order.
    ///
    /// # Errors
    /// As [`Source::find`], and where the server gives only a part of the members of one.
    pub async fn groups_at(&self, dns: &[Dn]) -> Result<Vec<Apart>, DirectoryError> {
        self.inner.need_service_account("reading groups")?;
        let mut groups = Vec::with_capacity(dns.len());
        for part in dns.chunks(SIDE_BY_SIDE) {
            let reads = part.iter().map(async |dn| match apart(&self.inner, dn).await? {
                (apart, false) => Ok(apart),
                (_, true) => Err(DirectoryError::Operation {
                    slug: self.inner.settings.slug.clone(),
                    operation: format!("reading the group {dn}"),
                    detail: "the server gave only a part of its members".to_owned(),
                    source: None,
                }),
            });
            groups.extend(try_join_all(reads).await?);
        }
        Ok(groups)
    }

    /// The groups among these members of others, by their keys, that lie outside `groups.base_dn` or do not match
    /// `groups.filter`: no feed tells of them.
    ///
    /// # Errors
    /// As [`Source::find`].
    pub async fn groups_among(&self, keys: &[&str]) -> Result<Vec<Apart>, DirectoryError> {
        let settings = &self.inner.settings;
        if !self.nests_by_members() {
            return Ok(vec![]);
        }
        let attributes = attributes(settings);
        let dns: Vec<Dn> = keys.iter().filter_map(|key| Dn::parse(key).ok()).collect();
        let mut found = Vec::new();
        for part in dns.chunks(SIDE_BY_SIDE) {
            let reads = part.iter().map(async |dn| {
                let found = self.inner.service().entry(&settings.slug, dn, steps(settings), &attributes).await?;
                let Some(found) = found else { return Ok(None) };
                let told = self.is_listed(dn).await?;
                Ok::<_, DirectoryError>((!told).then(|| as_apart(settings, dn.clone(), &found).0))
            });
            found.extend(try_join_all(reads).await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// Whether a listing of the groups has that one.
    async fn is_listed(&self, dn: &Dn) -> Result<bool, DirectoryError> {
        let settings = &self.inner.settings;
        if !settings.groups.base_dn.iter().any(|base| in_scope(dn, base, Scope::Subtree)) {
            return Ok(false);
        }
        // Asked of the filter itself: not to match its opposite says nothing where the filter is undefined.
        let filter = settings.groups.filter.clone();
        let entry = self.inner.service().entry(&settings.slug, dn, filter, &[NO_ATTRIBUTES.to_owned()]).await?;
        Ok(entry.is_some())
    }

    /// Why nobody can say that a person whose entry shows no groups is in none, under `members = "memberOf"`: their
    /// `memberOf` is there, or may not be read. `None` where they are in none, and of whoever shows groups. Costs a
    /// compare, or nothing.
    pub async fn hides_groups(&self, person: &Person) -> Option<String> {
        if !self.reads_groups_from_people() || person.entry.values(people::MEMBER_OF).next().is_some() {
            return None;
        }
        nowhere(self.inner.groups_by(self.inner.service()), &person.dn).await.err()
    }

    /// Whether a group with that unique ID is where this source looks for groups.
    ///
    /// # Errors
    /// As [`Source::find`], and where the answer is not all there is.
    pub async fn has_group(&self, unique_id: &str) -> Result<bool, DirectoryError> {
        let bears = unique_id::filter(&self.inner.settings.users.unique_id, unique_id);
        Ok(!self.groups_with(bears).await?.is_empty())
    }

    /// The groups that lie where this source looks for them, and that match a filter as well as its own.
    async fn groups_with(&self, filter: Filter) -> Result<Vec<Entry>, DirectoryError> {
        let settings = &self.inner.settings;
        let filter = Filter::all([settings.groups.filter.clone(), filter]);
        let mut groups = Vec::new();
        for base in &settings.groups.base_dn {
            let request =
                SearchRequest::new(base, Scope::Subtree, filter.clone()).attributes([&settings.users.unique_id]);
            let outcome = self.inner.service().search(&request).await?;
            if let Some(why) = shortcoming(&outcome, base) {
                return Err(failed(&settings.slug, &request, why));
            }
            let found = inside(outcome, base, Scope::Subtree);
            let found = found.map_err(|error| failed(&settings.slug, &request, error.to_string()))?;
            groups.extend(found.into_iter().map(|(_, entry)| entry));
        }
        Ok(groups)
    }
}
