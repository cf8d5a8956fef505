//! Whether a group that shows no members has none, or has some that nobody here may see: the first is "no",
//! the second unknown.
//!
//! A search cannot tell the two apart: an attribute that may not be searched is as good as absent. A compare can (RFC
//! 4511, 4.10): `noSuchAttribute` is said of what may be compared and is not there, anything else of the rest.

use super::Context;
use crate::reach::{Compared, Reach, failed, inside, shortcoming};
use crate::settings::{MemberValue, Members};
use crate::{DirectoryError, Known, people};
use bindery_ldap::{Dn, Entry, Filter, ResultCode, Scope, SearchRequest};
use futures::future::{join, join_all, join3};

/// Which classes may have each members attribute (RFC 4519, RFC 2307, and what servers add to these).
const CLASSES: &[(&str, &[&str])] = &[
    ("member", &["groupOfNames", "groupOfMembers", "groupOfEntries", "group", "nestedGroup", "groupOfURLs"]),
    ("uniqueMember", &["groupOfUniqueNames", "groupOfUniqueEntries"]),
    ("roleOccupant", &["organizationalRole"]),
    (MEMBER_UID, &["posixGroup"]),
];

/// Names people in a `posixGroup`, besides those whose primary group it is.
const MEMBER_UID: &str = "memberUid";

/// So many entries of a base are looked at where none shows what it is in, or who is in it.
const SAMPLE: u32 = 8;

/// RFC 4511, 4.5.1.8.
pub(crate) const NO_ATTRIBUTES: &str = "1.1";

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

/// What is behind a group that shows no members.
enum Bare {
    /// Nobody is in it, or nobody by name.
    Empty,
    /// Nobody can say.
    Unknown(String),
    /// It is a group of another kind.
    Foreign,
    /// It is no group.
    None,
}

/// What is known of a group that shows no members, and that matches `groups.filter` or is named by DN (`declared` is
/// false then).
pub(super) async fn empty(context: Context<'_>, dn: &Dn, declared: bool) -> Result<(), Known> {
    match behind(context, dn, declared).await? {
        Bare::Empty => Ok(()),
        Bare::Unknown(why) => Err(Known::Failed(why)),
        Bare::Foreign => Err(Known::Failed(foreign(context, dn))),
        Bare::None => Err(Known::NotFound),
    }
}

fn foreign(context: Context<'_>, dn: &Dn) -> String {
    match &context.settings.groups.members {
        Members::OfGroup(attribute) => format!("{dn} is a group of another kind, which has no {attribute}"),
        Members::MemberOf => format!("{dn} is a group of another kind"),
    }
}

async fn behind(context: Context<'_>, dn: &Dn, declared: bool) -> Result<Bare, Known> {
    let members = &context.settings.groups.members;
    let Members::OfGroup(attribute) = members else { return Ok(Bare::Empty) };
    let read = async |classes| match classes {
        Some(classes) => read(context, dn, classes).await,
        None => Ok(None),
    };
    let asked = join3(read(own_classes(members)), read(other_classes(members)), compare(context, dn, attribute));
    // What is seldom asked is not to make every sign-in's future larger.
    let (own, other, compared) = Box::pin(asked).await;
    let (own, other) = (own?.is_some(), other?.is_some());
    if !declared && !own {
        return Ok(Bare::None);
    }
    if let Answer::Hidden(why) = compared {
        return Ok(Bare::Unknown(why));
    }
    if other && !own {
        let by_number = Box::pin(is_by_number(context, dn)).await?;
        return Ok(if by_number { Bare::Empty } else { Bare::Foreign });
    }
    if own && matches!(compared, Answer::Absent) {
        return Ok(Bare::Empty);
    }
    Ok(match anywhere(context, attribute).await {
        Ok(true) => Bare::Empty,
        Ok(false) => Bare::Unknown(format!("{dn}: no group of the source shows any {attribute}")),
        Err(why) => Bare::Unknown(why),
    })
}

