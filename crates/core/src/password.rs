//! Password hashes of local accounts and of the offline verifier: argon2id (RFC 9106), and Django's
//! `pbkdf2_sha256$…` read only. Never sees a directory.

use crate::Entropy;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Rounds beyond this would let one imported row hold a core for minutes.
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;

/// What a stored hash says of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Right,
    /// Right, but the hash is of an older kind: store a new one.
    RightUpgrade,
    /// Wrong, or the stored hash is of no known kind.
    Wrong,
}

/// Hashes and verifies, a bounded number at a time: each run takes 19 MiB and tens of milliseconds
/// of a core, and sign-ins against a directory must not wait behind them.
#[derive(Debug, Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { slots: Arc::new(Semaphore::new(cores)) }
    }
}

impl Passwords {
    /// A new argon2id hash as a PHC string; `None` only if the run could not be carried out.
    pub async fn hash(&self, password: &SecretString, entropy: &dyn Entropy) -> Option<String> {
        let mut salt = [0u8; 16];
        entropy.fill(&mut salt);
        let password = password.clone();
        self.run(move || hash(&password, &salt)).await.flatten()
    }

    /// Whether a password belongs to a stored hash.
    pub async fn verify(&self, password: &SecretString, stored: &str) -> Verdict {
        let (password, stored) = (password.clone(), stored.to_owned());
        self.run(move || verify(&password, &stored)).await.unwrap_or(Verdict::Wrong)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _slot = self.slots.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

fn hash(password: &SecretString, salt: &[u8]) -> Option<String> {
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), salt).ok()?;
    Some(hash.to_string())
}

fn verify(password: &SecretString, stored: &str) -> Verdict {
    let password = password.expose_secret().as_bytes();
    if let Some(rest) = stored.strip_prefix("pbkdf2_sha256$") {
        return match verify_django(password, rest) {
            Some(true) => Verdict::RightUpgrade,
            _ => Verdict::Wrong,
        };
    }
    match PasswordHash::new(stored) {
        Ok(hash) if Argon2::default().verify_password(password, &hash).is_ok() => Verdict::Right,
        _ => Verdict::Wrong,
    }
}

/// Django's form: `rounds$salt$base64`, the salt being text.
fn verify_django(password: &[u8], rest: &str) -> Option<bool> {
    let mut parts = rest.split('$');
    let (rounds, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let rounds: u32 = rounds.parse().ok()?;
    if parts.next().is_some() || rounds == 0 || rounds > MAX_PBKDF2_ROUNDS {
        return None;
    }
    let expected = STANDARD.decode(hash).ok()?;
    let mut actual = [0u8; 32];
    pbkdf2::pbkdf2::<hmac::Hmac<sha2::Sha256>>(password, salt.as_bytes(), rounds, &mut actual).ok()?;
    Some(bool::from(actual.as_slice().ct_eq(&expected)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    /// `make_password("correct horse", salt="seasalt")` of Django, at 1,000 rounds.
    const DJANGO: &str = "pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=";

    #[tokio::test]
    async fn a_new_hash_is_argon2id_and_verifies_only_its_password() {
        let passwords = Passwords::default();
        let hash = passwords.hash(&"correct horse".into(), &SystemEntropy).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(passwords.verify(&"correct horse".into(), &hash).await, Verdict::Right);
        assert_eq!(passwords.verify(&"correct horsf".into(), &hash).await, Verdict::Wrong);
        assert_eq!(passwords.verify(&"".into(), &hash).await, Verdict::Wrong);
    }

    #[test]
    fn django_hashes_verify_and_ask_for_an_upgrade() {
        assert_eq!(verify(&"correct horse".into(), DJANGO), Verdict::RightUpgrade);
        assert_eq!(verify(&"wrong".into(), DJANGO), Verdict::Wrong);
    }

    #[test]
    fn a_hash_of_no_known_kind_is_wrong_for_every_password() {
        for stored in [
            "",
            "!",
            "plain",
            "pbkdf2_sha256$0$s$x",
            "pbkdf2_sha256$99999999999$s$x",
            "$argon2id$",
            "pbkdf2_sha256$1$s",
        ] {
            assert_eq!(verify(&"plain".into(), stored), Verdict::Wrong, "{stored}");
        }
    }
}
