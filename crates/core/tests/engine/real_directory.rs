//! What an app hears and asks for, over slapd: events with the entry and the typed name, and people brought in by name.

use crate::world::{assert_refused, assert_signed_in, assert_unavailable, attempt, engine};
use bindery_core::events::{Event, EventHandler, Populate, Veto};
use bindery_core::{Engine, Outcome, Reason};
use bindery_tests::Slapd;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};

/// Not UTF-8, nor would it survive as one.
const PHOTO: [u8; 4] = [0xff, 0xd8, 0x00, 0xfe];

/// What somebody was told just before the write.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    typed: Option<String>,
    dn: String,
    title: Option<String>,
    photo: Vec<u8>,
    groups: Vec<(String, String)>,
}

/// Keeps what it hears.
#[derive(Default)]
struct Ear {
    seen: Mutex<Vec<Seen>>,
    heard: Mutex<Vec<Event>>,
}

impl EventHandler for Ear {
    fn populate<'a>(&'a self, event: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        let entry = &event.person.entry;
        let groups = event.memberships.groups.iter();
        let mut groups: Vec<_> = groups.map(|group| (group.dn.to_string(), group.names[0].clone())).collect();
        groups.sort();
        self.seen.lock().unwrap().push(Seen {
            typed: event.typed.map(str::to_owned),
            dn: event.person.dn.to_string(),
            title: entry.text("title").map(str::to_owned),
            photo: entry.values("jpegPhoto").next().unwrap_or_default().to_vec(),
            groups,
        });
        Box::pin(std::future::ready(Ok(())))
    }

    fn notify(&self, event: &Event) {
        self.heard.lock().unwrap().push(event.clone());
    }
}

impl Ear {
    fn heard(&self) -> Vec<Event> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

async fn over(slapd: &Slapd, tables: &str) -> (Engine, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let text = format!(
        "[sources.corp]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\n\
         timeouts = {{ connect = \"2s\", operation = \"10s\" }}\n\
         [sources.corp.bind]\ndn = \"{}\"\npassword = \"{}\"\n\
         [sources.corp.users]\nbase_dn = \"ou=people,{}\"\n{tables}\n",
        slapd.url(),
        Slapd::SUFFIX,
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD,
        Slapd::SUFFIX,
    );
    (engine(&text, vec![ear.clone()]).await.0, ear)
}

/// D5, D11: the name as it was typed stands beside the entry, whatever the template makes of it; DNs and names of the groups
/// are there, and bytes stay bytes.
#[tokio::test]
async fn an_app_sees_the_entry_and_the_typed_name() {
    let slapd = Slapd::start();
    let dn = format!("uid=ann,ou=people,{}", Slapd::SUFFIX);
    slapd.ldapmodify(&format!("dn: {dn}\nchangetype: modify\nadd: jpegPhoto\njpegPhoto:: /9gA/g==\n"));
    let attributes = "[sources.corp.users.attributes]\nusername = \"{{ uid }}.{{ l }}\"\ntitle = \"title\"\n\
                      photo = \"jpegPhoto\"\n";
    let (engine, ear) = over(&slapd, attributes).await;
    let end = engine.sign_in(attempt("ANN", "ann-secret")).await;
    assert_signed_in(&end);
    let user = end.user.unwrap();
    assert_eq!((user.username.as_str(), &user.profile["photo"]), ("ann.lyon", &"/9gA/g==".into()));
    let seen = ear.seen.lock().unwrap().clone();
    assert_eq!((seen.len(), seen[0].typed.as_deref(), seen[0].dn.as_str()), (1, Some("ANN"), dn.as_str()));
    assert_eq!((seen[0].title.as_deref(), &seen[0].photo), (Some("Writer"), &PHOTO.to_vec()));
    let writers = (format!("cn=writers,ou=groups,{}", Slapd::SUFFIX), "writers".to_owned());
    assert!(seen[0].groups.contains(&writers), "{seen:?}");
    let told = Event::SignedIn { user: user.id, source: Some("corp".into()), typed: "ANN".into() };
    assert!(ear.heard().contains(&told));
    // Whom the template named is found under that name from then on, and as the directory calls them.
    assert_refused(&engine.sign_in(attempt("ann", "wrong")).await, Reason::BadCredentials);
    let wrong =
        Event::SignInFailed { typed: "ann".into(), outcome: Outcome::Refused, reason: Some(Reason::BadCredentials) };
    assert!(ear.heard().contains(&wrong));
}

/// D10: somebody is brought in by name, without a password; nobody and no answer are two things, and access rules hold.
#[tokio::test]
async fn people_are_brought_in_by_name() {
    let mut slapd = Slapd::start();
    let (engine, ear) = over(&slapd, "[sources.corp.access]\ndeny = \"leavers\"\n").await;
    let ann = engine.provision("ann").await;
    assert_eq!((ann.outcome, ann.user.map(|user| user.email)), (Outcome::SignedIn, Some("ann@example.test".into())));
    assert_eq!(ear.seen.lock().unwrap()[0].typed.as_deref(), Some("ann"));
    assert!(matches!(&ear.heard()[..], [Event::Synced { changed: true, .. }]), "they have not signed in");
    let nobody = engine.provision("nobody").await;
    assert_eq!((nobody.outcome, nobody.reason), (Outcome::Refused, Some(Reason::NoSuchUser)));
    let left = engine.provision("dave").await;
    assert_eq!((left.outcome, left.reason), (Outcome::Refused, Some(Reason::InDeniedGroup)));
    assert_eq!(engine.store().user_count().await.unwrap(), 1);
    slapd.stop();
    let lost = engine.provision("bob").await;
    assert_eq!((lost.outcome, lost.reason), (Outcome::Unavailable, None));
}

/// D18: whoever watches hears that a directory could not answer, and which.
#[tokio::test]
async fn an_outage_is_told_to_the_app() {
    let mut slapd = Slapd::start();
    let (engine, ear) = over(&slapd, "").await;
    assert_signed_in(&engine.sign_in(attempt("ann", "ann-secret")).await);
    assert!(!ear.heard().iter().any(|event| matches!(event, Event::DirectoryError { .. })));
    slapd.stop();
    assert_unavailable(&engine.sign_in(attempt("ann", "ann-secret")).await);
    let heard = ear.heard();
    let told = heard.iter().find_map(|event| match event {
        Event::DirectoryError { source, detail } => Some((source.as_str(), !detail.is_empty())),
        _ => None,
    });
    assert_eq!(told, Some(("corp", true)), "{heard:?}");
}
