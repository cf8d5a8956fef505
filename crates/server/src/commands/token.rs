//! `bindery token`: API tokens. The secret is shown once; only its hash is stored.

use std::time::Duration;

use bindery_core::engine::Engine;
use bindery_core::token::Token;
use bindery_store::ApiToken;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::{Cli, Format};
use crate::context;
use crate::exit::{Exit, Failure};
use crate::output::{self, table};

/// `bindery token …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a token and prints it, this once
    Create {
        /// What it is for
        name: String,
        /// Ends by itself after this, as 90d; never if left out
        #[arg(long, value_parser = bindery_core::config::duration)]
        expires: Option<Duration>,
    },
    /// Lists tokens, without their secrets
    List,
    /// Revokes a token for good
    Revoke {
        /// The ID or the name
        token: String,
    },
}

/// Runs it.
pub(crate) async fn run(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    let (_, engine) = context::open(cli).await?;
    let (engine, output) = (&engine, cli.format);
    match command {
        Command::Create { name, expires } => create(engine, name.clone(), *expires, output).await,
        Command::List => list(engine, output).await,
        Command::Revoke { token } => revoke(engine, token).await,
    }
}

/// A token without its secret.
#[derive(Serialize)]
struct Listed {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<ApiToken> for Listed {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used: token.last_used,
            revoked_at: token.revoked_at,
        }
    }
}

impl Listed {
    fn row(&self) -> Vec<String> {
        let moment = |at: Option<DateTime<Utc>>| at.map_or_else(String::new, |at| at.format("%F %R").to_string());
        vec![
            self.id.to_string(),
            self.name.clone(),
            moment(Some(self.created_at)),
            moment(self.expires_at),
            moment(self.last_used),
            moment(self.revoked_at),
        ]
    }
}

/// A new token with its secret.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    listed: Listed,
    token: String,
}

async fn create(engine: &Engine, name: String, expires: Option<Duration>, output: Format) -> Result<Exit, Failure> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(Failure::usage("the name of a token is a text without control characters"));
    }
    let now = engine.now();
    let end = |after: Duration| chrono::Duration::from_std(after).ok().and_then(|after| now.checked_add_signed(after));
    let expires_at = match expires {
        None => None,
        Some(after) => Some(end(after).ok_or_else(|| Failure::usage("--expires lies too far ahead"))?),
    };
    let secret = Token::generate(engine.entropy());
    let token = ApiToken {
        id: engine.new_id(),
        name,
        hash: secret.hash(),
        scopes: Vec::new(),
        created_at: now,
        expires_at,
        last_used: None,
        revoked_at: None,
    };
    engine.store().create_token(&token).await?;
    let created = Created { listed: Listed::from(token), token: secret.reveal() };
    output::report(output, &created, |it| it.token.clone())?;
    Ok(Exit::Done)
}

async fn list(engine: &Engine, output: Format) -> Result<Exit, Failure> {
    let tokens: Vec<Listed> = engine.store().tokens().await?.into_iter().map(Listed::from).collect();
    output::report(output, &tokens, |tokens| {
        let rows: Vec<_> = tokens.iter().map(Listed::row).collect();
        table(&["id", "name", "created", "expires", "last used", "revoked"], &rows)
    })?;
    Ok(Exit::Done)
}

async fn revoke(engine: &Engine, wanted: &str) -> Result<Exit, Failure> {
    let tokens = engine.store().tokens().await?;
    let usable = tokens.iter().filter(|token| token.revoked_at.is_none());
    let named: Vec<Uuid> =
        usable.filter(|token| token.id.to_string() == wanted || token.name == wanted).map(|token| token.id).collect();
    match named.as_slice() {
        [id] => {
            engine.store().revoke_token(*id, engine.now()).await?;
            Ok(Exit::Done)
        }
        [] => Err(Failure::refused(format!("there is no token {wanted:?} that could be revoked"))),
        _ => Err(Failure::refused(format!("several tokens are named {wanted:?}; give the ID"))),
    }
}
