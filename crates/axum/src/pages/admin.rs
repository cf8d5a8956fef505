//! What the templates of the admin pages are given.

use super::context::{Page, date, humanise, row};
use bindery_core::engine::{
    CHANGE_USER, Deed, EntryView, GivenGroup, Giver, Inactive, People, PersonLine, PersonView, UserView,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// `admin_users.html`
#[derive(Debug, Default, Serialize)]
pub(crate) struct UsersPage<'a> {
    /// Where the list is.
    pub(crate) users: &'a str,
    /// What was searched for, as typed.
    pub(crate) query: &'a str,
    /// Those whose username begins so, or everybody.
    pub(crate) people: Vec<Line>,
    /// Those whose mail address begins so, and who are not in `people`.
    pub(crate) by_email: Vec<Line>,
    /// Whether more have such an address than are looked at.
    pub(crate) more_by_email: bool,
    /// The address of the first page, unless this is it.
    pub(crate) first: Option<String>,
    /// The address of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl Page for UsersPage<'_> {
    const TEMPLATE: &'static str = "admin_users.html";
}

/// Somebody in a list.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// Where their page is.
    address: String,
    username: String,
    name: String,
    email: String,
    /// Slugs; none for a local account.
    sources: Vec<String>,
    status: Status,
    superuser: bool,
    last_sign_in: Option<Time>,
}

/// Whether somebody may sign in.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    active: bool,
    /// "Active", or why not.
    words: String,
}

/// A moment.
#[derive(Debug, Serialize)]
pub(crate) struct Time {
    /// For machines.
    at: String,
    /// For people.
    words: String,
}

impl Time {
    /// In a list the day is enough for people.
    fn day(time: DateTime<Utc>) -> Self {
        Self { at: time.to_rfc3339(), words: time.format("%-d %b %Y").to_string() }
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self { at: time.to_rfc3339(), words: date(time) }
    }
}

impl From<Option<&Inactive>> for Status {
    fn from(inactive: Option<&Inactive>) -> Self {
        let words = match inactive {
            None => "Active".to_owned(),
            Some(Inactive::ByHand) => "Deactivated by hand".to_owned(),
            Some(Inactive::Rule(source)) => format!("Deactivated by the rules of {source}"),
            Some(Inactive::Account(source)) => format!("Disabled, expired or locked in {source}"),
            Some(Inactive::Left(source)) => format!("No longer in {source}"),
        };
        Self { active: inactive.is_none(), words }
    }
}

impl<'a> UsersPage<'a> {
    pub(crate) fn of(query: &'a str, later: bool, people: People, users: &'a str) -> Self {
        let lines = |people: Vec<PersonLine>| people.into_iter().map(|line| Line::of(line, users)).collect();
        Self {
            users,
            query,
            people: lines(people.listed),
            by_email: lines(people.by_email),
            more_by_email: people.more_by_email,
            first: later.then(|| page(users, query, "")),
            next: people.next.map(|after| page(users, query, &after)),
        }
    }
}

/// The address of a page of the list.
fn page(users: &str, query: &str, after: &str) -> String {
    let given: Vec<_> = [("q", query), ("after", after)].into_iter().filter(|(_, value)| !value.is_empty()).collect();
    if given.is_empty() {
        return users.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    format!("{users}?{query}")
}

impl Line {
    fn of(person: PersonLine, users: &str) -> Self {
        Self {
            address: format!("{users}/{}", person.id),
            status: Status::from(person.inactive.as_ref()),
            username: person.username,
            name: person.name,
            email: person.email,
            sources: person.sources,
            superuser: person.superuser,
            last_sign_in: person.last_sign_in.map(Time::day),
        }
    }
}

/// `admin_user.html`
#[derive(Debug, Serialize)]
pub(crate) struct PersonPage<'a> {
    /// Where the list is.
    users: &'a str,
    /// Where this page is.
    address: String,
    /// What to call them.
    name: String,
    username: &'a str,
    status: Status,
    /// What was just done, if that is so.
    note: Option<&'static str>,
    /// What may be done to them; none where the visitor may do nothing to anybody.
    deeds: Option<Deeds>,
    /// Name, mail and the like.
    about: Vec<Field<'a>>,
    /// The mapped fields beyond those.
    more: Vec<Field<'a>>,
    flags: Vec<Flag<'a>>,
    groups: Vec<Group<'a>>,
    permissions: &'a [String],
    /// Whether they may do everything, whatever their permissions are.
    superuser: bool,
    /// Their entries; none for a local account.
    entries: Vec<Entry<'a>>,
    /// Whether they have a password of their own here.
    local_password: bool,
    sessions: u64,
    last_sign_in: Option<Time>,
    created: Time,
    updated: Time,
}

impl Page for PersonPage<'_> {
    const TEMPLATE: &'static str = "admin_user.html";
}

/// What may be done to somebody.
#[derive(Debug, Serialize)]
pub(crate) struct Deeds {
    activate: bool,
    deactivate: bool,
    end_sessions: bool,
    /// Why something is not among them.
    because: Option<&'static str>,
}

