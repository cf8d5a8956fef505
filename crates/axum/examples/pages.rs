//! All pages with made-up people and no directory: for whoever writes templates of their own.
//!
//! `cargo run -p bindery-axum --example pages [FOLDER]`, then sign in with the password `right horse` as `ann`,
//! or as `disabled`, `outsider`, `expired`, `must-change`, `throttled`, `down` to see how that ends.

#[path = "../tests/http/scripted.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::pedantic,
    reason = "written for the tests, which use all of it"
)]
mod scripted;

use bindery_axum::{Bindery, Demo, DemoPerson, settings::WebSettings};
use scripted::{PASSWORD, Scripted};
use std::{net::SocketAddr, time::Duration};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is what one runs an example for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = WebSettings { remember_me: Some(Duration::from_hours(14 * 24)), ..WebSettings::default() };
    let scripted = Scripted::default();
    scripted.set_changing_passwords();
    let person = |username: &str, about: &str| DemoPerson {
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
        about: about.to_owned(),
    };
    let mut builder =
        Bindery::builder(scripted, settings).home_page(true).banner("This is a demo with made-up people.").demo(Demo {
            note: "This is a demo with a made-up company, and nothing here is kept.".to_owned(),
            people: vec![
                person("ann", "An editor: groups, permissions, a full profile"),
                person("disabled", "Refused, and told why"),
                person("expired", "Has to change the password first"),
            ],
        });
    if let Some(folder) = std::env::args().nth(1) {
        builder = builder.templates(folder);
    }
    let bindery = builder.build()?;
    let app = bindery.routes::<()>().fallback(move |request| async move { bindery.not_found(request).await });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
