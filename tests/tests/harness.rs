//! The fixtures themselves: each does what its documentation says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::process::Command;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bindery_tests::{Browser, Ca, Ds389, FaultProxy, Look, Postgres, Slapd};

fn ldapsearch(ca: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    Command::new("ldapsearch")
        .env("LDAPCONF", "/dev/null")
        .env("LDAPTLS_CACERT", ca)
        .args(["-x", "-LLL", "-D", Slapd::SYNC_DN, "-w", Slapd::SYNC_PASSWORD, "-b", Slapd::SUFFIX])
        .args(arguments)
        .output()
        .expect("run ldapsearch")
}

#[test]
fn slapd_answers_over_ldaps_and_starttls_with_its_own_ca_only() {
    let slapd = Slapd::start();
    // libldap reads "localhost" as the machine's own name.
    let ldaps = slapd.ldaps_url().replace("localhost", "127.0.0.1");
    for arguments in [["-H", &ldaps, "(uid=ann)", "mail"].as_slice(), &["-ZZ", "-H", &slapd.url(), "(uid=ann)", "mail"]]
    {
        let found = ldapsearch(&slapd.ca_pem(), arguments);
        assert!(String::from_utf8_lossy(&found.stdout).contains("mail: ann@example.test"), "{found:?}");
        let other = tempfile::tempdir().unwrap();
        let refused = ldapsearch(&Ca::new(other.path()).pem_path(), arguments);
        assert!(!refused.status.success(), "{refused:?}");
    }
}

#[test]
fn slapd_checks_passwords_of_both_kinds() {
    let slapd = Slapd::start();
    let bind = |uid: &str, password: &str| {
        let dn = format!("uid={uid},ou=people,dc=example,dc=test");
        let arguments = ["-x", "-H", &slapd.url(), "-D", &dn, "-w", password];
        Command::new("ldapwhoami").env("LDAPNOINIT", "1").args(arguments).output().unwrap().status.code()
    };
    assert_eq!(bind("ann", "ann-secret"), Some(0));
    assert_eq!(bind("carol", "carol-secret"), Some(0));
    assert_eq!(bind("ann", "carol-secret"), Some(49));
}

#[test]
fn slapd_computes_member_of_and_keeps_references() {
    let slapd = Slapd::builder().memberof().refint().syncprov().rfc2307bis().start();
    let ann = slapd.ldapsearch("(uid=ann)", &["memberOf"]);
    assert!(ann.contains("memberOf: cn=writers,ou=groups,dc=example,dc=test"), "{ann}");
    slapd.ldapdelete("uid=ann,ou=people,dc=example,dc=test");
    let group = slapd.ldapsearch("(cn=app-users)", &["member"]);
    assert!(!group.contains("uid=ann"), "{group}");
}

