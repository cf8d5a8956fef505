//! `[server]`, `[store]`, `[sessions]` and `[sign_in]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bindery_store::StoreUrl;
use ipnet::IpNet;
use url::{Host, Url};

use super::error::ErrorKind;
use super::features::Feature;
use super::reader::{Section, Spot};

/// `[server]`.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// What people type; see [`ServerSettings::url`].
    pub public_url: Option<Url>,
    /// Who may send `X-Forwarded-*` and the remote-user header; nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    /// A folder whose pages and assets replace the built-in ones of the same names.
    pub templates: Option<PathBuf>,
}

impl ServerSettings {
    /// The address that people reach the server under: `public_url`, or else the address it listens on.
    pub fn url(&self, bound: SocketAddr) -> Option<Url> {
        let fallback = || Url::parse(&format!("http://{bound}/")).ok();
        self.public_url.clone().or_else(fallback)
    }

    /// Whether a peer may speak for others.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

/// `[sessions]`.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// How long a session lasts.
    pub lifetime: Duration,
    /// How long it lasts without a request.
    pub idle: Duration,
    /// How long it lasts when people ask to be remembered; `None` is off.
    pub remember_me: Option<Duration>,
    /// The cookie's domain; `None` is the host only.
    pub cookie_domain: Option<String>,
}

/// `[sign_in]`.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// Whether local accounts have passwords of their own.
    pub local_users: bool,
    /// Whether usernames are case-folded.
    pub lowercase_usernames: bool,
    /// When failures are too many.
    pub throttle: Throttle,
    /// Whether permissions of local users are also looked up in a directory, by name.
    pub authorize_local_users: bool,
    /// The header that carries a user name from a trusted proxy; `None` is off.
    pub remote_user_header: Option<String>,
    /// How that name is written.
    pub remote_user_format: RemoteUserFormat,
    /// The keytab for HTTP Negotiate; `None` is off.
    pub keytab: Option<PathBuf>,
}

/// `sign_in.throttle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Failures of one user within the window.
    pub per_user: u32,
    /// Failures from one client address within the window.
    pub per_address: u32,
    /// The window.
    pub window: Duration,
}

/// `sign_in.remote_user_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteUserFormat {
    /// `DOMAIN\user`.
    DownLevel,
    /// `user@dns.domain`.
    Upn,
}

const HOUR: Duration = Duration::from_hours(1);

pub(super) fn server(section: &Section<'_>) -> ServerSettings {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    ServerSettings {
        listen: section.parsed("listen", listen).map_or(local, |it| it.value),
        public_url: section.parsed("public_url", public_url).map(|it| it.value),
        trusted_proxies: section
            .all_parsed("trusted_proxies", network)
            .map(|all| all.into_iter().map(|it| it.value).collect())
            .unwrap_or_default(),
        templates: section.path("templates").map(|it| it.value),
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric
        .parse()
        .map_err(|_| "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned())
}

fn public_url(text: &str) -> Result<Url, String> {
    let wanted = "expected the http:// or https:// URL that people type, such as \"https://login.example.com\"";
    let url = Url::parse(text).map_err(|_| wanted.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wanted.to_owned());
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{wanted}, with nothing after the host and port"));
    }
    Ok(url)
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address(text))
        .map(|network| network.trunc())
        .map_err(|_| "expected an IP network such as \"127.0.0.1/32\" or \"10.0.0.0/8\"".to_owned())
}

pub(super) fn store(section: &Section<'_>) -> Option<StoreUrl> {
    let parse = |text: &str| {
        StoreUrl::parse(text).map_err(|_| "expected \"sqlite:FILE\" or \"postgres://user@host/database\"".to_owned())
    };
    let url = section.parsed("url", parse).map(|it| it.value);
    let url = url.or_else(|| StoreUrl::parse("sqlite:bindery.db").ok())?;
    Some(url.relative_to(section.context.directory))
}

