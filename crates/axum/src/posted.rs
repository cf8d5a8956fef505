//! What somebody sent: a form or JSON, of reasonable size, and not from another site.

#![expect(clippy::result_large_err, reason = "what goes wrong here is a whole answer, and rare")]

use crate::{
    csrf::{self, Provenance},
    sentences::{self, Sentence},
    shared::{Asked, Shared},
    visitor::Visitor,
};
use axum::{
    Form, Json,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::sync::Arc;

/// No form of ours comes near it.
const LARGEST: usize = 16 * 1024;

/// The fields of a form.
pub(crate) trait Fields: DeserializeOwned + Send {
    /// The form token, if one was sent.
    fn csrf_token(&self) -> Option<&str>;
}

/// A form or JSON that may be acted on.
#[derive(Debug)]
pub(crate) struct Posted<T> {
    pub(crate) fields: T,
    /// Whether it was JSON, and so the answer is.
    pub(crate) json: bool,
    pub(crate) asked: Asked,
}

impl<S: Sync, T: Fields> FromRequest<S> for Posted<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let shared = visitor.shared();
        let asked = Asked::of(&parts, shared);
        let from = vouch(shared, &asked)?;
        let body = axum::body::to_bytes(body, LARGEST)
            .await
            .map_err(|_| asked.error(shared, None, StatusCode::PAYLOAD_TOO_LARGE, too_large()))?;
        let mut bare = Request::new(body.into());
        *bare.headers_mut() = parts.headers.clone();
        *bare.method_mut() = parts.method.clone();
        let json = csrf::is_json(asked.headers());
        let fields = read::<T>(bare, json, csrf::is_form(asked.headers()))
            .await
            .map_err(|(status, sentence)| asked.error(shared, None, status, sentence))?;
        if from == Provenance::Unsaid && !json {
            check_token(shared, &asked, fields.csrf_token())?;
        }
        Ok(Self { fields, json, asked })
    }
}

/// Refuses posts from other sites, before anything of them is read.
fn vouch(shared: &Arc<Shared>, asked: &Asked) -> Result<Provenance, Response> {
    let from = csrf::provenance(asked.headers(), &asked.client, &asked.settings);
    if from == Provenance::Foreign {
        let sentence = sentences::foreign();
        return Err(asked.error(shared, None, StatusCode::FORBIDDEN, sentence));
    }
    Ok(from)
}

fn check_token(shared: &Shared, asked: &Asked, token: Option<&str>) -> Result<(), Response> {
    let good = token.is_some_and(|token| shared.tokens.verify(token, asked.headers(), &asked.settings));
    if good {
        return Ok(());
    }
    Err(asked.error(shared, None, StatusCode::FORBIDDEN, sentences::stale_form()))
}

/// The parsers' own messages may quote what was sent, a password among it, so they are not passed on.
async fn read<T: Fields>(request: Request, json: bool, form: bool) -> Result<T, (StatusCode, Sentence)> {
    let malformed = |says: &str| (StatusCode::BAD_REQUEST, Sentence::new(says, ""));
    if json {
        let Json(fields) = Json::<T>::from_request(request, &())
            .await
            .map_err(|_| malformed("The body is not JSON with the fields that belong here, as strings."))?;
        return Ok(fields);
    }
    if form {
        let Form(fields) = Form::<T>::from_request(request, &())
            .await
            .map_err(|_| malformed("The form lacks a field, or holds one twice."))?;
        return Ok(fields);
    }
    Err((
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Sentence::new("Send a form (application/x-www-form-urlencoded) or JSON (application/json).", ""),
    ))
}

fn too_large() -> Sentence {
    Sentence::new("What was sent is too large.", "")
}

/// A form without fields of its own, as the sign-out button is.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {
    csrf_token: Option<String>,
}

impl Fields for Nothing {
    fn csrf_token(&self) -> Option<&str> {
        self.csrf_token.as_deref()
    }
}

/// An unsafe request of which only the head matters, whatever its body is.
pub(crate) async fn nothing(request: Request) -> Result<Asked, Response> {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, &()).await.map_err(IntoResponse::into_response)?;
    let shared = visitor.shared();
    let asked = Asked::of(&parts, shared);
    if vouch(shared, &asked)? == Provenance::Unsaid && !csrf::is_json(asked.headers()) {
        let body = axum::body::to_bytes(body, LARGEST)
            .await
            .map_err(|_| asked.error(shared, None, StatusCode::PAYLOAD_TOO_LARGE, too_large()))?;
        let mut bare = Request::new(body.into());
        *bare.headers_mut() = parts.headers.clone();
        *bare.method_mut() = parts.method.clone();
        let fields = Form::<Nothing>::from_request(bare, &()).await.ok();
        let token = fields.as_ref().and_then(|form| form.csrf_token());
        check_token(shared, &asked, token)?;
    }
    Ok(asked)
}

/// Reads a string straight into a secret.
pub(crate) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

/// A box that is ticked, in a form (`on`) or in JSON (`true`).
pub(crate) fn ticked<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ticked {
        Json(bool),
        Form(String),
    }
    Ok(match Option::<Ticked>::deserialize(from)? {
        None => false,
        Some(Ticked::Json(ticked)) => ticked,
        Some(Ticked::Form(text)) => matches!(text.as_str(), "on" | "true" | "1" | "yes"),
    })
}
