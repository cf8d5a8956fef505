//! `bindery token`.
// config engineer

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists them.
    List,
}

pub(crate) async fn run(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    let _ = (cli, command);
    Err(Failure::usage("not there yet"))
}
