//! What each template is given. A template reads these fields and nothing else; overriding templates may rely on them.

use crate::{icons::Face, sentences::Sentence};
use bindery_core::engine::{LinkView, UserView};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// A page: a template and what it is given as `page`.
pub(crate) trait Page: Serialize {
    /// The template's name.
    const TEMPLATE: &'static str;
}

/// What every page is given as `chrome`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Chrome<'a> {
    /// The site's name.
    pub(crate) site: &'a str,
    /// Where the routes are mounted: empty, or a path without a slash at its end.
    pub(crate) base: &'a str,
    /// Where the site's own start page is.
    pub(crate) home: &'a str,
    /// The style sheet's address.
    pub(crate) css: String,
    /// The mark's address.
    pub(crate) mark: String,
    /// The name of the field for the form token, and the token.
    pub(crate) csrf_field: &'static str,
    /// See `csrf_field`.
    pub(crate) csrf: String,
    /// Who is signed in.
    pub(crate) user: Option<Visible<'a>>,
    /// Whether they may look at everybody, at `/admin/users`.
    pub(crate) people: bool,
    /// A line above every page.
    pub(crate) banner: Option<&'a str>,
    /// What a demo tells its visitors.
    pub(crate) demo: Option<&'a Demo>,
    /// Sources with a picture, in order.
    pub(crate) sources: Vec<Face>,
}

/// The people and things of a demo.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Demo {
    /// What this is, in a sentence.
    pub note: String,
    /// Who can sign in, and who can't.
    pub people: Vec<DemoPerson>,
}

/// Somebody in a demo.
#[derive(Debug, Clone, Serialize)]
pub struct DemoPerson {
    /// What to type.
    pub username: String,
    /// What to type.
    pub password: String,
    /// Who that is, and what to expect.
    pub about: String,
}

/// A user, as pages show them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Visible<'a> {
    /// What to call them.
    pub(crate) name: &'a str,
    /// Their local name.
    pub(crate) username: &'a str,
    /// One or two letters.
    pub(crate) initials: String,
}

impl<'a> Visible<'a> {
    pub(crate) fn of(user: &'a UserView) -> Self {
        let name = [&user.display_name, &user.first_name, &user.username]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or("", String::as_str);
        let mut words = name.split_whitespace().filter_map(|w| w.chars().next());
        let initials = words.next().into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect();
        Self { name, username: &user.username, initials }
    }
}

/// `home.html`
#[derive(Debug, Default, Serialize)]
pub(crate) struct HomePage<'a> {
    /// What to call them in a greeting; empty when signed out.
    pub(crate) first_name: &'a str,
    /// Their groups.
    pub(crate) groups: &'a [String],
    /// Their permissions.
    pub(crate) permissions: &'a [String],
    /// Their flags, in words.
    pub(crate) flags: Vec<String>,
    /// Whether they can change their password here.
    pub(crate) changes_password: bool,
}

impl Page for HomePage<'_> {
    const TEMPLATE: &'static str = "home.html";
}

impl<'a> HomePage<'a> {
    pub(crate) fn of(user: &'a UserView, changes_password: bool) -> Self {
        Self {
            first_name: if user.first_name.is_empty() { Visible::of(user).name } else { &user.first_name },
            groups: &user.groups,
            permissions: &user.permissions,
            flags: flags(user),
            changes_password,
        }
    }
}

/// `login.html`
#[derive(Debug, Default, Serialize)]
pub(crate) struct LoginPage {
    /// Why the last attempt failed.
    pub(crate) error: Option<Sentence>,
    /// Something that went well before, as signing out.
    pub(crate) notice: Option<&'static str>,
    /// As typed.
    pub(crate) username: String,
    /// Where to go afterwards; checked already.
    pub(crate) next: Option<String>,
    /// "14 days" where "remember me" can be chosen.
    pub(crate) remember: Option<String>,
    /// Whether it is chosen.
    pub(crate) remembered: bool,
}

impl Page for LoginPage {
    const TEMPLATE: &'static str = "login.html";
}

/// `profile.html`
#[derive(Debug, Serialize)]
pub(crate) struct ProfilePage<'a> {
    /// Who.
    pub(crate) user: &'a UserView,
    /// Name, mail and the like.
    pub(crate) about: Vec<Row>,
    /// The mapped fields beyond those.
    pub(crate) more: Vec<Row>,
    /// Flags that are set, in words.
    pub(crate) flags: Vec<String>,
    /// Where all this comes from.
    pub(crate) link: Option<Origin<'a>>,
    /// Whether they can change their password here.
    pub(crate) changes_password: bool,
}

impl Page for ProfilePage<'_> {
    const TEMPLATE: &'static str = "profile.html";
}

