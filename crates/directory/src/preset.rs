//! What each kind of directory calls things: a table, so that a new kind is a new row.
//!
//! There is no row for Active Directory yet: it needs `in-chain` and token groups, which the
//! walk of groups does not offer.

/// The defaults for one kind of directory. A key that the configuration gives replaces its value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The name used in the configuration.
    pub name: &'static str,
    /// `users.filter`.
    pub users_filter: &'static str,
    /// `users.login_attributes`.
    pub login_attributes: &'static [&'static str],
    /// `users.unique_id`.
    pub unique_id: &'static str,
    /// `users.attributes.username`.
    pub username: &'static str,
    /// `groups.filter`, where it does not depend on `members`: see [`Preset::groups_filter`].
    pub groups_filter: &'static str,
    /// `groups.members`.
    pub members: &'static str,
    /// `groups.nested`.
    pub nested: &'static str,
}

/// Every preset, in the order the documentation lists them.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "openldap",
        users_filter: "(objectClass=inetOrgPerson)",
        login_attributes: &["uid"],
        unique_id: "entryUUID",
        username: "uid",
        groups_filter: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=organizationalRole))",
        members: "member",
        nested: "walk",
    },
    Preset {
        name: "rfc2307",
        users_filter: "(objectClass=posixAccount)",
        login_attributes: &["uid"],
        unique_id: "entryUUID",
        username: "uid",
        groups_filter: "(objectClass=posixGroup)",
        members: "memberUid",
        nested: "none",
    },
    Preset {
        name: "389ds",
        users_filter: "(objectClass=inetOrgPerson)",
        login_attributes: &["uid"],
        unique_id: "nsUniqueId",
        username: "uid",
        groups_filter: "(objectClass=groupOfNames)",
        members: "member",
        nested: "walk",
    },
    Preset {
        name: "freeipa",
        users_filter: "(objectClass=person)",
        login_attributes: &["uid"],
        unique_id: "ipaUniqueID",
        username: "uid",
        groups_filter: "(objectClass=groupOfNames)",
        members: "member",
        nested: "walk",
    },
    Preset {
        name: "jumpcloud",
        users_filter: "(objectClass=inetOrgPerson)",
        login_attributes: &["uid"],
        unique_id: "entryUUID",
        username: "uid",
        groups_filter: "(objectClass=groupOfNames)",
        members: "member",
        nested: "none",
    },
    Preset {
        name: "google",
        users_filter: "(objectClass=person)",
        login_attributes: &["uid", "mail"],
        unique_id: "entryUUID",
        username: "uid",
        groups_filter: "(objectClass=groupOfNames)",
        members: "member",
        nested: "walk",
    },
    Preset {
        name: "lldap",
        users_filter: "(objectClass=person)",
        login_attributes: &["uid", "mail"],
        unique_id: "entryUUID",
        username: "uid",
        groups_filter: "(objectClass=groupOfUniqueNames)",
        members: "uniqueMember",
        nested: "none",
    },
];

/// The preset of that name.
///
/// ```
/// use bindery_directory::preset;
/// assert_eq!(preset::find("lldap").map(|p| p.members), Some("uniqueMember"));
/// assert!(preset::find("lotus-notes").is_none());
/// ```
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The base DN of an organisation at JumpCloud.
pub fn jumpcloud_base_dn(organization: &str) -> String {
    format!("o={},dc=jumpcloud,dc=com", bindery_ldap::dn::escape_value(organization))
}

impl Preset {
    /// `groups.filter` for the members attribute in use: OpenLDAP's kinds of group each have one of their own.
    ///
    /// ```
    /// use bindery_directory::preset;
    /// let openldap = preset::find("openldap").ok_or("missing")?;
    /// assert_eq!(openldap.groups_filter("roleOccupant"), "(objectClass=organizationalRole)");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn groups_filter(&self, members: &str) -> &'static str {
        if self.name != "openldap" {
            return self.groups_filter;
        }
        GROUP_CLASSES
            .iter()
            .find(|(attribute, _)| attribute.eq_ignore_ascii_case(members))
            .map_or(self.groups_filter, |(_, filter)| filter)
    }
}

/// Which kind of group has which members attribute (RFC 4519, RFC 2307).
const GROUP_CLASSES: &[(&str, &str)] = &[
    ("member", "(objectClass=groupOfNames)"),
    ("uniqueMember", "(objectClass=groupOfUniqueNames)"),
    ("roleOccupant", "(objectClass=organizationalRole)"),
    ("memberUid", "(objectClass=posixGroup)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names, ["openldap", "rfc2307", "389ds", "freeipa", "jumpcloud", "google", "lldap"]);
    }

    #[test]
    fn openldap_groups_follow_their_members_attribute() {
        let openldap = find("openldap").unwrap();
        assert_eq!(openldap.groups_filter("UNIQUEMEMBER"), "(objectClass=groupOfUniqueNames)");
        assert!(openldap.groups_filter("memberOf").starts_with("(|"));
        assert_eq!(find("lldap").unwrap().groups_filter("member"), "(objectClass=groupOfUniqueNames)");
    }
}
