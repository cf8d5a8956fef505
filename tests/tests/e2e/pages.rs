//! J2: the pages in a browser: sign-in, home, profile, sign-out; without JavaScript, in the dark, on a phone.

use bindery_tests::{Browser, Look, Serving, Slapd};
use thirtyfour::prelude::*;

use crate::support::Corp;

fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd)
        .table("users", "base_dn = \"ou=people,dc=example,dc=test\"")
        .table("users.attributes", "title = \"title\"")
        .table("groups", "mirror = true")
        .table("access", "deny = [\"leavers\"]")
}

async fn sign_in(browser: &Browser, server: &Serving, name: &str, password: &str) -> WebDriverResult<()> {
    let driver = browser.driver();
    driver.goto(server.url("/login")).await?;
    driver.find(By::Name("username")).await?.send_keys(name).await?;
    let field = driver.find(By::Name("password")).await?;
    field.send_keys(password).await?;
    // The keyboard is enough.
    browser.leave(field.send_keys(Key::Enter + "")).await
}

async fn text(browser: &Browser) -> String {
    browser.driver().find(By::Tag("body")).await.unwrap().text().await.unwrap()
}

/// J2: sign in, see the profile, sign out; with JavaScript turned off.
#[tokio::test]
async fn browser_signs_in_and_out_without_scripts() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    browser.scripts(false).await.unwrap();
    sign_in(&browser, &server, "ann", "ann-secret").await.unwrap();
    assert!(text(&browser).await.contains("Ann"), "{}", text(&browser).await);
    browser.driver().goto(server.url("/profile")).await.unwrap();
    let profile = text(&browser).await;
    for word in ["ann@example.test", "Writer", "writers"] {
        assert!(profile.contains(word), "{word}: {profile}");
    }
    let button = browser.driver().find(By::Css("form[action$='/logout'] button")).await.unwrap();
    browser.leave(button.click()).await.unwrap();
    browser.driver().goto(server.url("/profile")).await.unwrap();
    assert!(browser.driver().current_url().await.unwrap().path().ends_with("/login"));
}

/// A refusal is told in words, to screen readers too, and keeps the typed name.
#[tokio::test]
async fn browser_shows_refusals() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    sign_in(&browser, &server, "ann", "wrong").await.unwrap();
    let alert = browser.driver().find(By::Css("[role='alert']")).await.unwrap().text().await.unwrap();
    assert!(!alert.is_empty());
    let field = browser.driver().find(By::Name("username")).await.unwrap();
    assert_eq!(field.prop("value").await.unwrap().as_deref(), Some("ann"));
    sign_in(&browser, &server, "nobody", "wrong").await.unwrap();
    let other = browser.driver().find(By::Css("[role='alert']")).await.unwrap().text().await.unwrap();
    assert_eq!(alert, other, "one sentence for both");
    sign_in(&browser, &server, "dave", "dave-secret").await.unwrap();
    let denied = browser.driver().find(By::Css("[role='alert']")).await.unwrap().text().await.unwrap();
    assert_ne!(alert, denied);
}

/// Every field has a label, the page a language and a heading; nothing is wider than a phone.
#[tokio::test]
async fn browser_pages_are_accessible() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    let driver = browser.driver();
    let run = async |script: &str| driver.execute(script, vec![]).await.unwrap().json().clone();
    for (look, name) in
        [(Look::Light, "light"), (Look::Dark, "dark"), (Look::Phone, "phone"), (Look::PhoneDark, "phone-dark")]
    {
        browser.look(look).await.unwrap();
        driver.delete_all_cookies().await.unwrap();
        driver.goto(server.url("/login")).await.unwrap();
        browser.screenshot(&format!("login-{name}")).await.unwrap();
        let unlabelled =
            "return [...document.querySelectorAll('input:not([type=hidden])')].filter(f => !f.labels.length).length";
        assert_eq!(run(unlabelled).await, 0, "{name}");
        assert_eq!(
            run("return document.documentElement.lang.length >= 2 && !!document.querySelector('h1')").await,
            true
        );
        sign_in(&browser, &server, "ann", "ann-secret").await.unwrap();
        for path in ["/", "/profile"] {
            driver.goto(server.url(path)).await.unwrap();
            let wide = run("return document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(wide, false, "{name} {path} scrolls sideways");
            let file = if path == "/" { "home" } else { "profile" };
            browser.screenshot(&format!("{file}-{name}")).await.unwrap();
        }
    }
    let background = "return getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor";
    browser.look(Look::Light).await.unwrap();
    let light = run(background).await;
    browser.look(Look::Dark).await.unwrap();
    assert_ne!(light, run(background).await, "dark readers get dark pages");
}

