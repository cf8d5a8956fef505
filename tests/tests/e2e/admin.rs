//! J7: the admin pages in a browser, over people of a directory.

use bindery_tests::{Browser, Look, Serving, Slapd};
use serde_json::json;
use thirtyfour::prelude::*;

use crate::support::{Corp, names, user};

async fn sign_in(browser: &Browser, server: &Serving, name: &str, password: &str) {
    let driver = browser.driver();
    driver.goto(server.url("/login")).await.unwrap();
    driver.find(By::Name("username")).await.unwrap().send_keys(name).await.unwrap();
    let field = driver.find(By::Name("password")).await.unwrap();
    field.send_keys(password).await.unwrap();
    browser.leave(field.send_keys(Key::Enter + "")).await.unwrap();
}

async fn text(browser: &Browser) -> String {
    browser.driver().find(By::Tag("body")).await.unwrap().text().await.unwrap()
}

async fn follow(browser: &Browser, element: By) {
    let element = browser.driver().find(element).await.unwrap();
    browser.leave(element.click()).await.unwrap();
}

/// A picture of each look, in which nothing scrolls sideways.
async fn look(browser: &Browser, page: &str) {
    for (look, name) in
        [(Look::Dark, "dark"), (Look::Phone, "phone"), (Look::PhoneDark, "phone-dark"), (Look::Light, "light")]
    {
        browser.look(look).await.unwrap();
        let wide = "return document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.driver().execute(wide, vec![]).await.unwrap().json(), &false, "{page} {name}");
        browser.screenshot(&format!("{page}-{name}")).await.unwrap();
    }
}

async fn me(client: &reqwest::Client, server: &Serving) -> u16 {
    client.get(server.url("/api/v1/me")).send().await.unwrap().status().as_u16()
}

