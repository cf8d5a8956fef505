//! What a source needs to know of its directory, already validated. Plain data: the configuration
//! makes it, nothing here reads a file.

use bindery_ldap::{Dn, Filter, LdapUrl, Scope, TlsSettings};
use secrecy::SecretString;
use std::time::Duration;

/// A source's directory side.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The source's name in the configuration.
    pub slug: String,
    /// Its servers, in the order they are preferred.
    pub servers: Vec<LdapUrl>,
    /// The base of everything.
    pub base_dn: Dn,
    /// Refuses add, modify, delete and modifyDN before anything is sent.
    pub read_only: bool,
    /// Whether references are followed, to the source's own servers. Off: they are skipped outside, named inside the base.
    pub referrals: bool,
    /// Bounds.
    pub timeouts: Timeouts,
    /// Entries a page.
    pub page_size: u32,
    /// Bytes a message.
    pub max_message: usize,
    /// How the service connection identifies itself.
    pub bind: Bind,
    /// TLS; certificates are always verified.
    pub tls: TlsSettings,
    /// Where people are.
    pub users: UserSettings,
    /// Where groups are.
    pub groups: GroupSettings,
}

/// Bounds in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a usable connection, TLS included.
    pub connect: Duration,
    /// One operation or page as a whole.
    pub operation: Duration,
    /// A sync run.
    pub sync: Duration,
}

/// How the service connection binds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Bind {
    /// Simple bind; the name is a DN, a UPN or a down-level name.
    Simple {
        /// Who.
        name: String,
        /// With what.
        password: SecretString,
    },
    /// SASL EXTERNAL: the client certificate or the Unix socket says who.
    External,
    /// Nobody.
    Anonymous,
    /// No service account: everything is read on the connection of the person who signs in.
    AsUser,
}

/// Where and how people are found.
#[derive(Debug, Clone)]
pub struct UserSettings {
    /// Several bases are the union of their searches.
    pub base_dn: Vec<Dn>,
    /// How deep.
    pub scope: Scope,
    /// What a person is.
    pub filter: Filter,
    /// What a typed name is compared with.
    pub login_attributes: Vec<String>,
    /// `uid={user},ou=people,…`: the DN is built instead of searched.
    pub dn_template: Option<DnTemplate>,
    /// The attribute with the immutable identifier.
    pub unique_id: String,
}

/// A DN with `{user}` in place of the (escaped) name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnTemplate(String);

impl DnTemplate {
    /// A template must contain `{user}` and be a DN once that is filled in.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("{user}") {
            return Err("has no {user} in it".to_owned());
        }
        Dn::parse(&text.replace("{user}", "name")).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }

    /// The DN of a person; the name is escaped by RFC 4514.
    pub fn fill(&self, name: &str) -> Result<Dn, bindery_ldap::DnError> {
        Dn::parse(&self.0.replace("{user}", &bindery_ldap::dn::escape_value(name)))
    }
}

/// Where and how groups are found.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Several bases are the union of their searches.
    pub base_dn: Vec<Dn>,
    /// What a group is.
    pub filter: Filter,
    /// Attributes that a group name in a rule is compared with, whole and without regard to case.
    pub name: Vec<String>,
    /// Which attribute ties people to groups.
    pub members: Members,
    /// What the values of that attribute name.
    pub member_value: MemberValue,
    /// How groups in groups count.
    pub nested: Nested,
}

/// Which attribute ties people to groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// An attribute of the group: `member`, `uniqueMember`, `roleOccupant`, `memberUid`.
    OfGroup(String),
    /// `memberOf`, read from the person.
    MemberOf,
}

/// What the values of the members attribute name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberValue {
    /// The person's DN.
    Dn,
    /// An attribute of the person, as `uid` for `memberUid`.
    Attribute(String),
}

/// How groups in groups count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nested {
    /// Level by level, on any server; loops end.
    Walk,
    /// Only direct membership (and the primary group).
    None,
}
