//! What reconciliation is computed from: everybody and everything that one entry may concern.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::db::{Arg, Row, args};
use crate::how_many::HowMany;
use crate::lists::LONGEST;
use crate::users::user_columns;
use crate::{EntityKind, Group, GroupState, Link, Membership, Owner, Store, StoreError, User, UserState, guard};

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Slug of the source.
    pub source: String,
    /// The entry's unique ID, in its text form.
    pub unique_id: String,
    /// The username that the entry would have, folded.
    pub username_key: String,
    /// The mail address that the entry would have, folded; only where accounts are adopted by mail.
    pub email_key: Option<String>,
    /// Folded names of the local groups that a decision may concern.
    pub group_keys: Vec<String>,
    /// Unique IDs of directory groups of the source, whose local groups a decision may concern whatever they are called.
    pub group_entries: Vec<String>,
}

/// The stored state that one entry may concern. Everybody in it carries a version: put it into
/// [`Plan::expected`](crate::Plan::expected), and nothing is written if the state has moved meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whoever is linked to the entry.
    pub linked: Option<UserState>,
    /// Whoever has the username.
    pub by_username: Option<UserState>,
    /// Everybody who has the mail address.
    pub by_email: Vec<UserState>,
    /// Those of the groups asked for that exist, each once, by name. Many people are in the same ones.
    pub groups: Vec<Arc<GroupState>>,
}

/// When the entry of a link `l` was last found.
macro_rules! last_seen {
    () => {
        "CASE WHEN l.absent THEN l.last_seen ELSE COALESCE((SELECT s.at FROM sightings s WHERE s.source = l.source \
         AND s.kind = l.kind AND s.at > l.last_seen), l.last_seen) END"
    };
}
pub(crate) use last_seen;

/// The columns of a link, for a query in which `links` is `l`.
macro_rules! link_columns {
    () => {
        concat!(
            "l.kind AS link_kind, l.source AS link_source, l.unique_id AS link_unique_id, l.user_id AS link_user_id, \
             l.group_id AS link_group_id, l.dn AS link_dn, l.dn_key AS link_dn_key, ",
            $crate::snapshot::last_seen!(),
            " AS link_last_seen, l.fingerprint AS link_fingerprint, l.given_fields AS link_given_fields, \
             l.given_flags AS link_given_flags, l.live_groups AS link_live_groups, \
             l.account_ends AS link_account_ends, \
             l.password_changed AS link_password_changed, l.parent_id AS link_parent_id"
        )
    };
}
pub(crate) use link_columns;

/// What [`Row::membership`] reads, and whose it is.
macro_rules! membership_query {
    () => {
        "SELECT m.user_id, m.owner, g.id AS group_id, g.name, g.name_key \
         FROM memberships m JOIN groups g ON g.id = m.group_id"
    };
}

pub(crate) use membership_query;

/// Users, by name, from rows of a user and a link each, and rows of their memberships. A user without any link has one row
/// without one.
pub(crate) fn joined_states(rows: &[Row], memberships: &[Row]) -> Result<Vec<UserState>, StoreError> {
    let mut states: HashMap<Uuid, UserState> = HashMap::with_capacity(rows.len());
    for row in rows {
        let state = match states.entry(row.get("id")?) {
            Entry::Occupied(state) => state.into_mut(),
            Entry::Vacant(place) => {
                place.insert(UserState { user: row.user()?, links: Vec::new(), memberships: Vec::new() })
            }
        };
        state.links.extend(row.joined_link()?);
    }
    let mut states: Vec<UserState> = states.into_values().collect();
    states.sort_unstable_by(|a, b| a.user.username_key.cmp(&b.user.username_key));
    for state in &mut states {
        sort_links(&mut state.links);
    }
    give_memberships(&mut states, memberships)?;
    Ok(states)
}

impl Row {
    /// The link of a left join, if there is one.
    pub(crate) fn joined_link(&self) -> Result<Option<Link>, StoreError> {
        self.get::<Option<String>>("link_kind")?.map(|_| self.link()).transpose()
    }

    /// A link from [`link_columns`].
    pub(crate) fn link(&self) -> Result<Link, StoreError> {
        let user: Option<Uuid> = self.get("link_user_id")?;
        let group: Option<Uuid> = self.get("link_group_id")?;
        let (kind, entity_id) = match (user, group) {
            (Some(user), None) => (EntityKind::User, user),
            (None, Some(group)) => (EntityKind::Group, group),
            _ => return Err(self.corrupt("links.user_id", "a link has one end")),
        };
        Ok(Link {
            kind,
            source: self.get("link_source")?,
            unique_id: self.get("link_unique_id")?,
            entity_id,
            dn: self.get("link_dn")?,
            dn_key: self.get("link_dn_key")?,
            last_seen: self.get("link_last_seen")?,
            fingerprint: self.get("link_fingerprint")?,
            given_fields: self.json("link_given_fields")?,
            given_flags: self.json("link_given_flags")?,
            live_groups: self.json("link_live_groups")?,
            account_ends: self.get("link_account_ends")?,
            password_changed: self.get("link_password_changed")?,
            parent: self.get("link_parent_id")?,
        })
    }
}

