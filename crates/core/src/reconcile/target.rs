//! Whom an entry is: by its link first, never by name or mail alone unless the configuration says so.

use super::{Terms, fields, taken, username_key};
use crate::Reason;
use crate::rules::{Decision, LinkExisting, Update};
use bindery_directory::Person;
use bindery_store::{Snapshot, UserState};

/// The user that an entry becomes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// Nobody yet.
    New,
    /// A local account without a link.
    Adopted(&'a UserState),
    /// Whoever is linked to it.
    Linked(&'a UserState),
}

type Objection = (Reason, String);

pub(super) fn find<'a>(
    terms: Terms<'_>,
    person: &Person,
    decision: &Decision,
    snapshot: &'a Snapshot,
) -> Result<Target<'a>, Objection> {
    // The rules see to it, but an event handler may have changed it since.
    if username_key(&decision.username).is_empty() {
        return Err((Reason::MissingAttribute, "the username is empty".to_owned()));
    }
    let target = match &snapshot.linked {
        Some(state) => Target::Linked(state),
        None => adoptable(terms, decision, snapshot)?.map_or(Target::New, Target::Adopted),
    };
    let own = match target {
        Target::New => None,
        Target::Adopted(state) | Target::Linked(state) => Some(state),
    };
    let takes_name = own.is_none_or(|state| {
        terms.provisioning.update == Update::Always && state.user.username_key != username_key(&decision.username)
    });
    if takes_name && let Some(holder) = &snapshot.by_username {
        let stranger = own.is_none().then_some(person);
        return Err((Reason::AccountConflict, taken::in_words(terms, decision, holder, stranger)));
    }
    if own.is_none() && !terms.provisioning.create {
        let detail = format!(
            "{} has no user here, and provisioning.create of the source {} is false; make or link one first",
            decision.username, terms.source
        );
        return Err((Reason::NewUsersNotAllowed, detail));
    }
    Ok(target)
}

/// The local account that `link_existing` allows to be tied to the entry. Nobody who has a link already.
fn adoptable<'a>(
    terms: Terms<'_>,
    decision: &Decision,
    snapshot: &'a Snapshot,
) -> Result<Option<&'a UserState>, Objection> {
    match terms.provisioning.link_existing {
        LinkExisting::Never => Ok(None),
        LinkExisting::Username => Ok(snapshot.by_username.as_ref().filter(|state| state.links.is_empty())),
        LinkExisting::Email => {
            let Some(address) = fields::email(decision) else { return Ok(None) };
            let mut unlinked = snapshot.by_email.iter().filter(|state| state.links.is_empty());
            match (unlinked.next(), unlinked.next()) {
                (Some(one), Some(other)) => {
                    let detail = format!(
                        "{address} is the address of {} and of {}; link one of them by hand",
                        one.user.username, other.user.username
                    );
                    Err((Reason::AccountConflict, detail))
                }
                (found, _) => Ok(found),
            }
        }
    }
}
