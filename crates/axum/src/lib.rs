//! Directory sign-in, current user and guards for axum apps.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use bindery_axum::{Bindery, CurrentUser};
//! use bindery_core::{Engine, SystemClock, SystemEntropy, config::{Config, Environment}};
//! use std::{net::SocketAddr, path::Path, sync::Arc};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load(Path::new("bindery.toml"), &Environment::of_process())?;
//! let store = bindery_store::Store::open(&config.store).await?;
//! let engine = Engine::new(store, &config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new());
//!
//! let bindery = Bindery::builder(engine, &config).mount("/auth").build()?;
//! let app = Router::new()
//!     .route("/", get(|user: CurrentUser| async move { format!("Hello {}", user.full_name()) }))
//!     .route("/admin", get(|| async { "…" }).layer(bindery.require_flag("is_staff")))
//!     .layer(bindery.layer())
//!     .merge(bindery.routes::<()>());
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Bindery::routes`] are the pages and `/api/v1/me`; templates and style can be replaced from a folder.
//! - [`BinderyBuilder::admin_pages`] adds `/admin/…`: people, where what is known of them comes from, and who may sign in.
//! - [`Bindery::layer`] makes [`CurrentUser`], `Option<CurrentUser>` and [`Require`] work. It looks a session up once a
//!   request, and only if somebody asks.
//! - [`Bindery::require_signed_in`], [`Bindery::require_flag`], [`Bindery::require_group`] and
//!   [`Bindery::require_permission`] are guards.
//!
//! What is in doubt is refused: a doubled or malformed cookie is no session, a post that another site sent is not
//! read, `X-Forwarded-*` counts from trusted proxies alone, and while the store cannot answer nobody is let in and
//! nobody is signed out: that is 503.
//!
//! The crate holds pages, cookies and HTTP, and no decision about anybody: those are `bindery-core`'s.

pub mod administration;
mod assets;
pub mod authority;
mod bindery;
mod cookie;
mod csrf;
mod forwarded;
mod guard;
mod icons;
mod layer;
mod next;
mod pages;
mod posted;
mod problem;
mod routes;
pub mod sentences;
pub mod settings;
mod shared;
mod visitor;

pub use bindery::{Bindery, BinderyBuilder};
pub use forwarded::Client;
pub use guard::{Guard, Guarded, Require, Requirement, Rule};
pub use icons::SourceIcons;
pub use layer::{Answering, BinderyLayer, BinderyService};
pub use pages::{Demo, DemoPerson, PagesError};
pub use problem::Problem;
pub use visitor::{CurrentUser, NoCurrentUser, Standing, Visitor};
