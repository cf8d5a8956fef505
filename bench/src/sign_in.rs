//! JSON sign-ins a second, against the raw loop of search and bind on the same slapd.

use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::Bindery;

use crate::directory::{ACTIVE, Directory, PASSWORD, uid};
use crate::http::{Client, sign_in};
use crate::load;
use crate::start::resident;

pub(crate) async fn run(directory: &Directory, time: Duration) -> Result<()> {
    println!("\nSign-ins a second (wanted: at least 0.5 of the raw loop at 32 clients)");
    let bindery = Bindery::new(&directory.config());
    let server = bindery.serve();
    let port = server.port();
    everybody_once(port).await.context("the first sign-in of each")?;
    for clients in [1, 8, 32] {
        let raw = directory.raw(clients, time).await?;
        raw.print(&format!("{clients} clients, raw search and bind"));
        let http = load::run(
            clients,
            time,
            async |_| Client::connect(port).await,
            |mut client, turn| async move {
                let result = client.expect(&sign_in(&uid(turn % ACTIVE), PASSWORD), 200).await;
                (client, result)
            },
        )
        .await?;
        http.print(&format!("{clients} clients, POST /login"));
        println!("  {:<34} {:>9.2}", "ratio", http.per_second() / raw.per_second());
    }
    println!("  resident after that: {:.1} MB", resident(server.pid())?);
    Ok(())
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
