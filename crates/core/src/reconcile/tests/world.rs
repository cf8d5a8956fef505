//! A store in memory that does what plans say, and is as strict as the real one about what must not happen.

use super::*;
use bindery_store::{Field, Group};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct World {
    pub(super) users: Vec<UserState>,
    pub(super) groups: Vec<GroupState>,
    pub(super) subgroups: Vec<(Uuid, Uuid)>,
    last_id: u128,
}

fn sort(memberships: &mut [Membership]) {
    memberships.sort_by(|a, b| (&a.group_key, a.owner.as_str()).cmp(&(&b.group_key, b.owner.as_str())));
}

impl World {
    pub(super) fn plan(&mut self, terms: Terms<'_>, decision: &Decision) -> Result<Reconciled, Refused> {
        self.plan_as(terms, &ann(&[]), decision)
    }

    pub(super) fn plan_as(
        &mut self,
        terms: Terms<'_>,
        person: &Person,
        decision: &Decision,
    ) -> Result<Reconciled, Refused> {
        let snapshot = self.snapshot(&request(terms, person, decision));
        let mut last = self.last_id;
        let mut ids = || {
            last += 1;
            Uuid::from_u128(last)
        };
        let done = reconcile(terms, person, decision, &snapshot, now(), &mut ids);
        self.last_id = last;
        done
    }

    pub(super) fn run(&mut self, terms: Terms<'_>, decision: &Decision) -> Result<Reconciled, Refused> {
        self.run_as(terms, &ann(&[]), decision)
    }

    pub(super) fn run_as(
        &mut self,
        terms: Terms<'_>,
        person: &Person,
        decision: &Decision,
    ) -> Result<Reconciled, Refused> {
        let done = self.plan_as(terms, person, decision)?;
        self.apply(&done.plan);
        Ok(done)
    }

    fn snapshot(&self, request: &SnapshotRequest) -> Snapshot {
        let linked = |state: &&UserState| state.link(&request.source).is_some_and(|l| l.unique_id == request.unique_id);
        let entry = |link: &Link| link.source == request.source && request.group_entries.contains(&link.unique_id);
        let group =
            |state: &&GroupState| request.group_keys.contains(&state.group.name_key) || state.links.iter().any(entry);
        Snapshot {
            linked: self.users.iter().find(linked).cloned(),
            by_username: self.users.iter().find(|state| state.user.username_key == request.username_key).cloned(),
            by_email: self
                .users
                .iter()
                .filter(|state| request.email_key.as_ref() == Some(&state.user.email_key))
                .cloned()
                .collect(),
            groups: self.groups.iter().filter(group).cloned().map(Arc::new).collect(),
        }
    }

    pub(super) fn user(&self, name: &str) -> &UserState {
        self.users.iter().find(|state| state.user.username_key == username_key(name)).unwrap()
    }

    pub(super) fn group(&self, key: &str) -> &GroupState {
        self.groups.iter().find(|state| state.group.name_key == key).unwrap()
    }

    pub(super) fn edit(&mut self, name: &str, change: impl FnOnce(&mut User)) {
        let state = self.users.iter_mut().find(|state| state.user.username_key == username_key(name)).unwrap();
        change(&mut state.user);
    }

    pub(super) fn mail(&mut self, name: &str, address: &str) {
        self.edit(name, |user| (user.email, user.email_key) = (address.to_owned(), email_key(address)));
    }

    fn id(&mut self) -> Uuid {
        self.last_id += 1;
        Uuid::from_u128(self.last_id)
    }

    /// A local account, made by hand.
    pub(super) fn local(&mut self, name: &str) -> Uuid {
        let id = self.id();
        let user = NewUser { id, username: name.into(), username_key: username_key(name), ..NewUser::default() };
        self.apply(&Plan::from(vec![Change::CreateUser(user)]));
        id
    }

    pub(super) fn make_group(&mut self, name: &str, owner: Owner) -> Uuid {
        let id = self.id();
        let group = bindery_store::NewGroup { id, name: name.into(), name_key: group_key(name), owner };
        self.apply(&Plan::from(vec![Change::CreateGroup(group)]));
        id
    }

    pub(super) fn member(&mut self, name: &str, group: &str, owner: Owner) {
        if !self.groups.iter().any(|state| state.group.name_key == group_key(group)) {
            self.make_group(group, Owner::Hand);
        }
        let user = self.user(name).user.id;
        self.apply(&Plan::from(vec![Change::AddMembership { user, group: GroupRef::Key(group_key(group)), owner }]));
    }

    fn state(&mut self, id: Uuid) -> &mut UserState {
        self.users.iter_mut().find(|state| state.user.id == id).unwrap()
    }

    fn find_group(&self, group: &GroupRef) -> Group {
        let is = |state: &&GroupState| match group {
            GroupRef::Id(id) => state.group.id == *id,
            GroupRef::Key(key) => state.group.name_key == *key,
        };
        self.groups.iter().find(is).unwrap().group.clone()
    }

