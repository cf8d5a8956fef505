//! The client against a directory that is hostile or broken: each answer it should not give is a bounded,
//! typed error, at once or by the deadline, and never hurts anything but its own connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod script;

use bindery_ldap::codec::protocol as wire;
use bindery_ldap::control::{self, ControlValue, PagedResults, PasswordPolicyResponse};
use bindery_ldap::{Connection, Deadline, Error, Filter, ResultCode, Scope, SearchItem, SearchRequest};
use script::{Peer, Scripted, bind_response, encoded, entry, message, result, search_done, tlv};
use std::time::Duration;
use wire::ProtocolOp as Op;

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

#[tokio::test]
async fn deep_nesting_is_refused_without_recursion() {
    let mut nested = vec![];
    for _ in 0..60_000 {
        nested = [&[0x30, 0x84][..], &u32::try_from(nested.len()).unwrap().to_be_bytes(), &nested].concat();
        if nested.len() > 360_000 {
            break;
        }
    }
    let reason = malformed(message(2, &tlv(0x64, &nested))).await;
    assert!(reason.contains("nested"), "{reason}");
}

#[tokio::test]
async fn huge_lengths_are_refused_before_anything_is_buffered() {
    for header in [
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x84, 0x04, 0x00, 0x00, 0x01],
    ] {
        let error = answered_with(header).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 0x400_0000, .. }), "{error}");
    }
}

#[tokio::test]
async fn messages_that_are_none_fail_at_once() {
    let broken: &[(&str, Vec<u8>)] = &[
        ("no SEQUENCE", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("an indefinite length", vec![0x30, 0x80, 2, 1, 2, 0, 0]),
        ("nine octets of length", vec![0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("an inner length that overruns", message(2, &[0x64, 0x84, 0, 0, 1, 0])),
        ("an unknown operation", message(2, &[0x7e, 0])),
        ("a request", message(2, &[0x42, 0])),
        ("an entry without attributes", message(2, &tlv(0x64, &[4, 0]))),
        ("an empty message", vec![0x30, 0]),
        ("a result that is cut short", message(2, &tlv(0x65, &[0x0a, 1]))),
        ("a result code that is a string", message(2, &tlv(0x65, &[4, 1, 0, 4, 0, 4, 0]))),
        ("a negative message ID", vec![0x30, 12, 2, 1, 0xff, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0]),
        ("a constructed string", message(2, &tlv(0x64, &[0x24, 2, 4, 0, 0x30, 0]))),
    ];
    for (what, octets) in broken {
        let reason = malformed(octets.clone()).await;
        assert!(!reason.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_flood_of_empty_values_is_refused() {
    let values = tlv(0x31, &[4, 0].repeat(3_000_000));
    let attribute = tlv(0x30, &[&[4, 1, b'a'][..], &values].concat());
    let entry = tlv(0x64, &[&[4, 0][..], &tlv(0x30, &attribute)].concat());
    let reason = malformed(message(2, &entry)).await;
    assert!(reason.contains("too many values"), "{reason}");
}

#[tokio::test]
async fn answers_to_nobody_are_refused() {
    let wrong_id = encoded(77, search_done(wire::ResultCode::Success), vec![]);
    assert!(malformed(wrong_id.to_vec()).await.contains("77"));
    let wrong_kind = encoded(2, bind_response(wire::ResultCode::Success), vec![]);
    assert!(malformed(wrong_kind.to_vec()).await.contains("Bind"));
    let zero = encoded(0, entry("cn=a"), vec![]);
    assert!(malformed(zero.to_vec()).await.contains("message 0"));
}

#[tokio::test]
async fn entries_in_answer_to_a_bind_are_refused() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let error = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    drop(connection);
    server.outcome().await;
}

#[tokio::test]
async fn an_answer_given_twice_is_refused() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.done(id).await;
        peer.done(id).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    assert!(connection.search(everyone()).await.unwrap().result.is_success());
    connection.closed().await;
    assert!(matches!(connection.search(everyone()).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_message_is_no_result() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        let last = encoded(id, search_done(wire::ResultCode::Success), vec![]);
        peer.raw(&last[..last.len() - 1]).await;
    })
    .await;
    let error = server.connect().await.search(everyone()).await.unwrap_err();
    assert!(matches!(&error, Error::Closed { reason } if reason.contains("middle")), "{error}");
}

#[tokio::test]
async fn an_end_instead_of_a_result_is_no_result() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
    })
    .await;
    let error = server.connect().await.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_ends_by_the_deadline_and_is_told() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(300);
    let connection = Connection::open(&options).await.unwrap();
    let search = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(search, Error::Timeout { after, .. } if after.as_millis() == 300), "{search}");
    let compare = connection.compare("cn=a", "cn", b"a").await.unwrap_err();
    assert!(matches!(compare, Error::Timeout { .. }) && compare.is_connection_lost(), "{compare}");
    drop(connection);
    let sent = server.outcome().await;
    let abandoned: Vec<_> = sent
        .iter()
        .filter_map(|m| match &m.protocol_op {
            Op::AbandonRequest(id) => Some(id.0),
            _ => None,
        })
        .collect();
    assert_eq!(abandoned, [sent[0].message_id, sent[2].message_id], "{sent:?}");
    assert!(matches!(sent.last().unwrap().protocol_op, Op::UnbindRequest(_)));
}

