//! Names that pass from one person to another within a run: two who swap theirs, or a row of people each of whom gets what
//! the next one had.
//!
//! Who somebody is, is decided by the unique ID alone. A name passes on only where the account that has it is linked to an
//! entry of this source that was read in this very run, and bears another name there: that account keeps its person, and
//! nobody comes into one that is not theirs. Everybody else keeps their name, and whoever wants it is a conflict.

use super::broken::Broken;
use super::people::Decided;
use super::run::Run;
use super::writing::{Next, Planned, Stored};
use crate::engine::chain;
use crate::reconcile::username_key;
use bindery_store::{Plan, Snapshot};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// So many people are kept until everybody was read. The others fail, and are looked at again by the next run.
const MOST_WAITING: usize = 2_000;

impl Run<'_> {
    /// Whether a name may be free once everybody was read: its holder leaves, or has another one by then.
    pub(super) fn may_become_free(&self, snapshot: &Snapshot) -> bool {
        let of_source = || snapshot.by_username.as_ref().is_some_and(|it| it.link(&self.source.slug).is_some());
        self.frees_names() || self.postponing && self.postponed.len() < MOST_WAITING && of_source()
    }

    /// Gives those who wait for a name theirs, where it passes on. The others wait on.
    pub(super) async fn pass_names_on(&mut self) -> Result<(), Broken> {
        let waiting = std::mem::take(&mut self.postponed);
        if waiting.is_empty() {
            return Ok(());
        }
        let found = self.look_up(&waiting).await?;
        let wishes: Vec<Wish> =
            waiting.iter().zip(&found).map(|(decided, stored)| self.wish(decided, &stored.snapshot)).collect();
        let mut open: Vec<Option<(Decided, Stored)>> = waiting.into_iter().zip(found).map(Some).collect();
        for row in rows(&wishes) {
            let people = row.people.iter().filter_map(|at| open.get_mut(*at).and_then(Option::take)).collect();
            self.pass_on(people, row.round).await?;
        }
        self.postponed.extend(open.into_iter().flatten().map(|(decided, _)| decided));
        Ok(())
    }

    fn wish(&self, decided: &Decided, snapshot: &Snapshot) -> Wish {
        let holder = snapshot.by_username.as_ref().filter(|it| !self.freed.contains(&it.user.username_key));
        Wish {
            user: snapshot.linked.as_ref().map(|state| state.user.id),
            wanted: decided.decision.as_ref().map(|it| username_key(&it.username)).unwrap_or_default(),
            holder: holder.map(|state| state.user.id),
        }
    }

    /// Renames people together, whoever has to let go of a name before whoever gets it. In a `round` it is all or nobody.
    async fn pass_on(&mut self, people: Vec<(Decided, Stored)>, round: bool) -> Result<(), Broken> {
        let (mut ready, mut whole) = (Vec::with_capacity(people.len()), true);
        for (decided, stored) in people {
            if !whole {
                self.postponed.push(decided);
                continue;
            }
            let mut snapshot = self.with_groups(stored);
            snapshot.by_username = None;
            match self.plan(&decided, &snapshot) {
                Next::Write(plan, user, standing) => {
                    ready.push(self.make_ready(decided, plan, user, standing, &snapshot));
                }
                Next::Postpone => {
                    whole = false;
                    self.postponed.push(decided);
                }
                Next::Nothing => whole = false,
            }
        }
        if whole || !round { self.rename(ready).await } else { self.not_renamed(ready).await }
    }

    async fn rename(&mut self, mut people: Vec<Planned>) -> Result<(), Broken> {
        let plans: Vec<Plan> = people.iter_mut().map(|one| std::mem::take(&mut one.plan)).collect();
        if !self.request.dry_run {
            let together = Plan {
                changes: plans.iter().flat_map(|plan| plan.changes.iter().cloned()).collect(),
                expected: plans.iter().flat_map(|plan| plan.expected.iter().copied()).collect(),
            };
            match self.engine.store().apply(&together, self.engine.now()).await {
                Ok(_) => {}
                Err(error) if error.is_unavailable() => return Err(error.into()),
                // Somebody else has written one of them: they are as they were, and whoever still wants a name is a conflict.
                Err(error) if error.is_conflict() => return self.not_renamed(people).await,
                Err(error) => {
                    let why = chain(&error);
                    for one in &people {
                        self.failed(&one.decided.person, &why);
                    }
                    return self.load_groups().await;
                }
            }
        }
        for (one, plan) in people.iter().zip(&plans) {
            self.count(one, plan);
        }
        Ok(())
    }

    /// What plans that were not carried out would have done to groups is not so.
    async fn not_renamed(&mut self, people: Vec<Planned>) -> Result<(), Broken> {
        self.postponed.extend(people.into_iter().map(|one| one.decided));
        self.load_groups().await
    }
}

