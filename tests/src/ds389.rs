//! 389 Directory Server on free ports, with the people of `data/people.ldif` in it unless told otherwise.
//!
//! `ns-slapd` runs as an ordinary process of whoever runs the test: its folder is made from the packaged template,
//! without `dscreate`, which wants root and systemd.

mod config;

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::ca::Ca;
use crate::clients::Clients;
use crate::net::{free_port, wait_for_port, wait_until};
use crate::process::{self, Server, folder};
use crate::slapd::PEOPLE;

const POLICY: &str = include_str!("../data/ds389-policy.ldif");

/// A running 389-DS, with the clients of its directory manager. Ends when dropped.
#[derive(Debug)]
pub struct Ds389 {
    server: Option<Server>,
    clients: Clients,
    ports: Ports,
    ca: Ca,
    folder: tempfile::TempDir,
}

/// How a [`Ds389`] is to be.
#[derive(Debug, Clone, Default)]
pub struct Ds389Builder {
    ldif: Vec<String>,
    memberof: bool,
    content_sync: bool,
    policy: Option<u32>,
    access: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    ldap: u16,
    ldaps: u16,
}

impl Ds389Builder {
    /// Adds entries to those of `people.ldif`.
    #[must_use]
    pub fn ldif(mut self, ldif: &str) -> Self {
        self.ldif.push(ldif.to_owned());
        self
    }

    /// The plugin that keeps `memberOf` on members, of nested groups too.
    #[must_use]
    pub fn memberof(mut self) -> Self {
        self.memberof = true;
        self
    }

    /// The Content Synchronization plugin, the provider side of RFC 4533, and the retro changelog that it needs.
    #[must_use]
    pub fn content_sync(mut self) -> Self {
        self.content_sync = true;
        self
    }

    /// A global password policy: lockout for good after so many failures, at least eight characters, passwords that
    /// expire, and the people `locked`, `disabled`, `mustchange` and `expired`.
    #[must_use]
    pub fn policy(mut self, max_failure: u32) -> Self {
        self.policy = Some(max_failure);
        self
    }

    /// One more ACI of the suffix, as `(targetattr="mail")(version 3.0; acl "x"; deny (read) userdn="ldap:///all";)`.
    #[must_use]
    pub fn access(mut self, aci: &str) -> Self {
        self.access.push(aci.to_owned());
        self
    }

    /// Starts it. It accepts connections and has its entries when this returns.
    pub fn start(self) -> Ds389 {
        let folder = folder("ds389");
        let ca = Ca::new(folder.path());
        config::write(&self, folder.path(), &ca);
        let clients = Clients::default();
        let mut server = Ds389 { server: None, clients, ports: Ports { ldap: 0, ldaps: 0 }, ca, folder };
        server.first_start();
        server.clients = Clients {
            url: server.url(),
            dn: Ds389::ROOT_DN.to_owned(),
            password: Ds389::ROOT_PASSWORD,
            suffix: Ds389::SUFFIX.to_owned(),
        };
        server.ldapadd(&[PEOPLE, &self.ldif.join("\n\n")].join("\n\n"));
        server.ldapmodify(&config::access(&self.access));
        if let Some(max_failure) = self.policy {
            server.ldapmodify(&POLICY.replace("@MAX_FAILURE@", &max_failure.to_string()));
        }
        server
    }
}

impl Deref for Ds389 {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

impl Ds389 {
    /// The suffix.
    pub const SUFFIX: &str = "dc=example,dc=test";
    /// A service account that may read everything but passwords.
    pub const SYNC_DN: &str = "cn=sync,ou=services,dc=example,dc=test";
    /// Its password.
    pub const SYNC_PASSWORD: &str = "sync-secret";
    /// A service account that cannot see `ou=groups`. Its password is `blind-secret`.
    pub const BLIND_DN: &str = "cn=blind,ou=services,dc=example,dc=test";
    /// The DN that no rule of access holds for.
    pub const ROOT_DN: &str = "cn=Directory Manager";
    /// Its password.
    pub const ROOT_PASSWORD: &str = "root-secret";

    /// A 389-DS with `people.ldif`.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A 389-DS to be told more about.
    pub fn builder() -> Ds389Builder {
        Ds389Builder::default()
    }

    /// `ldap://127.0.0.1:PORT`, which also takes STARTTLS.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.ports.ldap)
    }

    /// `ldaps://localhost:PORT`, with a certificate of [`Ds389::ca_pem`].
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://localhost:{}", self.ports.ldaps)
    }

    /// The port of [`Ds389::url`].
    pub fn port(&self) -> u16 {
        self.ports.ldap
    }

    /// The file of the certificate of the CA that signed the server's.
    pub fn ca_pem(&self) -> PathBuf {
        self.ca.pem_path()
    }

    /// Stops it: connections are refused from now on.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate(Duration::from_secs(20));
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same ports, with the entries it had.
    pub fn restart(&mut self) {
        self.stop();
        assert!(wait_until(Duration::from_secs(30), || self.serve()), "ns-slapd does not start again:\n{}", self.log());
    }

    /// Holds it still: connections are accepted by the kernel, and nothing answers (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// What it printed, and its error log.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("output"), read("log/errors"))
    }

    fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("ns-slapd is running").signal(signal);
    }

    fn first_start(&mut self) {
        for _ in 0..5 {
            self.ports = Ports { ldap: free_port(), ldaps: free_port() };
            config::listen_on(self.folder.path(), self.ports.ldap, self.ports.ldaps);
            if self.serve() {
                return;
            }
        }
        panic!("ns-slapd does not start:\n{}", self.log());
    }

    fn serve(&mut self) -> bool {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("output")).expect("make a log file");
        let mut command = Command::new(process::program("ns-slapd", &["/usr/sbin"], "389-ds-base"));
        command.args(["-d", "0", "-D"]).arg(folder.join("config")).arg("-i").arg(folder.join("run/pid"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share the log file")).stderr(log);
        let mut server = Server::spawn(&mut command, folder).expect("run ns-slapd");
        let ports = [self.ports.ldap, self.ports.ldaps];
        let ready = wait_until(Duration::from_mins(1), || {
            server.status().is_some() || ports.iter().all(|&port| wait_for_port(port, Duration::ZERO))
        });
        let ready = ready && server.status().is_none();
        self.server = ready.then_some(server);
        ready
    }
}
