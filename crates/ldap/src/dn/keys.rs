//! Keys of many DNs that lie in one place.

use super::{DnError, MAX_LENGTH, parse};

/// Works out [`Dn::key`](super::Dn::key) for many names, such as the members of a group: what lies above the last one is not
/// read again for the next.
///
/// ```
/// use bindery_ldap::{Dn, dn::Keys};
///
/// let mut keys = Keys::default();
/// for name in ["uid=Ann,ou=People,dc=example", "uid=Bob,ou=People,dc=example"] {
///     assert_eq!(keys.of(name)?, Dn::parse(name)?.key());
/// }
/// # Ok::<(), bindery_ldap::DnError>(())
/// ```
#[derive(Debug, Default)]
pub struct Keys {
    /// What followed the leaf of a name that was read whole, its `,` included.
    above: String,
    /// The same in the key.
    key: String,
}

impl Keys {
    /// The key of a name.
    ///
    /// # Errors
    ///
    /// Those of [`Dn::parse`](super::Dn::parse).
    pub fn of(&mut self, text: &str) -> Result<String, DnError> {
        let Some((leaf, above)) = split(text) else { return parse::key_of(text) };
        if above == self.above
            && let Ok(mut key) = parse::key_of(leaf)
            && !key.is_empty()
        {
            key.push_str(&self.key);
            return Ok(key);
        }
        let key = parse::key_of(text)?;
        if let Some((at, _)) = key.match_indices(',').next() {
            above.clone_into(&mut self.above);
            key.get(at..).unwrap_or_default().clone_into(&mut self.key);
        }
        Ok(key)
    }
}

/// The leaf, where it is certain at sight where it ends, and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| matches!(byte, b',' | b';' | b'\\' | b'"'))?;
    let (leaf, above) = text.split_at_checked(at)?;
    (text.len() <= MAX_LENGTH && above.starts_with(',')).then_some((leaf, above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dn;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_name_alone_is_none_below_another() {
        let mut keys = Keys::default();
        assert_eq!(keys.of("cn=a,dc=x").unwrap(), "cn=a,dc=x");
        for broken in [",dc=x", " ,dc=x", "cn,dc=x", "cn=a+,dc=x", "cn=a,dc=x,", "cn=a\",dc=x", "cn=a\\,dc=x"] {
            assert_eq!(keys.of(broken), Dn::parse(broken).map(|dn| dn.key()), "{broken}");
        }
        let long = format!("cn={},dc=x", "a".repeat(MAX_LENGTH));
        assert!(keys.of(&long).is_err());
    }

    proptest! {
        #[test]
        fn a_key_is_that_of_the_name_alone(
            names in proptest::collection::vec(
                ("[a-c =,;\"\\\\+#01é]{0,9}", prop::sample::select(vec![",dc=x", ", OU=B ,dc=x", ";dc=x", "", ",", ",dc"])),
                1..8,
            ),
        ) {
            let mut keys = Keys::default();
            for (leaf, above) in names {
                for name in [format!("{leaf}{above}"), format!("cn={leaf}{above}")] {
                    prop_assert_eq!(keys.of(&name), Dn::parse(&name).map(|dn| dn.key()), "{}", name);
                }
            }
        }
    }
}
