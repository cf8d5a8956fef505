//! Whether a run may rest on the one before: the position in the feed, the search it was made with, and removals that
//! still wait. Any doubt means a full run, and a changed search removes nobody until somebody says so.

use super::report::SyncRun;
use crate::engine::{ActiveSource, Engine};
use bindery_directory::settings::Bind;
use bindery_directory::{GroupSelector, Known, Position, SourceSettings};
use bindery_store::{Store, StoreError};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const FEED: &str = "feed";
const SEARCH: &str = "search";
const POSITION: &str = "position";
const PENDING: &str = "pending";
const RULES: &str = "rules";
const AGAIN: &str = "again";
const KNOWN: &str = "known";

/// So many who failed are looked at again one by one; for more of them everybody is.
pub(super) const MOST_AGAIN: usize = 500;

/// Why the next run has to read everybody, where more are to be looked at again than are remembered.
pub(super) fn too_many(again: &BTreeSet<String>) -> Option<&'static str> {
    (again.len() > MOST_AGAIN).then_some("too many people failed to be looked at one by one")
}

/// What an incremental run begins with.
pub(super) enum Footing {
    /// It may go on from here.
    Position(Position),
    /// It may not, and why.
    Doubt(String),
}

/// Whether there is something to go on from.
pub(super) async fn footing(store: &Store, source: &ActiveSource) -> Result<Footing, StoreError> {
    let slug = &source.slug;
    let doubt = |why: &str| Ok(Footing::Doubt(why.to_owned()));
    if let Some(why) = kept::<Option<String>>(store, source, PENDING).await? {
        return Ok(Footing::Doubt(why));
    }
    if compared(store, slug, SEARCH).await? != Some(search(source)) {
        return doubt("what is searched for has changed since the last run, or there was none");
    }
    following(store, source).await
}

/// The same for a follower. What is held does not keep it from following.
pub(super) async fn following(store: &Store, source: &ActiveSource) -> Result<Footing, StoreError> {
    let doubt = |why: &str| Ok(Footing::Doubt(why.to_owned()));
    let Some(position) = position(store, source).await? else {
        let why = kept::<Option<String>>(store, source, PENDING).await?;
        return doubt(why.as_deref().unwrap_or("no position in the change feed is stored for what is searched"));
    };
    if rules_changed(store, source).await? {
        return doubt("the rules have changed since everybody was last read");
    }
    Ok(Footing::Position(position))
}

/// Whether a feed would leave people as rules that no longer hold have made them.
async fn rules_changed(store: &Store, source: &ActiveSource) -> Result<bool, StoreError> {
    Ok(compared(store, &source.slug, RULES).await? != Some(rules(source)))
}

/// A digest of everything that decides what people come to, and of what is asked of them.
fn rules(source: &ActiveSource) -> Value {
    let groups = &source.directory.settings().groups;
    let (users_too, groups_too) = (source.sync.users, source.sync.groups);
    let what = format!("{:?} {:?} {groups:?} {users_too} {groups_too}", source.rules, source.wanted);
    json!(hex::encode(Sha256::digest(what)))
}

/// Where the feed was left.
pub(super) async fn position(store: &Store, source: &ActiveSource) -> Result<Option<Position>, StoreError> {
    let stored = compared(store, &source.slug, FEED).await?.unwrap_or_default();
    // A feed says nothing of what came into view with another search, or went out of it.
    let same = stored.get(SEARCH) == Some(&search(source));
    let position = stored.get(POSITION).filter(|_| same).cloned();
    Ok(position.and_then(|position| serde_json::from_value(position).ok()))
}

async fn put_position(
    store: &Store,
    source: &ActiveSource,
    position: Option<&Position>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let value = json!({ SEARCH: search(source), POSITION: position });
    store.put_position(&source.slug, FEED, value, now).await
}

/// Whether people were looked for in another way when they were last read. A source that was never read has not changed.
pub(super) async fn search_changed(store: &Store, source: &ActiveSource) -> Result<bool, StoreError> {
    let stored = compared(store, &source.slug, SEARCH).await?;
    Ok(stored.is_some_and(|stored| stored != search(source)))
}

/// What a full run leaves open.
pub(super) fn open(run: &SyncRun) -> Option<&'static str> {
    run.reason.map(|reason| match reason {
        super::SyncReason::RemovalLimit => "removals of the last run wait for --allow-removals",
        super::SyncReason::ChangedSearch => "the search has changed, and removals wait for --allow-removals",
        _ => "the last run could not read everything",
    })
}

/// After a full run that has done what it could: by which rules and which search, and, last of all, where the feed goes on.
pub(super) async fn remember(
    store: &Store,
    source: &ActiveSource,
    run: &SyncRun,
    position: Option<Position>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let slug = &source.slug;
    store.put_position(slug, RULES, rules(source), now).await?;
    // Only what was read whole, and not withheld, is what the next run may measure removals by.
    if run.incomplete.is_empty() || compared(store, slug, SEARCH).await?.is_none() {
        store.put_position(slug, SEARCH, search(source), now).await?;
    }
    put_position(store, source, position.as_ref(), now).await
}

