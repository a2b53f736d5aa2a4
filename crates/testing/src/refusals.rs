//! A service that notes answers of 403 on their way: a component that lacks a right is a defect, whatever it does next.

use std::sync::Arc;
use std::task::{Context, Poll};

use apiserver::InProcess;
use apiserver::response::Body;
use client::TransportRequest;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

/// The refused requests so far. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<Vec<String>>>);

impl Refusals {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// `inner` with its refusals noted under `user`.
    pub fn watch(&self, inner: InProcess, user: &str) -> Watched {
        Watched { inner, user: user.into(), refusals: self.clone() }
    }

    /// Notes the refusal in `body`, unless it is one that no right would change.
    pub fn note(&self, request: &str, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        // In a namespace that goes away creates are refused to everybody.
        if !text.contains("NamespaceTerminating") && !text.contains("because it is being terminated") {
            self.0.lock().push(format!("{request}: {text}"));
        }
    }
}

/// See [`Refusals::watch`].
#[derive(Clone, Debug)]
pub struct Watched {
    inner: InProcess,
    user: Arc<str>,
    refusals: Refusals,
}

impl tower::Service<TransportRequest> for Watched {
    type Response = http::Response<Body>;
    type Error = <InProcess as tower::Service<TransportRequest>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let line = format!("{} {} {}", self.user, request.method(), request.uri());
        let refusals = self.refusals.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if answer.status() != http::StatusCode::FORBIDDEN {
                return Ok(answer);
            }
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            refusals.note(&line, &bytes);
            Ok(http::Response::from_parts(parts, bytes.into()))
        })
    }
}
