//! Figures against the floors they name, as ratios of one run on one machine. Not a test: nothing fails.
//!
//! `cargo run --release -p bindery-bench -- all`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it prints figures, and has nobody to protect"
)]

mod bare;
mod cpu;
mod decode;
mod directory;
mod http;
mod live;
mod load;
mod me;
mod sign_in;
mod start;
mod store;
mod sync;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

#[derive(Debug, Parser)]
#[command(about = "Figures against the floors they name, as ratios in one run")]
struct Arguments {
    /// What to measure.
    what: What,
    /// How long each figure is measured.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many people the directory has.
    #[arg(long, default_value_t = 10_000)]
    users: usize,
    /// What the floors need to know.
    #[arg(long, hide = true, default_value = "")]
    argument: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// HTTP sign-ins against a raw loop of search and bind.
    SignIn,
    /// `/api/v1/me` with a session against a bare axum handler.
    Me,
    /// From start to `/readyz`, and idle memory.
    Start,
    /// What a sync does to the store, on SQLite and PostgreSQL, and what that does to others' writes.
    Store,
    /// Entries decoded and read in pages, against `rasn-ldap` and `ldapsearch`.
    Decode,
    /// A full sync and an incremental one, on SQLite and PostgreSQL, against `ldapsearch`.
    Sync,
    /// From a change in the directory to the refused request, on two replicas.
    Live,
    /// Everything.
    All,
    /// The floor of `me`; started by it.
    #[value(hide = true)]
    BareMe,
    /// The floor of `sign-in` over HTTP; started by it.
    #[value(hide = true)]
    BareSignIn,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.what {
        What::BareMe => return bare::serve_me(arguments.argument).await,
        What::BareSignIn => return bare::serve_sign_in(&arguments.argument).await,
        _ => {}
    }
    let time = Duration::from_secs(arguments.seconds);
    let wanted = |what| arguments.what == what || arguments.what == What::All;
    if wanted(What::Store) {
        store::run(arguments.users).await?;
    }
    if wanted(What::Decode) {
        decode::alone(time)?;
        decode::pages(arguments.users).await?;
    }
    if matches!(arguments.what, What::Store | What::Decode) {
        return Ok(());
    }
    build()?;
    if wanted(What::Sync) {
        sync::run(arguments.users)?;
    }
    if wanted(What::Live) {
        live::run().await?;
    }
    if wanted(What::Start) {
        start::run().await?;
    }
    if wanted(What::SignIn) || wanted(What::Me) {
        let directory = directory::Directory::start(arguments.users);
        if wanted(What::SignIn) {
            sign_in::run(&directory, time).await?;
        }
        if wanted(What::Me) {
            me::run(&directory, time).await?;
        }
    }
    Ok(())
}

/// Builds the server with the same profile, so that no older one is measured by mistake.
fn build() -> Result<()> {
    if std::env::var_os("BINDERY_BIN").is_some() {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "bindery"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    ensure!(command.status().context("run cargo")?.success(), "the server does not build");
    Ok(())
}
