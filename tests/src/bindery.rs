//! The `bindery` binary with a configuration of the test's own, as a command and as a server.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::net::{free_port, wait_until};
use crate::process::{self, Server, folder};

/// A folder with a `bindery.toml` in it.
#[derive(Debug)]
pub struct Bindery {
    folder: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running `bindery serve`. Ends when dropped.
#[derive(Debug)]
pub struct Serving {
    server: Server,
    port: u16,
    log: PathBuf,
}

impl Bindery {
    /// Writes the configuration into a folder of its own, where its relative paths point to.
    pub fn new(config: &str) -> Self {
        let bindery = Self { folder: folder("bindery") };
        bindery.configure(config);
        bindery
    }

    /// Replaces the configuration file.
    pub fn configure(&self, config: &str) {
        self.write("bindery.toml", config);
    }

    /// Writes another file into the folder.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("write a file");
        path
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a command to its end, with this on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let (status, stdout, stderr) = process::output(self.command().args(arguments), Some(input.as_bytes()));
        Output { code: status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Runs a command with `--format json`.
    pub fn json(&self, arguments: &[&str]) -> Output {
        self.run(&[&["--format", "json"], arguments].concat())
    }

    /// `bindery login USER --password-stdin --format json`.
    pub fn login(&self, user: &str, password: &str) -> Output {
        self.run_with(&["login", "--password-stdin", "--format", "json", "--", user], password)
    }

    /// `bindery explain USER --format json`.
    pub fn explain(&self, user: &str) -> Output {
        self.run(&["explain", "--format", "json", "--", user])
    }

    /// The binary with this configuration, to be given arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(self.path()).env("NO_COLOR", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BINDERY_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the server on a free port, whatever `listen` says. It answers `/readyz` when this returns.
    pub fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// Starts the server with these variables in its environment.
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Serving {
        let mut log = PathBuf::new();
        for attempt in 0..5 {
            let port = free_port();
            log = self.path().join(format!("serve-{port}-{attempt}.log"));
            let file = std::fs::File::create(&log).expect("make a log file");
            let mut command = self.command();
            command
                .arg("serve")
                .env("BINDERY__SERVER__LISTEN", format!("127.0.0.1:{port}"))
                .envs(environment.iter().copied())
                .stdin(Stdio::null())
                .stdout(file.try_clone().expect("share the log file"))
                .stderr(file);
            let server = Server::spawn(&mut command, self.path()).expect("run bindery");
            let mut serving = Serving { server, port, log: log.clone() };
            let ready = || serving.server.status().is_some() || http_status(port, "/readyz") == Some(200);
            if wait_until(Duration::from_secs(30), ready) && serving.server.status().is_none() {
                return serving;
            }
        }
        panic!("bindery serve does not start:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }
}

impl Output {
    /// Standard output as JSON.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON on stdout ({error}): {self:?}"))
    }

    /// `outcome` and `reason`, joined by a space where there is a reason.
    pub fn outcome(&self) -> String {
        let value = self.value();
        let outcome = value["outcome"].as_str().unwrap_or("?");
        value["reason"].as_str().map_or_else(|| outcome.to_owned(), |reason| format!("{outcome} {reason}"))
    }
}

impl Serving {
    /// `http://127.0.0.1:PORT`, followed by the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// A client with a cookie jar, that follows no redirect and knows no proxy.
    pub fn client(&self) -> reqwest::Client {
        reqwest::Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("make an HTTP client")
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Has it read its configuration again (SIGHUP).
    pub fn reload(&self) {
        self.server.signal(Signal::HUP);
    }

    /// Ends it with SIGTERM, and answers how it ended.
    pub fn stop(mut self) -> Option<ExitStatus> {
        self.server.terminate(Duration::from_secs(20))
    }

    /// Kills it, as a power cut would.
    pub fn kill(mut self) {
        self.server.kill();
    }
}

/// The binary that was built beside this test: `target/debug/bindery`, or what `BINDERY_BIN` names.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BINDERY_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("the test's own path");
    own.ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("bindery"))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no bindery beside {}: run `cargo build` first (scripts/test does)", own.display()))
}

/// The status of a GET, over a connection of its own.
fn http_status(port: u16, path: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
