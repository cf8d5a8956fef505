//! Passwords at rest and their comparison.
//!
//! One round of salted SHA-256, so that tests can sign in thousands of people. This is a directory for
//! demonstrations; it keeps no password that anybody relies on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// A password that can be compared with and not read.
#[derive(Clone)]
pub(crate) struct Password {
    salt: Vec<u8>,
    digest: [u8; 32],
}

/// The digest of SHA-256 is the first so many bytes of an `{SSHA256}` value; the salt follows.
const DIGEST: usize = 32;

impl Password {
    pub(crate) fn new(salt: [u8; 16], clear: &[u8]) -> Self {
        Self { salt: salt.to_vec(), digest: digest(&salt, clear) }
    }

    /// From a value of `userPassword`: `{SSHA256}…`, or the password itself. None for other schemes.
    pub(crate) fn from_value(salt: [u8; 16], value: &[u8]) -> Option<Self> {
        if let Some(encoded) = value.strip_prefix(b"{SSHA256}") {
            let bytes = STANDARD.decode(encoded).ok()?;
            let (digest, salt) = bytes.split_first_chunk::<DIGEST>()?;
            return Some(Self { salt: salt.to_vec(), digest: *digest });
        }
        (!has_scheme(value)).then(|| Self::new(salt, value))
    }

    pub(crate) fn verify(&self, clear: &[u8]) -> bool {
        digest(&self.salt, clear).ct_eq(&self.digest).into()
    }
}

fn has_scheme(value: &[u8]) -> bool {
    value.first() == Some(&b'{')
        && value.iter().skip(1).take_while(|byte| **byte != b'}').all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && value.contains(&b'}')
}

fn digest(salt: &[u8], clear: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(clear).chain_update(salt).finalize().into()
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_verifies() {
        let password = Password::new([7; 16], b"demo");
        assert!(password.verify(b"demo"));
        for wrong in [&b""[..], b"Demo", b"demo ", b"dem"] {
            assert!(!password.verify(wrong));
        }
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn values_with_a_scheme() {
        let mut bytes = digest(b"salt", b"demo").to_vec();
        bytes.extend_from_slice(b"salt");
        let value = format!("{{SSHA256}}{}", STANDARD.encode(bytes));
        assert!(Password::from_value([0; 16], value.as_bytes()).is_some_and(|password| password.verify(b"demo")));
        assert!(Password::from_value([0; 16], b"{SSHA}abc").is_none());
        assert!(Password::from_value([0; 16], b"{SSHA256}abc").is_none());
        assert!(Password::from_value([0; 16], b"{curly").is_some_and(|password| password.verify(b"{curly")));
    }
}
