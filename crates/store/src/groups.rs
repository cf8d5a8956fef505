//! Reading groups and permissions.

use uuid::Uuid;

use crate::db::{Arg, Row, args};
use crate::snapshot::{link_columns, with_links};
use crate::users::user_columns;
use crate::{Group, GroupState, Membership, Owner, Store, StoreError, User, guard};

impl Store {
    /// Every group, by name.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let sql = "SELECT id, name, name_key, owner, created_at FROM groups ORDER BY name_key";
        self.db.many_rows(sql, args![]).await?.iter().map(Row::group).collect()
    }

    /// Every group with its links, by name.
    pub async fn all_groups(&self) -> Result<Vec<GroupState>, StoreError> {
        let sql = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.group_id IS NOT NULL");
        let links = self.db.many_rows(sql, args![]).await?.iter().map(Row::link).collect::<Result<_, _>>()?;
        Ok(with_links(self.groups().await?, links))
    }

    /// The group with this folded name.
    pub async fn group_by_name(&self, name_key: &str) -> Result<Option<GroupState>, StoreError> {
        Ok(self.groups_by_key(&[name_key.to_owned()]).await?.into_iter().next())
    }

    /// Users directly in a group, each with the owner of the membership, by username.
    pub async fn members(&self, group: Uuid) -> Result<Vec<(User, Owner)>, StoreError> {
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            ", m.owner FROM memberships m JOIN users ON users.id = m.user_id WHERE m.group_id = $1 \
             ORDER BY users.username_key, m.owner"
        );
        let member = |row: &Row| Ok((row.user()?, Owner::from(row.get::<String>("owner")?)));
        self.db.many_rows(sql, args![group]).await?.iter().map(member).collect()
    }

    /// Groups directly in a group, by name.
    pub async fn subgroups_of(&self, group: Uuid) -> Result<Vec<Group>, StoreError> {
        let sql = "SELECT DISTINCT g.id, g.name, g.name_key, g.owner, g.created_at \
                   FROM group_memberships m JOIN groups g ON g.id = m.child_id WHERE m.parent_id = $1 \
                   ORDER BY g.name_key";
        self.db.rows(sql, args![group]).await?.iter().map(Row::group).collect()
    }

    /// Groups that a user is directly in, one row for each owner, by name.
    pub async fn memberships(&self, user: Uuid) -> Result<Vec<Membership>, StoreError> {
        let sql = "SELECT m.owner, g.id AS group_id, g.name, g.name_key \
                   FROM memberships m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1 \
                   ORDER BY g.name_key, m.owner";
        self.db.rows(sql, args![user]).await?.iter().map(Row::membership).collect()
    }

    /// Permissions given to a group itself, in order.
    pub async fn permissions_of_group(&self, group: Uuid) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT permission FROM group_permissions WHERE group_id = $1 ORDER BY permission";
        self.db.rows(sql, args![group]).await?.iter().map(|row| row.get("permission")).collect()
    }

    /// Everything a user may do through their groups and the groups those are in, in order.
    pub async fn permissions_of_user(&self, user: Uuid) -> Result<Vec<String>, StoreError> {
        // UNION drops what is there already, so that groups nested in a circle come to an end.
        let sql = "WITH RECURSIVE mine (id) AS ( \
                       SELECT group_id FROM memberships WHERE user_id = $1 \
                       UNION SELECT m.parent_id FROM group_memberships m JOIN mine ON m.child_id = mine.id \
                   ) SELECT DISTINCT p.permission FROM group_permissions p JOIN mine ON p.group_id = mine.id \
                   ORDER BY p.permission";
        self.db.rows(sql, args![user]).await?.iter().map(|row| row.get("permission")).collect()
    }

    /// Everything that local groups with these folded names may do, and the groups those are in: for people whose
    /// memberships are read live from the directory and written nowhere.
    pub async fn permissions_of_groups(&self, name_keys: &[String]) -> Result<Vec<String>, StoreError> {
        let keys: Vec<Arg> = name_keys.iter().filter(|key| guard::findable(key)).map(Arg::from).collect();
        let mut permissions = std::collections::BTreeSet::new();
        let sql = "WITH RECURSIVE named (id) AS ( \
                       SELECT id FROM groups WHERE name_key IN ({}) \
                       UNION SELECT m.parent_id FROM group_memberships m JOIN named ON m.child_id = named.id \
                   ) SELECT DISTINCT p.permission FROM group_permissions p JOIN named ON p.group_id = named.id";
        for row in self.db.look_up(sql, &[], &keys).await? {
            permissions.insert(row.get("permission")?);
        }
        Ok(permissions.into_iter().collect())
    }
}
