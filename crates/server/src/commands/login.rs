//! `bindery login`: a sign-in, for real.

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::{context, output};
use bindery_core::engine::{Attempt, SignIn, UserView, Via};
use bindery_core::{Outcome, Reason};
use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Who: `ann`, `EXAMPLE\ann` or `ann@example.local`.
    user: String,
    /// Read the password from standard input.
    #[arg(long, required = true)]
    password_stdin: bool,
}

/// The JSON keys are a contract.
#[derive(Serialize)]
struct Report<'a> {
    outcome: Outcome,
    reason: Option<Reason>,
    source: Option<&'a str>,
    dn: Option<&'a str>,
    user: Option<&'a UserView>,
    detail: &'a str,
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let password = context::password_from_stdin()?;
    let config = context::config(cli)?;
    let engine = match context::engine(&config).await {
        Ok(engine) => engine,
        Err(failure) => return unavailable(cli, &arguments.user, &failure),
    };
    let attempt = Attempt {
        username: arguments.user.clone(),
        password,
        address: None,
        user_agent: None,
        via: Via::CommandLine,
        remember: false,
    };
    report(cli, &arguments.user, &engine.sign_in(attempt).await)
}

fn report(cli: &Cli, typed: &str, end: &SignIn) -> Result<Exit, Failure> {
    let report = Report {
        outcome: end.outcome,
        reason: end.reason,
        source: end.source.as_deref(),
        dn: end.dn.as_deref(),
        user: end.user.as_ref(),
        detail: &end.detail,
    };
    output::report(cli.format, &report, |_| people(typed, end))?;
    Ok(end.outcome.into())
}

/// Without a store nobody can be signed in; scripts are told in the same document.
fn unavailable(cli: &Cli, typed: &str, failure: &Failure) -> Result<Exit, Failure> {
    report(cli, typed, &SignIn::unavailable(failure.message()))
}

fn people(typed: &str, end: &SignIn) -> String {
    let mut rows = vec![("outcome", end.outcome.as_str().to_owned())];
    if let Some(reason) = end.reason {
        rows.push(("reason", reason.as_str().to_owned()));
    }
    if !end.detail.is_empty() {
        rows.push(("because", end.detail.clone()));
    }
    rows.push(("typed", typed.to_owned()));
    rows.push(("source", end.source.clone().unwrap_or_else(|| "local".to_owned())));
    rows.extend(end.dn.clone().map(|dn| ("dn", dn)));
    if let Some(user) = &end.user {
        rows.push(("user", user.username.clone()));
        rows.push(("groups", user.groups.join(", ")));
        rows.push(("permissions", user.permissions.join(", ")));
    }
    output::pairs(&rows)
}
