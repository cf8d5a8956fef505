//! A look at each server by itself, for `bindery check` and the health page. One bind a server; the
//! connection that was checked then serves the pool, so that nothing binds twice.

use crate::reach::{Own, Reach, in_scope};
use crate::servers::{Failure, Server, is_busy, root_dse};
use crate::settings::Bind;
use crate::source::Inner;
use crate::{FeedKind, GroupSelector, Known, feed, groups, people, unique_id};
use bindery_ldap::{Connection, Dn, Entry, Error, Filter, ResultCode, Scheme, Scope, SearchRequest};
use futures::future::join_all;

/// Entries read as a sample.
const SAMPLE: u32 = 5;

/// What one server had to say.
#[derive(Debug, Clone)]
pub struct ServerReport {
    /// Its URL.
    pub url: String,
    /// Whether anybody answered there, be it with a wrong certificate or a refusal.
    pub answered: bool,
    /// To a connection.
    pub connect: Step,
    /// Its protection.
    pub tls: Step,
    /// The service account.
    pub bind: Step,
    /// Who made it, as far as it says or shows.
    pub vendor: Option<String>,
    /// Which version, as far as it says.
    pub version: Option<String>,
    /// People that the source's bases and filter find.
    pub users: Sample,
    /// Groups that the source's bases and filter find.
    pub groups: Sample,
    /// How it tells of changes, and what it does not tell.
    pub changes: Step,
    /// The groups in rules that cannot be found or read there.
    pub missing_groups: Vec<(GroupSelector, Known)>,
}

/// One step of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It went well; what it came to.
    Done(String),
    /// There was no need or no way; why.
    Skipped(String),
    /// It did not; why.
    Failed(String),
}

impl Step {
    /// Whether it failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// A few of many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// How the reading went.
    pub step: Step,
    /// The DNs of the first few.
    pub dns: Vec<String>,
    /// There are more.
    pub more: bool,
}

impl Sample {
    fn skipped(why: &str) -> Self {
        Self { step: Step::Skipped(why.to_owned()), dns: vec![], more: false }
    }

    /// What was found is not as it should be.
    fn blame(&mut self, wrong: Option<String>) {
        if let (Some(why), false) = (wrong, self.step.is_failed()) {
            self.step = Step::Failed(why);
        }
    }
}

impl ServerReport {
    fn new(url: &str) -> Self {
        let later = || Step::Skipped("not reached".to_owned());
        Self {
            url: url.to_owned(),
            answered: true,
            connect: later(),
            tls: later(),
            bind: later(),
            vendor: None,
            version: None,
            users: Sample::skipped("not reached"),
            groups: Sample::skipped("not reached"),
            changes: later(),
            missing_groups: vec![],
        }
    }

    /// Everything that somebody should mend, one sentence each.
    pub fn findings(&self) -> Vec<String> {
        let steps = [
            ("connect", &self.connect),
            ("TLS", &self.tls),
            ("bind", &self.bind),
            ("users", &self.users.step),
            ("groups", &self.groups.step),
        ];
        let failed = steps.into_iter().filter_map(|(name, step)| match step {
            Step::Failed(why) => Some(format!("{}: {name}: {why}", self.url)),
            Step::Done(_) | Step::Skipped(_) => None,
        });
        let missing = self.missing_groups.iter().map(|(selector, known)| {
            let (Self { url, .. }, name) = (self, selector_text(selector));
            match known {
                Known::Failed(why) => format!("{url}: the group {name} of a rule cannot be read: {why}"),
                _ => format!("{url}: the group {name} of a rule cannot be found"),
            }
        });
        failed.chain(missing).collect()
    }
}

fn selector_text(selector: &GroupSelector) -> String {
    match selector {
        GroupSelector::Name(name) => format!("{name:?}"),
        GroupSelector::Dn(dn) => dn.to_string(),
    }
}

/// All servers, side by side.
pub(crate) async fn all(inner: &Inner, named: &[GroupSelector]) -> Vec<ServerReport> {
    join_all(inner.servers.all().iter().map(|server| one(inner, server, named))).await
}

