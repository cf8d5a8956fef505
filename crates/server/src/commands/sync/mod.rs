//! `bindery sync`: makes the store what the directory says, or tells what that would be.

mod people;
mod progress;

use crate::cli::{Cli, Format};
use crate::exit::{Exit, Failure};
use crate::{context, output};
use bindery_core::Engine;
use bindery_core::engine::ActiveSource;
use bindery_core::sync::{SyncOutcome, SyncRequest, SyncRun};
use clap::Args;
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One source only.
    source: Option<String>,
    /// Read everything, not only what has changed.
    #[arg(long)]
    full: bool,
    /// Print what would be written; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Carry out removals that a run has held. Never overrides an incomplete read.
    #[arg(long)]
    allow_removals: bool,
}

/// Every source, one after the other.
#[derive(Serialize)]
struct All {
    runs: Vec<SyncRun>,
}

impl From<SyncOutcome> for Exit {
    fn from(outcome: SyncOutcome) -> Self {
        match outcome {
            SyncOutcome::Completed => Self::Done,
            SyncOutcome::Held => Self::Refused,
            SyncOutcome::Failed => Self::Unavailable,
            SyncOutcome::AlreadyRunning => Self::AlreadyRunning,
        }
    }
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let (_, engine) = context::open(cli).await?;
    if let Some(slug) = &arguments.source {
        let run = one(&engine, &context::source(&engine, slug)?, arguments, cli.format).await;
        output::report(cli.format, &run, people::run)?;
        return Ok(run.outcome.into());
    }
    let mut all = All { runs: Vec::new() };
    for source in engine.sources().iter() {
        all.runs.push(one(&engine, source, arguments, cli.format).await);
    }
    output::report(cli.format, &all, |all| all.runs.iter().map(people::run).collect::<Vec<_>>().join("\n"))?;
    Ok(all.runs.iter().map(|run| Exit::from(run.outcome)).max().unwrap_or(Exit::Done))
}

async fn one(engine: &Engine, source: &Arc<ActiveSource>, arguments: &Arguments, format: Format) -> SyncRun {
    let progress = progress::Display::new(&source.slug, format);
    let hear = |progressed| progress.hear(progressed);
    let request = SyncRequest {
        full: arguments.full,
        dry_run: arguments.dry_run,
        allow_removals: arguments.allow_removals,
        progress: Some(&hear),
        ..SyncRequest::default()
    };
    let run = engine.sync(source, request).await;
    progress.end();
    run
}
