//! The files that pages need: a style sheet and a mark, embedded, replaceable from a folder.
//!
//! Their addresses hold a hash of their content, so browsers may keep them for ever.

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, io, path::Path};

#[derive(RustEmbed)]
#[folder = "assets"]
struct Embedded;

/// All assets by name.
#[derive(Debug)]
pub(crate) struct Assets(BTreeMap<String, Asset>);

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    bytes: Bytes,
    hash: String,
}

impl Asset {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)).split_off(33);
        Self { bytes, hash }
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The path of the asset below the mount point.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("/assets/{}/{name}", self.hash)
    }

    pub(crate) fn serve(&self, hash: &str, media_type: &'static str) -> Response {
        let mut response = Response::new(Body::from(self.bytes.clone()));
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        let cache = if hash == self.hash { "public, max-age=31536000, immutable" } else { "no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // An SVG opened by itself is a document: it must not run anything either.
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        );
        response
    }
}

impl Assets {
    /// The embedded files, with those of `folder` of the same names in their place.
    pub(crate) fn load(folder: Option<&Path>) -> io::Result<Self> {
        let mut all = BTreeMap::new();
        for name in Embedded::iter() {
            let replaced = match folder.map(|folder| std::fs::read(folder.join(&*name))) {
                Some(Ok(bytes)) => Some(Bytes::from(bytes)),
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => None,
            };
            let embedded = || Embedded::get(&name).map(|file| Bytes::from(file.data.into_owned()));
            if let Some(bytes) = replaced.or_else(embedded) {
                all.insert(name.into_owned(), Asset::new(bytes));
            }
        }
        Ok(Self(all))
    }

    /// The path of an asset below the mount point.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.get(name).map_or_else(|| format!("/assets//{name}"), |asset| asset.path(name))
    }

    /// Answers a request. Another hash gets today's file, to be asked for again: a replica of another version
    /// may have made the page.
    pub(crate) fn serve(&self, hash: &str, name: &str) -> Option<Response> {
        self.0.get(name).map(|asset| asset.serve(hash, media_type(name)))
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_the_right_hash_may_be_kept() {
        let assets = Assets::load(None).unwrap();
        let path = assets.path("bindery.css");
        let hash = path.split('/').nth(2).unwrap();
        let kept = assets.serve(hash, "bindery.css").unwrap();
        assert!(kept.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        assert_eq!(kept.headers()["content-type"], "text/css; charset=utf-8");
        let other = assets.serve("000000000000", "bindery.css").unwrap();
        assert_eq!(other.headers()["cache-control"], "no-cache");
        assert!(assets.serve(hash, "../Cargo.toml").is_none());
    }
}
