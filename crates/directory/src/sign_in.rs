//! A name and a password: who that is, and what the directory says of the two together.

use crate::people::{self, Located};
use crate::reach::Reach;
use crate::servers::Lease;
use crate::settings::Bind;
use crate::source::Inner;
use crate::{
    Authentication, DirectoryError, PasswordCheck, Person, Reader, SourceSettings, Wanted, Whereabouts, verdict,
};
use bindery_ldap::{Dn, Entry, LdapResult};
use secrecy::{ExposeSecret, SecretString};

pub(crate) async fn authenticate(
    inner: &Inner,
    name: &str,
    password: &SecretString,
    wanted: &Wanted,
) -> Result<Authentication, DirectoryError> {
    refuse_empty(inner, password)?;
    if matches!(inner.settings.bind, Bind::AsUser) {
        return as_user(inner, name, password, wanted).await;
    }
    let settings = &inner.settings;
    let attributes = people::attributes(settings, wanted);
    let (dn, entry) = match people::locate(inner.service(), settings, name, &attributes).await? {
        Located::One(dn, entry) => (dn, entry),
        Located::Nobody => return Ok(Authentication::Nobody),
        Located::Several(dns) => return Ok(Authentication::Several(dns)),
    };
    let person = people::person(settings, dn.clone(), entry)?;
    let check = check_password(inner, &person, password).await?;
    Ok(Authentication::Checked { person: Some(Box::new(person)), dn, check, reader: Reader::service() })
}

pub(crate) async fn check_password(
    inner: &Inner,
    person: &Person,
    password: &SecretString,
) -> Result<PasswordCheck, DirectoryError> {
    bind(inner, &person.dn, password, Some(&person.entry)).await.map(|(check, _)| check)
}

/// Without a service account: the bind comes first, and the person reads their own entry.
async fn as_user(
    inner: &Inner,
    name: &str,
    password: &SecretString,
    wanted: &Wanted,
) -> Result<Authentication, DirectoryError> {
    match whereabouts(inner, name).await? {
        Whereabouts::At(dn) => bind_as(inner, dn, password, wanted).await,
        Whereabouts::Nobody => Ok(Authentication::Nobody),
        Whereabouts::Several(dns) => Ok(Authentication::Several(dns)),
    }
}

/// The bind of somebody whose DN is known, and their own look at their entry.
pub(crate) async fn bind_as(
    inner: &Inner,
    dn: Dn,
    password: &SecretString,
    wanted: &Wanted,
) -> Result<Authentication, DirectoryError> {
    let (check, lease) = bind(inner, &dn, password, None).await?;
    if !matches!(check, PasswordCheck::Accepted(_)) {
        return Ok(Authentication::Checked { person: None, dn, check, reader: Reader::own(lease) });
    }
    let settings = &inner.settings;
    let own = Reach::lease(&lease, &settings.slug);
    let attributes = people::attributes(settings, wanted);
    let Some(entry) = own.entry(&settings.slug, &dn, settings.users.filter.clone(), &attributes).await? else {
        // Whoever that is, they are not one of the source's people.
        return Ok(Authentication::Nobody);
    };
    let person = people::person(settings, dn.clone(), entry)?;
    Ok(Authentication::Checked { person: Some(Box::new(person)), dn, check, reader: Reader::own(lease) })
}

/// The DN of a name without a service account: by template, else by an anonymous search for the DN alone.
pub(crate) async fn whereabouts(inner: &Inner, name: &str) -> Result<Whereabouts, DirectoryError> {
    let settings = &inner.settings;
    if settings.users.dn_template.is_some() {
        return Ok(by_template(settings, name).map_or(Whereabouts::Nobody, Whereabouts::At));
    }
    Ok(match people::locate(inner.service(), settings, name, &["1.1".to_owned()]).await? {
        Located::One(dn, _) => Whereabouts::At(dn),
        Located::Nobody => Whereabouts::Nobody,
        Located::Several(dns) => Whereabouts::Several(dns),
    })
}

/// The DN that the template makes of a name; nobody is asked.
pub(crate) fn by_template(settings: &SourceSettings, name: &str) -> Option<Dn> {
    if name.is_empty() { None } else { people::by_template(settings, name) }
}

async fn bind(
    inner: &Inner,
    dn: &Dn,
    password: &SecretString,
    entry: Option<&Entry>,
) -> Result<(PasswordCheck, Lease), DirectoryError> {
    refuse_empty(inner, password)?;
    let (result, controls, lease) = inner.servers.bind_person(dn, password).await?;
    let Some(check) = verdict::read(&result, &controls, entry) else {
        lease.spoil();
        return Err(no_answer(inner, dn, &result));
    };
    Ok((check, lease))
}

fn no_answer(inner: &Inner, dn: &Dn, result: &LdapResult) -> DirectoryError {
    DirectoryError::Operation {
        slug: inner.settings.slug.clone(),
        operation: format!("bind as {dn}"),
        detail: result.to_string(),
        source: None,
    }
}

/// RFC 4513, 5.1.2: a server takes an empty password for no password, and answers "success".
pub(crate) fn refuse_empty(inner: &Inner, password: &SecretString) -> Result<(), DirectoryError> {
    let password = password.expose_secret();
    if password.is_empty() || password.contains('\0') {
        return Err(DirectoryError::EmptyPassword { slug: inner.settings.slug.clone() });
    }
    Ok(())
}

/// Nobody's name, and nobody's password.
const DECOY: &str = "bindery-nobody";

pub(crate) async fn decoy_bind(inner: &Inner) {
    let users = &inner.settings.users;
    let Some(base) = users.base_dn.first() else { return };
    let attribute = users.login_attributes.first().map_or("cn", String::as_str);
    // Whatever comes of it: somebody who was not found stays so.
    let _ = inner.servers.bind_person(&base.child(attribute, DECOY), &SecretString::from(DECOY)).await;
}
