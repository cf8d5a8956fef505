//! One connection: a task that owns the socket, and handles that send it operations.

use crate::ldif::Modification;
use crate::search::{PagedSearch, SearchOutcome, SearchRequest, SearchStream};
use crate::{Attribute, Control, Error, LdapResult, LdapUrl, TlsSettings};
use secrecy::SecretString;
use std::time::Duration;

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    pub url: LdapUrl,
    pub tls: TlsSettings,
    pub connect_timeout: Duration,
    pub operation_timeout: Duration,
    pub max_message: usize,
}

/// A handle on a connection; cheap to clone, operations of all clones run side by side.
#[derive(Clone)]
pub struct Connection {}

/// A SASL mechanism, step by step (the seam for GSSAPI).
pub trait SaslMechanism: Send {
    fn name(&self) -> &str;
    /// The next token for the server, from its last challenge (none at first).
    fn step(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error>;
}

impl Connection {
    /// Connects, with TLS or STARTTLS as the options say, within `connect_timeout`.
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        todo!()
    }
    /// Simple bind with the ppolicy control asked for. Any result the server gives is returned, success or not.
    pub async fn bind_simple(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<(LdapResult, Vec<Control>), Error> {
        todo!()
    }
    pub async fn bind_anonymous(&self) -> Result<LdapResult, Error> {
        todo!()
    }
    /// SASL EXTERNAL (RFC 4422, appendix A): who the TLS client certificate or the Unix socket says.
    pub async fn bind_external(&self) -> Result<LdapResult, Error> {
        todo!()
    }
    pub async fn bind_sasl(&self, mechanism: &mut dyn SaslMechanism) -> Result<LdapResult, Error> {
        todo!()
    }
    /// A search whose results are streamed.
    pub async fn search_stream(&self, request: SearchRequest) -> Result<SearchStream, Error> {
        todo!()
    }
    /// A search whose results are collected.
    pub async fn search(&self, request: SearchRequest) -> Result<SearchOutcome, Error> {
        todo!()
    }
    /// A search in pages (RFC 2696).
    pub fn search_paged(&self, request: SearchRequest, page_size: u32) -> PagedSearch {
        todo!()
    }
    pub async fn compare(&self, dn: &str, attribute: &str, value: &[u8]) -> Result<bool, Error> {
        todo!()
    }
    pub async fn add(&self, dn: &str, attributes: &[Attribute]) -> Result<(), Error> {
        todo!()
    }
    pub async fn modify(&self, dn: &str, changes: &[Modification]) -> Result<(), Error> {
        todo!()
    }
    pub async fn delete(&self, dn: &str) -> Result<(), Error> {
        todo!()
    }
    pub async fn modify_dn(
        &self,
        dn: &str,
        new_rdn: &str,
        delete_old_rdn: bool,
        new_superior: Option<&str>,
    ) -> Result<(), Error> {
        todo!()
    }
    /// RFC 4532.
    pub async fn who_am_i(&self) -> Result<String, Error> {
        todo!()
    }
    /// RFC 3062. `None` for `user` means who is bound; refused on an unprotected connection.
    pub async fn password_modify(
        &self,
        user: Option<&str>,
        old: Option<&SecretString>,
        new: Option<&SecretString>,
    ) -> Result<(LdapResult, Vec<Control>), Error> {
        todo!()
    }
    /// Whether TLS (or a Unix socket) protects what is sent.
    pub fn is_protected(&self) -> bool {
        todo!()
    }
    pub fn is_closed(&self) -> bool {
        todo!()
    }
    /// Resolves when the connection has ended.
    pub async fn closed(&self) {
        todo!()
    }
    /// Unbinds and closes.
    pub async fn close(&self) {
        todo!()
    }
}
