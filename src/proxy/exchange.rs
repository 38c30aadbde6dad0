//! The path of a request, from top to bottom.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request, response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use perimeter_interceptor::{BodyEnd, SpanContext};
use tokio_util::task::TaskTracker;
use tower::Service;

use super::account::Account;
use super::client_stream::{BeyondHyper, Handle, OpenExchange};
use super::large_body::LargeBody;
use super::request_body::{Gate, RequestBody};
use super::response_body::{ResponseBody, Shape};
use super::tap::Tap;
use super::upgrade::{self, Tunnel};
use super::{Credential, Entry, Target, check, forward, trace_parent};
use crate::admin::{self, Admin};
use crate::api::{Api, ApiRule};
use crate::body::Body;
use crate::error::{Failure, chain};
use crate::journal::{Journal, Lane, RequestHead, ResponseHead};
use crate::metrics::{Metrics, Outcome, Refusal};
use crate::raw_head::{RawHead, Shows};
use crate::upstream::{Handover, HttpUpstream, OnInterim, Received, Switched, Upstream, UpstreamError};

/// What one forwarding thread forwards with.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where requests go.
    pub target: Target,
    /// Whether requests go on with a `traceparent` of ours.
    pub traceparent: bool,
    /// Whether hyper need not read the whole of a large body: a provider without TLS gets it from socket to socket.
    pub cuts: bool,
    /// Who may come in, where that is not everybody.
    pub entry: Option<Entry>,
    /// For clients that bring no credential of their own.
    pub credential: Option<Credential>,
    /// Whose API a request speaks.
    pub apis: ApiRule,
    /// Who answers.
    pub way: Way,
    /// What hyper is shown of a request's head.
    pub shows: Shows,
    /// Whether it says itself, with a 100, that it wants a body which a client holds back. One in this process just
    /// reads it.
    pub says_continue: bool,
    /// The pages that the predecessor had on this port.
    pub admin: Option<Arc<Admin>>,
    /// What this thread counts.
    pub metrics: Arc<Metrics>,
    /// Where tunnels run.
    pub tasks: TaskTracker,
    /// Who is told what passes, where somebody watches.
    pub journal: Option<Journal>,
}

/// Who answers requests.
#[derive(Debug)]
pub(crate) enum Way {
    /// The provider.
    Provider(HttpUpstream),
    /// Something in this process.
    Own(Upstream),
}

/// What came back.
struct Answer {
    response: Response<Body>,
    /// Not where its upstream does not say.
    handover: Option<Handover>,
    /// Its head as it came.
    raw: Option<RawHead>,
    /// What the connection to the provider is after a 101.
    switched: Option<Switched>,
}

impl Answer {
    fn handed_over(Received { response, handover, raw, switched }: Received) -> Self {
        Self { response, handover: Some(handover), raw: Some(raw), switched }
    }

    fn made_here(mut response: Response<Body>) -> Self {
        let handover = response.extensions_mut().remove::<Handover>();
        Self { response, handover, raw: None, switched: None }
    }
}

/// What becomes of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are sent, and another allocation costs more than room"
)]
enum Next {
    /// It is sent on.
    Send(Request<Body>, Option<OnUpgrade>),
    /// It is answered with a page of our own.
    Show(admin::Answer),
    Refuse(Refusal, &'static str),
}

/// A client's connection, as its exchanges see it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) stream: Handle,
    /// Our end of it.
    pub(super) local: SocketAddr,
    /// The client's.
    pub(super) peer: SocketAddr,
}

/// What is settled about an exchange when its request has been read.
struct Exchange {
    account: Arc<Account>,
    /// The span that the forwarded request names.
    span: Option<SpanContext>,
    client: OpenExchange,
    method: Method,
    version: Version,
    /// In whose words errors are told.
    api: Api,
    /// Whether the connection may be used for another request after this one.
    trusted: bool,
    gate: Option<Gate>,
    /// Whether the request has no body.
    bodiless: bool,
    /// What the client says, while no body tells it.
    from_client: Option<Lane>,
    /// What the client is told, while no body tells it.
    from_upstream: Option<Lane>,
}

