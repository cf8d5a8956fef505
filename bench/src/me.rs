//! Requests a second to `/api/v1/me` with a session, against a bare axum handler that answers the same bytes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::header::CONTENT_TYPE;
use axum::{Router, routing};
use bindery_tests::Bindery;

use crate::directory::{Directory, PASSWORD, uid};
use crate::http::{Client, get, sign_in};
use crate::load::{self, Figures};

const CLIENTS: usize = 32;

pub(crate) async fn run(directory: &Directory, time: Duration) -> Result<()> {
    println!("\nRequests a second at {CLIENTS} clients (wanted: at least 0.7 of the bare handler)");
    let bindery = Bindery::new(&directory.config());
    let server = bindery.serve();
    let mut client = Client::connect(server.port()).await?;
    let answer = client.send(&sign_in(&uid(0), PASSWORD)).await?;
    ensure!(answer.status == 200, "sign-in: {} {}", answer.status, answer.body);
    let cookie = answer.session.context("a session cookie")?;
    let me = get("/api/v1/me", Some(&cookie));
    let body = client.send(&me).await?;
    ensure!(body.status == 200, "me: {} {}", body.status, body.body);

    let bare = bare(body.body, time).await?;
    bare.print("a bare axum handler");
    let session = measure(server.port(), me, time).await?;
    session.print("/api/v1/me");
    println!("  {:<34} {:>9.2}", "ratio", session.per_second() / bare.per_second());
    Ok(())
}

/// The floor, in this process: the machine is as busy either way.
async fn bare(body: String, time: Duration) -> Result<Figures> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let handler = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let server =
        tokio::spawn(
            async move { axum::serve(listener, Router::new().route("/api/v1/me", routing::get(handler))).await },
        );
    let figures = measure(port, get("/api/v1/me", None), time).await;
    server.abort();
    figures
}

async fn measure(port: u16, request: Vec<u8>, time: Duration) -> Result<Figures> {
    let connect = async |_| Ok((Client::connect(port).await?, request.clone()));
    load::run(CLIENTS, time, connect, |(mut client, request), _| async move {
        let result = client.expect(&request, 200).await;
        ((client, request), result)
    })
    .await
}
