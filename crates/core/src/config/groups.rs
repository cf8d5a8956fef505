//! `[sources.NAME.groups]`: where groups are, how membership is told, which become local.

use bindery_directory::settings::{GroupSettings, MemberValue, Members, Nested};

use super::features::Feature;
use super::reader::Section;
use super::source::Basis;
use super::tree::Node;
use super::{users, values};
use crate::rules::{Mirror, Permissions};

/// What the section says.
pub(super) struct Read {
    /// `None` when something that it cannot do without is wrong.
    pub(super) settings: Option<GroupSettings>,
    pub(super) mirror: Mirror,
    pub(super) parent: Option<String>,
    pub(super) permissions: Permissions,
}

/// Anything else would be an attribute that no group has, so that nobody were in any.
const MEMBERS: [&str; 5] = ["member", "uniqueMember", "roleOccupant", "memberUid", "memberOf"];

const NESTED: [(&str, Option<Nested>); 4] = [
    ("walk", Some(Nested::Walk)),
    ("none", Some(Nested::None)),
    // Active Directory's own ways; refused while the feature is absent.
    ("in-chain", None),
    ("token-groups", None),
];

pub(super) fn read(section: &Section<'_>, basis: &Basis<'_>) -> Read {
    let members = section.word("members", &MEMBERS).map(|it| it.value);
    let members = members.unwrap_or_else(|| basis.preset.members.to_owned());
    let base_dn = users::bases(section, basis);
    let filter = users::filter(section, basis.preset.groups_filter(&members));
    let name = users::attributes(section, "name", &["cn"]);
    let member_value = member_value(section, &members);
    let nested = nested(section, basis);
    let settings = base_dn.zip(filter).map(|(base_dn, filter)| GroupSettings {
        base_dn,
        filter,
        name,
        member_value,
        nested,
        members: if members.eq_ignore_ascii_case("memberOf") { Members::MemberOf } else { Members::OfGroup(members) },
    });
    let permissions = [("mirrored", Permissions::Mirrored), ("live", Permissions::Live)];
    Read {
        settings,
        mirror: mirror(section),
        parent: section.parsed("parent", group_name).map(|it| it.value),
        permissions: section.choice("permissions", &permissions).map_or(Permissions::Mirrored, |it| it.value),
    }
}

/// `dn`, or the attribute of the person that the values name: for `memberUid` the login name unless said otherwise.
fn member_value(section: &Section<'_>, members: &str) -> MemberValue {
    let read = section.parsed("member_value", values::attribute).map(|it| it.value);
    match read {
        Some(name) if name.eq_ignore_ascii_case("dn") => MemberValue::Dn,
        Some(name) => MemberValue::Attribute(name),
        None if members.eq_ignore_ascii_case("memberUid") => MemberValue::Attribute("uid".to_owned()),
        None => MemberValue::Dn,
    }
}

fn nested(section: &Section<'_>, basis: &Basis<'_>) -> Nested {
    let of_preset = if basis.preset.nested == "none" { Nested::None } else { Nested::Walk };
    match section.choice("nested", &NESTED) {
        None => of_preset,
        Some(choice) => choice.value.unwrap_or_else(|| {
            section.context.needs(&choice.at, Feature::ActiveDirectory);
            of_preset
        }),
    }
}

/// `true`, `false`, a list of names, or `{ except = [names] }`.
fn mirror(section: &Section<'_>) -> Mirror {
    let Some(node) = section.get("mirror") else {
        return Mirror::Off;
    };
    if let Some(all) = node.boolean() {
        return if all { Mirror::All } else { Mirror::Off };
    }
    if node.array().is_some() {
        return Mirror::Only(names(section, "mirror"));
    }
    if node.table().is_some() && !node.is_string_form() {
        return section.section("mirror", |it| {
            if !it.has("except") {
                it.missing("except", "mirror is true, false, a list of names or { except = [names] }");
            }
            Mirror::Except(names(it, "except"))
        });
    }
    wrong_mirror(section, node);
    Mirror::Off
}

fn wrong_mirror(section: &Section<'_>, node: &Node) {
    section.context.wrong_type(node, "true, false, a list of names or { except = [names] }");
}

fn names(section: &Section<'_>, key: &str) -> Vec<String> {
    let names = section.all_parsed(key, group_name).unwrap_or_default();
    names.into_iter().map(|it| it.value).collect()
}

/// The name of a local group.
pub(super) fn group_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("expected the name of a group".to_owned());
    }
    Ok(text.to_owned())
}
