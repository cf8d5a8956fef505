//! JSON sign-ins a second, against the raw loop of search and bind on the same slapd, and against a bare axum handler that
//! does the same and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::Bindery;

use crate::bare::Bare;
use crate::cpu::Process;
use crate::directory::{ACTIVE, Directory, PASSWORD, uid};
use crate::http::{Client, sign_in};
use crate::load::{self, Figures};
use crate::start::resident;

pub(crate) async fn run(directory: &Directory, time: Duration) -> Result<()> {
    println!("\nSign-ins a second (wanted: at least 0.5 of the raw loop at 32 clients)");
    let bindery = Bindery::new(&directory.config());
    let server = bindery.serve();
    let port = server.port();
    everybody_once(port).await.context("the first sign-in of each")?;
    let bare = Bare::start("bare-sign-in", &directory.url()).await?;
    let [slapd] = directory.process()?;
    for clients in [1, 8, 32] {
        let raw = directory.raw(clients, time).await?;
        raw.print(&format!("{clients} clients, raw search and bind"));
        let floor = measure(bare.port, clients, time, &[slapd, bare.process()?]).await?;
        floor.print(&format!("{clients} clients, the same behind axum"));
        floor.print_ratio("raw", &raw);
        let http = measure(port, clients, time, &[slapd, ("server", server.pid())]).await?;
        http.print(&format!("{clients} clients, POST /login"));
        http.print_ratio("raw", &raw);
        http.print_ratio("bare axum", &floor);
    }
    println!("  resident after that: {:.1} MB", resident(server.pid())?);
    Ok(())
}

async fn measure(port: u16, clients: usize, time: Duration, others: &[Process]) -> Result<Figures> {
    let connect = async |_| Client::connect(port).await;
    load::run(clients, time, others, connect, |mut client, turn| async move {
        let result = client.expect(&sign_in(&uid(turn % ACTIVE), PASSWORD), 200).await;
        (client, result)
    })
    .await
}

/// Signs in everybody who will, so that what is measured is people coming back.
async fn everybody_once(port: u16) -> Result<()> {
    let mut client = Client::connect(port).await?;
    let begin = tokio::time::Instant::now();
    for number in 0..ACTIVE {
        client.expect(&sign_in(&uid(number), PASSWORD), 200).await?;
    }
    let each = begin.elapsed().as_secs_f64() / ACTIVE as f64;
    println!("  {:<34} {:>9.0}/s", "1 client, each for the first time", 1.0 / each);
    Ok(())
}
