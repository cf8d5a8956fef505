//! The configuration: one TOML file, environment overrides over it, everything checked before anything starts.
//!
//! [`Config::load`] reads it, or says everything that is wrong with it at once. Nothing here connects to anything,
//! and nothing that can be printed shows a secret.

mod bind;
mod env;
mod error;
mod expression;
mod features;
mod fields;
mod groups;
mod provisioning;
mod reader;
mod secret;
mod server;
mod source;
mod sync;
mod tls;
mod tree;
mod users;
mod values;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use bindery_store::StoreUrl;

pub use env::Environment;
pub use error::{ConfigError, ConfigErrors, ErrorKind, Place};
pub use features::Feature;
pub use server::{RemoteUserFormat, ServerSettings, SessionSettings, SignInSettings, Throttle};
pub use source::SourceConfig;
pub use sync::{PasswordSettings, RemovalLimit, Removed, SyncSettings};

use crate::name::Domain;
use reader::{Context, Section};
use tree::Node;

/// Reads a duration as the configuration writes them: `500ms`, `15s`, `1h30m`, `14d`.
///
/// # Errors
/// What was expected instead.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    values::duration(text)
}

/// Which of the known names somebody most likely meant who typed another one, if any is near enough.
///
/// ```
/// use bindery_core::config::meant;
///
/// let sources = ["corp".to_owned(), "branch".to_owned()];
/// assert_eq!(meant("Corq", &sources).as_deref(), Some("corp"));
/// assert_eq!(meant("elsewhere", &sources), None);
/// ```
pub fn meant(typed: &str, known: &[String]) -> Option<String> {
    reader::meant(typed, known)
}

/// Every key that is known, dotted from the top, in the order of the alphabet; `NAME` stands for the name of a source.
///
/// What the user names (fields, flags, groups) is not in it, nor are the keys of tables that stand for one value.
pub fn known_keys() -> Vec<String> {
    let environment = Environment::default();
    let (file, directory) = (Path::new("bindery.toml"), Path::new("/"));
    let context = Context::new(file, directory, &environment);
    let place = tree::At { place: Place::File, key: String::new() };
    let root = Node { at: place, kind: tree::Kind::Table(tree::Table::default()) };
    context.section(&root, |section| {
        let source = Node { at: section.at("sources"), kind: tree::Kind::Table(tree::Table::default()) };
        read(section, file);
        let at = tree::At { place: Place::File, key: format!("{}.NAME", source.at.key) };
        context.section(&Node { at, ..source }, |it| source::read("NAME", it, true));
    });
    context.asked()
}

/// How large a configuration file may be.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A configuration that is complete and checked. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// `[server]`.
    pub server: ServerSettings,
    /// `[store]`: its URL; never shows a password.
    pub store: StoreUrl,
    /// `[sessions]`.
    pub sessions: SessionSettings,
    /// `[sign_in]`.
    pub sign_in: SignInSettings,
    /// `[sources.…]`, in order of appearance: the order in which they are tried.
    pub sources: Vec<SourceConfig>,
}

impl Config {
    /// Reads a file and the environment's overrides.
    ///
    /// Blocks: it reads files, and runs the commands of `{ command = […] }`, each for at most ten seconds.
    ///
    /// # Errors
    /// Everything that is wrong, each with file, line and key, and never a value.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, ConfigErrors> {
        let unreadable = |problem: String| ConfigErrors::file(file, ErrorKind::Unreadable, problem);
        let size = std::fs::metadata(file).map_err(|error| unreadable(cannot_read(&error)))?.len();
        if size > MAX_FILE {
            return Err(unreadable(format!("is larger than {} MiB", MAX_FILE >> 20)));
        }
        let bytes = std::fs::read(file).map_err(|error| unreadable(cannot_read(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8".to_owned()))?;
        let text = zeroize::Zeroizing::new(text);
        Self::parse(&text, file, environment)
    }

    /// The same for a text that is at hand; `file` is what errors call it, and relative paths lie beside it.
    ///
    /// # Errors
    /// As [`Config::load`].
    ///
    /// ```
    /// use bindery_core::config::{Config, Environment};
    /// use std::path::Path;
    ///
    /// let environment = Environment::default();
    /// let wrong = Config::parse("[server]\nlisen = '[::1]:80'", Path::new("bindery.toml"), &environment);
    /// assert_eq!(
    ///     wrong.unwrap_err().to_string(),
    ///     "bindery.toml:2: server.lisen: unknown key; did you mean \"listen\"?"
    /// );
    /// ```
    pub fn parse(text: &str, file: &Path, environment: &Environment) -> Result<Self, ConfigErrors> {
        let directory =
            folder_of(file).map_err(|error| ConfigErrors::file(file, ErrorKind::Unreadable, cannot_read(&error)))?;
        let context = Context::new(file, &directory, environment);
        let mut root = match tree::parse_document(text) {
            Ok(root) => root,
            Err(errors) => {
                for error in errors {
                    let at = tree::At { place: Place::Line(error.line), key: error.key };
                    context.error(&at, ErrorKind::Syntax, format!("not TOML: {}", error.message));
                }
                return Err(ConfigErrors::new(context.into_errors()));
            }
        };
        env::apply(&mut root, environment);
        let config = context.section(&root, |section| read(section, file));
        let errors = context.into_errors();
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors::new(errors)),
        }
    }

