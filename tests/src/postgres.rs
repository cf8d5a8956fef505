//! PostgreSQL: one cluster for a test run, a fresh database for each test.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::net::{free_port, wait_until};
use crate::process::{self, Server, command_as, folder, is_root};

/// The variable that `scripts/test` sets to the URL of a cluster which the whole run shares, as
/// `postgres://postgres@127.0.0.1:5433`.
const SHARED: &str = "BINDERY_TEST_POSTGRES";

/// A PostgreSQL cluster without a password, on loopback.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    own: Option<Mutex<Own>>,
}

/// A cluster that this process started.
#[derive(Debug)]
struct Own {
    server: Option<Server>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// The cluster that tests share: that of the run when there is one, else one of this process.
    pub fn start() -> &'static Self {
        static CLUSTER: OnceLock<Postgres> = OnceLock::new();
        CLUSTER.get_or_init(|| match std::env::var(SHARED) {
            Ok(url) => Self { url: url.trim_end_matches('/').to_owned(), own: None },
            Err(_) => Self::own(),
        })
    }

    /// A cluster of the test's own, which it may stop and start (takes a second or two).
    pub fn own() -> Self {
        let folder = folder("postgres");
        if is_root() {
            let id = |flag| process::run(Command::new("id").args([flag, "postgres"]), None).trim().parse().ok();
            std::os::unix::fs::chown(folder.path(), id("-u"), id("-g")).expect("give the folder to postgres");
        }
        let data = folder.path().join("data");
        process::run(
            command_as("postgres", tool("initdb"))
                .arg("-D")
                .arg(&data)
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-N"])
                .current_dir(folder.path()),
            None,
        );
        let mut own = Own { server: None, port: 0, folder };
        for _ in 0..5 {
            own.port = free_port();
            if own.serve() {
                let url = format!("postgres://postgres@127.0.0.1:{}", own.port);
                return Self { url, own: Some(Mutex::new(own)) };
            }
        }
        panic!("PostgreSQL does not start:\n{}", own.log());
    }

    /// Makes an empty database and returns its URL.
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}_{:08x}", std::process::id(), random());
        self.sql(&format!("CREATE DATABASE {name}"));
        format!("{}/{name}", self.url)
    }

    /// The URL of the cluster, without a database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements in the `postgres` database, and returns what they print, unaligned.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in(&format!("{}/postgres", self.url), statements)
    }

    /// Runs statements in the database of this URL.
    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        process::run(
            Command::new(tool("psql")).args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statements,
                database,
            ]),
            None,
        )
    }

    /// Kills it as a power cut would. Only for a cluster of the test's own.
    pub fn kill(&self) {
        self.with_own(|own| own.server = None);
    }

    /// Starts it again, on the same port and with the same data.
    pub fn restart(&self) {
        self.with_own(|own| {
            own.server = None;
            assert!(own.serve(), "PostgreSQL does not start again:\n{}", own.log());
        });
    }

    /// Holds it still, as a machine that hangs (SIGSTOP).
    pub fn pause(&self) {
        self.with_own(|own| own.signal(Signal::STOP));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.with_own(|own| own.signal(Signal::CONT));
    }

    fn with_own(&self, act: impl FnOnce(&mut Own)) {
        let own = self.own.as_ref().expect("a shared cluster cannot be stopped: use Postgres::own()");
        act(&mut own.lock().expect("no other thread panicked"));
    }
}

impl Own {
    fn serve(&mut self) -> bool {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("make a log file");
        // What a killed one left would refuse the new one for a while.
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
        let mut command = command_as("postgres", tool("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "full_page_writes=off", "-c", "max_connections=300"])
            .args(["-c", "max_wal_size=256MB", "-c", "autovacuum_naptime=60"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log file"))
            .stderr(log);
        let mut server = Server::spawn(&mut command, self.folder.path()).expect("run postgres");
        let ready = wait_until(Duration::from_secs(30), || server.status().is_some() || self.answers())
            && server.status().is_none();
        self.server = ready.then_some(server);
        ready
    }

    fn answers(&self) -> bool {
        let arguments = ["-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-t", "2", "-p"];
        let ready = Command::new(tool("pg_isready")).args(arguments).arg(self.port.to_string()).status();
        ready.is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn signal(&self, signal: Signal) {
        // Its back ends are groups of their own, so each is told.
        let Some(server) = &self.server else { return };
        let parent = server.id().to_string();
        let children = process::output(Command::new("pgrep").args(["-P", &parent]), None).1;
        let name = if signal == Signal::STOP { "-STOP" } else { "-CONT" };
        let ids = children.split_whitespace().chain([parent.as_str()]);
        let _ = process::output(Command::new("kill").arg(name).args(ids), None);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Where a PostgreSQL program lies: Debian keeps them out of PATH, by version.
fn tool(name: &str) -> PathBuf {
    static FOLDER: OnceLock<Option<String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max()?;
        Some(format!("/usr/lib/postgresql/{newest}/bin"))
    });
    process::program(name, &folder.iter().map(String::as_str).collect::<Vec<_>>(), "postgresql")
}

fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u32::try_from(hash & 0xffff_ffff).expect("masked")
}
