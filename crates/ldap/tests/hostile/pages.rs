//! Pages without end, and pages that are not complete.

use crate::everyone;
use crate::script::{Scripted, entry, search_done};
use bindery_ldap::Error;
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::control::{ControlValue, PagedResults};

fn page(cookie: &[u8]) -> Vec<wire::Control> {
    let control = PagedResults { size: 0, cookie: cookie.to_vec().into() }.to_control().unwrap();
    vec![wire::Control::new(control.oid.as_bytes().into(), false, control.value.map(Into::into))]
}

#[tokio::test]
async fn pages_without_end_end() {
    let server = Scripted::start(|mut peer| async move {
        while let Some(request) = peer.read().await {
            if matches!(request.protocol_op, Op::SearchRequest(_)) {
                peer.send(request.message_id, entry("cn=a")).await;
                let done = search_done(wire::ResultCode::Success);
                peer.send_with(request.message_id, done, page(b"again")).await;
            }
        }
    })
    .await;
    let connection = server.connect().await;
    let mut search = connection.search_paged(everyone(), 10);
    let first = search.next_page().await.unwrap().unwrap();
    assert!(!first.last && !first.cookie_repeated && first.new_entries == 1);
    let second = search.next_page().await.unwrap().unwrap();
    assert!(second.last && second.cookie_repeated && second.endless && !second.completes());
    assert_eq!(second.new_entries, 0);
    assert!(search.next_page().await.unwrap().is_none());
}

#[tokio::test]
async fn pages_with_fresh_cookies_and_nothing_new_end() {
    let server = Scripted::start(|mut peer| async move {
        for n in 0u32.. {
            let Some(request) = peer.read().await else { break };
            let done = search_done(wire::ResultCode::Success);
            peer.send_with(request.message_id, done, page(&n.to_be_bytes())).await;
        }
    })
    .await;
    let connection = server.connect().await;
    let mut search = connection.search_paged(everyone(), 10);
    let mut pages = vec![];
    while let Some(page) = search.next_page().await.unwrap() {
        pages.push(page);
    }
    assert!(pages.len() < 100);
    assert!(pages.last().unwrap().endless && !pages.last().unwrap().completes());
}

#[tokio::test]
async fn a_page_without_its_control_is_not_complete() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        peer.send_with(id, search_done(wire::ResultCode::Success), page(b"more")).await;
        let id = peer.id().await;
        peer.send(id, entry("cn=b")).await;
        peer.done(id).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let mut search = connection.search_paged(everyone(), 10);
    assert!(!search.next_page().await.unwrap().unwrap().control_missing);
    let last = search.next_page().await.unwrap().unwrap();
    assert!(last.last && last.control_missing && !last.completes());
    assert!(search.next_page().await.unwrap().is_none());
}

#[tokio::test]
async fn a_refused_cookie_and_a_broken_page_control_are_not_complete() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send_with(id, search_done(wire::ResultCode::UnwillingToPerform), page(b"")).await;
        let id = peer.id().await;
        let broken = wire::Control::new(PagedResults::OID.as_bytes().into(), false, Some(vec![0x30, 0x84, 255].into()));
        peer.send_with(id, search_done(wire::ResultCode::Success), vec![broken]).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let refused = connection.search_paged(everyone(), 10).next_page().await.unwrap().unwrap();
    assert!(refused.last && !refused.completes());
    let mut broken = connection.search_paged(everyone(), 10);
    assert!(matches!(broken.next_page().await, Err(Error::Malformed { .. })));
    assert!(broken.next_page().await.unwrap().is_none());
}
