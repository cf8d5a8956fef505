//! `bindery serve`: the server.

use crate::cli::Cli;
use crate::exit::{Exit, Failure};

pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let _ = cli;
    Err(Failure::usage("not there yet"))
}
