//! `[sources.NAME.bind]`: how the service connection identifies itself.

use bindery_directory::settings::Bind;
use bindery_directory::{Dn, TlsSettings};
use secrecy::ExposeSecret;

use super::error::ErrorKind;
use super::features::Feature;
use super::reader::Section;
use super::server::required;
use super::source::Basis;
use super::{tls, users};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Simple,
    Gssapi,
    External,
    Anonymous,
    AsUser,
}

const METHODS: [(&str, Method); 5] = [
    ("simple", Method::Simple),
    ("gssapi", Method::Gssapi),
    ("external", Method::External),
    ("anonymous", Method::Anonymous),
    ("as-user", Method::AsUser),
];

pub(super) fn read(section: &Section<'_>, basis: &Basis<'_>, users: &users::Read, tls: &TlsSettings) -> Option<Bind> {
    let method = section.choice("method", &METHODS);
    let dn = section.parsed("dn", account);
    let password = section.secret("password");
    let kerberos = [
        section.path("keytab").map(|it| it.at),
        section.string("principal").map(|it| it.at),
        method.as_ref().filter(|it| it.value == Method::Gssapi).map(|it| it.at.clone()),
    ];
    for at in kerberos.iter().flatten() {
        section.context.needs(at, Feature::Kerberos);
    }
    let credentials = section.has("dn") || section.has("password");
    let by_keys = if credentials { Method::Simple } else { Method::Anonymous };
    match method.map_or(by_keys, |it| it.value) {
        Method::Simple => {
            let why = "a simple bind needs the service account's DN, UPN or down-level name";
            let name = required(section, "dn", dn, why)?.value;
            let why = "a simple bind needs the service account's password";
            let password = required(section, "password", password, why)?;
            if password.value.expose_secret().is_empty() {
                // RFC 4513, 5.1.2: the server would take it for an anonymous bind and say yes.
                section.context.invalid(&password.at, "is empty; for an anonymous bind set method = \"anonymous\"");
            }
            Some(Bind::Simple { name, password: password.value })
        }
        Method::External => {
            let networked = basis.servers.is_empty() || basis.servers.iter().any(|it| !tls::is_socket(&it.value));
            if networked && tls.identity.is_none() {
                let problem = "needs a client certificate ([tls] client_cert) or an ldapi:// server";
                section.context.error(&section.at("method"), ErrorKind::Missing, problem);
            }
            Some(Bind::External)
        }
        Method::AsUser => {
            if users.settings.as_ref().is_some_and(|users| users.dn_template.is_none()) {
                let problem = "needs users.dn_template: without a service account nobody can be searched for";
                section.context.error(&section.at("method"), ErrorKind::Missing, problem);
            }
            Some(Bind::AsUser)
        }
        // Refused above while the feature is absent.
        Method::Anonymous | Method::Gssapi => Some(Bind::Anonymous),
    }
}

/// A DN, a UPN or a down-level name.
fn account(text: &str) -> Result<String, String> {
    if text.contains('=') {
        Dn::parse(text).map_err(|error| error.to_string())?;
    } else if !text.contains(['@', '\\']) {
        return Err("expected a DN, a UPN (name@domain) or a down-level name (DOMAIN\\name)".to_owned());
    }
    Ok(text.to_owned())
}
