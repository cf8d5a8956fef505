//! `bindery check`: the configuration, then each server of each source.
// config engineer

use crate::cli::Cli;
use crate::context;
use crate::exit::{Exit, Failure};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this source.
    source: Option<String>,
    /// Add the checklist for production.
    #[arg(long)]
    deploy: bool,
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let _ = (context::open(cli).await?, arguments);
    Err(Failure::usage("not there yet"))
}
