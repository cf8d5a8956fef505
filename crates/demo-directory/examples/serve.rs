//! Serves the company until interrupted, for a look with other clients:
//! `cargo run -p bindery-demo-directory --example serve`, then `ldapsearch -H ldap://127.0.0.1:3890 …`.
#![allow(clippy::print_stdout, reason = "it tells where it listens")]

use bindery_demo_directory::{DemoDirectory, Options, company, crowd};
use bindery_ldap::Dn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options { address: "127.0.0.1:3890".parse()?, ..Options::company() };
    if let Some(people) = std::env::args().nth(1) {
        options.entries.extend(crowd(&Dn::parse("dc=crowd,dc=example")?, people.parse()?, 50));
    }
    let directory = DemoDirectory::start(options)?;
    println!("{}  bind as {} with \"{}\"", directory.url(), company::SERVICE_DN, company::SERVICE_PASSWORD);
    tokio::signal::ctrl_c().await?;
    directory.shutdown().await;
    Ok(())
}
