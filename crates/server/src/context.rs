//! What most commands begin with: the configuration, the store, the engine.

use crate::cli::Cli;
use crate::exit::Failure;
use bindery_core::config::{self, Config, Environment};
use bindery_core::engine::ActiveSource;
use bindery_core::{Engine, SystemClock, SystemEntropy};
use bindery_store::Store;
use std::path::Path;
use std::sync::Arc;

/// Reads the configuration; nothing starts with a bad one.
pub(crate) fn config(cli: &Cli) -> Result<Config, Failure> {
    load(&cli.config)
}

/// The same for a file.
pub(crate) fn load(file: &Path) -> Result<Config, Failure> {
    Ok(Config::load(file, &Environment::of_process())?)
}

/// The engine over the configured store and sources. Connects to no directory yet.
pub(crate) async fn engine(config: &Config) -> Result<Engine, Failure> {
    let store = Store::open(&config.store).await?;
    Ok(Engine::new(store, config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new()))
}

/// Configuration and engine.
pub(crate) async fn open(cli: &Cli) -> Result<(Config, Engine), Failure> {
    let config = config(cli)?;
    let engine = engine(&config).await?;
    Ok((config, engine))
}

/// A source by its slug, or a failure that names those there are.
pub(crate) fn source(engine: &Engine, slug: &str) -> Result<Arc<ActiveSource>, Failure> {
    engine.source(slug).ok_or_else(|| no_source(slug, engine.sources().iter().map(|source| source.slug.as_str())))
}

/// No source is called that.
pub(crate) fn no_source<'a>(slug: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<String> = known.map(str::to_owned).collect();
    Failure::usage(format!("no source is called {slug:?}; configured: {}{}", known.join(", "), meant(slug, &known)))
}

/// No source of the file is called that, and whether one of the store is, nobody can tell.
pub(crate) fn no_source_of_the_file(config: &Config, slug: &str, store: &Failure) -> Failure {
    let known: Vec<String> = config.sources.iter().map(|source| source.slug.clone()).collect();
    let there = match known.as_slice() {
        [] => "there is none".to_owned(),
        [one] => format!("there is {one}"),
        several => format!("there are {}{}", several.join(", "), meant(slug, several)),
    };
    Failure::unavailable(format!(
        "no source of the file is called {slug:?} ({there}); the store could not be asked: {}",
        store.message()
    ))
}

fn meant(slug: &str, known: &[String]) -> String {
    config::meant(slug, known).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// A source for work that needs nothing but its directory. One of the file needs no store.
pub(crate) async fn directory(cli: &Cli, slug: &str) -> Result<Arc<ActiveSource>, Failure> {
    let config = config(cli)?;
    if let Some(own) = config.sources.iter().find(|source| source.slug == slug) {
        return Ok(Arc::new(ActiveSource::new(own)));
    }
    match engine(&config).await {
        Ok(engine) => source(&engine, slug),
        Err(failure) if failure.is_unavailable() => Err(no_source_of_the_file(&config, slug, &failure)),
        Err(failure) => Err(failure),
    }
}

/// Longer ones are a file piped in by mistake.
const LONGEST_PASSWORD: u64 = 16 * 1024 * 1024;

/// A password from standard input, to its end; one trailing newline is dropped.
pub(crate) fn password_from_stdin() -> Result<secrecy::SecretString, Failure> {
    use std::io::Read;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let read = std::io::stdin().take(LONGEST_PASSWORD + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("the password cannot be read from standard input: {error}")))?;
    if bytes.len() as u64 > LONGEST_PASSWORD {
        return Err(Failure::usage("what comes on standard input is too long for a password; was a file meant?"));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Failure::usage("the password on standard input is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(text.to_owned().into())
}
