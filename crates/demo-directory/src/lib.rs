//! An embedded LDAP directory with a small company in it, for the demo and for tests.
//!
//! It speaks LDAPv3 over the codec of `bindery-ldap`: bind, search with every kind of filter and in pages,
//! compare, add, modify, delete, modify DN, Who Am I, Password Modify, and content synchronization on a log
//! of its changes. Entries live in memory and end with the process; passwords are hashed with one round.
//! It is never for production.
//!
//! ```
//! use bindery_demo_directory::{DemoDirectory, Options, company};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let directory = DemoDirectory::start(Options::company())?;
//! println!("{} with {} people in it", directory.url(), company::people().len());
//! directory.shutdown().await;
//! # Ok(()) }
//! ```

mod changes;
pub mod company;
mod crowd;
mod directory;
mod matching;
mod message;
mod node;
mod operations;
mod password;
mod root_dse;
mod schema;
mod server;
mod session;
mod tree;

pub use crowd::crowd;
pub use directory::Clock;
pub use server::Tls;

use bindery_ldap::ldif::{LdifError, parse_entries};
use bindery_ldap::{Dn, Entry};
use directory::Directory;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The most octets one message may take, where [`Options`] say nothing else.
const MAX_MESSAGE: usize = 16 << 20;

/// What is in the directory and how it is reached.
#[derive(Clone)]
pub struct Options {
    /// Where to listen. Port 0, the default on loopback, takes a free one.
    pub address: SocketAddr,
    /// The entries it begins with, parents before children or not. `userPassword` may be clear or `{SSHA256}`;
    /// `entryUUID`, `createTimestamp` and `modifyTimestamp` may come along.
    pub entries: Vec<Entry>,
    /// Who may change everything.
    pub administrators: Vec<Dn>,
    /// How connections are protected.
    pub tls: Tls,
    /// The most octets one message of a client may take.
    pub max_message: usize,
    /// The most entries a search returns in all, pages together, to anybody but administrators. 0 is no limit.
    pub size_limit: u32,
    /// How many characters a new password needs.
    pub min_password_length: usize,
    /// Where time stamps come from.
    pub clock: Clock,
    /// Where unique IDs and salts come from; none is the operating system.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            entries: Vec::new(),
            administrators: Vec::new(),
            tls: Tls::Off,
            max_message: MAX_MESSAGE,
            size_limit: 0,
            min_password_length: 1,
            clock: system_clock(),
            seed: None,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the edge: whoever needs another clock puts it into the options")]
fn system_clock() -> Clock {
    Arc::new(chrono::Utc::now)
}

impl Options {
    /// The built-in company, with its administrator. New passwords need eight characters.
    pub fn company() -> Self {
        Self {
            entries: company::entries(),
            administrators: company::administrators(),
            min_password_length: 8,
            ..Self::default()
        }
    }

    /// The entries of an LDIF text.
    pub fn from_ldif(text: &str) -> Result<Self, LdifError> {
        Ok(Self { entries: parse_entries(text)?, ..Self::default() })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("entries", &self.entries.len())
            .field("administrators", &self.administrators)
            .field("tls", &self.tls)
            .field("max_message", &self.max_message)
            .field("size_limit", &self.size_limit)
            .finish_non_exhaustive()
    }
}

/// Why the directory cannot begin with its entries.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One of the entries is not one that it can hold.
    #[error("the entry \"{dn}\" cannot be loaded: {reason}")]
    Entry {
        /// Its DN, as it was given.
        dn: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A directory that listens. Dropping it closes it without waiting for its connections.
#[derive(Debug)]
pub struct DemoDirectory {
    address: SocketAddr,
    scheme: &'static str,
    shutdown: CancellationToken,
    listening: Option<JoinHandle<()>>,
}

impl DemoDirectory {
    /// Loads the entries and listens. Must be called within a tokio runtime.
    pub fn start(options: Options) -> io::Result<Self> {
        let directory = Directory::new(&options).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let listener = std::net::TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let entries = directory.read().tree.len();
        tracing::info!(%address, entries, "demo directory listens");
        let shutdown = CancellationToken::new();
        let scheme = if matches!(options.tls, Tls::Implicit(_)) { "ldaps" } else { "ldap" };
        let listening =
            server::listen(Arc::new(directory), listener, options.tls, options.max_message, shutdown.clone());
        Ok(Self { address, scheme, shutdown, listening: Some(tokio::spawn(listening)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL: `ldap://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Says goodbye to every client, and waits until they are gone.
    pub async fn shutdown(mut self) {
        self.shutdown.cancel();
        if let Some(listening) = self.listening.take() {
            // A panic in there has been told of already.
            let _ = listening.await;
        }
    }
}

impl Drop for DemoDirectory {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
