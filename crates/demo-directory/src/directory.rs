//! The directory itself: entries under a lock, a clock, randomness, and the log of changes.
//!
//! Every write goes through [`Directory::write`], which stamps it, keeps it in the log and tells those who
//! follow. Nothing here knows of sockets or messages.

use crate::changes::{Change, ChangeKind, Csn, Log};
use crate::node::{Node, Stored};
use crate::operations::Refusal;
use crate::password::Password;
use crate::schema::{Description, Usage};
use crate::tree::Tree;
use crate::{Options, StartError};
use bindery_ldap::value::generalized_time;
use bindery_ldap::{Attribute, Dn, Entry};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::broadcast;
use uuid::Uuid;

/// How many changes a slow follower may lag behind before it must begin anew.
const BROADCAST: usize = 4096;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What changes.
pub(crate) struct State {
    pub tree: Tree,
    pub log: Log,
}

/// The directory.
pub(crate) struct Directory {
    state: RwLock<State>,
    random: Mutex<StdRng>,
    clock: Clock,
    changes: broadcast::Sender<Arc<Change>>,
    pub administrators: Vec<Dn>,
    pub size_limit: u32,
    pub min_password_length: usize,
}

/// Who and when a write is by.
pub(crate) struct Stamp {
    pub at: DateTime<Utc>,
    pub csn: Csn,
    pub by: String,
}

impl Directory {
    pub(crate) fn new(options: &Options) -> Result<Self, StartError> {
        let random = match options.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        let now = (options.clock)();
        let first = Csn::first(now);
        let (changes, _) = broadcast::channel(BROADCAST);
        let directory = Self {
            state: RwLock::new(State { tree: Tree::default(), log: Log::new(first) }),
            random: Mutex::new(random),
            clock: Arc::clone(&options.clock),
            changes,
            administrators: options.administrators.clone(),
            size_limit: options.size_limit,
            min_password_length: options.min_password_length,
        };
        directory.load(&options.entries, &Stamp { at: now, csn: first, by: String::new() })?;
        Ok(directory)
    }

    fn load(&self, entries: &[Entry], stamp: &Stamp) -> Result<(), StartError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let refused = |reason: String| StartError::Entry { dn: entry.dn_text().into_owned(), reason };
            let dn = entry.dn().map_err(|error| refused(error.to_string()))?;
            if state.tree.get(&dn).is_some() {
                return Err(refused("it is there twice".into()));
            }
            let attributes: Vec<Attribute> = entry.attributes().map(Attribute::from).collect();
            let node = self.node(dn, &attributes, stamp).map_err(|refusal| refused(refusal.message))?;
            state.tree.insert(node);
        }
        Ok(())
    }

    /// A new entry. Where it is loaded, some of what the directory maintains may come with it.
    pub(crate) fn node(&self, dn: Dn, attributes: &[Attribute], stamp: &Stamp) -> Result<Node, Refusal> {
        let mut node = Node {
            uuid: self.uuid(),
            created: stamp.at,
            modified: stamp.at,
            creator: stamp.by.clone(),
            modifier: stamp.by.clone(),
            csn: stamp.csn.to_string(),
            attributes: Vec::new(),
            passwords: Vec::new(),
            password_changed: None,
            dn,
        };
        for attribute in attributes {
            self.take(&mut node, attribute)?;
        }
        for part in node.dn.leaf_values() {
            let stored = Stored::new(Attribute { name: part.attribute, values: vec![part.value] });
            match node.find_mut(&stored.description) {
                Some(there) => {
                    if let Some(value) = stored.attribute.values.first().filter(|value| !there.contains(value)) {
                        there.attribute.values.push(value.clone());
                    }
                }
                None => node.attributes.push(stored),
            }
        }
        Ok(node)
    }

    fn take(&self, node: &mut Node, attribute: &Attribute) -> Result<(), Refusal> {
        let stored = Stored::new(attribute.clone());
        let first = attribute.values.first().and_then(|value| std::str::from_utf8(value).ok());
        match stored.description.base.as_str() {
            "userpassword" => {
                for value in &attribute.values {
                    node.passwords.push(self.password_value(value)?);
                }
            }
            "entryuuid" => {
                let uuid = first.and_then(|text| Uuid::try_parse(text).ok());
                node.uuid = uuid.ok_or_else(|| Refusal::constraint("an entryUUID that is none"))?;
            }
            "createtimestamp" => node.created = first.and_then(generalized_time).unwrap_or(node.created),
            "modifytimestamp" => node.modified = first.and_then(generalized_time).unwrap_or(node.modified),
            _ if stored.description.usage() == Usage::Maintained => {}
            _ => match node.find_mut(&stored.description) {
                Some(there) => there.attribute.values.extend(stored.attribute.values),
                None => node.attributes.push(stored),
            },
        }
        Ok(())
    }

    /// A password from a value of `userPassword`.
    pub(crate) fn password_value(&self, value: &[u8]) -> Result<Password, Refusal> {
        Password::from_value(self.salt(), value).ok_or_else(|| {
            Refusal::constraint("a password of an unknown scheme; known are {SSHA256} and the password itself")
        })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tree, or refuses and leaves it as it was: `change` checks everything before it writes.
    pub(crate) fn write<T>(
        &self,
        by: &str,
        change: impl FnOnce(&mut Tree, &Stamp) -> Result<(T, Vec<ChangeKind>), Refusal>,
    ) -> Result<T, Refusal> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let at = (self.clock)();
        let csn = state.log.next_csn(at);
        let (result, kinds) = change(&mut state.tree, &Stamp { at, csn, by: by.to_owned() })?;
        for kind in kinds {
            let change = Arc::new(Change { csn, kind });
            state.log.push(Arc::clone(&change));
            // Nobody following is no error.
            let _ = self.changes.send(change);
        }
        Ok(result)
    }

    /// The changes from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    pub(crate) fn is_administrator(&self, dn: &Dn) -> bool {
        self.administrators.contains(dn)
    }

    pub(crate) fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random().random()).into_uuid()
    }

    pub(crate) fn salt(&self) -> [u8; 16] {
        self.random().random()
    }

    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody may set an attribute.
pub(crate) fn is_maintained(name: &str) -> bool {
    Description::new(name).usage() == Usage::Maintained
}
