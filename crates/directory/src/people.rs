//! Finding people: by name, by template, by unique ID.
//!
//! A typed name is only ever a value in a filter or an RDN. Several bases are one union: an error in any
//! of them is an error of the whole, never a shorter union.

use crate::reach::{Reach, failed, in_scope, inside, shortcoming};
use crate::settings::{MemberValue, Members};
use crate::{DirectoryError, Found, Person, SourceSettings, Wanted, account, unique_id};
use bindery_ldap::{Dn, Entry, Filter, ResultCode, SearchRequest};
use futures::future::try_join_all;

/// The entry behind a name, before anything is asked of it.
pub(crate) enum Located {
    /// Exactly one.
    One(Dn, Entry),
    /// Nobody.
    Nobody,
    /// More than one.
    Several(Vec<Dn>),
}

/// What is asked of a person: what the rules use, and what a source itself needs.
pub(crate) fn attributes(settings: &SourceSettings, wanted: &Wanted) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(wanted.0.len() + 16);
    let of_groups = match (&settings.groups.members, &settings.groups.member_value) {
        (Members::MemberOf, _) => Some(MEMBER_OF),
        (Members::OfGroup(_), MemberValue::Attribute(name)) => Some(name.as_str()),
        (Members::OfGroup(_), MemberValue::Dn) => None,
    };
    let own = [settings.users.unique_id.as_str(), GID_NUMBER].into_iter().chain(of_groups);
    let own = own.chain(settings.users.login_attributes.iter().map(String::as_str));
    let own = own.chain(account::ATTRIBUTES.iter().copied());
    for name in wanted.0.iter().map(String::as_str).chain(own) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Read from the person where `members = "memberOf"`.
pub(crate) const MEMBER_OF: &str = "memberOf";
/// A person's primary group (RFC 2307).
pub(crate) const GID_NUMBER: &str = "gidNumber";