/// Whether a group of another kind is a `posixGroup` that names nobody: whose primary group it is tells who is in it.
async fn is_by_number(context: Context<'_>, dn: &Dn) -> Result<bool, Known> {
    let (Some(posix), Some(others)) =
        (classes(|attribute| attribute == MEMBER_UID), classes(|attribute| attribute != MEMBER_UID))
    else {
        return Ok(false);
    };
    let numbered = Filter::all([posix, Filter::present(people::GID_NUMBER)]);
    // Two questions: the opposite of a class that the server does not know is as undefined as the class.
    let (numbered, other) = join(read(context, dn, numbered), read(context, dn, others)).await;
    if numbered?.is_none() || other?.is_some() {
        return Ok(false);
    }
    Ok(matches!(compare(context, dn, MEMBER_UID).await, Answer::Absent))
}

/// Whether the source shows who is in what: `true` where it does somewhere, `false` where it has nobody to show. Else why
/// nobody can say.
pub(crate) async fn unreadable(context: Context<'_>) -> Result<bool, String> {
    let settings = context.settings;
    let (attribute, bases, scope, filter) = match &settings.groups.members {
        Members::OfGroup(attribute) => {
            (attribute.as_str(), &settings.groups.base_dn, Scope::Subtree, &settings.groups.filter)
        }
        Members::MemberOf => (people::MEMBER_OF, &settings.users.base_dn, settings.users.scope, &settings.users.filter),
    };
    let shows = Filter::all([filter.clone(), Filter::present(attribute)]);
    if !some(context, bases, scope, &shows, 1).await?.is_empty() {
        return Ok(true);
    }
    let sample = some(context, bases, scope, filter, SAMPLE).await?;
    match &settings.groups.members {
        Members::OfGroup(_) => {
            let (mut empty, mut other) = (false, None);
            for (dn, known) in join_all(sample.iter().map(async |dn| (dn, behind(context, dn, true).await))).await {
                match known {
                    Ok(Bare::Empty) => empty = true,
                    Ok(Bare::Unknown(why)) | Err(Known::Failed(why)) => return Err(why),
                    Ok(Bare::Foreign) => other = other.or_else(|| Some(foreign(context, dn))),
                    Ok(Bare::None) | Err(Known::Found | Known::NotFound) => {}
                }
            }
            other.filter(|_| !empty).map_or(Ok(false), Err)
        }
        Members::MemberOf => {
            let asked = join_all(sample.iter().map(|dn| nowhere(context, dn))).await;
            asked.into_iter().collect::<Result<(), String>>().map(|()| false)
        }
    }
}

/// The same, from memory where members were seen a moment ago. That groups show members is never told by what somebody is in:
/// a primary group is found by its number.
pub(super) async fn readable(context: Context<'_>) -> Result<(), String> {
    match context.reach {
        Reach::Own(_) => unreadable(context).await.map(|_| ()),
        Reach::Service(_) => {
            // Only that members were seen is kept.
            let look = async {
                match unreadable(context).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(None),
                    Err(why) => Err(Some(why)),
                }
            };
            let seen = context.cache.readable.try_get_with((), look).await;
            seen.or_else(|why| why.as_ref().clone().map_or(Ok(()), Err))
        }
    }
}

/// Whether somebody whose entry shows no `memberOf` is in no group; else why nobody can say.
pub(crate) async fn nowhere(context: Context<'_>, person: &Dn) -> Result<(), String> {
    match compare(context, person, people::MEMBER_OF).await {
        Answer::Absent => Ok(()),
        Answer::Hidden(why) => Err(why),
        Answer::Mute => {
            let users = &context.settings.users;
            let shows = Filter::all([users.filter.clone(), Filter::present(people::MEMBER_OF)]);
            if some(context, &users.base_dn, users.scope, &shows, 1).await?.is_empty() {
                return Err(format!("{person}: nobody of the source shows any {}", people::MEMBER_OF));
            }
            Ok(())
        }
    }
}

