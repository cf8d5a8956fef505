//! What all handlers share, and the one way to answer with a page.

use crate::{
    administration::Administration,
    authority::Authority,
    cookie,
    csrf::{self, Tokens},
    forwarded::Client,
    pages::{Chrome, Demo, ErrorPage, Page, Pages, Visible},
    problem::Problem,
    sentences::Sentence,
    settings::WebSettings,
};
use arc_swap::ArcSwap;
use axum::{
    body::Body,
    extract::OriginalUri,
    response::{IntoResponse, Response},
};
use bindery_core::{
    Entropy,
    engine::{UserView, VIEW_USER},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
use std::sync::Arc;

/// Pages load their style and mark from here, post here, and run nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Everything behind a [`crate::Bindery`].
pub(crate) struct Shared {
    pub(crate) authority: Arc<dyn Authority>,
    /// Where the admin pages are served.
    pub(crate) administration: Option<Arc<dyn Administration>>,
    /// Replaced by a reload.
    pub(crate) settings: ArcSwap<WebSettings>,
    pub(crate) pages: Pages,
    pub(crate) tokens: Tokens,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Where the routes are mounted: empty, or a path without a slash at its end.
    pub(crate) mount: String,
    /// Where somebody goes who signed in without wanting anything in particular.
    pub(crate) home: String,
    pub(crate) site: String,
    pub(crate) banner: Option<String>,
    pub(crate) demo: Option<Demo>,
}

impl Shared {
    /// A path of ours.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.mount)
    }

    /// A target for after signing in, if it may be one.
    pub(crate) fn next<'a>(&self, target: Option<&'a str>) -> Option<&'a str> {
        let loops = [self.path("/login"), self.path("/logout")];
        crate::next::same_site(target?, &[&loops[0], &loops[1]])
    }
}

/// One request, as far as an answer needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) settings: Arc<WebSettings>,
    pub(crate) client: Client,
    headers: HeaderMap,
    api: bool,
}

impl Asked {
    pub(crate) fn of(parts: &Parts, shared: &Shared) -> Self {
        let settings = shared.settings.load_full();
        Self {
            client: Client::of(parts, &settings),
            api: original_uri(parts).path().contains("/api/"),
            headers: parts.headers.clone(),
            settings,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What their browser calls itself, within reason.
    pub(crate) fn user_agent(&self) -> Option<String> {
        let text = self.headers.get(header::USER_AGENT)?.to_str().ok()?;
        Some(text.chars().take(256).collect())
    }

    /// Whether the answer should be a page: a form was sent, or a browser is looking.
    pub(crate) fn wants_page(&self) -> bool {
        !self.api && !csrf::is_json(&self.headers) && (csrf::is_form(&self.headers) || accepts_html(&self.headers))
    }

    /// Answers with a page.
    pub(crate) fn page<P: Page>(
        &self,
        shared: &Shared,
        user: Option<&UserView>,
        status: StatusCode,
        page: &P,
    ) -> Response {
        let presented = Tokens::presented(&self.headers, &self.settings);
        let nonce = presented.clone().unwrap_or_else(|| {
            let mut random = [0; 16];
            shared.entropy.fill(&mut random);
            Tokens::nonce(random)
        });
        let asset = |name| shared.path(&shared.pages.assets.path(name));
        let chrome = Chrome {
            site: &shared.site,
            base: &shared.mount,
            home: &shared.home,
            css: asset("bindery.css"),
            mark: asset("mark.svg"),
            csrf_field: csrf::FIELD,
            csrf: shared.tokens.token(&nonce, &self.headers, &self.settings),
            user: user.map(Visible::of),
            people: shared.administration.is_some() && user.is_some_and(|user| user.may(VIEW_USER)),
            banner: shared.banner.as_deref(),
            demo: shared.demo.as_ref(),
            sources: self.settings.icons.faces(&shared.mount),
        };
        let mut response = match shared.pages.render(&chrome, page) {
            Ok(html) => html_response(status, html),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                let text = "This page could not be shown. Ask your administrator to look at the log.";
                return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
            }
        };
        if presented.is_none()
            && let Some(cookie) = cookie::set_csrf(&self.settings, &nonce)
        {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Answers with an error, as a page or a problem document.
    pub(crate) fn error(
        &self,
        shared: &Shared,
        user: Option<&UserView>,
        status: StatusCode,
        sentence: Sentence,
    ) -> Response {
        if !self.wants_page() {
            return Problem::new(status, sentence.whole()).into_response();
        }
        let page = ErrorPage { status: status.as_u16(), title: title(status), sentence };
        self.page(shared, user, status, &page)
    }
}

/// The address as it was asked for, before nested routers took their prefix off.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// What people read above an error.
fn title(status: StatusCode) -> String {
    match status.as_u16() {
        401 => "You're not signed in",
        403 => "You can't go there",
        404 => "There's nothing here",
        429 => "Too many attempts",
        503 => "Not available right now",
        400..500 => "That didn't work",
        _ => "Something went wrong",
    }
    .to_owned()
}

fn html_response(status: StatusCode, html: impl Into<Body>) -> Response {
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An HTML file of the operator's, who may style it within itself, but not run anything either.
pub(crate) fn configured_page(status: StatusCode, html: Vec<u8>) -> Response {
    let mut response = html_response(status, html);
    let policy = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
                  frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Whether `Accept` names HTML, and does not rule it out.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = matches!(parts.next(), Some("text/html" | "application/xhtml+xml"));
            html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_must_be_named_and_not_ruled_out() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            accepts_html(&headers)
        };
        assert!(of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(of("application/json;q=0.5, text/html"));
        assert!(!of("*/*"));
        assert!(!of("application/json"));
        assert!(!of("text/html;q=0"));
        assert!(!accepts_html(&HeaderMap::new()));
    }
}
