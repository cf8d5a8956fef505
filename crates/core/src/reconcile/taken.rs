//! A name that somebody else has: who, and what can be done about it by those who know whether it is one person or two.
//!
//! The commands are complete: whoever copies them one after the other comes to the end of them, whatever a username is made of.

use super::Terms;
use crate::rules::Decision;
use bindery_directory::Person;
use bindery_directory::settings::UserSettings;
use bindery_store::UserState;

/// The words of `account_conflict`. `stranger` is the entry that wants the name, where it has no account yet: one that they
/// have cannot become another one.
pub(super) fn in_words(terms: Terms<'_>, decision: &Decision, holder: &UserState, stranger: Option<&Person>) -> String {
    let name = holder.user.username.as_str();
    let whose = match holder.links.first() {
        None => "a local account".to_owned(),
        Some(link) => format!("an account linked to {} of the source {}", link.dn, link.source),
    };
    let passes_on = match holder.link(terms.source) {
        Some(_) => "if that entry has another name by now, the next run of sync passes this one on; ",
        None => "",
    };
    let entry = stranger.and_then(|person| signs_in_as(terms.users, person));
    let same_person = entry.map(|entry| {
        let link = command("link", &[name, terms.source, &entry]);
        match holder.links.first() {
            None => format!("if it is the same person's, run {link}; "),
            Some(own) => format!(
                "if it is the same person's, run {}, {link} and {}; ",
                command("unlink", &[name, &own.source]),
                command("activate", &[name])
            ),
        }
    });
    format!(
        "the name {} belongs to {whose}; {passes_on}{}if nobody needs that account any more, run {}; else one of them needs \
         another name in the directory, which `bindery sync` takes over",
        decision.username,
        same_person.unwrap_or_default(),
        command("delete", &[name])
    )
}

/// What is typed to find just this entry. `None` where nothing finds it.
fn signs_in_as(users: &UserSettings, person: &Person) -> Option<String> {
    let Some(template) = &users.dn_template else {
        let mut names = users.login_attributes.iter().filter_map(|attribute| person.entry.text(attribute));
        return names.next().map(str::to_owned);
    };
    let values = person.dn.rdns().into_iter().flatten().filter_map(|it| String::from_utf8(it.value).ok());
    values.into_iter().find(|name| template.fill(name).is_ok_and(|dn| dn == person.dn))
}

/// `bindery user …`, to be copied from a message into a shell.
fn command(what: &str, names: &[&str]) -> String {
    let end_of_options = if names.iter().any(|name| name.starts_with('-')) { " --" } else { "" };
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("`bindery user {what}{end_of_options} {}`", names.join(" "))
}

/// A name as a shell takes it for one word.
fn quoted(name: &str) -> String {
    if name.chars().all(|one| one.is_alphanumeric() || "._-@".contains(one)) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::ann;
    use bindery_directory::settings::DnTemplate;
    use bindery_directory::{Filter, Scope};

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        assert_eq!(quoted("ann.o-hara@example"), "ann.o-hara@example");
        assert_eq!(quoted("o'hara; reboot"), r"'o'\''hara; reboot'");
        assert_eq!(command("link", &["ann", "*", "ann l"]), "`bindery user link ann '*' 'ann l'`");
    }

    #[test]
    fn a_name_is_no_option() {
        assert_eq!(command("unlink", &["--help", "corp"]), "`bindery user unlink -- --help corp`");
        assert_eq!(command("link", &["ann", "corp", "-ann"]), "`bindery user link -- ann corp -ann`");
    }

    #[test]
    fn an_entry_is_named_by_what_finds_it() {
        let mut users = UserSettings {
            base_dn: Vec::new(),
            scope: Scope::Subtree,
            filter: Filter::present("objectClass"),
            login_attributes: vec!["mail".to_owned(), "uid".to_owned()],
            dn_template: None,
            unique_id: "entryUUID".to_owned(),
        };
        assert_eq!(signs_in_as(&users, &ann(&[])).as_deref(), Some("Ann"));
        assert_eq!(signs_in_as(&users, &ann(&[("mail", "ann@x")])).as_deref(), Some("ann@x"));
        users.dn_template = DnTemplate::parse("uid={user},ou=people,dc=example").ok();
        assert_eq!(signs_in_as(&users, &ann(&[("mail", "ann@x")])).as_deref(), Some("ann"));
        users.dn_template = DnTemplate::parse("cn={user},ou=people,dc=example").ok();
        assert_eq!(signs_in_as(&users, &ann(&[])), None);
    }
}
