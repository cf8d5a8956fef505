//! What visitors read. One sentence that says what is so, and one that says what to do; no jargon, and no more
//! than the contract lets a visitor know.

use bindery_core::Reason;
use serde::Serialize;
use std::time::Duration;

/// What happened, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// What is so.
    pub says: String,
    /// What to do.
    pub next: String,
}

impl Sentence {
    /// From two sentences.
    pub fn new(says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { says: says.into(), next: next.into() }
    }

    /// Both in one line.
    pub fn whole(&self) -> String {
        format!("{} {}", self.says, self.next).trim_end().to_owned()
    }
}

/// For a refused sign-in. `reason` is the public one.
pub fn refused(reason: Reason, retry_after: Option<Duration>) -> Sentence {
    if reason == Reason::Throttled {
        return throttled(retry_after);
    }
    let (says, next) = match reason {
        Reason::AccountDisabled => {
            ("Your account has been deactivated.", "Ask your administrator if you should still have access.")
        }
        Reason::AccountLocked => {
            ("Your account is locked.", "Ask your administrator to unlock it, or try again later.")
        }
        Reason::AccountExpired => ("Your account has expired.", "Ask your administrator to extend it."),
        Reason::PasswordExpired => ("Your password has expired.", "Choose a new one before you sign in."),
        Reason::PasswordMustChange => {
            ("Your password has to be changed before you can sign in.", "Choose a new one first.")
        }
        Reason::SignInHours => (
            "You can't sign in at this time of day.",
            "Try again within your permitted hours, or ask your administrator to change them.",
        ),
        Reason::WorkstationNotAllowed => (
            "You can't sign in from this computer.",
            "Use one that you are permitted to use, or ask your administrator.",
        ),
        Reason::NotInRequiredGroup => (
            "Your account is fine, but it has no access to this site.",
            "Ask your administrator to add you to the right group.",
        ),
        Reason::InDeniedGroup => {
            ("Your account has been kept out of this site.", "Ask your administrator if you think that is a mistake.")
        }
        Reason::MembershipUnknown => (
            "We couldn't find out whether you have access to this site.",
            "Ask your administrator to look into it, and mention the time.",
        ),
        Reason::NewUsersNotAllowed => {
            ("Nobody has set up an account for you on this site yet.", "Ask your administrator to create one.")
        }
        Reason::AccountConflict => (
            "Another account on this site already uses your name.",
            "Ask your administrator to sort out which one is yours.",
        ),
        Reason::MissingAttribute => {
            ("Something is missing from your account in the directory.", "Ask your administrator to complete it.")
        }
        Reason::Vetoed => ("You can't sign in to this site.", "Ask your administrator why."),
        // Before a correct password all are told the same. A reason that is new here is told nothing.
        _ => ("The username or password isn't right.", "Check both and try again."),
    };
    Sentence::new(says, next)
}

/// After too many failures.
pub fn throttled(retry_after: Option<Duration>) -> Sentence {
    let wait = retry_after.map_or_else(|| "a few minutes".to_owned(), wait);
    Sentence::new("There have been too many failed attempts.", format!("Wait {wait}, then try again."))
}

/// When nobody could be asked.
pub fn unavailable() -> Sentence {
    Sentence::new(
        "We can't check your password at the moment.",
        "It isn't your fault: try again in a minute, and tell your administrator if it goes on.",
    )
}

/// When a page is for people who are signed in.
pub fn signed_out() -> Sentence {
    Sentence::new("You aren't signed in, or no longer.", "Sign in and try again.")
}

/// When nobody can tell whose session this is.
pub fn session_unavailable() -> Sentence {
    Sentence::new("We can't check who you are at the moment.", "You stay signed in: try again in a minute.")
}

/// When somebody is signed in, and may not see this.
pub fn forbidden() -> Sentence {
    Sentence::new("Your account doesn't have the rights for this page.", "Ask your administrator if you need it.")
}

/// When nobody can look up or change people.
pub fn people_unavailable() -> Sentence {
    Sentence::new(
        "People can't be looked up or changed at the moment, so nothing was done.",
        "Try again in a minute, and look at the server's log if it goes on.",
    )
}

/// When a post came from elsewhere.
pub fn foreign() -> Sentence {
    Sentence::new("This request came from another site, so nothing was done.", "Go to the page itself and try again.")
}

/// When a form's token does not fit.
pub fn stale_form() -> Sentence {
    Sentence::new("This page was open for too long, or cookies are blocked.", "Go back, reload the page and try again.")
}

/// "14 days", "8 hours".
pub fn span(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2880 => (minutes.div_ceil(60), "hour"),
        _ => (minutes.div_ceil(1440), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn wait(time: Duration) -> String {
    let seconds = time.as_secs().max(1);
    match (seconds, seconds.div_ceil(60)) {
        (1, _) => "a second".to_owned(),
        (2..60, _) => format!("{seconds} seconds"),
        (_, 1) => "a minute".to_owned(),
        (_, minutes) => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_a_correct_password_everybody_reads_the_same() {
        let one = refused(Reason::BadCredentials, None);
        for reason in [Reason::NoSuchUser, Reason::AmbiguousUser, Reason::EmptyPassword, Reason::UnknownDomain] {
            assert_eq!(refused(reason, None), one);
        }
    }

    #[test]
    fn sentences_end_and_name_a_next_step() {
        for reason in [
            Reason::BadCredentials,
            Reason::NotInRequiredGroup,
            Reason::InDeniedGroup,
            Reason::MembershipUnknown,
            Reason::AccountDisabled,
            Reason::AccountLocked,
            Reason::AccountExpired,
            Reason::PasswordExpired,
            Reason::PasswordMustChange,
            Reason::SignInHours,
            Reason::WorkstationNotAllowed,
            Reason::NewUsersNotAllowed,
            Reason::AccountConflict,
            Reason::MissingAttribute,
            Reason::Throttled,
            Reason::Vetoed,
        ] {
            let sentence = refused(reason, None);
            assert!(sentence.says.ends_with('.') && sentence.next.ends_with('.'));
            assert!(!sentence.whole().contains('_'), "{reason:?}");
        }
    }

    #[test]
    fn waiting_times_are_rounded_up() {
        let text = |seconds| throttled(Some(Duration::from_secs(seconds))).next;
        assert_eq!(text(0), "Wait a second, then try again.");
        assert_eq!(text(59), "Wait 59 seconds, then try again.");
        assert_eq!(text(60), "Wait a minute, then try again.");
        assert_eq!(text(61), "Wait 2 minutes, then try again.");
        assert_eq!(text(900), "Wait 15 minutes, then try again.");
    }
}
