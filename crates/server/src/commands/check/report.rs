//! What a check found, for programs and for people.

use bindery_core::config::{Config, SourceConfig};
use bindery_directory::{GroupSelector, Known, Sample, ServerHealth, ServerReport, Step};
use bindery_store::StoreUrl;
use serde::Serialize;

use super::deploy::Item;
use crate::exit::Exit;
use crate::output::{pairs, table};

/// Everything that was looked at.
#[derive(Serialize)]
pub(super) struct Report {
    /// The file, which is good: a bad one is told instead of this.
    configuration: String,
    pub(super) sources: Vec<Checked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deploy: Option<Vec<Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<Store>,
}

/// One source.
#[derive(Serialize)]
pub(super) struct Checked {
    source: String,
    /// Whether any of its servers answered.
    answered: bool,
    servers: Vec<Server>,
    pool: Vec<Pooled>,
    /// What should be mended, a sentence each.
    findings: Vec<String>,
}

/// One server by itself.
#[derive(Serialize)]
struct Server {
    url: String,
    answered: bool,
    connect: State,
    tls: State,
    bind: State,
    vendor: Option<String>,
    version: Option<String>,
    users: Seen,
    groups: Seen,
    changes: State,
    /// Groups in rules that cannot be found or read there.
    missing_groups: Vec<Missing>,
}

/// How a step went.
#[derive(Serialize)]
struct State {
    /// `ok`, `skipped` or `failed`.
    state: &'static str,
    detail: String,
}

/// A sample of entries.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    state: State,
    /// The DNs of the first few.
    sample: Vec<String>,
}

/// A group in a rule that is not there.
#[derive(Serialize)]
struct Missing {
    group: String,
    reason: String,
}

/// A server as the pool sees it.
#[derive(Serialize)]
struct Pooled {
    url: String,
    up: bool,
    connections: usize,
    error: Option<String>,
}

/// The store.
#[derive(Serialize)]
pub(super) struct Store {
    store: String,
    error: Option<String>,
}

impl Store {
    pub(super) fn good(url: &StoreUrl) -> Self {
        Self { store: url.to_string(), error: None }
    }

    pub(super) fn bad(url: &StoreUrl, error: String) -> Self {
        Self { store: url.to_string(), error: Some(error) }
    }
}

impl From<&Step> for State {
    fn from(step: &Step) -> Self {
        let (state, detail) = match step {
            Step::Done(what) => ("ok", what),
            Step::Skipped(why) => ("skipped", why),
            Step::Failed(why) => ("failed", why),
        };
        Self { state, detail: detail.clone() }
    }
}

impl State {
    fn cell(&self) -> String {
        match self.state {
            "failed" => "failed".to_owned(),
            "skipped" => "-".to_owned(),
            _ => self.detail.clone(),
        }
    }
}

impl From<&Sample> for Seen {
    fn from(sample: &Sample) -> Self {
        Self { state: State::from(&sample.step), sample: sample.dns.clone() }
    }
}

impl From<&ServerReport> for Server {
    fn from(report: &ServerReport) -> Self {
        Self {
            url: report.url.clone(),
            answered: report.answered,
            connect: State::from(&report.connect),
            tls: State::from(&report.tls),
            bind: State::from(&report.bind),
            vendor: report.vendor.clone(),
            version: report.version.clone(),
            users: Seen::from(&report.users),
            groups: Seen::from(&report.groups),
            changes: State::from(&report.changes),
            missing_groups: report.missing_groups.iter().map(Missing::from).collect(),
        }
    }
}

impl From<&(GroupSelector, Known)> for Missing {
    fn from((selector, known): &(GroupSelector, Known)) -> Self {
        let group = match selector {
            GroupSelector::Name(name) => name.clone(),
            GroupSelector::Dn(dn) => dn.to_string(),
        };
        let reason = match known {
            Known::Failed(why) => why.clone(),
            _ => "not found".to_owned(),
        };
        Self { group, reason }
    }
}

