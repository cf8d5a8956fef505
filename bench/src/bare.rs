//! The least an axum app can be: the floors of what is measured over HTTP. In a process of its own, as the server is:
//! within the clients' process it would be spared every switch between them.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::{Json, Router, routing};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::cpu::Process;
use crate::directory::Pair;

/// A floor under way. Ends when dropped.
pub(crate) struct Bare {
    pub(crate) port: u16,
    child: Child,
}

impl Bare {
    /// Starts this program again, as [`serve_me`] or [`serve_sign_in`] with their argument.
    pub(crate) async fn start(what: &str, argument: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([what, "--argument", argument])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut port).await?;
        Ok(Self { port: port.trim().parse().context("a port")?, child })
    }

    pub(crate) fn process(&self) -> Result<Process> {
        Ok(("server", self.child.id().context("it runs")?))
    }
}

/// A handler that answers the same bytes to everybody.
pub(crate) async fn serve_me(body: String) -> Result<()> {
    let handler = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    serve(Router::new().route("/api/v1/me", routing::get(handler))).await
}

/// A handler that searches and binds, and keeps nothing.
pub(crate) async fn serve_sign_in(ldap: &str) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..32 {
        pairs.push(Pair::connect(ldap).await?);
    }
    let free = Arc::new(Mutex::new(pairs));
    let handler = move |Json(body): Json<Body>| {
        let free = free.clone();
        async move {
            let pair = free.lock().unwrap().pop().unwrap();
            let result = pair.search_and_bind(&body.username, &body.password).await;
            free.lock().unwrap().push(pair);
            let status = if result.is_ok() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            (status, Json(serde_json::json!({"outcome": "signed_in", "reason": null, "user": body.username})))
        }
    };
    serve(Router::new().route("/login", routing::post(handler))).await
}

#[derive(Deserialize)]
struct Body {
    username: String,
    password: String,
}

async fn serve(router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, router).await?)
}
