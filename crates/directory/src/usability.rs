//! What a server says of an account to those who do not know its password: the account usability control, which 389-DS
//! answers from the policy that is in force. It lets only those ask who were given the right to.
//!
//! For explaining alone. A sign-in goes by the answer to its bind.

use crate::reach::describe;
use crate::servers::{Servers, is_busy};
use crate::{DirectoryError, Person};
use bindery_ldap::control::{self, AccountUsable};
use bindery_ldap::{Connection, Control, Dn, Error, Filter, Scope, SearchItem, SearchRequest};

/// Whether the server refuses a password for its age; `None` where it does not say.
pub(crate) async fn password_expired(servers: &Servers, person: &Person) -> Result<Option<bool>, DirectoryError> {
    let request = SearchRequest::new(&person.dn, Scope::Base, Filter::present("objectClass"))
        .attributes(["1.1"])
        .control(Control::account_usable());
    let dn = &person.dn;
    let read =
        servers.read("search", || describe(&request), |connection| read(connection, request.clone(), dn)).await?;
    Ok(read.map(is_expired))
}

fn is_expired(usable: AccountUsable) -> bool {
    match usable {
        AccountUsable::Usable { .. } => false,
        AccountUsable::Unusable { expired, remaining_grace, .. } => {
            expired && remaining_grace.is_none_or(|left| left <= 0)
        }
    }
}

async fn read(connection: Connection, request: SearchRequest, person: &Dn) -> Result<Option<AccountUsable>, Error> {
    let mut stream = connection.search_stream(request).await?;
    let mut usable = None;
    while let Some(item) = stream.next().await? {
        if let SearchItem::Entry { entry, controls, .. } = item
            && entry.dn().is_ok_and(|dn| dn == *person)
        {
            usable = control::find::<AccountUsable>(&controls)?;
        }
    }
    match stream.done() {
        Some((result, _)) if is_busy(result) => Err(Error::Refused { operation: "search", result: result.clone() }),
        _ => Ok(usable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_password_that_is_let_pass_is_none() {
        let unusable = |expired, remaining_grace| AccountUsable::Unusable {
            inactive: true,
            reset: true,
            expired,
            remaining_grace,
            seconds_before_unlock: None,
        };
        assert!(is_expired(unusable(true, None)) && is_expired(unusable(true, Some(0))));
        assert!(!is_expired(unusable(true, Some(1))) && !is_expired(unusable(false, None)));
        assert!(!is_expired(AccountUsable::Usable { seconds_before_expiration: 0 }));
    }
}
