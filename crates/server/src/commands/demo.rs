//! `bindery demo`: an embedded directory with a small company in it, SQLite in a temporary folder,
//! and the server. Everything is gone when it ends.

use crate::cli::Cli;
use crate::context;
use crate::exit::{Exit, Failure, chain};
use crate::output;
use crate::server::{self, Metrics, Server};
use bindery_axum::{Demo, DemoPerson};
use bindery_core::Engine;
use bindery_core::config::Config;
use bindery_core::reconcile::group_key;
use bindery_demo_directory::company::{self, Person, Standing};
use bindery_demo_directory::{DemoDirectory, Options};
use bindery_store::{Change, GroupRef, NewGroup, Owner, Plan};
use clap::Args;
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

const NOTE: &str = "This is a demo. Larkspur Press does not exist, and everything here is gone when the program ends.";

/// Whose members may do everything.
const SUPERUSERS: &str = "it-admins";

/// What members of a group may do in the demo, so that there is something to see.
const PERMISSIONS: &[(&str, &[&str])] = &[
    ("editors", &["books.edit_manuscript", "books.publish_title"]),
    ("author-relations", &["authors.view_contract"]),
    ("finance", &["authors.view_contract", "finance.approve_royalty"]),
    (SUPERUSERS, &["systems.restart_service"]),
];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The port to listen on; 0 takes any that is free. Default: 8080, or any where that is taken.
    #[arg(long)]
    port: Option<u16>,
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let failed = |what: &str, error: &dyn std::error::Error| Failure::unavailable(format!("{what}: {}", chain(error)));
    let metrics = Metrics::start()?;
    let folder = tempfile::Builder::new().prefix("bindery-demo-").tempdir();
    let folder = folder.map_err(|error| failed("no temporary folder could be made", &error))?;
    let directory =
        DemoDirectory::start(Options::company()).map_err(|error| failed("the demo directory did not start", &error))?;
    let listener = listen(arguments.port).await?;
    let bound = listener.local_addr().map_err(|error| failed("no address", &error))?;

    let config = configure(folder.path(), &directory.url(), bound)?;
    let engine = context::engine(&config).await?;
    grant(&engine).await?;
    let pages = server::pages(&engine, &config).await?.site("Larkspur Press").banner(NOTE).demo(hints());
    let bindery = pages.build().map_err(|error| failed("the pages could not be made", &error))?;

    let report = Report::new(bound, &directory.url(), &config.file);
    output::report(cli.format, &report, |_| welcome(bound, &directory.url(), &config.file))?;
    let server = Server { engine, bindery, metrics, config_file: Some(config.file) };
    server.run(listener).await?;
    directory.shutdown().await;
    Ok(Exit::Done)
}

/// The port that was asked for; otherwise the usual one, or any.
async fn listen(port: Option<u16>) -> Result<TcpListener, Failure> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => server::listen(address(port)).await,
        None => match TcpListener::bind(address(8080)).await {
            Ok(listener) => Ok(listener),
            Err(_) => server::listen(address(0)).await,
        },
    }
}

/// Writes the configuration that the server runs with, so that commands in another window can use it too.
fn configure(folder: &Path, directory: &str, bound: SocketAddr) -> Result<Config, Failure> {
    let file = folder.join("bindery.toml");
    let text = format!(
        r#"# The demo's configuration. A real one differs in servers, bind and names.
[server]
listen = "{bound}"
public_url = "http://localhost:{port}"

[store]
url = "sqlite:bindery.db"

[sessions]
remember_me = "14d"

[sources.larkspur]
preset = "openldap"
servers = ["{directory}"]
base_dn = "{base}"

[sources.larkspur.bind]
method = "simple"
dn = "{service}"
password = "{password}"

[sources.larkspur.users]
base_dn = ["{people}"]

[sources.larkspur.users.attributes]
title = "title"
department = "departmentNumber"
employee_number = "employeeNumber"
employee_type = "employeeType"
phone = "telephoneNumber"

[sources.larkspur.groups]
base_dn = ["{groups}"]
mirror = true

[sources.larkspur.access]
require = {{ any = ["all-staff", "contractors"] }}

[sources.larkspur.flags]
is_superuser = "{superusers}"
is_staff = "managers"

[sources.larkspur.provisioning]
refresh_after = "5s"
"#,
        port = bound.port(),
        base = company::BASE_DN,
        service = company::SERVICE_DN,
        password = company::SERVICE_PASSWORD,
        people = company::PEOPLE_DN,
        groups = company::GROUPS_DN,
        superusers = SUPERUSERS,
    );
    std::fs::write(&file, text)
        .map_err(|error| Failure::unavailable(format!("{} cannot be written: {error}", file.display())))?;
    context::load(&file)
}