/// A feed has been followed so far.
pub(super) async fn reached(
    store: &Store,
    source: &ActiveSource,
    position: &Position,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    put_position(store, source, Some(position), now).await
}

/// Something could not be finished: the next run reads everything. `None`: nothing is open any more.
pub(super) async fn pend(
    store: &Store,
    source: &ActiveSource,
    why: impl Into<Option<&str>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    store.put_position(&source.slug, PENDING, json!(why.into()), now).await
}

/// Whether something waits for a full run.
pub(super) async fn is_pending(store: &Store, source: &ActiveSource) -> Result<bool, StoreError> {
    Ok(kept::<Option<String>>(store, source, PENDING).await?.is_some())
}

/// What is known of the groups that rules name, in short; `None` where some could not be looked for.
pub(super) fn known<'a>(known: impl Iterator<Item = (&'a GroupSelector, &'a Known)>) -> Option<String> {
    let mut all = Vec::new();
    for (selector, known) in known {
        if let Known::Failed(_) = known {
            return None;
        }
        all.push(format!("{selector:?} {known:?}"));
    }
    all.sort_unstable();
    Some(hex::encode(Sha256::digest(all.join("\n"))))
}

/// Whether other groups of the rules can be found than when everybody was last read: then other people are in doubt,
/// and no feed tells of them.
pub(super) async fn knows_others(store: &Store, source: &ActiveSource, known: &str) -> Result<bool, StoreError> {
    Ok(compared(store, &source.slug, KNOWN).await? != Some(json!(known)))
}

/// Remembers what was known when everybody was read.
pub(super) async fn put_known(
    store: &Store,
    source: &ActiveSource,
    known: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    store.put_position(&source.slug, KNOWN, json!(known), now).await
}

/// Who failed, by unique ID, and is to be looked at again whether or not a feed tells of them.
pub(super) async fn again(store: &Store, source: &ActiveSource) -> Result<BTreeSet<String>, StoreError> {
    kept(store, source, AGAIN).await
}

/// The same, and whoever was written by a sign-in, a refresh or by hand since a run has last vouched for them: of what that
/// did no feed tells when it is so no more. Handlers may go by what nobody can vouch for.
pub(super) async fn unsettled(engine: &Engine, source: &ActiveSource) -> Result<BTreeSet<String>, StoreError> {
    let mut unsettled = again(engine.store(), source).await?;
    if source.sync.users && engine.handlers().is_empty() {
        // One more than are looked at shows that there are too many.
        unsettled.extend(engine.store().unvouched(&source.slug, MOST_AGAIN.saturating_add(1)).await?);
    }
    Ok(unsettled)
}

/// What an earlier run has left to compare with. What cannot be read is like nothing else.
async fn compared(store: &Store, slug: &str, what: &str) -> Result<Option<Value>, StoreError> {
    match store.position(slug, what).await {
        Err(error) if error.is_corrupt() => Ok(Some(Value::Null)),
        read => read,
    }
}

/// Gives up what earlier runs have left, because something of it cannot be read: everybody is read again, and all of it
/// written anew. Answers with why.
pub(super) async fn forget(
    store: &Store,
    source: &ActiveSource,
    error: &StoreError,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    // The position first: without the lists nobody could say whom a change concerns that is told from there on.
    put_position(store, source, None, now).await?;
    store.forget_rosters(&source.slug).await?;
    Ok(unreadable(error))
}

/// The same in words alone.
pub(super) fn unreadable(error: &StoreError) -> String {
    match error {
        StoreError::Corrupt { column, .. } => format!("what an earlier run has left cannot be read: {column}"),
        error => error.to_string(),
    }
}

/// What an earlier run has left under this name; nothing where none has. What cannot be read is an error: taken for
/// nothing, somebody would no longer be looked at, or removals would no longer count.
pub(super) async fn kept<T>(store: &Store, source: &ActiveSource, what: &str) -> Result<T, StoreError>
where
    T: DeserializeOwned + Default,
{
    let Some(stored) = store.position(&source.slug, what).await? else { return Ok(T::default()) };
    serde_json::from_value(stored).map_err(|error| StoreError::Corrupt {
        store: format!("{store:?}"),
        column: format!("positions.value ({what} of {})", source.slug),
        source: error.into(),
    })
}

/// Remembers the first of them.
pub(super) async fn put_again(
    store: &Store,
    source: &ActiveSource,
    again: &BTreeSet<String>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let first: Vec<&String> = again.iter().take(MOST_AGAIN).collect();
    store.put_position(&source.slug, AGAIN, json!(first), now).await
}

/// As it stands in `incomplete`.
pub(super) const CHANGED_SEARCH: &str = "changed_search";

