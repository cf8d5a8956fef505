//! Password hashes of local accounts and of the offline verifier: argon2id (RFC 9106), and Django's
//! `pbkdf2_sha256$…` and `argon2$…` read only. Never sees a directory.
//!
//! A hash that cannot be checked says nothing of a password: it is an error, and never "wrong".

use crate::Entropy;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// More of anything would let one imported row hold a core for minutes, or the memory of the machine.
const CAPS: [(&str, u32); 4] = [("m", 256 * 1024), ("t", 16), ("p", 16), ("rounds", 10_000_000)];

/// What a stored hash says of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Right,
    /// Right, but the hash is of an older kind: store a new one.
    RightUpgrade,
    /// Wrong, or no password can be right (Django's `!`).
    Wrong,
}

/// Why a hash could not be made or checked. It says nothing of the password, and shows nothing of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The stored hash is of no known kind, or damaged.
    #[error("the stored password hash is damaged or of an unknown kind ({what}); set the password again")]
    Unreadable {
        /// What is the matter with it.
        what: &'static str,
    },
    /// The stored hash asks for more work than this server does for one password.
    #[error(
        "the stored password hash asks for {parameter} = {asked}, and more than {most} is not done here; set the password again"
    )]
    TooCostly {
        /// `m` (KiB of memory), `t` (passes) or `p` (lanes) of argon2, `rounds` of PBKDF2.
        parameter: &'static str,
        /// What the hash asks for.
        asked: u32,
        /// What is allowed.
        most: u32,
    },
    /// The run was not carried out.
    #[error("a password hash could not be computed")]
    Failed(#[source] Option<argon2::password_hash::Error>),
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
    /// A new argon2id hash as a PHC string.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Failed`] if the run could not be carried out.
    pub async fn hash(&self, password: &SecretString, entropy: &dyn Entropy) -> Result<String, PasswordError> {
        let mut salt = [0u8; 16];
        entropy.fill(&mut salt);
        let password = password.clone();
        self.run(move || hash(&password, &salt)).await
    }

    /// Whether a password belongs to a stored hash.
    ///
    /// # Errors
    ///
    /// [`PasswordError`] where nobody can tell: the answer to whoever signs in is `unavailable`.
    pub async fn verify(&self, password: &SecretString, stored: &str) -> Result<Verdict, PasswordError> {
        let (password, stored) = (password.clone(), stored.to_owned());
        self.run(move || verify(&password, &stored)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _slot = self.slots.acquire().await.map_err(|_| PasswordError::Failed(None))?;
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed(None))?
    }
}

fn hash(password: &SecretString, salt: &[u8]) -> Result<String, PasswordError> {
    let hash = Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), salt);
    let hash: PasswordHash = hash.map_err(|error| PasswordError::Failed(Some(error)))?;
    Ok(hash.to_string())
}

/// A stored hash, understood and within bounds.
enum Stored {
    /// Nobody's password: Django's `set_unusable_password`.
    Nothing,
    Argon2 {
        hash: Box<PasswordHash>,
        /// What this server would write itself.
        current: bool,
    },
    Pbkdf2 {
        rounds: u32,
        salt: String,
        hash: Vec<u8>,
    },
}

/// Whether a hash from elsewhere can be stored here: of a known kind, and not too costly to check.
///
/// # Errors
///
/// [`PasswordError`], which says what is the matter with it.
pub fn check(stored: &str) -> Result<(), PasswordError> {
    parse(stored).map(drop)
}

fn parse(stored: &str) -> Result<Stored, PasswordError> {
    if stored.starts_with('!') {
        return Ok(Stored::Nothing);
    }
    if let Some(rest) = stored.strip_prefix("pbkdf2_sha256$") {
        return parse_pbkdf2(rest);
    }
    // Django writes the name of its hasher before the PHC string: argon2$argon2id$v=19$…
    let phc = stored.strip_prefix("argon2").filter(|rest| rest.starts_with("$argon2")).unwrap_or(stored);
    let hash = PasswordHash::new(phc).map_err(|_| unreadable("neither a PHC string nor a hash of Django"))?;
    let Ok(algorithm) = Algorithm::new(hash.algorithm.as_str()) else {
        return Err(unreadable("the algorithm is not argon2"));
    };
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(unreadable("the salt or the hash is missing"));
    }
    let params = Params::try_from(&hash).map_err(|_| unreadable("parameters of argon2"))?;
    for (name, asked) in [("m", params.m_cost()), ("t", params.t_cost()), ("p", params.p_cost())] {
        within(name, asked)?;
    }
    Ok(Stored::Argon2 { current: algorithm == Algorithm::Argon2id && phc == stored, hash: Box::new(hash) })
}