/// A field.
#[derive(Debug, Serialize)]
pub(crate) struct Field<'a> {
    label: String,
    /// One or several.
    values: Vec<String>,
    /// The source that gives it, if one does.
    from: Option<&'a str>,
}

/// A flag other than `is_active`, which `status` tells of.
#[derive(Debug, Serialize)]
pub(crate) struct Flag<'a> {
    label: String,
    set: bool,
    /// The source whose rules decide it, if one does.
    from: Option<&'a str>,
}

/// A group.
#[derive(Debug, Serialize)]
pub(crate) struct Group<'a> {
    name: &'a str,
    /// Who gives the membership: "by hand", "from corp", "read live".
    from: String,
}

/// An entry of a directory.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    source: &'a str,
    dn: &'a str,
    unique_id: &'a str,
    last_seen: Time,
}

impl<'a> PersonPage<'a> {
    /// `visitor` looks at the page, after `done` if that is not none.
    pub(crate) fn of(person: &'a PersonView, visitor: &UserView, done: Option<Deed>, users: &'a str) -> Self {
        let user = &person.user;
        let about = [
            ("username", &user.username),
            ("display_name", &user.display_name),
            ("first_name", &user.first_name),
            ("last_name", &user.last_name),
            ("email", &user.email),
            ("path", &user.path),
        ];
        let flags = user.flags.iter().filter(|(name, _)| *name != "is_active");
        Self {
            users,
            address: format!("{users}/{}", user.id),
            name: user.full_name(),
            username: &user.username,
            status: Status::from(person.inactive.as_ref()),
            note: done.and_then(|deed| note(deed, person)),
            deeds: visitor.may(CHANGE_USER).then(|| Deeds::of(person, visitor)),
            about: about
                .into_iter()
                .filter_map(|(name, text)| field(person, name, &Value::from(text.as_str())))
                .collect(),
            more: user.profile.iter().filter_map(|(name, value)| field(person, name, value)).collect(),
            flags: flags.map(|(name, set)| flag(person, name, *set)).collect(),
            groups: person.groups.iter().map(group).collect(),
            permissions: &user.permissions,
            superuser: user.flag("is_superuser"),
            entries: person.entries.iter().map(entry).collect(),
            local_password: person.local_password,
            sessions: person.sessions,
            last_sign_in: person.last_sign_in.map(Time::from),
            created: person.created_at.into(),
            updated: person.updated_at.into(),
        }
    }
}

impl Deeds {
    /// What the engine would let the visitor do. It decides, and decides again when it is done.
    fn of(person: &PersonView, visitor: &UserView) -> Self {
        let (active, own) = (person.inactive.is_none(), person.user.id == visitor.id);
        if person.user.flag("is_superuser") && !visitor.flag("is_superuser") {
            let because = Some("Only a superuser can change the account of a superuser.");
            return Self { activate: false, deactivate: false, end_sessions: false, because };
        }
        Self {
            activate: !active,
            deactivate: active && !own,
            end_sessions: person.sessions > 0,
            because: own.then_some("This is your own account: only another administrator can deactivate it."),
        }
    }
}

/// Anybody can write an address: a note says nothing that is not so.
fn note(done: Deed, person: &PersonView) -> Option<&'static str> {
    let (so, words) = match done {
        Deed::Activate => (person.inactive.is_none(), "The account is active again."),
        Deed::Deactivate => (person.inactive.is_some(), "The account is deactivated, and every session has ended."),
        Deed::EndSessions => (person.sessions == 0, "Every session has ended."),
    };
    so.then_some(words)
}

fn field<'a>(person: &'a PersonView, name: &str, value: &Value) -> Option<Field<'a>> {
    let row = row(&humanise(name), value)?;
    Some(Field { label: row.label, values: row.values, from: person.gives_field(name) })
}

fn flag<'a>(person: &'a PersonView, name: &str, set: bool) -> Flag<'a> {
    Flag { label: humanise(name.strip_prefix("is_").unwrap_or(name)), set, from: person.gives_flag(name) }
}

fn group(given: &GivenGroup) -> Group<'_> {
    let by: Vec<String> = given.by.iter().map(giver).collect();
    Group { name: &given.group, from: by.join(", ") }
}

fn giver(giver: &Giver) -> String {
    match giver {
        Giver::Hand => "by hand".to_owned(),
        Giver::Source(source) => format!("from {source}"),
        Giver::Live => "read live".to_owned(),
    }
}

fn entry(entry: &EntryView) -> Entry<'_> {
    Entry { source: &entry.source, dn: &entry.dn, unique_id: &entry.unique_id, last_seen: entry.last_seen.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_addressed_by_what_was_searched_and_where_it_begins() {
        assert_eq!(page("/admin/users", "", ""), "/admin/users");
        assert_eq!(page("/x/admin/users", "a&b=c", "ä+ \"<"), "/x/admin/users?q=a%26b%3Dc&after=%C3%A4%2B+%22%3C");
    }
}
