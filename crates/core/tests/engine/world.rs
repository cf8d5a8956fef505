//! A directory, a store, an engine, and a clock that only a test moves.

use bindery_core::config::{Config, Environment};
use bindery_core::engine::{ActiveSource, Attempt, Current, Ended, Explanation, SessionState, SignIn, UserView, Via};
use bindery_core::events::EventHandler;
use bindery_core::token::Token;
use bindery_core::{Clock, Engine, Outcome, Reason, SystemEntropy, reconcile};
use bindery_demo_directory::{DemoDirectory, Options, company};
use bindery_directory::{Source, ldif};
use bindery_store::{Change, GroupRef, NewGroup, NewUser, Owner, PasswordHash, Plan, Store};
use chrono::{DateTime, Utc};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A clock that stands still.
#[derive(Clone)]
pub(crate) struct StoppedClock(Arc<Mutex<DateTime<Utc>>>);

impl Clock for StoppedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

impl StoppedClock {
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += by;
    }
}

/// What a world is made of, where it is not the usual.
#[derive(Default)]
pub(crate) struct Setup {
    /// Tables before the source's.
    pub(crate) top: String,
    /// Keys of `[sources.larkspur]` itself.
    pub(crate) keys: String,
    /// Tables of the source.
    pub(crate) source: String,
    /// What listens to events.
    pub(crate) handlers: Vec<Arc<dyn EventHandler>>,
    /// The URL of the store.
    pub(crate) store: Option<String>,
}

/// Everything that a sign-in needs.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) clock: StoppedClock,
    address: SocketAddr,
    directory: Option<DemoDirectory>,
}

/// One source over a directory of the company.
pub(crate) fn source_toml(slug: &str, url: &str, keys: &str) -> String {
    format!(
        "[sources.{slug}]\npreset = \"openldap\"\nservers = [\"{url}\"]\nbase_dn = \"{}\"\n\
         timeouts = {{ connect = \"2s\", operation = \"10s\" }}\n{keys}\n\
         [sources.{slug}.bind]\nmethod = \"simple\"\ndn = \"{}\"\npassword = \"{}\"\n",
        company::BASE_DN,
        company::SERVICE_DN,
        company::SERVICE_PASSWORD,
    )
}

pub(crate) fn company_directory() -> DemoDirectory {
    DemoDirectory::start(options(None)).unwrap()
}

/// The same entries with the same unique IDs at each start.
fn options(address: Option<SocketAddr>) -> Options {
    let usual = Options { seed: Some(7), min_password_length: 1, ..Options::company() };
    match address {
        Some(address) => Options { address, ..usual },
        None => usual,
    }
}

pub(crate) fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("bindery.toml"), &Environment::default()).unwrap()
}

/// An engine over an empty store.
pub(crate) async fn engine(text: &str, handlers: Vec<Arc<dyn EventHandler>>) -> (Engine, StoppedClock) {
    engine_over("sqlite::memory:", text, handlers).await
}

async fn engine_over(url: &str, text: &str, handlers: Vec<Arc<dyn EventHandler>>) -> (Engine, StoppedClock) {
    let config = parse(&format!("{text}\n[store]\nurl = \"{url}\"\n"));
    let store = Store::open(&config.store).await.unwrap();
    let clock = StoppedClock(Arc::new(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())));
    (Engine::new(store, &config, Arc::new(clock.clone()), Arc::new(SystemEntropy), handlers), clock)
}

impl World {
    pub(crate) async fn usual() -> Self {
        Self::new(Setup::default()).await
    }

    /// With tables of the source.
    pub(crate) async fn with(source: &str) -> Self {
        Self::new(Setup { source: source.to_owned(), ..Setup::default() }).await
    }

    pub(crate) async fn new(setup: Setup) -> Self {
        let directory = company_directory();
        let text = Self::toml(directory.address(), &setup);
        let url = setup.store.as_deref().unwrap_or("sqlite::memory:");
        let (engine, clock) = engine_over(url, &text, setup.handlers).await;
        Self { engine, clock, address: directory.address(), directory: Some(directory) }
    }

    fn toml(address: SocketAddr, setup: &Setup) -> String {
        let keys = format!("domain = \"LARKSPUR\"\ndns_domain = \"larkspur.local\"\n{}", setup.keys);
        let source = source_toml("larkspur", &format!("ldap://{address}"), &keys);
        format!("{}\n{source}\n{}", setup.top, setup.source)
    }