async fn grant(engine: &Engine) -> Result<(), Failure> {
    let mut changes = Vec::new();
    for (name, permissions) in PERMISSIONS {
        let key = group_key(name);
        let group =
            NewGroup { id: engine.new_id(), name: (*name).to_owned(), name_key: key.clone(), owner: Owner::Hand };
        changes.push(Change::CreateGroup(group));
        changes.extend(permissions.iter().map(|permission| Change::Grant {
            group: GroupRef::Key(key.clone()),
            permission: (*permission).to_owned(),
        }));
    }
    engine.store().apply(&Plan::from(changes), engine.now()).await?;
    Ok(())
}

fn hints() -> Demo {
    let people = people().into_iter().map(|person| DemoPerson {
        username: person.username.clone(),
        password: person.password.to_owned(),
        about: about(&person),
    });
    Demo { note: NOTE.to_owned(), people: people.collect() }
}

/// A few who show something: a superuser, an editor, and those who are refused.
fn people() -> Vec<Person> {
    let all = company::people();
    let in_group = |name: &str| {
        all.iter().find(|person| person.standing == Standing::Good && person.groups.iter().any(|group| group == name))
    };
    let refused = [Standing::Disabled, Standing::Locked, Standing::Expired];
    let refused = refused.iter().filter_map(|standing| all.iter().find(|person| person.standing == *standing));
    let mut shown: Vec<Person> = Vec::new();
    for person in ["managers", "editors", SUPERUSERS, "contractors"].into_iter().filter_map(in_group).chain(refused) {
        if !shown.contains(person) {
            shown.push(person.clone());
        }
    }
    shown
}

/// As `flags` of the configuration says.
fn is_superuser(person: &Person) -> bool {
    person.groups.iter().any(|group| group == SUPERUSERS)
}

fn about(person: &Person) -> String {
    let name = format!("{}, {}", person.name, person.title);
    match person.standing {
        Standing::Good if is_superuser(person) => format!("{name}; a superuser, who sees everybody under People"),
        Standing::Good => name,
        Standing::Disabled => format!("{name}: disabled in the directory"),
        Standing::Locked => format!("{name}: locked after wrong passwords"),
        Standing::Expired => format!("{name}: their account has ended"),
    }
}

/// What there is, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    url: String,
    config: PathBuf,
    directory: String,
    people: Vec<DemoPerson>,
}

impl Report {
    fn new(bound: SocketAddr, directory: &str, config: &Path) -> Self {
        Self {
            url: format!("http://localhost:{}", bound.port()),
            config: config.to_owned(),
            directory: directory.to_owned(),
            people: hints().people,
        }
    }
}

fn welcome(bound: SocketAddr, directory: &str, config: &Path) -> String {
    let superuser = people().into_iter().find(is_superuser).map_or_else(String::new, |person| person.username);
    let rows: Vec<_> = people().iter().map(|p| vec![p.username.clone(), p.password.to_owned(), about(p)]).collect();
    let people = output::table(&["user", "password", "who"], &rows);
    let (port, config) = (bound.port(), config.display());
    let binary = std::env::current_exe().map_or_else(|_| "bindery".to_owned(), |path| path.display().to_string());
    let (admin, password) = (company::ADMIN_DN, company::ADMIN_PASSWORD);
    format!(
        "\n  Bindery demo: http://localhost:{port}\n\n{people}\n\
         Signed in as {superuser}, see who there is at http://localhost:{port}/admin/users, and shut somebody out:\n\
         whoever that is, their next request is refused.\n\n\
         Things to try in another window:\n\n\
         \x20 {binary} --config {config} explain ann\n\
         \x20 {binary} --config {config} check\n\
         \x20 curl -s -H 'Content-Type: application/json' \\\n\
         \x20   -d '{{\"username\":\"ann\",\"password\":\"demo\"}}' http://localhost:{port}/login\n\n\
         The directory is at {directory} (administrator: {admin}, password: {password}).\n\
         Change somebody there, and within five seconds their next request knows.\n\n\
         Ctrl-C ends it; nothing is kept.\n\n"
    )
}
