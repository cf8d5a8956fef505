//! Putting messages together.

use crate::operations::Refusal;
use bindery_ldap::codec::protocol::{
    BindResponse, Control as WireControl, ExtendedResponse, LdapMessage, LdapResult, ProtocolOp, ResultCode,
};
use bindery_ldap::control::{ControlValue, PasswordPolicyError, PasswordPolicyResponse};

/// RFC 4511, 4.4.1.
const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// A message with at most one control.
pub(crate) fn with_control<C: ControlValue>(id: u32, op: ProtocolOp, control: Option<&C>) -> LdapMessage {
    let mut message = LdapMessage::new(id, op);
    if let Some(control) = control
        && let Ok(value) = control.encode()
    {
        message.controls = Some(vec![WireControl::new(C::OID.as_bytes().to_vec().into(), false, Some(value.into()))]);
    }
    message
}

/// A message without controls.
pub(crate) fn plain(id: u32, op: ProtocolOp) -> LdapMessage {
    LdapMessage::new(id, op)
}

/// The password policy's word, where it was asked for.
pub(crate) fn policy(asked: bool, error: Option<PasswordPolicyError>) -> Option<PasswordPolicyResponse> {
    asked.then(|| PasswordPolicyResponse { error, ..PasswordPolicyResponse::default() })
}

pub(crate) fn bind_response(result: LdapResult) -> ProtocolOp {
    ProtocolOp::BindResponse(BindResponse::new(
        result.result_code,
        result.matched_dn,
        result.diagnostic_message,
        None,
        None,
    ))
}

pub(crate) fn extended_response(result: LdapResult, name: Option<&str>, value: Option<Vec<u8>>) -> ProtocolOp {
    ProtocolOp::ExtendedResp(ExtendedResponse {
        result_code: result.result_code,
        matched_dn: result.matched_dn,
        diagnostic_message: result.diagnostic_message,
        referral: None,
        response_name: name.map(|name| name.as_bytes().to_vec().into()),
        response_value: value.map(Into::into),
    })
}

/// Says why the connection ends.
pub(crate) fn notice_of_disconnection(code: ResultCode, reason: &str) -> LdapMessage {
    plain(0, extended_response(Refusal::new(code, reason).into_result(), Some(NOTICE_OF_DISCONNECTION), None))
}
