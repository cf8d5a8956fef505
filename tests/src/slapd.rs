//! OpenLDAP's slapd on free ports, with the people of `data/people.ldif` in it unless told otherwise.

mod config;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::ca::{Ca, Issued};
use crate::clients::Clients;
use crate::net::{free_port, wait_for_port, wait_until};
use crate::process::{self, Server, folder};

/// The people and groups that a [`Slapd`] starts with: everybody's password is their uid and `-secret`.
pub const PEOPLE: &str = include_str!("../data/people.ldif");
const POSIX_NIS: &str = include_str!("../data/posix-nis.ldif");
const POSIX_BIS: &str = include_str!("../data/posix-bis.ldif");
const PPOLICY: &str = include_str!("../data/ppolicy.ldif");

/// A running slapd, with the clients of its root DN over `ldapi://`. Ends when dropped.
#[derive(Debug)]
pub struct Slapd {
    server: Option<Server>,
    clients: Clients,
    ports: Ports,
    suffix: String,
    ca: Ca,
    folder: tempfile::TempDir,
}

/// How a [`Slapd`] is to be.
#[derive(Debug, Clone)]
pub struct SlapdBuilder {
    suffix: String,
    ldif: Vec<String>,
    people: bool,
    memberof: bool,
    refint: bool,
    ppolicy: Option<u32>,
    syncprov: bool,
    rfc2307bis: bool,
    anonymous: bool,
    plaintext: bool,
    client_certs: Option<&'static str>,
    names: Vec<String>,
    size_limit: u32,
    global: Vec<String>,
    access: Vec<String>,
    database: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    ldap: u16,
    ldaps: u16,
}

impl Default for SlapdBuilder {
    fn default() -> Self {
        Self {
            suffix: Slapd::SUFFIX.to_owned(),
            ldif: Vec::new(),
            people: true,
            memberof: false,
            refint: false,
            ppolicy: None,
            syncprov: false,
            rfc2307bis: false,
            anonymous: false,
            plaintext: true,
            client_certs: None,
            names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            size_limit: 500,
            global: Vec::new(),
            access: Vec::new(),
            database: Vec::new(),
        }
    }
}

impl SlapdBuilder {
    /// Another suffix than `dc=example,dc=test`. The LDIF must bring all entries then, its top included.
    #[must_use]
    pub fn suffix(mut self, suffix: &str) -> Self {
        suffix.clone_into(&mut self.suffix);
        self.people = false;
        self
    }

    /// Adds entries to those of `people.ldif`.
    #[must_use]
    pub fn ldif(mut self, ldif: &str) -> Self {
        self.ldif.push(ldif.to_owned());
        self
    }

    /// Leaves `people.ldif` out: the LDIF given brings everything, the suffix entry included.
    #[must_use]
    pub fn without_people(mut self) -> Self {
        self.people = false;
        self
    }

    /// The overlay that keeps `memberOf` on the members of `groupOfNames`.
    #[must_use]
    pub fn memberof(mut self) -> Self {
        self.memberof = true;
        self
    }

    /// The overlay that takes DNs of deleted and renamed entries out of groups.
    #[must_use]
    pub fn refint(mut self) -> Self {
        self.refint = true;
        self
    }

    /// The password policy overlay, with `ppolicy.ldif`: lockout for good after so many failures, at least
    /// eight characters, and the people `locked`, `mustchange` and `expired`.
    #[must_use]
    pub fn ppolicy(mut self, max_failure: u32) -> Self {
        self.ppolicy = Some(max_failure);
        self
    }

    /// The provider side of RFC 4533.
    #[must_use]
    pub fn syncprov(mut self) -> Self {
        self.syncprov = true;
        self
    }

    /// The later RFC 2307 schema, in which `posixGroup` is auxiliary and groups have DNs as members too.
    #[must_use]
    pub fn rfc2307bis(mut self) -> Self {
        self.rfc2307bis = true;
        self
    }

    /// Lets anonymous clients bind and read.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Refuses everything that is not protected by TLS (result 13, except over ldapi).
    #[must_use]
    pub fn require_tls(mut self) -> Self {
        self.plaintext = false;
        self
    }

