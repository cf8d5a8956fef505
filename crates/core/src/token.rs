//! Session and API tokens: 32 random bytes, of which only the SHA-256 is ever stored.

use crate::Entropy;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bindery_store::TokenHash;
use std::fmt;
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// A bearer token. `Debug` does not show it; [`Token::reveal`] is for the cookie or the one time it is printed.
#[derive(Clone)]
pub struct Token(Zeroizing<[u8; BYTES]>);

impl Token {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0u8; BYTES]);
        entropy.fill(bytes.as_mut());
        Self(bytes)
    }

    /// Reads what [`Token::reveal`] wrote. Anything else is no token.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0u8; BYTES]);
        // 43 characters are 32 bytes and two spare bits; the decoder refuses spare bits that are set.
        let written = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut()).ok()?;
        (written == BYTES).then_some(Self(bytes))
    }

    /// The text form.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_slice())
    }

    /// The key that its session is found by: the hash of its first half, which stays when the token is changed.
    pub fn selector(&self) -> TokenHash {
        TokenHash::of(self.0.split_at(BYTES / 2).0)
    }

    /// Another token for the same session: the same first half, and a new second one.
    #[must_use]
    pub fn rotated(&self, entropy: &dyn Entropy) -> Self {
        let mut next = self.clone();
        entropy.fill(next.0.split_at_mut(BYTES / 2).1);
        next
    }

    /// The key it is stored under, and for a session what has to be right besides its selector.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_slice())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn a_token_survives_its_text_form_and_is_not_shown() {
        let token = Token::generate(&SystemEntropy);
        let again = Token::parse(&token.reveal()).unwrap();
        assert_eq!(token.hash(), again.hash());
        assert!(!format!("{token:?}").contains(&token.reveal()));
    }

    #[test]
    fn anything_else_is_no_token() {
        let text = Token::generate(&SystemEntropy).reveal();
        for bad in ["", "x", &text[1..], &format!("{text}A"), &format!("{text}="), &text.replace(&text[..1], "*")] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }
}
