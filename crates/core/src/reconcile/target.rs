//! Whom an entry is: by its link first, never by name or mail alone unless the configuration says so.

use super::{Terms, fields, username_key};
use crate::Reason;
use crate::rules::{Decision, LinkExisting, Update};
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

pub(super) fn find<'a>(terms: Terms<'_>, decision: &Decision, snapshot: &'a Snapshot) -> Result<Target<'a>, Objection> {
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
        return Err(taken(terms, decision, holder, own.is_some()));
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

/// Who has the name, and what can be done about it by those who know whether it is one person or two.
fn taken(terms: Terms<'_>, decision: &Decision, holder: &UserState, has_account: bool) -> Objection {
    let (name, source) = (quoted(&holder.user.username), terms.source);
    let whose = match holder.links.first() {
        None => "a local account".to_owned(),
        Some(link) => format!("an account linked to {} of the source {}", link.dn, link.source),
    };
    let same_person = match holder.links.first() {
        // An account of their own cannot become another one.
        _ if has_account => String::new(),
        None => format!("if it is the same person's, run `bindery user link {name} {source}`; "),
        Some(link) => format!(
            "if it is the same person's, run `bindery user unlink {name} {}`, `bindery user link {name} {source}` and \
             `bindery user activate {name}`; ",
            link.source
        ),
    };
    let detail = format!(
        "the name {} belongs to {whose}; {same_person}if nobody needs that account any more, run `bindery user delete \
         {name}`; else one of them needs another name in the directory, which `bindery sync` takes over",
        decision.username
    );
    (Reason::AccountConflict, detail)
}

/// A name as a shell takes it for one word: somebody may copy it from a message.
fn quoted(name: &str) -> String {
    if name.chars().all(|one| one.is_alphanumeric() || "._-@".contains(one)) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        assert_eq!(quoted("ann.o-hara@example"), "ann.o-hara@example");
        assert_eq!(quoted("o'hara; reboot"), r"'o'\''hara; reboot'");
    }
}
