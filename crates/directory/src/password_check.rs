//! Checking the password of somebody who was found: one bind, on a connection that never carries service searches.

use crate::{DirectoryError, PasswordCheck, Person, Source};
use secrecy::SecretString;

impl Source {
    /// Whether the directory accepts this password for an entry that [`Source::find`] gave. What `authenticate` does after
    /// the search; apart, so that failures can be counted per entry between the two.
    pub async fn check_password(
        &self,
        person: &Person,
        password: &SecretString,
    ) -> Result<PasswordCheck, DirectoryError> {
        let _ = (person, password);
        todo!()
    }
}
