//! Requests a second to `/api/v1/me` with a session, against a bare axum handler that answers the same bytes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_tests::Bindery;

use crate::bare::Bare;
use crate::cpu::Process;
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

    let floor = Bare::start("bare-me", &body.body).await?;
    let bare = measure(floor.port, get("/api/v1/me", None), time, &[floor.process()?]).await?;
    bare.print("a bare axum handler");
    let session = measure(server.port(), me, time, &[("server", server.pid())]).await?;
    session.print("/api/v1/me");
    session.print_ratio("the bare handler", &bare);
    Ok(())
}

async fn measure(port: u16, request: Vec<u8>, time: Duration, others: &[Process]) -> Result<Figures> {
    let connect = async |_| Ok((Client::connect(port).await?, request.clone()));
    load::run(CLIENTS, time, others, connect, |(mut client, request), _| async move {
        let result = client.expect(&request, 200).await;
        ((client, request), result)
    })
    .await
}
