//! Whether a group that shows no members has none, or has some that nobody here may see: the first is "no",
//! the second unknown.
//!
//! A search cannot tell the two apart: an attribute that may not be searched is as good as absent. A compare can (RFC
//! 4511, 4.10): `noSuchAttribute` is said of what may be compared and is not there, anything else of the rest.

use super::Context;
use crate::reach::{Compared, Reach, failed, shortcoming};
use crate::settings::{MemberValue, Members};
use crate::{Known, people};
use bindery_ldap::{Dn, Entry, Filter, ResultCode, Scope, SearchRequest};
use futures::future::{join_all, join3};

/// Which classes may have each members attribute (RFC 4519, RFC 2307, and what servers add to these).
const CLASSES: &[(&str, &[&str])] = &[
    ("member", &["groupOfNames", "groupOfMembers", "groupOfEntries", "group", "nestedGroup", "groupOfURLs"]),
    ("uniqueMember", &["groupOfUniqueNames", "groupOfUniqueEntries"]),
    ("roleOccupant", &["organizationalRole"]),
    ("memberUid", &["posixGroup"]),
];

/// RFC 4511, 4.5.1.8.
pub(super) const NO_ATTRIBUTES: &str = "1.1";

/// What an entry must match to show who is in it; `None` where people's entries say what they are in.
pub(super) fn shown(context: Context<'_>) -> Option<Filter> {
    match &context.settings.groups.members {
        Members::OfGroup(attribute) => Some(Filter::present(attribute)),
        Members::MemberOf => None,
    }
}

/// Entries of a class that has the members attribute; under `memberOf`, any of those attributes. `None`: nobody knows.
pub(super) fn own_classes(members: &Members) -> Option<Filter> {
    classes(|attribute| match members {
        Members::OfGroup(own) => attribute.eq_ignore_ascii_case(own),
        Members::MemberOf => true,
    })
}

/// Entries of a class that has another members attribute.
fn other_classes(members: &Members) -> Option<Filter> {
    own_classes(members)?;
    classes(|attribute| match members {
        Members::OfGroup(own) => !attribute.eq_ignore_ascii_case(own),
        Members::MemberOf => false,
    })
}

fn classes(of: impl Fn(&str) -> bool) -> Option<Filter> {
    let of_it = CLASSES.iter().filter(|(attribute, _)| of(attribute));
    let classes: Vec<_> =
        of_it.flat_map(|(_, classes)| *classes).map(|one| Filter::equal("objectClass", *one)).collect();
    (!classes.is_empty()).then(|| Filter::any(classes))
}

/// What an entry must be for a rule to name it by DN: what the source takes for a group, or what shows members, or
/// could. Anything else has nobody in it for good, which is a mistake and no answer.
pub(crate) fn kind(settings: &crate::SourceSettings) -> Filter {
    let groups = &settings.groups;
    let shows: Vec<Filter> = match &groups.members {
        Members::OfGroup(attribute) => vec![Filter::present(attribute)],
        Members::MemberOf => CLASSES.iter().map(|(attribute, _)| Filter::present(*attribute)).collect(),
    };
    Filter::any([groups.filter.clone()].into_iter().chain(own_classes(&groups.members)).chain(shows))
}

/// What is known of a group that shows no members, and that matches `groups.filter` or is named by DN (`declared` is
/// false then).
pub(super) async fn empty(context: Context<'_>, dn: &Dn, declared: bool) -> Result<(), Known> {
    let members = &context.settings.groups.members;
    let Members::OfGroup(attribute) = members else { return Ok(()) };
    let read = async |classes| match classes {
        Some(classes) => read(context, dn, classes).await,
        None => Ok(None),
    };
    let asked = join3(read(own_classes(members)), read(other_classes(members)), compare(context, dn, attribute));
    // What is seldom asked is not to make every sign-in's future larger.
    let (own, other, compared) = Box::pin(asked).await;
    let (own, other) = (own?.is_some(), other?.is_some());
    if !declared && !own {
        return Err(Known::NotFound);
    }
    if other && !own {
        return Err(Known::Failed(format!("it is a group of another kind, which has no {attribute}")));
    }
    match compared {
        Answer::Absent if own => Ok(()),
        Answer::Absent | Answer::Mute => match anywhere(context, attribute).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Known::Failed(format!("no group of the source shows any {attribute}"))),
            Err(why) => Err(Known::Failed(why)),
        },
        Answer::Hidden(why) => Err(Known::Failed(why)),
    }
}

/// Whether nobody can say who is in the groups of a source, because it shows members in none of them; and why.
pub(crate) async fn unreadable(context: Context<'_>) -> Result<(), String> {
    let settings = context.settings;
    let (attribute, bases, scope, filter) = match &settings.groups.members {
        Members::OfGroup(attribute) => {
            (attribute.as_str(), &settings.groups.base_dn, Scope::Subtree, &settings.groups.filter)
        }
        Members::MemberOf => (people::MEMBER_OF, &settings.users.base_dn, settings.users.scope, &settings.users.filter),
    };
    let shows = Filter::all([filter.clone(), Filter::present(attribute)]);
    if first(context, bases, scope, &shows).await?.is_some() {
        return Ok(());
    }
    let Some(sample) = first(context, bases, scope, filter).await? else { return Ok(()) };
    let Ok(dn) = sample.dn() else { return Ok(()) };
    match &settings.groups.members {
        Members::OfGroup(_) => match empty(context, &dn, true).await {
            Err(Known::Failed(why)) => Err(format!("{dn}: {why}")),
            _ => Ok(()),
        },
        Members::MemberOf => nowhere(context, &dn).await,
    }
}