/// Whether any group of the source shows members.
async fn anywhere(context: Context<'_>, attribute: &str) -> Result<bool, String> {
    let groups = &context.settings.groups;
    let shows = Filter::all([groups.filter.clone(), Filter::present(attribute)]);
    Ok(!some(context, &groups.base_dn, Scope::Subtree, &shows, 1).await?.is_empty())
}

/// A few of the entries that a filter picks in each base. An error counts where nothing came.
async fn some(context: Context<'_>, bases: &[Dn], scope: Scope, filter: &Filter, most: u32) -> Result<Vec<Dn>, String> {
    let searches = join_all(bases.iter().map(async |base| {
        let request = SearchRequest::new(base, scope, filter.clone()).attributes([NO_ATTRIBUTES]).size_limit(most);
        let outcome = context.reach.search(&request).await.map_err(|error| error.to_string())?;
        if outcome.entries.is_empty()
            && let Some(why) = shortcoming(&outcome, base)
        {
            return Err(failed(&context.settings.slug, &request, why).to_string());
        }
        let found = inside(outcome, base, scope);
        let found = found.map_err(|why| failed(&context.settings.slug, &request, why.to_string()).to_string())?;
        Ok(found.into_iter().map(|(dn, _)| dn).collect::<Vec<_>>())
    }));
    let (mut found, mut broken) = (Vec::new(), None);
    for answer in searches.await {
        match answer {
            Ok(entries) => found.extend(entries),
            Err(why) => broken = broken.or(Some(why)),
        }
    }
    match broken {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
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
async fn is_sloppy(context: Context<'_>, dn: &Dn) -> Result<bool, DirectoryError> {
    let compare = context.reach.compare(&context.settings.slug, dn, "aliasedObjectName", dn.as_str().as_bytes());
    Ok(matches!(compare.await?, Compared::No))
}

async fn compare(context: Context<'_>, dn: &Dn, attribute: &str) -> Answer {
    let settings = context.settings;
    let value = match (&settings.groups.members, &settings.groups.member_value) {
        (Members::OfGroup(own), MemberValue::Dn) if own == attribute => dn.as_str(),
        (Members::MemberOf, _) => dn.as_str(),
        _ => "nobody",
    };
    let hidden = |why: String| Answer::Hidden(format!("{dn}: {attribute} cannot be read: {why}"));
    let forbidden = |why: String| hidden(format!("{why}; allow the service account to search and compare {attribute}"));
    match context.reach.compare(&settings.slug, dn, attribute, value.as_bytes()).await {
        Ok(Compared::Yes) => forbidden(UNSEEN.to_owned()),
        Ok(Compared::No) => match is_sloppy(context, dn).await {
            Ok(true) => Answer::Mute,
            Ok(false) => forbidden(UNSEEN.to_owned()),
            Err(error) => hidden(error.to_string()),
        },
        Ok(Compared::Answer(result)) => match result.code {
            ResultCode::NO_SUCH_ATTRIBUTE => Answer::Absent,
            ResultCode::PROTOCOL_ERROR
            | ResultCode::UNWILLING_TO_PERFORM
            | ResultCode::INVALID_ATTRIBUTE_SYNTAX
            | ResultCode::INAPPROPRIATE_MATCHING
            | ResultCode::OTHER => Answer::Mute,
            ResultCode::INSUFFICIENT_ACCESS_RIGHTS | ResultCode::NO_SUCH_OBJECT => {
                forbidden(format!("the server answers {result} to a compare"))
            }
            _ => hidden(format!("the server answers {result} to a compare")),
        },
        Err(error) => hidden(error.to_string()),
    }
}

/// What a compare can tell of an attribute that a search cannot.
const UNSEEN: &str = "it is there, and searches do not see it";
