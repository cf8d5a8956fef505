//! A site with admin pages over the real engine, SQLite in memory, and people who are put there by hand.

use crate::site::{Answer, client, form_request};
use axum::Router;
use bindery_axum::{Bindery, BinderyBuilder};
use bindery_core::{
    Engine, SystemClock, SystemEntropy,
    config::{Config, Environment},
    name::fold,
    token::Token,
};
use bindery_store::{
    AuditEntry, AuditFilter, Change, GroupRef, NewGroup, NewSession, NewUser, Owner, PasswordHash, Plan, Store, User,
};
use http::header;
use std::{path::Path, sync::Arc};
use uuid::Uuid;

pub const LOOK: &str = "bindery.view_user";
pub const ACT: &str = "bindery.change_user";
/// What nobody may ever see.
pub const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$never-on-a-page";

pub struct Office {
    pub engine: Engine,
    pub app: Router,
}

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub fn person(n: u128, username: &str) -> NewUser {
    NewUser {
        id: id(n),
        username: username.to_owned(),
        username_key: fold(username),
        email: format!("{username}@mail.example"),
        email_key: fold(&format!("{username}@mail.example")),
        password_hash: Some(PasswordHash::new(HASH)),
        ..NewUser::default()
    }
}

impl Office {
    pub async fn new() -> Self {
        Self::built(BinderyBuilder::admin_pages).await
    }

    pub async fn built(with: impl FnOnce(BinderyBuilder, Engine) -> BinderyBuilder) -> Self {
        let text = "[store]\nurl = \"sqlite::memory:\"\n";
        let config = Config::parse(text, Path::new("bindery.toml"), &Environment::default()).unwrap();
        let store = Store::open(&config.store).await.unwrap();
        let engine = Engine::new(store, &config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new());
        let builder = Bindery::builder(engine.clone(), &config).home_page(true);
        let bindery = with(builder, engine.clone()).build().unwrap();
        Self { engine, app: bindery.routes() }
    }

    pub async fn apply(&self, changes: Vec<Change>) {
        self.engine.store().apply(&Plan::from(changes), self.engine.now()).await.unwrap();
    }

    /// Somebody in a group of their own with these permissions, and the cookie of their session.
    pub async fn somebody(&self, n: u128, username: &str, permissions: &[&str]) -> String {
        let group = GroupRef::Id(id(n + 1000));
        let new = NewGroup { id: id(n + 1000), name: format!("g{n}"), name_key: format!("g{n}"), owner: Owner::Hand };
        let mut changes = vec![
            Change::CreateUser(person(n, username)),
            Change::CreateGroup(new),
            Change::AddMembership { user: id(n), group: group.clone(), owner: Owner::Hand },
        ];
        let grant = |permission: &&str| Change::Grant { group: group.clone(), permission: (*permission).to_owned() };
        changes.extend(permissions.iter().map(grant));
        self.apply(changes).await;
        self.session(n).await
    }

    pub async fn superuser(&self, n: u128, username: &str) -> String {
        let mut new = person(n, username);
        new.flags.insert("is_superuser".to_owned(), true);
        self.apply(vec![Change::CreateUser(new)]).await;
        self.session(n).await
    }

    pub async fn session(&self, n: u128) -> String {
        let token = Token::generate(&SystemEntropy);
        let until = self.engine.now() + chrono::TimeDelta::hours(1);
        let session = NewSession {
            token: token.selector(),
            validator: token.hash(),
            user_id: id(n),
            source: None,
            expires_at: until,
            idle_expires_at: until,
            remember: false,
            user_agent: String::new(),
            address: String::new(),
        };
        self.apply(vec![Change::StartSession(session)]).await;
        format!("bindery_session={}", token.reveal())
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        client::get(&self.app, path, cookie).await
    }

    pub async fn post(&self, path: &str, cookie: &str) -> Answer {
        client::post(&self.app, path, cookie, "").await
    }

    /// A form from a browser that does not say where it comes from.
    pub async fn post_unsaid(&self, path: &str, cookie: &str, form: &str) -> Answer {
        client::ask(&self.app, form_request(path).header(header::COOKIE, cookie), form.to_owned()).await
    }

    pub async fn user(&self, n: u128) -> User {
        self.engine.store().user(id(n)).await.unwrap().unwrap()
    }

    pub async fn sessions(&self, n: u128) -> usize {
        self.engine.store().sessions_of(id(n), self.engine.now()).await.unwrap().len()
    }

    pub async fn audit(&self) -> Vec<AuditEntry> {
        self.engine.store().audit(&AuditFilter::default()).await.unwrap()
    }
}

/// The address of somebody's page, and of what is done there.
pub fn page(n: u128) -> String {
    format!("/admin/users/{}", id(n))
}

pub fn deed(n: u128, word: &str) -> String {
    format!("{}/{word}", page(n))
}

/// What a page of the list shows, in order.
pub fn usernames(page: &Answer) -> Vec<String> {
    let rows = page.text.split("role=\"rowheader\"><a href=\"").skip(1);
    rows.map(|row| row.split_once('>').unwrap().1.split_once('<').unwrap().0.to_owned()).collect()
}

/// Where a link leads to.
pub fn link(page: &Answer, text: &str) -> Option<String> {
    let (before, _) = page.text.split_once(&format!(">{text}</a>"))?;
    Some(attribute(before.rsplit_once("href=\"").unwrap().1))
}

/// Where the forms post to, but for the sign-out button's.
pub fn posts(page: &Answer) -> Vec<String> {
    let actions = page.text.split("method=\"post\" action=\"").skip(1).map(attribute);
    actions.filter(|action| !action.ends_with("/logout")).collect()
}

fn attribute(rest: &str) -> String {
    let value = rest.split_once('"').unwrap().0;
    value.replace("&amp;", "&").replace("&#x2f;", "/").replace("&#x27;", "'")
}
