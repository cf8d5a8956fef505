//! `[sources.NAME.tls]`: certificates are always verified; a password never crosses a network in clear by mistake.

use std::net::IpAddr;

use bindery_directory::{ClientIdentity, LdapUrl, Roots, TlsSettings};

use super::error::ErrorKind;
use super::reader::{Section, Spot};
use super::server::conflict;

/// How large a certificate or key file may be.
const MAX_PEM: u64 = 8 * 1024 * 1024;

pub(super) fn read(section: &Section<'_>, servers: &[Spot<LdapUrl>]) -> TlsSettings {
    let starttls = section.boolean("starttls").unwrap_or(false);
    let allow_plaintext = section.boolean("allow_plaintext").unwrap_or(false);
    let roots = pem(section, "ca_file", "CERTIFICATE-----").map_or(Roots::System, Roots::Pem);
    let certificates = pem(section, "client_cert", "CERTIFICATE-----");
    let key = pem(section, "client_key", "PRIVATE KEY-----");
    match (section.has("client_cert"), section.has("client_key")) {
        (true, false) => conflict(section, "client_cert", "needs client_key beside it"),
        (false, true) => conflict(section, "client_key", "needs client_cert beside it"),
        _ => {}
    }
    if !starttls && !allow_plaintext {
        servers.iter().filter(|server| is_plain_address(&server.value)).for_each(|server| {
            let problem = "would send passwords over the network in clear: use ldaps://, set tls.starttls = true, or accept the risk with tls.allow_plaintext = true";
            section.context.error(&server.at, ErrorKind::Insecure, problem);
        });
    }
    TlsSettings {
        roots,
        identity: certificates
            .zip(key)
            .map(|(certificates_pem, key)| ClientIdentity { certificates_pem, key_pem: key.into() }),
        server_name: section.parsed("server_name", server_name).map(|it| it.value),
        starttls,
        allow_plaintext,
    }
}

/// An `ldap://` server whose address is written out and is not a loopback one. What a name resolves to is known
/// only when connecting, and checked there.
fn is_plain_address(server: &LdapUrl) -> bool {
    server.scheme.as_str() == "ldap" && server.is_literal() && !server.is_loopback()
}

/// A server behind a Unix socket.
pub(super) fn is_socket(server: &LdapUrl) -> bool {
    server.scheme.as_str() == "ldapi"
}

/// The contents of a PEM file that must hold something of a kind.
fn pem(section: &Section<'_>, key: &str, kind: &str) -> Option<Vec<u8>> {
    let path = section.path(key)?;
    let read = std::fs::metadata(&path.value).and_then(|metadata| {
        if metadata.len() > MAX_PEM {
            return Err(std::io::Error::other("the file is too large"));
        }
        std::fs::read(&path.value)
    });
    match read {
        Err(error) => {
            let problem = format!("cannot read the file: {error}");
            section.context.error(&path.at, ErrorKind::Unavailable, problem);
            None
        }
        Ok(bytes) if !bytes.windows(kind.len()).any(|part| part == kind.as_bytes()) => {
            let what = kind.trim_end_matches('-').to_lowercase();
            section.context.invalid(&path.at, format!("the file holds no {what} in PEM form"));
            None
        }
        Ok(bytes) => Some(bytes),
    }
}

fn server_name(text: &str) -> Result<String, String> {
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let name = text.trim_end_matches('.');
    if name.parse::<IpAddr>().is_ok() || name.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err("expected the host name on the server's certificate, without scheme and port".to_owned())
    }
}
