//! `/admin/…`: who there is, where what is known of them comes from, and who may sign in.
//!
//! Looking needs the permission `bindery.view_user`, acting `bindery.change_user`, which the engine reads anew for each deed.

use super::{see_other, unknown};
use crate::{
    administration::{Administration, Unanswered},
    guard::{Require, Requirement, Rule},
    pages::{PersonPage, UsersPage},
    posted,
    sentences::{self, Sentence},
    shared::{Asked, Shared},
};
use axum::{
    Router,
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::Response,
    routing::{MethodRouter, get, post},
};
use bindery_core::{
    engine::{Actor, Administered, CHANGE_USER, Deed, PeopleQuery, UserView, VIEW_USER},
    outcome::chain,
};
use http::StatusCode;
use serde::Deserialize;
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

/// People on a page.
const PAGE: u32 = 50;

/// Where people are listed.
pub(crate) const USERS: &str = "/admin/users";

/// What these routes share.
#[derive(Clone)]
pub(super) struct Admin {
    shared: Arc<Shared>,
    administration: Arc<dyn Administration>,
}

pub(super) struct MayLook;

impl Requirement for MayLook {
    const RULE: Rule = Rule::Permission(Cow::Borrowed(VIEW_USER));
}

pub(super) struct MayAct;

impl Requirement for MayAct {
    const RULE: Rule = Rule::Permission(Cow::Borrowed(CHANGE_USER));
}

/// The routes.
pub(super) fn router<S>(shared: &Arc<Shared>, administration: &Arc<dyn Administration>) -> Router<S> {
    Router::new()
        .route("/admin", get(enter))
        .route("/admin/users", get(list))
        .route("/admin/users/{id}", get(show))
        .route("/admin/users/{id}/activate", doing(Deed::Activate))
        .route("/admin/users/{id}/deactivate", doing(Deed::Deactivate))
        .route("/admin/users/{id}/end-sessions", doing(Deed::EndSessions))
        .with_state(Admin { shared: shared.clone(), administration: administration.clone() })
}

async fn enter(State(admin): State<Admin>) -> Response {
    see_other(&admin.shared.path(USERS))
}

/// What a list is asked for with.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

/// Everybody, or those whose name or mail address begins so.
async fn list(
    State(admin): State<Admin>,
    user: Require<MayLook>,
    asked: Asked,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Query(Wanted { q, after }) = wanted.unwrap_or_default();
    let query = PeopleQuery { search: q.clone(), after: after.clone(), limit: PAGE };
    let users = admin.shared.path(USERS);
    match admin.administration.people(query).await {
        Ok(people) => {
            let page = UsersPage::of(&q, !after.is_empty(), people, &users);
            asked.page(&admin.shared, Some(&user), StatusCode::OK, &page)
        }
        Err(error) => unanswered(&admin.shared, &asked, &user, &error),
    }
}

/// What a person's page is asked for with.
#[derive(Debug, Default, Deserialize)]
struct Shown {
    /// What was just done.
    done: Option<String>,
}

/// Somebody, with where everything comes from.
async fn show(
    State(admin): State<Admin>,
    user: Require<MayLook>,
    asked: Asked,
    id: Result<Path<String>, PathRejection>,
    shown: Result<Query<Shown>, QueryRejection>,
) -> Response {
    let Some(id) = read(id) else { return unknown::answer(&admin.shared, &asked, Some(&user)) };
    match admin.administration.person(id).await {
        Ok(Some(person)) => {
            let done = shown.ok().and_then(|Query(shown)| deed(&shown.done?));
            let users = admin.shared.path(USERS);
            let page = PersonPage::of(&person, &user, done, &users);
            asked.page(&admin.shared, Some(&user), StatusCode::OK, &page)
        }
        Ok(None) => nobody(&admin.shared, &asked, &user),
        Err(error) => unanswered(&admin.shared, &asked, &user, &error),
    }
}

/// Where one thing is done.
fn doing(deed: Deed) -> MethodRouter<Admin> {
    post(
        move |admin: State<Admin>, user: Require<MayAct>, id: Result<Path<String>, PathRejection>, request: Request| {
            act(deed, admin, user, id, request)
        },
    )
}

async fn act(
    deed: Deed,
    State(admin): State<Admin>,
    user: Require<MayAct>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let shared = &admin.shared;
    let asked = match posted::nothing(request).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let Some(id) = read(id) else { return unknown::answer(shared, &asked, Some(&user)) };
    let actor = Actor::Person { id: user.id, address: asked.client.address };
    let refuse = |status, sentence| asked.error(shared, Some(&user), status, sentence);
    match admin.administration.administer(deed, id, actor).await {
        Administered::Done => see_other(&shared.path(&format!("{USERS}/{id}?done={}", word(deed)))),
        Administered::NoSuchUser => nobody(shared, &asked, &user),
        Administered::Forbidden => refuse(StatusCode::FORBIDDEN, sentences::forbidden()),
        Administered::Yourself => refuse(StatusCode::UNPROCESSABLE_ENTITY, yourself()),
        Administered::Superuser => refuse(StatusCode::FORBIDDEN, superuser()),
        Administered::Unavailable(why) => {
            tracing::warn!(why, "somebody's account could not be changed");
            refuse(StatusCode::SERVICE_UNAVAILABLE, sentences::people_unavailable())
        }
    }
}

/// Only as we write them ourselves, so that everybody has one address.
fn read(id: Result<Path<String>, PathRejection>) -> Option<Uuid> {
    let Path(text) = id.ok()?;
    Uuid::try_parse(&text).ok().filter(|id| id.hyphenated().to_string() == text)
}

fn word(deed: Deed) -> &'static str {
    match deed {
        Deed::Activate => "activated",
        Deed::Deactivate => "deactivated",
        Deed::EndSessions => "sessions-ended",
    }
}

fn deed(text: &str) -> Option<Deed> {
    [Deed::Activate, Deed::Deactivate, Deed::EndSessions].into_iter().find(|deed| word(*deed) == text)
}

fn nobody(shared: &Shared, asked: &Asked, user: &UserView) -> Response {
    let sentence = Sentence::new("There is no such person here, or no longer.", "Look for them in the list.");
    asked.error(shared, Some(user), StatusCode::NOT_FOUND, sentence)
}

fn unanswered(shared: &Shared, asked: &Asked, user: &UserView, error: &Unanswered) -> Response {
    tracing::warn!(error = chain(error), "people could not be read");
    asked.error(shared, Some(user), StatusCode::SERVICE_UNAVAILABLE, sentences::people_unavailable())
}

fn yourself() -> Sentence {
    Sentence::new(
        "You can't deactivate your own account.",
        "Ask another administrator, so that there is one left who can undo it.",
    )
}

fn superuser() -> Sentence {
    Sentence::new("Only a superuser can change the account of a superuser.", "Ask one of them.")
}
