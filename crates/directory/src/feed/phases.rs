//! The phases of a content synchronization (RFC 4533, 3.3 and 3.4): what the messages of one search mean.
//!
//! Pure: messages in, meanings out. That something is gone because nobody named it is said only at the end of a
//! refresh that came whole, with a cookie.

use bindery_ldap::control::{SyncDone, SyncInfo, SyncState, SyncStateKind};
use bindery_ldap::{Entry, LdapResult, ResultCode};
use uuid::Uuid;

/// One message of a search with the sync request control.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Entry(Entry, Option<SyncState>),
    /// A part of the base lies elsewhere.
    Elsewhere,
    Info(SyncInfo),
    Done(LdapResult, Option<SyncDone>),
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is there, like this.
    Changed(Entry, Uuid),
    Gone(Vec<Uuid>),
    Present(Vec<Uuid>),
    /// Whoever was not named is gone.
    RestGone,
    /// All before counts up to here; without a cookie, up to where it began.
    Reached(Option<Vec<u8>>),
    /// The position does not count.
    Doubt(String),
    /// The search is over.
    End,
}

/// A message that breaks the protocol, or a result that is a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

/// Where one search is.
#[derive(Debug)]
pub(super) struct Phases {
    follow: bool,
    stage: Stage,
    /// The server means what it says at the end of a present phase. 389-DS says it after a delete phase, too.
    literal: bool,
    /// Something was called present.
    present: bool,
    /// Something was named as being there.
    named: bool,
    /// A present phase has ended: the rest is gone once the refresh is whole.
    present_ended: bool,
    elsewhere: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Refresh,
    Persist,
    Over,
}

impl Phases {
    pub(super) fn new(follow: bool, literal: bool) -> Self {
        Self {
            follow,
            stage: Stage::Refresh,
            literal,
            present: false,
            named: false,
            present_ended: false,
            elsewhere: false,
        }
    }

    /// Whether it is up to date and waits for changes.
    pub(super) fn persists(&self) -> bool {
        self.stage == Stage::Persist
    }

    pub(super) fn step(&mut self, message: Message) -> Result<Vec<Meaning>, Fault> {
        if self.stage == Stage::Over {
            return fault("something came after the end");
        }
        match message {
            Message::Entry(entry, Some(state)) => self.entry(entry, state),
            Message::Entry(entry, None) => fault(format!("{} came without its sync state control", entry.dn_text())),
            Message::Elsewhere => {
                self.elsewhere = true;
                Ok(vec![])
            }
            Message::Info(info) => self.info(info),
            Message::Done(result, control) => {
                self.stage_is_over();
                self.done(&result, control)
            }
        }
    }

