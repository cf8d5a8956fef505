//! What the admin pages show: who there is, where what is known of them comes from, and never a secret.

use crate::office::{ACT, HASH, LOOK, Office, id, link, page, person, usernames};
use bindery_store::{Change, EntityKind, GroupRef, Link, NewGroup, NewUser, Owner, PasswordHash};
use http::StatusCode;
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn what_people_are_called_is_text() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let evil = "<img src=x onerror=alert(1)>\"'{{ 7777 * 7777 }}";
    let mut new = NewUser { username: evil.to_owned(), username_key: evil.to_lowercase(), ..person(2, "x") };
    for field in [&mut new.display_name, &mut new.first_name, &mut new.email, &mut new.path] {
        evil.clone_into(field);
    }
    new.profile.insert(evil.to_owned(), json!([evil]));
    new.flags.insert(evil.to_owned(), true);
    let group = NewGroup { id: id(7), name: evil.to_owned(), name_key: evil.to_owned(), owner: Owner::Hand };
    let link = Link {
        kind: EntityKind::User,
        source: evil.to_owned(),
        unique_id: evil.to_owned(),
        entity_id: id(2),
        dn: evil.to_owned(),
        dn_key: evil.to_owned(),
        given_fields: [evil.to_owned()].into(),
        ..Link::default()
    };
    office
        .apply(vec![
            Change::CreateUser(new),
            Change::CreateGroup(group),
            Change::Grant { group: GroupRef::Id(id(7)), permission: evil.to_owned() },
            Change::AddMembership { user: id(2), group: GroupRef::Id(id(7)), owner: Owner::Source(evil.to_owned()) },
            Change::Link(link),
        ])
        .await;
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", evil).finish();
    for path in ["/admin/users", &page(2), &format!("/admin/users?{query}"), &format!("/admin/users?{query}&after=a")] {
        let shown = office.get(path, &root).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}");
        assert!(shown.text.contains("&lt;img src=x"), "{path}");
        assert!(!shown.text.contains("<img src=x") && !shown.text.contains("60481729"), "{path}");
        assert!(!shown.text.contains("<script") && !shown.text.contains(" style="), "{path}");
        assert!(shown.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!(shown.header("cache-control"), "no-store", "{path}");
        assert_eq!(shown.text.matches("<h1").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn everybody_is_on_one_page_and_only_one() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let odd =
        ["Ärger", "ζωή", "a&b=c", "a+b", "a b", "a%41", "a#b", "a/b", "100%", "\u{feff}a", "ａｂ", "a\u{10ffff}b"];
    let names = (0..117).map(|n| format!("u{n:03}")).chain(odd.map(str::to_owned));
    let changes = names.clone().zip(10..).map(|(name, n)| Change::CreateUser(person(n, &name))).collect();
    office.apply(changes).await;
    let mut keys: Vec<String> = names.map(|name| bindery_core::name::fold(&name)).collect();
    keys.push("root".to_owned());
    keys.sort();

    let (mut shown, mut sizes) = (Vec::new(), Vec::new());
    let mut next = Some("/admin/users".to_owned());
    while let Some(path) = next {
        let listed = office.get(&path, &root).await;
        assert_eq!(listed.status, StatusCode::OK, "{path}");
        let first = link(&listed, "First page");
        assert_eq!(first.as_deref(), (!sizes.is_empty()).then_some("/admin/users"), "{path}");
        next = link(&listed, "Next page");
        sizes.push(usernames(&listed).len());
        shown.extend(usernames(&listed));
        assert!(sizes.len() < 9, "this has no end");
    }
    assert_eq!(sizes, [50, 50, 30]);
    let unescaped = |name: &String| name.replace("&amp;", "&").replace("&#x2f;", "/");
    let shown: Vec<String> = shown.iter().map(|name| bindery_core::name::fold(&unescaped(name))).collect();
    assert_eq!(shown, keys);
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_name_and_mail_in_any_spelling() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let mut people: Vec<NewUser> = ["Ann", "annabel", "Straße", "zoé", "50%off", "j_smith", "jxsmith"]
        .into_iter()
        .zip(10..)
        .map(|(name, n)| person(n, name))
        .collect();
    people.push(NewUser {
        email: "Ann.Lee@Example.com".into(),
        email_key: "ann.lee@example.com".into(),
        ..person(30, "x7")
    });
    people.push(NewUser { email: String::new(), email_key: String::new(), ..person(31, "mailless") });
    office.apply(people.into_iter().map(Change::CreateUser).collect()).await;
    for (q, found) in [
        ("ann", ["Ann", "annabel", "x7"].as_slice()),
        ("ANN", &["Ann", "annabel", "x7"]),
        (" ＡＮＮ ", &["Ann", "annabel", "x7"]),
        ("anna", &["annabel"]),
        ("STRASSE", &["Straße"]),
        ("ZOE\u{301}", &["zoé"]),
        ("zoe", &[]),
        ("ann.lee@EXAMPLE.com", &["x7"]),
        ("ann.l", &["x7"]),
        ("nn", &[]),
        ("lee", &[]),
        ("50%", &["50%off"]),
        ("%", &[]),
        ("j_", &["j_smith"]),
        ("mailless", &["mailless"]),
        ("\0", &[]),
        ("' OR 1=1 --", &[]),
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", q).finish();
        let listed = office.get(&format!("/admin/users?{query}"), &root).await;
        assert_eq!(listed.status, StatusCode::OK, "{q:?}");
        assert_eq!(usernames(&listed), found, "{q:?}");
        assert!(!found.is_empty() || listed.text.contains("begins with"), "{q:?}: {}", listed.text);
    }
    let long = "x".repeat(5000);
    for path in [format!("/admin/users?q={long}"), format!("/admin/users?after={long}")] {
        let listed = office.get(&path, &root).await;
        assert_eq!((listed.status, usernames(&listed)), (StatusCode::OK, Vec::new()));
    }
    // What cannot be read as a question is none.
    assert_eq!(usernames(&office.get("/admin/users?q=a&q=b", &root).await).len(), 10);
}

#[tokio::test]
async fn a_search_goes_on_on_the_next_page_and_tells_of_mail_once() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let same = |n: u128, name: &str| NewUser { email_key: "team@example.com".into(), ..person(n, name) };
    let named = (0..60).map(|n| Change::CreateUser(person(100 + n, &format!("team{n:02}"))));
    let mailed = (0..51).map(|n| Change::CreateUser(same(200 + n, &format!("m{n:02}"))));
    office.apply(named.chain(mailed).collect()).await;
    let first = office.get("/admin/users?q=TEAM", &root).await;
    // Those of the first fifty addresses who are not found by name anyway.
    assert_eq!(usernames(&first).iter().filter(|name| name.starts_with("team")).count(), 50);
    assert!(first.text.contains("More mail addresses begin so"));
    let listed = office.get("/admin/users?q=team%40", &root).await;
    assert_eq!(usernames(&listed).len(), 50);
    let second = office.get(&link(&first, "Next page").unwrap(), &root).await;
    assert_eq!(usernames(&second), (50..60).map(|n| format!("team{n}")).collect::<Vec<_>>());
    assert_eq!(link(&second, "First page").as_deref(), Some("/admin/users?q=TEAM"));
    assert!(!second.text.contains("Mail address begins with") && second.text.contains("value=\"TEAM\""));
}

