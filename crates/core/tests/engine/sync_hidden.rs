//! Groups that a sync cannot see: what somebody's entry hides, and what no feed tells of.

use crate::sync_full::{FULL, sync};
use crate::world::{World, assert_signed_in, attempt, dn, engine};
use bindery_core::engine::SessionState;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest};
use bindery_core::{Engine, reconcile};
use bindery_demo_directory::company;
use bindery_tests::Slapd;

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };

/// Eva sits on the board; who may read what the executives are in is who is in `readers`.
fn with_executives() -> Slapd {
    let ldif = "dn: ou=execs,ou=people,dc=example,dc=test\nobjectClass: organizationalUnit\nou: execs\n\n\
        dn: uid=eva,ou=execs,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: eva\ncn: Eva\nsn: Eva\n\
        userPassword: eva-secret\n\n\
        dn: cn=board,ou=groups,dc=example,dc=test\nobjectClass: groupOfNames\ncn: board\n\
        member: uid=eva,ou=execs,ou=people,dc=example,dc=test\nmember: uid=ann,ou=people,dc=example,dc=test\n\n\
        dn: cn=readers,ou=services,dc=example,dc=test\nobjectClass: groupOfNames\ncn: readers\n\
        member: cn=sync,ou=services,dc=example,dc=test\nmember: cn=nobody\n";
    let readers = "group.exact=\"cn=readers,ou=services,dc=example,dc=test\"";
    let execs = "dn.subtree=\"ou=execs,ou=people,dc=example,dc=test\"";
    let access = format!("access to {execs} attrs=memberOf by {readers} read by * none");
    Slapd::builder().memberof().syncprov().ldif(ldif).access(&access).start()
}

async fn over(slapd: &Slapd, rules: &str) -> Engine {
    let text = format!(
        "[sources.larkspur]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"dc=example,dc=test\"\n\
         timeouts = {{ connect = \"2s\", operation = \"10s\" }}\n\
         [sources.larkspur.bind]\ndn = \"{}\"\npassword = \"{}\"\n\
         [sources.larkspur.users]\nbase_dn = \"ou=people,dc=example,dc=test\"\n\
         [sources.larkspur.groups]\nbase_dn = \"ou=groups,dc=example,dc=test\"\nmembers = \"memberOf\"\n{rules}\n",
        slapd.url(),
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD,
    );
    engine(&text, vec![]).await.0
}

async fn in_group(engine: &Engine, name: &str, group: &str) -> Option<bool> {
    let stored = engine.store().user_by_username(&reconcile::username_key(name)).await.unwrap()?;
    Some(engine.view(stored.id).await.unwrap()?.in_group(group))
}

#[tokio::test]
async fn whose_groups_may_not_be_read_any_more_keeps_what_they_had() {
    let required = "mirror = true\n[sources.larkspur.access]\nrequire = \"board\"\n";
    let barred = "mirror = true\n[sources.larkspur.access]\ndeny = \"leavers\"\n";
    for rules in [required, barred] {
        let slapd = with_executives();
        let engine = over(&slapd, rules).await;
        let source = engine.source("larkspur").unwrap();
        let first = engine.sync(&source, FULL).await;
        assert_eq!(first.outcome, SyncOutcome::Completed, "{first:?}");
        let end = engine.sign_in(attempt("eva", "eva-secret")).await;
        assert_signed_in(&end);
        let token = end.token.unwrap();
        slapd.ldapmodify(&format!(
            "dn: cn=readers,ou=services,dc=example,dc=test\nchangetype: modify\ndelete: member\nmember: {}\n",
            Slapd::SYNC_DN
        ));
        for _ in 0..2 {
            let run = engine.sync(&source, FULL).await;
            assert_eq!((run.outcome, run.memberships.removed, run.users.deactivated), (SyncOutcome::Completed, 0, 0));
            assert!(run.users.skipped >= 1, "{run:?}");
            assert_eq!(in_group(&engine, "eva", "board").await, Some(true), "{rules}");
            let session = engine.session(&token).await;
            assert!(matches!(session, SessionState::Active(_) | SessionState::Renewed(..)), "{rules}: {session:?}");
        }
        assert_eq!(in_group(&engine, "ann", "board").await, Some(true));
        // Who is in no group is in none.
        assert_eq!(in_group(&engine, "bare", "board").await, (rules == barred).then_some(false));

        // Nobody is made whose groups nobody knows.
        let fresh = over(&slapd, rules).await;
        let run = fresh.sync(&fresh.source("larkspur").unwrap(), FULL).await;
        assert_eq!(run.outcome, SyncOutcome::Completed, "{run:?}");
        assert_eq!(in_group(&fresh, "eva", "board").await, None, "{rules}");

        slapd.ldapmodify(&format!(
            "dn: cn=readers,ou=services,dc=example,dc=test\nchangetype: modify\nadd: member\nmember: {}\n\n\
             dn: cn=board,ou=groups,dc=example,dc=test\nchangetype: modify\ndelete: member\n\
             member: uid=eva,ou=execs,ou=people,dc=example,dc=test\n",
            Slapd::SYNC_DN
        ));
        let run = engine.sync(&source, SyncRequest { allow_removals: true, ..FULL }).await;
        assert_eq!(run.outcome, SyncOutcome::Completed, "{run:?}");
        // No fingerprint vouches for what nobody knew.
        if rules == required {
            let session = engine.session(&token).await;
            assert!(matches!(session, SessionState::Ended(_)), "{session:?}");
        } else {
            assert_eq!(in_group(&engine, "eva", "board").await, Some(false));
        }
    }
}

