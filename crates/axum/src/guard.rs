//! Guards: who may pass, as layers and as extractors.

use crate::{
    shared::{Asked, Shared},
    visitor::{CurrentUser, NoCurrentUser, Refusal, Standing, Visitor},
};
use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use http::request::Parts;
use std::{
    borrow::Cow,
    future::Future,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// What somebody who is signed in must have besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Nothing more.
    SignedIn,
    /// The flag is set.
    Flag(Cow<'static, str>),
    /// They are in the local group of this name, compared folded.
    Group(Cow<'static, str>),
    /// They have this permission, or are a superuser.
    Permission(Cow<'static, str>),
    /// At least one of these.
    Any(Cow<'static, [Rule]>),
}

impl Rule {
    /// Whether somebody passes.
    pub fn allows(&self, user: &CurrentUser) -> bool {
        match self {
            Self::SignedIn => true,
            Self::Flag(flag) => user.flag(flag),
            Self::Group(group) => user.in_group(group),
            Self::Permission(permission) => user.may(permission),
            Self::Any(rules) => rules.iter().any(|rule| rule.allows(user)),
        }
    }

    fn judge(&self, standing: &Standing) -> Result<CurrentUser, Refusal> {
        match standing {
            Standing::SignedIn(user) if self.allows(user) => Ok(user.clone()),
            Standing::SignedIn(user) => Err(Refusal::Forbidden(user.clone())),
            Standing::SignedOut => Err(Refusal::SignedOut),
            Standing::Unavailable(why) => Err(Refusal::Unavailable(why.clone())),
        }
    }
}

/// A layer that lets through whom its [`Rule`] allows. Made by [`crate::Bindery::require`] and its kin.
///
/// Somebody signed out goes to the sign-in page and comes back afterwards, or gets a 401 problem document where
/// no browser is looking; somebody who lacks something gets 403; while nobody can tell it is 503.
#[derive(Clone)]
pub struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) rule: Arc<Rule>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Guard").field(&self.rule).finish()
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// The service of a [`Guard`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Guard { shared, rule } = self.guard.clone();
        // The service that was polled ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            // A guard works without the layer, too.
            let visitor = parts.extensions.get_or_insert_with(|| Visitor::new(shared.clone())).clone();
            if let Err(refusal) = rule.judge(visitor.standing(&parts.headers).await) {
                let asked = Asked::of(&parts, &shared);
                return Ok(refusal.answer(&shared, &asked, &parts).await);
            }
            inner.call(Request::from_parts(parts, body)).await
        })
    }
}

/// Names a [`Rule`] for [`Require`].
///
/// ```
/// use bindery_axum::{Requirement, Require, Rule};
/// use std::borrow::Cow;
///
/// struct Editor;
/// impl Requirement for Editor {
///     const RULE: Rule = Rule::Permission(Cow::Borrowed("press.edit_page"));
/// }
///
/// async fn edit(user: Require<Editor>) -> String {
///     format!("{} may edit", user.username)
/// }
/// ```
pub trait Requirement: Send + Sync + 'static {
    /// What they need.
    const RULE: Rule;
}

/// An extractor that lets through whom `R` allows, and is a [`CurrentUser`].
#[derive(Debug)]
pub struct Require<R>(pub CurrentUser, PhantomData<fn() -> R>);

impl<R> Deref for Require<R> {
    type Target = CurrentUser;

    fn deref(&self) -> &CurrentUser {
        &self.0
    }
}

impl<S: Sync, R: Requirement> FromRequestParts<S> for Require<R> {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoCurrentUser> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        match R::RULE.judge(visitor.standing(&parts.headers).await) {
            Ok(user) => Ok(Self(user, PhantomData)),
            Err(refusal) => Err(NoCurrentUser::new(&visitor, parts, refusal).await),
        }
    }
}
