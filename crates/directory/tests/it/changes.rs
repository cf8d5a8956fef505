//! What has changed since a position, from real servers: whoever applies it has what a full listing has.

use crate::listing::{crowd, groups, people};
use crate::support::*;
use bindery_demo_directory::{DemoDirectory, Options, company};
use bindery_directory::settings::Members;
use bindery_directory::{
    DirectoryError, FeedEvent, FeedKind, GroupEntry, Kind, Person, Position, Since, Source, SourceSettings, Wanted,
    ldif,
};
use bindery_tests::{FaultProxy, Slapd, SlapdBuilder};
use std::collections::BTreeMap;

pub(crate) fn wanted() -> Wanted {
    Wanted(vec!["mail".to_owned(), "cn".to_owned()])
}

/// Everything that a source has, kept true by events alone.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Replica {
    pub(crate) people: BTreeMap<String, String>,
    pub(crate) groups: BTreeMap<String, String>,
}

impl Replica {
    /// A full read.
    pub(crate) async fn read(source: &Source) -> Self {
        let mut replica = Self::default();
        people(source).await.unwrap().entries.iter().for_each(|person| replica.person(person));
        groups(source).await.entries.iter().for_each(|group| replica.group(group));
        replica
    }

    pub(crate) fn person(&mut self, person: &Person) {
        let locked = person.entry.text("nsAccountLock").unwrap_or("false");
        let text = format!("{} {:?} locked: {locked}", person.dn.key(), person.entry.text("mail"));
        self.people.insert(person.unique_id.clone(), text);
    }

    pub(crate) fn group(&mut self, group: &GroupEntry) {
        let mut members = group.members.clone();
        members.sort();
        self.groups.insert(group.unique_id.clone().unwrap(), format!("{} {members:?}", group.dn.key()));
    }

    pub(crate) fn of(&mut self, kind: Kind) -> &mut BTreeMap<String, String> {
        match kind {
            Kind::User => &mut self.people,
            Kind::Group => &mut self.groups,
        }
    }
}

/// What a feed told, and the state that comes of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) changed: usize,
    pub(crate) gone: usize,
    pub(crate) rest_gone: usize,
    pub(crate) unreadable: usize,
    pub(crate) reached: Option<Position>,
    pub(crate) doubt: Option<String>,
}

impl Told {
    pub(crate) fn apply(&mut self, event: FeedEvent, replica: &mut Replica) {
        match event {
            FeedEvent::Person(person) => {
                self.changed += 1;
                replica.person(&person);
            }
            FeedEvent::Group(group) => {
                self.changed += 1;
                replica.group(&group);
            }
            FeedEvent::Gone(kind, id) => {
                // A server need not know which of its entries a search had found before.
                self.gone += usize::from(replica.of(kind).remove(&id).is_some());
            }
            FeedEvent::Unreadable(..) => self.unreadable += 1,
            FeedEvent::Only(kind, ids) => {
                self.rest_gone += 1;
                replica.of(kind).retain(|id, _| ids.contains(id));
            }
            FeedEvent::Reached(position) => self.reached = Some(position),
            FeedEvent::Doubt(why) => self.doubt = Some(why),
            other => panic!("{other:?}"),
        }
    }
}

/// All that changed, applied; the reason where the position does not count.
pub(crate) async fn catch_up(source: &Source, since: &Position, replica: &mut Replica) -> Result<Told, DirectoryError> {
    let mut told = Told::default();
    match source.changes(since, &wanted(), None).await? {
        Since::Doubt(why) => told.doubt = Some(why),
        Since::Changes(mut changes) => {
            while let Some(event) = changes.next().await? {
                assert!(told.doubt.is_none(), "nothing follows a doubt");
                told.apply(event, replica);
            }
        }
    }
    Ok(told)
}

pub(crate) fn provider() -> SlapdBuilder {
    Slapd::builder().syncprov()
}

const CHANGES: &str = "dn: uid=ann,ou=people,dc=example,dc=test
changetype: modify
replace: mail
mail: ann@elsewhere.test

dn: uid=new,ou=people,dc=example,dc=test
changetype: add
objectClass: inetOrgPerson
uid: new
cn: New
sn: New

dn: uid=bob,ou=people,dc=example,dc=test
changetype: delete

dn: uid=dave,ou=people,dc=example,dc=test
changetype: modrdn
newrdn: uid=david
deleteoldrdn: 1

dn: uid=eve,ou=people,dc=example,dc=test
changetype: modrdn
newrdn: uid=eve
deleteoldrdn: 1
newsuperior: ou=outside,dc=example,dc=test

dn: cn=leavers,ou=groups,dc=example,dc=test
changetype: modify
add: member
member: uid=carol,ou=people,dc=example,dc=test

dn: cn=writers,ou=groups,dc=example,dc=test
changetype: delete
";