#[tokio::test]
async fn a_trickling_server_is_held_to_the_deadline_as_a_whole() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        for n in 0..1000 {
            peer.send(id, entry(&format!("cn={n}"))).await;
            // The pace of a hostile server, not synchronisation.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(400);
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let request = everyone().deadline(Deadline::After(Duration::from_millis(200)));
    let error = connection.search(request).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after.as_millis() == 200), "{error}");
}

#[tokio::test]
async fn a_bind_that_is_given_up_closes_the_connection() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(200);
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    connection.closed().await;
    server.outcome().await;
}

#[tokio::test]
async fn dropping_a_search_abandons_it_and_late_answers_hurt_nobody() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        let Some(Op::AbandonRequest(abandoned)) = peer.read().await.map(|m| m.protocol_op) else {
            panic!("no Abandon")
        };
        assert_eq!(abandoned.0, id);
        // What was on its way before the server heard of it.
        peer.send(id, entry("cn=b")).await;
        peer.done(id).await;
        let id = peer.id().await;
        peer.done(id).await;
    })
    .await;
    let connection = server.connect().await;
    let mut stream = connection.search_stream(everyone()).await.unwrap();
    assert!(matches!(stream.next().await.unwrap(), Some(SearchItem::Entry { .. })));
    drop(stream);
    assert!(connection.search(everyone()).await.unwrap().result.is_success());
    server.outcome().await;
}

#[tokio::test]
async fn dropping_a_future_abandons_its_operation() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let Some(Op::AbandonRequest(abandoned)) = peer.read().await.map(|m| m.protocol_op) else {
            panic!("no Abandon")
        };
        assert_eq!(abandoned.0, id);
    })
    .await;
    let connection = server.connect().await;
    let compare = connection.compare("cn=a", "cn", b"a");
    assert!(tokio::time::timeout(Duration::from_millis(100), compare).await.is_err());
    server.outcome().await;
}

#[tokio::test]
async fn nothing_is_sent_beside_a_bind() {
    let server = Scripted::start(|mut peer| async move {
        let bind = peer.id().await;
        // The search that was asked for meanwhile must not be here yet.
        let early = tokio::time::timeout(Duration::from_millis(100), peer.read()).await;
        assert!(early.is_err(), "{early:?}");
        peer.send(bind, bind_response(wire::ResultCode::Success)).await;
        let search = peer.id().await;
        peer.done(search).await;
    })
    .await;
    let connection = server.connect().await;
    let password = "secret".into();
    let bind = connection.bind_simple("cn=a", &password);
    let search = connection.search(everyone());
    let (bind, search) = tokio::join!(bind, search);
    assert!(bind.unwrap().0.is_success() && search.unwrap().result.is_success());
    server.outcome().await;
}

#[tokio::test]
async fn an_empty_password_sends_nothing() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let connection = server.connect().await;
    for password in ["", "\0", "secret\0"] {
        let error = connection.bind_simple("cn=a", &password.into()).await.unwrap_err();
        assert!(matches!(error, Error::EmptyPassword), "{error}");
    }
    let error = connection.password_modify(None, None, Some(&"x".into())).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    connection.close().await;
    let sent = server.outcome().await;
    assert!(matches!(sent[..], [wire::LdapMessage { protocol_op: Op::UnbindRequest(_), .. }]), "{sent:?}");
}

#[tokio::test]
async fn a_dn_that_is_not_utf8_fails_alone() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let broken = tlv(0x64, &[&[4, 4, b'c', b'n', b'=', 0xff][..], &[0x30, 0]].concat());
        peer.raw(&message(u8::try_from(id).unwrap(), &broken)).await;
        peer.send(id, entry("cn=good")).await;
        peer.done(id).await;
    })
    .await;
    let outcome = server.connect().await.search(everyone()).await.unwrap();
    assert!(outcome.entries[0].dn().is_err() && outcome.entries[0].raw_dn() == b"cn=\xff");
    assert_eq!(outcome.entries[1].dn().unwrap().as_str(), "cn=good");
}