impl Store {
    /// Reads what a decision about one entry needs.
    pub async fn snapshot(&self, request: &SnapshotRequest) -> Result<Snapshot, StoreError> {
        let snapshots = self.snapshots(std::slice::from_ref(request)).await?;
        Ok(snapshots.into_iter().next().unwrap_or_default())
    }

    /// The same where whoever the entry concerns was read before: if they are linked to it under the name that it has, only
    /// the groups are still to be read. Whatever changed about them since moved their version.
    pub async fn snapshot_of(&self, request: &SnapshotRequest, known: &UserState) -> Result<Snapshot, StoreError> {
        let linked = known.link(&request.source).is_some_and(|link| link.unique_id == request.unique_id);
        if !linked || known.user.username_key != request.username_key || request.email_key.is_some() {
            return self.snapshot(request).await;
        }
        let groups = self.groups_of_requests(&request.source, std::slice::from_ref(request)).await?;
        let state = Some(known.clone());
        Ok(Snapshot { linked: state.clone(), by_username: state, by_email: Vec::new(), groups: groups.by(request) })
    }

    /// Reads what decisions about several entries need: for each request what [`Store::snapshot`] would give. A thousand
    /// entries take little more than one.
    pub async fn snapshots(&self, requests: &[SnapshotRequest]) -> Result<Vec<Snapshot>, StoreError> {
        let mut snapshots = Vec::with_capacity(requests.len());
        for part in requests.chunk_by(|one, other| one.source == other.source) {
            for part in part.chunks(LONGEST) {
                snapshots.extend(self.snapshots_of_one_source(part).await?);
            }
        }
        Ok(snapshots)
    }

    async fn snapshots_of_one_source(&self, requests: &[SnapshotRequest]) -> Result<Vec<Snapshot>, StoreError> {
        let Some(source) = requests.first().map(|request| request.source.as_str()) else { return Ok(Vec::new()) };
        // Users come first: whatever changes after that moves their version, and the plan is refused.
        let states = self.concerned(source, requests).await?;
        let found = Found::new(source, &states);

        let groups = self.groups_of_requests(source, requests).await?;
        let snapshot = |request: &SnapshotRequest| Snapshot { groups: groups.by(request), ..found.by(request) };
        Ok(requests.iter().map(snapshot).collect())
    }

    async fn groups_of_requests(&self, source: &str, requests: &[SnapshotRequest]) -> Result<FoundGroups, StoreError> {
        let keys: BTreeSet<&String> = requests.iter().flat_map(|request| &request.group_keys).collect();
        let entries: BTreeSet<&String> = requests.iter().flat_map(|request| &request.group_entries).collect();
        let named = self.groups_by_key(keys).await?.into_iter().map(Arc::new).collect();
        let tied = self.groups_by_entry(source, entries).await?.into_iter().map(Arc::new).collect();
        Ok(FoundGroups { named, tied })
    }

    /// Users with their links and memberships, by name. For one person all of it in one go: the second statement would cost
    /// as much as the first. Of many, most may be new, or nobody's business: then there is nothing more to ask.
    async fn concerned(&self, source: &str, requests: &[SnapshotRequest]) -> Result<Vec<UserState>, StoreError> {
        // Several selects in one, each of which has an index. With OR between them PostgreSQL would read all users.
        const CONCERNED: &str = "SELECT own.user_id AS id FROM links own \
             WHERE own.source = $1 AND own.kind = 'user' AND own.unique_id IN ({}) \
             UNION SELECT named.id FROM users named WHERE named.username_key IN ({}) \
             UNION SELECT mailed.id FROM users mailed WHERE mailed.email_key <> '' AND mailed.email_key IN ({})";
        let list = |keys: BTreeSet<&str>| -> Vec<Arg> {
            keys.into_iter().filter(|key| guard::findable(key)).map(Arg::from).collect()
        };
        let entries = list(requests.iter().map(|request| request.unique_id.as_str()).collect());
        let names = list(requests.iter().map(|request| request.username_key.as_str()).collect());
        let mails = list(requests.iter().filter_map(|request| request.email_key.as_deref()).collect());
        let lead = args![if guard::findable(source) { source } else { "" }];
        let lists: [&[Arg]; 3] = [&entries, &names, &mails];

        if requests.len() == 1 {
            return self.states_of(&format!("IN ({CONCERNED})"), &lead, &lists, HowMany::Few).await;
        }
        let mut ids: Vec<Arg> = Vec::with_capacity(requests.len());
        let asked = self.db.looking_up(CONCERNED, &lead, &lists);
        for row in self.db.rows_of_all(vec![asked], HowMany::Many).await?.iter().flatten() {
            ids.push(Arg::Uuid(row.get("id")?));
        }
        let mut states = Vec::with_capacity(ids.len());
        for part in ids.chunks(LONGEST) {
            states.extend(self.states_of("IN ({})", &[], &[part], HowMany::Many).await?);
        }
        states.sort_unstable_by(|a, b| a.user.username_key.cmp(&b.user.username_key));
        Ok(states)
    }