/// The number of a person's primary group.
pub(crate) fn gid(person: &Person) -> Option<&str> {
    let number = person.entry.text(GID_NUMBER)?.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

/// Who a typed name is, with those attributes.
pub(crate) async fn locate(
    reach: Reach<'_>,
    settings: &SourceSettings,
    name: &str,
    attributes: &[String],
) -> Result<Located, DirectoryError> {
    if name.is_empty() {
        return Ok(Located::Nobody);
    }
    let users = &settings.users;
    if users.dn_template.is_some() {
        let Some(dn) = by_template(settings, name) else { return Ok(Located::Nobody) };
        let entry = reach.entry(&settings.slug, &dn, users.filter.clone(), attributes).await?;
        return Ok(entry.map_or(Located::Nobody, |entry| Located::One(dn, entry)));
    }
    let named = users.login_attributes.iter().map(|attribute| Filter::equal(attribute, name));
    let filter = Filter::all([users.filter.clone(), Filter::any(named)]);
    union(reach, settings, filter, attributes).await
}

/// The DN that the template makes of a name; `None` where that is no DN inside a base.
pub(crate) fn by_template(settings: &SourceSettings, name: &str) -> Option<Dn> {
    let users = &settings.users;
    let dn = users.dn_template.as_ref()?.fill(name).ok()?;
    users.base_dn.iter().any(|base| in_scope(&dn, base, users.scope)).then_some(dn)
}

/// One search for each base, side by side.
async fn union(
    reach: Reach<'_>,
    settings: &SourceSettings,
    filter: Filter,
    attributes: &[String],
) -> Result<Located, DirectoryError> {
    let searches =
        settings.users.base_dn.iter().map(|base| one_base(reach, settings, base, filter.clone(), attributes));
    let mut found: Vec<(Dn, Entry)> = Vec::new();
    let mut elsewhere = None;
    for base in try_join_all(searches).await? {
        for (dn, entry) in base.found {
            if !found.iter().any(|(known, _)| *known == dn) {
                found.push((dn, entry));
            }
        }
        elsewhere = elsewhere.or(base.elsewhere);
    }
    // Somebody who was found is somebody. Nobody found, with a part of the base out of sight, is unknown.
    if let Some(error) = elsewhere.filter(|_| found.is_empty()) {
        return Err(error);
    }
    if found.len() > 1 {
        return Ok(Located::Several(found.into_iter().map(|(dn, _)| dn).collect()));
    }
    Ok(found.pop().map_or(Located::Nobody, |(dn, entry)| Located::One(dn, entry)))
}

/// What one base has.
struct OneBase {
    found: Vec<(Dn, Entry)>,
    /// A part of it lies on another server.
    elsewhere: Option<DirectoryError>,
}

async fn one_base(
    reach: Reach<'_>,
    settings: &SourceSettings,
    base: &Dn,
    filter: Filter,
    attributes: &[String],
) -> Result<OneBase, DirectoryError> {
    let scope = settings.users.scope;
    let request = SearchRequest::new(base, scope, filter).attributes(attributes);
    let outcome = reach.search(&request).await?;
    let mut elsewhere = shortcoming(&outcome, base).map(|why| failed(&settings.slug, &request, why));
    if outcome.result.code != ResultCode::SUCCESS
        && let Some(error) = elsewhere.take()
    {
        return Err(error);
    }
    let found = inside(outcome, base, scope).map_err(|error| failed(&settings.slug, &request, error.to_string()))?;
    Ok(OneBase { found, elsewhere })
}

/// A person of the source, which has a readable unique ID.
pub(crate) fn person(settings: &SourceSettings, dn: Dn, entry: Entry) -> Result<Person, DirectoryError> {
    let attribute = &settings.users.unique_id;
    match unique_id::text(&entry, attribute) {
        Some(unique_id) => Ok(Person { entry, dn, unique_id }),
        None => Err(DirectoryError::MissingUniqueId {
            slug: settings.slug.clone(),
            dn: dn.to_string(),
            attribute: attribute.clone(),
        }),
    }
}

/// Who a typed name is, as a person.
pub(crate) async fn find(
    reach: Reach<'_>,
    settings: &SourceSettings,
    name: &str,
    wanted: &Wanted,
) -> Result<Found, DirectoryError> {
    Ok(match locate(reach, settings, name, &attributes(settings, wanted)).await? {
        Located::One(dn, entry) => Found::One(Box::new(person(settings, dn, entry)?)),
        Located::Nobody => Found::Nobody,
        Located::Several(dns) => Found::Several(dns),
    })
}

/// Whoever is of that name.
pub(crate) async fn at(
    reach: Reach<'_>,
    settings: &SourceSettings,
    dn: &Dn,
    wanted: &Wanted,
) -> Result<Found, DirectoryError> {
    let users = &settings.users;
    if !users.base_dn.iter().any(|base| in_scope(dn, base, users.scope)) {
        return Ok(Found::Nobody);
    }
    let entry = reach.entry(&settings.slug, dn, users.filter.clone(), &attributes(settings, wanted)).await?;
    match entry {
        Some(entry) => {
            // As the server spells it, which is what everybody else has it from.
            let dn = entry.dn().unwrap_or_else(|_| dn.clone());
            Ok(Found::One(Box::new(person(settings, dn, entry)?)))
        }
        None => Ok(Found::Nobody),
    }
}

/// Everybody whom a filter picks.
pub(crate) async fn bearing(
    reach: Reach<'_>,
    settings: &SourceSettings,
    filter: Filter,
    wanted: &Wanted,
) -> Result<Vec<Person>, DirectoryError> {
    let (attributes, filter) = (attributes(settings, wanted), Filter::all([settings.users.filter.clone(), filter]));
    let bases = settings.users.base_dn.iter();
    let mut people = Vec::new();
    for base in try_join_all(bases.map(|base| one_base(reach, settings, base, filter.clone(), &attributes))).await? {
        for (dn, entry) in base.found {
            // Without a unique ID they are nobody that anything could be tied to.
            match person(settings, dn, entry) {
                Ok(person) => people.push(person),
                Err(error) => {
                    tracing::warn!(target: "bindery_directory::search", source = %settings.slug, %error, "passed over");
                }
            }
        }
    }
    Ok(people)
}

/// Somebody seen before: where they were last, else wherever they are now.
pub(crate) async fn read(
    reach: Reach<'_>,
    settings: &SourceSettings,
    unique_id: &str,
    hint: Option<&Dn>,
    wanted: &Wanted,
) -> Result<Option<Person>, DirectoryError> {
    let users = &settings.users;
    let attributes = attributes(settings, wanted);
    let within = |dn: &&Dn| users.base_dn.iter().any(|base| in_scope(dn, base, users.scope));
    if let Some(dn) = hint.filter(within)
        && let Some(entry) = reach.entry(&settings.slug, dn, users.filter.clone(), &attributes).await?
        && let Ok(found) = entry.dn()
        && let Ok(person) = person(settings, found, entry)
        && person.unique_id == unique_id
    {
        return Ok(Some(person));
    }
    let filter = Filter::all([users.filter.clone(), unique_id::filter(&users.unique_id, unique_id)]);
    match union(reach, settings, filter, &attributes).await? {
        Located::One(dn, entry) => person(settings, dn, entry).map(Some),
        Located::Nobody => Ok(None),
        Located::Several(dns) => Err(DirectoryError::Operation {
            slug: settings.slug.clone(),
            operation: format!("reading the entry with {} {unique_id}", users.unique_id),
            detail: format!("{} entries bear it: {} and {}", dns.len(), name_of(&dns, 0), name_of(&dns, 1)),
            source: None,
        }),
    }
}

fn name_of(dns: &[Dn], at: usize) -> String {
    dns.get(at).map(ToString::to_string).unwrap_or_default()
}
