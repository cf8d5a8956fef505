//! LDAP URLs of servers: `ldap://`, `ldaps://`, `ldapi://`. Only the part that names a server (RFC 4516
//! allows a search in them; here that is an error rather than silently dropped).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use url::Host;

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TCP, with STARTTLS where it is asked for.
    Ldap,
    /// TLS from the first octet.
    Ldaps,
    /// A Unix socket.
    Ldapi,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Ldaps => "ldaps",
            Self::Ldapi => "ldapi",
        }
    }

    /// 389, 636, and 0 for a Unix socket.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Ldap => 389,
            Self::Ldaps => 636,
            Self::Ldapi => 0,
        }
    }
}

/// One server's address.
///
/// ```
/// use bindery_ldap::LdapUrl;
///
/// let url = LdapUrl::parse("ldaps://[::1]:1636")?;
/// assert_eq!((url.host.as_str(), url.port), ("::1", 1636));
/// assert!(url.is_loopback());
/// assert_eq!(LdapUrl::parse("ldapi://%2Frun%2Fldapi")?.host, "/run/ldapi");
/// # Ok::<(), bindery_ldap::UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapUrl {
    /// How it is reached.
    pub scheme: Scheme,
    /// Host name or IP without brackets; the socket's path for ldapi.
    pub host: String,
    /// The port; 0 for ldapi.
    pub port: u16,
}

/// Why a text is not a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a server URL: {reason}")]
pub struct UrlError {
    /// What was wrong, without the text itself (it may hold a password).
    pub reason: String,
}

impl UrlError {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl LdapUrl {
    /// Parses `ldap://host[:port]`, `ldaps://host[:port]` or `ldapi://%2Fpath%2Fof%2Fsocket`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = url::Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                UrlError::new("it needs a scheme: ldap://, ldaps:// or ldapi://")
            }
            other => UrlError::new(other.to_string()),
        })?;
        let scheme = match url.scheme() {
            "ldap" => Scheme::Ldap,
            "ldaps" => Scheme::Ldaps,
            "ldapi" => Scheme::Ldapi,
            other => {
                return Err(UrlError::new(format!("the scheme is {other}, not ldap, ldaps or ldapi")));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::new("credentials do not belong in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::new("it names a search, not only a server"));
        }
        if scheme == Scheme::Ldapi {
            return Self::socket(&url);
        }
        if !matches!(url.path(), "" | "/") {
            return Err(UrlError::new("it names a DN, not only a server"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => host_name(name)?,
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => return Err(UrlError::new("the host is missing")),
        };
        let port = url.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(UrlError::new("port 0 cannot be connected to"));
        }
        Ok(Self { scheme, host, port })
    }

    /// The path stands in the host, percent-encoded; `ldapi:///path` is understood as well.
    fn socket(url: &url::Url) -> Result<Self, UrlError> {
        let path = match (url.host_str(), url.path()) {
            (Some(host), "" | "/") if !host.is_empty() => host,
            (None | Some(""), path) if path.len() > 1 => path,
            _ => {
                return Err(UrlError::new("the socket's path is missing: ldapi://%2Frun%2Fslapd%2Fldapi"));
            }
        };
        let host = percent_encoding::percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| UrlError::new("the socket's path is not UTF-8"))?
            .into_owned();
        if host.contains('\0') {
            return Err(UrlError::new("the socket's path holds NUL"));
        }
        Ok(Self { scheme: Scheme::Ldapi, host, port: 0 })
    }

    /// Whether the address as written is a loopback one, `localhost`, or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        self.scheme == Scheme::Ldapi
            || self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Whether the address as written is an IP address or a socket: nothing to resolve.
    pub fn is_literal(&self) -> bool {
        self.scheme == Scheme::Ldapi || self.host.parse::<IpAddr>().is_ok()
    }
}

/// A DNS name, or what a resolver might know; never something that only looks like one.
fn host_name(name: &str) -> Result<String, UrlError> {
    if name.is_empty() {
        return Err(UrlError::new("the host is missing"));
    }
    // The `url` crate leaves the hosts of schemes it does not know as they are, addresses included.
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !name.chars().all(allowed) {
        return Err(UrlError::new(
            "the host holds a character that no host name has (write international names in Punycode)",
        ));
    }
    Ok(name.to_ascii_lowercase())
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        if self.scheme == Scheme::Ldapi {
            let set = percent_encoding::NON_ALPHANUMERIC;
            return write!(f, "{}", percent_encoding::utf8_percent_encode(&self.host, set));
        }
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port == self.scheme.default_port() {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

impl std::str::FromStr for LdapUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_servers() {
        let cases = [
            ("ldap://DC1.Example.test", "dc1.example.test", 389, "ldap://dc1.example.test"),
            ("ldaps://h:1636/", "h", 1636, "ldaps://h:1636"),
            ("ldaps://[::1]", "::1", 636, "ldaps://[::1]"),
            ("ldap://[::1]:1389", "::1", 1389, "ldap://[::1]:1389"),
            ("ldap://127.0.0.1", "127.0.0.1", 389, "ldap://127.0.0.1"),
            ("ldapi://%2Frun%2Fa%20b", "/run/a b", 0, "ldapi://%2Frun%2Fa%20b"),
            ("ldapi:///run/ldapi", "/run/ldapi", 0, "ldapi://%2Frun%2Fldapi"),
        ];
        for (text, host, port, shown) in cases {
            let url = LdapUrl::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.to_string(), shown);
            assert_eq!(LdapUrl::parse(shown).unwrap(), url);
        }
    }

    #[test]
    fn refuses_what_names_no_server() {
        for text in [
            "",
            "dc1",
            "dc1:389",
            "http://dc1",
            "ldap://",
            "ldap:///",
            "ldap://h:0",
            "ldap://h:99999",
            "ldap://u:p@h",
            "ldap://h/dc=x",
            "ldap://h?uid",
            "ldap://h#f",
            "ldap://[::1",
            "ldap://h h",
            "ldap://b\u{fc}cher",
            "ldap://%68ost",
            "ldapi://",
            "ldapi:///",
            "ldapi://a%00b",
            "ldap://a*b",
        ] {
            let result = LdapUrl::parse(text);
            assert!(result.is_err(), "{text}: {result:?}");
        }
        assert!(!LdapUrl::parse("ldap://u:secret@h").unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn knows_loopback_as_written() {
        for text in
            ["ldap://localhost", "ldap://127.8.9.1", "ldap://[::1]", "ldap://[::ffff:127.0.0.1]", "ldapi://%2Fx"]
        {
            assert!(LdapUrl::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["ldap://localhost.evil.test", "ldap://10.0.0.1", "ldap://[fe80::1]"] {
            assert!(!LdapUrl::parse(text).unwrap().is_loopback(), "{text}");
        }
    }
}
