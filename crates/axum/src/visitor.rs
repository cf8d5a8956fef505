//! Who a request is from: looked up at most once, and only when somebody asks.

use crate::{
    cookie,
    problem::Problem,
    shared::{Asked, Shared, configured_page},
};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use bindery_core::{
    engine::{Current, SessionState, UserView},
    token::Token,
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// Whose request this is.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Somebody with a session that holds now.
    SignedIn(CurrentUser),
    /// Nobody: no session, one that is over, or a cookie that is not as we make them.
    SignedOut,
    /// Nobody can tell now. Neither a yes nor a no.
    Unavailable(Arc<Unavailable>),
}

impl Standing {
    /// Who is signed in, as far as anybody can tell.
    pub fn user(&self) -> Option<&UserView> {
        match self {
            Self::SignedIn(user) => Some(user),
            Self::SignedOut | Self::Unavailable(_) => None,
        }
    }
}

/// Nobody can tell whose request it is, and what is to be answered.
#[derive(Debug)]
pub struct Unavailable {
    status: StatusCode,
    page: Option<PathBuf>,
}

/// A request's visitor. [`crate::BinderyLayer`] puts one into every request.
#[derive(Clone)]
pub struct Visitor(Arc<Lookup>);

struct Lookup {
    shared: Arc<Shared>,
    found: OnceCell<Standing>,
    /// A new token for the browser, until it is handed over.
    renewed: Mutex<Option<Token>>,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Visitor").field(&self.0.found.get()).finish()
    }
}

impl Visitor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Lookup { shared, found: OnceCell::new(), renewed: Mutex::default() }))
    }

    /// Looks the session up, the first time; later calls give the same answer.
    pub async fn standing(&self, headers: &HeaderMap) -> &Standing {
        let found = self.0.found.get_or_init(|| look_up(&self.0, headers));
        found.await
    }

    /// Puts the new token of a session into an answer, once, unless the answer says something about the session itself.
    pub(crate) fn hand_over(&self, headers: &mut HeaderMap) {
        let Some(token) = self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let settings = self.0.shared.settings.load();
        let own = |value: &HeaderValue| {
            let rest = value.as_bytes().strip_prefix(settings.session_cookie().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"="))
        };
        if headers.get_all(header::SET_COOKIE).iter().any(own) {
            return;
        }
        if let Some(cookie) = cookie::set_session(&settings, &token, true) {
            headers.append(header::SET_COOKIE, cookie);
            // Whatever the answer was, this one is for one browser.
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

async fn look_up(lookup: &Lookup, headers: &HeaderMap) -> Standing {
    let shared = &lookup.shared;
    let token = cookie::session_token(headers, &shared.settings.load());
    let Some(token) = token else {
        return Standing::SignedOut;
    };
    match shared.authority.session(&token).await {
        SessionState::Active(current) => Standing::SignedIn(CurrentUser(current)),
        SessionState::Renewed(current, token) => {
            *lookup.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
            Standing::SignedIn(CurrentUser(current))
        }
        SessionState::Ended(_) => Standing::SignedOut,
        SessionState::Unavailable { status, page, detail } => {
            tracing::warn!(detail, "a session could not be looked up");
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Standing::Unavailable(Arc::new(Unavailable { status, page }))
        }
    }
}

/// Somebody who is signed in. As an extractor it refuses everybody else: 401, or 503 while nobody can tell.
/// As `Option<CurrentUser>` it is `None` for somebody signed out, and still 503 while nobody can tell.
#[derive(Debug, Clone)]
pub struct CurrentUser(pub(crate) Arc<Current>);

impl CurrentUser {
    /// Everything about them as JSON, as `GET /api/v1/me` answers. Made once per change, not per call.
    pub fn json(&self) -> axum::body::Bytes {
        self.0.json.clone()
    }
}

impl Deref for CurrentUser {
    type Target = UserView;

    fn deref(&self) -> &UserView {
        &self.0.user
    }
}

/// A [`CurrentUser`] was asked for and can't be had.
#[derive(Debug)]
pub struct NoCurrentUser(Response);

impl IntoResponse for NoCurrentUser {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoCurrentUser> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("no visitor in the request: add `.layer(bindery.layer())` to the router");
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "This route is not set up for sign-in.");
            NoCurrentUser(problem.into_response())
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Standing {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoCurrentUser> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        Ok(visitor.standing(&parts.headers).await.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoCurrentUser> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        match visitor.standing(&parts.headers).await {
            Standing::SignedIn(user) => Ok(user.clone()),
            Standing::SignedOut => Err(NoCurrentUser::new(&visitor, parts, Refusal::SignedOut).await),
            Standing::Unavailable(why) => {
                Err(NoCurrentUser::new(&visitor, parts, Refusal::Unavailable(why.clone())).await)
            }
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CurrentUser {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, NoCurrentUser> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        match visitor.standing(&parts.headers).await {
            Standing::SignedIn(user) => Ok(Some(user.clone())),
            Standing::SignedOut => Ok(None),
            Standing::Unavailable(why) => {
                Err(NoCurrentUser::new(&visitor, parts, Refusal::Unavailable(why.clone())).await)
            }
        }
    }
}

impl NoCurrentUser {
    pub(crate) async fn new(visitor: &Visitor, parts: &Parts, refusal: Refusal) -> Self {
        let asked = Asked::of(parts, visitor.shared());
        Self(refusal.answer(visitor.shared(), &asked, parts).await)
    }
}

impl Unavailable {
    /// The status and page that were configured for it, or our own.
    pub(crate) async fn answer(&self, shared: &Shared, asked: &Asked) -> Response {
        let sentence = crate::sentences::session_unavailable();
        let Some(path) = self.page.as_ref().filter(|_| asked.wants_page()) else {
            return asked.error(shared, None, self.status, sentence);
        };
        match tokio::fs::read(path).await {
            Ok(html) => configured_page(self.status, html),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the configured page could not be read");
                asked.error(shared, None, self.status, sentence)
            }
        }
    }
}

/// Why somebody may not pass.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody is signed in.
    SignedOut,
    /// Nobody can tell.
    Unavailable(Arc<Unavailable>),
    /// They are signed in, and that isn't enough.
    Forbidden(CurrentUser),
}

impl Refusal {
    /// A browser that wanted to see a page goes to the sign-in page, and back afterwards.
    pub(crate) async fn answer(self, shared: &Shared, asked: &Asked, parts: &Parts) -> Response {
        match self {
            Self::SignedOut if asked.wants_page() && !crate::csrf::is_unsafe(&parts.method) => {
                crate::routes::login::redirect(shared, parts)
            }
            Self::SignedOut if asked.wants_page() => {
                asked.error(shared, None, StatusCode::UNAUTHORIZED, crate::sentences::signed_out())
            }
            Self::SignedOut => Problem::signed_out().into_response(),
            Self::Unavailable(why) => why.answer(shared, asked).await,
            Self::Forbidden(user) => {
                asked.error(shared, Some(&user), StatusCode::FORBIDDEN, crate::sentences::forbidden())
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = NoCurrentUser;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoCurrentUser> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        Ok(Self::of(parts, visitor.shared()))
    }
}
