//! The `bindery` command: the server, and everything that is done from a shell.
//!
//! Each command is a file of its own under `commands/`. They hold no decisions: those are
//! `bindery-core`'s. What a command reports goes to stdout, as a table for people or as one JSON
//! document for scripts; logs go to stderr.

mod cli;
mod commands;
mod context;
mod exit;
mod logging;
mod output;
mod server;

use clap::Parser;
use cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(&cli.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::Failure::unavailable(format!("the runtime could not be started: {error}")).report(),
    };
    let code = match runtime.block_on(commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    };
    // Connections that a directory does not close must not keep a finished command from ending.
    runtime.shutdown_background();
    code
}
