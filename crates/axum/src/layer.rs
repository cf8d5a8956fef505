//! The layer that gives every request its [`Visitor`].

use crate::{shared::Shared, visitor::Visitor};
use axum::extract::Request;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Made by [`crate::Bindery::layer`].
#[derive(Clone)]
pub struct BinderyLayer(pub(crate) Arc<Shared>);

impl std::fmt::Debug for BinderyLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BinderyLayer")
    }
}

impl<S> Layer<S> for BinderyLayer {
    type Service = BinderyService<S>;

    fn layer(&self, inner: S) -> BinderyService<S> {
        BinderyService { inner, shared: self.0.clone() }
    }
}

/// The service of [`BinderyLayer`].
#[derive(Clone)]
pub struct BinderyService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> std::fmt::Debug for BinderyService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BinderyService")
    }
}

impl<S: Service<Request>> Service<Request> for BinderyService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Nothing is looked up here. Where layers nest (the app's own, and that of our routes), one lookup serves both.
    fn call(&mut self, mut request: Request) -> S::Future {
        let shared = &self.shared;
        request.extensions_mut().get_or_insert_with(|| Visitor::new(shared.clone()));
        self.inner.call(request)
    }
}
