//! `[sources.NAME.sync]` and `[sources.NAME.passwords]`.

use std::time::Duration;

use super::error::ErrorKind;
use super::features::Feature;
use super::reader::{Section, Spot};
use super::tree::At;
use super::values;

/// `[sources.NAME.sync]`: reading the whole directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSettings {
    /// When; five cron fields. `None` is off.
    pub schedule: Option<String>,
    /// Whether the change feed is followed while serving.
    pub live: bool,
    /// How often a server that cannot push is asked.
    pub poll: Duration,
    /// Whether users are synced.
    pub users: bool,
    /// Whether groups are synced.
    pub groups: bool,
    /// What becomes of users and groups that left the directory.
    pub removed: Removed,
    /// Beyond this, a run is held for a person to look at.
    pub removal_limit: RemovalLimit,
}

/// `sync.removed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// They may no longer sign in; a group is kept empty.
    Deactivate,
    /// Nothing.
    Keep,
    /// They are deleted.
    Delete,
}

/// `sync.removal_limit`: the smaller bound holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalLimit {
    /// How many.
    pub count: u32,
    /// How many of a hundred.
    pub percent: u32,
}

/// `[sources.NAME.passwords]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordSettings {
    /// Whether password changes go to the directory.
    pub write_back: bool,
    /// How long a verifier is kept for when every server is down; `None` is off.
    pub offline: Option<Duration>,
}

/// `account` is whether there is anybody to read everybody with.
pub(super) fn read(section: &Section<'_>, account: bool) -> SyncSettings {
    let schedule = section.parsed("schedule", |text| match text {
        "off" => Ok(None),
        text => values::schedule(text).map(Some),
    });
    if let Some(Spot { value: Some(_), at }) = &schedule {
        section.context.needs(at, Feature::Sync);
        needs_account(section, at, account);
    }
    let live = section.boolean("live").unwrap_or(false);
    if live {
        section.context.needs(&section.at("live"), Feature::Sync);
        needs_account(section, &section.at("live"), account);
    }
    let poll = section.duration("poll");
    if let Some(Spot { value: Duration::ZERO, at }) = &poll {
        section.context.invalid(at, "must be longer than nothing");
    }
    let removed = [("deactivate", Removed::Deactivate), ("keep", Removed::Keep), ("delete", Removed::Delete)];
    SyncSettings {
        schedule: schedule.and_then(|it| it.value),
        live,
        poll: poll.map_or(Duration::from_secs(1), |it| it.value),
        users: section.boolean("users").unwrap_or(true),
        groups: section.boolean("groups").unwrap_or(true),
        removed: section.choice("removed", &removed).map_or(Removed::Deactivate, |it| it.value),
        removal_limit: section.section("removal_limit", |it| RemovalLimit {
            count: it.integer("count", 0..=u32::MAX).unwrap_or(500),
            percent: it.integer("percent", 0..=100).unwrap_or(5),
        }),
    }
}

fn needs_account(section: &Section<'_>, at: &At, account: bool) {
    if !account {
        let problem = "needs a service account: with bind.method = \"as-user\" nobody can read everybody";
        section.context.error(at, ErrorKind::Conflict, problem);
    }
}

pub(super) fn passwords(section: &Section<'_>) -> PasswordSettings {
    let write_back = section.boolean("write_back").unwrap_or(false);
    if write_back {
        section.context.needs(&section.at("write_back"), Feature::WriteBack);
    }
    let offline = section.duration_or("offline", "off");
    if let Some(Spot { value: Some(kept), at }) = &offline {
        section.context.needs(at, Feature::Offline);
        if kept.is_zero() {
            section.context.invalid(at, "must be longer than nothing; \"off\" turns it off");
        }
    }
    PasswordSettings { write_back, offline: offline.and_then(|it| it.value) }
}