    fn stage_is_over(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Over)
    }

    fn entry(&mut self, entry: Entry, state: SyncState) -> Result<Vec<Meaning>, Fault> {
        let uuid = state.entry_uuid;
        self.named |= state.state != SyncStateKind::Delete;
        self.present |= state.state == SyncStateKind::Present;
        let meaning = match state.state {
            SyncStateKind::Add | SyncStateKind::Modify => Meaning::Changed(entry, uuid),
            SyncStateKind::Delete => Meaning::Gone(vec![uuid]),
            SyncStateKind::Present if self.stage == Stage::Refresh => Meaning::Present(vec![uuid]),
            SyncStateKind::Present => return fault("an entry is called present outside a refresh"),
        };
        // A cookie in the middle of a refresh says nothing of what is still to come.
        let reached = state.cookie.filter(|_| self.persists()).map(|cookie| Meaning::Reached(Some(cookie.to_vec())));
        Ok([meaning].into_iter().chain(reached).collect())
    }

    fn info(&mut self, info: SyncInfo) -> Result<Vec<Meaning>, Fault> {
        let refreshing = self.stage == Stage::Refresh;
        match info {
            SyncInfo::NewCookie(cookie) if self.persists() => Ok(vec![Meaning::Reached(Some(cookie.to_vec()))]),
            SyncInfo::NewCookie(_) => Ok(vec![]),
            SyncInfo::IdSet { refresh_deletes: true, uuids, cookie } => {
                let reached = cookie.filter(|_| !refreshing).map(|cookie| Meaning::Reached(Some(cookie.to_vec())));
                Ok([Meaning::Gone(uuids)].into_iter().chain(reached).collect())
            }
            SyncInfo::IdSet { refresh_deletes: false, uuids, .. } if refreshing => {
                self.named |= !uuids.is_empty();
                self.present |= !uuids.is_empty();
                Ok(vec![Meaning::Present(uuids)])
            }
            SyncInfo::RefreshPresent { cookie, refresh_done } if refreshing => {
                self.end_present();
                Ok(self.refreshed(refresh_done, cookie.map(|cookie| cookie.to_vec())))
            }
            SyncInfo::RefreshDelete { cookie, refresh_done } if refreshing => {
                Ok(self.refreshed(refresh_done, cookie.map(|cookie| cookie.to_vec())))
            }
            _ => fault("a message of a refresh came outside one"),
        }
    }

    /// The end of a phase, and perhaps of the refresh.
    fn refreshed(&mut self, done: bool, cookie: Option<Vec<u8>>) -> Vec<Meaning> {
        // Without persisting, the end of the search is the end of the refresh.
        if !done || !self.follow {
            return vec![];
        }
        self.stage = Stage::Persist;
        self.whole(cookie)
    }

    fn end_present(&mut self) {
        self.present_ended |= self.literal || self.present;
    }

    /// A refresh that came whole.
    fn whole(&mut self, cookie: Option<Vec<u8>>) -> Vec<Meaning> {
        let cookie = cookie.filter(|cookie| !cookie.is_empty());
        if !self.present_ended {
            return vec![Meaning::Reached(cookie)];
        }
        if cookie.is_none() {
            return vec![Meaning::Doubt("the server listed what is there and gave no cookie".to_owned())];
        }
        if !self.named {
            return vec![Meaning::Doubt("the server says that nothing at all is there".to_owned())];
        }
        if self.elsewhere {
            return vec![Meaning::Doubt("a part of the base lies on another server".to_owned())];
        }
        vec![Meaning::RestGone, Meaning::Reached(cookie)]
    }

    fn done(&mut self, result: &LdapResult, control: Option<SyncDone>) -> Result<Vec<Meaning>, Fault> {
        let doubt = |why: String| Ok(vec![Meaning::Doubt(why), Meaning::End]);
        match result.code {
            ResultCode::SUCCESS if self.follow => fault("the server ended what was to go on"),
            ResultCode::SUCCESS => {
                let Some(SyncDone { cookie, refresh_deletes }) = control else {
                    return doubt("the refresh ended without the sync done control".to_owned());
                };
                if !refresh_deletes {
                    self.end_present();
                }
                let mut meanings = self.whole(cookie.map(|cookie| cookie.to_vec()));
                meanings.push(Meaning::End);
                Ok(meanings)
            }
            ResultCode::SYNC_REFRESH_REQUIRED
            | ResultCode::PROTOCOL_ERROR
            | ResultCode::UNAVAILABLE_CRITICAL_EXTENSION
            | ResultCode::UNWILLING_TO_PERFORM => doubt(format!("the server refused the cookie ({result})")),
            ResultCode::SIZE_LIMIT_EXCEEDED
            | ResultCode::ADMIN_LIMIT_EXCEEDED
            | ResultCode::TIME_LIMIT_EXCEEDED
            | ResultCode::REFERRAL => doubt(format!("the changes were cut short ({result})")),
            _ => fault(result.to_string()),
        }
    }
}

