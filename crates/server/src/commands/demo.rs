//! `bindery demo`: an embedded directory with people in it, and the server.

use crate::exit::{Exit, Failure};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let _ = arguments;
    Err(Failure::usage("not there yet"))
}