/// A20: a source's picture stands where people choose a source, and where they see theirs.
#[tokio::test]
async fn browser_shows_the_icon_of_a_source() {
    let slapd = Slapd::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.svg");
    let picture = "<svg xmlns='http://www.w3.org/2000/svg' width='16' height='16' viewBox='0 0 16 16'>\
                   <circle cx='8' cy='8' r='8' fill='#b4541a'/></svg>";
    std::fs::write(&file, picture).unwrap();
    let bindery = corp(&slapd).keys(&format!("icon = {:?}", file.display().to_string())).bindery();
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    let driver = browser.driver();
    let shown = "const i = document.querySelector('img.icon'); return !!i && i.complete && i.naturalWidth > 0 && \
                 i.getBoundingClientRect().width === 24";
    driver.goto(server.url("/login")).await.unwrap();
    browser.screenshot("login-icon").await.unwrap();
    assert_eq!(driver.execute(shown, vec![]).await.unwrap().json(), &true);
    assert!(driver.find(By::Css("ul.sources")).await.unwrap().text().await.unwrap().contains("corp"));
    sign_in(&browser, &server, "ann", "ann-secret").await.unwrap();
    driver.goto(server.url("/profile")).await.unwrap();
    browser.screenshot("profile-icon").await.unwrap();
    assert_eq!(driver.execute(shown, vec![]).await.unwrap().json(), &true);
}

/// What a directory holds is text on a page, never markup.
#[tokio::test]
async fn browser_shows_values_as_text() {
    let slapd = Slapd::start();
    slapd.ldapmodify(
        "dn: uid=ann,ou=people,dc=example,dc=test\nchangetype: modify\nreplace: displayName\n\
         displayName: <img src=x onerror=\"document.title='owned'\">\n",
    );
    let bindery = corp(&slapd).bindery();
    let server = bindery.serve();
    let browser = Browser::start().await.unwrap();
    sign_in(&browser, &server, "ann", "ann-secret").await.unwrap();
    browser.driver().goto(server.url("/profile")).await.unwrap();
    assert!(text(&browser).await.contains("<img src=x"));
    assert_ne!(browser.driver().title().await.unwrap(), "owned");
}

/// A demo under way; it ends with this.
struct Demo(std::process::Child);

impl Demo {
    fn start(arguments: &[&str]) -> (Self, std::io::BufReader<std::process::ChildStdout>) {
        let mut child = std::process::Command::new(bindery_tests::binary())
            .args(["demo", "--port", "0"])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        (Self(child), stdout)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// D20: the demo tells who can sign in, and they can; those of whom it says that they cannot, cannot.
#[tokio::test]
async fn demo() {
    use std::io::BufRead;
    let (_demo, stdout) = Demo::start(&[]);
    let told: Vec<String> = stdout.lines().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C")).collect();
    assert!(told.iter().any(|line| line.contains("http://localhost:")), "{told:?}");

    let (_demo, stdout) = Demo::start(&["--format", "json"]);
    let report =
        serde_json::Deserializer::from_reader(stdout).into_iter::<serde_json::Value>().next().unwrap().unwrap();
    let url = report["url"].as_str().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.get(url).send().await.unwrap().status().is_success());
    // Commands in another window use the same configuration, and reach the same directory.
    let directory = report["directory"].as_str().unwrap();
    let config = std::fs::read_to_string(report["config"].as_str().unwrap()).unwrap();
    assert!(config.contains(&format!("servers = [\"{directory}\"]")), "{directory}: {config}");
    std::net::TcpStream::connect(directory.strip_prefix("ldap://").unwrap()).unwrap();
    let people = report["people"].as_array().unwrap();
    for person in people {
        let row = ["username", "password"].map(|key| person[key].as_str().unwrap());
        let in_table = |line: &String| line.split_whitespace().take(2).eq(row);
        assert!(told.iter().any(in_table), "{person}: {told:?}");
    }
    let mut ends = std::collections::BTreeSet::new();
    for person in people {
        let answer = client.post(format!("{url}/login")).json(person).send().await.unwrap();
        let refused = person["about"].as_str().unwrap().contains(": ");
        ends.insert(answer.status().as_u16());
        assert_eq!(answer.status().is_success(), !refused, "{person}: {answer:?}");
    }
    // A lock is told as a wrong password is: nobody learns from it which names exist.
    assert_eq!(ends, [200, 401, 403].into());
}