fn fault<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn result(code: u32) -> LdapResult {
        LdapResult { code: ResultCode(code), matched_dn: String::new(), message: String::new(), referrals: vec![] }
    }

    fn entry(state: SyncStateKind, number: u128) -> Message {
        let state = SyncState { state, entry_uuid: Uuid::from_u128(number), cookie: None };
        Message::Entry(Entry::new("cn=x", vec![]), Some(state))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as the messages hold it")]
    fn cookie() -> Option<Bytes> {
        Some(Bytes::from_static(b"c"))
    }

    fn done(cookie: Option<Bytes>, refresh_deletes: bool) -> Message {
        Message::Done(result(0), Some(SyncDone { cookie, refresh_deletes }))
    }

    fn ids(refresh_deletes: bool) -> Message {
        let uuids = vec![Uuid::from_u128(1), Uuid::from_u128(2)];
        Message::Info(SyncInfo::IdSet { cookie: None, refresh_deletes, uuids })
    }

    fn run(mut phases: Phases, messages: Vec<Message>) -> Result<Vec<Meaning>, Fault> {
        let mut all = vec![];
        for message in messages {
            all.extend(phases.step(message)?);
        }
        Ok(all)
    }

    #[test]
    fn a_delete_phase_says_who_is_gone_and_nothing_of_the_rest() {
        let told = run(Phases::new(false, true), vec![ids(true), done(cookie(), true)]).unwrap();
        assert!(matches!(&told[..], [Meaning::Gone(_), Meaning::Reached(Some(_)), Meaning::End]), "{told:?}");
    }

    #[test]
    fn a_present_phase_ends_with_the_rest_gone() {
        let told = run(Phases::new(false, true), vec![ids(false), done(cookie(), false)]).unwrap();
        let expected = [Meaning::RestGone, Meaning::Reached(Some(b"c".to_vec())), Meaning::End];
        assert_eq!(told[1..], expected);
    }

    #[test]
    fn both_phases_in_one_refresh() {
        let over = Message::Info(SyncInfo::RefreshPresent { cookie: None, refresh_done: false });
        let told = run(Phases::new(false, true), vec![ids(false), over, ids(true), done(cookie(), true)]).unwrap();
        assert!(matches!(
            &told[..],
            [Meaning::Present(_), Meaning::Gone(_), Meaning::RestGone, Meaning::Reached(_), _]
        ));
    }

    #[test]
    fn following_goes_on_after_the_refresh() {
        let mut phases = Phases::new(true, true);
        assert_eq!(phases.step(ids(false)).unwrap().len(), 1);
        let over = Message::Info(SyncInfo::RefreshPresent { cookie: cookie(), refresh_done: true });
        assert!(matches!(&phases.step(over).unwrap()[..], [Meaning::RestGone, Meaning::Reached(Some(_))]));
        assert!(phases.persists());
        let state = SyncState { state: SyncStateKind::Delete, entry_uuid: Uuid::from_u128(3), cookie: cookie() };
        let told = phases.step(Message::Entry(Entry::new("cn=x", vec![]), Some(state))).unwrap();
        assert!(matches!(&told[..], [Meaning::Gone(_), Meaning::Reached(Some(_))]));
        assert!(phases.step(ids(false)).is_err(), "present has no meaning any more");
        assert!(run(Phases::new(true, true), vec![done(cookie(), true)]).is_err(), "it was not to end");
    }

    #[test]
    fn the_rest_is_not_gone_in_doubt() {
        let doubts = [
            vec![ids(false), done(None, false)],
            vec![ids(false), done(Some(Bytes::new()), false)],
            vec![done(cookie(), false)],
            vec![ids(false), Message::Elsewhere, done(cookie(), false)],
            vec![ids(false), Message::Done(result(0), None)],
            vec![ids(false), Message::Done(result(4), Some(SyncDone { cookie: cookie(), refresh_deletes: false }))],
            vec![Message::Done(result(4096), None)],
        ];
        for messages in doubts {
            let told = run(Phases::new(false, true), messages.clone()).unwrap();
            assert!(told.iter().any(|one| matches!(one, Meaning::Doubt(_))), "{messages:?}: {told:?}");
            assert!(!told.iter().any(|one| matches!(one, Meaning::RestGone | Meaning::Reached(_))), "{told:?}");
        }
    }

    #[test]
    fn where_a_server_ends_every_refresh_alike_only_what_it_lists_counts() {
        let changed = || entry(SyncStateKind::Modify, 1);
        let told = run(Phases::new(false, false), vec![changed(), ids(true), done(cookie(), false)]).unwrap();
        assert!(!told.contains(&Meaning::RestGone), "{told:?}");
        let told = run(Phases::new(false, false), vec![changed(), ids(false), done(cookie(), false)]).unwrap();
        assert!(told.contains(&Meaning::RestGone), "{told:?}");
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let cookies = prop_oneof![Just(None), Just(cookie()), Just(Some(Bytes::new()))];
        let states = prop_oneof![
            Just(SyncStateKind::Present),
            Just(SyncStateKind::Add),
            Just(SyncStateKind::Modify),
            Just(SyncStateKind::Delete)
        ];
        let codes = prop_oneof![Just(0u32), Just(3), Just(4), Just(10), Just(11), Just(53), Just(80), Just(4096)];
        (0..8u8, cookies, any::<bool>(), states, codes).prop_map(|(which, cookie, flag, state, code)| match which {
            0 => Message::Info(SyncInfo::NewCookie(cookie.unwrap_or_default())),
            1 => Message::Info(SyncInfo::RefreshDelete { cookie, refresh_done: flag }),
            2 => Message::Info(SyncInfo::RefreshPresent { cookie, refresh_done: flag }),
            3 => Message::Info(SyncInfo::IdSet { cookie, refresh_deletes: flag, uuids: vec![Uuid::from_u128(5)] }),
            4 => Message::Done(result(code), Some(SyncDone { cookie, refresh_deletes: flag })),
            5 if flag => Message::Done(result(code), None),
            5 => Message::Elsewhere,
            _ => {
                let state = SyncState { state, entry_uuid: Uuid::from_u128(9), cookie };
                Message::Entry(Entry::new("cn=x", vec![]), Some(state))
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_the_rest_goes_once_after_a_whole_refresh(
            follow in any::<bool>(),
            literal in any::<bool>(),
            messages in proptest::collection::vec(any_message(), 0..12),
        ) {
            let mut phases = Phases::new(follow, literal);
            let mut told: Vec<Meaning> = vec![];
            for message in messages {
                let ends = matches!(message, Message::Done(..));
                match phases.step(message) {
                    Ok(meanings) => told.extend(meanings),
                    Err(_) => break,
                }
                prop_assert_eq!(ends, told.last() == Some(&Meaning::End));
                if ends {
                    break;
                }
            }
            let rest = told.iter().filter(|one| **one == Meaning::RestGone).count();
            prop_assert!(rest <= 1);
            if let Some(at) = told.iter().position(|one| *one == Meaning::RestGone) {
                // Somebody is there, nobody doubts, and the position that it belongs to follows.
                prop_assert!(told[..at].iter().any(|one| matches!(one, Meaning::Changed(..) | Meaning::Present(_))));
                prop_assert!(!told[..at].iter().any(|one| matches!(one, Meaning::Doubt(_) | Meaning::Reached(_))));
                prop_assert!(matches!(told.get(at + 1), Some(Meaning::Reached(Some(cookie))) if !cookie.is_empty()));
            }
        }
    }
}