    /// Users whose ID is among some, by name, with their links and memberships.
    async fn states_of(
        &self,
        among: &str,
        lead: &[Arg],
        lists: &[&[Arg]],
        how_many: HowMany,
    ) -> Result<Vec<UserState>, StoreError> {
        let users = concat!(
            "SELECT ",
            user_columns!(),
            ", ",
            link_columns!(),
            " FROM users LEFT JOIN links l ON l.user_id = users.id WHERE users.id "
        );
        let memberships = concat!(membership_query!(), " WHERE m.user_id ");
        let statements = [users, memberships].map(|sql| self.db.looking_up(&format!("{sql}{among}"), lead, lists));
        let mut answers = self.db.rows_of_all(statements.into(), how_many).await?.into_iter();
        let (rows, memberships) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());

        joined_states(&rows, &memberships)
    }

    /// Adds links and memberships to users.
    pub(crate) async fn states(&self, users: Vec<User>) -> Result<Vec<UserState>, StoreError> {
        let mut states: Vec<UserState> =
            users.into_iter().map(|user| UserState { user, links: Vec::new(), memberships: Vec::new() }).collect();
        let ids: Vec<Arg> = states.iter().map(|state| state.user.id.into()).collect();
        let mut links = by_end(self.links_of("user_id", &ids).await?);
        for state in &mut states {
            state.links = links.remove(&state.user.id).unwrap_or_default();
        }
        self.add_memberships(&mut states).await?;
        Ok(states)
    }

    async fn add_memberships(&self, states: &mut [UserState]) -> Result<(), StoreError> {
        let users: Vec<Arg> = states.iter().map(|state| state.user.id.into()).collect();
        let sql = concat!(membership_query!(), " WHERE m.user_id IN ({})");
        give_memberships(states, &self.db.look_up(sql, &[], &users).await?)
    }

    /// Links by the end that is here.
    pub(crate) async fn links_of(&self, column: &'static str, ids: &[Arg]) -> Result<Vec<Link>, StoreError> {
        let sql = format!("SELECT {} FROM links l WHERE l.{column} IN ({{}})", link_columns!());
        self.db.look_up(&sql, &[], ids).await?.iter().map(Row::link).collect()
    }

    /// Those of the named groups that exist, with their links, by name.
    pub async fn groups_by_key(&self, keys: impl IntoIterator<Item = &String>) -> Result<Vec<GroupState>, StoreError> {
        let keys: Vec<Arg> = keys.into_iter().filter(|key| guard::findable(key)).map(Arg::from).collect();
        let sql = "SELECT id, name, name_key, owner, created_at FROM groups WHERE name_key IN ({})";
        let rows = self.db.look_up(sql, &[], &keys).await?;
        self.group_states(rows.iter().map(Row::group).collect::<Result<_, _>>()?).await
    }

    /// Those that are tied to the given entries of a source, with their links.
    pub async fn groups_by_entry(
        &self,
        source: &str,
        unique_ids: impl IntoIterator<Item = &String>,
    ) -> Result<Vec<GroupState>, StoreError> {
        if !guard::findable(source) {
            return Ok(Vec::new());
        }
        let ids: Vec<Arg> = unique_ids.into_iter().filter(|id| guard::findable(id)).map(Arg::from).collect();
        let sql = "SELECT id, name, name_key, owner, created_at FROM groups WHERE id IN \
                   (SELECT l.group_id FROM links l WHERE l.source = $1 AND l.kind = 'group' AND l.unique_id IN ({}))";
        let rows = self.db.look_up(sql, &[Arg::from(source)], &ids).await?;
        self.group_states(rows.iter().map(Row::group).collect::<Result<_, _>>()?).await
    }

    /// Groups with their links, each once, by name.
    async fn group_states(&self, groups: Vec<Group>) -> Result<Vec<GroupState>, StoreError> {
        let ids: Vec<Arg> = groups.iter().map(|group| group.id.into()).collect();
        Ok(with_links(groups, self.links_of("group_id", &ids).await?))
    }
}

