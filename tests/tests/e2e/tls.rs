//! D19, A1, A2: TLS as configured, and nothing less.

use bindery_tests::{Ca, Slapd};

use crate::support::{Corp, signed_in, unavailable};

fn corp(slapd: &Slapd) -> Corp {
    Corp::new(slapd).table("users", "base_dn = \"ou=people,dc=example,dc=test\"")
}

fn ca(slapd: &Slapd) -> String {
    format!("ca_file = \"{}\"", slapd.ca_pem().display())
}

/// `ldaps://` with a private CA; refused without it, and with another one.
#[test]
fn private_ca() {
    let slapd = Slapd::start();
    let ldaps = corp(&slapd).servers(&[slapd.ldaps_url()]);
    let bindery = ldaps.bindery();
    unavailable(&bindery.login("ann", "ann-secret"));
    let check = bindery.run(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    bindery.configure(&corp(&slapd).servers(&[slapd.ldaps_url()]).table("tls", &ca(&slapd)).toml());
    signed_in(&bindery.login("ann", "ann-secret"));
    assert_eq!(bindery.run(&["check"]).code, 0);
    let other = Ca::new(bindery.path());
    let tls = format!("ca_file = \"{}\"", other.pem_path().display());
    bindery.configure(&corp(&slapd).servers(&[slapd.ldaps_url()]).table("tls", &tls).toml());
    unavailable(&bindery.login("ann", "ann-secret"));
}

/// STARTTLS protects every bind, of the service and of people: this server refuses any other.
#[test]
fn starttls() {
    let slapd = Slapd::builder().require_tls().start();
    unavailable(&corp(&slapd).bindery().login("ann", "ann-secret"));
    let tls = format!("starttls = true\n{}", ca(&slapd));
    let bindery = corp(&slapd).table("tls", &tls).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    unavailable(&corp(&slapd).table("tls", "starttls = true").bindery().login("ann", "ann-secret"));
}

/// The certificate's name is checked, against `server_name` where that is given.
#[test]
fn names() {
    let slapd = Slapd::builder().certificate_names(&["dc.example.test"]).start();
    let ldaps = || corp(&slapd).servers(&[slapd.ldaps_url()]);
    unavailable(&ldaps().table("tls", &ca(&slapd)).bindery().login("ann", "ann-secret"));
    let tls = format!("{}\nserver_name = \"dc.example.test\"", ca(&slapd));
    signed_in(&ldaps().table("tls", &tls).bindery().login("ann", "ann-secret"));
    let tls = format!("{}\nserver_name = \"other.example.test\"", ca(&slapd));
    unavailable(&ldaps().table("tls", &tls).bindery().login("ann", "ann-secret"));
}

/// A client certificate, as the service's identity too.
#[test]
fn client_certificates() {
    let slapd = Slapd::builder().client_certs("demand").start();
    let identity = slapd.client_cert("sync");
    let tls = format!(
        "{}\nclient_cert = \"{}\"\nclient_key = \"{}\"",
        ca(&slapd),
        identity.cert.display(),
        identity.key.display()
    );
    let ldaps = || corp(&slapd).servers(&[slapd.ldaps_url()]).bind("method = \"external\"");
    signed_in(&ldaps().table("tls", &tls).bindery().login("ann", "ann-secret"));
    // As whom, without a certificate?
    let output = ldaps().table("tls", &ca(&slapd)).bindery().run(&["check"]);
    assert_eq!(output.code, 2, "{output:?}");
    // This server wants one from everybody.
    unavailable(
        &corp(&slapd).servers(&[slapd.ldaps_url()]).table("tls", &ca(&slapd)).bindery().login("ann", "ann-secret"),
    );
}

/// A password over plain LDAP to another machine is a configuration error, unless it is allowed.
#[test]
fn plaintext_elsewhere_is_refused() {
    let slapd = Slapd::start();
    let elsewhere = ["ldap://192.0.2.1".to_owned()];
    let output = corp(&slapd).servers(&elsewhere).bindery().run(&["check"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("allow_plaintext"), "{output:?}");
}
