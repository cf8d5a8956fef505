//! The entries: by place, and by the values that people are looked up by.
//!
//! It keeps its indexes true and knows nothing of who asks or why.

use crate::node::Node;
use crate::schema::{self, Description};
use bindery_ldap::Dn;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Attributes whose equality is looked up instead of compared entry by entry.
const INDEXED: &[&str] = &["uid", "cn", "mail", "member", "uniquemember", "memberuid"];

/// Ends each RDN of a [`path`]: below every character of a DN's key, which has NUL escaped.
const END: char = '\0';

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// By path: the RDNs from the root down, so that what lies below an entry comes right after it.
    nodes: BTreeMap<String, Arc<Node>>,
    /// From an attribute and a normalised value to paths.
    index: HashMap<(&'static str, Vec<u8>), BTreeSet<String>>,
    suffixes: Vec<Dn>,
}

fn path(dn: &Dn) -> String {
    let key = dn.key_str();
    let mut path = String::with_capacity(key.len().saturating_add(1));
    for rdn in key.rsplit(',').filter(|rdn| !rdn.is_empty()) {
        path.push_str(rdn);
        path.push(END);
    }
    path
}

impl Tree {
    pub(crate) fn get(&self, dn: &Dn) -> Option<&Arc<Node>> {
        self.nodes.get(&path(dn))
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The tops of the trees held.
    pub(crate) fn suffixes(&self) -> &[Dn] {
        &self.suffixes
    }

    /// The entry and all below it, parents first.
    pub(crate) fn subtree<'a>(&'a self, base: &Dn) -> impl Iterator<Item = &'a Arc<Node>> + use<'a> {
        let start = path(base);
        self.nodes.range(start.clone()..).take_while(move |(path, _)| path.starts_with(&start)).map(|(_, node)| node)
    }

    pub(crate) fn has_children(&self, dn: &Dn) -> bool {
        self.subtree(dn).nth(1).is_some()
    }

    /// The nearest entry above a name that is not there.
    pub(crate) fn nearest_above(&self, dn: &Dn) -> Option<&Arc<Node>> {
        let mut above = dn.parent();
        while let Some(dn) = above {
            if let Some(node) = self.get(&dn) {
                return Some(node);
            }
            above = dn.parent();
        }
        None
    }

    /// Puts an entry in its place, in place of what was there. One with nothing above it begins a tree.
    pub(crate) fn insert(&mut self, node: Node) {
        let path = path(&node.dn);
        if let Some(old) = self.nodes.remove(&path) {
            self.unindex(&path, &old);
        } else if node.dn.parent().is_none_or(|parent| self.get(&parent).is_none()) {
            self.suffixes.push(node.dn.clone());
        }
        self.index(&path, &node);
        self.nodes.insert(path, Arc::new(node));
    }

    pub(crate) fn remove(&mut self, dn: &Dn) -> Option<Arc<Node>> {
        let path = path(dn);
        let node = self.nodes.remove(&path)?;
        self.unindex(&path, &node);
        self.suffixes.retain(|suffix| suffix != dn);
        Some(node)
    }

    /// The entries with a value, where the attribute is indexed.
    pub(crate) fn lookup(&self, base: &str, normalized: &[u8]) -> Option<Vec<Arc<Node>>> {
        let name = INDEXED.iter().find(|indexed| **indexed == base)?;
        let paths = self.index.get(&(*name, normalized.to_vec()));
        Some(paths.into_iter().flatten().filter_map(|path| self.nodes.get(path)).cloned().collect())
    }

    /// The groups that name an entry as a member.
    pub(crate) fn groups_of(&self, dn: &Dn) -> Vec<Arc<Node>> {
        ["member", "uniquemember"]
            .into_iter()
            .flat_map(|base| self.lookup(base, dn.key_str().as_bytes()).unwrap_or_default())
            .collect()
    }

    /// The keys of everything that `dn` is a member of, directly or through groups.
    pub(crate) fn all_groups_of(&self, dn: &Dn) -> HashSet<String> {
        closure(dn, |dn| self.groups_of(&dn))
    }

    /// The keys of everything that is a member of `dn`, directly or through groups.
    pub(crate) fn all_members_of(&self, dn: &Dn) -> HashSet<String> {
        closure(dn, |dn| {
            let members = [Description::new("member"), Description::new("uniqueMember")];
            let group = self.get(&dn);
            let values = group.iter().flat_map(|group| members.iter().flat_map(|member| group.values(member)));
            values.filter_map(|value| Dn::from_bytes(value).ok()).filter_map(|dn| self.get(&dn).cloned()).collect()
        })
    }

    fn index(&mut self, path: &str, node: &Node) {
        for key in index_keys(node) {
            self.index.entry(key).or_default().insert(path.to_owned());
        }
    }

    fn unindex(&mut self, path: &str, node: &Node) {
        for key in index_keys(node) {
            if let Some(paths) = self.index.get_mut(&key) {
                paths.remove(path);
                if paths.is_empty() {
                    self.index.remove(&key);
                }
            }
        }
    }
}

/// Everything reached from a name; cycles end where they began.
fn closure(start: &Dn, next: impl Fn(Dn) -> Vec<Arc<Node>>) -> HashSet<String> {
    let mut reached = HashSet::new();
    let mut open = vec![start.clone()];
    while let Some(dn) = open.pop() {
        for node in next(dn) {
            if reached.insert(node.dn.key()) {
                open.push(node.dn.clone());
            }
        }
    }
    reached
}

fn index_keys(node: &Node) -> Vec<(&'static str, Vec<u8>)> {
    let mut keys = Vec::new();
    for stored in &node.attributes {
        let Some(name) = INDEXED.iter().find(|name| **name == stored.description.base) else { continue };
        let syntax = stored.description.syntax();
        let normalized = stored.attribute.values.iter().filter_map(|value| schema::normalize(syntax, value));
        keys.extend(normalized.map(|value| (*name, value.into_owned())));
    }
    keys
}
