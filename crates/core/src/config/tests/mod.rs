//! Tests of the configuration as a whole: a text in, a configuration or its errors out.

mod defaults;
mod documentation;
mod environment;
mod errors;
mod inheritance;
mod never_panics;
mod strings;

use std::path::Path;

use super::{Config, ConfigErrors, Environment, SourceConfig};

/// The least that a source needs.
const LEAST: &str = "
[sources.corp]
preset = 'openldap'
servers = ['ldaps://ldap.example.com']
base_dn = 'dc=example,dc=com'
";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("bindery.toml"), &Environment::default())
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("refused:\n{errors}"))
}

/// What is wrong, one error a line.
fn wrong(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("nothing was found wrong with:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// The only source of a configuration made of [`LEAST`] and more.
fn source(more: &str) -> SourceConfig {
    good(&format!("{LEAST}{more}")).sources.remove(0)
}
