//! What each kind of directory calls things.

/// The defaults for one kind of directory. A key that the configuration gives replaces its value here.
#[derive(Debug, Clone, Copy)]
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
    /// `groups.filter`.
    pub groups_filter: &'static str,
    /// `groups.members`.
    pub members: &'static str,
    /// `groups.nested`.
    pub nested: &'static str,
}
