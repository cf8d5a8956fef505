//! Bind (RFC 4511, 4.2; RFC 4513, 5.1).

use super::{Identity, Refusal};
use crate::directory::Directory;
use crate::password::Password;
use bindery_ldap::Dn;
use bindery_ldap::codec::protocol::{AuthenticationChoice, BindRequest, ResultCode};
use bindery_ldap::control::PasswordPolicyError;

/// Who somebody is now, and what the password policy has to say to them.
pub(crate) type Bound = (Identity, Option<PasswordPolicyError>);

/// Who asks is who they say, or is refused. A wrong password and an unknown name are one and the same.
pub(crate) fn bind(directory: &Directory, request: &BindRequest) -> Result<Bound, Refusal> {
    if request.version != 3 {
        return Err(Refusal::new(ResultCode::ProtocolError, "only LDAP version 3 is spoken here"));
    }
    let AuthenticationChoice::Simple(password) = &request.authentication else {
        return Err(Refusal::new(ResultCode::AuthMethodNotSupported, "only simple binds are understood"));
    };
    if request.name.is_empty() && password.is_empty() {
        return Ok((Identity::default(), None));
    }
    if password.is_empty() {
        return Err(Refusal::new(
            ResultCode::UnwillingToPerform,
            "unauthenticated bind (DN with no password) disallowed",
        ));
    }
    let dn = super::parse_dn(&request.name)?;
    verify(directory, &dn, password)
}

fn verify(directory: &Directory, dn: &Dn, password: &[u8]) -> Result<Bound, Refusal> {
    let wrong = || Refusal::new(ResultCode::InvalidCredentials, "");
    let state = directory.read();
    let Some(node) = state.tree.get(dn).filter(|node| !node.passwords.is_empty()) else {
        // The work of a comparison, so that the time does not tell names apart.
        let _ = Password::new([0; 16], password).verify(password);
        return Err(wrong());
    };
    if node.has("pwdAccountLockedTime") {
        // Like OpenLDAP: whatever the password, and nothing said unless the policy control asks.
        return Err(Refusal { policy: Some(PasswordPolicyError::AccountLocked), ..wrong() });
    }
    if !node.passwords.iter().any(|own| own.verify(password)) {
        return Err(wrong());
    }
    if node.has_value("nsAccountLock", b"TRUE") {
        // Like 389 Directory Server.
        return Err(Refusal::new(ResultCode::UnwillingToPerform, "Account inactivated. Contact system administrator."));
    }
    let policy = node.has_value("pwdReset", b"TRUE").then_some(PasswordPolicyError::ChangeAfterReset);
    Ok((Identity(Some(node.dn.clone())), policy))
}
