//! A digest of everything that a decision is made from, so that a sync can pass over somebody for whom nothing has
//! changed since their last write.
//!
//! It vouches for what that write left: the store drops it with any other change of the user.

use crate::rules::RuleSet;
use bindery_directory::{AccountState, Dn, GroupSelector, Known, Lock, Memberships, Person};

/// Changes whenever the way a digest is made, or what is made of the same facts, changes.
const VERSION: u8 = 3;

/// What became of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standpoint {
    /// They were written as decided.
    Written,
    /// They were refused, and what follows from that was written.
    Refused,
}

/// A digest, and what became of the facts in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    digest: [u8; 16],
    standpoint: Standpoint,
}

impl Fingerprint {
    /// As it is stored.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.digest.to_vec();
        bytes.push(u8::from(self.standpoint == Standpoint::Refused));
        bytes
    }

    /// As it was stored; `None` for one that another version made.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (last, digest) = bytes.split_last()?;
        let standpoint = match last {
            0 => Standpoint::Written,
            1 => Standpoint::Refused,
            _ => return None,
        };
        Some(Self { digest: digest.try_into().ok()?, standpoint })
    }

    /// Whether both are of the same facts.
    pub fn is_of(self, facts: Self) -> bool {
        self.digest == facts.digest
    }

    /// What became of them.
    pub fn standpoint(self) -> Standpoint {
        self.standpoint
    }

    /// The same facts, refused.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { standpoint: Standpoint::Refused, ..self }
    }
}

/// Makes the fingerprints of one source under one set of rules.
#[derive(Debug, Clone)]
pub struct Fingerprints {
    rules: [u8; 16],
}

impl Fingerprints {
    /// Whatever changes in the rules changes every fingerprint: at worst somebody is looked at once more.
    pub fn new(source: &str, rules: &RuleSet) -> Self {
        let mut facts = vec![VERSION];
        text(&mut facts, source);
        text(&mut facts, &format!("{rules:?}"));
        Self { rules: digest(&facts) }
    }

    /// What is known of the groups that rules name belongs to everybody's facts.
    #[must_use]
    pub fn knowing<'a>(&self, known: impl Iterator<Item = (&'a GroupSelector, &'a Known)>) -> Self {
        let mut known: Vec<String> = known.map(|known| format!("{known:?}")).collect();
        known.sort_unstable();
        let mut facts = self.rules.to_vec();
        for known in &known {
            text(&mut facts, known);
        }
        Self { rules: digest(&facts) }
    }

    /// Of one person; `groups` are the digests of their groups, by [`group_digest`].
    pub fn of(&self, person: &Person, groups: &mut [[u8; 16]], account: &AccountState) -> Fingerprint {
        let mut facts = Vec::with_capacity(ROOM);
        facts.extend_from_slice(&self.rules);
        text(&mut facts, &person.unique_id);
        text(&mut facts, person.dn.as_str());
        for (name, values) in person.entry.attributes() {
            text(&mut facts, name);
            facts.extend_from_slice(&(values.len() as u64).to_le_bytes());
            values.for_each(|value| bytes(&mut facts, value));
        }
        groups.sort_unstable();
        facts.extend_from_slice(&(groups.len() as u64).to_le_bytes());
        for group in groups {
            facts.extend_from_slice(group);
        }
        let AccountState {
            disabled,
            locked,
            expired,
            password_expired,
            password_past,
            must_change,
            ends: _,
            password_changed: _,
            because: _,
        } = account;
        facts.extend([
            u8::from(*disabled),
            u8::from(*locked == Lock::Administrator) * 2 + u8::from(*locked == Lock::Temporary),
            u8::from(*expired),
            u8::from(*password_expired || *password_past),
            u8::from(*must_change),
        ]);
        Fingerprint { digest: digest(&facts), standpoint: Standpoint::Written }
    }

    /// Of one person whose groups were read for them alone; `None` where not everything is known.
    pub fn of_memberships(
        &self,
        person: &Person,
        memberships: &Memberships,
        account: &AccountState,
    ) -> Option<Fingerprint> {
        if memberships.incomplete.is_some() {
            return None;
        }
        let groups = memberships.groups.iter();
        let mut groups: Vec<[u8; 16]> =
            groups.map(|group| group_digest(&group.dn, &group.names, group.unique_id.as_deref())).collect();
        Some(self.of(person, &mut groups, account))
    }
}