/// The entry that a profile comes from.
#[derive(Debug, Serialize)]
pub(crate) struct Origin<'a> {
    source: &'a str,
    dn: &'a str,
    unique_id: &'a str,
    /// For machines.
    read_at: String,
    /// For people.
    read: String,
}

/// One line of a profile.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// What it is, in words.
    pub(crate) label: String,
    /// One value or several.
    pub(crate) values: Vec<String>,
}

impl<'a> ProfilePage<'a> {
    pub(crate) fn of(user: &'a UserView, changes_password: bool) -> Self {
        let about = [
            ("Username", &user.username),
            ("Display name", &user.display_name),
            ("First name", &user.first_name),
            ("Last name", &user.last_name),
            ("Email", &user.email),
        ];
        Self {
            user,
            about: about.into_iter().filter_map(|(label, value)| row(label, &Value::from(value.as_str()))).collect(),
            more: user.profile.iter().filter_map(|(name, value)| row(&humanise(name), value)).collect(),
            flags: flags(user),
            link: user.link.as_ref().map(origin),
            changes_password,
        }
    }
}

fn origin(link: &LinkView) -> Origin<'_> {
    Origin {
        source: &link.source,
        dn: &link.dn,
        unique_id: &link.unique_id,
        read_at: link.last_seen.to_rfc3339(),
        read: date(link.last_seen),
    }
}

pub(super) fn date(time: DateTime<Utc>) -> String {
    time.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// A row, unless there is nothing to show.
pub(super) fn row(label: &str, value: &Value) -> Option<Row> {
    let values: Vec<String> = match value {
        Value::Array(many) => many.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    (!values.is_empty()).then(|| Row { label: label.to_owned(), values })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(if *yes { "Yes" } else { "No" }.to_owned()),
        other => Some(other.to_string()),
    }
}

fn flags(user: &UserView) -> Vec<String> {
    user.flags
        .iter()
        // Nobody sees a page with an account that isn't active.
        .filter(|(name, set)| **set && *name != "is_active")
        .map(|(name, _)| humanise(name.strip_prefix("is_").unwrap_or(name)))
        .collect()
}

/// `employee_id` becomes "Employee ID".
pub(super) fn humanise(name: &str) -> String {
    const CAPITALS: [&str; 7] = ["id", "dn", "url", "upn", "sid", "it", "hr"];
    let mut words = name.split(['_', '-', ' ']).filter(|word| !word.is_empty()).map(|word| {
        if CAPITALS.contains(&word.to_lowercase().as_str()) { word.to_uppercase() } else { word.to_owned() }
    });
    let Some(first) = words.next() else {
        return name.to_owned();
    };
    let mut letters = first.chars();
    let mut text: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    text.push_str(letters.as_str());
    for word in words {
        text.push(' ');
        text.push_str(&word);
    }
    text
}

/// `password.html`
#[derive(Debug, Default, Serialize)]
pub(crate) struct PasswordPage {
    /// Why they are here, or why the last attempt failed.
    pub(crate) error: Option<Sentence>,
    /// Whether it worked.
    pub(crate) changed: bool,
    /// Whether passwords are changed here; otherwise the page says whom to ask.
    pub(crate) allowed: bool,
    /// Whether the username must be typed, because nobody is signed in.
    pub(crate) asks_username: bool,
    /// As typed.
    pub(crate) username: String,
}

impl Page for PasswordPage {
    const TEMPLATE: &'static str = "password.html";
}

/// `error.html`
#[derive(Debug, Serialize)]
pub(crate) struct ErrorPage {
    /// The HTTP status.
    pub(crate) status: u16,
    /// In a few words.
    pub(crate) title: String,
    /// What is so, and what to do.
    pub(crate) sentence: Sentence,
}

impl Page for ErrorPage {
    const TEMPLATE: &'static str = "error.html";
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn field_names_become_labels() {
        assert_eq!(humanise("employee_id"), "Employee ID");
        assert_eq!(humanise("cost_center"), "Cost center");
        assert_eq!(humanise("title"), "Title");
        assert_eq!(humanise("phone-numbers"), "Phone numbers");
        assert_eq!(humanise("___"), "___");
        assert_eq!(humanise("ß_x"), "SS x");
    }

    #[test]
    fn rows_without_a_value_are_left_out() {
        let values = |value| row("x", &value).map(|row| row.values);
        assert_eq!(values(json!(null)), None);
        assert_eq!(values(json!("")), None);
        assert_eq!(values(json!([])), None);
        assert_eq!(values(json!(["a", "", "b"])).unwrap(), ["a", "b"]);
        assert_eq!(values(json!(7)).unwrap(), ["7"]);
        assert_eq!(values(json!(true)).unwrap(), ["Yes"]);
    }
}