    /// Asks clients for certificates: `demand`, `try` or `allow`, as `TLSVerifyClient` takes them.
    ///
    /// A certificate whose subject is `cn=NAME` acts as `cn=NAME,ou=services,SUFFIX` after a bind with EXTERNAL.
    #[must_use]
    pub fn client_certs(mut self, verify: &'static str) -> Self {
        self.client_certs = Some(verify);
        self
    }

    /// The names and addresses of the server's certificate, instead of localhost and its addresses.
    #[must_use]
    pub fn certificate_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// How many entries one search gets at most (500, as packaged). `cn=sync` has no limit, `cn=limited` has.
    #[must_use]
    pub fn size_limit(mut self, entries: u32) -> Self {
        self.size_limit = entries;
        self
    }

    /// A line of slapd.conf before the database, as `idletimeout 1`.
    #[must_use]
    pub fn global(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// An `access to …` line, before the usual ones.
    #[must_use]
    pub fn access(mut self, line: &str) -> Self {
        self.access.push(line.to_owned());
        self
    }

    /// A line of slapd.conf at the end of the database, as an overlay of its own.
    #[must_use]
    pub fn database(mut self, line: &str) -> Self {
        self.database.push(line.to_owned());
        self
    }

    /// Starts it. It accepts connections when this returns.
    pub fn start(self) -> Slapd {
        let folder = folder("slapd");
        let ca = Ca::new(folder.path());
        let names = self.names.iter().map(String::as_str).collect::<Vec<_>>();
        let certificate = ca.server("server", &names);
        config::write(&self, folder.path(), &ca, &certificate);
        let (offline, online) = self.entries();
        process::run(
            Command::new(slap(folder.path(), "slapadd")).args(["-q", "-f"]).arg(folder.path().join("slapd.conf")),
            Some(offline.as_bytes()),
        );
        let (clients, ports) = (Clients::default(), Ports { ldap: 0, ldaps: 0 });
        let mut slapd = Slapd { server: None, clients, ports, suffix: self.suffix, ca, folder };
        slapd.first_start();
        slapd.clients = Clients {
            url: slapd.ldapi_url(),
            dn: slapd.root_dn(),
            password: Slapd::ROOT_PASSWORD,
            suffix: slapd.suffix.clone(),
        };
        if !online.is_empty() {
            slapd.ldapadd(&online);
        }
        slapd
    }

    /// What slapadd loads, and what has to come over LDAP because an overlay computes something from it.
    fn entries(&self) -> (String, String) {
        let mut all = Vec::new();
        if self.people {
            all.push(PEOPLE.to_owned());
            all.push(if self.rfc2307bis { POSIX_BIS } else { POSIX_NIS }.to_owned());
            if let Some(max_failure) = self.ppolicy {
                all.push(PPOLICY.replace("@MAX_FAILURE@", &max_failure.to_string()));
            }
        }
        all.extend(self.ldif.iter().cloned());
        let all = all.join("\n\n");
        if !self.memberof {
            return (all, String::new());
        }
        let is_group = |record: &&str| record.contains("\nmember:");
        let (online, offline): (Vec<_>, Vec<_>) = all.split("\n\n").partition(is_group);
        (offline.join("\n\n"), online.join("\n\n"))
    }
}

impl Deref for Slapd {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

impl Slapd {
    /// The suffix of `people.ldif`.
    pub const SUFFIX: &str = "dc=example,dc=test";
    /// A service account that may read everything.
    pub const SYNC_DN: &str = "cn=sync,ou=services,dc=example,dc=test";
    /// Its password.
    pub const SYNC_PASSWORD: &str = "sync-secret";
    /// A service account that the size limit holds for. Its password is `limited-secret`.
    pub const LIMITED_DN: &str = "cn=limited,ou=services,dc=example,dc=test";
    /// A service account that cannot see `ou=groups`. Its password is `blind-secret`.
    pub const BLIND_DN: &str = "cn=blind,ou=services,dc=example,dc=test";
    /// The password of the root DN, `cn=root,SUFFIX`.
    pub const ROOT_PASSWORD: &str = "root-secret";

    /// A slapd with `people.ldif`.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A slapd to be told more about.
    pub fn builder() -> SlapdBuilder {
        SlapdBuilder::default()
    }

    /// `ldap://127.0.0.1:PORT`, which also takes STARTTLS.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.ports.ldap)
    }