/// Django's form: `rounds$salt$base64`, the salt being text.
fn parse_pbkdf2(rest: &str) -> Result<Stored, PasswordError> {
    let mut parts = rest.split('$');
    let (Some(rounds), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(unreadable("pbkdf2_sha256 is followed by rounds, salt and hash"));
    };
    let rounds: u32 = rounds.parse().map_err(|_| unreadable("the rounds of PBKDF2 are no number"))?;
    within("rounds", rounds)?;
    let hash = STANDARD.decode(hash).map_err(|_| unreadable("the hash of PBKDF2 is not base64"))?;
    if rounds == 0 || hash.len() != 32 {
        return Err(unreadable("the hash of PBKDF2 is not one of SHA-256"));
    }
    Ok(Stored::Pbkdf2 { rounds, salt: salt.to_owned(), hash })
}

fn within(parameter: &'static str, asked: u32) -> Result<(), PasswordError> {
    let most = CAPS.iter().find(|(name, _)| *name == parameter).map_or(0, |(_, most)| *most);
    if asked > most { Err(PasswordError::TooCostly { parameter, asked, most }) } else { Ok(()) }
}

fn unreadable(what: &'static str) -> PasswordError {
    PasswordError::Unreadable { what }
}

fn verify(password: &SecretString, stored: &str) -> Result<Verdict, PasswordError> {
    let password = password.expose_secret().as_bytes();
    match parse(stored)? {
        Stored::Nothing => Ok(Verdict::Wrong),
        Stored::Argon2 { hash, current } => match Argon2::default().verify_password(password, &*hash) {
            Ok(()) if current => Ok(Verdict::Right),
            Ok(()) => Ok(Verdict::RightUpgrade),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
            Err(error) => Err(PasswordError::Failed(Some(error))),
        },
        Stored::Pbkdf2 { rounds, salt, hash } => {
            let mut actual = [0u8; 32];
            pbkdf2::pbkdf2::<hmac::Hmac<sha2::Sha256>>(password, salt.as_bytes(), rounds, &mut actual)
                .map_err(|_| PasswordError::Failed(None))?;
            let right = bool::from(actual.as_slice().ct_eq(&hash));
            Ok(if right { Verdict::RightUpgrade } else { Verdict::Wrong })
        }
    }
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
        let verdict = async |password: &str| passwords.verify(&password.into(), &hash).await;
        assert_eq!(verdict("correct horse").await, Ok(Verdict::Right));
        assert_eq!(verdict("correct horsf").await, Ok(Verdict::Wrong));
        assert_eq!(verdict("").await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn hashes_of_django_verify_and_ask_for_an_upgrade() {
        let own = Passwords::default().hash(&"correct horse".into(), &SystemEntropy).await.unwrap();
        for stored in [DJANGO.to_owned(), format!("argon2{own}")] {
            assert_eq!(verify(&"correct horse".into(), &stored), Ok(Verdict::RightUpgrade), "{stored}");
            assert_eq!(verify(&"wrong".into(), &stored), Ok(Verdict::Wrong), "{stored}");
        }
        assert_eq!(verify(&"!unusable".into(), "!unusable"), Ok(Verdict::Wrong));
    }

    #[test]
    fn a_hash_that_cannot_be_checked_is_an_error_for_every_password() {
        let damaged = DJANGO.replace("mQnu", "");
        for stored in [
            "",
            "plain",
            "pbkdf2_sha256$0$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=",
            "pbkdf2_sha256$many$s$x",
            "pbkdf2_sha256$1$s",
            "pbkdf2_sha256$1$s$x$y",
            &damaged,
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=0,t=0,p=0$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI",
            "$scrypt$ln=16,r=8,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI",
        ] {
            let found = verify(&"plain".into(), stored);
            assert!(matches!(found, Err(PasswordError::Unreadable { .. })), "{stored}: {found:?}");
            assert!(!found.unwrap_err().to_string().contains("MTIz"), "{stored}");
        }
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_not_computed() {
        let argon2 =
            |params: &str| format!("$argon2id$v=19${params}$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI");
        for (stored, parameter) in [
            (argon2("m=4194304,t=2,p=1"), "m"),
            (argon2("m=19456,t=4000000,p=1"), "t"),
            (argon2("m=19456,t=2,p=255"), "p"),
            (DJANGO.replace("$1000$", "$4000000000$"), "rounds"),
        ] {
            let error = check(&stored).unwrap_err();
            assert!(
                matches!(error, PasswordError::TooCostly { parameter: named, .. } if named == parameter),
                "{error:?}"
            );
            assert_eq!(verify(&"x".into(), &stored), Err(error));
            assert!(error.to_string().contains(&format!("{parameter} = ")), "{error}");
        }
    }
}
