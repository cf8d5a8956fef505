//! What a compare comes to, for every result code that a server may have; and other answers that no real server gives on demand.

use crate::support::*;
use crate::wire::{Asked, Code, LdapMessage, Op, entry, otherwise, serve};
use bindery_directory::settings::Members;
use bindery_directory::{DirectoryError, Known, Source};
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::control::{AccountUsable, ControlValue as _, PagedResults};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=test";
const VACANT: &str = "cn=vacant,ou=groups,dc=example,dc=test";

fn quick(url: String) -> bindery_directory::SourceSettings {
    let mut settings = settings(&[url]);
    settings.timeouts.operation = std::time::Duration::from_secs(5);
    settings
}

fn success(asked: &Asked<'_>, found: Option<Op>) -> Vec<LdapMessage> {
    found.map(|found| asked.answer(found)).into_iter().chain([asked.done(Code::Success)]).collect()
}

fn ann() -> Op {
    entry(ANN, &[("uid", &["ann"]), ("entryUUID", &["a"])])
}

/// What a filter says, roughly.
fn says(asked: &Asked<'_>, word: &str) -> bool {
    format!("{:?}", asked.search.filter).contains(word)
}

/// A server where nothing shows who is in what, unless somebody else does. A compare is answered by the table.
#[derive(Clone, Copy)]
struct Table {
    attribute: Code,
    /// Of the attribute that nothing has.
    alias: Code,
    /// Whether other entries show what this one does not.
    others: bool,
}

impl Table {
    async fn source(self, members: Members) -> Source {
        let url = serve(move |message| match (&message.protocol_op, Asked::of(message)) {
            (Op::CompareRequest(compare), _) => {
                let is_alias = &compare.ava.attribute_desc.0[..] == "aliasedObjectName";
                let code = if is_alias { self.alias } else { self.attribute };
                let result = wire::LdapResult::new(code, "".into(), "".into());
                vec![LdapMessage::new(message.message_id, Op::CompareResponse(wire::CompareResponse(result)))]
            }
            (_, Some(asked)) => self.searched(&asked),
            _ => otherwise(message),
        });
        let mut settings = quick(url.await);
        settings.groups.members = members;
        Source::new(settings)
    }

    fn searched(self, asked: &Asked<'_>) -> Vec<LdapMessage> {
        let is_named = says(asked, "\"vacant\"") || asked.base() == VACANT;
        let shows = says(asked, "Present(") && (says(asked, "\"member\"") || says(asked, "\"memberOf\""));
        let found = match asked.base() {
            base if base.starts_with("ou=people") && shows => {
                self.others.then(|| entry("uid=bob,ou=people,dc=example,dc=test", &[]))
            }
            base if base.starts_with("ou=people") => Some(ann()),
            _ if shows && is_named => None,
            _ if shows => self.others.then(|| entry("cn=full,ou=groups,dc=example,dc=test", &[])),
            _ if says(asked, "groupOfUniqueNames") => None,
            _ => Some(entry(VACANT, &[("cn", &["vacant"])])),
        };
        success(asked, found)
    }
}

/// What becomes of it, as a word that the reason has; `None` where nobody is in the group.
type Expected = Option<&'static str>;

/// The code, that of the attribute that nothing has, and what becomes of it: where nobody shows anything, and where others do.
fn table(mute: &'static str) -> Vec<(Code, Code, Expected, Expected)> {
    let (absent, there) = (Code::NoSuchAttribute, Some("it is there"));
    let (right, plain) = (Some("allow the service account to search and compare"), Some("the server answers"));
    let mute = Some(mute);
    vec![
        (Code::NoSuchAttribute, absent, None, None),
        (Code::CompareTrue, absent, there, there),
        (Code::CompareFalse, absent, there, there),
        (Code::CompareFalse, Code::InsufficientAccessRights, there, there),
        // Says "no" of what is not there at all.
        (Code::CompareFalse, Code::CompareFalse, mute, None),
        // Nobody knows whether it does.
        (Code::CompareFalse, Code::Busy, Some("busy"), Some("busy")),
        (Code::ProtocolError, absent, mute, None),
        (Code::InappropriateMatching, absent, mute, None),
        (Code::InvalidAttributeSyntax, absent, mute, None),
        (Code::UnwillingToPerform, absent, mute, None),
        (Code::Other, absent, mute, None),
        (Code::NoSuchObject, absent, right, right),
        (Code::InsufficientAccessRights, absent, right, right),
        (Code::OperationsError, absent, plain, plain),
        (Code::UndefinedAttributeType, absent, plain, plain),
        (Code::Referral, absent, plain, plain),
    ]
}

