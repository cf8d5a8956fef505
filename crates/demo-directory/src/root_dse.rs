//! What the directory says of itself: the root DSE (RFC 4512, 5.1) and the subschema entry.

use crate::directory::State;
use crate::server::Protection;
use bindery_ldap::control::{ControlValue as _, PagedResults, SyncRequest};
use bindery_ldap::{Attribute, Control};

/// The name of the subschema entry.
pub(crate) const SUBSCHEMA: &str = "cn=Subschema";

/// RFC 4511, 4.14.
pub(crate) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// RFC 4532.
pub(crate) const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// RFC 3062.
pub(crate) const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";

/// The controls understood.
pub(crate) fn supported_controls() -> Vec<String> {
    vec![
        PagedResults::OID.to_owned(),
        SyncRequest::OID.to_owned(),
        Control::password_policy().oid,
        Control::manage_dsa_it().oid,
    ]
}

/// The user attributes and the operational ones of the root DSE.
pub(crate) fn root_dse(state: &State, protection: Protection) -> (Vec<Attribute>, Vec<Attribute>) {
    let many = |name: &str, values: Vec<String>| Attribute {
        name: name.to_owned(),
        values: values.into_iter().map(String::into_bytes).collect(),
    };
    let one = |name: &str, value: &str| many(name, vec![value.to_owned()]);
    let mut extensions = vec![WHO_AM_I.to_owned(), PASSWORD_MODIFY.to_owned()];
    if protection == Protection::StartTlsOffered {
        extensions.push(START_TLS.to_owned());
    }
    let features =
        ["1.3.6.1.4.1.4203.1.5.1", "1.3.6.1.4.1.4203.1.5.2", "1.3.6.1.4.1.4203.1.5.3", "1.3.6.1.4.1.4203.1.5.4"];
    let operational = vec![
        many("namingContexts", state.tree.suffixes().iter().map(ToString::to_string).collect()),
        many("supportedControl", supported_controls()),
        many("supportedExtension", extensions),
        many("supportedFeatures", features.map(str::to_owned).to_vec()),
        one("supportedLDAPVersion", "3"),
        one("vendorName", "Bindery demo directory"),
        one("vendorVersion", env!("CARGO_PKG_VERSION")),
        one("subschemaSubentry", SUBSCHEMA),
    ];
    (vec![one("objectClass", "top")], operational)
}

/// The subschema entry: there, so that clients that ask find one, and as loose as the directory is.
pub(crate) fn subschema() -> (Vec<Attribute>, Vec<Attribute>) {
    let many = |name: &str, values: &[&str]| Attribute {
        name: name.to_owned(),
        values: values.iter().map(|value| value.as_bytes().to_vec()).collect(),
    };
    let classes = [
        "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
        "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ telephoneNumber $ seeAlso $ description ) )",
        "( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( member $ cn ) MAY ( owner $ ou $ o $ description ) )",
    ];
    let user = vec![many("objectClass", &["top", "subschema"]), many("cn", &["Subschema"])];
    (user, vec![many("objectClasses", &classes)])
}
