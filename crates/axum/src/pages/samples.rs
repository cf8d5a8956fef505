//! Samples that every template is tried with: at start where templates are overridden, and in the tests.

use super::{
    Chrome, Demo, DemoPerson, ErrorPage, HomePage, LoginPage, Pages, PagesError, PasswordPage, PersonPage, ProfilePage,
    UsersPage, Visible,
};
use crate::{icons::Face, sentences};
use bindery_core::engine::{
    Deed, EntryView, GivenGroup, Giver, Inactive, LinkView, People, PersonLine, PersonView, UserView,
};
use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

/// Renders every page in every shape it has.
pub(super) fn try_all(pages: &Pages) -> Result<(), PagesError> {
    let full = user("Ann Lee");
    let bare = UserView {
        display_name: String::new(),
        profile: serde_json::Map::default(),
        groups: Vec::new(),
        permissions: Vec::new(),
        link: None,
        ..user("")
    };
    let demo = Demo {
        note: "This is a demo.".to_owned(),
        people: vec![DemoPerson {
            username: "ann".to_owned(),
            password: "secret".to_owned(),
            about: "An editor".to_owned(),
        }],
    };
    for user in [None, Some(&full), Some(&bare)] {
        for demo in [None, Some(&demo)] {
            try_with(pages, &chrome(user, demo))?;
        }
    }
    for user in [&full, &bare] {
        let chrome = chrome(Some(user), None);
        for changes in [true, false] {
            pages.render(&chrome, &HomePage::of(user, changes))?;
            pages.render(&chrome, &ProfilePage::of(user, changes))?;
        }
    }
    try_admin(pages, &full, &bare)
}

fn try_admin(pages: &Pages, full: &UserView, bare: &UserView) -> Result<(), PagesError> {
    let admin = superuser();
    let chrome = Chrome { people: true, ..chrome(Some(&admin), None) };
    pages.render(&chrome, &UsersPage::default())?;
    for (query, later) in [("", false), ("", true), ("ann", false)] {
        pages.render(&chrome, &UsersPage::of(query, later, people("Ann Lee"), "/admin/users"))?;
        pages.render(&chrome, &UsersPage::of(query, later, People::default(), "/admin/users"))?;
    }
    for user in [full, bare, &admin] {
        for visitor in [full, &admin] {
            for (inactive, done) in [(None, None), (Some(Inactive::ByHand), Some(Deed::Deactivate))] {
                let person = PersonView { inactive, ..person(user) };
                pages.render(&chrome, &PersonPage::of(&person, visitor, done, "/admin/users"))?;
            }
        }
    }
    Ok(())
}

fn try_with(pages: &Pages, chrome: &Chrome<'_>) -> Result<(), PagesError> {
    let error = Some(sentences::unavailable());
    pages.render(chrome, &HomePage::default())?;
    pages.render(chrome, &LoginPage::default())?;
    pages.render(
        chrome,
        &LoginPage {
            error: error.clone(),
            notice: Some("Something."),
            username: "ann".to_owned(),
            next: Some("/profile".to_owned()),
            remember: Some("14 days".to_owned()),
            remembered: true,
        },
    )?;
    for (allowed, asks_username, changed) in
        [(true, true, false), (true, false, false), (true, false, true), (false, false, false), (false, true, false)]
    {
        let page = PasswordPage { error: error.clone(), changed, allowed, asks_username, username: "ann".to_owned() };
        pages.render(chrome, &page)?;
    }
    pages.render(
        chrome,
        &ErrorPage { status: 404, title: "Not found".to_owned(), sentence: sentences::unavailable() },
    )?;
    Ok(())
}

fn chrome<'a>(user: Option<&'a UserView>, demo: Option<&'a Demo>) -> Chrome<'a> {
    Chrome {
        site: "Bindery",
        base: "",
        home: "/",
        css: "/assets/bindery.css".to_owned(),
        mark: "/assets/mark.svg".to_owned(),
        csrf_field: "csrf_token",
        csrf: "token".to_owned(),
        user: user.map(Visible::of),
        people: false,
        banner: demo.map(|demo| demo.note.as_str()),
        demo,
        sources: demo
            .map(|_| Face { source: "corp".to_owned(), icon: "/assets/x/icon".to_owned() })
            .into_iter()
            .collect(),
    }
}

