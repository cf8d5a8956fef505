//! Explaining one person: what sign-in would decide and why. Asks for no password, writes nothing.

use super::Engine;
use super::admit::Entering;
use super::attempt::{Rejection, chain};
use super::route::Route;
use crate::reconcile::{Reconciled, Standing};
use crate::rules::{Decision, Facts, Truth, Update, decide};
use crate::{Outcome, Reason};
use bindery_directory::{AccountState, Reader};
use bindery_store::{Link, Owner, UserState};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What sign-in would decide. The JSON keys are a contract; all of it is there also when refused.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// As the right password would get it.
    pub outcome: Outcome,
    /// Why, when refused.
    pub reason: Option<Reason>,
    /// One sentence for operators; empty when signed in.
    pub detail: String,
    /// The source that was asked.
    pub source: Option<String>,
    /// The entry.
    pub dn: Option<String>,
    /// Its immutable identifier.
    pub unique_id: Option<String>,
    /// Local fields and where each comes from.
    pub fields: BTreeMap<String, FieldView>,
    /// The directory groups of the person.
    pub groups: Vec<GroupView>,
    /// Why the groups may be incomplete.
    pub groups_incomplete: Option<String>,
    /// Flags and why.
    pub flags: BTreeMap<String, FlagView>,
    /// Names of local groups that they would be in.
    pub local_groups: Vec<String>,
    /// What they could do.
    pub permissions: Vec<String>,
    /// What `access` says.
    pub access: AccessView,
    /// Groups in rules that can't be found or used.
    pub unresolved: Vec<String>,
    /// What only the right password would tell, one sentence each.
    pub notes: Vec<String>,
}

/// A field.
#[derive(Debug, Clone, Serialize)]
pub struct FieldView {
    /// What it would be; null where it would be cleared.
    pub value: serde_json::Value,
    /// The attribute or template that it comes from.
    pub from: String,
}

/// A group of the directory.
#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    /// Its DN.
    pub dn: String,
    /// Its name.
    pub name: String,
    /// Whether no group lies between.
    pub direct: bool,
    /// From the person's own group to this one.
    pub path: Vec<String>,
}

/// A flag.
#[derive(Debug, Clone, Serialize)]
pub struct FlagView {
    /// Its value.
    pub value: bool,
    /// Why.
    pub because: String,
}

/// What `access` says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AccessView {
    /// Whether they may come in, as far as groups decide.
    pub allowed: bool,
    /// `access.require`, tested.
    pub require: Option<Truth>,
    /// `access.deny`, tested.
    pub deny: Option<Truth>,
}

