//! Leave to try a password: taken before anything is compared with it, and settled by how that ended.

use super::admit::Admitted;
use super::attempt::{Rejection, Via, chain};
use super::route::Route;
use super::throttle::{self, Glance, Permit};
use super::{ActiveSource, Engine};
use crate::{Outcome, Reason, name};
use bindery_directory::Person;
use bindery_store::{Limit, ThrottleKind};
use std::net::IpAddr;

/// Leave to try, and what a failure counts for.
#[derive(Default)]
pub(crate) struct Turn(Vec<Permit>);

impl Turn {
    pub(crate) fn counted(&self) -> impl Iterator<Item = &(Limit, usize)> {
        self.0.iter().flat_map(|permit| &permit.counted)
    }
}

impl Engine {
    /// Where a typed name is looked up, once there is leave to try it; the command line needs none.
    pub(crate) async fn route_in_turn(
        &self,
        typed: &str,
        via: Via,
        address: Option<IpAddr>,
        turn: &mut Turn,
    ) -> Result<Route, Rejection> {
        if via == Via::CommandLine {
            return self.route(typed).await;
        }
        let address = address.map(|address| self.address_limit(address));
        let (route, glance) = match self.glance(typed, address.as_ref()).await {
            Ok((route, glance)) => (route, Some(glance)),
            Err(rejection) => (Err(rejection), None),
        };
        // Also where it leads nowhere: that tells nobody whether a name exists.
        let user = self.user_limit(self.throttle_key(typed, &route));
        self.take_turn(turn, address.into_iter().chain([user]).collect(), glance).await?;
        route
    }

    /// Reads who has a name together with the failures that may matter: under which key it counts is known only then,
    /// and a second read would cost as much as the first.
    async fn glance(
        &self,
        typed: &str,
        address: Option<&Limit>,
    ) -> Result<(Result<Route, Rejection>, Glance), Rejection> {
        let sought = self.sought(typed)?;
        let users = self.possible_throttle_keys(&sought).into_iter().map(|key| self.user_limit(key));
        let mut glance = self.0.gate.glance(users.chain(address.cloned()).collect());
        let window = self.settings().throttle.window;
        let held = glance.read(self.store(), &sought.key, window, self.now()).await?;
        Ok((self.route_of(sought, held), glance))
    }

    /// Names that the directory takes for one person are counted as one: under what their first login attribute says.
    pub(crate) async fn fold_spellings(
        &self,
        turn: &mut Turn,
        source: &ActiveSource,
        person: &Person,
    ) -> Result<(), Rejection> {
        let attribute = source.directory.settings().users.login_attributes.first();
        let name = attribute.and_then(|attribute| person.entry.text(attribute)).unwrap_or(&person.unique_id);
        self.count_as(turn, name::key_in_source(&source.slug, name)).await
    }

    /// Counts an attempt for somebody under one more key, unless it is counted there already.
    pub(super) async fn count_as(&self, turn: &mut Turn, own: String) -> Result<(), Rejection> {
        if turn.counted().any(|(limit, _)| limit.kind == ThrottleKind::User && limit.key == own) {
            return Ok(());
        }
        self.take_turn(turn, vec![self.user_limit(own)], None).await
    }

    async fn take_turn(&self, turn: &mut Turn, limits: Vec<Limit>, glance: Option<Glance>) -> Result<(), Rejection> {
        let window = self.settings().throttle.window;
        turn.0.push(self.0.gate.enter(self.store(), limits, window, self.now(), glance).await?);
        Ok(())
    }

    fn user_limit(&self, key: String) -> Limit {
        Limit { kind: ThrottleKind::User, key, limit: self.settings().throttle.per_user }
    }

    fn address_limit(&self, address: IpAddr) -> Limit {
        let key = name::address_key(address);
        Limit { kind: ThrottleKind::Address, key, limit: self.settings().throttle.per_address }
    }

    /// Counts a wrong guess; forgets those of a user who is in. An outage counts for nothing.
    pub(super) async fn settle_turn(&self, judged: &Result<Admitted, Rejection>, turn: &Turn) {
        let right = match judged {
            Ok(_) => true,
            Err(rejection) if counts(rejection) => {
                let keys: Vec<Limit> = turn.counted().map(|(limit, _)| limit.clone()).collect();
                throttle::record(self.store(), &keys, self.settings().throttle.window, self.now()).await;
                false
            }
            Err(rejection) => rejection.password_verified,
        };
        if !right {
            return;
        }
        for (limit, _) in turn.counted().filter(|(limit, failures)| limit.kind == ThrottleKind::User && *failures > 0) {
            if let Err(error) = self.store().clear_failures(limit.kind, &limit.key).await {
                tracing::error!(target: "bindery_core::throttle", error = chain(&error), "failures could not be cleared");
            }
        }
    }
}

/// Whether a refusal says that somebody guessed.
fn counts(rejection: &Rejection) -> bool {
    rejection.outcome == Outcome::Refused
        && !rejection.password_verified
        && !matches!(rejection.reason, Some(Reason::Throttled | Reason::EmptyPassword))
}
