//! The layer that gives every request its [`Visitor`], and every browser the new token of its session.

use crate::{shared::Shared, visitor::Visitor};
use axum::extract::Request;
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
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

impl<S, B> Service<Request> for BinderyService<S>
where
    S: Service<Request, Response = http::Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Nothing is looked up here. Where layers nest (the app's own, and that of our routes), one lookup serves both.
    fn call(&mut self, mut request: Request) -> Answering<S::Future> {
        let shared = &self.shared;
        let visitor = request.extensions_mut().get_or_insert_with(|| Visitor::new(shared.clone())).clone();
        Answering { inner: self.inner.call(request), visitor }
    }
}

pin_project! {
    /// An answer under way, which takes the new token of a session along where there is one.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        inner: F,
        visitor: Visitor,
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut answer {
            this.visitor.hand_over(response.headers_mut());
        }
        Poll::Ready(answer)
    }
}
