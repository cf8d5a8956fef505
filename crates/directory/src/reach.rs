//! Who reads: the service account on the source's shared connections, or (as-user) a person on their own.
//! And what a search's outcome is worth: complete, or cut short and why.

use crate::servers::{Lease, NOT_FOLLOWED, Servers};
use crate::{DirectoryError, Reader};
use bindery_ldap::{
    Connection, Dn, DnError, Entry, Error, LdapResult, ResultCode, Scope, SearchOutcome, SearchRequest,
};
use std::sync::Arc;

/// A way to the directory.
#[derive(Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// The shared service connections.
    Service(&'a Servers),
    /// One person's connection. What they may read says nothing of what others may.
    Own(Own<'a>),
}

/// One connection, apart from the shared ones.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) connection: &'a Connection,
    /// Where it goes back to, unless it breaks.
    pub(crate) lease: Option<&'a Lease>,
    pub(crate) slug: &'a str,
}

impl<'a> Reach<'a> {
    pub(crate) fn of(reader: &'a Reader, servers: &'a Servers, slug: &'a str) -> Self {
        match &reader.own {
            Some(lease) => Self::lease(lease, slug),
            None => Self::Service(servers),
        }
    }

    pub(crate) fn lease(lease: &'a Lease, slug: &'a str) -> Self {
        Self::Own(Own { connection: lease.connection(), lease: Some(lease), slug })
    }

    /// One search; any result code but busy and unavailable is in the outcome.
    pub(crate) async fn search(self, request: &SearchRequest) -> Result<SearchOutcome, DirectoryError> {
        let outcome = match self {
            Self::Service(servers) => servers.search(request).await?,
            Self::Own(own) => own.search(request).await?,
        };
        tracing::debug!(
            target: "bindery_directory::search", base = %request.base, scope = ?request.scope, filter = %request.filter,
            attributes = ?request.attributes, entries = outcome.entries.len(), result = %outcome.result,
        );
        Ok(outcome)
    }

    /// The entry of that very name where it matches the filter. `None`: there is no such one.
    pub(crate) async fn entry(
        self,
        slug: &str,
        dn: &Dn,
        filter: bindery_ldap::Filter,
        attributes: &[String],
    ) -> Result<Option<Entry>, DirectoryError> {
        let request = SearchRequest::new(dn, Scope::Base, filter).attributes(attributes);
        let outcome = self.search(&request).await?;
        if outcome.result.code == ResultCode::NO_SUCH_OBJECT {
            return Ok(None);
        }
        shortcoming(&outcome, dn).map_or(Ok(()), |why| Err(failed(slug, &request, why)))?;
        Ok(outcome.entries.into_iter().find(|entry| entry.dn().is_ok_and(|found| found == *dn)))
    }

    /// Whether an entry has a value; any answer but busy and unavailable. It is asked where searches found the entry;
    /// further references are not followed.
    pub(crate) async fn compare(
        self,
        slug: &str,
        dn: &Dn,
        attribute: &str,
        value: &[u8],
    ) -> Result<Compared, DirectoryError> {
        let operation = || format!("compare of {attribute} of {dn}");
        let compare = async |connection: Connection| match connection.compare(dn.as_str(), attribute, value).await {
            Ok(true) => Ok(Compared::Yes),
            Ok(false) => Ok(Compared::No),
            Err(Error::Refused { result, .. }) if !crate::servers::is_busy(&result) => Ok(Compared::Answer(result)),
            Err(error) => Err(error),
        };
        match self {
            Self::Service(servers) => servers.read_of(dn, "compare", operation, compare).await,
            Self::Own(own) => compare(own.connection.clone()).await.map_err(|error| {
                own.spoiled_by(&error);
                let (slug, detail) = (slug.to_owned(), crate::error::chain(&error));
                DirectoryError::Operation { slug, operation: operation(), detail, source: Some(Arc::new(error)) }
            }),
        }
    }
}

/// What came of a compare.
#[derive(Debug)]
pub(crate) enum Compared {
    /// compareTrue.
    Yes,
    /// compareFalse.
    No,
    /// Anything else.
    Answer(LdapResult),
}

impl Own<'_> {
    fn spoiled_by(&self, error: &Error) {
        if let Some(lease) = self.lease.filter(|_| error.is_connection_lost()) {
            lease.spoil();
        }
    }

    async fn search(self, request: &SearchRequest) -> Result<SearchOutcome, DirectoryError> {
        let slug = self.slug.to_owned();
        match self.connection.search(request.clone()).await {
            Ok(outcome) if crate::servers::is_busy(&outcome.result) => {
                Err(DirectoryError::Unavailable { slug, detail: outcome.result.to_string(), source: None })
            }
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                self.spoiled_by(&error);
                let (operation, detail) = (describe(request), crate::error::chain(&error));
                Err(DirectoryError::Operation { slug, operation, detail, source: Some(Arc::new(error)) })
            }
        }
    }
}

/// What a search that came back lacks, and what the server said to it.
pub(crate) struct Short {
    why: String,
    said: Option<Error>,
}

impl From<String> for Short {
    fn from(why: String) -> Self {
        Self { why, said: None }
    }
}

/// A search that came back, but not whole.
pub(crate) fn failed(slug: &str, request: &SearchRequest, short: impl Into<Short>) -> DirectoryError {
    let Short { why, said } = short.into();
    let (slug, operation) = (slug.to_owned(), describe(request));
    DirectoryError::Operation { slug, operation, detail: why, source: said.map(Arc::new) }
}