/// Everything of a group that a rule can look at, or that is taken over from it.
pub fn group_digest(dn: &Dn, names: &[String], unique_id: Option<&str>) -> [u8; 16] {
    let mut facts = Vec::with_capacity(ROOM);
    text(&mut facts, dn.as_str());
    for name in names {
        text(&mut facts, name);
    }
    text(&mut facts, unique_id.unwrap_or_default());
    digest(&facts)
}

/// Most entries need no more octets.
const ROOM: usize = 1024;

/// Half a BLAKE3 digest: nobody can make two alike, and it takes a fraction of the time of SHA-256.
pub(crate) fn digest(facts: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.iter_mut().zip(blake3::hash(facts).as_bytes()).for_each(|(to, from)| *to = *from);
    digest
}

fn text(facts: &mut Vec<u8>, text: &str) {
    bytes(facts, text.as_bytes());
}

/// With its length, so that no two lists of values look alike.
fn bytes(facts: &mut Vec<u8>, bytes: &[u8]) {
    facts.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    facts.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{ann, memberships, named};

    fn of(person: &Person, groups: &[&str], account: &AccountState) -> Fingerprint {
        let prints = Fingerprints::new("corp", &RuleSet::default());
        prints.of_memberships(person, &memberships(groups, &[], &[], &[]), account).unwrap()
    }

    #[test]
    fn every_fact_counts() {
        let person = ann(&[("mail", "ann@x")]);
        let free = AccountState::default();
        let base = of(&person, &["a", "b"], &free);
        assert!(of(&person, &["b", "a"], &free).is_of(base), "the order of groups is the server's affair");
        assert!(base.refused().is_of(base) && base.refused() != base);
        let locked = AccountState { locked: Lock::Administrator, ..free.clone() };
        let expired = AccountState { expired: true, ..free.clone() };
        let moved = Person { dn: Dn::parse("uid=ann,dc=elsewhere").unwrap(), ..person.clone() };
        let others = [
            of(&person, &["a"], &free),
            of(&person, &["a", "b", "c"], &free),
            of(&person, &["a", "b"], &locked),
            of(&person, &["a", "b"], &expired),
            of(&moved, &["a", "b"], &free),
            of(&ann(&[("mail", "ann@x"), ("mail", "b@x")]), &["a", "b"], &free),
            of(&ann(&[("mail", "ann@xb@x")]), &["a", "b"], &free),
        ];
        assert!(others.iter().all(|other| !other.is_of(base)));
    }

    #[test]
    fn rules_and_what_is_known_of_groups_count() {
        let person = ann(&[]);
        let of = |prints: &Fingerprints| prints.of(&person, &mut [], &AccountState::default());
        let plain = Fingerprints::new("corp", &RuleSet::default());
        let selector = GroupSelector::Name("staff".into());
        let found = plain.knowing([(&selector, &Known::Found)].into_iter());
        let lost = plain.knowing([(&selector, &Known::NotFound)].into_iter());
        let flags = [("is_staff".to_owned(), named("staff"))].into();
        let ruled = Fingerprints::new("corp", &RuleSet { flags, ..RuleSet::default() });
        let all = [of(&plain), of(&found), of(&lost), of(&ruled), of(&Fingerprints::new("b", &RuleSet::default()))];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| !other.is_of(*one)), "{n}");
        }
    }

    #[test]
    fn what_is_stored_comes_back_and_what_another_version_stored_does_not() {
        let print = of(&ann(&[]), &[], &AccountState::default()).refused();
        assert_eq!(Fingerprint::from_bytes(&print.to_bytes()), Some(print));
        assert_eq!(Fingerprint::from_bytes(&[0; 32]), None);
        assert_eq!(Fingerprint::from_bytes(&[]), None);
    }

    #[test]
    fn nothing_vouches_for_what_was_cut_short() {
        let cut = Memberships { incomplete: Some("cut".into()), ..Memberships::default() };
        let prints = Fingerprints::new("corp", &RuleSet::default());
        assert_eq!(prints.of_memberships(&ann(&[]), &cut, &AccountState::default()), None);
    }
}