async fn one(inner: &Inner, server: &Server, named: &[GroupSelector]) -> ServerReport {
    let mut report = ServerReport::new(&server.url);
    let connection = match server.open_unbound().await {
        Ok(connection) => connection,
        Err(failure) => {
            blame(&mut report, &failure);
            return report;
        }
    };
    report.connect = Step::Done("connected".to_owned());
    report.tls = protection(server, &connection);
    if let Err(failure) = server.bind_service(&connection).await {
        report.answered = !is_silence(&failure);
        report.bind = Step::Failed(failure.to_string());
        connection.close().await;
        return report;
    }
    match identify(&connection).await {
        Ok(maker) => (report.vendor, report.version) = (maker.vendor, maker.version),
        Err(error) => {
            let failure = Failure::from(error);
            report.answered = !is_silence(&failure);
            report.connect = Step::Failed(format!("the root DSE cannot be read: {failure}"));
            connection.close().await;
            return report;
        }
    }
    if matches!(inner.settings.bind, Bind::AsUser) {
        let why = "no service account: people read for themselves";
        report.bind = Step::Skipped(why.to_owned());
        (report.users, report.groups) = (Sample::skipped(why), Sample::skipped(why));
        return report;
    }
    report.bind = Step::Done(who(&inner.settings.bind));
    let reach = Reach::Own(Own { connection: &connection, lease: None, slug: &inner.settings.slug });
    report.users = sample_of_people(inner, reach).await;
    report.groups = sample_of_groups(inner, reach).await;
    report.changes = changes(inner, &connection).await;
    let known = groups::known(inner.groups_by(reach), named).await;
    report.missing_groups = known.into_iter().filter(|(_, known)| *known != Known::Found).collect();
    if !connection.is_closed() {
        server.adopt(connection);
    }
    report
}

/// How the server tells of changes.
async fn changes(inner: &Inner, connection: &Connection) -> Step {
    match feed::kind_at(connection.clone(), &inner.settings).await {
        Ok(FeedKind::Syncrepl) => Step::Done("pushed (RFC 4533)".to_owned()),
        Ok(FeedKind::ModifyTimestamp) => Step::Done("polled; deletions wait for a full sync".to_owned()),
        Err(error) => Step::Skipped(format!("nobody can tell: {error}")),
    }
}

/// Whether nobody said anything: whoever accepts connections and never answers is no server.
fn is_silence(failure: &Failure) -> bool {
    let Failure::Ldap(error) = failure else { return false };
    matches!(**error, Error::Timeout { .. } | Error::Closed { notice: false, .. } | Error::Connect { .. })
}

/// Which step the trouble belongs to.
fn blame(report: &mut ServerReport, failure: &Failure) {
    let why = Step::Failed(failure.to_string());
    let Failure::Ldap(error) = failure else {
        report.bind = why;
        return;
    };
    match **error {
        Error::Tls { .. } | Error::StartTls { .. } | Error::TlsSettings { .. } => {
            report.connect = Step::Done("connected".to_owned());
            report.tls = why;
        }
        Error::Malformed { .. } | Error::Refused { .. } | Error::Closed { notice: true, .. } => report.connect = why,
        _ => {
            report.answered = false;
            report.connect = why;
        }
    }
}

fn protection(server: &Server, connection: &Connection) -> Step {
    match server.scheme() {
        Scheme::Ldapi => Step::Skipped("a Unix socket".to_owned()),
        Scheme::Ldaps => Step::Done("ldaps".to_owned()),
        Scheme::Ldap if connection.is_protected() => Step::Done("STARTTLS".to_owned()),
        Scheme::Ldap => Step::Skipped("none: ldap:// without STARTTLS".to_owned()),
    }
}

fn who(bind: &Bind) -> String {
    match bind {
        Bind::Simple { name, .. } => format!("as {name}"),
        Bind::External => "EXTERNAL".to_owned(),
        Bind::Anonymous => "anonymous".to_owned(),
        Bind::AsUser => "as the person".to_owned(),
    }
}

const ROOT_DSE: &[&str] = &[
    "objectClass",
    "vendorName",
    "vendorVersion",
    "monitorContext",
    "supportedCapabilities",
    "domainControllerFunctionality",
];

/// Who made a server, and which version it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Maker {
    pub(crate) vendor: Option<String>,
    pub(crate) version: Option<String>,
}

/// What a server says of itself, else what it shows; nothing where it shows nothing.
pub(crate) async fn identify(connection: &Connection) -> Result<Maker, Error> {
    let outcome = connection.search(root_dse(ROOT_DSE)?).await?;
    if is_busy(&outcome.result) {
        return Err(Error::Refused { operation: "search", result: outcome.result });
    }
    let Some(root) = outcome.entries.first() else { return Ok(Maker::default()) };
    let vendor = root.text("vendorName").map(str::to_owned).or_else(|| guess(root));
    let version = match root.text("vendorVersion") {
        Some(version) => Some(version.to_owned()),
        None => monitored_version(connection, root).await,
    };
    Ok(Maker { vendor, version })
}

const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