pub(crate) fn describe(request: &SearchRequest) -> String {
    format!("search of {:?} for {}", request.base, request.filter)
}

/// Why an outcome is not the whole truth about its base; `None` when it is.
pub(crate) fn shortcoming(outcome: &SearchOutcome, base: &Dn) -> Option<Short> {
    if outcome.result.code != ResultCode::SUCCESS {
        let said = Error::Refused { operation: "search", result: outcome.result.clone() };
        return Some(Short { why: in_words(&outcome.result), said: Some(said) });
    }
    let inside = outcome.references.iter().flatten().find(|url| is_inside(url, base));
    inside.map(|url| match outcome.result.message.strip_prefix(NOT_FOLLOWED) {
        Some(why) => Short::from(format!("part of it lies elsewhere ({url}), and was not followed: {why}")),
        None => Short::from(format!("part of it lies elsewhere ({url}), and referrals are not followed")),
    })
}

pub(crate) fn in_words(result: &LdapResult) -> String {
    // As the error below says it, so that whoever shows both says it once.
    let said = Error::Refused { operation: "search", result: result.clone() };
    match result.code {
        ResultCode::SIZE_LIMIT_EXCEEDED | ResultCode::ADMIN_LIMIT_EXCEEDED => {
            format!("the server's size limit cut it short ({said}); raise the limit of the service account")
        }
        ResultCode::TIME_LIMIT_EXCEEDED => format!("the server's time limit cut it short ({said})"),
        ResultCode::NO_SUCH_OBJECT => format!("the base is not there, or may not be read ({said})"),
        ResultCode::REFERRAL if result.message.starts_with(NOT_FOLLOWED) => format!("it lies elsewhere ({said})"),
        ResultCode::REFERRAL => format!("it lies elsewhere ({said}), and referrals are not followed"),
        _ => said.to_string(),
    }
}

/// The parts of Active Directory that lie below a domain in name only.
const OTHER_CONTEXTS: &[&str] = &["domaindnszones", "forestdnszones", "configuration", "schema"];

/// Whether a reference points below the base. One that nobody can read does, for all we know.
pub(crate) fn is_inside(url: &str, base: &Dn) -> bool {
    let Some(dn) = reference_dn(url) else { return true };
    let other_context =
        dn.leaf().is_some_and(|(_, value)| OTHER_CONTEXTS.iter().any(|name| value.eq_ignore_ascii_case(name)));
    dn.is_within(base) && !other_context
}

/// The DN of an LDAP URL (RFC 4516).
fn reference_dn(url: &str) -> Option<Dn> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let encoded = path.split('?').next()?;
    let dn = Dn::from_bytes(&percent_decode(encoded.as_bytes())).ok()?;
    (!dn.is_root()).then_some(dn)
}

pub(crate) fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, after) {
            (b'%', [high, low, ..]) => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    decoded
}

/// Whether a name lies where a search of that scope looks.
pub(crate) fn in_scope(dn: &Dn, base: &Dn, scope: Scope) -> bool {
    match scope {
        Scope::Base => dn == base,
        Scope::One => dn.parent().is_some_and(|parent| parent == *base),
        Scope::Subtree => dn.is_within(base),
    }
}

/// The entries of an outcome that lie in scope. Others a server had no business to send are left out;
/// a name that is none is an error, because nobody can say where it lies.
pub(crate) fn inside(outcome: SearchOutcome, base: &Dn, scope: Scope) -> Result<Vec<(Dn, Entry)>, DnError> {
    let mut found = Vec::new();
    for entry in outcome.entries {
        let dn = entry.dn()?;
        if in_scope(&dn, base, scope) {
            found.push((dn, entry));
        } else {
            tracing::warn!(target: "bindery_directory::search", %dn, %base, "the server sent an entry from outside the base; ignored");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn references_count_when_they_point_below_the_base() {
        let base = dn("dc=example,dc=test");
        assert!(is_inside("ldap://other/ou=sub,dc=example,dc=test??sub", &base));
        assert!(is_inside("ldap://other/ou=s%75b%2Cdc=example%2cdc=test", &base));
        assert!(is_inside("ldap://other", &base), "who knows");
        assert!(is_inside("nonsense", &base));
        assert!(!is_inside("ldap://other/dc=elsewhere", &base));
        assert!(!is_inside("ldap://x/DC=DomainDnsZones,DC=example,DC=test", &base));
    }

    #[test]
    fn scopes() {
        let base = dn("ou=people,dc=x");
        let (ann, deep) = (dn("uid=ann,OU=People,dc=x"), dn("uid=ann,ou=a,ou=people,dc=x"));
        let look = |dn: &Dn| [Scope::Base, Scope::One, Scope::Subtree].map(|scope| in_scope(dn, &base, scope));
        assert_eq!(look(&base), [true, false, true]);
        assert_eq!(look(&ann), [false, true, true]);
        assert_eq!(look(&deep), [false, false, true]);
        assert_eq!(look(&self::dn("uid=ann,dc=x")), [false, false, false]);
    }

    #[test]
    fn percent_decoding_bears_anything() {
        assert_eq!(percent_decode(b"a%2cb%"), b"a,b%");
        assert_eq!(percent_decode(b"%zz%4"), b"%zz%4");
        assert_eq!(percent_decode(b"%\xff\xff"), b"%\xff\xff");
    }
}
