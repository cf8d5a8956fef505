//! Pages: templates with typed contexts, rendered with auto-escaping.
//!
//! The templates are embedded; a folder may hold others of the same names. They are parsed, and tried with
//! samples, before anything is served.

mod admin;
mod context;
mod samples;

pub(crate) use admin::{PersonPage, UsersPage};
pub(crate) use context::{Chrome, ErrorPage, HomePage, LoginPage, Page, PasswordPage, ProfilePage, Visible};
pub use context::{Demo, DemoPerson};

use crate::assets::Assets;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use rust_embed::RustEmbed;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(RustEmbed)]
#[folder = "templates"]
struct Embedded;

/// Why the pages could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A file of the template folder could not be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A template cannot be parsed, or does not go with what it is given.
    #[error("template {name}: {source:#}")]
    Template {
        /// Which template.
        name: String,
        /// Why.
        source: minijinja::Error,
    },
}

/// All templates and assets, ready to render.
#[derive(Debug)]
pub(crate) struct Pages {
    templates: Environment<'static>,
    pub(crate) assets: Assets,
}

#[derive(Serialize)]
struct Whole<'a, P> {
    chrome: &'a Chrome<'a>,
    page: &'a P,
}

impl Pages {
    /// Loads templates and assets; those in `folder` (`*.html`, `assets/*`) win over the embedded ones.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, PagesError> {
        let assets_folder = folder.map(|folder| folder.join("assets"));
        let assets = Assets::load(assets_folder.as_deref())
            .map_err(|source| PagesError::Read { path: assets_folder.unwrap_or_default(), source })?;
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        for name in Embedded::iter() {
            if let Some(file) = Embedded::get(&name) {
                let text = String::from_utf8_lossy(&file.data).into_owned();
                add(&mut templates, &name, text)?;
            }
        }
        if let Some(folder) = folder {
            for (name, text) in read_folder(folder)? {
                add(&mut templates, &name, text)?;
            }
        }
        let pages = Self { templates, assets };
        if folder.is_some() {
            samples::try_all(&pages)?;
        }
        Ok(pages)
    }

    /// Renders a page.
    pub(crate) fn render<P: Page>(&self, chrome: &Chrome<'_>, page: &P) -> Result<String, PagesError> {
        self.templates
            .get_template(P::TEMPLATE)
            .and_then(|template| template.render(Serde(Whole { chrome, page })))
            .map_err(|source| PagesError::Template { name: P::TEMPLATE.to_owned(), source })
    }
}

fn add(templates: &mut Environment<'static>, name: &str, text: String) -> Result<(), PagesError> {
    templates
        .add_template_owned(name.to_owned(), text)
        .map_err(|source| PagesError::Template { name: name.to_owned(), source })
}

fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, PagesError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PagesError::Read { path, source }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let is_template = path.extension().is_some_and(|extension| extension == "html");
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| is_template) {
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            found.push((name.to_owned(), text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_goes_with_what_it_is_given() {
        let pages = Pages::load(None).unwrap();
        samples::try_all(&pages).unwrap();
    }

    #[test]
    fn a_folder_replaces_a_template() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("home.html"),
            "{% extends 'layout.html' %}{% block content %}Ours{% endblock %}",
        )
        .unwrap();
        let pages = Pages::load(Some(folder.path())).unwrap();
        let html = samples::home(&pages);
        assert!(html.contains("Ours") && html.contains("<html"));
    }

    #[test]
    fn a_template_that_asks_for_what_is_not_there_is_found_at_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("home.html"), "{{ page.nonsense.more }}").unwrap();
        let error = Pages::load(Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("home.html"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let error = Pages::load(Some(Path::new("/nowhere/at/all"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }

    #[test]
    fn what_people_are_called_is_escaped() {
        let pages = Pages::load(None).unwrap();
        let html = samples::hostile(&pages);
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;"));
    }
}