fn same(told: Option<&str>, expected: Expected) -> bool {
    match (told, expected) {
        (told, None) => told.is_none(),
        (Some(told), Some(word)) => told.contains(word),
        (None, Some(_)) => false,
    }
}

#[tokio::test]
async fn what_a_compare_of_members_says_of_a_group() {
    for (attribute, alias, alone, among) in table("no group of the source shows any member") {
        for (others, expected) in [(false, alone), (true, among)] {
            let source = Table { attribute, alias, others }.source(Members::OfGroup("member".to_owned())).await;
            let known = source.known(&[named("vacant")]).await.remove(0).1;
            let told = match &known {
                Known::Found => None,
                Known::Failed(why) => Some(why.as_str()),
                Known::NotFound => panic!("{attribute:?}: not found"),
            };
            assert!(same(told, expected), "{attribute:?}, {alias:?}, {others}: {known:?}");
            assert!(told.is_none_or(|why| why.contains("cn=vacant") || why.contains("busy")), "{told:?}");
        }
    }
}

#[tokio::test]
async fn what_a_compare_of_member_of_says_of_a_person() {
    for (attribute, alias, alone, among) in table("nobody of the source shows any memberOf") {
        for (others, expected) in [(false, alone), (true, among)] {
            let source = Table { attribute, alias, others }.source(Members::MemberOf).await;
            let told = source.hides_groups(&person(&source, "ann").await).await;
            assert!(same(told.as_deref(), expected), "{attribute:?}, {alias:?}, {others}: {told:?}");
        }
    }
}

/// At sign-in and in a sync: what a rule names and is no group has no name that another rule could mean.
#[tokio::test]
async fn what_a_rule_names_and_is_no_group_bears_no_name() {
    const FOLDER: &str = "ou=folder,ou=groups,dc=example,dc=test";
    let url = serve(|message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(&[]),
        Some(asked) if asked.base().starts_with("ou=people") => {
            success(&asked, Some(entry(ANN, &[("uid", &["ann"]), ("entryUUID", &["a"]), ("memberOf", &[FOLDER])])))
        }
        Some(asked) if asked.base() == FOLDER => {
            let any = matches!(asked.search.filter, wire::Filter::Present(_));
            success(&asked, any.then(|| entry(FOLDER, &[("cn", &["admins"])])))
        }
        Some(asked) => success(&asked, None),
        None => otherwise(message),
    });
    let mut settings = quick(url.await);
    settings.groups.members = Members::MemberOf;
    let source = Source::new(settings);
    let rules = [at("ou=folder,ou=groups"), named("admins")];
    let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
    for told in [groups_of(&source, "ann", &rules).await, roster.memberships(&person(&source, "ann").await)] {
        assert_eq!((names(&told), told.groups.len()), (vec![""], 1), "{told:?}");
        assert_eq!(told.known[&rules[1]], Known::NotFound);
    }
}

const TOP: &str = "cn=top,ou=outside,dc=example,dc=test";
const LOW: &str = "cn=low,ou=outside,dc=example,dc=test";
const ZED: &str = "uid=zed,ou=people,dc=example,dc=test";

/// A server with Ann in a group in one that a rule names, both outside the base; the listing of groups anywhere ends with
/// that, and the group in it is read again as having these members.
async fn steps(
    controls: &'static [&'static str],
    end: impl Fn(&Asked<'_>) -> LdapMessage + Send + Sync + 'static,
    again: &'static [&'static str],
) -> Known {
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(controls),
        Some(asked) => match asked.base() {
            TOP => success(&asked, Some(entry(TOP, &[("cn", &["top"]), ("member", &[LOW])]))),
            LOW => success(&asked, Some(entry(LOW, &[("cn", &["low"]), ("member", again)]))),
            SUFFIX => vec![asked.answer(entry(LOW, &[("cn", &["low"]), ("member", &[ANN])])), end(&asked)],
            base if base.starts_with("ou=people") => {
                success(&asked, Some(entry(ZED, &[("uid", &["zed"]), ("entryUUID", &["z"])])))
            }
            _ => {
                let staff =
                    entry("cn=staff,ou=groups,dc=example,dc=test", &[("cn", &["staff"]), ("member", &["cn=x"])]);
                let end =
                    if controls.is_empty() { asked.done(Code::Success) } else { asked.page_end(Code::Success, b"") };
                vec![asked.answer(staff), end]
            }
        },
        None => otherwise(message),
    });
    let source = Source::new(quick(url.await));
    let rules = [at("cn=top,ou=outside")];
    let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
    roster.memberships(&person(&source, "zed").await).known[&rules[0]].clone()
}

