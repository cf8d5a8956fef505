//! `[sources.NAME]`: one directory and its rules.

use std::path::PathBuf;
use std::time::Duration;

use bindery_directory::preset::{self, Preset};
use bindery_directory::settings::{Bind, Timeouts};
use bindery_directory::{Dn, LdapUrl, SourceSettings};

use super::error::ErrorKind;
use super::features::Feature;
use super::reader::{Section, Spot};
use super::server::{conflict, required};
use super::sync::{self, PasswordSettings, SyncSettings};
use super::{bind, fields, groups, provisioning, tls, users, values};
use crate::name::CATCH_ALL;
use crate::rules::RuleSet;

/// One source: its directory side, its rules, and what only some parts look at.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name in the configuration; `*` stands for domains that are not listed.
    pub slug: String,
    /// The preset, where one is named.
    pub preset: Option<&'static str>,
    /// The NetBIOS domain: `DOMAIN\user` belongs to this source. Compare without regard to case.
    pub domain: Option<String>,
    /// The DNS domain: `user@dns.domain` belongs to this source. Compare without regard to case.
    pub dns_domain: Option<String>,
    /// An image shown where people choose or see a source.
    pub icon: Option<PathBuf>,
    /// What the directory crate needs.
    pub directory: SourceSettings,
    /// What decides about its people.
    pub rules: RuleSet,
    /// Password changes, and sign-in while every server is down.
    pub passwords: PasswordSettings,
    /// Reading the whole directory.
    pub sync: SyncSettings,
    /// The app's own keys.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What the keys of a source share while they are read.
pub(super) struct Basis<'a> {
    pub(super) preset: &'a Preset,
    pub(super) base: Option<Dn>,
    pub(super) servers: Vec<Spot<LdapUrl>>,
    pub(super) lowercase_usernames: bool,
}

/// Reads a source. `None` when something that it cannot do without is missing or wrong, which is then noted.
pub(super) fn read(slug: &str, section: &Section<'_>, lowercase_usernames: bool) -> Option<SourceConfig> {
    let preset = preset(section);
    let basis = Basis {
        // Without one, the names of the standard schema (RFC 4519, RFC 4530) hold.
        preset: preset.or_else(|| preset::find("openldap"))?,
        base: base_dn(section, preset),
        servers: servers(section),
        lowercase_usernames,
    };
    let tls = section.section("tls", |it| tls::read(it, &basis.servers));
    let users = section.section("users", |it| users::read(it, &basis));
    let groups = section.section("groups", |it| groups::read(it, &basis));
    let bind = section.section("bind", |it| bind::read(it, &basis, &users, &tls));
    let rules = rules(section, &basis, &users, &groups);
    let passwords = section.section("passwords", sync::passwords);
    let account = !matches!(bind, Some(Bind::AsUser));
    let sync = section.section("sync", |it| sync::read(it, account));
    let identity = Identity::read(section);
    let limits = Limits::read(section);
    let directory = SourceSettings {
        slug: slug.to_owned(),
        servers: basis.servers.into_iter().map(|it| it.value).collect(),
        base_dn: basis.base.or_else(|| users.settings.as_ref()?.base_dn.first().cloned())?,
        read_only: section.boolean("read_only").unwrap_or(true),
        referrals: section.boolean("referrals").unwrap_or(false),
        timeouts: limits.timeouts,
        page_size: limits.page_size,
        max_message: limits.max_message,
        bind: bind?,
        tls,
        users: users.settings?,
        groups: groups.settings?,
    };
    Some(SourceConfig {
        slug: slug.to_owned(),
        preset: preset.map(|preset| preset.name),
        domain: identity.domain,
        dns_domain: identity.dns_domain,
        icon: identity.icon,
        directory,
        rules,
        passwords,
        sync,
        extra: section.section("extra", fields::extra),
    })
}

