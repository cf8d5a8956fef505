//! Reading everybody: whole listings page by page, and feeds of what has changed since.
//!
//! What arrives is handed on as it is, and so is every reason why it may be less than the whole. What that
//! means for anybody is not decided here.

mod about;
mod changes;
mod concerned;
mod entries;
mod listing;
mod pager;
mod pages;
mod phases;
mod polled;
mod position;
mod roster;
mod syncrepl;

pub(crate) use changes::kind_at;
pub use changes::{Changes, FeedEvent, FeedKind, Position, Since};
pub use concerned::{Apart, Named};
pub use listing::{GroupEntry, Incomplete, Listing, Page, Shortcoming, Unreadable};
pub(crate) use pager::offers_paging;
pub use roster::Roster;

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// People of the source.
    User,
    /// Groups of the source.
    Group,
}

impl Kind {
    /// In one word.
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}
