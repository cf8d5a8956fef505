//! Logs: to stderr, filtered by `RUST_LOG`.

use crate::cli::Command;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. A server says what it does; other commands speak through their report.
pub(crate) fn start(command: &Command) {
    let default = if matches!(command, Command::Serve) { "info" } else { "error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
