//! People in lists, for whoever looks after them.

use bindery_store::{Cause, Change, Deactivation, Flags, NewUser};

use crate::place::{Place, apply, at, id, link, new_session, new_user, on_both};

on_both!(
    people_are_listed_in_pages_by_their_keys,
    people_are_found_by_the_beginning_of_a_mail_address,
    a_line_says_who_shut_somebody_out_and_where_they_are_from,
    sessions_that_have_not_ended_are_counted,
);

async fn people_are_listed_in_pages_by_their_keys(place: Place) {
    let store = place.open().await;
    let names = ["ann", "ann.b", "anna", "bob", "änn", "zoë", "a%", "a_b", "an\u{10fffe}"];
    apply(&store, names.iter().zip(1..).map(|(name, n)| Change::CreateUser(new_user(n, name))).collect()).await;
    let list = async |prefix: &str, after: &str, limit: u32| -> Vec<String> {
        store.people(prefix, after, limit).await.unwrap().into_iter().map(|user| user.username).collect()
    };
    let all = ["a%", "a_b", "ann", "ann.b", "anna", "an\u{10fffe}", "bob", "zoë", "änn"];
    assert_eq!(list("", "", 99).await, all);
    for size in 1..4_u32 {
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let page = list("", &after, size).await;
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            pages.extend(page);
        }
        assert_eq!(pages, all, "pages of {size}");
    }
    assert_eq!(list("ann", "", 2).await, ["ann", "ann.b"]);
    assert_eq!(list("ann", "ann.b", 2).await, ["anna"]);
    assert_eq!(list("ann", "a", 1).await, ["ann"], "what comes before the first is no bound");
    assert_eq!(list("ann", "zzz", 9).await, [""; 0]);
    assert_eq!(list("an", "", 9).await, ["ann", "ann.b", "anna", "an\u{10fffe}"]);
    // A prefix is text, not a pattern, and what cannot be stored is not found.
    assert_eq!(list("a%", "", 9).await, ["a%"]);
    assert_eq!(list("%", "", 9).await, [""; 0]);
    assert_eq!(list("a\0", "", 9).await, [""; 0]);
    assert_eq!(list(&"x".repeat(2000), "", 9).await, [""; 0]);
}

async fn people_are_found_by_the_beginning_of_a_mail_address(place: Place) {
    let store = place.open().await;
    let mailed = |n: u128, name: &str, mail: &str| {
        Change::CreateUser(NewUser { email: mail.to_uppercase(), email_key: mail.to_owned(), ..new_user(n, name) })
    };
    apply(
        &store,
        vec![mailed(1, "one", "b@x"), mailed(2, "two", "a@x"), mailed(3, "three", "a@y"), mailed(4, "four", "")],
    )
    .await;
    let list = async |prefix: &str, limit: u32| -> Vec<String> {
        store.people_by_email(prefix, limit).await.unwrap().into_iter().map(|user| user.username).collect()
    };
    assert_eq!(list("a@", 9).await, ["two", "three"]);
    assert_eq!(list("a@", 1).await, ["two"]);
    assert_eq!(list("b@x", 9).await, ["one"]);
    assert_eq!(list("@", 9).await, [""; 0]);
    assert_eq!(list("%", 9).await, [""; 0]);
    assert_eq!(list("", 9).await, [""; 0], "everybody is found by name");
}

async fn a_line_says_who_shut_somebody_out_and_where_they_are_from(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::CreateUser(new_user(2, "bob"))]).await;
    let by = Some(Deactivation::new(Cause::Left, "corp"));
    let flags = Flags::from([("is_active".to_owned(), false)]);
    apply(
        &store,
        vec![
            Change::Link(link(1, "corp", "ann")),
            Change::Link(link(1, "branch", "ann")),
            Change::SetFlags { user: id(1), flags },
            Change::SetDeactivatedBy { user: id(1), by: by.clone() },
            Change::SignedIn { user: id(1) },
        ],
    )
    .await;
    let people = store.people("", "", 9).await.unwrap();
    let [ann, bob] = people.as_slice() else { panic!("{people:?}") };
    assert_eq!((ann.id, &ann.sources, &ann.deactivated_by), (id(1), &vec!["branch".into(), "corp".into()], &by));
    assert_eq!((ann.flags["is_active"], ann.last_sign_in), (false, Some(at(0))));
    assert_eq!((bob.sources.len(), &bob.deactivated_by, bob.last_sign_in), (0, &None, None));
}

async fn sessions_that_have_not_ended_are_counted(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::CreateUser(new_user(2, "bob"))]).await;
    let session = |user, token| Change::StartSession(new_session(user, token));
    apply(&store, vec![session(1, "a"), session(1, "b"), session(2, "c")]).await;
    assert_eq!(store.session_count(id(1), at(99)).await.unwrap(), 2);
    assert_eq!(store.session_count(id(1), at(100)).await.unwrap(), 0, "they were idle for too long");
    assert_eq!(store.session_count(id(9), at(0)).await.unwrap(), 0);
}