/// The preset named, if it is in this build.
fn preset(section: &Section<'_>) -> Option<&'static Preset> {
    const ACTIVE_DIRECTORY: &str = "active-directory";
    let mut choices: Vec<_> = preset::PRESETS.iter().map(|preset| (preset.name, Some(preset))).collect();
    if preset::find(ACTIVE_DIRECTORY).is_none() {
        choices.push((ACTIVE_DIRECTORY, None));
    }
    let choice = section.choice("preset", &choices)?;
    if choice.value.is_none_or(|preset| preset.name == ACTIVE_DIRECTORY) {
        section.context.needs(&choice.at, Feature::ActiveDirectory);
    }
    choice.value
}

/// The base: written out, or made from JumpCloud's organization.
fn base_dn(section: &Section<'_>, preset: Option<&Preset>) -> Option<Dn> {
    let written = section.parsed("base_dn", dn).map(|it| it.value);
    let organization = section.string("organization");
    let jumpcloud = preset.is_some_and(|preset| preset.name == "jumpcloud");
    if let (Some(organization), false) = (&organization, jumpcloud) {
        let problem = "belongs to preset = \"jumpcloud\"; elsewhere set base_dn";
        section.context.error(&organization.at, ErrorKind::Conflict, problem);
    }
    if section.has("base_dn") {
        return written;
    }
    let Some(organization) = organization.filter(|_| jumpcloud) else {
        let bases = |key| section.nested_has(key, "base_dn");
        if jumpcloud {
            section.missing("organization", "preset \"jumpcloud\" needs the ID of the organization");
        } else if !(bases("users") && bases("groups")) {
            section.missing("base_dn", "the DN that everything of this source lies under");
        }
        return None;
    };
    if organization.value.trim().is_empty() {
        section.context.invalid(&organization.at, "is empty");
        return None;
    }
    Dn::parse(&preset::jumpcloud_base_dn(&organization.value)).ok()
}

/// A DN that is not the root DSE's.
pub(super) fn dn(text: &str) -> Result<Dn, String> {
    match Dn::parse(text) {
        Ok(dn) if dn.depth() > 0 => Ok(dn),
        Ok(_) => Err("expected a DN, found none".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn servers(section: &Section<'_>) -> Vec<Spot<LdapUrl>> {
    const WANTED: &str =
        "expected the URL of a server, such as \"ldaps://ldap.example.com\" (ldap://, ldaps:// or ldapi://)";
    let servers = section.all_parsed("servers", |text| LdapUrl::parse(text).map_err(|_| WANTED.to_owned()));
    let from_dns = section.get("srv").is_some_and(|node| {
        let on = section.boolean("srv").unwrap_or(false);
        if on {
            section.context.needs(&node.at, Feature::Srv);
        }
        on
    });
    let listed = section.has("servers");
    match (listed, from_dns) {
        (true, true) => conflict(section, "srv", "stands instead of servers; remove one of the two"),
        (false, true) => {
            let why = "srv = true looks up the servers of this domain";
            required(section, "dns_domain", section.get("dns_domain"), why);
        }
        (false, false) => section.missing("servers", "the URLs of this source's servers"),
        (true, false) => {
            let none = section.get("servers").and_then(|node| node.array()).is_some_and(<[_]>::is_empty);
            if none {
                section.context.invalid(&section.at("servers"), "names no server");
            }
        }
    }
    servers.unwrap_or_default()
}

fn rules(section: &Section<'_>, basis: &Basis<'_>, users: &users::Read, groups: &groups::Read) -> RuleSet {
    let flags = section.section("flags", fields::flags);
    RuleSet {
        fields: users.fields.clone(),
        path: users.path.clone(),
        access: section.section("access", fields::access),
        flags: flags.rules,
        cascade: flags.cascade,
        group_map: section.section("group_map", fields::group_map),
        mirror: groups.mirror.clone(),
        parent: groups.parent.clone(),
        permissions: groups.permissions,
        provisioning: section.section("provisioning", provisioning::read),
        lowercase_usernames: basis.lowercase_usernames,
    }
}

/// By what a source is told apart and shown.
struct Identity {
    domain: Option<String>,
    dns_domain: Option<String>,
    icon: Option<PathBuf>,
}

impl Identity {
    fn read(section: &Section<'_>) -> Self {
        let domain = |text: &str| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || "\\@/:\"".contains(c);
            if text.is_empty() || text.contains(bad) {
                return Err("expected the name of a domain, without \"\\\" and \"@\"".to_owned());
            }
            Ok(text.to_owned())
        };
        Self {
            domain: section.parsed("domain", domain).map(|it| it.value),
            dns_domain: section.parsed("dns_domain", domain).map(|it| it.value),
            icon: section.file("icon").map(|it| it.value),
        }
    }
}

/// What bounds a source's operations.
struct Limits {
    timeouts: Timeouts,
    page_size: u32,
    max_message: usize,
}

impl Limits {
    fn read(section: &Section<'_>) -> Self {
        let max_message = section.size("max_message", 64 * 1024..=4 << 30);
        Self {
            timeouts: section.section("timeouts", timeouts),
            page_size: section.integer("page_size", 1..=1_000_000).unwrap_or(1000),
            max_message: max_message.and_then(|size| usize::try_from(size).ok()).unwrap_or(64 << 20),
        }
    }
}

fn timeouts(section: &Section<'_>) -> Timeouts {
    let bound = |key: &str, default: u64| {
        let read = section.duration(key);
        if let Some(Spot { value: Duration::ZERO, at }) = &read {
            section.context.invalid(at, "must be longer than nothing");
        }
        read.map_or(Duration::from_secs(default), |it| it.value)
    };
    Timeouts { connect: bound("connect", 5), operation: bound("operation", 15), sync: bound("sync", 3600) }
}

/// A slug names a source in commands, addresses and the store.
pub(super) fn check_slug(slug: &str) -> Result<(), String> {
    if slug == CATCH_ALL { Ok(()) } else { values::identifier(slug) }
}
