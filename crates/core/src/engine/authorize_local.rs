//! Local people whose name a directory knows too: their directory groups give permissions, no membership is written.

use super::attempt::chain;
use super::{ActiveSource, Engine};
use bindery_directory::{Found, Reader};
use bindery_store::{Change, Field, Plan, UserState};
use std::collections::BTreeSet;

impl Engine {
    /// Writes down what the directory groups of a local person's namesake are. A directory that cannot answer gives and
    /// takes nothing.
    pub(crate) async fn authorize_local(&self, state: &UserState, plan: &mut Plan) {
        if let Ok(live) = self.groups_of_namesake(&state.user.username).await
            && state.user.live_groups != live
        {
            plan.changes.push(Change::UpdateUser { user: state.user.id, fields: vec![Field::LiveGroups(live)] });
        }
    }

    /// The folded names of the directory groups of whoever has a local person's name, in the first source that knows it;
    /// none where `authorize_local_users` is off: what was given while it was on goes with it. An error is no answer.
    pub(crate) async fn groups_of_namesake(&self, username: &str) -> Result<BTreeSet<String>, String> {
        if !self.settings().authorize_local_users {
            return Ok(BTreeSet::new());
        }
        let names = [username.to_owned()];
        for source in self.sources().iter().filter(|source| !source.is_as_user()) {
            match self.live_groups(source, &names).await {
                Ok(None) => {}
                Ok(Some(live)) => return Ok(live),
                Err(detail) => {
                    tracing::warn!(target: "bindery_core::sign_in", source = source.slug, detail, "permissions were not read");
                    return Err(detail);
                }
            }
        }
        Ok(BTreeSet::new())
    }

    /// The folded names of the directory groups of whoever has the name; `None` where nobody has.
    async fn live_groups(&self, source: &ActiveSource, names: &[String]) -> Result<Option<BTreeSet<String>>, String> {
        for name in names {
            match source.directory.find(name, &source.wanted).await {
                Ok(Found::One(person)) => {
                    let memberships = source.directory.memberships(&Reader::service(), &person, &[]).await;
                    if let Some(why) = memberships.incomplete {
                        return Err(why);
                    }
                    let names = memberships.groups.iter().flat_map(|group| &group.names);
                    return Ok(Some(names.map(|name| crate::reconcile::group_key(name)).collect()));
                }
                Ok(Found::Nobody) => {}
                Ok(Found::Several(_)) => return Err("several entries have that name".to_owned()),
                Err(error) => return Err(chain(&error)),
            }
        }
        Ok(None)
    }
}