    /// What typed names are split at.
    pub fn domains(&self) -> Vec<Domain<'_>> {
        let sources = self.sources.iter();
        let domain = sources.map(|it| Domain {
            slug: &it.slug,
            domain: it.domain.as_deref(),
            dns_domain: it.dns_domain.as_deref(),
        });
        domain.collect()
    }

    /// The source with this slug.
    pub fn source(&self, slug: &str) -> Option<&SourceConfig> {
        self.sources.iter().find(|source| source.slug == slug)
    }
}

fn cannot_read(error: &std::io::Error) -> String {
    format!("cannot read the configuration: {error}; name another file with --config")
}

/// The folder that relative paths start from.
fn folder_of(file: &Path) -> std::io::Result<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::path::absolute(folder.unwrap_or(Path::new(".")))
}

/// Reads everything. `None` is unreachable while the defaults are good; it stands for no store.
fn read(section: &Section<'_>, file: &Path) -> Option<Config> {
    let server = section.section("server", server::server);
    let store = section.section("store", server::store);
    let sessions = section.section("sessions", |it| server::sessions(it, &server));
    let sign_in = section.section("sign_in", server::sign_in);
    let defaults = section.get("defaults");
    let sources = section.section("sources", |it| sources(it, defaults, sign_in.lowercase_usernames));
    Some(Config { file: file.to_owned(), server, store: store?, sessions, sign_in, sources })
}

fn sources(section: &Section<'_>, defaults: Option<&Node>, lowercase_usernames: bool) -> Vec<SourceConfig> {
    let context = section.context;
    if let Some(defaults) = defaults {
        check_defaults(context, defaults);
    }
    let mut names = Names::default();
    let mut sources = Vec::new();
    for (slug, own) in section.entries() {
        if let Err(problem) = source::check_slug(slug) {
            context.invalid(&own.at, problem);
        }
        let errors_before = context.error_count();
        let merged = defaults.map_or_else(|| own.clone(), |defaults| tree::inherit(own, defaults));
        let read = context.section(&merged, |it| {
            names.claim(slug, it);
            source::read(slug, it, lowercase_usernames)
        });
        if read.is_none() && context.error_count() == errors_before {
            // A source is never left out in silence.
            context.invalid(&own.at, "the source cannot be used");
        }
        sources.extend(read);
    }
    sources
}

/// What is wrong in `[defaults]` by itself is a mistake even while no source inherits it. What is missing from it, or goes with
/// something else, is for the sources to say.
fn check_defaults(context: &Context<'_>, defaults: &Node) {
    if defaults.table().is_none() {
        context.wrong_type(defaults, "a table");
        return;
    }
    let scratch = Context::new(context.file, context.directory, context.environment);
    scratch.section(defaults, |it| source::read("defaults", it, true));
    let told = scratch
        .into_errors()
        .into_iter()
        .filter(|error| matches!(error.kind, ErrorKind::UnknownKey | ErrorKind::WrongType | ErrorKind::Invalid));
    context.push_all(told);
}

/// What must be one source's only, compared without regard to case. The two kinds of domain share one space:
/// either may stand before the backslash of a typed name.
#[derive(Default)]
struct Names {
    slugs: Vec<String>,
    domains: Vec<(String, String)>,
}

impl Names {
    fn claim(&mut self, slug: &str, section: &Section<'_>) {
        let folded = slug.to_lowercase();
        if self.slugs.contains(&folded) {
            let problem = "another source has the same name (compared without regard to case)";
            section.context.error(&section.at, ErrorKind::Conflict, problem);
        }
        self.slugs.push(folded);
        for key in ["domain", "dns_domain"] {
            let Some(name) = text(section, key).map(|name| name.to_lowercase()) else { continue };
            let taken = self.domains.iter().find(|(taken, other)| *taken == name && other != slug);
            if let Some((_, other)) = taken {
                let problem = format!("source \"{other}\" has the same domain (compared without regard to case)");
                section.context.error(&section.at(key), ErrorKind::Conflict, problem);
            }
            self.domains.push((name, slug.to_owned()));
        }
    }
}

fn text(section: &Section<'_>, key: &str) -> Option<String> {
    section.get(key)?.text().map(str::to_owned)
}
