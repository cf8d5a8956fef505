//! What the admin pages ask of the engine, as one trait: who there is, and what is to be done to somebody.
//!
//! [`Engine`] is the one implementation that ships. Whether somebody may act is its decision, not that of the pages.

use crate::authority::BoxFuture;
use bindery_core::{
    Engine,
    engine::{Actor, Administered, Deed, People, PeopleQuery, PersonView},
};
use uuid::Uuid;

/// Knows everybody.
pub trait Administration: Send + Sync + 'static {
    /// A page of people.
    fn people(&self, query: PeopleQuery) -> BoxFuture<'_, Result<People, Unanswered>>;
    /// Somebody, or nothing where there is no such user.
    fn person(&self, id: Uuid) -> BoxFuture<'_, Result<Option<PersonView>, Unanswered>>;
    /// Does something to somebody's account, if the actor may.
    fn administer(&self, deed: Deed, whom: Uuid, actor: Actor) -> BoxFuture<'_, Administered>;
}

/// The store could not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store could not answer")]
pub struct Unanswered(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl Administration for Engine {
    fn people(&self, query: PeopleQuery) -> BoxFuture<'_, Result<People, Unanswered>> {
        Box::pin(async move { self.people(&query).await.map_err(|error| Unanswered(error.into())) })
    }

    fn person(&self, id: Uuid) -> BoxFuture<'_, Result<Option<PersonView>, Unanswered>> {
        Box::pin(async move { self.person(id).await.map_err(|error| Unanswered(error.into())) })
    }

    fn administer(&self, deed: Deed, whom: Uuid, actor: Actor) -> BoxFuture<'_, Administered> {
        Box::pin(self.administer(deed, whom, actor))
    }
}
