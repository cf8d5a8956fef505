//! The command line, as one table: help, usage errors and shell completions all come from here.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The features built in; the configuration refuses keys that need an absent one.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), "\nfeatures: sqlite postgres ldap ldaps starttls ldapi sync write-back offline");

/// Directory sign-in, roles and live sync for web apps.
#[derive(Debug, Parser)]
#[command(name = "bindery", version = VERSION, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "bindery.toml")]
    pub(crate) config: PathBuf,
    /// How to report.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try everything: an embedded directory with a small company in it, and the server.
    Demo(crate::commands::demo::Arguments),
    /// Run the server.
    Serve,
    /// Validate the configuration, then each server of each source, and the pool.
    Check(crate::commands::check::Arguments),
    /// Sign in, for real, and say how it ended.
    Login(crate::commands::login::Arguments),
    /// Say what a sign-in would decide and why. Asks for no password, writes nothing.
    Explain(crate::commands::explain::Arguments),
    /// Make the store what the directory says, or say what that would be.
    Sync(crate::commands::sync::Arguments),
    /// Local users.
    #[command(subcommand)]
    User(crate::commands::user::Command),
    /// Local groups.
    #[command(subcommand)]
    Group(crate::commands::group::Command),
    /// The directory itself.
    #[command(subcommand)]
    Directory(crate::commands::directory::Command),
    /// API tokens.
    #[command(subcommand)]
    Token(crate::commands::token::Command),
    /// Completions for a shell.
    Completions(crate::commands::completions::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::config::Feature;
    use clap::CommandFactory;

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_lists_what_the_configuration_may_use() {
        let listed: Vec<_> = VERSION.lines().last().unwrap_or_default().split(' ').collect();
        for feature in Feature::ALL {
            assert_eq!(listed.contains(&feature.name()), feature.is_built_in(), "{}", feature.name());
        }
    }
}