impl Explanation {
    /// Nobody could tell, and why: for callers that could not even ask.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::blank(Some(&Rejection::unavailable(detail)))
    }

    fn blank(rejection: Option<&Rejection>) -> Self {
        Self {
            outcome: rejection.map_or(Outcome::SignedIn, |r| r.outcome),
            reason: rejection.and_then(|r| r.reason),
            detail: rejection.map(|r| r.detail.clone()).unwrap_or_default(),
            source: rejection.and_then(|r| r.source.clone()),
            dn: rejection.and_then(|r| r.dn.clone()),
            unique_id: None,
            fields: BTreeMap::new(),
            groups: Vec::new(),
            groups_incomplete: None,
            flags: BTreeMap::new(),
            local_groups: Vec::new(),
            permissions: Vec::new(),
            access: AccessView::default(),
            unresolved: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn refuse(&mut self, reason: Option<Reason>, outcome: Outcome, detail: String) {
        self.outcome = outcome;
        self.reason = reason;
        self.detail = detail;
    }
}

/// Where the fields of somebody come from who is not updated any more.
const ON_CREATE: &str = "as stored: provisioning.update = \"on-create\"";

impl Engine {
    /// What sign-in would decide about a name, as the right password would get it.
    pub async fn explain(&self, name: &str) -> Explanation {
        match self.explain_route(name).await {
            Ok(explanation) => explanation,
            Err(rejection) => Explanation::blank(Some(&rejection)),
        }
    }

    async fn explain_route(&self, name: &str) -> Result<Explanation, Rejection> {
        match self.route(name).await? {
            Route::Local(user) => self.explain_local(*user).await,
            Route::Sources { sources, names, .. } => {
                if let Some(source) = sources.first().filter(|source| sources.len() == 1 && source.is_as_user()) {
                    let detail =
                        "bind.method = \"as-user\" has no service account; nobody can be read without their password";
                    return Err(Rejection::unavailable(detail).at(&source.slug, None));
                }
                let read_at = self.now();
                let (source, person) = self.find_in(&sources, &names).await?;
                let reader = Reader::service();
                let entering = Entering { typed: Some(name), ..Entering::read(&source, &person, &reader, read_at) };
                self.explain_person(&entering).await
            }
        }
    }

    async fn explain_person(&self, entering: &Entering<'_>) -> Result<Explanation, Rejection> {
        let (source, person) = (entering.source, entering.person);
        let (memberships, mut account) = self.facts(entering, &source.directory, true).await;
        let mut explanation = Explanation::blank(None);
        explanation.notes.extend(judge_password_age(entering, &mut account).await);
        explanation.source = Some(source.slug.clone());
        explanation.dn = Some(person.dn.to_string());
        explanation.unique_id = Some(person.unique_id.clone());
        explanation.groups = memberships.groups.iter().map(GroupView::from).collect();
        explanation.groups_incomplete.clone_from(&memberships.incomplete);

        let facts = Facts { person, memberships: &memberships, account: &account };
        let decision = match decide(&source.rules, facts) {
            Ok(mut decision) => {
                if let Err(rejection) = self.populate(entering, &memberships, &mut decision).await {
                    explanation.refuse(rejection.reason, rejection.outcome, rejection.detail);
                }
                Some(decision)
            }
            Err(refused) => {
                explanation.refuse(Some(refused.reason), Outcome::Refused, refused.detail);
                refused.decision.map(|decision| *decision)
            }
        };
        if let Some(decision) = decision {
            self.explain_decision(&mut explanation, entering, &decision).await?;
        }
        Ok(explanation)
    }

    async fn explain_decision(
        &self,
        explanation: &mut Explanation,
        entering: &Entering<'_>,
        decision: &Decision,
    ) -> Result<(), Rejection> {
        let source = entering.source;
        let mut reconciled = None;
        if !decision.username.is_empty() {
            let admit = explanation.outcome == Outcome::SignedIn;
            match self.reconcile(entering, decision, admit).await {
                Ok((done, _)) => reconciled = Some(done),
                Err(rejection) if admit => explanation.refuse(rejection.reason, rejection.outcome, rejection.detail),
                // The reason that came first stays.
                Err(_) => {}
            }
        }
        let stored = self.stored(entering, reconciled.as_ref()).await?;
        explanation.fields = fields(decision, stored.as_ref(), source.rules.provisioning.update);
        explanation.flags = decision
            .flags
            .iter()
            .map(|(name, flag)| (name.clone(), FlagView { value: flag.value, because: flag.because.clone() }))
            .collect();
        explanation.access = AccessView {
            allowed: decision.access.allowed,
            require: decision.access.require.clone(),
            deny: decision.access.deny.clone(),
        };
        explanation.unresolved.clone_from(&decision.unresolved);

        let mut groups: BTreeSet<String> = decision.groups.iter().map(|grant| grant.name.clone()).collect();
        groups.extend(by_hand(stored.as_ref(), &source.slug));
        if !decision.username.is_empty() {
            let mut live = decision.live_permission_groups.clone();
            live.extend(stored.iter().flat_map(|state| self.live_elsewhere(state, &source.slug)));
            explanation.permissions = self.permissions_through(&groups, &live).await?;
            let keys: Vec<String> = live.iter().map(|name| crate::reconcile::group_key(name)).collect();
            groups.extend(self.local_groups_named(&keys).await?);
        }
        explanation.local_groups = in_order(groups);
        Ok(())
    }

    /// The stored user that the entry is or would become, if there is one.
    async fn stored(
        &self,
        entering: &Entering<'_>,
        reconciled: Option<&Reconciled>,
    ) -> Result<Option<UserState>, Rejection> {
        let user = if let Some(reconciled) = reconciled {
            Some(reconciled.user).filter(|_| reconciled.standing != Standing::Created)
        } else {
            let linked = self.store().user_by_link(&entering.source.slug, &entering.person.unique_id).await?;
            linked.map(|user| user.id)
        };
        match user {
            Some(user) => Ok(self.store().user_state(user).await?),
            None => Ok(None),
        }
    }

    /// What was read live in the other sources that somebody is linked to.
    fn live_elsewhere(&self, state: &UserState, source: &str) -> Vec<String> {
        let others: Vec<Link> = state.links.iter().filter(|link| link.source != source).cloned().collect();
        if others.is_empty() { Vec::new() } else { self.live_groups_that_count(&state.user, &others) }
    }

    async fn permissions_through(&self, groups: &BTreeSet<String>, live: &[String]) -> Result<Vec<String>, Rejection> {
        let names = groups.iter().chain(live);
        let keys: Vec<String> = names.map(|name| crate::reconcile::group_key(name)).collect();
        Ok(self.store().permissions_of_groups(&keys).await?)
    }

    async fn explain_local(&self, state: UserState) -> Result<Explanation, Rejection> {
        let mut explanation = Explanation::blank(None);
        if !state.user.is_active() {
            let detail = "the local account is deactivated".to_owned();
            explanation.refuse(Some(Reason::AccountDisabled), Outcome::Refused, detail);
        }
        let mut user = state.user;
        match self.groups_of_namesake(&user.username).await {
            Ok(live) => user.live_groups = live,
            // As at a sign-in: what was read last stays.
            Err(detail) => explanation.groups_incomplete = Some(detail),
        }
        let view = self.view_of(user, &state.links).await?;
        let local = |value: &str| FieldView { value: value.into(), from: "set by hand".to_owned() };
        let named = [
            ("username", &view.username),
            ("first_name", &view.first_name),
            ("last_name", &view.last_name),
            ("email", &view.email),
            ("display_name", &view.display_name),
        ];
        explanation.fields = named.into_iter().map(|(name, value)| (name.to_owned(), local(value))).collect();
        let set = |value: bool| FlagView { value, because: "set by hand".to_owned() };
        explanation.flags = view.flags.iter().map(|(name, value)| (name.clone(), set(*value))).collect();
        explanation.access.allowed = true;
        explanation.local_groups = view.groups;
        explanation.permissions = view.permissions;
        Ok(explanation)
    }
}

/// An end that was noted for a password counts if the server says so. Where it does not say, it is told, and refuses nobody: the
/// policy that set it may be off by now.
async fn judge_password_age(entering: &Entering<'_>, account: &mut AccountState) -> Option<String> {
    if !account.password_past {
        return None;
    }
    let said = match entering.source.directory.password_expired(entering.person).await {
        Ok(Some(expired)) => {
            account.password_past = expired;
            return None;
        }
        Ok(None) => "the server does not tell the service account (account usability control)".to_owned(),
        Err(error) => chain(&error),
    };
    account.password_past = false;
    Some(format!(
        "passwordExpirationTime is past: a sign-in would be refused (password_expired) if the password policy still minds, which is not known: {said}"
    ))
}

fn fields(decision: &Decision, stored: Option<&UserState>, update: Update) -> BTreeMap<String, FieldView> {
    if let Some(state) = stored.filter(|_| update == Update::OnCreate) {
        let kept = |name: &String| FieldView { value: stored_field(state, name), from: ON_CREATE.to_owned() };
        return decision.fields.keys().map(|name| (name.clone(), kept(name))).collect();
    }
    let view = |(name, field): (&String, &crate::rules::FieldValue)| {
        let kept = || stored.map_or(serde_json::Value::Null, |state| stored_field(state, name));
        let value = if field.keep { kept() } else { field.value.clone() };
        (name.clone(), FieldView { value, from: field.from.clone() })
    };
    let mut fields: BTreeMap<_, _> = decision.fields.iter().map(view).collect();
    // The username as it is stored, folded if the configuration says so.
    if let Some(username) = fields.get_mut("username") {
        username.value = decision.username.clone().into();
    }
    fields
}

/// In the order in which `user show` names them.
fn in_order(groups: BTreeSet<String>) -> Vec<String> {
    let mut groups: Vec<String> = groups.into_iter().collect();
    groups.sort_by_cached_key(|name| crate::reconcile::group_key(name));
    groups
}

fn stored_field(state: &UserState, name: &str) -> serde_json::Value {
    let user = &state.user;
    match name {
        "username" => user.username.clone().into(),
        "first_name" => user.first_name.clone().into(),
        "last_name" => user.last_name.clone().into(),
        "email" => user.email.clone().into(),
        "display_name" => user.display_name.clone().into(),
        other => user.profile.get(other).cloned().unwrap_or_default(),
    }
}

/// Groups of a stored user that the source has no say in.
fn by_hand(stored: Option<&UserState>, source: &str) -> Vec<String> {
    let memberships = stored.map(|state| state.memberships.as_slice()).unwrap_or_default();
    let others = memberships.iter().filter(|membership| membership.owner != Owner::Source(source.to_owned()));
    others.map(|membership| membership.group_name.clone()).collect()
}

impl From<&bindery_directory::Group> for GroupView {
    fn from(group: &bindery_directory::Group) -> Self {
        Self {
            dn: group.dn.to_string(),
            name: group.names.first().cloned().unwrap_or_default(),
            direct: group.direct,
            path: group.path.iter().map(ToString::to_string).collect(),
        }
    }
}
