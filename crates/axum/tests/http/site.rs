//! A site under test, asked without a socket.

use crate::scripted::Scripted;
use axum::{
    Router,
    body::{Body, to_bytes},
    response::Response,
};
use bindery_axum::{Bindery, settings::WebSettings};
use http::{Request, StatusCode, header};

pub struct Site {
    pub scripted: Scripted,
    pub bindery: Bindery,
    app: Router,
}

/// What came back, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Site {
    pub fn new() -> Self {
        Self::with(WebSettings::default())
    }

    pub fn with(settings: WebSettings) -> Self {
        let scripted = Scripted::default();
        let bindery = Bindery::builder(scripted.clone(), settings).home_page(true).build().unwrap();
        let app = bindery.routes();
        Self { scripted, bindery, app }
    }

    /// Replaces the app.
    pub fn serving(mut self, app: impl FnOnce(&Bindery) -> Router) -> Self {
        self.app = app(&self.bindery);
        self
    }

    pub async fn ask(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        client::ask(&self.app, request, body).await
    }

    /// As a browser looks at a page.
    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        client::get(&self.app, path, cookie).await
    }

    /// As a browser that says where it comes from posts a form.
    pub async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        client::post(&self.app, path, cookie, form).await
    }

    /// As a program posts JSON.
    pub async fn post_json(&self, path: &str, cookie: &str, body: &serde_json::Value) -> Answer {
        client::post_json(&self.app, path, cookie, body).await
    }

    /// A session's cookie, made without signing in.
    pub fn session(&self, username: &str) -> String {
        format!("bindery_session={}", self.scripted.session_for(username))
    }
}

/// Asks an app.
pub mod client {
    use super::{Answer, form_request};
    use axum::{Router, body::Body, extract::ConnectInfo};
    use http::{Request, header};
    use std::net::SocketAddr;
    use tower::ServiceExt;

    pub async fn ask(app: &Router, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let mut request = request.body(body.into()).unwrap();
        let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        Answer::read(app.clone().oneshot(request).await.unwrap()).await
    }

    pub async fn get(app: &Router, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path)
            .header(header::HOST, "site.example")
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, cookie);
        ask(app, request, Body::empty()).await
    }

    pub async fn post(app: &Router, path: &str, cookie: &str, form: &str) -> Answer {
        let request = form_request(path).header(header::ORIGIN, "http://site.example").header(header::COOKIE, cookie);
        ask(app, request, form.to_owned()).await
    }

    pub async fn post_json(app: &Router, path: &str, cookie: &str, body: &serde_json::Value) -> Answer {
        let request = Request::post(path)
            .header(header::HOST, "site.example")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, cookie);
        ask(app, request, body.to_string()).await
    }
}

/// A form without any word on where it comes from.
pub fn form_request(path: &str) -> http::request::Builder {
    Request::post(path)
        .header(header::HOST, "site.example")
        .header(header::ACCEPT, "text/html")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        Self { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The value of a cookie that was set, if one was.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.set_cookie(name)?.split(';').next().map(str::to_owned)
    }

    /// A whole `Set-Cookie` after its name.
    pub fn set_cookie(&self, name: &str) -> Option<String> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().unwrap().strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
            .next()
    }

    /// The form token on the page.
    pub fn token(&self) -> &str {
        let (_, rest) = self.text.split_once("name=\"csrf_token\" value=\"").expect("a form token");
        rest.split_once('"').unwrap().0
    }

    pub fn is_problem(&self) -> bool {
        self.header("content-type") == "application/problem+json" && self.json()["status"] == self.status.as_u16()
    }

    pub fn is_page(&self) -> bool {
        self.header("content-type").starts_with("text/html") && self.text.contains("</html>")
    }
}