#[tokio::test]
async fn groups_elsewhere_that_were_not_read_whole_leave_what_they_lead_to_unknown() {
    let paging: &[&str] = &[PagedResults::OID];
    assert_eq!(steps(paging, |asked| asked.page_end(Code::Success, b""), &[ANN]).await, Known::Found);
    assert_eq!(steps(&[], |asked| asked.done(Code::Success), &[ANN]).await, Known::Found, "without pages");
    let failed = |known: Known, word: &str| {
        assert!(matches!(&known, Known::Failed(why) if why.contains(word) && why.contains("cn=top")), "{known:?}");
    };
    failed(steps(paging, |asked| asked.done(Code::Success), &[ANN]).await, "lost its place");
    failed(steps(paging, |asked| asked.page_end(Code::Success, b"again"), &[ANN]).await, "without end");
    failed(steps(paging, |asked| asked.done(Code::SizeLimitExceeded), &[ANN]).await, "size limit");
    failed(steps(paging, |asked| asked.done(Code::Busy), &[ANN]).await, "lies outside groups.base_dn");
    failed(steps(paging, |asked| asked.page_end(Code::Success, b""), &[ANN, ZED]).await, "changed while it was read");
}

/// What a server says of a password to who does not know it, in the answer to a search for Ann's entry.
async fn usable(
    script: impl Fn(&Asked<'_>) -> Vec<LdapMessage> + Send + Sync + 'static,
) -> Result<Option<bool>, DirectoryError> {
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.base() == ANN => script(&asked),
        Some(asked) => success(&asked, Some(ann())),
        None => otherwise(message),
    });
    let source = Source::new(quick(url.await));
    source.password_expired(&person(&source, "ann").await).await
}

const EXPIRED: AccountUsable = AccountUsable::Unusable {
    inactive: true,
    reset: false,
    expired: true,
    remaining_grace: None,
    seconds_before_unlock: None,
};

#[tokio::test]
async fn whether_a_password_has_expired_is_said_of_the_entry_that_was_asked_for() {
    let own = usable(|asked| vec![asked.answer_with(ann(), &EXPIRED), asked.done(Code::Success)]);
    assert_eq!(own.await.unwrap(), Some(true));
    let fine = AccountUsable::Usable { seconds_before_expiration: 9 };
    let own = usable(move |asked| vec![asked.answer_with(ann(), &fine), asked.done(Code::Success)]);
    assert_eq!(own.await.unwrap(), Some(false));
    let silent = usable(|asked| success(asked, Some(ann())));
    assert_eq!(silent.await.unwrap(), None);
    let foreign = usable(|asked| {
        let other = asked.answer_with(entry(ZED, &[]), &EXPIRED);
        vec![asked.answer(ann()), other, asked.done(Code::Success)]
    });
    assert_eq!(foreign.await.unwrap(), None, "somebody else's");
}

#[tokio::test]
async fn what_cannot_be_read_of_a_password_is_an_error() {
    for code in [Code::Busy, Code::Unavailable] {
        assert!(usable(move |asked| vec![asked.done(code)]).await.is_err(), "{code:?}");
    }
    let malformed = usable(|asked| {
        let mut answer = asked.answer(ann());
        let oid = AccountUsable::OID.as_bytes().to_vec().into();
        answer.controls = Some(vec![wire::Control::new(oid, false, Some(vec![0x82, 1, 0].into()))]);
        vec![answer, asked.done(Code::Success)]
    });
    assert!(malformed.await.is_err());
}

/// It was there, and it answered.
#[tokio::test]
async fn a_server_that_gives_notice_of_disconnection_has_answered() {
    let notice = || {
        let name = "1.3.6.1.4.1.1466.20036".as_bytes().to_vec().into();
        let notice = wire::ExtendedResponse {
            result_code: Code::Unavailable,
            matched_dn: "".into(),
            diagnostic_message: "not today".into(),
            referral: None,
            response_name: Some(name),
            response_value: None,
        };
        vec![LdapMessage::new(0, Op::ExtendedResp(notice))]
    };
    let at_the_bind = serve(move |_| notice()).await;
    let after = serve(move |message| match Asked::of(message) {
        Some(_) => notice(),
        None => otherwise(message),
    });
    for url in [at_the_bind, after.await] {
        let report = Source::new(quick(url)).check(&[]).await.remove(0);
        assert!(report.answered && !report.findings().is_empty(), "{report:?}");
        assert!(report.findings().iter().any(|finding| format!("{finding:?}").contains("not today")), "{report:?}");
    }
}