/// Nobody is read in full because of one person whose groups nobody may read; they are looked at by each run.
#[tokio::test]
async fn whose_groups_may_not_be_read_is_looked_at_again_and_nobody_else() {
    let slapd = with_executives();
    let engine = over(&slapd, "[sources.larkspur.access]\nrequire = \"board\"\n").await;
    let source = engine.source("larkspur").unwrap();
    assert_eq!(engine.sync(&source, FULL).await.outcome, SyncOutcome::Completed);
    let token = engine.sign_in(attempt("eva", "eva-secret")).await.token.unwrap();
    let reader = |verb: &str| {
        format!(
            "dn: cn=readers,ou=services,dc=example,dc=test\nchangetype: modify\n{verb}: member\nmember: {}\n",
            Slapd::SYNC_DN
        )
    };
    slapd.ldapmodify(&reader("delete"));
    assert_eq!(engine.sync(&source, FULL).await.outcome, SyncOutcome::Completed);
    let eva = "uid=eva,ou=execs,ou=people,dc=example,dc=test";
    for title in ["One", "Two"] {
        slapd.ldapmodify(&format!("dn: {eva}\nchangetype: modify\nreplace: title\ntitle: {title}\n"));
        let run = engine.sync(&source, INCREMENTAL).await;
        assert_eq!((run.outcome, run.mode), (SyncOutcome::Completed, Mode::Incremental), "{run:?}");
        assert!(matches!(engine.session(&token).await, SessionState::Active(_) | SessionState::Renewed(..)));
    }
    slapd.ldapmodify(&format!(
        "{}\ndn: cn=board,ou=groups,dc=example,dc=test\nchangetype: modify\ndelete: member\nmember: {eva}\n",
        reader("add")
    ));
    engine.sync(&source, INCREMENTAL).await;
    assert!(matches!(engine.session(&token).await, SessionState::Ended(_)));
    let run = engine.sync(&source, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen), (Mode::Incremental, 0), "once is enough: {run:?}");
}

/// A rule names a group outside the base, which has one of the source's in it. A group that no feed tells of comes into that
/// one: from then on it is read again, too.
#[tokio::test]
async fn a_group_that_comes_into_one_on_the_way_to_a_rule_is_watched() {
    let app = "cn=app,ou=elsewhere,dc=larkspur,dc=example";
    let crew = "cn=crew,ou=elsewhere,dc=larkspur,dc=example";
    let sales = format!("cn=sales,{}", company::GROUPS_DN);
    let groups = format!("[sources.larkspur.groups]\nbase_dn = \"{}\"\n", company::GROUPS_DN);
    let world = World::with(&format!("{groups}[sources.larkspur.access]\nrequire = \"{app}\"\n")).await;
    let add = "changetype: add\nobjectClass: groupOfNames\n";
    for (dn, attributes) in
        [(app, format!("cn: app\nmember: {sales}\n")), (crew, format!("cn: crew\nmember: {}\n", dn("mei")))]
    {
        let ou = dn.split_once(',').unwrap().1;
        if dn == app {
            world.edit(&format!("dn: {ou}\nchangetype: add\nobjectClass: organizationalUnit\nou: elsewhere\n")).await;
        }
        world.edit(&format!("dn: {dn}\n{add}{attributes}")).await;
    }
    sync(&world, FULL).await;
    world.edit(&format!("dn: {sales}\nchangetype: modify\nadd: member\nmember: {crew}\n")).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.outcome, run.mode), (SyncOutcome::Completed, Mode::Full), "{run:?}");
    let mei = world.enter("mei").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen), (Mode::Incremental, 0), "once: {run:?}");

    world.edit(&format!("dn: {crew}\nchangetype: modify\nreplace: member\nmember: {}\n", dn("zoe"))).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!(run.mode, Mode::Incremental, "{run:?}");
    world.ended(&mei).await;
    world.enter("zoe").await;
}
