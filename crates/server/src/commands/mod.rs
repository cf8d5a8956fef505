//! One file for each command.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod directory;
pub(crate) mod explain;
pub(crate) mod group;
pub(crate) mod login;
pub(crate) mod serve;
pub(crate) mod sync;
pub(crate) mod token;
pub(crate) mod user;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Demo(arguments) => demo::run(&cli, arguments).await,
        Command::Serve => serve::run(&cli).await,
        Command::Check(arguments) => check::run(&cli, arguments).await,
        Command::Login(arguments) => login::run(&cli, arguments).await,
        Command::Explain(arguments) => explain::run(&cli, arguments).await,
        Command::Sync(arguments) => sync::run(&cli, arguments).await,
        Command::User(command) => user::run(&cli, command).await,
        Command::Group(command) => group::run(&cli, command).await,
        Command::Directory(command) => directory::run(&cli, command).await,
        Command::Token(command) => token::run(&cli, command).await,
        Command::Completions(arguments) => completions::run(arguments),
    }
}
