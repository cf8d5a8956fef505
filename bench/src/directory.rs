//! A slapd with many people in it, and the raw loop that sign-in is measured against.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_ldap::{ConnectOptions, Connection, Dn, Filter, LdapUrl, Scope, SearchRequest};
use bindery_tests::Slapd;
use secrecy::SecretString;

use crate::cpu::Process;
use crate::load::{self, Figures};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "ann-secret";
/// How many people sign in: all are in the store after one round.
pub(crate) const ACTIVE: usize = 500;
const PEOPLE: &str = "ou=people,dc=example,dc=test";

pub(crate) struct Directory {
    slapd: Slapd,
}

impl Directory {
    pub(crate) fn start(users: usize) -> Self {
        let mut ldif = String::new();
        for number in 0..users {
            let _ = write!(
                ldif,
                "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: Person {number}\nsn: Number{number}\n\
                 givenName: Person\nmail: {uid}@example.test\n\
                 userPassword: {{SSHA}}6UA2Q85IoX0ASvbHBXTOchFfzXJzYWx0YW5uMQ==\n\n",
                dn = dn(number),
                uid = uid(number),
            );
        }
        Self { slapd: Slapd::builder().ldif(&ldif).start() }
    }

    /// A configuration with nothing in it that costs more than it must.
    pub(crate) fn config(&self) -> String {
        format!(
            "[server]\npublic_url = \"http://localhost\"\n\n[store]\nurl = \"sqlite:bench.db\"\n\n\
             [sources.bench]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\n\n\
             [sources.bench.users]\nbase_dn = \"{PEOPLE}\"\n\n\
             [sources.bench.bind]\ndn = \"{}\"\npassword = \"{}\"\n",
            self.slapd.url(),
            Slapd::SUFFIX,
            Slapd::SYNC_DN,
            Slapd::SYNC_PASSWORD
        )
    }

    /// The floor: search for the name, bind as what was found, on two connections that stay open.
    pub(crate) async fn raw(&self, clients: usize, time: Duration) -> Result<Figures> {
        let url = self.url();
        let connect = async |_| Pair::connect(&url).await;
        load::run(clients, time, &self.process()?, connect, |pair, turn| async move {
            let result = pair.search_and_bind(&uid(turn % ACTIVE), PASSWORD).await;
            (pair, result)
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        self.slapd.url()
    }

    pub(crate) fn process(&self) -> Result<[Process; 1]> {
        Ok([("slapd", self.slapd.pid().context("slapd runs")?)])
    }
}

/// A connection that searches and one that binds.
pub(crate) struct Pair {
    search: Connection,
    bind: Connection,
    base: Dn,
}

impl Pair {
    pub(crate) async fn connect(ldap: &str) -> Result<Self> {
        let options = ConnectOptions::new(LdapUrl::parse(ldap)?);
        let search = Connection::open(&options).await?;
        let (result, _) = search.bind_simple(Slapd::SYNC_DN, &SecretString::from(Slapd::SYNC_PASSWORD)).await?;
        ensure!(result.is_success(), "service bind: {result}");
        Ok(Self { search, bind: Connection::open(&options).await?, base: Dn::parse(PEOPLE)? })
    }

    /// What no sign-in can do without.
    pub(crate) async fn search_and_bind(&self, uid: &str, password: &str) -> Result<()> {
        let filter = Filter::all([Filter::equal("objectClass", "inetOrgPerson"), Filter::equal("uid", uid)]);
        let request = SearchRequest::new(&self.base, Scope::Subtree, filter).attributes([
            "uid",
            "entryUUID",
            "givenName",
            "sn",
            "mail",
            "displayName",
            "cn",
        ]);
        let found = self.search.search(request).await?;
        let entry = found.entries.first().context("the person is there")?;
        let (result, _) = self.bind.bind_simple(&entry.dn_text(), &SecretString::from(password)).await?;
        ensure!(result.is_success(), "bind: {result}");
        Ok(())
    }
}

pub(crate) fn uid(number: usize) -> String {
    format!("u{number:05}")
}

fn dn(number: usize) -> String {
    format!("uid={},{PEOPLE}", uid(number))
}