impl Gateway {
    /// Answers a request. What can fail becomes a response here, so this cannot.
    ///
    /// What needs no waiting is done at once: a future holds room for all that it ever held.
    pub(super) fn serve(
        self: Arc<Self>,
        client: &Client,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + Send + use<> {
        let (mut parts, incoming) = request.into_parts();
        let (mut exchange, raw, beyond) = self.open(client, &mut parts, &incoming);
        let next = self.prepare(&mut exchange, client, parts, (incoming, beyond));
        async move {
            Ok(match next {
                Next::Send(request, upgrade) => {
                    let answer = match &self.way {
                        Way::Provider(provider) => provider.send(request, raw).await.map(Answer::handed_over),
                        // Boxed: the other way is not to carry room for it.
                        Way::Own(own) => Box::pin(own.clone().call(request)).await.map(Answer::made_here),
                    };
                    match answer {
                        Ok(answer) => {
                            std::future::poll_fn(|cx| exchange.client.poll_drained(cx)).await;
                            self.answer(exchange, answer, upgrade)
                        }
                        Err(_) if exchange.account.has_client_broken() => self.refuse(
                            exchange,
                            Refusal::MalformedBody,
                            "the request's body broke off, or broke its framing",
                        ),
                        Err(error) => self.failed(exchange, &error),
                    }
                }
                Next::Show(answer) => exchange.respond(answer.await, Outcome::Complete),
                Next::Refuse(refusal, why) => self.refuse(exchange, refusal, why),
            })
        }
    }

    /// Decides what becomes of a request.
    fn prepare(
        &self,
        exchange: &mut Exchange,
        client: &Client,
        mut parts: request::Parts,
        (incoming, beyond): (Incoming, Option<BeyondHyper>),
    ) -> Next {
        // Nothing that two parsers could read differently goes on.
        if let Err((refusal, why)) = check::head(&parts) {
            return Next::Refuse(refusal, why);
        }
        if let Some(admin) = &self.admin
            && let Some(answer) = admin.answer(&parts, client.local)
        {
            return Next::Show(answer);
        }

        let caller = match self.entry.as_ref().map(|entry| entry.caller(&parts, client.local)).transpose() {
            Ok(caller) => caller,
            Err((refusal, why)) => return Next::Refuse(refusal, why),
        };
        // The configured key, while the head still says for whom the client takes us.
        if let Some(credential) = &self.credential {
            credential.add(&mut parts, exchange.api, client.local);
        }
        let upgrade = upgrade::requested(&mut parts);
        self.target.request(&mut parts, upgrade.is_some());
        if let Some(span) = exchange.span {
            trace_parent::name(span, &mut parts.headers);
        }

        // The body follows when the upstream wants it.
        exchange.gate = (self.says_continue && expects_continue(&parts, &incoming)).then(Gate::default);
        // After an upgrade it is the tunnel that tells what the client says.
        let is_tunnels = upgrade.is_some() && exchange.bodiless;
        let lane = if is_tunnels { None } else { exchange.from_client.take() };
        let account = exchange.account.clone();
        let body = match beyond {
            Some(beyond) => Body::in_socket(LargeBody::new(incoming, beyond, account, lane)),
            None => Body::new(Tap::new(RequestBody::new(incoming, account, exchange.gate.clone()), lane)),
        };
        let mut request = Request::from_parts(parts, body);
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        if let Some(gate) = exchange.gate.clone() {
            request.extensions_mut().insert(OnInterim::new(move |status| {
                if status == StatusCode::CONTINUE {
                    gate.open();
                }
            }));
        }
        Next::Send(request, upgrade)
    }

    fn open(
        &self,
        client: &Client,
        parts: &mut request::Parts,
        incoming: &Incoming,
    ) -> (Exchange, Option<RawHead>, Option<BeyondHyper>) {
        let (open, raw, trusted, beyond) = client.stream.open_exchange();
        if let (Some(beyond), Some(came)) = (&beyond, incoming.size_hint().exact()) {
            // hyper was told of a part.
            parts.headers.insert(CONTENT_LENGTH, (came + beyond.left()).into());
        }
        let account = Account::open(self.metrics.clone(), &parts.method, &parts.uri);
        let span = if self.traceparent { trace_parent::span_for(&parts.headers) } else { None };
        let lanes = self.journal.as_ref().and_then(|journal| {
            journal.open(RequestHead::of(raw.as_ref(), parts), client.peer, span, account.began())
        });
        let (from_client, from_upstream) = lanes.map(|lanes| (lanes.client, lanes.upstream)).unzip();
        let exchange = Exchange {
            account,
            span,
            client: open,
            method: parts.method.clone(),
            version: parts.version,
            api: self.apis.api(parts.uri.path(), &parts.headers),
            trusted,
            gate: None,
            bodiless: incoming.is_end_stream() && beyond.is_none(),
            from_client,
            from_upstream,
        };
        (exchange, raw, beyond)
    }

    fn refuse(&self, exchange: Exchange, refusal: Refusal, why: &'static str) -> Response<ResponseBody> {
        self.metrics.refused(refusal);
        tracing::debug!(reason = refusal.as_str(), why, "request refused");
        exchange.tell_failure(refusal.as_str(), why);
        let answer = Failure::refused(refusal, why).into_response(exchange.api);
        exchange.respond(answer, Outcome::Refused)
    }

    fn failed(&self, exchange: Exchange, error: &UpstreamError) -> Response<ResponseBody> {
        tracing::warn!(
            code = error.code(),
            method = %exchange.method,
            error = chain(error),
            "the upstream gave no response"
        );
        exchange.tell_failure(error.code(), &chain(error));
        let answer = Failure::upstream(error).into_response(exchange.api);
        exchange.respond(answer, Outcome::Failed)
    }

    /// Passes the upstream's response on.
    fn answer(
        &self,
        mut exchange: Exchange,
        answer: Answer,
        upgrade: Option<OnUpgrade>,
    ) -> Response<ResponseBody> {
        let Answer { response, handover, raw, switched } = answer;
        let account = exchange.account.clone();
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgrade && (upgrade.is_none() || switched.is_none()) {
            return self.failed(exchange, &UpstreamError::Unasked);
        }
        let (mut parts, body) = response.into_parts();
        account.answered(parts.status.as_u16());
        exchange.tell_head(raw.as_ref(), &parts);
        if let (Some(client_side), Some(upstream_side)) = (upgrade, switched) {
            exchange.account.ended(Outcome::Upgraded);
            exchange.client.upgraded();
            let tunnel = exchange.tunnel();
            self.tasks.spawn(tunnel.pump(client_side, upstream_side));
        }
        forward::response(&mut parts, is_upgrade);
        let response = exchange.pass(raw, parts, body);
        if let Some(Handover { sent, connecting, answered }) = handover {
            let before = sent.saturating_duration_since(account.began()).saturating_sub(connecting);
            // One look at the clock serves both: it is no small part of what an exchange costs.
            self.metrics.added(before + account.answered_at().saturating_duration_since(answered));
        }
        response
    }
}

impl Exchange {
    /// Answers with something of our own.
    fn respond(self, answer: Response<Body>, outcome: Outcome) -> Response<ResponseBody> {
        self.account.ended(outcome);
        let (parts, body) = answer.into_parts();
        self.account.answered(parts.status.as_u16());
        self.tell_head(None, &parts);
        self.pass(None, parts, body)
    }