#[test]
fn slapd_locks_out_after_the_failures_of_its_policy() {
    let slapd = Slapd::builder().ppolicy(3).start();
    let bind = |uid: &str, password: &str| {
        let dn = format!("uid={uid},ou=people,dc=example,dc=test");
        let arguments = ["-x", "-e", "ppolicy", "-H", &slapd.url(), "-D", &dn, "-w", password];
        let output = Command::new("ldapwhoami").env("LDAPNOINIT", "1").args(arguments).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    for _ in 0..3 {
        bind("ann", "wrong");
    }
    assert!(bind("ann", "ann-secret").contains("Account locked"));
    assert!(bind("locked", "locked-secret").contains("Account locked"));
    assert!(bind("expired", "expired-secret").contains("Password expired"), "{}", bind("expired", "expired-secret"));
    assert!(bind("mustchange", "mustchange-secret").contains("Password must be changed"));
}

#[test]
fn slapd_knows_client_certificates_and_local_sockets() {
    let slapd = Slapd::builder().client_certs("demand").require_tls().start();
    let whoami = |url: &str, identity: bool| {
        let cert = slapd.client_cert("sync");
        let mut command = Command::new("ldapwhoami");
        command
            .env("LDAPCONF", "/dev/null")
            .env("LDAPTLS_CACERT", slapd.ca_pem())
            .args(["-Q", "-Y", "EXTERNAL", "-H", url]);
        if identity {
            command.env("LDAPTLS_CERT", cert.cert).env("LDAPTLS_KEY", cert.key);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let sync = format!("dn:{}\n", Slapd::SYNC_DN);
    let ldaps = slapd.ldaps_url().replace("localhost", "127.0.0.1");
    assert_eq!(whoami(&ldaps, true), sync);
    assert_eq!(whoami(&ldaps, false), "");
    assert_eq!(whoami(&slapd.ldapi_url(), false), sync);
}

#[test]
fn slapd_comes_back_on_its_port_with_its_entries() {
    let mut slapd = Slapd::start();
    let url = slapd.url();
    slapd.set_password("uid=ann,ou=people,dc=example,dc=test", "changed");
    slapd.stop();
    assert!(!ldapsearch(&slapd.ca_pem(), &["-H", &url, "(uid=ann)"]).status.success());
    slapd.restart();
    assert_eq!(slapd.url(), url);
    assert!(slapd.ldapsearch("(uid=ann)", &["userPassword"]).contains("userPassword"));
    slapd.pause();
    let waiting = Command::new("timeout").args(["1", "ldapwhoami", "-x", "-H", &url]).output().unwrap();
    assert_eq!(waiting.status.code(), Some(124), "{waiting:?}");
    slapd.resume();
    assert!(ldapsearch(&slapd.ca_pem(), &["-H", &url, "(uid=ann)"]).status.success());
}

#[test]
fn ds389_computes_member_of_and_speaks_tls() {
    let server = Ds389::builder().memberof().start();
    let ann = server.ldapsearch("(uid=ann)", &["memberOf", "nsUniqueId"]).to_lowercase();
    assert!(ann.contains("memberof: cn=staff,ou=groups,dc=example,dc=test"), "nested groups too: {ann}");
    assert!(ann.contains("nsuniqueid: "), "{ann}");
    let ldaps = server.ldaps_url().replace("localhost", "127.0.0.1");
    let found = ldapsearch(&server.ca_pem(), &["-H", &ldaps, "(uid=ann)", "mail"]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("mail: ann@example.test"), "{found:?}");
    let other = tempfile::tempdir().unwrap();
    assert!(!ldapsearch(&Ca::new(other.path()).pem_path(), &["-H", &ldaps, "(uid=ann)"]).status.success());
}

#[test]
fn ds389_tells_changes_by_content_synchronization() {
    let mut server = Ds389::builder().content_sync().start();
    let refresh = |server: &Ds389, cookie: &str| {
        let control = format!("sync=ro{cookie}");
        let found = ldapsearch(&server.ca_pem(), &["-H", &server.url(), "-E", &control, "(uid=ann)", "mail"]);
        assert!(found.status.success(), "{found:?}");
        String::from_utf8(found.stdout).unwrap()
    };
    let first = refresh(&server, "");
    assert!(first.contains("mail: ann@example.test"), "{first}");
    server.ldapdelete("uid=ann,ou=people,dc=example,dc=test");
    assert!(!refresh(&server, "").contains("dn: uid=ann"));
    server.restart();
    assert!(server.ldapsearch("(uid=bob)", &["mail"]).contains("mail: bob@example.test"), "what it had it has");
    let plain = Ds389::start();
    let refused = ldapsearch(&plain.ca_pem(), &["-H", &plain.url(), "-E", "!sync=ro", "(uid=ann)"]);
    assert_eq!(refused.status.code(), Some(12), "unavailableCriticalExtension: {refused:?}");
}

#[test]
fn ds389_knows_the_states_of_its_policy() {
    let server = Ds389::builder().policy(3).start();
    let bind = |uid: &str, password: &str| {
        let dn = format!("uid={uid},ou=people,dc=example,dc=test");
        let arguments = ["-x", "-e", "ppolicy", "-H", &server.url(), "-D", &dn, "-w", password];
        let output = Command::new("ldapwhoami").env("LDAPNOINIT", "1").args(arguments).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(bind("ann", "ann-secret").starts_with("dn: uid=ann"), "{}", bind("ann", "ann-secret"));
    assert!(bind("locked", "locked-secret").contains("(19); Account locked"), "{}", bind("locked", "locked-secret"));
    assert!(bind("disabled", "disabled-secret").contains("(53); Account locked"));
    assert!(bind("expired", "expired-secret").contains("(49); Password expired"));
    assert!(bind("mustchange", "mustchange-secret").contains("(0); Password must be changed"));
}

#[test]
fn postgres_gives_each_test_a_database_of_its_own() {
    let postgres = Postgres::start();
    let (one, two) = (postgres.database(), postgres.database());
    assert_ne!(one, two);
    postgres.sql_in(&one, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    assert_eq!(postgres.sql_in(&one, "SELECT n FROM t").trim(), "1");
    assert_eq!(postgres.sql_in(&two, "SELECT count(*) FROM pg_tables WHERE tablename = 't'").trim(), "0");
}

#[test]
fn postgres_of_ones_own_can_be_killed_and_started_again() {
    let postgres = Postgres::own();
    let database = postgres.database();
    postgres.sql_in(&database, "CREATE TABLE t (n int)");
    postgres.sql_in(&database, "CHECKPOINT");
    postgres.kill();
    postgres.restart();
    assert_eq!(postgres.sql_in(&database, "SELECT count(*) FROM t").trim(), "0");
}

#[test]
fn fault_proxy_passes_stalls_and_cuts() {
    let slapd = Slapd::builder().allow_anonymous().start();
    let proxy = FaultProxy::new(slapd.port());
    let ask = || {
        let url = format!("ldap://127.0.0.1:{}", proxy.port());
        let status = Command::new("timeout").args(["2", "ldapwhoami", "-x", "-H", &url]).output().unwrap().status;
        status.code().unwrap()
    };
    assert_eq!(ask(), 0);
    proxy.stall();
    assert_eq!(ask(), 124);
    proxy.pass();
    assert_eq!(ask(), 0);
    proxy.refuse();
    assert_ne!(ask(), 0);
    proxy.pass();
    proxy.cut_answers_after(3);
    let mut connection = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // An anonymous bind, version 3.
    connection.write_all(b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00").unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    assert_eq!(answer.len(), 3);
}

#[tokio::test]
async fn browser_shows_pages_in_every_look() {
    let browser = Browser::start().await.unwrap();
    let page = "data:text/html,<meta name=viewport content='width=device-width'><title>Hello</title>";
    browser.driver().goto(page).await.unwrap();
    assert_eq!(browser.driver().title().await.unwrap(), "Hello");
    for (look, expected) in [(Look::Dark, "1280 true"), (Look::Phone, "390 false")] {
        browser.look(look).await.unwrap();
        let script = "return innerWidth + ' ' + matchMedia('(prefers-color-scheme: dark)').matches";
        let seen = browser.driver().execute(script, vec![]).await.unwrap();
        assert_eq!(seen.json(), expected);
    }
    let picture = browser.screenshot("hello").await.unwrap();
    assert!(picture.metadata().unwrap().len() > 1000);
}

#[test]
fn servers_die_with_a_killed_test_process() {
    use std::io::BufRead;
    let mut parent = Command::new(env!("CARGO_BIN_EXE_with-postgres"))
        .args(["sh", "-c", "echo $BINDERY_TEST_POSTGRES; cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    std::io::BufReader::new(parent.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let port: u16 = url.trim().rsplit(':').next().unwrap().parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let gone = || TcpStream::connect(("127.0.0.1", port)).is_err();
    assert!(bindery_tests::wait_until(Duration::from_secs(20), gone));
}
