//! Searches for people to look at, and what changes a directory: sent once, never twice.

use crate::feed::{Incomplete, offers_paging};
use crate::reach::{failed, shortcoming};
use crate::servers::Lease;
use crate::source::Inner;
use crate::{DirectoryError, PasswordCheck, Refusal, sign_in, verdict};
use bindery_ldap::ldif::{Change, ChangeRecord};
use bindery_ldap::{Connection, Dn, Entry, Error, Filter, ResultCode, Scope, SearchOutcome, SearchRequest};
use secrecy::SecretString;
use std::sync::Arc;

/// The directory's answer to a password change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// Done.
    Changed,
    /// The old password is wrong.
    WrongOld,
    /// The directory refused the new one, in its own words.
    Refused(String),
}

pub(crate) async fn search(
    inner: &Inner,
    base: &Dn,
    scope: Scope,
    filter: Filter,
    attributes: &[String],
    limit: usize,
) -> Result<Vec<Entry>, DirectoryError> {
    let settings = &inner.settings;
    let request = SearchRequest::new(base, scope, filter).attributes(attributes);
    let (_, lease) = inner.servers.exclusive().await?;
    let broken_off = |error| broken(&settings.slug, &request, error);
    let mut pages = lease.connection().search_paged(request.clone(), settings.page_size);
    let (mut entries, mut midway) = (Vec::new(), false);
    loop {
        let page = match pages.next_page().await {
            Ok(Some(page)) => page,
            Ok(None) => {
                lease.keep();
                return Ok(entries);
            }
            Err(error) => return Err(broken_off(error)),
        };
        let outcome =
            SearchOutcome { entries: page.entries, references: page.references, result: page.result, controls: vec![] };
        let short = shortcoming(&outcome, base);
        entries.extend(outcome.entries);
        if limit > 0 && entries.len() >= limit {
            // The rest of the pages stay unread: the server forgets them with the connection.
            entries.truncate(limit);
            return Ok(entries);
        }
        if let Some(why) = short {
            return Err(failed(&settings.slug, &request, why));
        }
        if page.endless {
            return Err(failed(&settings.slug, &request, "the server repeats its pages without end".to_owned()));
        }
        // A server that knows no pages sends all there is; any other one leaves out whether there is more.
        if page.control_missing && (midway || offers_paging(lease.connection()).await.map_err(broken_off)?) {
            return Err(failed(&settings.slug, &request, Incomplete::LostCookie.in_words().to_owned()));
        }
        midway = true;
    }
}

fn broken(slug: &str, request: &SearchRequest, error: Error) -> DirectoryError {
    DirectoryError::Operation {
        slug: slug.to_owned(),
        operation: format!("search of {:?} for {}", request.base, request.filter),
        detail: crate::error::chain(&error),
        source: Some(Arc::new(error)),
    }
}

pub(crate) async fn apply(inner: &Inner, record: &ChangeRecord) -> Result<(), DirectoryError> {
    if inner.settings.read_only {
        return Err(DirectoryError::ReadOnly { slug: inner.settings.slug.clone() });
    }
    inner.need_service_account("changing entries")?;
    let describe = || format!("{} of {:?}", verb(&record.change), record.dn);
    inner.servers.write(verb(&record.change), describe, |connection| send(connection, record)).await
}

fn verb(change: &Change) -> &'static str {
    match change {
        Change::Add(_) => "add",
        Change::Modify(_) => "modify",
        Change::Delete => "delete",
        Change::ModifyDn { .. } => "modifydn",
    }
}

async fn send(connection: Connection, record: &ChangeRecord) -> Result<(), Error> {
    let dn = &record.dn;
    match &record.change {
        Change::Add(attributes) => connection.add(dn, attributes).await,
        Change::Modify(changes) => connection.modify(dn, changes).await,
        Change::Delete => connection.delete(dn).await,
        Change::ModifyDn { new_rdn, delete_old_rdn, new_superior } => {
            connection.modify_dn(dn, new_rdn, *delete_old_rdn, new_superior.as_deref()).await
        }
    }
}

pub(crate) async fn password(
    inner: &Inner,
    dn: &Dn,
    old: &SecretString,
    new: &SecretString,
) -> Result<PasswordChange, DirectoryError> {
    sign_in::refuse_empty(inner, old)?;
    sign_in::refuse_empty(inner, new)?;
    let (lease, check) = bound_and_protected(inner, dn, old).await?;
    match check {
        PasswordCheck::Accepted(_) => {}
        PasswordCheck::Wrong => return Ok(PasswordChange::WrongOld),
        PasswordCheck::Refused { refusal, .. } => return Ok(PasswordChange::Refused(in_words(refusal).to_owned())),
    }
    let failed = |error: Error| DirectoryError::Operation {
        slug: inner.settings.slug.clone(),
        operation: format!("changing the password of {dn}"),
        detail: crate::error::chain(&error),
        source: Some(Arc::new(error)),
    };
    let answer = lease.connection().password_modify(Some(dn.as_str()), Some(old), Some(new)).await;
    let result = match answer {
        Ok(answer) => answer.result,
        Err(error) => {
            lease.spoil();
            return Err(failed(error));
        }
    };
    match result.code {
        ResultCode::SUCCESS => Ok(PasswordChange::Changed),
        ResultCode::INVALID_CREDENTIALS => Ok(PasswordChange::WrongOld),
        ResultCode::BUSY | ResultCode::UNAVAILABLE | ResultCode::REFERRAL => {
            Err(failed(Error::Refused { operation: "password modify", result }))
        }
        _ => Ok(PasswordChange::Refused(result.to_string())),
    }
}

/// Binds as the person, after making sure that nobody else can read along.
async fn bound_and_protected(
    inner: &Inner,
    dn: &Dn,
    old: &SecretString,
) -> Result<(Lease, PasswordCheck), DirectoryError> {
    if let Some(server) = inner.servers.unprotected() {
        let (slug, server) = (inner.settings.slug.clone(), server.to_owned());
        return Err(DirectoryError::Unprotected { slug, server });
    }
    let (result, controls, lease) = inner.servers.bind_person(dn, old).await?;
    match verdict::read(&result, &controls, None) {
        Some(check) => Ok((lease, check)),
        None => Err(DirectoryError::Operation {
            slug: inner.settings.slug.clone(),
            operation: format!("bind as {dn}"),
            detail: result.to_string(),
            source: None,
        }),
    }
}

fn in_words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::AccountDisabled => "the account is disabled",
        Refusal::AccountLocked => "the account is locked",
        Refusal::AccountExpired => "the account has expired",
        Refusal::PasswordExpired => "the password has expired",
        Refusal::PasswordMustChange => "the password must be changed first",
        Refusal::SignInHours => "not at this hour",
        Refusal::WorkstationNotAllowed => "not from this machine",
    }
}
