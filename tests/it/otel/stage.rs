//! A provider, a backend, and the proxy between them.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::collector::Collector;
use super::told::{KEYS, Told};
use crate::support::proxy::Setup;
use crate::support::{Head, Provider, Proxy, Wire};

/// The provider, the backend, and the proxy between them.
pub(super) struct Stage {
    pub(super) provider: Provider,
    pub(super) collector: Collector,
    pub(super) proxy: Proxy,
    began: SystemTime,
}

/// What a client asks.
#[derive(Clone)]
pub(super) struct Ask {
    path: String,
    fields: String,
    pub(super) body: Value,
}

impl Ask {
    /// Of Claude.
    pub(super) fn claude(body: Value) -> Self {
        let fields = format!("anthropic-version: 2023-06-01\r\nx-api-key: {}\r\n", KEYS[0]);
        Self { path: "/v1/messages".into(), fields, body }
    }

    /// Of anybody who speaks as OpenAI does.
    pub(super) fn gpt(path: &str, body: Value) -> Self {
        Self { path: path.into(), fields: format!("Authorization: Bearer {}\r\n", KEYS[1]), body }
    }

    /// A plain chat.
    pub(super) fn chat(text: &str) -> Self {
        let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]});
        Self::gpt("/v1/chat/completions", body)
    }

    /// To this path and query.
    pub(super) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With one more header.
    pub(super) fn with(mut self, field: &str) -> Self {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
    }

    fn bytes(&self) -> String {
        let (path, fields, body) = (&self.path, &self.fields, self.body.to_string());
        format!(
            "POST {path} HTTP/1.1\r\nHost: app\r\n{fields}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The settings of the exporter for that backend, with more.
pub(super) fn settings(collector: &Collector, more: &Value) -> Value {
    let mut settings = json!({"endpoint": collector.url(), "batch": {"interval": "50ms"}});
    let more = more.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone()));
    settings.as_object_mut().unwrap().extend(more);
    settings
}

/// The configuration of a proxy with an exporter of these settings.
pub(super) fn exporting(settings: &Value) -> String {
    format!("interceptors:\n- {{type: trace_exporter, config: {settings}}}\n")
}

impl Stage {
    /// With these settings of the exporter besides where the backend is.
    pub(super) fn start(settings: Value) -> Self {
        Self::with(&settings, |setup| setup)
    }

    /// In front of Anthropic.
    pub(super) fn anthropic(settings: Value) -> Self {
        Self::with(&settings, Setup::anthropic)
    }

    /// With a proxy that is set up in its own way.
    pub(super) fn with(more: &Value, setup: impl FnOnce(Setup) -> Setup) -> Self {
        let (provider, collector) = (Provider::start(), Collector::start());
        let yaml = exporting(&settings(&collector, more));
        let proxy = setup(Proxy::to(&provider).yaml(&yaml)).start();
        Self { provider, collector, proxy, began: SystemTime::now() }
    }

    /// A client that has asked, and the provider, who has heard all of it: behind what head.
    pub(super) fn asks(&self, ask: &Ask) -> (Wire, Wire, Head) {
        asks(&self.provider, &self.proxy, ask)
    }

    /// A call that is answered at once.
    pub(super) fn call(&self, ask: &Ask, answer: &Value) {
        call(&self.provider, &self.proxy, ask, (200, answer));
    }

    /// A call that is answered at once, with this status.
    pub(super) fn answers(&self, ask: &Ask, status: u16, answer: &Value) {
        call(&self.provider, &self.proxy, ask, (status, answer));
    }

    /// A call that is answered by these pieces, each after the one before has arrived.
    pub(super) fn streams(&self, ask: &Ask, pieces: &[String]) {
        let (mut client, mut upstream, _) = self.asks(ask);
        begin(&mut client, &mut upstream);
        pieces.iter().for_each(|piece| says(&mut client, &mut upstream, piece));
        end(client, upstream);
    }

    /// Stops the proxy: what the backend has got by then is all.
    pub(super) fn stop(self) -> Told {
        let exit = self.proxy.stop();
        let told = Told::of(self.collector.asked(), (self.began, SystemTime::now()));
        told.assert_fine(&exit.stderr);
        told
    }
}

/// A client that has asked, and the provider, who has heard all of it: behind what head.
pub(super) fn asks(provider: &Provider, proxy: &Proxy, ask: &Ask) -> (Wire, Wire, Head) {
    let mut client = proxy.connect();
    client.send(ask.bytes());
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.expect(ask.body.to_string());
    (client, upstream, head)
}

/// A call that is answered at once, with this status and body.
pub(super) fn call(provider: &Provider, proxy: &Proxy, ask: &Ask, (status, answer): (u16, &Value)) {
    let (mut client, mut upstream, _) = asks(provider, proxy, ask);
    let body = answer.to_string();
    upstream.send(format!(
        "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    upstream.close();
    assert_eq!(client.head().status(), status);
    client.expect(&body);
}

/// The head of a stream.
pub(super) fn begin(client: &mut Wire, upstream: &mut Wire) {
    upstream.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(client.head().status(), 200);
}

/// A piece of a stream, which arrives.
pub(super) fn says(client: &mut Wire, upstream: &mut Wire, piece: &str) {
    upstream.send_chunk(piece);
    client.expect_in_chunks(piece);
}

/// The clean end of a stream.
pub(super) fn end(mut client: Wire, mut upstream: Wire) {
    upstream.send("0\r\n\r\n");
    assert!(client.chunk().is_empty());
    upstream.close();
}
