//! Operations with one answer: compare, add, modify, delete, modifyDN, and extended ones.

use crate::bind::join;
use crate::codec::protocol as wire;
use crate::connection::Connection;
use crate::ldif::Modification;
use crate::protection::is_password_attribute;
use crate::response::{Kind, Outcome};
use crate::{Attribute, Control, Error, LdapResult, ResultCode, ber, convert};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
const STARTTLS: &str = "1.3.6.1.4.1.1466.20037";
const EXTENDED: u8 = 0x77;

/// The answer to an extended operation. Any result the server gives, success or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedResponse {
    /// What came of it.
    pub result: LdapResult,
    /// The name of the response, where it has one.
    pub name: Option<String>,
    /// Its value.
    pub value: Option<Bytes>,
    /// What came along.
    pub controls: Vec<Control>,
}

/// The answer to a change of password. Any result the server gives, success or not.
#[derive(Debug)]
pub struct PasswordModified {
    /// What came of it.
    pub result: LdapResult,
    /// What came along, the password policy response among it.
    pub controls: Vec<Control>,
    /// The password that the server made, where none was given.
    pub generated: Option<SecretString>,
}

impl Connection {
    /// Whether an entry has a value, by the attribute's own matching rule.
    pub async fn compare(&self, dn: &str, attribute: &str, value: &[u8]) -> Result<bool, Error> {
        let ava = wire::AttributeValueAssertion::new(attribute.into(), convert::octets(value));
        let request = wire::ProtocolOp::CompareRequest(wire::CompareRequest { entry: dn.into(), ava });
        let outcome = self.update("compare", Kind::Compare, &request, &[]).await?;
        match outcome.result.code {
            ResultCode::COMPARE_TRUE => Ok(true),
            ResultCode::COMPARE_FALSE => Ok(false),
            _ => Err(Error::Refused { operation: "compare", result: outcome.result }),
        }
    }

    /// Adds an entry. One with a password attribute is refused on an unprotected connection.
    pub async fn add(&self, dn: &str, attributes: &[Attribute]) -> Result<(), Error> {
        self.check_attributes(attributes.iter())?;
        let outcome = self.update("add", Kind::Add, &convert::add(dn, attributes), &[]).await?;
        succeeded("add", outcome)
    }

    /// Changes an entry, all or nothing. A password attribute is refused on an unprotected connection.
    pub async fn modify(&self, dn: &str, changes: &[Modification]) -> Result<(), Error> {
        self.modify_with(dn, changes, &[]).await
    }

    /// The same, with controls.
    pub async fn modify_with(&self, dn: &str, changes: &[Modification], controls: &[Control]) -> Result<(), Error> {
        self.check_attributes(changes.iter().map(|change| &change.attribute))?;
        let outcome = self.update("modify", Kind::Modify, &convert::modify(dn, changes), controls).await?;
        succeeded("modify", outcome)
    }

    /// Deletes an entry that has none below it.
    pub async fn delete(&self, dn: &str) -> Result<(), Error> {
        self.delete_with(dn, &[]).await
    }

    /// The same, with controls ([`Control::tree_delete`]).
    pub async fn delete_with(&self, dn: &str, controls: &[Control]) -> Result<(), Error> {
        let request = wire::ProtocolOp::DelRequest(wire::DelRequest(dn.into()));
        succeeded("delete", self.update("delete", Kind::Delete, &request, controls).await?)
    }

    /// Renames an entry, or moves it below `new_superior`.
    pub async fn modify_dn(
        &self,
        dn: &str,
        new_rdn: &str,
        delete_old_rdn: bool,
        new_superior: Option<&str>,
    ) -> Result<(), Error> {
        let request = wire::ProtocolOp::ModDnRequest(wire::ModifyDnRequest {
            entry: dn.into(),
            new_rdn: new_rdn.into(),
            delete_old_rdn,
            new_superior: new_superior.map(Into::into),
        });
        succeeded("modifyDN", self.update("modifyDN", Kind::ModifyDn, &request, &[]).await?)
    }

    /// Who is bound (RFC 4532): `dn:…`, `u:…`, or nothing for nobody.
    pub async fn who_am_i(&self) -> Result<String, Error> {
        let response = self.extended(WHO_AM_I, None, &[]).await?;
        if !response.result.is_success() {
            return Err(Error::Refused { operation: "WhoAmI", result: response.result });
        }
        let value = response.value.unwrap_or_default();
        String::from_utf8(value.into())
            .map_err(|_| Error::Malformed { reason: "an authorization identity that is not UTF-8".to_owned() })
    }

