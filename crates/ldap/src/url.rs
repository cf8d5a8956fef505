//! LDAP URLs of servers: `ldap://`, `ldaps://`, `ldapi://`.

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme { Ldap, Ldaps, Ldapi }
/// One server's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapUrl { pub scheme: Scheme, /// Host name or IP without brackets; the socket's path for ldapi.
    pub host: String, pub port: u16 }
/// Why a text is not a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a server URL: {reason}")]
pub struct UrlError { pub reason: String }
impl LdapUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> { todo!() }
    /// Whether the address as written is a loopback one, `localhost`, or a Unix socket.
    pub fn is_loopback(&self) -> bool { todo!() }
}
impl std::fmt::Display for LdapUrl { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
impl std::str::FromStr for LdapUrl { type Err = UrlError; fn from_str(s: &str) -> Result<Self, UrlError> { Self::parse(s) } }
