//! Samples that every template is tried with: at start where templates are overridden, and in the tests.

use super::{
    Chrome, Demo, DemoPerson, ErrorPage, HomePage, LoginPage, Pages, PagesError, PasswordPage, ProfilePage, Visible,
};
use crate::{icons::Face, sentences};
use bindery_core::engine::{LinkView, UserView};
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
    assert!(!html.contains("49"), "templates in values are not run");
    html
}