fn user(display_name: &str) -> UserView {
    UserView {
        id: Uuid::nil(),
        username: "ann".to_owned(),
        first_name: "Ann".to_owned(),
        last_name: "Lee".to_owned(),
        email: "ann@example.com".to_owned(),
        display_name: display_name.to_owned(),
        path: "corp/press".to_owned(),
        flags: [("is_active".to_owned(), true), ("is_staff".to_owned(), true)].into(),
        profile: [("title".to_owned(), json!("Editor")), ("phone_numbers".to_owned(), json!(["1", "2"]))]
            .into_iter()
            .collect(),
        groups: vec!["Editors".to_owned()],
        permissions: vec!["press.add_page".to_owned()],
        link: Some(LinkView {
            source: "corp".to_owned(),
            unique_id: "0f".to_owned(),
            dn: "uid=ann,dc=example,dc=com".to_owned(),
            last_seen: DateTime::UNIX_EPOCH,
        }),
    }
}

fn superuser() -> UserView {
    let mut admin = UserView { id: Uuid::max(), ..user("Root") };
    admin.flags.insert("is_superuser".to_owned(), true);
    admin
}

fn people(text: &str) -> People {
    let line = PersonLine {
        id: Uuid::nil(),
        username: text.to_owned(),
        name: text.to_owned(),
        email: text.to_owned(),
        sources: vec![text.to_owned()],
        inactive: Some(Inactive::Left(text.to_owned())),
        superuser: true,
        last_sign_in: Some(DateTime::UNIX_EPOCH),
    };
    let local = PersonLine { sources: Vec::new(), inactive: None, last_sign_in: None, ..line.clone() };
    let listed = vec![line, local];
    People { by_email: listed.clone(), listed, next: Some(text.to_owned()), more_by_email: true }
}

/// Somebody whose every name is that of `user`.
fn person(user: &UserView) -> PersonView {
    let name = &user.display_name;
    let givers = vec![Giver::Hand, Giver::Source(name.clone()), Giver::Live];
    let groups = user.groups.iter().map(|group| GivenGroup { group: group.clone(), by: givers.clone() });
    let entry = user.link.as_ref().map(|link| EntryView {
        source: name.clone(),
        dn: link.dn.clone(),
        unique_id: link.unique_id.clone(),
        last_seen: link.last_seen,
        fields: user.profile.keys().cloned().collect(),
        flags: user.flags.keys().cloned().collect(),
    });
    PersonView {
        user: user.clone(),
        inactive: None,
        groups: groups.collect(),
        local_password: entry.is_none(),
        sessions: 2,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        last_sign_in: entry.is_some().then_some(DateTime::UNIX_EPOCH),
        entries: entry.into_iter().collect(),
    }
}

#[cfg(test)]
pub(super) fn home(pages: &Pages) -> String {
    let user = user("Ann");
    let chrome = chrome(Some(&user), None);
    pages.render(&chrome, &HomePage::of(&user, true)).unwrap()
}

/// A user whose every field tries to be markup.
#[cfg(test)]
pub(super) fn hostile(pages: &Pages) -> String {
    let evil = "<script>alert(1)</script>\"'{{ 7 * 7 }}";
    let mut user = user(evil);
    user.profile.insert(evil.to_owned(), json!([evil]));
    user.groups = vec![evil.to_owned()];
    user.permissions = vec![evil.to_owned()];
    user.flags.insert(evil.to_owned(), true);
    let chrome = chrome(Some(&user), None);
    let login = LoginPage { username: evil.to_owned(), next: Some(evil.to_owned()), ..LoginPage::default() };
    let mut html = pages.render(&chrome, &ProfilePage::of(&user, true)).unwrap();
    html += &pages.render(&chrome, &HomePage::of(&user, true)).unwrap();
    html += &pages.render(&chrome, &login).unwrap();
    let person = PersonView { inactive: Some(Inactive::Rule(evil.to_owned())), ..person(&user) };
    html += &pages.render(&chrome, &PersonPage::of(&person, &superuser(), None, "/admin/users")).unwrap();
    html += &pages.render(&chrome, &UsersPage::of(evil, true, people(evil), "/admin/users")).unwrap();
    assert!(!html.contains("49"), "templates in values are not run");
    html
}