fn give_memberships(states: &mut [UserState], rows: &[Row]) -> Result<(), StoreError> {
    let mut memberships: HashMap<Uuid, Vec<Membership>> = HashMap::with_capacity(states.len());
    for row in rows {
        memberships.entry(row.get("user_id")?).or_default().push(row.membership()?);
    }
    for state in states {
        state.memberships = memberships.remove(&state.user.id).unwrap_or_default();
        state.memberships.sort_unstable_by(|a, b| (&a.group_key, &a.owner).cmp(&(&b.group_key, &b.owner)));
    }
    Ok(())
}

/// Gives each group its links. Each group once, by name.
pub(crate) fn with_links(mut groups: Vec<Group>, links: Vec<Link>) -> Vec<GroupState> {
    let mut links = by_end(links);
    groups.sort_unstable_by(|a, b| a.name_key.cmp(&b.name_key));
    groups.dedup_by(|a, b| a.id == b.id);
    let state = |group: Group| GroupState { links: links.remove(&group.id).unwrap_or_default(), group };
    groups.into_iter().map(state).collect()
}

fn by_end(links: Vec<Link>) -> HashMap<Uuid, Vec<Link>> {
    let mut ends: HashMap<Uuid, Vec<Link>> = HashMap::with_capacity(links.len());
    for link in links {
        ends.entry(link.entity_id).or_default().push(link);
    }
    for links in ends.values_mut() {
        sort_links(links);
    }
    ends
}

fn sort_links(links: &mut [Link]) {
    links.sort_unstable_by(|a, b| (&a.source, &a.unique_id).cmp(&(&b.source, &b.unique_id)));
}

/// Groups by whatever a request may know of them.
struct FoundGroups {
    named: Vec<Arc<GroupState>>,
    tied: Vec<Arc<GroupState>>,
}

impl FoundGroups {
    fn by(&self, request: &SnapshotRequest) -> Vec<Arc<GroupState>> {
        let named = self.named.iter().filter(|state| request.group_keys.contains(&state.group.name_key));
        let entry = |link: &Link| link.source == request.source && request.group_entries.contains(&link.unique_id);
        let tied = self.tied.iter().filter(|state| state.links.iter().any(entry));
        let groups: BTreeMap<&str, &Arc<GroupState>> =
            named.chain(tied).map(|state| (state.group.name_key.as_str(), state)).collect();
        groups.into_values().cloned().collect()
    }
}

/// Users by whatever a request may know of them.
struct Found<'a> {
    entries: HashMap<&'a str, &'a UserState>,
    usernames: HashMap<&'a str, &'a UserState>,
    emails: HashMap<&'a str, Vec<&'a UserState>>,
}

impl<'a> Found<'a> {
    fn new(source: &str, states: &'a [UserState]) -> Self {
        let entry = |state: &'a UserState| state.link(source).map(|link| (link.unique_id.as_str(), state));
        let mut by_email: HashMap<&str, Vec<&UserState>> = HashMap::new();
        for state in states.iter().filter(|state| !state.user.email_key.is_empty()) {
            by_email.entry(&state.user.email_key).or_default().push(state);
        }
        Self {
            entries: states.iter().filter_map(entry).collect(),
            usernames: states.iter().map(|state| (state.user.username_key.as_str(), state)).collect(),
            emails: by_email,
        }
    }

    fn by(&self, request: &SnapshotRequest) -> Snapshot {
        let same_mail = request.email_key.as_deref().and_then(|key| self.emails.get(key));
        Snapshot {
            linked: self.entries.get(request.unique_id.as_str()).copied().cloned(),
            by_username: self.usernames.get(request.username_key.as_str()).copied().cloned(),
            by_email: same_mail.into_iter().flatten().copied().cloned().collect(),
            groups: Vec::new(),
        }
    }
}

impl Row {
    pub(crate) fn membership(&self) -> Result<Membership, StoreError> {
        Ok(Membership {
            group_id: self.get("group_id")?,
            group_name: self.get("name")?,
            group_key: self.get("name_key")?,
            owner: Owner::from(self.get::<String>("owner")?),
        })
    }

    pub(crate) fn group(&self) -> Result<Group, StoreError> {
        Ok(Group {
            id: self.get("id")?,
            name: self.get("name")?,
            name_key: self.get("name_key")?,
            owner: Owner::from(self.get::<String>("owner")?),
            created_at: self.get("created_at")?,
        })
    }
}