#[tokio::test]
async fn a_page_says_where_everything_comes_from_and_no_secret() {
    let office = Office::new().await;
    let root = office.superuser(1, "root").await;
    let cookie = office.somebody(2, "ann", &["press.publish"]).await;
    let mut new = person(3, "bea");
    new.profile.insert("title".to_owned(), json!("Editor"));
    new.profile.insert("nickname".to_owned(), json!("Bee"));
    new.flags.extend([("is_staff".to_owned(), true), ("is_pilot".to_owned(), true)]);
    let link = Link {
        kind: EntityKind::User,
        source: "corp".to_owned(),
        unique_id: "0f-1e".to_owned(),
        entity_id: id(3),
        dn: "uid=bea,dc=example".to_owned(),
        dn_key: "uid=bea,dc=example".to_owned(),
        last_seen: "2026-11-22T02:06:00Z".parse().unwrap(),
        given_fields: ["title".to_owned(), "email".to_owned()].into(),
        given_flags: ["is_staff".to_owned()].into(),
        ..Link::default()
    };
    let member =
        |owner: &str| Change::AddMembership { user: id(3), group: GroupRef::Id(id(1002)), owner: owner.into() };
    let verifier = Change::PutVerifier { user: id(3), source: "corp".to_owned(), hash: PasswordHash::new(HASH) };
    office.apply(vec![Change::CreateUser(new), Change::Link(link), member(""), member("corp"), verifier]).await;
    office.session(3).await;

    let shown = office.get(&page(3), &root).await;
    let rows: BTreeSet<String> = shown
        .text
        .split("<div><dt>")
        .skip(1)
        .map(|row| {
            let row = row.split("</div>").next().unwrap().replace("</dt>", ": ").replace("</p>", " ");
            let text: String = row.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    for row in [
        "Username: bea from corp",
        "Email: bea@mail.example from corp",
        "Title: Editor from corp",
        "Nickname: Bee",
        "Staff: Yes from corp",
        "Pilot: Yes by hand",
        "Entry: uid=bea,dc=example",
        "Unique ID: 0f-1e",
        "Last seen: 22 November 2026, 02:06 UTC",
        "Status: Active",
        "Local password: Yes",
        "Sessions: 1",
        "Last sign-in: Never",
    ] {
        assert!(rows.contains(row), "{row}: {rows:?}");
    }
    assert!(shown.text.contains("g2 <span class=\"from\">by hand, from corp</span>"), "{}", shown.text);
    assert!(shown.text.contains("press.publish"));

    let token = cookie.split_once('=').unwrap().1;
    for path in ["/admin/users", &page(1), &page(2), &page(3)] {
        let text = office.get(path, &root).await.text;
        for secret in ["argon2", "never-on-a-page", token, &token[..21]] {
            assert!(!text.contains(secret), "{path}: {secret}");
        }
    }
}

#[tokio::test]
async fn the_way_there_is_shown_to_whoever_may_go() {
    let office = Office::new().await;
    let (ann, bob) = (office.somebody(1, "ann", &[LOOK]).await, office.somebody(2, "bob", &[ACT]).await);
    let root = office.superuser(3, "root").await;
    for path in ["/", "/profile", "/password"] {
        for (cookie, shown) in [(&ann, true), (&root, true), (&bob, false)] {
            let text = office.get(path, cookie).await.text;
            assert_eq!(text.contains("<a href=\"/admin/users\">People</a>"), shown, "{path}");
        }
    }
}