/// A digest of base, scope, filter, unique ID and service account: when one of them changes, other entries are seen.
fn search(source: &ActiveSource) -> Value {
    let SourceSettings { users, groups, bind, tls, .. } = source.directory.settings();
    let who = match bind {
        Bind::Simple { name, .. } => format!("simple {name}"),
        Bind::External => match &tls.identity {
            // A certificate that is renewed is the same account.
            Some(identity) => format!("external {}", identity.subject().map(hex::encode).unwrap_or_default()),
            None => "external".to_owned(),
        },
        Bind::Anonymous => "anonymous".to_owned(),
        _ => "other".to_owned(),
    };
    let bases = |bases: &[bindery_directory::Dn]| bases.iter().map(bindery_directory::Dn::key).collect::<Vec<_>>();
    let what = json!([
        bases(&users.base_dn),
        format!("{:?}", users.scope),
        users.filter.to_string(),
        users.unique_id,
        bases(&groups.base_dn),
        groups.filter.to_string(),
        who,
    ]);
    json!(hex::encode(Sha256::digest(what.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};
    use std::path::Path;

    const TEXT: &str = r#"
[sources.corp]
preset = "openldap"
servers = ["ldaps://a.example"]
base_dn = "dc=example"
[sources.corp.bind]
dn = "cn=sync,dc=example"
password = "one"
[sources.corp.users]
base_dn = ["ou=people,dc=example"]
scope = "subtree"
filter = "(objectClass=inetOrgPerson)"
unique_id = "entryUUID"
[sources.corp.groups]
base_dn = ["ou=groups,dc=example"]
filter = "(objectClass=groupOfNames)"
nested = "walk"
"#;

    /// The source with this instead of that.
    fn with(this: &str, that: &str) -> ActiveSource {
        assert!(TEXT.contains(that), "{that}");
        let text = TEXT.replacen(that, this, 1);
        let config = Config::parse(&text, Path::new("bindery.toml"), &Environment::default()).unwrap();
        ActiveSource::new(config.sources.first().unwrap())
    }

    #[test]
    fn who_is_found_changes_with_the_search_and_the_service_account() {
        let before = search(&with("", ""));
        for (this, that) in [
            ("ou=staff,dc=example", "ou=people,dc=example"),
            ("one", "subtree"),
            ("(objectClass=person)", "(objectClass=inetOrgPerson)"),
            ("employeeNumber", "entryUUID"),
            ("ou=teams,dc=example", "ou=groups,dc=example"),
            ("(objectClass=groupOfUniqueNames)", "(objectClass=groupOfNames)"),
            ("cn=other,dc=example", "cn=sync,dc=example"),
            ("method = \"anonymous\"", "dn = \"cn=sync,dc=example\"\npassword = \"one\""),
        ] {
            assert_ne!(search(&with(this, that)), before, "{this}");
        }
        for (this, that) in [
            ("two", "one"),
            ("ldaps://b.example", "ldaps://a.example"),
            ("OU=People, DC=example", "ou=people,dc=example"),
        ] {
            assert_eq!(search(&with(this, that)), before, "{this}");
        }
    }

    #[test]
    fn another_client_certificate_is_another_account_and_a_renewed_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ca = bindery_tests::Ca::new(folder.path());
        let bound = |file: &str, name: &str| {
            let issued = ca.client(file, name);
            let service = "[sources.corp.bind]\ndn = \"cn=sync,dc=example\"\npassword = \"one\"";
            let external = format!(
                "[sources.corp.tls]\nclient_cert = {:?}\nclient_key = {:?}\n[sources.corp.bind]\nmethod = \"external\"",
                issued.cert, issued.key
            );
            search(&with(&external, service))
        };
        let before = bound("one", "sync");
        assert_ne!(bound("two", "other"), before);
        assert_eq!(bound("three", "sync"), before);
        assert_ne!(search(&with("", "")), before);
    }

    #[tokio::test]
    async fn what_was_left_and_cannot_be_read_is_not_nothing() {
        let store = Store::open(&bindery_store::StoreUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
        let (source, now) = (with("", ""), DateTime::UNIX_EPOCH);
        assert!(again(&store, &source).await.unwrap().is_empty());
        put_again(&store, &source, &["1".to_owned()].into(), now).await.unwrap();
        assert_eq!(again(&store, &source).await.unwrap().len(), 1);
        store.put_position("corp", AGAIN, json!({ "of": "another kind" }), now).await.unwrap();
        assert!(matches!(again(&store, &source).await, Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn how_groups_are_read_is_a_rule() {
        let before = rules(&with("", ""));
        for this in ["nested = \"none\"", "nested = \"walk\"\nmembers = \"uniqueMember\"", "name = [\"cn\", \"ou\"]"] {
            assert_ne!(rules(&with(this, "nested = \"walk\"")), before, "{this}");
        }
        assert_eq!(rules(&with("two", "one")), before);
    }
}