    /// RFC 3062. `None` for `user` means who is bound; `None` for `new` has the server make one. Refused on an
    /// unprotected connection, loopback included, before anything is sent; so is an empty new password.
    pub async fn password_modify(
        &self,
        user: Option<&str>,
        old: Option<&SecretString>,
        new: Option<&SecretString>,
    ) -> Result<PasswordModified, Error> {
        self.check_may_set_password()?;
        if new.is_some_and(|new| new.expose_secret().is_empty()) {
            return Err(Error::EmptyPassword);
        }
        let field =
            |tag: u8, text: Option<&str>| text.map(|text| ber::tlv(tag, &[text.as_bytes()])).unwrap_or_default();
        let user = field(0x80, user);
        let old = field(0x81, old.map(ExposeSecret::expose_secret));
        let new = field(0x82, new.map(ExposeSecret::expose_secret));
        let value = ber::tlv(ber::SEQUENCE, &[&user, &old, &new]);
        let controls = [Control::password_policy()];
        let (outcome, controls) = self.extend("password change", PASSWORD_MODIFY, Some(&value), &controls).await?;
        let generated = match outcome.value.filter(|_| outcome.result.is_success()) {
            Some(value) => generated_password(&value)?,
            None => None,
        };
        Ok(PasswordModified { result: outcome.result, controls, generated })
    }

    /// Any other extended operation. STARTTLS is none of them: it belongs to opening a connection.
    pub async fn extended(
        &self,
        name: &str,
        value: Option<&[u8]>,
        controls: &[Control],
    ) -> Result<ExtendedResponse, Error> {
        if name == STARTTLS {
            return Err(Error::Request { reason: "STARTTLS is a matter of opening a connection".to_owned() });
        }
        if name == PASSWORD_MODIFY {
            self.check_may_set_password()?;
        }
        let (outcome, controls) = self.extend("extended operation", name, value, controls).await?;
        Ok(ExtendedResponse { result: outcome.result, name: outcome.name, value: outcome.value, controls })
    }

    async fn extend(
        &self,
        operation: &'static str,
        name: &str,
        value: Option<&[u8]>,
        controls: &[Control],
    ) -> Result<(Outcome, Vec<Control>), Error> {
        let name = ber::tlv(0x80, &[name.as_bytes()]);
        let value = value.map(|value| ber::tlv(0x81, &[value])).unwrap_or_default();
        let request = ber::tlv(EXTENDED, &[&name, &value]);
        self.call(operation, Kind::Extended, join(&request, &convert::controls(controls)?)).await
    }

    async fn update<T: rasn::Encode>(
        &self,
        operation: &'static str,
        kind: Kind,
        request: &T,
        controls: &[Control],
    ) -> Result<Outcome, Error> {
        let request = Zeroizing::new(convert::encode(request)?);
        let (outcome, _) = self.call(operation, kind, join(&request, &convert::controls(controls)?)).await?;
        Ok(outcome)
    }

    fn check_attributes<'a>(&self, mut attributes: impl Iterator<Item = &'a Attribute>) -> Result<(), Error> {
        if attributes.any(|attribute| is_password_attribute(&attribute.name)) {
            self.check_may_set_password()?;
        }
        Ok(())
    }
}

fn succeeded(operation: &'static str, outcome: Outcome) -> Result<(), Error> {
    if outcome.result.is_success() { Ok(()) } else { Err(Error::Refused { operation, result: outcome.result }) }
}

/// RFC 3062, 2: `SEQUENCE { genPasswd [0] OCTET STRING OPTIONAL }`.
fn generated_password(value: &[u8]) -> Result<Option<SecretString>, Error> {
    use rasn::prelude::*;
    #[derive(AsnType, Decode)]
    struct Generated {
        #[rasn(tag(0))]
        password: Option<OctetString>,
    }
    let generated: Generated = ber::decode(value, "password modify response")?;
    let text = |octets: OctetString| {
        String::from_utf8(octets.to_vec())
            .map(SecretString::from)
            .map_err(|_| Error::Malformed { reason: "a generated password that is not UTF-8".to_owned() })
    };
    generated.password.map(text).transpose()
}
