//! [`Bindery`]: what an app holds, and how it is set up.

use crate::{
    administration::Administration,
    authority::Authority,
    csrf::Tokens,
    guard::{Guard, Rule},
    layer::BinderyLayer,
    pages::{Demo, Pages, PagesError},
    routes,
    settings::WebSettings,
    shared::{Asked, Shared},
    visitor::Visitor,
};
use arc_swap::ArcSwap;
use axum::{Router, extract::Request, response::Response};
use bindery_core::{Entropy, SystemEntropy};
use std::{borrow::Cow, path::PathBuf, sync::Arc};

/// Sign-in for an axum app: routes, a layer, and guards. Cheap to clone.
#[derive(Clone)]
pub struct Bindery {
    shared: Arc<Shared>,
    home: bool,
}

impl std::fmt::Debug for Bindery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bindery").field("mount", &self.shared.mount).finish_non_exhaustive()
    }
}

impl Bindery {
    /// Begins with who decides, the engine, and with the settings: of a `&Config`, or [`WebSettings`].
    pub fn builder(authority: impl Authority, settings: impl Into<WebSettings>) -> BinderyBuilder {
        BinderyBuilder {
            settings: settings.into(),
            authority: Arc::new(authority),
            entropy: Arc::new(SystemEntropy),
            form_key: None,
            mount: String::new(),
            home: None,
            home_page: false,
            administration: None,
            site: "Bindery".to_owned(),
            banner: None,
            demo: None,
            templates: None,
        }
    }

    /// The routes: `/login`, `/logout`, `/profile`, `/password`, `/api/v1/me`, `/assets/…`, and `/` and `/admin/…` if asked
    /// for, all below the mount point. Merge them into the app's router; do not nest them.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::router(&self.shared, self.home)
    }

    /// The layer that [`crate::CurrentUser`] and [`crate::Require`] need on the app's own routes. It looks nothing
    /// up until somebody asks.
    pub fn layer(&self) -> BinderyLayer {
        BinderyLayer(self.shared.clone())
    }

    /// A layer for people who pass `rule`.
    pub fn require(&self, rule: Rule) -> Guard {
        Guard { shared: self.shared.clone(), rule: Arc::new(rule) }
    }

    /// A layer for people who are signed in.
    pub fn require_signed_in(&self) -> Guard {
        self.require(Rule::SignedIn)
    }

    /// A layer for people with a flag, as `is_staff`.
    pub fn require_flag(&self, flag: impl Into<Cow<'static, str>>) -> Guard {
        self.require(Rule::Flag(flag.into()))
    }

    /// A layer for members of a local group.
    pub fn require_group(&self, group: impl Into<Cow<'static, str>>) -> Guard {
        self.require(Rule::Group(group.into()))
    }

    /// A layer for people with a permission.
    pub fn require_permission(&self, permission: impl Into<Cow<'static, str>>) -> Guard {
        self.require(Rule::Permission(permission.into()))
    }

    /// Takes over new settings, beginning with the next request.
    pub fn reload(&self, settings: impl Into<WebSettings>) {
        self.shared.settings.store(Arc::new(settings.into()));
    }

    /// 404, as a page or a problem document: for the app's fallback.
    pub async fn not_found(&self, request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let asked = Asked::of(&parts, &self.shared);
        let visitor = Visitor::new(self.shared.clone());
        // Only a page shows who is signed in.
        let user = if asked.wants_page() { visitor.standing(asked.headers()).await.user() } else { None };
        routes::unknown::answer(&self.shared, &asked, user)
    }
}

/// Sets up a [`Bindery`].
#[must_use = "a builder does nothing until `build`"]
pub struct BinderyBuilder {
    authority: Arc<dyn Authority>,
    settings: WebSettings,
    entropy: Arc<dyn Entropy>,
    form_key: Option<[u8; 32]>,
    mount: String,
    home: Option<String>,
    home_page: bool,
    administration: Option<Arc<dyn Administration>>,
    site: String,
    banner: Option<String>,
    demo: Option<Demo>,
    templates: Option<PathBuf>,
}

impl std::fmt::Debug for BinderyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BinderyBuilder").field("mount", &self.mount).finish_non_exhaustive()
    }
}

impl BinderyBuilder {
    /// Puts all routes below a path, as `/auth`. Default: at the root.
    pub fn mount(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.mount = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Where people go after signing in, unless they were on their way somewhere. Default: our own home page
    /// where it is served, else `/`.
    pub fn after_sign_in(mut self, path: impl Into<String>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// Serves a home page at the mount point, too. Default: off, since most apps have their own.
    pub fn home_page(mut self, serve: bool) -> Self {
        self.home_page = serve;
        self
    }

    /// Serves `/admin/…` below the mount point, too, for people with the permission `bindery.view_user`: the engine,
    /// once more, is what answers them. Default: off, since many apps have an `/admin` of their own.
    pub fn admin_pages(mut self, administration: impl Administration) -> Self {
        self.administration = Some(Arc::new(administration));
        self
    }

    /// The site's name, shown on every page.
    pub fn site(mut self, name: impl Into<String>) -> Self {
        self.site = name.into();
        self
    }

    /// A line above every page, as "This is a demo".
    pub fn banner(mut self, text: impl Into<String>) -> Self {
        self.banner = Some(text.into());
        self
    }

    /// Tells visitors of a demo who can sign in. Shows passwords, so it is for demos only.
    pub fn demo(mut self, demo: Demo) -> Self {
        self.demo = Some(demo);
        self
    }

    /// A folder whose `*.html` and `assets/*` replace the built-in ones of the same names.
    pub fn templates(mut self, folder: impl Into<PathBuf>) -> Self {
        self.templates = Some(folder.into());
        self
    }

    /// The key that signs form tokens: the same on all replicas. Default: random, which is right for one process;
    /// a form that was opened before a restart then has to be opened again (in browsers that send neither
    /// `Origin` nor `Sec-Fetch-Site`).
    pub fn form_key(mut self, key: [u8; 32]) -> Self {
        self.form_key = Some(key);
        self
    }

    /// Where randomness comes from. Default: the operating system.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Reads and tries the templates.
    ///
    /// # Errors
    ///
    /// A template or asset of the folder that can't be read, parsed, or rendered with samples.
    pub fn build(self) -> Result<Bindery, PagesError> {
        let key = self.form_key.unwrap_or_else(|| {
            let mut key = [0; 32];
            self.entropy.fill(&mut key);
            key
        });
        let home = self.home.unwrap_or_else(|| {
            if self.home_page && !self.mount.is_empty() { self.mount.clone() } else { "/".to_owned() }
        });
        let shared = Shared {
            authority: self.authority,
            administration: self.administration,
            settings: ArcSwap::from_pointee(self.settings),
            pages: Pages::load(self.templates.as_deref())?,
            tokens: Tokens::new(&key),
            entropy: self.entropy,
            mount: self.mount,
            home,
            site: self.site,
            banner: self.banner,
            demo: self.demo,
        };
        Ok(Bindery { shared: Arc::new(shared), home: self.home_page })
    }
}