/// The same, from memory where members were seen a minute ago: for those whom no group lists, which says nothing by itself.
pub(super) async fn readable(context: Context<'_>) -> Result<(), String> {
    match context.reach {
        Reach::Own(_) => unreadable(context).await,
        Reach::Service(_) => {
            let seen = context.cache.readable.try_get_with((), unreadable(context)).await;
            seen.map_err(|why| why.as_ref().clone())
        }
    }
}

/// Whether somebody whose entry shows no `memberOf` is in no group; else why nobody can say.
pub(super) async fn nowhere(context: Context<'_>, person: &Dn) -> Result<(), String> {
    match compare(context, person, people::MEMBER_OF).await {
        Answer::Absent => Ok(()),
        Answer::Hidden(why) => Err(format!("{person}: {why}")),
        Answer::Mute => {
            let users = &context.settings.users;
            let shows = Filter::all([users.filter.clone(), Filter::present(people::MEMBER_OF)]);
            match first(context, &users.base_dn, users.scope, &shows).await? {
                Some(_) => Ok(()),
                None => Err(format!("nobody of the source shows any {}", people::MEMBER_OF)),
            }
        }
    }
}

/// Whether any group of the source shows members.
async fn anywhere(context: Context<'_>, attribute: &str) -> Result<bool, String> {
    let groups = &context.settings.groups;
    let shows = Filter::all([groups.filter.clone(), Filter::present(attribute)]);
    Ok(first(context, &groups.base_dn, Scope::Subtree, &shows).await?.is_some())
}

/// Any one entry that a filter picks.
async fn first(context: Context<'_>, bases: &[Dn], scope: Scope, filter: &Filter) -> Result<Option<Entry>, String> {
    let searches = join_all(bases.iter().map(async |base| {
        let request = SearchRequest::new(base, scope, filter.clone()).attributes([NO_ATTRIBUTES]).size_limit(1);
        let outcome = context.reach.search(&request).await.map_err(|error| error.to_string())?;
        if outcome.entries.is_empty()
            && let Some(why) = shortcoming(&outcome, base)
        {
            return Err(failed(&context.settings.slug, &request, why).to_string());
        }
        Ok(outcome.entries.into_iter().next())
    }));
    let (mut found, mut broken) = (None, None);
    for answer in searches.await {
        match answer {
            Ok(entry) => found = found.or(entry),
            Err(why) => broken = broken.or(Some(why)),
        }
    }
    match (found, broken) {
        (None, Some(why)) => Err(why),
        (found, _) => Ok(found),
    }
}

pub(super) async fn read(context: Context<'_>, dn: &Dn, filter: Filter) -> Result<Option<Entry>, Known> {
    let answer = context.reach.entry(&context.settings.slug, dn, filter, &[NO_ATTRIBUTES.to_owned()]).await;
    answer.map_err(|error| Known::Failed(error.to_string()))
}

/// What a compare says of an attribute that no search shows.
enum Answer {
    /// It may be compared, and is not there.
    Absent,
    /// It is there, or may not be compared.
    Hidden(String),
    /// The server does not compare as others do.
    Mute,
}

/// Whether the server says "no" of what is not there at all, as LLDAP does: no group is an alias.
async fn is_sloppy(context: Context<'_>, dn: &Dn) -> bool {
    let compare = context.reach.compare(&context.settings.slug, dn, "aliasedObjectName", dn.as_str().as_bytes());
    matches!(compare.await, Ok(Compared::No))
}

async fn compare(context: Context<'_>, dn: &Dn, attribute: &str) -> Answer {
    let settings = context.settings;
    let value = match (&settings.groups.members, &settings.groups.member_value) {
        (Members::OfGroup(_), MemberValue::Attribute(_)) => "nobody",
        _ => dn.as_str(),
    };
    let hidden = |why: String| Answer::Hidden(format!("{attribute} cannot be read: {why}"));
    match context.reach.compare(&settings.slug, dn, attribute, value.as_bytes()).await {
        Ok(Compared::No) if is_sloppy(context, dn).await => Answer::Mute,
        Ok(Compared::Yes | Compared::No) => hidden("it is there, and searches do not see it".to_owned()),
        Ok(Compared::Answer(result)) => match result.code {
            ResultCode::NO_SUCH_ATTRIBUTE => Answer::Absent,
            ResultCode::PROTOCOL_ERROR
            | ResultCode::UNWILLING_TO_PERFORM
            | ResultCode::INVALID_ATTRIBUTE_SYNTAX
            | ResultCode::INAPPROPRIATE_MATCHING
            | ResultCode::OTHER => Answer::Mute,
            _ => hidden(format!("the server answers {result} to a compare")),
        },
        Err(error) => hidden(error.to_string()),
    }
}
