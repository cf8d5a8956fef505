//! `bindery directory`: searching and changing a directory through a source's own connections and limits.

use std::io::Read;

use bindery_core::engine::ActiveSource;
use bindery_core::rules::value_text;
use bindery_directory::{Dn, Entry, Filter, Scope, ldif};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::cli::{Cli, Format};
use crate::context;
use crate::exit::{Exit, Failure};
use crate::output;

/// `bindery directory …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Searches a directory; prints LDIF
    Search(Search),
    /// Carries out LDIF change records from standard input
    Modify {
        /// The source
        source: String,
    },
}

/// `bindery directory search`.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The source
    source: String,
    /// A filter of RFC 4515, as "(uid=ann)"
    filter: String,
    /// Attributes to read; all of the user's if left out
    attributes: Vec<String>,
    /// Where to search; the source's base if left out
    #[arg(long)]
    base: Option<String>,
    /// How deep to search
    #[arg(long, value_enum, default_value_t)]
    scope: Depth,
}

/// `--scope`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Depth {
    /// The entry itself
    Base,
    /// The level below
    One,
    /// Everything below
    #[default]
    #[value(alias = "sub")]
    Subtree,
}

/// Runs it.
pub(crate) async fn run(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Search(it) => search(&*context::directory(cli, &it.source).await?, it, cli.format).await,
        Command::Modify { source } => modify(&*context::directory(cli, source).await?, cli.format).await,
    }
}

async fn search(source: &ActiveSource, search: &Search, output: Format) -> Result<Exit, Failure> {
    let filter = Filter::parse(&search.filter).map_err(|error| Failure::usage(error.to_string()))?;
    let base = match &search.base {
        Some(text) => Dn::parse(text).map_err(|error| Failure::usage(format!("--base: {error}")))?,
        None => source.directory.settings().base_dn.clone(),
    };
    let scope = match search.scope {
        Depth::Base => Scope::Base,
        Depth::One => Scope::One,
        Depth::Subtree => Scope::Subtree,
    };
    let entries = source.directory.search(&base, scope, filter, &search.attributes, 0).await?;
    let shown: Vec<Value> = entries.iter().map(entry_json).collect();
    output::report(output, &shown, |_| entries.iter().map(ldif::write_entry).collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::Done)
}

/// An entry for programs: every attribute a list of texts.
fn entry_json(entry: &Entry) -> Value {
    let mut attributes = Map::new();
    for (name, values) in entry.attributes() {
        attributes.insert(name.to_owned(), values.map(|value| value_text(name, value)).collect());
    }
    json!({ "dn": entry.dn_text(), "attributes": attributes })
}

/// All records are read before the first is sent; the first that fails ends it.
async fn modify(source: &ActiveSource, output: Format) -> Result<Exit, Failure> {
    if source.directory.settings().read_only {
        let slug = &source.slug;
        return Err(Failure::refused(format!(
            "source {slug} is read_only; nothing was sent. Set read_only = false in [sources.{slug}] to allow changes"
        )));
    }
    let text = ldif_from_stdin()?;
    let records = ldif::parse_changes(&text).map_err(|error| Failure::usage(error.to_string()))?;
    for (done, record) in records.iter().enumerate() {
        if let Err(error) = source.directory.change(record).await {
            let (line, all) = (record.line, records.len());
            let place = format!("record of line {line}; {done} of {all} were carried out");
            return Err(Failure::from(error).at(&place));
        }
    }
    output::report(output, &json!({ "changed": records.len() }), |_| {
        let dns: Vec<String> = records.iter().map(|record| record.dn.clone()).collect();
        dns.join("\n")
    })?;
    Ok(Exit::Done)
}

/// More than this is not taken in one go.
const MAX_LDIF: u64 = 256 * 1024 * 1024;

fn ldif_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_LDIF + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("the LDIF cannot be read from standard input: {error}")))?;
    if text.len() as u64 > MAX_LDIF {
        return Err(Failure::usage(format!("the LDIF on standard input is larger than {} MiB", MAX_LDIF >> 20)));
    }
    Ok(text)
}