pub(super) fn sessions(section: &Section<'_>, server: &ServerSettings) -> SessionSettings {
    let positive = |key: &str, default: Duration| {
        let read = section.duration(key);
        if let Some(Spot { value: Duration::ZERO, at }) = &read {
            section.context.invalid(at, "must be longer than nothing");
        }
        read.map_or(default, |it| it.value)
    };
    let cookie_domain = section.string("cookie_domain").and_then(|domain| {
        let host = server.public_url.as_ref().and_then(Url::host);
        match cookie_domain(&domain.value, host.as_ref()) {
            Ok(name) => Some(name),
            Err(problem) => {
                section.context.invalid(&domain.at, problem);
                None
            }
        }
    });
    SessionSettings {
        lifetime: positive("lifetime", 8 * HOUR),
        idle: positive("idle", HOUR),
        remember_me: section.duration("remember_me").map(|it| it.value).filter(|it| !it.is_zero()),
        cookie_domain,
    }
}

/// A cookie's domain must be the public host or one above it, and more than a top-level name.
fn cookie_domain(text: &str, host: Option<&Host<&str>>) -> Result<String, String> {
    let name = text.trim_start_matches('.').to_ascii_lowercase();
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !name.split('.').all(label) || name.parse::<IpAddr>().is_ok() {
        return Err("expected a domain such as \"example.com\"".to_owned());
    }
    match host {
        None => Err("needs server.public_url, whose host the domain must be a part of".to_owned()),
        Some(Host::Domain(host)) if *host == name => Ok(name),
        Some(Host::Domain(host)) if host.ends_with(&format!(".{name}")) && name.contains('.') => Ok(name),
        Some(_) => Err("is neither the host of server.public_url nor a domain above it".to_owned()),
    }
}

pub(super) fn sign_in(section: &Section<'_>) -> SignInSettings {
    let remote_user_header = section.parsed("remote_user_header", header_name);
    let keytab = section.path("keytab");
    for (at, feature) in [
        (remote_user_header.as_ref().map(|it| &it.at), Feature::RemoteUser),
        (keytab.as_ref().map(|it| &it.at), Feature::Kerberos),
    ] {
        if let Some(at) = at {
            section.context.needs(at, feature);
        }
    }
    let formats = [("down-level", RemoteUserFormat::DownLevel), ("upn", RemoteUserFormat::Upn)];
    SignInSettings {
        local_users: section.boolean("local_users").unwrap_or(true),
        lowercase_usernames: section.boolean("lowercase_usernames").unwrap_or(true),
        throttle: section.section("throttle", throttle),
        authorize_local_users: section.boolean("authorize_local_users").unwrap_or(false),
        remote_user_header: remote_user_header.map(|it| it.value),
        remote_user_format: section
            .choice("remote_user_format", &formats)
            .map_or(RemoteUserFormat::DownLevel, |it| it.value),
        keytab: keytab.map(|it| it.value),
    }
}

fn throttle(section: &Section<'_>) -> Throttle {
    let window = section.duration("window");
    if let Some(Spot { value: Duration::ZERO, at }) = &window {
        section.context.invalid(at, "must be longer than nothing");
    }
    Throttle {
        per_user: section.integer("per_user", 1..=1_000_000).unwrap_or(5),
        per_address: section.integer("per_address", 1..=1_000_000).unwrap_or(50),
        window: window.map_or(HOUR / 4, |it| it.value),
    }
}

/// A header's name (RFC 9110, 5.1). One with `_` could be forged past a proxy that only strips the `-` spelling.
fn header_name(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let taken = ["cookie", "host", "authorization", "content-length", "content-type"];
    if plain && !taken.contains(&text.to_ascii_lowercase().as_str()) {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a header of its own, such as \"X-Remote-User\"".to_owned())
    }
}

/// What a section cannot do without.
pub(super) fn required<T>(section: &Section<'_>, key: &str, value: Option<T>, why: &str) -> Option<T> {
    if value.is_none() && !section.has(key) {
        section.missing(key, why);
    }
    value
}

/// Two keys that exclude each other.
pub(super) fn conflict(section: &Section<'_>, key: &str, problem: &str) {
    section.context.error(&section.at(key), ErrorKind::Conflict, problem);
}
