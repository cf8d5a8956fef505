//! The password policy control, hostile and asked for.

use crate::script::{Scripted, bind_response};
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::control::{self, ControlValue, PasswordPolicyResponse};
use bindery_ldap::{Error, ResultCode};

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
