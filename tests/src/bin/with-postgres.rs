//! Runs a command with a PostgreSQL cluster that all tests in it share: `with-postgres cargo nextest run`.
//!
//! A test runner that starts a process for each test would else start a cluster for each, too.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        return ExitCode::from(2);
    };
    let cluster = bindery_tests::Postgres::own();
    let status = Command::new(program).args(arguments).env("BINDERY_TEST_POSTGRES", cluster.url()).status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}