/// What somebody is to be called, and who is called so.
struct Wish {
    /// Their account, where there is one.
    user: Option<Uuid>,
    wanted: String,
    holder: Option<Uuid>,
}

/// People among whom names pass on, whoever lets go before whoever gets.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    people: Vec<usize>,
    /// The last one gets what the first one had.
    round: bool,
}

/// Rows that end in a name that is free, and those that go round. Somebody new waits for a row to be through: nobody has
/// their name.
fn rows(wishes: &[Wish]) -> Vec<Row> {
    let mut given = HashSet::new();
    // Of two who want one name the first gets it; the other keeps theirs.
    let movers: HashMap<Uuid, usize> = wishes
        .iter()
        .enumerate()
        .filter_map(|(at, wish)| wish.user.filter(|_| given.insert(wish.wanted.as_str())).map(|user| (user, at)))
        .collect();
    let moves = |at: usize| wishes.get(at).filter(|wish| wish.user.is_some_and(|user| movers.get(&user) == Some(&at)));
    let next = |at: usize| match moves(at).and_then(|wish| wish.holder) {
        Some(holder) => movers.get(&holder).copied(),
        None => None,
    };
    let free = |at: usize| moves(at).is_some_and(|wish| wish.holder.is_none() || wish.holder == wish.user);
    // Nobody has two names, so that nobody is waited for by two.
    let waited_for: HashSet<usize> = (0..wishes.len()).filter_map(next).collect();
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    let heads = (0..wishes.len()).filter(|at| !waited_for.contains(at));
    for head in heads.chain(0..wishes.len()) {
        let (mut people, mut here) = (Vec::new(), Some(head).filter(|at| moves(*at).is_some()));
        while let Some(at) = here.filter(|at| seen.insert(*at)) {
            people.push(at);
            here = if free(at) { None } else { next(at) };
        }
        let (first, last) = (people.first().copied(), people.last().copied());
        let round = here.is_some() && here == first;
        if round || last.is_some_and(free) {
            people.reverse();
            rows.push(Row { people, round });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has which name, and is to have which; `None` has no account yet. Whoever is not among them keeps theirs.
    fn passed(people: &[(Option<&str>, &str)], others: &[&str]) -> Vec<(Vec<String>, bool)> {
        let names: Vec<&str> = people.iter().filter_map(|(has, _)| *has).chain(others.iter().copied()).collect();
        let id = |name: &str| names.iter().position(|other| *other == name).map(|at| Uuid::from_u128(at as u128 + 1));
        let wish = |(has, wanted): &(Option<&str>, &str)| Wish {
            user: has.and_then(id),
            wanted: (*wanted).to_owned(),
            holder: id(wanted),
        };
        let wishes: Vec<Wish> = people.iter().map(wish).collect();
        let named = |at: &usize| format!("{}>{}", people[*at].0.unwrap_or("-"), people[*at].1);
        rows(&wishes).iter().map(|row| (row.people.iter().map(named).collect(), row.round)).collect()
    }

    fn row(people: &[&str], round: bool) -> (Vec<String>, bool) {
        (people.iter().map(|one| (*one).to_owned()).collect(), round)
    }

    #[test]
    fn names_pass_on_where_whoever_has_them_gets_another() {
        let (a, b, c, d) = (Some("a"), Some("b"), Some("c"), Some("d"));
        assert_eq!(passed(&[(a, "b"), (b, "a")], &[]), [row(&["b>a", "a>b"], true)]);
        assert_eq!(passed(&[(a, "b"), (b, "c"), (c, "a")], &[]), [row(&["c>a", "b>c", "a>b"], true)]);
        assert_eq!(passed(&[(b, "c"), (a, "b"), (c, "x")], &[]), [row(&["c>x", "b>c", "a>b"], false)]);
        let two = passed(&[(a, "b"), (c, "d"), (b, "a"), (d, "c")], &[]);
        assert_eq!(two, [row(&["b>a", "a>b"], true), row(&["d>c", "c>d"], true)]);
    }

    #[test]
    fn nobody_gets_the_name_of_somebody_who_keeps_it() {
        let (a, b) = (Some("a"), Some("b"));
        assert_eq!(passed(&[(a, "x")], &["x"]), []);
        assert_eq!(passed(&[(a, "b"), (b, "x")], &["x"]), [], "nor anybody behind them");
        assert_eq!(passed(&[(None, "a"), (a, "x")], &["x"]), []);
    }

    #[test]
    fn of_two_who_want_one_name_the_other_keeps_theirs() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        assert_eq!(passed(&[(a, "x"), (b, "x"), (c, "b")], &[]), [row(&["a>x"], false)]);
        assert_eq!(passed(&[(a, "b"), (c, "b"), (b, "a")], &[]), [row(&["b>a", "a>b"], true)]);
        assert_eq!(passed(&[(None, "a"), (a, "x")], &[]), [row(&["a>x"], false)], "somebody new comes after that");
    }
}
