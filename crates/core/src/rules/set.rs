//! The rules of one source, as the configuration gives them.

use super::{FieldRule, GroupExpression, Template};
use bindery_directory::{GroupSelector, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that decides about the people of one source.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// Local field = attribute, template or table; `username` is always there.
    pub fields: BTreeMap<String, FieldRule>,
    /// `users.path`.
    pub path: Option<Template>,
    /// Who may come in.
    pub access: Access,
    /// Flag = group expression.
    pub flags: BTreeMap<String, GroupExpression>,
    /// Among the configured flags: a superuser is also staff, staff also active.
    pub cascade: bool,
    /// Local group = group expression; only the listed local groups are touched.
    pub group_map: BTreeMap<String, GroupExpression>,
    /// Which directory groups become local ones of the same name.
    pub mirror: Mirror,
    /// Local group that mirrored groups without a parent hang under.
    pub parent: Option<String>,
    /// Where group permissions come from.
    pub permissions: Permissions,
    /// Creating, updating, linking, refreshing.
    pub provisioning: Provisioning,
    /// `sign_in.lowercase_usernames`: usernames are Unicode case-folded.
    pub lowercase_usernames: bool,
}

impl RuleSet {
    /// Every group that any rule names, each once: what has to be known to tell no from unknown.
    pub fn selectors(&self) -> Vec<GroupSelector> {
        let access = self.access.require.iter().chain(&self.access.deny);
        let expressions = access.chain(self.flags.values()).chain(self.group_map.values());
        let mut selectors: BTreeSet<GroupSelector> =
            expressions.flat_map(GroupExpression::selectors).cloned().collect();
        if let Mirror::Only(names) = &self.mirror {
            selectors.extend(names.iter().cloned().map(GroupSelector::Name));
        }
        selectors.into_iter().collect()
    }

    /// Whether any rule looks at groups. Where none does, nobody's groups need to be read.
    pub fn needs_groups(&self) -> bool {
        self.mirror != Mirror::Off || self.permissions == Permissions::Live || !self.selectors().is_empty()
    }

    /// Every attribute that any rule reads, each once: nothing else is asked for.
    pub fn wanted(&self) -> Wanted {
        let fields = self.fields.values().flat_map(FieldRule::attributes);
        let path = self.path.iter().flat_map(Template::attributes);
        let mut seen = BTreeSet::new();
        Wanted(fields.chain(path).filter(|name| seen.insert(name.to_ascii_lowercase())).collect())
    }
}

/// `[sources.NAME.access]`.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// They must be in it.
    pub require: Option<GroupExpression>,
    /// They must not be in it.
    pub deny: Option<GroupExpression>,
}

/// `groups.mirror`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mirror {
    /// `false`.
    #[default]
    Off,
    /// `true`.
    All,
    /// A list of names.
    Only(Vec<String>),
    /// `{ except = [names] }`; an empty list still mirrors.
    Except(Vec<String>),
}

/// `groups.permissions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Through local memberships only.
    #[default]
    Mirrored,
    /// Also those of local groups named like the person's directory groups; no row is written.
    Live,
}

/// `[sources.NAME.provisioning]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// Whether people who do not exist yet may come in.
    pub create: bool,
    /// When fields are written.
    pub update: Update,
    /// Whether a local account without a link is adopted.
    pub link_existing: LinkExisting,
    /// How old the last read may be; `None` is "never", zero is "every request".
    pub refresh_after: Option<Duration>,
    /// What a request gets while a due refresh fails.
    pub on_refresh_failure: RefreshFailure,
}

impl Default for Provisioning {
    fn default() -> Self {
        Self {
            create: true,
            update: Update::Always,
            link_existing: LinkExisting::Never,
            refresh_after: Some(Duration::from_hours(24)),
            on_refresh_failure: RefreshFailure::Keep,
        }
    }
}

/// `provisioning.update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// At every read.
    Always,
    /// Fields only when the user is made; flags and groups are always kept true.
    OnCreate,
}

/// `provisioning.link_existing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkExisting {
    /// Never: a name that is taken is `account_conflict`.
    Never,
    /// By username.
    Username,
    /// By e-mail address.
    Email,
}

/// `provisioning.on_refresh_failure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshFailure {
    /// Go on with what was read last.
    Keep,
    /// 503 while it lasts; the session stays.
    Refuse,
    /// This status and page.
    Respond {
        /// The HTTP status.
        status: u16,
        /// An HTML file.
        page: Option<std::path::PathBuf>,
    },
}