    /// Takes over another configuration, as SIGHUP does.
    pub(crate) fn reload(&self, setup: &Setup) {
        self.engine.reload(&parse(&Self::toml(self.address, setup)));
    }

    /// Where the directory is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has the engine find the directory elsewhere from now on.
    pub(crate) fn through(&mut self, address: SocketAddr, setup: &Setup) {
        self.address = address;
        self.reload(setup);
    }

    /// Every server is down.
    pub(crate) async fn outage(&mut self) {
        self.directory.take().unwrap().shutdown().await;
    }

    /// The directory is back, as it was at first.
    pub(crate) fn recover(&mut self) {
        self.recover_with(|_| ());
    }

    /// The directory is back, with what it had at first and something else about it.
    pub(crate) fn recover_with(&mut self, change: impl FnOnce(&mut Options)) {
        let mut options = options(Some(self.address));
        change(&mut options);
        self.directory = Some(DemoDirectory::start(options).unwrap());
    }

    /// Takes entries out of the directory.
    pub(crate) async fn delete(&self, dns: &[String]) {
        for dn in dns {
            self.edit(&format!("dn: {dn}\nchangetype: delete\n")).await;
        }
    }

    /// A person without a password comes into the directory.
    pub(crate) async fn hire(&self, uid: &str) {
        let entry = format!("objectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n");
        self.edit(&format!("dn: uid={uid},{}\nchangetype: add\n{entry}", company::PEOPLE_DN)).await;
    }

    /// Changes the directory as its administrator.
    pub(crate) async fn edit(&self, changes: &str) {
        edit(self.directory.as_ref().unwrap(), changes).await;
    }

