//! `bindery serve`: the server.

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::server::{self, Metrics, Server};
use crate::{context, exit};

pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let metrics = Metrics::start()?;
    let (config, engine) = context::open(cli).await?;
    let pages = server::pages(&engine, &config).await?;
    let bindery = pages.build().map_err(|error| Failure::usage(exit::chain(&error)))?;
    let listener = server::listen(config.server.listen).await?;
    let bound = listener.local_addr().map_err(|error| Failure::unavailable(error.to_string()))?;
    let url = config.server.url(bound).map(String::from).unwrap_or_default();
    tracing::info!(target: "bindery", %bound, url, sources = config.sources.len(), "listening");
    let server = Server { engine, bindery, metrics, config_file: Some(config.file) };
    server.run(listener).await?;
    Ok(Exit::Done)
}
