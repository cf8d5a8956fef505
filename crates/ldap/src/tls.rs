//! TLS settings: certificates are always verified.

use crate::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret, SecretSlice};
use std::fmt;
use std::sync::Arc;

/// What a server's certificate is checked against.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// The system's.
    #[default]
    System,
    /// A private CA, PEM.
    Pem(Vec<u8>),
}

/// A client certificate chain and its key, PEM. `Debug` shows neither.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, then those that signed it.
    pub certificates_pem: Vec<u8>,
    /// Its key.
    pub key_pem: SecretSlice<u8>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

/// TLS of one source.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// What a server's certificate is checked against.
    pub roots: Roots,
    /// Who we are, to servers that ask.
    pub identity: Option<ClientIdentity>,
    /// SNI and name check, when it is not the URL's host.
    pub server_name: Option<String>,
    /// On `ldap://` servers: TLS before anything else. Anything but success is fatal.
    pub starttls: bool,
    /// Whether binds may send a password over `ldap://` without TLS to an address that is not loopback.
    pub allow_plaintext: bool,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("starttls", &self.starttls)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// What rustls makes of them; costly enough (the system's roots are read) to be done once for many
    /// connections.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let builder = match &self.roots {
            Roots::System => builder
                .with_platform_verifier()
                .map_err(|error| unusable(&format!("the system's root certificates cannot be read: {error}")))?,
            Roots::Pem(pem) => builder.with_root_certificates(private_roots(pem)?),
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parse()?;
                let usable = builder.with_client_auth_cert(chain, key);
                usable.map_err(|error| unusable(&format!("the client certificate or its key: {error}")))?
            }
        };
        Ok(Arc::new(config))
    }

    /// The name that the certificate has to bear.
    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned())
            .map_err(|_| unusable(&format!("{name} is no name that a certificate can bear")))
    }
}

impl ClientIdentity {
    /// Whom the certificate is made out to, as the DER of its subject: the same for one that takes its place. All of it
    /// where it names nobody; `None` where it is no certificate.
    pub fn subject(&self) -> Option<Vec<u8>> {
        let certificate = certificates(&self.certificates_pem, "the client certificate").ok()?.into_iter().next()?;
        let mut parsed = RootCertStore::empty();
        parsed.add(certificate.clone()).ok()?;
        let subject = parsed.roots.first()?.subject.to_vec();
        Some(if subject.is_empty() { certificate.to_vec() } else { subject })
    }

    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain = certificates(&self.certificates_pem, "the client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.expose_secret())
            .map_err(|_| unusable(&"the client key is no unencrypted private key in PEM"))?;
        Ok((chain, key))
    }
}

fn private_roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, "the CA file")? {
        let added = roots.add(certificate);
        added.map_err(|error| unusable(&format!("a certificate of the CA file: {error}")))?;
    }
    Ok(roots)
}

/// At least one: an empty file trusts nobody and would be found out only at the first connection.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(&format!("{what} is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(unusable(&format!("{what} holds no certificate in PEM")));
    }
    Ok(found)
}

fn unusable(reason: &dyn fmt::Display) -> Error {
    Error::TlsSettings { reason: reason.to_string() }
}

/// A TLS error in words, with the setting that helps.
pub(crate) fn reason(error: &rustls::Error) -> String {
    use CertificateError as C;
    let rustls::Error::InvalidCertificate(certificate) = error else { return error.to_string() };
    match certificate {
        // A bad signature is one by another CA of the same name.
        C::UnknownIssuer | C::BadSignature => "the certificate is signed by nobody who is trusted here; \
            set tls.ca_file to the CA that signed it"
            .to_owned(),
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            format!("the certificate is for another name ({certificate}); connect by that name, or set tls.server_name")
        }
        C::Expired | C::ExpiredContext { .. } => format!("the certificate has expired ({certificate})"),
        C::NotValidYet | C::NotValidYetContext { .. } => format!("the certificate is not valid yet ({certificate})"),
        other => format!("the certificate is not accepted: {other}"),
    }
}