    pub(crate) async fn set(&self, uid: &str, attribute: &str, value: &str) {
        let dn = dn(uid);
        self.edit(&format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")).await;
    }

    pub(crate) async fn set_password(&self, uid: &str, password: &str) {
        set_password(self.directory.as_ref().unwrap(), uid, password).await;
    }

    pub(crate) async fn unset(&self, uid: &str, attribute: &str) {
        let dn = dn(uid);
        self.edit(&format!("dn: {dn}\nchangetype: modify\ndelete: {attribute}\n")).await;
    }

    pub(crate) async fn join(&self, uid: &str, group: &str) {
        self.member("add", uid, group).await;
    }

    pub(crate) async fn leave(&self, uid: &str, group: &str) {
        self.member("delete", uid, group).await;
    }

    async fn member(&self, verb: &str, uid: &str, group: &str) {
        let (dn, base) = (dn(uid), company::GROUPS_DN);
        self.edit(&format!("dn: cn={group},{base}\nchangetype: modify\n{verb}: member\nmember: {dn}\n")).await;
    }

    /// Somebody signs in over HTTP.
    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> SignIn {
        self.engine.sign_in(attempt(username, password)).await
    }

    /// The same, from somewhere.
    pub(crate) async fn sign_in_from(&self, address: &str, username: &str, password: &str) -> SignIn {
        let address: Option<IpAddr> = Some(address.parse().unwrap());
        self.engine.sign_in(Attempt { address, ..attempt(username, password) }).await
    }

    /// Somebody signs in from the command line.
    pub(crate) async fn login(&self, username: &str, password: &str) -> SignIn {
        self.engine.sign_in(Attempt { via: Via::CommandLine, ..attempt(username, password) }).await
    }

    /// Somebody of the company signs in, and it works.
    pub(crate) async fn enter(&self, username: &str) -> Token {
        let end = self.sign_in(username, company::PASSWORD).await;
        assert_eq!(end.outcome, Outcome::SignedIn, "{username}: {:?} {}", end.reason, end.detail);
        end.token.expect("a session")
    }

    pub(crate) async fn explain(&self, name: &str) -> Explanation {
        self.engine.explain(name).await
    }

    /// Whose session it is.
    pub(crate) async fn current(&self, token: &Token) -> Arc<Current> {
        match self.engine.session(token).await {
            SessionState::Active(current) | SessionState::Renewed(current, _) => current,
            other => panic!("no session: {other:?}"),
        }
    }

    /// Why it is none.
    pub(crate) async fn ended(&self, token: &Token) -> Ended {
        match self.engine.session(token).await {
            SessionState::Ended(why) => why,
            other => panic!("not ended: {other:?}"),
        }
    }

    pub(crate) async fn user(&self, name: &str) -> Option<UserView> {
        let stored = self.engine.store().user_by_username(&reconcile::username_key(name)).await.unwrap()?;
        self.engine.view(stored.id).await.unwrap()
    }

    pub(crate) async fn apply(&self, changes: Vec<Change>) {
        self.engine.store().apply(&Plan::from(changes), self.clock.now()).await.unwrap();
    }

    /// A local account.
    pub(crate) async fn local(&self, name: &str, password: Option<&str>) -> Uuid {
        let id = self.engine.new_id();
        let password_hash = match password {
            Some(password) => Some(self.hash(password).await),
            None => None,
        };
        let (username, username_key) = (name.to_owned(), reconcile::username_key(name));
        self.apply(vec![Change::CreateUser(NewUser {
            id,
            username,
            username_key,
            password_hash,
            ..NewUser::default()
        })])
        .await;
        id
    }

    pub(crate) async fn hash(&self, password: &str) -> PasswordHash {
        let hash = self.engine.passwords().hash(&password.into(), &SystemEntropy).await;
        PasswordHash::new(hash.unwrap())
    }

    /// A local group with a permission.
    pub(crate) async fn group(&self, name: &str, permission: &str) -> Uuid {
        let id = self.engine.new_id();
        let group = NewGroup { id, name: name.to_owned(), name_key: reconcile::group_key(name), owner: Owner::Hand };
        let grant = Change::Grant { group: GroupRef::Id(id), permission: permission.to_owned() };
        self.apply(vec![Change::CreateGroup(group), grant]).await;
        id
    }
}

pub(crate) fn attempt(username: &str, password: &str) -> Attempt {
    Attempt {
        username: username.to_owned(),
        password: password.into(),
        address: None,
        user_agent: None,
        via: Via::Http,
        remember: false,
    }
}

/// Changes a directory as its administrator.
pub(crate) async fn edit(directory: &DemoDirectory, changes: &str) {
    let text = format!(
        "[sources.admin]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\nread_only = false\n\
         [sources.admin.bind]\nmethod = \"simple\"\ndn = \"{}\"\npassword = \"{}\"\n",
        directory.url(),
        company::BASE_DN,
        company::ADMIN_DN,
        company::ADMIN_PASSWORD,
    );
    let admin: Source = ActiveSource::new(&parse(&text).sources[0]).directory;
    for record in ldif::parse_changes(changes).unwrap() {
        admin.change(&record).await.unwrap();
    }
}

/// Sets a password as the administrator. Our own client does not send one over an unprotected connection.
pub(crate) async fn set_password(directory: &DemoDirectory, uid: &str, password: &str) {
    let (connection, mut ldap) = ldap3::LdapConnAsync::new(&directory.url()).await.unwrap();
    ldap3::drive!(connection);
    ldap.simple_bind(company::ADMIN_DN, company::ADMIN_PASSWORD).await.unwrap().success().unwrap();
    let new = ldap3::Mod::Replace("userPassword", [password].into());
    ldap.modify(&dn(uid), vec![new]).await.unwrap().success().unwrap();
    ldap.unbind().await.unwrap();
}

pub(crate) fn dn(uid: &str) -> String {
    company::people().into_iter().find(|person| person.username == uid).expect("works there").dn
}

#[track_caller]
pub(crate) fn assert_refused(end: &SignIn, reason: Reason) {
    assert_eq!((end.outcome, end.reason), (Outcome::Refused, Some(reason)), "{}", end.detail);
    assert!(end.token.is_none() && end.user.is_none());
}

#[track_caller]
pub(crate) fn assert_unavailable(end: &SignIn) {
    assert_eq!((end.outcome, end.reason), (Outcome::Unavailable, None), "{}", end.detail);
    assert!(end.token.is_none() && end.user.is_none());
}

#[track_caller]
pub(crate) fn assert_signed_in(end: &SignIn) {
    assert_eq!((end.outcome, end.reason), (Outcome::SignedIn, None), "{}", end.detail);
}
