//! A server for this crate's tests: answers in the order in which the test gives them, and a log of what was asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::api::{Client, TransportRequest};

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// One answer.
pub(crate) enum Answer {
    /// A status and a whole body.
    Whole(u16, String),
    /// 200 and a body that goes on while the sender lives.
    Stream(mpsc::UnboundedReceiver<String>),
    /// No answer at all.
    Lost,
}

#[derive(Clone, Default)]
pub(crate) struct FakeServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// When no other answer is left.
    always: Option<(u16, String)>,
    /// `METHOD target body`.
    asked: Vec<String>,
    /// The leases that requests named, in their order; empty where one named none.
    claims: Vec<String>,
}

/// Feeds a streaming answer.
pub(crate) struct Feed(mpsc::UnboundedSender<String>);

impl Feed {
    pub(crate) fn send(&self, text: &str) {
        self.0.send(text.to_owned()).unwrap();
    }
    pub(crate) fn event(&self, kind: &str, object: &str) {
        self.send(&format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
    }
    /// The bookmark that ends a streaming list.
    pub(crate) fn initial_end(&self, revision: u64) {
        self.event(
            "BOOKMARK",
            &format!(r#"{{"metadata":{{"resourceVersion":"{revision}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#),
        );
    }
}

impl FakeServer {
    pub(crate) fn client(&self) -> Client {
        Client::in_process(self.clone())
    }
    pub(crate) fn answer(&self, code: u16, body: &str) {
        self.0.lock().answers.push_back(Answer::Whole(code, body.to_owned()));
    }
    pub(crate) fn always(&self, code: u16, body: &str) {
        self.0.lock().always = Some((code, body.to_owned()));
    }
    pub(crate) fn lose(&self) {
        self.0.lock().answers.push_back(Answer::Lost);
    }
    pub(crate) fn stream(&self) -> Feed {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().answers.push_back(Answer::Stream(receiver));
        Feed(sender)
    }
    pub(crate) fn claims(&self) -> Vec<String> {
        self.0.lock().claims.clone()
    }
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().asked.clone()
    }
}

impl tower::Service<TransportRequest> for FakeServer {
    type Response = http::Response<Body>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<http::Response<Body>, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            let line = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
            let answer = {
                let mut state = state.lock();
                let claim = parts.headers.get(crate::leader::LEASE_HEADER);
                let claim = claim.and_then(|v| v.to_str().ok()).unwrap_or_default();
                state.claims.push(claim.to_owned());
                state.asked.push(line.trim_end().to_owned());
                let always = state.always.clone().map(|(code, body)| Answer::Whole(code, body));
                state.answers.pop_front().or(always)
            };
            match answer {
                Some(Answer::Whole(code, body)) => {
                    let body = Full::new(Bytes::from(body)).boxed_unsync();
                    Ok(http::Response::builder().status(code).body(body).unwrap())
                }
                Some(Answer::Stream(mut receiver)) => {
                    let frames = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx))
                        .map(|text| Ok(http_body::Frame::data(Bytes::from(text))));
                    Ok(http::Response::new(StreamBody::new(frames).boxed_unsync()))
                }
                Some(Answer::Lost) | None => Err(std::io::Error::other("connection lost")),
            }
        })
    }
}
