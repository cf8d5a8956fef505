//! `[sources.NAME.users]`: where people are, what they are called, what becomes of their attributes.

use std::collections::BTreeMap;

use bindery_directory::settings::{DnTemplate, UserSettings};
use bindery_directory::{Dn, Filter, Scope};

use super::error::ErrorKind;
use super::reader::Section;
use super::source::{self, Basis};
use super::{fields, values};
use crate::rules::{FieldRule, Template};

/// What the section says.
pub(super) struct Read {
    /// `None` when something that it cannot do without is wrong.
    pub(super) settings: Option<UserSettings>,
    pub(super) fields: BTreeMap<String, FieldRule>,
    pub(super) path: Option<Template>,
}

pub(super) fn read(section: &Section<'_>, basis: &Basis<'_>) -> Read {
    let scopes = [("subtree", Scope::Subtree), ("one", Scope::One), ("base", Scope::Base)];
    let base_dn = bases(section, basis);
    let filter = filter(section, basis.preset.users_filter);
    let scope = section.choice("scope", &scopes).map_or(Scope::Subtree, |it| it.value);
    let login_attributes = attributes(section, "login_attributes", basis.preset.login_attributes);
    let dn_template = section.parsed("dn_template", |text| {
        DnTemplate::parse(text)
            .map_err(|problem| format!("not a template of a DN, as uid={{user}},ou=people,…: {problem}"))
    });
    if let (Some(template), Some(bases)) = (&dn_template, &base_dn)
        && template.value.fill("name").is_ok_and(|dn| !bases.iter().any(|base| may_lie_in(&dn, base, scope)))
    {
        let problem =
            "makes DNs of a length that none in users.base_dn and users.scope has; write the DN out to its end";
        section.context.error(&template.at, ErrorKind::Conflict, problem);
    }
    let unique_id = section.parsed("unique_id", values::attribute).map(|it| it.value);
    let settings = base_dn.zip(filter).map(|(base_dn, filter)| UserSettings {
        base_dn,
        scope,
        filter,
        login_attributes,
        dn_template: dn_template.map(|it| it.value),
        unique_id: unique_id.unwrap_or_else(|| basis.preset.unique_id.to_owned()),
    });
    Read {
        settings,
        fields: section.section("attributes", |it| fields::attributes(it, basis.preset)),
        path: fields::path(section),
    }
}

/// Whether a DN is long enough to lie there. That it does not after all is for `check` to say.
fn may_lie_in(dn: &Dn, base: &Dn, scope: Scope) -> bool {
    match scope {
        Scope::One => dn.depth() == base.depth() + 1,
        Scope::Base => dn.depth() == base.depth(),
        Scope::Subtree => dn.depth() >= base.depth(),
    }
}

/// `base_dn` of people or groups: several, one as a plain string, or that of the source.
pub(super) fn bases(section: &Section<'_>, basis: &Basis<'_>) -> Option<Vec<Dn>> {
    let Some(node) = section.get("base_dn") else {
        return basis.base.clone().map(|base| vec![base]);
    };
    let bases: Vec<Dn> = if node.array().is_some() {
        let read = section.all_parsed("base_dn", source::dn)?;
        read.into_iter().map(|it| it.value).collect()
    } else {
        section.parsed("base_dn", source::dn).into_iter().map(|it| it.value).collect()
    };
    if node.array().is_some_and(<[_]>::is_empty) {
        section.context.invalid(&node.at, "names no base");
    }
    (!bases.is_empty()).then_some(bases)
}

/// A search filter, or the preset's.
pub(super) fn filter(section: &Section<'_>, preset: &str) -> Option<Filter> {
    let parse = |text: &str| Filter::parse(text).map_err(|error| error.to_string());
    if section.has("filter") {
        section.parsed("filter", parse).map(|it| it.value)
    } else {
        section.get("filter");
        Filter::parse(preset).ok()
    }
}

/// Names of attributes, at least one; or the preset's.
pub(super) fn attributes(section: &Section<'_>, key: &str, preset: &[&str]) -> Vec<String> {
    let Some(read) = section.all_parsed(key, values::attribute) else {
        return preset.iter().map(|&name| name.to_owned()).collect();
    };
    if section.get(key).and_then(|node| node.array()).is_some_and(<[_]>::is_empty) {
        section.context.invalid(&section.at(key), "names no attribute");
    }
    read.into_iter().map(|it| it.value).collect()
}
