//! `[sources.NAME.provisioning]`: creating, updating, linking, refreshing.

use super::reader::Section;
use crate::rules::{LinkExisting, Provisioning, RefreshFailure, Update};

pub(super) fn read(section: &Section<'_>) -> Provisioning {
    let defaults = Provisioning::default();
    let updates = [("always", Update::Always), ("on-create", Update::OnCreate)];
    let links = [("never", LinkExisting::Never), ("username", LinkExisting::Username), ("email", LinkExisting::Email)];
    Provisioning {
        create: section.boolean("create").unwrap_or(defaults.create),
        update: section.choice("update", &updates).map_or(defaults.update, |it| it.value),
        link_existing: section.choice("link_existing", &links).map_or(defaults.link_existing, |it| it.value),
        refresh_after: section.duration_or("refresh_after", "never").map_or(defaults.refresh_after, |it| it.value),
        on_refresh_failure: on_refresh_failure(section).unwrap_or(defaults.on_refresh_failure),
    }
}

/// `"keep"`, `"refuse"`, or `{ status = 503, page = "path.html" }`.
fn on_refresh_failure(section: &Section<'_>) -> Option<RefreshFailure> {
    const KEY: &str = "on_refresh_failure";
    let node = section.get(KEY)?;
    if node.table().is_none() || node.is_string_form() {
        let choices = [("keep", RefreshFailure::Keep), ("refuse", RefreshFailure::Refuse)];
        return section.choice(KEY, &choices).map(|it| it.value);
    }
    section.section(KEY, |it| {
        let status = it.integer("status", 400..=599).unwrap_or(503);
        let page = it.file("page").map(|page| page.value);
        Some(RefreshFailure::Respond { status: u16::try_from(status).ok()?, page })
    })
}
