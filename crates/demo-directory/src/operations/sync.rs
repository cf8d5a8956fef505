//! Content synchronization (RFC 4533), on the log of changes.
//!
//! A cookie that the log reaches back to gets what changed since and what went. Any other gets everything,
//! and the word that what was not told of is gone.

use super::search::Search;
use super::{Identity, Refusal, success};
use crate::changes::{Change, ChangeKind, Csn};
use crate::directory::{Directory, State};
use crate::message;
use crate::node::Node;
use bindery_ldap::codec::protocol::{
    IntermediateResponse, LdapMessage, LdapResult, ProtocolOp, ResultCode, SearchResultDone, SearchResultEntry,
};
use bindery_ldap::control::{ControlValue, SyncDone, SyncInfo, SyncMode, SyncRequest, SyncState, SyncStateKind};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

/// The connection is gone; nobody wants to know more.
struct Gone;

/// Runs one synchronization to its end, or until it is abandoned.
pub(crate) async fn sync(
    directory: Arc<Directory>,
    who: Identity,
    search: Search,
    request: SyncRequest,
    id: u32,
    out: Sender<LdapMessage>,
) {
    let session = Session { directory, who, search, id, out };
    // An error only says that there is nobody left to tell.
    let _ = session.run(&request).await;
}

struct Session {
    directory: Arc<Directory>,
    who: Identity,
    search: Search,
    id: u32,
    out: Sender<LdapMessage>,
}

/// What a refresh has to tell.
struct Refresh {
    entries: Vec<(SyncStateKind, Arc<Node>)>,
    gone: Vec<Uuid>,
    /// Whether `gone` is all that went; otherwise whatever is not among the entries went.
    incremental: bool,
    position: Csn,
}

impl Session {
    async fn run(&self, request: &SyncRequest) -> Result<(), Gone> {
        // Subscribed before the refresh reads, so that no change falls in between.
        let mut changes = self.directory.follow();
        let refresh = match self.refresh(request) {
            Ok(refresh) => refresh,
            Err(refusal) => return self.done(refusal.into_result(), None).await,
        };
        let (position, incremental) = (refresh.position, refresh.incremental);
        self.tell(refresh).await?;
        let cookie = Some(cookie(position));
        if request.mode == SyncMode::RefreshOnly {
            return self.done(success(), Some(SyncDone { cookie, refresh_deletes: incremental })).await;
        }
        let phase = if incremental {
            SyncInfo::RefreshDelete { cookie, refresh_done: true }
        } else {
            SyncInfo::RefreshPresent { cookie, refresh_done: true }
        };
        self.info(&phase).await?;
        loop {
            match changes.recv().await {
                Ok(change) if change.csn > position => self.change(&change).await?,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let result =
                        LdapResult::new(ResultCode::Busy, "".into(), "too many changes at once: begin anew".into());
                    return self.done(result, None).await;
                }
                Err(RecvError::Closed) => return self.done(success(), None).await,
            }
        }
    }

    fn refresh(&self, request: &SyncRequest) -> Result<Refresh, Refusal> {
        let state = self.directory.read();
        let position = state.log.last();
        let all = self.search.find(&state, &self.who)?;
        let since = request.cookie.as_deref().and_then(parse_cookie).and_then(|position| state.log.since(position));
        Ok(match since {
            Some(changes) => self.incremental(&state, &changes, position),
            None => Refresh {
                entries: all.into_iter().map(|node| (SyncStateKind::Add, node)).collect(),
                gone: Vec::new(),
                incremental: false,
                position,
            },
        })
    }

    fn incremental(&self, state: &State, changes: &[Arc<Change>], position: Csn) -> Refresh {
        let mut last: HashMap<Uuid, &ChangeKind> = HashMap::new();
        for change in changes {
            last.insert(change.kind.uuid(), &change.kind);
        }
        let (mut entries, mut gone) = (Vec::new(), Vec::new());
        for (uuid, kind) in last {
            match state.tree.get(kind.dn()).filter(|node| node.uuid == uuid && self.search.finds(node, state)) {
                Some(node) if !matches!(kind, ChangeKind::Deleted { .. }) => {
                    entries.push((state_kind(kind), Arc::clone(node)));
                }
                _ => gone.push(uuid),
            }
        }
        entries.sort_by(|(_, one), (_, other)| one.dn.cmp(&other.dn));
        Refresh { entries, gone, incremental: true, position }
    }

    async fn tell(&self, refresh: Refresh) -> Result<(), Gone> {
        for (kind, node) in refresh.entries {
            let entry = self.search.selection.entry(&node, &self.directory.read().tree);
            self.entry(entry, kind, node.uuid, None).await?;
        }
        for uuids in refresh.gone.chunks(500) {
            self.info(&SyncInfo::IdSet { cookie: None, refresh_deletes: true, uuids: uuids.to_vec() }).await?;
        }
        Ok(())
    }

    /// One change, as it happens. An entry that does not match now may have matched before.
    async fn change(&self, change: &Change) -> Result<(), Gone> {
        let (dn, uuid) = (change.kind.dn(), change.kind.uuid());
        let entry = {
            let state = self.directory.read();
            let node = state.tree.get(dn).filter(|node| node.uuid == uuid);
            if node.is_none() && !matches!(change.kind, ChangeKind::Deleted { .. }) {
                // Changed again since: what happened later is told of later.
                return Ok(());
            }
            node.filter(|node| self.search.finds(node, &state))
                .map(|node| self.search.selection.entry(node, &state.tree))
        };
        let (entry, kind) = match entry {
            Some(entry) => (entry, state_kind(&change.kind)),
            None => (SearchResultEntry::new(dn.as_str().into(), Vec::new()), SyncStateKind::Delete),
        };
        self.entry(entry, kind, uuid, Some(cookie(change.csn))).await
    }

    async fn entry(
        &self,
        entry: SearchResultEntry,
        state: SyncStateKind,
        entry_uuid: Uuid,
        cookie: Option<Bytes>,
    ) -> Result<(), Gone> {
        let control = SyncState { state, entry_uuid, cookie };
        self.send(ProtocolOp::SearchResEntry(entry), Some(&control)).await
    }

    async fn info(&self, info: &SyncInfo) -> Result<(), Gone> {
        let value = info.encode().map_err(|_| Gone)?;
        let response = IntermediateResponse {
            response_name: Some(SyncInfo::OID.as_bytes().to_vec().into()),
            response_value: Some(value.into()),
        };
        self.send::<SyncInfo>(ProtocolOp::IntermediateResponse(response), None).await
    }

    async fn done(&self, result: LdapResult, control: Option<SyncDone>) -> Result<(), Gone> {
        self.send(ProtocolOp::SearchResDone(SearchResultDone(result)), control.as_ref()).await
    }

    async fn send<C: ControlValue>(&self, op: ProtocolOp, control: Option<&C>) -> Result<(), Gone> {
        self.out.send(message::with_control(self.id, op, control)).await.map_err(|_| Gone)
    }
}

fn state_kind(kind: &ChangeKind) -> SyncStateKind {
    match kind {
        ChangeKind::Added { .. } => SyncStateKind::Add,
        ChangeKind::Modified { .. } => SyncStateKind::Modify,
        ChangeKind::Deleted { .. } => SyncStateKind::Delete,
    }
}

fn cookie(position: Csn) -> Bytes {
    Bytes::from(format!("rid=000,csn={position}"))
}

fn parse_cookie(cookie: &[u8]) -> Option<Csn> {
    let text = std::str::from_utf8(cookie).ok()?;
    text.split(',').find_map(|part| part.strip_prefix("csn=")).and_then(Csn::parse)
}
