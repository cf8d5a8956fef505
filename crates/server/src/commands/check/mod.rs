//! `bindery check`: the configuration, then each server of each source, and with `--deploy` the checklist.
//!
//! Touches no store (except to see that it opens, with `--deploy`) and writes nothing to a directory.

mod deploy;
mod report;

use bindery_core::config::{Config, SourceConfig};
use bindery_core::engine::ActiveSource;
use bindery_store::Store;
use clap::Args;
use report::{Checked, Report};

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::{context, exit, output};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this source.
    source: Option<String>,
    /// Add the checklist for production.
    #[arg(long)]
    deploy: bool,
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let config = context::config(cli)?;
    let mut report = Report::new(&config);
    for source in wanted(&config, arguments.source.as_deref())? {
        report.sources.push(check(source).await);
    }
    if arguments.deploy {
        report.deploy = Some(deploy::checklist(&config));
        report.store = Some(match Store::open(&config.store).await {
            Ok(_) => report::Store::good(&config.store),
            Err(error) => report::Store::bad(&config.store, exit::chain(&error)),
        });
    }
    output::report(cli.format, &report, Report::for_people)?;
    Ok(report.exit())
}

/// The sources to look at: one, or all.
fn wanted<'a>(config: &'a Config, slug: Option<&str>) -> Result<Vec<&'a SourceConfig>, Failure> {
    let Some(slug) = slug else { return Ok(config.sources.iter().collect()) };
    let known = || config.sources.iter().map(|source| source.slug.as_str());
    config.source(slug).map(|source| vec![source]).ok_or_else(|| context::no_source(slug, known()))
}

/// Looks at each server of a source by itself, then at the pool that is left of it.
async fn check(source: &SourceConfig) -> Checked {
    let active = ActiveSource::new(source);
    let servers = active.directory.check(&active.selectors).await;
    Checked::new(source, &servers, &active.directory.health())
}
