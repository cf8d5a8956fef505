//! A directory to talk to, and a client to talk with.

use bindery_demo_directory::{DemoDirectory, Options, company};
use ldap3::{Ldap, LdapConnAsync, Scope, SearchEntry};

/// The company, listening.
pub(crate) fn company_directory() -> DemoDirectory {
    start(Options { seed: Some(1), ..Options::company() })
}

pub(crate) fn start(options: Options) -> DemoDirectory {
    DemoDirectory::start(options).expect("the directory listens")
}

/// A client that is not bound.
pub(crate) async fn connect(directory: &DemoDirectory) -> Ldap {
    let (connection, ldap) = LdapConnAsync::new(&directory.url()).await.expect("connects");
    ldap3::drive!(connection);
    ldap
}

/// A client bound as the administrator.
pub(crate) async fn admin(directory: &DemoDirectory) -> Ldap {
    bound(directory, company::ADMIN_DN, company::ADMIN_PASSWORD).await
}

/// A client bound as the service account.
pub(crate) async fn service(directory: &DemoDirectory) -> Ldap {
    bound(directory, company::SERVICE_DN, company::SERVICE_PASSWORD).await
}

pub(crate) async fn bound(directory: &DemoDirectory, dn: &str, password: &str) -> Ldap {
    let mut ldap = connect(directory).await;
    ldap.simple_bind(dn, password).await.expect("an answer").success().expect("binds");
    ldap
}

/// The DN of somebody of the company.
pub(crate) fn person(uid: &str) -> String {
    company::people().into_iter().find(|person| person.username == uid).expect("works there").dn
}

/// The entries of a search that must succeed.
pub(crate) async fn entries(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
) -> Vec<SearchEntry> {
    let (entries, _) =
        ldap.search(base, scope, filter, attributes.to_vec()).await.expect("an answer").success().expect("succeeds");
    entries.into_iter().map(SearchEntry::construct).collect()
}

/// The sorted `uid` or `cn` of what a filter finds in the whole company.
pub(crate) async fn found(ldap: &mut Ldap, filter: &str) -> Vec<String> {
    let entries = entries(ldap, company::BASE_DN, Scope::Subtree, filter, &["uid", "cn"]).await;
    let name = |entry: &SearchEntry| {
        entry.attrs.get("uid").or_else(|| entry.attrs.get("cn")).and_then(|values| values.first().cloned())
    };
    let mut names: Vec<String> = entries.iter().map(|entry| name(entry).unwrap_or_else(|| entry.dn.clone())).collect();
    names.sort();
    names
}