impl From<&ServerHealth> for Pooled {
    fn from(health: &ServerHealth) -> Self {
        let (url, error) = (health.url.clone(), health.error.clone());
        Self { url, up: health.up, connections: health.connections, error }
    }
}

impl Checked {
    pub(super) fn new(source: &SourceConfig, servers: &[ServerReport], pool: &[ServerHealth]) -> Self {
        Self {
            source: source.slug.clone(),
            answered: servers.iter().any(|server| server.answered),
            findings: servers.iter().flat_map(ServerReport::findings).chain(unchangeable(source)).collect(),
            servers: servers.iter().map(Server::from).collect(),
            pool: pool.iter().map(Pooled::from).collect(),
        }
    }

    fn for_people(&self) -> String {
        let rows: Vec<Vec<String>> = self.servers.iter().map(Server::row).collect();
        let columns = ["server", "answers", "TLS", "bind", "made by", "users", "groups", "changes", "pooled"];
        let pooled = |url: &str| self.pool.iter().find(|it| it.url == url).map(|it| it.connections.to_string());
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|mut row| {
                let count = row.first().and_then(|url| pooled(url));
                row.push(count.unwrap_or_default());
                row
            })
            .collect();
        format!("source {}\n{}", self.source, table(&columns, &rows))
    }
}

/// Password changes that are configured and can never work: a new password crosses nothing that could be read along, not
/// even loopback.
fn unchangeable(source: &SourceConfig) -> Option<String> {
    let (mut servers, tls) = (source.directory.servers.iter(), &source.directory.tls);
    let plain = servers.find(|url| url.scheme.as_str() == "ldap" && !tls.starttls);
    let server = plain.filter(|_| source.passwords.write_back)?;
    Some(format!(
        "passwords.write_back is on, and nobody can change their password: {server} is not protected; use ldaps://, or set \
         tls.starttls"
    ))
}

impl Server {
    fn row(&self) -> Vec<String> {
        let maker = [&self.vendor, &self.version].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
        vec![
            self.url.clone(),
            (if self.answered { "yes" } else { "no" }).to_owned(),
            self.tls.cell(),
            self.bind.cell(),
            maker.join(" "),
            self.users.state.cell(),
            self.groups.state.cell(),
            self.changes.cell(),
        ]
    }
}

impl Report {
    pub(super) fn new(config: &Config) -> Self {
        Self { configuration: config.file.display().to_string(), sources: Vec::new(), deploy: None, store: None }
    }

    /// 3 when no server of a source answers or the store does not open, 1 for any other finding.
    pub(super) fn exit(&self) -> Exit {
        let silent = self.sources.iter().any(|source| !source.answered);
        if silent || self.store.as_ref().is_some_and(|store| store.error.is_some()) {
            Exit::Unavailable
        } else if self.findings().is_empty() {
            Exit::Done
        } else {
            Exit::Refused
        }
    }

    fn findings(&self) -> Vec<String> {
        let of_sources = self.sources.iter().flat_map(|source| source.findings.iter().cloned());
        let of_store = self.store.iter().filter_map(|store| store.error.clone());
        let of_deploy = self.deploy.iter().flatten().filter_map(Item::finding);
        of_sources.chain(of_store).chain(of_deploy).collect()
    }

    pub(super) fn for_people(&self) -> String {
        let mut parts = vec![format!("{} is good", self.configuration)];
        parts.extend(self.sources.iter().map(Checked::for_people));
        if let Some(items) = &self.deploy {
            let rows: Vec<(&str, &str)> = items.iter().map(Item::row).collect();
            parts.push(format!("for production\n{}", pairs(&rows)));
        }
        let findings = self.findings();
        if findings.is_empty() {
            parts.push("Nothing to mend.".to_owned());
        } else {
            let lines: Vec<String> = findings.iter().map(|finding| format!("- {}", printable(finding))).collect();
            parts.push(format!("to mend\n{}", lines.join("\n")));
        }
        parts.join("\n\n").replace("\n\n\n", "\n\n")
    }
}

/// What a server says must not move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