/// J7: who is a superuser by a group of the directory finds somebody, sees where what is known of them comes from, and
/// shuts them out: their very next request is refused. By hand, so that no sync lets them in again.
#[tokio::test]
async fn browser_administers_people() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd)
        .table("users", "base_dn = \"ou=people,dc=example,dc=test\"")
        .table(
            "users.attributes",
            "title = \"title\"\nphone_numbers = { attribute = \"telephoneNumber\", many = true }",
        )
        .table("groups", "mirror = true")
        .table("flags", "is_superuser = \"admins\"\nis_staff = \"staff\"")
        .bindery();
    assert_eq!(bindery.run(&["sync", "corp"]).code, 0);
    assert_eq!(bindery.run(&["user", "create", "break-glass", "--superuser"]).code, 0);
    assert_eq!(bindery.run(&["user", "deactivate", "zoe"]).code, 0);
    assert_eq!(bindery.run(&["group", "create", "Book club"]).code, 0);
    assert_eq!(bindery.run(&["group", "add", "Book club", "ann"]).code, 0);
    assert_eq!(bindery.run(&["group", "grant", "writers", "press.add_article"]).code, 0);
    let server = bindery.serve();
    let ann = server.client();
    let credentials = json!({ "username": "ann", "password": "ann-secret" });
    assert_eq!(ann.post(server.url("/login")).json(&credentials).send().await.unwrap().status(), 200);
    let refused = ann.get(server.url("/admin/users")).header("Accept", "text/html").send().await.unwrap();
    assert_eq!(refused.status(), 403);

    let browser = Browser::start().await.unwrap();
    browser.driver().goto(server.url("/admin/users")).await.unwrap();
    assert!(text(&browser).await.contains("Sign in"));
    sign_in(&browser, &server, "bob", "bob-secret").await;
    follow(&browser, By::LinkText("People")).await;
    let listed = text(&browser).await;
    for word in ["Everybody, by username", "ann@example.test", "corp", "local", "Deactivated by hand", "Superuser"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    look(&browser, "people").await;

    let field = browser.driver().find(By::Id("q")).await.unwrap();
    field.send_keys("AN").await.unwrap();
    browser.leave(field.send_keys(Key::Enter + "")).await.unwrap();
    look(&browser, "people-found").await;
    // The keyboard is enough.
    let link = browser.driver().find(By::LinkText("ann")).await.unwrap();
    browser.leave(link.send_keys(Key::Enter + "")).await.unwrap();
    let shown = text(&browser).await;
    for word in ["Ann Archer", "from corp", "uid=ann,ou=people,dc=example,dc=test", "by hand", "press.add_article"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    look(&browser, "person").await;
    let below = "document.getElementById('groups').scrollIntoView()";
    browser.driver().execute(below, vec![]).await.unwrap();
    browser.screenshot("person-below").await.unwrap();

    assert_eq!(me(&ann, &server).await, 200);
    browser.scripts(false).await.unwrap();
    let button = browser.driver().find(By::Css("form[action$='/deactivate'] button")).await.unwrap();
    browser.leave(button.send_keys(Key::Enter + "")).await.unwrap();
    browser.scripts(true).await.unwrap();
    assert_eq!(me(&ann, &server).await, 401, "the very next request");
    let shown = text(&browser).await;
    assert!(shown.contains("The account is deactivated"), "{shown}");
    look(&browser, "person-deactivated").await;
    assert_eq!(bindery.login("ann", "ann-secret").outcome(), "refused account_disabled");
    assert_eq!(bindery.run(&["sync", "corp", "--full"]).code, 0);
    assert_eq!(user(&bindery, "ann")["is_active"], false);

    follow(&browser, By::Css("form[action$='/activate'] button")).await;
    assert_eq!(bindery.login("ann", "ann-secret").outcome(), "signed_in");
    assert!(names(&user(&bindery, "ann")["groups"]).contains(&"Book club".to_owned()), "what was given by hand stays");

    // Nobody's own account, not even by a form of one's own making.
    browser.driver().goto(server.url("/admin/users?q=bob")).await.unwrap();
    follow(&browser, By::LinkText("bob")).await;
    assert!(text(&browser).await.contains("This is your own account"));
    look(&browser, "person-own").await;
    assert!(browser.driver().find_all(By::Css("form[action$='/deactivate']")).await.unwrap().is_empty());
}

/// Every field has a label, every table a caption and headers with a scope; all of it by keyboard.
#[tokio::test]
async fn browser_admin_pages_are_accessible() {
    let slapd = Slapd::start();
    let bindery = Corp::new(&slapd)
        .table("users", "base_dn = \"ou=people,dc=example,dc=test\"")
        .table("flags", "is_superuser = \"admins\"")
        .bindery();
    assert_eq!(bindery.run(&["sync", "corp"]).code, 0);
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    sign_in(&browser, &server, "bob", "bob-secret").await;
    let run = async |script: &str| browser.driver().execute(script, vec![]).await.unwrap().json().clone();
    browser.driver().goto(server.url("/admin/users?q=a")).await.unwrap();
    let bad_tables = "return [...document.querySelectorAll('table')].filter(t => !t.caption || !t.caption.innerText.trim() \
                      || [...t.querySelectorAll('th')].some(h => !h.scope)).length";
    let unlabelled =
        "return [...document.querySelectorAll('input:not([type=hidden])')].filter(f => !f.labels.length).length";
    assert_eq!(run("return document.querySelectorAll('table').length > 0").await, true);
    for script in [bad_tables, unlabelled] {
        assert_eq!(run(script).await, 0, "{script}");
    }
    for path in ["/admin/users", "/admin/users?q=nobody-here"] {
        browser.driver().goto(server.url(path)).await.unwrap();
        assert_eq!(run("return document.querySelectorAll('h1').length").await, 1, "{path}");
    }
    assert!(text(&browser).await.contains("begins with “nobody-here”"));
    look(&browser, "people-none").await;
}
