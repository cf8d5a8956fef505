//! `bindery sync`: makes the store what the directory says, or tells what that would be.

mod people;
mod progress;

use crate::cli::{Cli, Format};
use crate::exit::{Exit, Failure};
use crate::{context, output};
use bindery_core::Engine;
use bindery_core::engine::ActiveSource;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest, SyncRun};
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

impl Arguments {
    /// How much is to be read: whoever allows removals has everything looked at.
    fn mode(&self) -> Mode {
        if self.full || self.allow_removals { Mode::Full } else { Mode::Incremental }
    }
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
    let config = context::config(cli)?;
    let engine = match context::engine(&config).await {
        Ok(engine) => engine,
        // What a script reads is the same wherever the outage is.
        Err(failure) if failure.is_unavailable() => {
            let failed = |slug: &str| {
                SyncRun::without_store(slug, arguments.mode(), arguments.dry_run, failure.message().to_owned())
            };
            let known = config.sources.iter().map(|source| source.slug.as_str());
            let wanted = |slug: &&str| arguments.source.as_ref().is_none_or(|wanted| wanted == slug);
            let runs: Vec<SyncRun> = known.filter(wanted).map(failed).collect();
            return match &arguments.source {
                Some(slug) if runs.is_empty() => Err(context::no_source_of_the_file(&config, slug, &failure)),
                None if runs.is_empty() => Err(failure),
                _ => report(cli, arguments, runs),
            };
        }
        Err(failure) => return Err(failure),
    };
    let sources = match &arguments.source {
        Some(slug) => vec![context::source(&engine, slug)?],
        None => engine.sources().to_vec(),
    };
    let mut runs = Vec::new();
    for source in &sources {
        runs.push(one(&engine, source, arguments, cli.format).await);
    }
    report(cli, arguments, runs)
}

/// The run of the source that was named, or all of them.
fn report(cli: &Cli, arguments: &Arguments, runs: Vec<SyncRun>) -> Result<Exit, Failure> {
    let exit = runs.iter().map(|run| Exit::from(run.outcome)).max().unwrap_or(Exit::Done);
    match (&arguments.source, runs.first()) {
        (Some(_), Some(run)) => output::report(cli.format, run, people::run)?,
        _ => output::report(cli.format, &All { runs }, |all| {
            all.runs.iter().map(people::run).collect::<Vec<_>>().join("\n")
        })?,
    }
    Ok(exit)
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
