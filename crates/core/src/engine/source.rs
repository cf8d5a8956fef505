//! A source in service: its directory, its rules, and what both ask of it.

use crate::config::{PasswordSettings, SourceConfig, SyncSettings};
use crate::reconcile::{Fingerprints, Terms};
use crate::rules::RuleSet;
use bindery_directory::settings::Bind;
use bindery_directory::{GroupSelector, Source, Wanted};
use std::path::PathBuf;

/// A source in service. Made from the configuration, or from what the store holds.
pub struct ActiveSource {
    /// Its name.
    pub slug: String,
    /// NetBIOS name of its domain.
    pub domain: Option<String>,
    /// DNS name of its domain.
    pub dns_domain: Option<String>,
    /// Shown where people choose or see a source.
    pub icon: Option<PathBuf>,
    /// The handle on its directory.
    pub directory: Source,
    /// Its rules.
    pub rules: RuleSet,
    /// Every group that its rules name.
    pub selectors: Vec<GroupSelector>,
    /// Whether any rule looks at groups.
    pub needs_groups: bool,
    /// Every attribute that its rules use.
    pub wanted: Wanted,
    /// Password changes, and sign-in while every server is down.
    pub passwords: PasswordSettings,
    /// Reading everybody.
    pub sync: SyncSettings,
    /// Digests of what decisions are made from.
    pub(crate) fingerprints: Fingerprints,
    /// The app's own keys.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ActiveSource {
    /// Puts a source into service. Connects to nothing.
    pub fn new(config: &SourceConfig) -> Self {
        Self {
            slug: config.slug.clone(),
            domain: config.domain.clone(),
            dns_domain: config.dns_domain.clone(),
            icon: config.icon.clone(),
            directory: Source::new(config.directory.clone()),
            rules: config.rules.clone(),
            selectors: config.rules.selectors(),
            needs_groups: config.rules.needs_groups(),
            wanted: config.rules.wanted(),
            passwords: config.passwords,
            sync: config.sync.clone(),
            fingerprints: Fingerprints::new(&config.slug, &config.rules),
            extra: config.extra.clone(),
        }
    }

    /// Under which terms its decisions meet what is stored: those of somebody whom a sync or a refresh brings.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            source: &self.slug,
            provisioning: &self.rules.provisioning,
            users: &self.directory.settings().users,
            parent: self.rules.parent.as_deref(),
            admit: false,
            fingerprint: None,
        }
    }

    /// Whether people bind before anybody could look whether they are there.
    pub fn binds_unseen(&self) -> bool {
        self.is_as_user() && self.directory.settings().users.dn_template.is_some()
    }

    /// Whether people are read on their own connection, without a service account.
    pub fn is_as_user(&self) -> bool {
        matches!(self.directory.settings().bind, Bind::AsUser)
    }
}