#[tokio::test]
async fn openldap_tells_what_changed_and_what_left() {
    let slapd = provider().start();
    let source = source(&slapd, |_| {});
    assert_eq!(source.feed_kind().await.unwrap(), FeedKind::Syncrepl);
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.changed, told.gone, told.rest_gone), (0, 0, 0), "{told:?}");

    slapd.ldapmodify(CHANGES);
    let position = told.reached.unwrap();
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.changed, told.gone, told.rest_gone), (4, 3, 0), "{told:?}");
    assert_eq!(replica, Replica::read(&source).await);

    let told = catch_up(&source, &told.reached.unwrap(), &mut replica).await.unwrap();
    assert_eq!((told.changed, told.gone, told.rest_gone), (0, 0, 0), "{told:?}");
    // A position is good for more than once.
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!(told.changed, 4);
    assert_eq!(replica, Replica::read(&source).await);
}

#[tokio::test]
async fn without_its_log_openldap_tells_what_is_there() {
    let mut slapd = provider().start();
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    slapd.ldapmodify(CHANGES);
    slapd.restart();
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!(told.doubt, None);
    assert!(told.rest_gone == 2 && told.changed == 4, "{told:?}");
    assert_eq!(replica, Replica::read(&source).await);
    let told = catch_up(&source, &told.reached.unwrap(), &mut replica).await.unwrap();
    assert_eq!((told.changed, told.gone), (0, 0), "{told:?}");
}

#[tokio::test]
async fn a_change_during_the_full_read_is_told_of_after_it() {
    let slapd = provider().start();
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::default();
    let mut listing = source.list_people(&wanted());
    slapd.ldapmodify(CHANGES);
    while let Some(page) = listing.next().await.unwrap() {
        page.entries.iter().for_each(|person| replica.person(person));
    }
    groups(&source).await.entries.iter().for_each(|group| replica.group(group));
    catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!(replica, Replica::read(&source).await);
}

#[tokio::test]
async fn somebody_who_moves_between_two_bases_is_not_gone() {
    let slapd = provider().start();
    for bases in [["ou=people", "ou=branch"], ["ou=branch", "ou=people"]] {
        let source = source(&slapd, |settings| settings.users.base_dn = bases.map(below).to_vec());
        let position = source.position(&wanted()).await.unwrap();
        let mut replica = Replica::read(&source).await;
        let there = if bases[0] == "ou=people" { ("ou=people", "ou=branch") } else { ("ou=branch", "ou=people") };
        slapd.ldapmodify(&format!(
            "dn: uid=ann,{},{SUFFIX}\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 1\nnewsuperior: {},{SUFFIX}\n",
            there.0, there.1
        ));
        let told = catch_up(&source, &position, &mut replica).await.unwrap();
        assert_eq!(told.gone, 0, "{told:?}");
        assert_eq!(replica, Replica::read(&source).await);
    }
}

#[tokio::test]
async fn several_bases_and_no_log_need_a_full_read() {
    let mut slapd = provider().start();
    let source = source(&slapd, |settings| settings.users.base_dn.push(below("ou=branch")));
    let position = source.position(&wanted()).await.unwrap();
    slapd.ldapmodify(CHANGES);
    slapd.restart();
    let told = catch_up(&source, &position, &mut Replica::default()).await.unwrap();
    assert!(told.doubt.unwrap().contains("instead of what has left"));
    assert_eq!(told.rest_gone, 0);
}

#[tokio::test]
async fn positions_that_do_not_count() {
    let (slapd, other) = (provider().start(), provider().start());
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    let doubted = async |source: &Source, position: &Position| {
        catch_up(source, position, &mut Replica::default()).await.unwrap().doubt.unwrap_or_default()
    };

    let elsewhere = Source::new(on(&other));
    assert!(doubted(&elsewhere, &position).await.contains("another server"));

    let changes: [fn(&mut SourceSettings); 4] = [
        |settings| settings.users.filter = filter("(objectClass=person)"),
        |settings| settings.users.base_dn = vec![below("ou=branch")],
        |settings| settings.users.scope = bindery_directory::Scope::One,
        |settings| settings.groups.filter = filter("(cn=*)"),
    ];
    for change in changes {
        let changed = crate::support::source(&slapd, change);
        assert!(doubted(&changed, &position).await.contains("have changed"));
    }

    let nonsense = Position { kind: FeedKind::Syncrepl, state: serde_json::json!({ "cookie": 7 }) };
    assert!(doubted(&source, &nonsense).await.contains("cannot be read"));

    // As after a restore: the server knows less than the cookie.
    let newer = position.state.to_string();
    let cookie = cookie_of(&position).replace("csn=20", "csn=21");
    let newer = newer.replace(&encoded(&cookie_of(&position)), &encoded(&cookie));
    let newer = Position { kind: FeedKind::Syncrepl, state: serde_json::from_str(&newer).unwrap() };
    assert!(doubted(&source, &newer).await.contains("restored"));

    // With such a one slapd would send everything, and say that nothing else has left.
    let broken = position.state.to_string().replace(&encoded(&cookie_of(&position)), &encoded("rid=000,csn=nonsense"));
    let broken = Position { kind: FeedKind::Syncrepl, state: serde_json::from_str(&broken).unwrap() };
    assert!(doubted(&source, &broken).await.contains("no change sequence number"));
}

