//! TLS, from the first byte and when asked for.

use crate::support::{entries, person, start};
use bindery_demo_directory::{Options, Tls};
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Scope};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// A server's certificate for `localhost` and a client that trusts it.
fn pair() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("the certificate and its key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

async fn bind(settings: LdapConnSettings, url: &str) -> Result<u32, LdapError> {
    let (connection, mut ldap) = LdapConnAsync::with_settings(settings, url).await?;
    ldap3::drive!(connection);
    let rc = ldap.simple_bind(&person("ann"), "demo").await?.rc;
    let root = entries(&mut ldap, "", Scope::Base, "(objectClass=*)", &["supportedExtension"]).await.remove(0);
    assert!(
        !root.attrs["supportedExtension"].contains(&"1.3.6.1.4.1.1466.20037".into()),
        "TLS is on: it cannot begin again"
    );
    Ok(rc)
}

#[tokio::test]
async fn implicit() {
    let (server, client) = pair();
    let directory = start(Options { tls: Tls::Implicit(server), ..Options::company() });
    assert!(directory.url().starts_with("ldaps://"));
    let url = format!("ldaps://localhost:{}", directory.address().port());
    assert_eq!(bind(LdapConnSettings::new().set_config(client), &url).await.expect("TLS"), 0);
    assert!(bind(LdapConnSettings::new().set_config(pair().1), &url).await.is_err(), "another root");
}

#[tokio::test]
async fn start_tls() {
    let (server, client) = pair();
    let directory = start(Options { tls: Tls::StartTls(server), ..Options::company() });
    let url = format!("ldap://localhost:{}", directory.address().port());
    assert_eq!(bind(LdapConnSettings::new().set_config(client).set_starttls(true), &url).await.expect("TLS"), 0);
}

#[tokio::test]
async fn start_tls_is_refused_without_a_certificate() {
    let directory = start(Options::company());
    let url = format!("ldap://localhost:{}", directory.address().port());
    assert!(bind(LdapConnSettings::new().set_config(pair().1).set_starttls(true), &url).await.is_err());
}