    /// `ldaps://localhost:PORT`, with a certificate of [`Slapd::ca`].
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://localhost:{}", self.ports.ldaps)
    }

    /// `ldapi://…`, on which a bind with EXTERNAL acts as `cn=sync`.
    pub fn ldapi_url(&self) -> String {
        format!("ldapi://{}", config::percent(&self.socket()))
    }

    /// The socket of [`Slapd::ldapi_url`].
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("ldapi")
    }

    /// The port of [`Slapd::url`].
    pub fn port(&self) -> u16 {
        self.ports.ldap
    }

    /// The port of [`Slapd::ldaps_url`].
    pub fn ldaps_port(&self) -> u16 {
        self.ports.ldaps
    }

    /// The CA that signed the server's certificate, and that client certificates must come from.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The file of the CA's certificate.
    pub fn ca_pem(&self) -> PathBuf {
        self.ca.pem_path()
    }

    /// A client certificate for `cn=NAME`.
    pub fn client_cert(&self, name: &str) -> Issued {
        self.ca.client(&format!("client-{name}"), name)
    }

    /// The suffix, `dc=example,dc=test` unless told otherwise.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The DN that no rule of access holds for. Its password is [`Slapd::ROOT_PASSWORD`].
    pub fn root_dn(&self) -> String {
        format!("cn=root,{}", self.suffix)
    }

    /// The process ID, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::id)
    }

    /// Stops it: connections are refused from now on.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate(Duration::from_secs(10));
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same ports, with the entries it had.
    pub fn restart(&mut self) {
        self.stop();
        // Somebody's outgoing connection may sit on the port for a moment.
        assert!(wait_until(Duration::from_secs(30), || self.serve()), "slapd does not start again:\n{}", self.log());
    }

    /// Holds it still: connections are accepted by the kernel, and nothing answers (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// What slapd printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("slapd is running").signal(signal);
    }

    fn first_start(&mut self) {
        for _ in 0..5 {
            self.ports = Ports { ldap: free_port(), ldaps: free_port() };
            if self.serve() {
                return;
            }
        }
        panic!("slapd does not start:\n{}", self.log());
    }

    fn serve(&mut self) -> bool {
        let _ = std::fs::remove_file(self.socket());
        let log = std::fs::File::create(self.folder.path().join("log")).expect("make a log file");
        let urls = format!(
            "ldap://127.0.0.1:{} ldap://[::1]:{} ldaps://127.0.0.1:{} ldaps://[::1]:{} {}",
            self.ports.ldap,
            self.ports.ldap,
            self.ports.ldaps,
            self.ports.ldaps,
            self.ldapi_url()
        );
        let without_ipv6 = urls.split(' ').filter(|url| !url.contains('[')).collect::<Vec<_>>().join(" ");
        let urls = if has_ipv6() { urls } else { without_ipv6 };
        let mut command = Command::new(slap(self.folder.path(), "slapd"));
        command.args(["-d", "0", "-h", &urls, "-f"]).arg(self.folder.path().join("slapd.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share the log file")).stderr(log);
        let mut server = Server::spawn(&mut command, self.folder.path()).expect("run slapd");
        let ports = [self.ports.ldap, self.ports.ldaps];
        let ready = wait_until(Duration::from_secs(30), || {
            server.status().is_some() || ports.iter().all(|&port| wait_for_port(port, Duration::ZERO))
        });
        // An instant later it may still find that a port was taken by somebody else.
        let ready = ready && server.status().is_none() && self.socket().exists();
        self.server = ready.then_some(server);
        ready
    }
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// The server's program. Where AppArmor ties `/usr/sbin/slapd` to its own folders, a copy is free of it.
fn slap(folder: &Path, name: &str) -> PathBuf {
    let original = process::program("slapd", &["/usr/sbin", "/usr/lib/openldap", "/usr/libexec"], "slapd");
    let tied =
        Path::new("/sys/kernel/security/apparmor").exists() && Path::new("/etc/apparmor.d/usr.sbin.slapd").exists();
    if !tied {
        return process::program(name, &["/usr/sbin"], "slapd");
    }
    let copy = folder.join(name);
    if !copy.exists() {
        std::fs::copy(&original, &copy).expect("copy slapd");
    }
    copy
}
