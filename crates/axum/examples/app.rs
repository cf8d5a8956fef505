//! An app of one's own with sign-in: `cargo run -p bindery-axum --example app`, then open the printed address.
//!
//! The directory is the demo's, so that this runs anywhere; with a real one, `bindery.toml` is all that changes.

use axum::{Router, routing::get};
use bindery_axum::{Bindery, CurrentUser};
use bindery_core::{
    Engine, SystemClock, SystemEntropy,
    config::{Config, Environment},
};
use bindery_demo_directory::{DemoDirectory, Options, company};
use bindery_store::Store;
use std::{error::Error, net::SocketAddr, path::Path, sync::Arc};

async fn greet(user: Option<CurrentUser>) -> String {
    match user {
        Some(user) => format!("Hello {}! You are in {}.", user.full_name(), user.groups.join(", ")),
        None => "Hello stranger! See /auth/login, or try /staff.".to_owned(),
    }
}

async fn staff(user: CurrentUser) -> String {
    format!("Hello {}, this is for editors.", user.username)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is what one runs an example for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = DemoDirectory::start(Options::company())?;
    let config = configuration(&directory)?;
    let store = Store::open(&config.store).await?;
    let engine = Engine::new(store, &config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new());

    // From here on it is what any app would write.
    let bindery = Bindery::builder(engine, &config).mount("/auth").site("My app").build()?;
    let app = Router::new()
        .route("/staff", get(staff).layer(bindery.require_group("editors")))
        .route("/", get(greet))
        .layer(bindery.layer())
        .merge(bindery.routes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/ (people: ann, tobias …; password: {})", listener.local_addr()?, company::PASSWORD);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

fn configuration(directory: &DemoDirectory) -> Result<Config, Box<dyn Error>> {
    let text = format!(
        r#"
        [store]
        url = "sqlite::memory:"
        [sources.larkspur]
        preset = "openldap"
        servers = ["{}"]
        base_dn = "{}"
        bind = {{ method = "simple", dn = "{}", password = "{}" }}
        groups = {{ mirror = true }}
        "#,
        directory.url(),
        company::BASE_DN,
        company::SERVICE_DN,
        company::SERVICE_PASSWORD
    );
    Ok(Config::parse(&text, Path::new("bindery.toml"), &Environment::default())?)
}
