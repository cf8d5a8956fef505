//! The pictures of sources (`[sources.NAME] icon`): read with the configuration, served under the hash of their content, so
//! that no address names a source.

use crate::assets::Asset;
use axum::response::Response;
use serde::Serialize;
use std::{io::Read, path::Path, sync::Arc};

/// Larger files are no icons.
const MOST: u64 = 512 * 1024;

/// What browsers show as a picture, by the ending of the file's name.
const MEDIA_TYPES: [(&str, &str); 7] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
];

/// The pictures of all sources that have one.
#[derive(Debug, Clone, Default)]
pub struct SourceIcons(Arc<[Icon]>);

#[derive(Debug)]
struct Icon {
    source: String,
    asset: Asset,
    media_type: &'static str,
}

/// The name of every picture: its hash tells it from the others.
const NAME: &str = "icon";

/// A source with a picture, as pages show it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Face {
    /// The source's slug.
    pub(crate) source: String,
    /// The address of its picture.
    pub(crate) icon: String,
}

impl SourceIcons {
    /// Reads the pictures, by the slugs of their sources. One that cannot be shown is left out, with a warning: nobody
    /// is kept from signing in by a picture.
    pub fn load<'a>(icons: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let icon = |(source, file): (&str, &Path)| match read(file) {
            Ok((asset, media_type)) => Some(Icon { source: source.to_owned(), asset, media_type }),
            Err(why) => {
                tracing::warn!(target: "bindery_axum::icons", source, file = %file.display(), why, "the icon is not shown");
                None
            }
        };
        Self(icons.into_iter().filter_map(icon).collect())
    }

    /// Every source with a picture, in the order of the configuration.
    pub(crate) fn faces(&self, mount: &str) -> Vec<Face> {
        let face =
            |icon: &Icon| Face { source: icon.source.clone(), icon: format!("{mount}{}", icon.asset.path(NAME)) };
        self.0.iter().map(face).collect()
    }

    /// Answers a request for a picture.
    pub(crate) fn serve(&self, hash: &str, name: &str) -> Option<Response> {
        let icon = self.0.iter().find(|icon| name == NAME && icon.asset.hash() == hash)?;
        Some(icon.asset.serve(hash, icon.media_type))
    }
}

fn read(file: &Path) -> Result<(Asset, &'static str), String> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let Some((_, media_type)) = MEDIA_TYPES.iter().find(|(known, _)| *known == ending) else {
        return Err("its name ends in none of svg, png, jpg, webp, gif, ico".to_owned());
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    opened.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST {
        return Err(format!("it is larger than {} KiB", MOST >> 10));
    }
    Ok((Asset::new(bytes.into()), media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_cannot_be_shown_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name)
        };
        let good = file("good.SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
        let page = file("page.html", b"<script>");
        let large = file("large.png", &vec![0; 600 * 1024]);
        let missing = folder.path().join("missing.png");
        let icons = SourceIcons::load([("a", &*missing), ("b", &*good), ("c", &*page), ("d", &*large)]);
        let faces = icons.faces("/auth");
        assert_eq!(faces.len(), 1);
        assert_eq!(faces[0].source, "b");
        let mut parts = faces[0].icon.strip_prefix("/auth/assets/").unwrap().split('/');
        let hash = parts.next().unwrap();
        assert_eq!(icons.serve(hash, "icon").unwrap().headers()["content-type"], "image/svg+xml");
        assert!(icons.serve("another", "icon").is_none() && icons.serve(hash, "mark.svg").is_none());
    }
}