fn cookie_of(position: &Position) -> String {
    let text = position.state["searches"][0]["cookie"].as_str().unwrap();
    String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap()).unwrap()
}

fn encoded(cookie: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, cookie)
}

#[tokio::test]
async fn a_connection_cut_midway_is_an_error() {
    let slapd = provider().start();
    let proxy = FaultProxy::new(slapd.port());
    let source = Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]));
    let position = source.position(&wanted()).await.unwrap();
    slapd.ldapadd(&crowd(300));
    proxy.cut_answers_after(20_000);
    let mut replica = Replica::default();
    assert!(catch_up(&source, &position, &mut replica).await.is_err());
    proxy.pass();
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!(told.changed, 300, "the position still counts");
}

#[tokio::test]
async fn a_database_without_a_provider_is_polled() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    assert_eq!(position.kind, FeedKind::ModifyTimestamp);
    let mut replica = Replica::read(&source).await;
    let before = replica.clone();
    slapd.ldapmodify(CHANGES);
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.gone, told.rest_gone, told.doubt), (0, 0, None));
    let after = Replica::read(&source).await;
    for (id, person) in &after.people {
        assert_eq!(replica.people.get(id), Some(person));
    }
    assert_eq!(replica.groups.len(), before.groups.len(), "what left is not seen");
    assert!(told.changed >= 4);
    let elsewhere = Slapd::start();
    let doubted = catch_up(&Source::new(on(&elsewhere)), &position, &mut replica).await.unwrap();
    assert!(doubted.doubt.unwrap().contains("another server"));
    let filtered = crate::support::source(&slapd, |settings| settings.users.filter = filter("(uid=*)"));
    assert!(catch_up(&filtered, &position, &mut replica).await.unwrap().doubt.is_some());
}

#[tokio::test]
async fn a_uuid_that_is_not_the_unique_id_is_polled() {
    let slapd = provider().start();
    let source = source(&slapd, |settings| settings.users.unique_id = "uid".to_owned());
    assert_eq!(source.feed_kind().await.unwrap(), FeedKind::ModifyTimestamp);
    let position = source.position(&wanted()).await.unwrap();
    assert_eq!(position.kind, FeedKind::ModifyTimestamp);
}

pub(crate) fn embedded(directory: &DemoDirectory) -> Source {
    let mut settings = settings(&[directory.url()]);
    settings.base_dn = dn(company::BASE_DN);
    settings.users.base_dn = vec![dn(company::PEOPLE_DN)];
    settings.groups.base_dn = vec![dn(company::GROUPS_DN)];
    settings.bind = service(company::ADMIN_DN, company::ADMIN_PASSWORD);
    settings.read_only = false;
    Source::new(settings)
}

#[tokio::test]
async fn the_embedded_directory_tells_the_same_way() {
    let directory = DemoDirectory::start(Options { seed: Some(1), ..Options::company() }).unwrap();
    let source = embedded(&directory);
    let position = source.position(&wanted()).await.unwrap();
    assert_eq!(position.kind, FeedKind::Syncrepl);
    let mut replica = Replica::read(&source).await;
    let (first, second) = (replica.people.len(), company::people());
    let records = format!(
        "dn: {}\nchangetype: delete\n\ndn: {}\nchangetype: modify\nreplace: mail\nmail: x@y.test\n",
        second[0].dn, second[1].dn
    );
    for record in ldif::parse_changes(&records).unwrap() {
        source.change(&record).await.unwrap();
    }
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.gone, told.changed, replica.people.len()), (1, 1, first - 1), "{told:?}");
    assert_eq!(replica, Replica::read(&source).await);
}

#[tokio::test]
async fn under_member_of_a_changed_group_needs_a_full_read() {
    // The overlay changes people without a trace.
    for builder in [provider(), Slapd::builder()] {
        let slapd = builder.memberof().start();
        let source = source(&slapd, |settings| settings.groups.members = Members::MemberOf);
        let position = source.position(&wanted()).await.unwrap();
        slapd.ldapmodify(&format!(
            "dn: cn=leavers,ou=groups,{SUFFIX}\nchangetype: modify\nadd: member\nmember: uid=carol,ou=people,{SUFFIX}\n"
        ));
        let told = catch_up(&source, &position, &mut Replica::default()).await.unwrap();
        assert!(told.doubt.unwrap().contains("nobody tells for whom"));
    }
}
