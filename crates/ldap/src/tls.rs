//! TLS settings: certificates are always verified.

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
    pub certificates_pem: Vec<u8>,
    pub key_pem: secrecy::SecretSlice<u8>,
}
/// TLS of one source.
#[derive(Clone, Default)]
pub struct TlsSettings {
    pub roots: Roots,
    pub identity: Option<ClientIdentity>,
    /// SNI and name check, when it is not the URL's host.
    pub server_name: Option<String>,
    pub starttls: bool,
    pub allow_plaintext: bool,
}

impl std::fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSettings")
            .field("starttls", &self.starttls)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