#[tokio::test]
async fn unknown_result_codes_are_results() {
    let server = Scripted::start(|mut peer| async move {
        let id = u8::try_from(peer.id().await).unwrap();
        peer.raw(&message(id, &tlv(0x65, &[0x0a, 2, 0x10, 0, 4, 0, 4, 0]))).await;
        let id = u8::try_from(peer.id().await).unwrap();
        peer.raw(&message(id, &tlv(0x6b, &[0x0a, 2, 0x7f, 1, 4, 0, 4, 0]))).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let outcome = connection.search(everyone()).await.unwrap();
    assert_eq!(outcome.result.code, ResultCode::SYNC_REFRESH_REQUIRED);
    let error = connection.delete("cn=a").await.unwrap_err();
    assert_eq!(error.result().unwrap().code, ResultCode(0x7f01));
}

#[tokio::test]
async fn a_notice_of_disconnection_ends_everything_with_its_reason() {
    let name = b"1.3.6.1.4.1.1466.20036";
    let tail = |code: u8| [&[0x0a, 1, code, 4, 0][..], &tlv(4, b"restarting")].concat();
    let proper = tlv(0x78, &[tail(52), tlv(0x8a, name)].concat());
    // As Active Directory writes it: the name after the operation instead of in it.
    let active_directory = [tlv(0x78, &tail(52)), tlv(0x8a, name)].concat();
    for notice in [proper, active_directory] {
        match answered_with(message(0, &notice)).await {
            Err(Error::Closed { reason }) => {
                assert!(reason.contains("disconnection") && reason.contains("restarting"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn other_unsolicited_notifications_are_ignored_but_not_for_ever() {
    let unknown = message(0, &tlv(0x78, &[&[0x0a, 1, 0, 4, 0, 4, 0][..], &tlv(0x8a, b"1.2.3")].concat()));
    let done = encoded(2, search_done(wire::ResultCode::Success), vec![]);
    let few = [unknown.repeat(5), done.to_vec()].concat();
    assert_eq!(answered_with(few).await.unwrap(), 0);
    assert!(malformed(unknown.repeat(200)).await.contains("flood"));
}

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

#[tokio::test]
async fn more_than_the_cap_is_not_collected() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let entry = encoded(id, entry(&"cn=x,".repeat(1000)), vec![]);
        // Without an end, until the client has had enough.
        let flood = async {
            loop {
                peer.raw(&entry).await;
            }
        };
        tokio::select! { () = flood => {}, () = tokio::time::sleep(Duration::from_secs(5)) => {} }
    })
    .await;
    let mut options = server.options();
    options.max_message = 1 << 20;
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::TooManyResults { limit: 0x10_0000, .. }), "{error}");
    assert!(!connection.is_closed(), "only the search is over");
}

/// Answers the first search without end, and every compare.
async fn flood(mut peer: Peer) {
    let id = peer.id().await;
    let octets = encoded(id, entry(&"cn=x,".repeat(2000)), vec![]);
    // More than queues and socket buffers hold together.
    for _ in 0..1200 {
        peer.raw(&octets).await;
    }
    while let Some(request) = peer.read().await {
        if matches!(request.protocol_op, Op::CompareRequest(_)) {
            let answer = Op::CompareResponse(wire::CompareResponse(result(wire::ResultCode::CompareTrue)));
            peer.send(request.message_id, answer).await;
        }
    }
}

#[tokio::test]
async fn a_slow_reader_loses_its_search_and_the_others_go_on() {
    let server = Scripted::start(flood).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_secs(8);
    let connection = Connection::open(&options).await.unwrap();
    let mut stream = connection.search_stream(everyone().deadline(Deadline::None)).await.unwrap();
    // Nobody reads the stream; this waits behind it, but within its own deadline.
    assert!(connection.compare("cn=a", "cn", b"a").await.unwrap());
    let mut read = 0;
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("the search ended"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::SlowReader { .. }), "{error}");
    assert!(read < 300, "the queue is bounded: {read}");
}

#[tokio::test]
async fn dropping_a_search_with_a_full_queue_frees_the_connection_at_once() {
    let server = Scripted::start(flood).await;
    let connection = server.connect().await;
    let mut stream = connection.search_stream(everyone()).await.unwrap();
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    assert!(connection.compare("cn=a", "cn", b"a").await.unwrap());
}

#[tokio::test]
async fn a_password_policy_control_with_a_hostile_length_is_an_error_of_its_own() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let hostile = wire::Control::new(
            PasswordPolicyResponse::OID.as_bytes().into(),
            false,
            Some(vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff].into()),
        );
        peer.send_with(id, bind_response(wire::ResultCode::InvalidCredentials), vec![hostile]).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let (result, controls) = connection.bind_simple("cn=a", &"secret".into()).await.unwrap();
    assert_eq!(result.code, ResultCode::INVALID_CREDENTIALS);
    assert!(matches!(control::find::<PasswordPolicyResponse>(&controls), Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn binds_ask_for_the_password_policy() {
    let server = Scripted::start(|mut peer| async move {
        let request = peer.read().await.unwrap();
        let controls = request.controls.unwrap_or_default();
        assert!(controls.iter().any(|c| &*c.control_type == b"1.3.6.1.4.1.42.2.27.8.5.1" && !c.criticality));
        let Op::BindRequest(bind) = request.protocol_op else { panic!("no bind") };
        assert_eq!((bind.version, bind.name.as_str()), (3, "cn=a,dc=x"));
        assert_eq!(bind.authentication, wire::AuthenticationChoice::Simple(b"p\xc3\xa4ss".as_slice().into()));
        peer.send(request.message_id, bind_response(wire::ResultCode::Success)).await;
    })
    .await;
    let (result, _) = server.connect().await.bind_simple("cn=a,dc=x", &"p\u{e4}ss".into()).await.unwrap();
    assert!(result.is_success());
    server.outcome().await;
}

/// What `open` makes of a server that answers STARTTLS so.
async fn starttls_answered_with(octets: &'static [u8]) -> Error {
    let server = Scripted::start(move |mut peer| async move {
        let Some(Op::ExtendedReq(request)) = peer.read().await.map(|m| m.protocol_op) else { panic!("no STARTTLS") };
        assert_eq!(&*request.request_name, b"1.3.6.1.4.1.1466.20037");
        peer.raw(octets).await;
        tokio::time::timeout(Duration::from_secs(5), peer.rest_raw()).await.unwrap_or_default()
    })
    .await;
    let mut options = server.options();
    options.tls.starttls = true;
    let error = Connection::open(&options).await.unwrap_err();
    let sent = server.outcome().await;
    assert!(!sent.windows(2).any(|window| window == [0x02, 0x60]), "no bind in clear");
    error
}

#[tokio::test]
async fn starttls_that_is_refused_is_fatal() {
    let error = starttls_answered_with(&[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 2, 4, 0, 4, 0]).await;
    assert!(matches!(&error, Error::StartTls { reason, .. } if reason.contains("protocolError")), "{error}");
}

#[tokio::test]
async fn octets_injected_before_the_handshake_are_fatal() {
    // Success, and then a bind response that an attacker would like to see taken for one inside TLS.
    let error = starttls_answered_with(&[
        0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0, 0x30, 12, 2, 1, 2, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0,
    ])
    .await;
    assert!(matches!(&error, Error::StartTls { reason, .. } if reason.contains("injection")), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let server = Scripted::start(|mut peer| async move { peer.rest_raw().await }).await;
    let mut options = server.options();
    options.connect_timeout = Duration::from_millis(300);
    options.tls.starttls = true;
    let error = Connection::open(&options).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { operation: "connecting", .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let (hold, held) = tokio::sync::oneshot::channel::<()>();
    let server = Scripted::start(|peer| async move {
        let _ = held.await;
        drop(peer);
    })
    .await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_secs(8);
    let connection = Connection::open(&options).await.unwrap();
    // More than socket buffers hold.
    let value = bindery_ldap::Attribute { name: "photo".into(), values: vec![vec![0; 12_000_000]] };
    let error = connection.add("cn=a", &[value]).await.unwrap_err();
    assert!(matches!(&error, Error::Closed { reason } if reason.contains("does not read")), "{error}");
    assert!(connection.is_closed());
    drop(hold);
}

#[tokio::test]
async fn one_connection_closing_is_told_to_all_of_its_operations() {
    let server = Scripted::start(|mut peer| async move {
        for _ in 0..20 {
            peer.id().await;
        }
    })
    .await;
    let connection = server.connect().await;
    let searches = (0..20).map(|_| connection.search(everyone()));
    for outcome in futures::future::join_all(searches).await {
        assert!(matches!(outcome, Err(Error::Closed { .. })), "{outcome:?}");
    }
}