fn guess(root: &Entry) -> Option<String> {
    if root.texts("objectClass").any(|class| class.eq_ignore_ascii_case("OpenLDAProotDSE")) {
        return Some("OpenLDAP".to_owned());
    }
    root.texts("supportedCapabilities")
        .any(|oid| oid == ACTIVE_DIRECTORY)
        .then(|| "Microsoft Active Directory".to_owned())
}

/// OpenLDAP tells its version where `cn=monitor` may be read.
async fn monitored_version(connection: &Connection, root: &Entry) -> Option<String> {
    let monitor = Dn::parse(root.text("monitorContext")?).ok()?;
    let request =
        SearchRequest::new(&monitor, Scope::Base, Filter::present("objectClass")).attributes(["monitoredInfo"]);
    let outcome = connection.search(request).await.ok()?;
    outcome.entries.first()?.text("monitoredInfo").map(str::to_owned)
}

/// A few people, who must have what everybody is recognised and found by.
async fn sample_of_people(inner: &Inner, reach: Reach<'_>) -> Sample {
    let users = &inner.settings.users;
    let mut attributes = users.login_attributes.clone();
    attributes.push(users.unique_id.clone());
    let (mut sample, people) = sample(reach, &users.base_dn, users.scope, &users.filter, &attributes).await;
    let nobody = people.iter().find(|person| unique_id::text(person, &users.unique_id).is_none());
    let has_name = |person: &Entry| users.login_attributes.iter().any(|name| person.has(name));
    let wrong = if let Some(person) = nobody {
        let (dn, attribute) = (person.dn_text(), &users.unique_id);
        Some(format!("{dn} has no readable {attribute}; check users.unique_id and rights"))
    } else if users.dn_template.is_some() && people::by_template(&inner.settings, "name").is_none() {
        Some("users.dn_template makes DNs outside users.base_dn, where nobody is found".to_owned())
    } else if users.dn_template.is_none() && !people.is_empty() && !people.iter().any(has_name) {
        let names = users.login_attributes.join(", ");
        Some(format!("nobody of the sample has a readable {names}; check users.login_attributes and rights"))
    } else {
        None
    };
    sample.blame(wrong);
    sample
}

/// A few groups, which must have a name, and members that can be read.
async fn sample_of_groups(inner: &Inner, reach: Reach<'_>) -> Sample {
    let settings = &inner.settings.groups;
    let (mut sample, groups) = sample(reach, &settings.base_dn, Scope::Subtree, &settings.filter, &settings.name).await;
    let has_name = |group: &Entry| settings.name.iter().any(|name| group.has(name));
    let wrong = if groups.is_empty() {
        None
    } else if groups.iter().any(has_name) {
        groups::unreadable(inner.groups_by(reach)).await.err().map(|why| {
            format!("nobody can say who is in which group: {why}; check groups.members, groups.filter and rights")
        })
    } else {
        let names = settings.name.join(", ");
        Some(format!("no group of the sample has a readable {names}; check groups.name and rights"))
    };
    sample.blame(wrong);
    sample
}

/// The first few entries of some bases.
async fn sample(
    reach: Reach<'_>,
    bases: &[Dn],
    scope: Scope,
    filter: &Filter,
    attributes: &[String],
) -> (Sample, Vec<Entry>) {
    let (mut sample, mut entries) = (Sample { step: Step::Done(String::new()), dns: vec![], more: false }, vec![]);
    for base in bases {
        let request = SearchRequest::new(base, scope, filter.clone()).attributes(attributes).size_limit(SAMPLE);
        let outcome = match reach.search(&request).await {
            Ok(outcome) => outcome,
            Err(error) => {
                sample.step = Step::Failed(error.to_string());
                return (sample, entries);
            }
        };
        match outcome.result.code {
            ResultCode::SUCCESS => {}
            // That there are more than a few is what one hopes for.
            ResultCode::SIZE_LIMIT_EXCEEDED => sample.more = true,
            _ => {
                sample.step = Step::Failed(format!("below {base}: {}", outcome.result));
                return (sample, entries);
            }
        }
        for entry in outcome.entries {
            if let Some(dn) = entry.dn().ok().filter(|dn| in_scope(dn, base, scope)) {
                sample.dns.push(dn.to_string());
                entries.push(entry);
            }
        }
    }
    sample.step = match (sample.dns.len(), sample.more) {
        (0, _) => {
            Step::Failed(format!("nothing matches {filter} below {}; check base_dn, filter and rights", list(bases)))
        }
        (found, true) => Step::Done(format!("{found} or more")),
        (found, false) => Step::Done(format!("{found}")),
    };
    (sample, entries)
}

fn list(bases: &[Dn]) -> String {
    bases.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