    /// The two ends of what follows a 101, and who is told of it.
    fn tunnel(&mut self) -> Tunnel {
        Tunnel {
            client: Handle::clone(&self.client),
            account: self.account.clone(),
            from_client: self.from_client.take(),
            from_upstream: self.from_upstream.take(),
        }
    }

    fn tell_failure(&self, code: &str, message: &str) {
        if let Some(lane) = &self.from_upstream {
            lane.failed(perimeter_interceptor::Failure::new(code, message));
        }
    }

    fn tell_head(&self, raw: Option<&RawHead>, parts: &response::Parts) {
        let Some(lane) = &self.from_upstream else { return };
        lane.head(ResponseHead::of(raw, parts), self.account.answered_at());
    }

    fn pass(
        mut self,
        raw: Option<RawHead>,
        mut parts: response::Parts,
        body: Body,
    ) -> Response<ResponseBody> {
        // Where no body was made to tell it.
        if let Some(mut lane) = self.from_client.take().filter(|_| self.bodiless) {
            lane.close(BodyEnd::COMPLETE);
        }
        let shape = self.shape(&parts, &body);
        let upgrades = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        if shape.ends_with_connection && !body.is_end_stream() {
            // Else hyper would tell an HTTP/1.0 client that the connection is kept.
            parts.version = Version::HTTP_10;
        }
        let is_trusted = self.client.responds(raw, upgrades) && self.trusted;
        if !is_trusted && !upgrades {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let body = Tap::new(body, self.from_upstream);
        Response::from_parts(parts, ResponseBody::new(body, self.account, self.client, self.gate, shape))
    }

    fn shape(&self, parts: &response::Parts, body: &Body) -> Shape {
        let length = parts.headers.get(CONTENT_LENGTH);
        let is_empty = body.is_end_stream() && self.method != Method::HEAD;
        Shape {
            claimed: length.filter(|_| is_empty).and_then(|length| length.to_str().ok()?.parse().ok()),
            ends_with_connection: self.version == Version::HTTP_10 && length.is_none(),
        }
    }
}

fn expects_continue(parts: &request::Parts, body: &Incoming) -> bool {
    !body.is_end_stream()
        && parts
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