    pub(super) fn apply(&mut self, plan: &Plan) {
        for expected in &plan.expected {
            assert_eq!(self.state(expected.user).user.version, expected.version);
        }
        for change in &plan.changes {
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change) {
        match change.clone() {
            Change::CreateUser(new) => self.create(new),
            Change::UpdateUser { user, fields } => fields.into_iter().for_each(|field| self.field(user, field)),
            Change::SetFlags { user, flags } => self.state(user).user.flags.extend(flags),
            Change::SetDeactivatedBy { user, by } => self.state(user).user.deactivated_by = by,
            Change::CreateGroup(new) => {
                assert!(!self.groups.iter().any(|state| state.group.name_key == new.name_key), "taken: {}", new.name);
                let bindery_store::NewGroup { id, name, name_key, owner } = new;
                let group = Group { id, name, name_key, owner, created_at: now() };
                self.groups.push(GroupState { group, links: Vec::new() });
            }
            Change::RenameGroup { group, name, name_key } => {
                assert!(!self.groups.iter().any(|state| state.group.name_key == name_key), "taken: {name}");
                let id = self.find_group(&group).id;
                for state in &mut self.users {
                    for membership in state.memberships.iter_mut().filter(|membership| membership.group_id == id) {
                        (membership.group_name, membership.group_key) = (name.clone(), name_key.clone());
                    }
                    sort(&mut state.memberships);
                }
                let state = self.groups.iter_mut().find(|state| state.group.id == id).unwrap();
                (state.group.name, state.group.name_key) = (name, name_key);
            }
            Change::Link(link) => self.link(link),
            Change::UpdateLink(link) => {
                let links = match link.kind {
                    EntityKind::User => &mut self.state(link.entity_id).links,
                    EntityKind::Group => {
                        &mut self.groups.iter_mut().find(|state| state.group.id == link.entity_id).unwrap().links
                    }
                };
                let key = (link.source.clone(), link.unique_id.clone());
                let same = |stored: &&mut Link| (&stored.source, &stored.unique_id) == (&key.0, &key.1);
                *links.iter_mut().find(same).unwrap() = link;
            }
            Change::AddMembership { user, group, owner } => {
                let Group { id, name, name_key, .. } = self.find_group(&group);
                let new = Membership { group_id: id, group_name: name, group_key: name_key, owner };
                let memberships = &mut self.state(user).memberships;
                assert!(!memberships.contains(&new), "twice: {new:?}");
                memberships.push(new);
                sort(memberships);
            }
            Change::RemoveMembership { user, group, owner } => {
                let id = self.find_group(&group).id;
                self.state(user).memberships.retain(|stored| stored.group_id != id || stored.owner != owner);
            }
            Change::AddSubgroup { child, parent, .. } => {
                let ids = (self.find_group(&child).id, self.find_group(&parent).id);
                assert_ne!(ids.0, ids.1);
                self.subgroups.retain(|stored| *stored != ids);
                self.subgroups.push(ids);
            }
            Change::RemoveSubgroup { child, parent, .. } => {
                let ids = (self.find_group(&child).id, self.find_group(&parent).id);
                self.subgroups.retain(|stored| *stored != ids);
            }
            Change::Unlink { entity, source } => self.state(entity).links.retain(|link| link.source != source),
            Change::EndSessions { .. } | Change::DropVerifiers { .. } => {}
            other => panic!("reconcile has no business with {other:?}"),
        }
        if let Change::UpdateUser { user, .. } | Change::SetFlags { user, .. } = change {
            self.state(*user).user.version += 1;
        }
    }

    fn create(&mut self, new: NewUser) {
        assert!(!self.users.iter().any(|state| state.user.username_key == new.username_key), "taken: {}", new.username);
        let user = User {
            id: new.id,
            version: 1,
            username: new.username,
            username_key: new.username_key,
            first_name: new.first_name,
            last_name: new.last_name,
            email: new.email,
            email_key: new.email_key,
            display_name: new.display_name,
            path: new.path,
            profile: new.profile,
            flags: new.flags,
            live_groups: new.live_groups,
            password_hash: new.password_hash,
            deactivated_by: None,
            created_at: now(),
            updated_at: now(),
            last_sign_in: None,
        };
        self.users.push(UserState { user, links: Vec::new(), memberships: Vec::new() });
    }

    fn field(&mut self, id: Uuid, field: Field) {
        if let Field::Username { key, .. } = &field {
            let taken = self.users.iter().any(|state| state.user.username_key == *key && state.user.id != id);
            assert!(!taken, "taken: {key}");
        }
        let user = &mut self.state(id).user;
        match field {
            Field::Username { name, key } => (user.username, user.username_key) = (name, key),
            Field::FirstName(text) => user.first_name = text,
            Field::LastName(text) => user.last_name = text,
            Field::Email { address, key } => (user.email, user.email_key) = (address, key),
            Field::DisplayName(text) => user.display_name = text,
            Field::Path(text) => user.path = text,
            Field::LiveGroups(keys) => user.live_groups = keys,
            Field::Profile { name, value: Some(value) } => drop(user.profile.insert(name, value)),
            Field::Profile { name, value: None } => drop(user.profile.remove(&name)),
        }
    }

    fn link(&mut self, link: Link) {
        let users = self.users.iter().flat_map(|state| &state.links);
        let all = users.chain(self.groups.iter().flat_map(|state| &state.links));
        let twice = all
            .clone()
            .any(|old| (&old.source, &old.unique_id, old.kind) == (&link.source, &link.unique_id, link.kind));
        assert!(!twice, "linked already: {link:?}");
        match link.kind {
            EntityKind::User => {
                assert!(self.state(link.entity_id).link(&link.source).is_none(), "a second link: {link:?}");
                self.state(link.entity_id).links.push(link);
            }
            EntityKind::Group => {
                let group = self.groups.iter_mut().find(|state| state.group.id == link.entity_id).unwrap();
                group.links.push(link);
            }
        }
    }
}
