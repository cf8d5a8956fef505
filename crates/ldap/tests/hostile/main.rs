//! The client against a directory that is hostile or broken: each answer it should not give is a bounded,
//! typed error, at once or by the deadline, and never hurts anything but its own connection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot begin fails by panicking"
)]

mod answers;
mod connections;
mod limits;
mod messages;
mod pages;
mod password_policy;
mod script;
mod starttls;

use bindery_ldap::{Error, Filter, Scope, SearchRequest};
use script::Scripted;

fn everyone() -> SearchRequest {
    SearchRequest::raw("dc=x", Scope::Subtree, Filter::present("cn"))
}

/// What a search gets when the server answers with these octets, for a message of ID 2 (the first).
async fn answered_with(octets: Vec<u8>) -> Result<usize, Error> {
    let server = Scripted::start(|mut peer| async move {
        assert_eq!(peer.id().await, 2);
        peer.raw(&octets).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let outcome = connection.search(everyone()).await;
    if let Err(error) = &outcome {
        // The fault is the connection's: it is closed at once, and says why from now on.
        connection.closed().await;
        let again = connection.search(everyone()).await.unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }
    drop(connection);
    server.outcome().await;
    outcome.map(|outcome| outcome.entries.len())
}

async fn malformed(octets: Vec<u8>) -> String {
    match answered_with(octets).await {
        Err(Error::Malformed { reason }) => reason,
        other => panic!("{other:?}"),
    }
}
