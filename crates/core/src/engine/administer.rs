//! What people do to somebody's account by hand: one path for the pages and the command line.
//!
//! Whether somebody may is read from the store for each deed, and once more where they were changed before it was carried out;
//! what a session remembers does not count. Who did what is in the audit, in the transaction that did it.

use super::{Engine, UserView, Via, chain};
use bindery_store::{Change, Expected, NewAudit, Plan, StoreError, UserState};
use std::net::IpAddr;
use uuid::Uuid;

/// The permission to look at people.
pub const VIEW_USER: &str = "bindery.view_user";
/// The permission to do something to them.
pub const CHANGE_USER: &str = "bindery.change_user";

/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 8;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Lets them in again. Whatever a source had decided before no longer counts.
    Activate,
    /// Shuts them out and ends their sessions. No source lets them in again.
    Deactivate,
    /// Ends their sessions.
    EndSessions,
}

impl Deed {
    /// The event in the audit.
    pub fn event(self) -> &'static str {
        match self {
            Self::Activate => "user_activated",
            Self::Deactivate => "user_deactivated",
            Self::EndSessions => "sessions_ended",
        }
    }

    fn plan(self, whom: Uuid) -> Plan {
        match self {
            Self::Activate => Plan::activate(whom),
            Self::Deactivate => Plan::deactivate(whom),
            Self::EndSessions => Plan::from(vec![Change::EndSessions { user: whom, except: None }]),
        }
    }
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever may run commands may do everything.
    CommandLine,
    /// Somebody who is signed in.
    Person {
        /// Who.
        id: Uuid,
        /// Where they are.
        address: Option<IpAddr>,
    },
}

/// How it ended. Unless it is done, nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Administered {
    /// It is done.
    Done,
    /// There is no such user.
    NoSuchUser,
    /// They may not do anything to anybody, or no longer.
    Forbidden,
    /// Nobody shuts themselves out.
    Yourself,
    /// Only a superuser does anything to a superuser: who may change users could else lock out those who gave them that.
    Superuser,
    /// The store could not answer.
    Unavailable(String),
}

/// Somebody who may act.
struct Acting {
    user: UserView,
    expected: Expected,
}

impl Engine {
    /// Does something to somebody's account, if the actor may.
    pub async fn administer(&self, deed: Deed, whom: Uuid, actor: Actor) -> Administered {
        for _ in 0..TRIES {
            match self.try_to_administer(deed, whom, actor).await {
                Ok(ended) => {
                    tracing::info!(target: "bindery_core::administer", event = deed.event(), %whom, ?actor, ?ended);
                    return ended;
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Administered::Unavailable(chain(&error)),
            }
        }
        Administered::Unavailable("the user kept changing while they were being written; try again".to_owned())
    }

    async fn try_to_administer(&self, deed: Deed, whom: Uuid, actor: Actor) -> Result<Administered, StoreError> {
        let acting = match actor {
            Actor::CommandLine => None,
            Actor::Person { id, .. } => match self.acting(id).await? {
                Some(acting) => Some(acting),
                None => return Ok(Administered::Forbidden),
            },
        };
        let Some(state) = self.store().user_state(whom).await? else { return Ok(Administered::NoSuchUser) };
        if let Some(Acting { user, .. }) = &acting {
            if user.id == whom && deed == Deed::Deactivate {
                return Ok(Administered::Yourself);
            }
            if state.user.is_superuser() && !user.flag("is_superuser") {
                return Ok(Administered::Superuser);
            }
        }
        let mut plan = deed.plan(whom);
        plan.expected.push(state.expected());
        plan.expected.extend(acting.as_ref().map(|acting| acting.expected));
        plan.changes.push(Change::Record(self.line(deed, &state, actor, acting.as_ref())));
        self.store().apply(&plan, self.now()).await?;
        self.forget_user(whom);
        Ok(Administered::Done)
    }

    /// Somebody who may act, as they are in the store now.
    async fn acting(&self, id: Uuid) -> Result<Option<Acting>, StoreError> {
        let Some(state) = self.store().user_state(id).await? else { return Ok(None) };
        let expected = state.expected();
        let user = self.view_with(state.user, &state.links, state.memberships).await?;
        let may = user.flag("is_active") && user.may(CHANGE_USER);
        Ok(may.then_some(Acting { user, expected }))
    }

    fn line(&self, deed: Deed, whom: &UserState, actor: Actor, acting: Option<&Acting>) -> NewAudit {
        let (via, address) = match actor {
            Actor::CommandLine => (Via::CommandLine, None),
            Actor::Person { address, .. } => (Via::Http, address),
        };
        let mut detail = serde_json::Map::new();
        if let Some(Acting { user, .. }) = acting {
            detail.insert("by".to_owned(), user.username.clone().into());
            detail.insert("by_id".to_owned(), user.id.to_string().into());
        }
        NewAudit {
            id: self.new_id(),
            event: deed.event().to_owned(),
            outcome: "done".to_owned(),
            username: whom.user.username.clone(),
            user_id: Some(whom.user.id),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            via: via.as_str().to_owned(),
            detail,
            ..NewAudit::default()
        }
    }
}
